//! Short HTTP requests to the places next door that give out access keys: a
//! container's agent, an instance's metadata service.
//!
//! No proxy is asked, but over HTTPS, and no redirect followed; every wait is
//! short, so that a machine without such a place does not hang, and what is read
//! is bounded. A URL must never be shown beyond its host, since a path can be a
//! secret. A request that got no answer fails with the reason, for a message of
//! the caller's; retrying is the caller's business too.

#![forbid(unsafe_code)]

use super::key_json::LIMIT;
use crate::error::Result;
use crate::net::socket::{Flow, SharedFlow};
use crate::net::{Answer, Http, HttpRequest, Payload, Setup};
use crate::os;
use std::io::{ErrorKind, Read};
use std::sync::Arc;
use std::time::{Duration, Instant};
use ureq::http::Uri;

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
fn flow() -> SharedFlow {
    Arc::new(Unhindered)
}

/// An answer: its status, and its body up to a byte more than [`LIMIT`].
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

/// What is said of a place that takes too long, whatever it is that does.
const NO_ANSWER: &str = "no answer";

/// A client for one such place.
pub(super) struct Nearby {
    http: Http,
    stall: Duration,
}

impl Nearby {
    /// With at most so long to connect, and to wait for each byte; past all
    /// proxies.
    pub(super) fn new(connect: Duration, stall: Duration) -> Nearby {
        let http = Http::direct(connect, stall, flow());
        Nearby { http, stall }
    }

    /// Over HTTPS, where proxies and certificates are as for S3. 78 if the
    /// certificates cannot be loaded, or a proxy not be used.
    pub(super) fn over_tls(ca_file: Option<&str>, stall: Duration) -> Result<Nearby> {
        let http = Http::new(Setup {
            tls: true,
            ca_file,
            timeout: stall,
            flow: flow(),
        })?;
        Ok(Nearby { http, stall })
    }

    /// One request, with an empty body where the method wants one.
    pub(super) fn send(
        &mut self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
    ) -> std::result::Result<Reply, String> {
        let accept = ("accept", "application/json");
        let headers: Vec<_> = [accept]
            .iter()
            .chain(headers)
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect();
        let request = HttpRequest {
            method,
            url,
            headers: &headers,
            body: match method {
                "GET" => Payload::None,
                _ => Payload::Bytes(&[]),
            },
            large: false,
            patience: None,
        };
        let answer = self.http.send(&request).map_err(|e| {
            if e.timed_out {
                NO_ANSWER.to_string()
            } else {
                e.why
            }
        })?;
        Ok(Reply {
            status: answer.status,
            body: self.read(answer)?,
        })
    }

    /// The body of an answer. One that comes byte by byte must end as well.
    fn read(&self, mut answer: Answer) -> std::result::Result<Vec<u8>, String> {
        let end = Instant::now() + self.stall * 3;
        let mut body = Vec::new();
        let mut part = [0; 4096];
        while body.len() <= LIMIT {
            if Instant::now() >= end {
                return Err(NO_ANSWER.to_string());
            }
            match answer.read(&mut part) {
                Ok(0) => break,
                Ok(n) => body.extend_from_slice(&part[..n]),
                Err(e) if e.kind() == ErrorKind::TimedOut => return Err(NO_ANSWER.to_string()),
                Err(e) => return Err(e.to_string()),
            }
        }
        body.truncate(LIMIT + 1);
        Ok(body)
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
    use std::io::Write;
    use std::net::TcpListener;
    use std::thread;

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
        let mut nearby = Nearby::new(LONG, LONG);
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
        let mut nearby = Nearby::new(LONG, LONG);
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
        for url in ["http://127.0.0.1/ hush", "hush", "/hush", "http:///hush"] {
            let why = get(LONG, url).unwrap();
            assert_eq!(why, "the request cannot be made", "{url}");
        }
        let headers = [("a", "hu\nsh")];
        let why = Nearby::new(LONG, LONG).send("GET", &url, &headers).err();
        assert_eq!(why.as_deref(), Some("the request cannot be made"));
    }

    /// Neither one of which a byte comes now and then, nor one that breaks off.
    #[test]
    fn an_answer_that_does_not_end() {
        for (length, bytes) in [
            ("Content-Length: 60000", usize::MAX),
            ("Content-Length: 9", 1),
        ]
        .into_iter()
        .chain([("Transfer-Encoding: chunked", 0)])
        {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let url = format!("http://{}/", listener.local_addr().unwrap());
            let serve = thread::spawn(move || {
                let mut stream = listener.accept().unwrap().0;
                write!(stream, "HTTP/1.1 200 OK\r\n{length}\r\n\r\n").unwrap();
                let mut sent = 0;
                while sent < bytes && stream.write_all(b"x").is_ok() {
                    thread::sleep(SHORT / 4);
                    sent += 1;
                }
                // Until it is given up.
                let _ = stream.read_to_end(&mut Vec::new());
            });
            let why = Nearby::new(LONG, SHORT).send("GET", &url, &[]).err();
            assert_eq!(why.as_deref(), Some("no answer"), "{length}");
            serve.join().unwrap();
        }
    }
}
