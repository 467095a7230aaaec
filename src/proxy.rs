//! The HTTP proxy that connections go through, and how it is asked for one.
//!
//! Its tunnel (method CONNECT) is used for everything, also without TLS. Its
//! answer is read to its end and not a byte further, since what follows is the
//! server's; it is bounded, and nothing of it but the status is shown. The
//! password that a proxy may want goes to it alone.

use std::io;
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use ureq::Proxy;
use ureq::http::Uri;

use crate::wire::{Wire, left};

/// The longest answer that is read, in bytes.
const LIMIT: usize = 16 << 10;

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
