//! Short HTTP requests to the places next door that give out access keys: a
//! container's agent, an instance's metadata service.
//!
//! No proxy is asked, no redirect followed; every wait is short, so that a
//! machine without such a place does not hang, and what is read is bounded. It
//! must never show a URL beyond its host, since a path can be a secret. A
//! request that got no answer fails with the reason, for a message of the
//! caller's; retrying is the caller's business too.

#![forbid(unsafe_code)]

use super::key_json::LIMIT;
use crate::error::os_reason;
use crate::net::connection::Shared;
use crate::net::dialer::{Dialer, Names};
use crate::net::socket::{Flow, SharedFlow};
use crate::os;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;
use ureq::Agent;
use ureq::http::{Request, Uri};

/// Ends a blocked call once a signal asked us to stop, and holds up nothing.
struct Unhindered;

impl Flow for Unhindered {
    fn pulse(&self) -> bool {
        os::stop_signal().is_some()
    }

    fn grant(&self, want: usize) -> Option<usize> {
        Some(want)
    }

    fn moved(&self, _: usize) {}
}

/// What sockets that have nothing to do with the stream ask.
pub(super) fn flow() -> SharedFlow {
    Arc::new(Unhindered)
}

/// An answer: its status, and its body up to a byte more than [`LIMIT`].
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

/// A client for one such place.
pub(super) struct Nearby(Agent);

