//! Short HTTP requests to the places next door that give out access keys: a
//! container's agent, an instance's metadata service.
//!
//! No proxy is asked, but over HTTPS, and no redirect followed; every wait is
//! short, so that a machine without such a place does not hang, and what is read
//! is bounded. A URL must never be shown beyond its host, since a path can be a
//! secret. A request that got no answer fails with the reason, for a message of
//! the caller's; retrying is the caller's business too.

use std::io::{ErrorKind, Read};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ureq::http::Uri;

use super::key_json::LIMIT;
use crate::error::Result;
use crate::net::socket::{Flow, SharedFlow};
use crate::net::{Answer, Http, HttpRequest, Payload, Setup};
use crate::os;

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

/// The flow of connections that have nothing to do with the stream.
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
    /// One for plain HTTP, past all proxies. It takes at most `connect` to connect,
    /// and `stall` to wait for each byte.
    pub(super) fn new(connect: Duration, stall: Duration) -> Nearby {
        let http = Http::direct(connect, stall, flow());
        Nearby { http, stall }
    }

    /// One for HTTPS, where proxies and certificates are as for S3. 78 if the
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

    /// Sends one request, with an empty body unless it is a GET. The error is the
    /// reason why there was no answer.
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

    /// Reads the body of an answer. One that comes byte by byte must end as well.
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

/// What may be shown of a URL, and what decides whether it may be asked.
pub(super) struct Origin {
    /// `http` or `https`.
    pub(super) scheme: String,
    /// In lower case; an IPv6 address with its brackets.
    pub(super) host: String,
    /// `scheme://host:port`.
    pub(super) shown: String,
}

#[cfg(test)]
#[path = "nearby_tests.rs"]
mod tests;
