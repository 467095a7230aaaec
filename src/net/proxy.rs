//! The HTTP proxy that the environment names, and how it is asked for a
//! connection.
//!
//! One that cannot be understood is refused (78): going past it would be a way
//! that nobody wanted. Its tunnel (method CONNECT) is used for everything, also without TLS. Its
//! answer is read to its end and not a byte further, since what follows is the
//! server's; it is bounded, and nothing of it but the status is shown. The
//! password that a proxy may want goes to it alone.

use std::ffi::OsStr;
use std::io;
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use ureq::http::Uri;
use ureq::{Proxy, ProxyProtocol};

use crate::error::{Error, Exit, Result};
use crate::net::wire::{Wire, left};

/// The longest answer that is read, in bytes.
const LIMIT: usize = 16 << 10;

/// What may name a proxy, in the order in which ureq reads them.
const VARIABLES: [&str; 6] = [
    "ALL_PROXY",
    "all_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
];

/// The proxy to use, and for which hosts not to use it: the first of the
/// variables that is not empty names it. 78 if that is no HTTP proxy.
pub fn from_environment() -> Result<Option<Proxy>> {
    let set = |name| Some((name, std::env::var_os(name)?));
    let mut all = VARIABLES.into_iter().filter_map(set);
    match all.find(|(_, value)| !value.is_empty()) {
        None => Ok(None),
        // Once more, with what NO_PROXY says.
        Some((name, value)) => check(name, &value).map(|()| Proxy::try_from_env()),
    }
}

/// Its value may have a password in it, and is not shown.
fn check(name: &str, value: &OsStr) -> Result<()> {
    let refuse = |why| Err(Error::new(Exit::Config, name, why));
    match value.to_str().map(Proxy::new) {
        Some(Ok(proxy)) if has_address(&proxy) => match proxy.protocol() {
            ProxyProtocol::Http | ProxyProtocol::Https => Ok(()),
            _ => refuse("names a SOCKS proxy; only HTTP ones are known"),
        },
        _ => refuse("is not the URL of a proxy, as http://host:port is"),
    }
}

/// Whether there is a host, and behind it nothing or a port: ureq takes what is
/// none for the usual one.
fn has_address(proxy: &Proxy) -> bool {
    let authority = proxy.uri().authority().map_or("", |a| a.as_str());
    let server = authority.rsplit('@').next().unwrap_or_default();
    let host = proxy.host();
    !host.is_empty()
        && match server.strip_prefix(host) {
            Some("") => true,
            Some(rest) => proxy
                .uri()
                .port_u16()
                .is_some_and(|p| rest == format!(":{p}")),
            None => false,
        }
}

/// Have the proxy at the other end connect us to the server of `target`, until
/// `end` (TimedOut).
pub fn enter(wire: &mut Wire, proxy: &Proxy, target: &Uri, end: Option<Instant>) -> io::Result<()> {
    wire.push(&request(proxy, target), left(None, end)?)?;
    let mut answer = vec![0; LIMIT];
    let mut length = 0;
    loop {
        let n = wire.pull(&mut answer[length..], left(None, end)?, end)?;
        length += n;
        match answer[..length].windows(4).position(|w| w == b"\r\n\r\n") {
            Some(head) if head + 4 == length => return judge(&answer[..head]),
            Some(_) => return Err(io::Error::other("the proxy said more than it was asked")),
            None if n == 0 => return Err(io::Error::other("the proxy closed the connection")),
            None if length == LIMIT => {
                return Err(io::Error::other("the proxy's answer has no end"));
            }
            None => {}
        }
    }
}