impl Nearby {
    /// With at most so long to connect, and to wait for each byte.
    pub(super) fn new(connect: Duration, stall: Duration) -> Nearby {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .accept("application/json")
            .accept_encoding("identity")
            .user_agent(concat!("s3pipe/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(connect))
            .timeout_per_read(Some(stall))
            .timeout_per_write(Some(stall))
            // A head or body that comes byte by byte must end as well.
            .timeout_recv_response(Some(stall * 3))
            .timeout_recv_body(Some(stall * 3))
            .build();
        let names = Names { flow: flow() };
        let dialer = Dialer {
            shared: Arc::new(Shared::default()),
            flow: flow(),
            tls: None,
        };
        Nearby(Agent::with_parts(config, dialer, names))
    }

    /// One request, with an empty body where the method wants one.
    pub(super) fn send(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
    ) -> Result<Reply, String> {
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = match method {
            "GET" => request.body(()).map(|request| self.0.run(request)),
            _ => request.body(&[][..]).map(|request| self.0.run(request)),
        };
        let answer = answer.unwrap_or_else(|e| Err(e.into()));
        let (head, body) = answer.map_err(|e| reason(&e))?.into_parts();
        let mut bytes = Vec::new();
        let mut body = body.into_reader().take(LIMIT as u64 + 1);
        let read = body.read_to_end(&mut bytes);
        read.map_err(|e| reason(&ureq::Error::Io(e)))?;
        Ok(Reply {
            status: head.status.as_u16(),
            body: bytes,
        })
    }
}

/// Why there was no answer, without any part of the request.
fn reason(e: &ureq::Error) -> String {
    match e {
        ureq::Error::HostNotFound => "host not found".to_string(),
        ureq::Error::Timeout(_) => "no answer".to_string(),
        ureq::Error::Io(e) => {
            let inner = e.get_ref().and_then(|e| e.downcast_ref::<ureq::Error>());
            match inner {
                Some(ureq::Error::Timeout(_)) => "no answer".to_string(),
                _ if e.kind() == std::io::ErrorKind::TimedOut => "no answer".to_string(),
                _ => os_reason(e),
            }
        }
        ureq::Error::Http(_) | ureq::Error::BadUri(_) => "the request cannot be made".to_string(),
        e => e.to_string(),
    }
}

/// A URL's scheme, host and port, which is what may be shown of it; none if
/// it is no URL of that kind or has a user's name in it.
pub(super) fn origin(url: &str) -> Option<Origin> {
    let uri: Uri = url.parse().ok()?;
    let authority = uri.authority()?;
    let scheme = uri.scheme_str()?;
    if !matches!(scheme, "http" | "https") || authority.as_str().contains('@') {
        return None;
    }
    Some(Origin {
        scheme: scheme.to_string(),
        host: authority.host().to_ascii_lowercase(),
        shown: format!("{scheme}://{authority}"),
    })
}

/// What [`origin`] finds.
pub(super) struct Origin {
    /// `http` or `https`.
    pub(super) scheme: String,
    /// In lower case; an IPv6 address with its brackets.
    pub(super) host: String,
    /// `scheme://host:port`.
    pub(super) shown: String,
}

#[cfg(test)]
mod tests {
    use super::super::testing::Place;
    use super::*;
    use std::net::TcpListener;

    const SHORT: Duration = Duration::from_millis(200);
    const LONG: Duration = Duration::from_secs(30);

    #[test]
    fn origins() {
        for (url, host, shown) in [
            ("http://127.0.0.1:1/a?b", "127.0.0.1", "http://127.0.0.1:1"),
            ("http://LocalHost", "localhost", "http://LocalHost"),
            ("https://[::1]:2/", "[::1]", "https://[::1]:2"),
            ("HTTP://a/hush", "a", "http://a"),
        ] {
            let origin = origin(url).unwrap();
            assert_eq!((&*origin.host, &*origin.shown), (host, shown), "{url}");
        }
        for url in [
            "",
            "/a",
            "a",
            "ftp://a/",
            "http://",
            "http://u@a/",
            "http://127.0.0.1@evil/",
            "http://u:p@a/",
            "http://a b/",
            "file:///etc/passwd",
        ] {
            assert!(origin(url).is_none(), "{url}");
        }
    }

    #[test]
    fn an_empty_put_and_a_get_on_one_connection() {
        let place = Place::start(vec![(200, "one"), (404, "")]);
        let nearby = Nearby::new(LONG, LONG);
        let reply = nearby.send("PUT", &place.url("/a?b"), &[("x-y", "z")]);
        let reply = reply.unwrap();
        assert_eq!((reply.status, &*reply.body), (200, &b"one"[..]));
        let reply = nearby.send("GET", &place.url("/c"), &[]).unwrap();
        assert_eq!((reply.status, &*reply.body), (404, &b""[..]));
        let seen = place.seen();
        assert!(seen[0].starts_with("PUT /a?b HTTP/1.1\r\n"), "{seen:?}");
        assert!(seen[0].contains("\r\nx-y: z\r\n"), "{seen:?}");
        assert!(seen[0].contains("\r\ncontent-length: 0\r\n"), "{seen:?}");
        assert!(seen[1].starts_with("GET /c HTTP/1.1\r\n"), "{seen:?}");
        assert!(!seen[1].contains("content-length"), "{seen:?}");
    }

    #[test]
    fn what_is_read_is_bounded_and_no_redirect_followed() {
        let long = "x".repeat(LIMIT * 3);
        let place = Place::start(vec![(200, &long), (302, "")]);
        let nearby = Nearby::new(LONG, LONG);
        let reply = nearby.send("GET", &place.url("/"), &[]).unwrap();
        assert_eq!(reply.body.len(), LIMIT + 1);
        let reply = nearby.send("GET", &place.url("/"), &[]).unwrap();
        assert_eq!((reply.status, place.seen().len()), (302, 2));
    }

    #[test]
    fn no_answer() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hush", listener.local_addr().unwrap());
        let get = |limit, url: &str| Nearby::new(LONG, limit).send("GET", url, &[]).err();
        // It takes the connection, and never answers.
        assert_eq!(get(SHORT, &url).as_deref(), Some("no answer"));
        let why = get(LONG, "http://127.0.0.1:9/hush").unwrap();
        assert!(why.contains("refused") && !why.contains("hush"), "{why}");
        let why = get(LONG, "http://127.0.0.1/ hush").unwrap();
        assert_eq!(why, "the request cannot be made");
        let headers = [("a", "hu\nsh")];
        let why = Nearby::new(LONG, LONG).send("GET", &url, &headers).err();
        assert_eq!(why.as_deref(), Some("the request cannot be made"));
    }
}