fn request(proxy: &Proxy, target: &Uri) -> Vec<u8> {
    let port = match target.scheme_str() {
        Some("https") => 443,
        _ => 80,
    };
    let host = target.host().unwrap_or_default();
    let server = format!("{host}:{}", target.port_u16().unwrap_or(port));
    let agent = concat!("s3pipe/", env!("CARGO_PKG_VERSION"));
    let mut head = format!(
        "CONNECT {server} HTTP/1.1\r\nHost: {server}\r\nUser-Agent: {agent}\r\n\
         Proxy-Connection: Keep-Alive\r\n"
    );
    let (user, password) = (proxy.username(), proxy.password());
    if user.is_some() || password.is_some() {
        let both = [user.unwrap_or_default(), password.unwrap_or_default()].join(":");
        head.push_str(&format!(
            "Proxy-Authorization: Basic {}\r\n",
            BASE64.encode(both)
        ));
    }
    head.push_str("\r\n");
    head.into_bytes()
}

/// Whether the tunnel is there, by the head of the proxy's answer.
fn judge(head: &[u8]) -> io::Result<()> {
    let head = String::from_utf8_lossy(head);
    let status = head.strip_prefix("HTTP/1.").and_then(|rest| {
        let status = rest.split_ascii_whitespace().nth(1)?;
        status.parse::<u16>().ok()
    });
    match status {
        Some(200..=299) => Ok(()),
        Some(status) => Err(io::Error::other(format!("the proxy answered {status}"))),
        None => Err(io::Error::other("the proxy does not speak HTTP")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_names_a_proxy() {
        for good in [
            "http://p",
            "p:3128",
            "https://u:hush@p:1/",
            "http://[::1]:1",
        ] {
            assert!(check("X", OsStr::new(good)).is_ok(), "{good}");
        }
        for (bad, why) in [
            ("http://u:hush@p:123456", "not the URL"),
            ("p:hush", "not the URL"),
            ("http://p:", "not the URL"),
            ("http://u:hush@", "not the URL"),
            (" http://hush", "not the URL"),
            ("hush://p", "not the URL"),
            ("http://%ff:hush@p", "not the URL"),
            ("socks5://u:hush@p", "SOCKS"),
        ] {
            let e = check("X", OsStr::new(bad)).unwrap_err();
            assert!(
                e.exit() == Exit::Config && e.why().contains(why),
                "{bad}: {e}"
            );
            assert!(e.what() == "X" && !e.why().contains("hush"), "{e}");
        }
    }

    #[test]
    fn what_a_proxy_is_asked() {
        let ask = |proxy: &str, target: &str| {
            let request = request(&Proxy::new(proxy).unwrap(), &target.parse().unwrap());
            String::from_utf8(request).unwrap()
        };
        let plain = ask("http://p:1", "http://[::1]/a?b");
        assert!(plain.starts_with("CONNECT [::1]:80 HTTP/1.1\r\nHost: [::1]:80\r\n"));
        assert!(
            plain.ends_with("\r\n\r\n") && !plain.contains("Auth"),
            "{plain}"
        );
        let secret = ask("http://u%20v:p%40w@p:1", "https://s3.test/");
        assert!(secret.starts_with("CONNECT s3.test:443 HTTP/1.1\r\n"));
        let basic = BASE64.encode("u v:p@w");
        assert!(secret.contains(&format!("\r\nProxy-Authorization: Basic {basic}\r\n")));
        assert!(ask("http://p:1", "https://s3.test:9/").starts_with("CONNECT s3.test:9 "));
    }

    #[test]
    fn what_a_proxy_says() {
        let said = |head: &str| judge(head.as_bytes()).map_err(|e| e.to_string());
        assert_eq!(said("HTTP/1.1 200 Connection established\r\nA: b"), Ok(()));
        assert_eq!(said("HTTP/1.0 200"), Ok(()));
        let why = |text: &str| Err(text.to_string());
        assert_eq!(said("HTTP/1.1 407 hush"), why("the proxy answered 407"));
        for odd in ["", "HTTP/1.1", "HTTP/1.1 x", "HTTP/2 200", "SSH-2.0-x 200"] {
            assert_eq!(said(odd), why("the proxy does not speak HTTP"), "{odd}");
        }
    }
}
