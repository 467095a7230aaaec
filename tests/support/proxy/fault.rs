//! What goes wrong, and when: [`Fault`], [`Answer`], [`Match`], [`Rule`].

use super::date;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A request that the proxy has met, as far as it has come by now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its place in the list of all requests, from 0.
    pub n: usize,
    /// When its head had come: never earlier than it was sent.
    pub at: Instant,
    /// `PUT`; a `CONNECT` is listed too.
    pub method: String,
    /// The request target as it was sent: `/bucket/key?query`, `http://…`
    /// where the client uses the proxy for plain HTTP, `host:port` of CONNECT.
    pub target: String,
    /// The header fields in their order.
    pub headers: Vec<(String, String)>,
    /// Bytes of the body read from the client so far, without chunk framing.
    pub body_len: u64,
    /// The client connection that it came on, counted from 0: equal numbers
    /// mean keep-alive.
    pub connection: usize,
    /// The final status that the client was sent; `None` until then, and for
    /// ever where the client got no answer. Set just before the answer's head
    /// is written, so it is there when the client has the answer.
    pub status: Option<u16>,
    /// Whether a rule or the storm chose a fault for it.
    pub faulted: bool,
}

impl Seen {
    /// The first value of this header field, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut all = self.headers.iter();
        all.find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

type Test = Arc<dyn Fn(&Seen) -> bool + Send + Sync>;

/// Which requests a [`Rule`] is for; all conditions given must hold.
///
/// A CONNECT request is met only by a match that names that method.
#[derive(Clone, Default)]
pub struct Match {
    pub(super) method: Option<String>,
    pub(super) target: Vec<String>,
    pub(super) nth: usize,
    pub(super) test: Option<Test>,
}

impl Match {
    /// Every request but CONNECT.
    pub fn any() -> Match {
        Match::default()
    }

    /// Requests of this method.
    pub fn method(method: &str) -> Match {
        let method = Some(method.to_owned());
        let rest = Match::default();
        Match { method, ..rest }
    }

    /// Only targets that contain this text; may be given several times, and
    /// all must be found.
    pub fn target(mut self, part: &str) -> Match {
        self.target.push(part.to_owned());
        self
    }

    /// Only from the `nth` request on (from 1) that fits the rest: with
    /// `times: 1` the nth alone. Requests are counted from the moment the rule
    /// is given, also those that another rule gets.
    pub fn nth(mut self, nth: usize) -> Match {
        self.nth = nth;
        self
    }

    /// Only requests of which this is true (body and status are not known
    /// yet). It must not call the proxy, which is locked meanwhile.
    pub fn when(mut self, test: impl Fn(&Seen) -> bool + Send + Sync + 'static) -> Match {
        self.test = Some(Arc::new(test));
        self
    }

    /// Whether the request fits, `nth` aside.
    pub(super) fn fits(&self, seen: &Seen) -> bool {
        let method = match &self.method {
            Some(method) => *method == seen.method,
            None => seen.method != "CONNECT",
        };
        method
            && self.target.iter().all(|part| seen.target.contains(part))
            && self.test.as_ref().is_none_or(|test| test(seen))
    }
}

/// A fault, the requests it is for, and how many of them get it.
#[derive(Clone)]
pub struct Rule {
    /// Which requests.
    pub when: Match,
    /// What happens to them.
    pub fault: Fault,
    /// How often, after which the rule is spent; `usize::MAX` for always.
    pub times: usize,
}

/// A response made up by the proxy. `Content-Length` is added unless the
/// headers hold it or `Transfer-Encoding`; nothing else is (no `Date`).
/// A `Connection: close` header is honoured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Status code.
    pub code: u16,
    /// Reason phrase.
    pub reason: String,
    /// Header fields.
    pub headers: Vec<(String, String)>,
    /// Body; not sent to a HEAD request.
    pub body: Vec<u8>,
}

impl Answer {
    /// A response without headers or body.
    pub fn new(code: u16, reason: &str) -> Answer {
        let (headers, body) = (Vec::new(), Vec::new());
        let reason = reason.to_owned();
        Answer {
            code,
            reason,
            headers,
            body,
        }
    }

    /// Adds a header field.
    pub fn header(mut self, name: &str, value: &str) -> Answer {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Answer {
        self.body = body.into();
        self
    }

    /// An S3 error response: `<Error>` with this code and message, and `more`
    /// XML elements.
    pub fn s3(status: u16, reason: &str, code: &str, message: &str, more: &str) -> Answer {
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code>\
             <Message>{message}</Message>{more}<RequestId>4442587FB7D0A2F9</RequestId></Error>"
        );
        Answer::new(status, reason)
            .header("Content-Type", "application/xml")
            .body(body)
    }

    /// 503 SlowDown, S3's throttling.
    pub fn slow_down() -> Answer {
        let message = "Please reduce your request rate.";
        Answer::s3(503, "Slow Down", "SlowDown", message, "")
    }

    /// 503 ServiceUnavailable with `Retry-After` in seconds.
    pub fn unavailable(retry_after: u64) -> Answer {
        let message = "Please try again.";
        let code = "ServiceUnavailable";
        Answer::s3(503, "Service Unavailable", code, message, "")
            .header("Retry-After", &retry_after.to_string())
    }

    /// 429 TooManyRequests with `Retry-After` in seconds.
    pub fn too_many_requests(retry_after: u64) -> Answer {
        let code = "TooManyRequests";
        Answer::s3(429, "Too Many Requests", code, "Slow down.", "")
            .header("Retry-After", &retry_after.to_string())
    }

    /// 500 InternalError.
    pub fn internal_error() -> Answer {
        let message = "We encountered an internal error. Please try again.";
        let reason = "Internal Server Error";
        Answer::s3(500, reason, "InternalError", message, "")
    }

    /// 403 AccessDenied.
    pub fn access_denied() -> Answer {
        Answer::s3(403, "Forbidden", "AccessDenied", "Access Denied", "")
    }

    /// 400 ExpiredToken.
    pub fn expired_token() -> Answer {
        let message = "The provided token has expired.";
        Answer::s3(400, "Bad Request", "ExpiredToken", message, "")
    }

    /// 404 with this S3 code (`NoSuchKey`, `NoSuchBucket`).
    pub fn not_found(code: &str) -> Answer {
        Answer::s3(404, "Not Found", code, "It does not exist.", "")
    }

    /// The response as it goes on the wire, up to the body.
    pub fn head(&self) -> Vec<u8> {
        let mut text = format!("HTTP/1.1 {} {}\r\n", self.code, self.reason);
        for (name, value) in &self.headers {
            text += &format!("{name}: {value}\r\n");
        }
        if !self.has("Content-Length") && !self.has("Transfer-Encoding") {
            text += &format!("Content-Length: {}\r\n", self.body.len());
        }
        (text + "\r\n").into_bytes()
    }

    fn has(&self, name: &str) -> bool {
        let mut all = self.headers.iter();
        all.any(|(n, _)| n.eq_ignore_ascii_case(name))
    }
}

/// What goes wrong. All of it happens on the wire, in plain HTTP, on direct
/// connections and in CONNECT tunnels alike. Offsets and lengths are in bytes
/// of the body's payload (chunk framing not counted).
///
/// 'Reset' means that the client gets an RST (ECONNRESET, EPIPE), 'close' an
/// ordinary end of the connection (FIN).
#[derive(Clone, Debug)]
pub enum Fault {
    /// Reads the whole request (with `100 Continue` where asked for), does not
    /// forward it, and answers this; the connection stays open unless the
    /// answer says `Connection: close`.
    Status(Answer),
    /// Answers this as soon as the head has come, then resets the connection
    /// once the body has begun to come in (without a body: closes). Give the
    /// answer `Connection: close` where the server meant would send it.
    EarlyStatus(Answer),
    /// Answers this as soon as the head has come, closes its sending side, and
    /// reads on until the client closes: the gentle form of an early answer.
    EarlyStatusDrain(Answer),
    /// Resets this connection before reading on, and the next so many new
    /// connections at their first byte. For ECONNREFUSED see `Proxy::down`.
    RefuseFor(usize),
    /// Forwards nothing, resets the connection after so many body bytes were
    /// read (at least one byte of the request is left unread, which makes the
    /// reset). Past the end of a chunked body it closes.
    DropRequest {
        /// Body bytes to read first.
        after: u64,
    },
    /// Forwards the request, passes the head and so many bytes of the response
    /// body, then closes. Past its end: the whole, then closes.
    DropResponse {
        /// Body bytes to pass first.
        after: u64,
    },
    /// Forwards the request, reads the whole answer of the upstream, passes
    /// none of it and closes: the request was carried out, and the client
    /// cannot know.
    LoseAnswer,
    /// Passes the head and so many bytes of the response body, and then
    /// nothing, until the client closes or the proxy goes.
    Stall {
        /// Body bytes to pass first.
        after: u64,
    },
    /// Reads the whole request, never answers, until the client closes or the
    /// proxy goes.
    StallRequest,
    /// Reads so many bytes of the request's body and then no more, so that the
    /// client's writes stall (once the kernel's buffers are full: that takes
    /// some MiB), until the proxy goes (`hang_up`, `down`, drop).
    StallBody {
        /// Body bytes to read first.
        after: u64,
    },
    /// Flips the lowest bit of the response body's byte at this offset. Past
    /// the end nothing happens.
    Flip {
        /// Offset in the body, from 0.
        at: u64,
    },
    /// The same in the request's body, on its way to the upstream.
    FlipRequest {
        /// Offset in the body, from 0.
        at: u64,
    },
    /// Passes the response with a Content-Length that is wrong by `delta`
    /// (never below 0), the body as it is, then closes. Holds the body in
    /// memory.
    WrongLength {
        /// Added to the right length.
        delta: i64,
    },
    /// A Content-Length smaller by `by` than the body, all of which is sent;
    /// the connection stays open, with the rest of the body on it where the
    /// next answer should begin. Holds the body in memory.
    Truncate {
        /// Bytes of the body left out of the Content-Length.
        by: u64,
    },
    /// The answer of a bucket that lives elsewhere, without forwarding: an XML
    /// error with `<Endpoint>` and the header `x-amz-bucket-region`; with code
    /// 307 TemporaryRedirect and `Location: http://ENDPOINT/TARGET`, with any
    /// other (301) PermanentRedirect and, as from S3, no Location.
    Redirect {
        /// 301 or 307.
        code: u16,
        /// The bucket's region.
        region: String,
        /// `host` or `host:port`.
        endpoint: String,
    },
    /// 400 AuthorizationHeaderMalformed with this `<Region>`, without
    /// forwarding.
    WrongRegion {
        /// The right region.
        region: String,
    },
    /// Shifts the response's `Date` (adds one where there is none).
    Date {
        /// Added to the time; below 0 for the past.
        seconds: i64,
    },
    /// 403 RequestTimeTooSkewed with this `Date`, without forwarding.
    Skewed {
        /// What the server's clock shows.
        server_date: SystemTime,
    },
    /// Status 200 with an `<Error>` of this code as the body.
    ErrorIn200 {
        /// S3's error code, such as `InternalError`.
        code: String,
        /// Whether the request is forwarded (and carried out) before.
        forward: bool,
    },
    /// Waits so long after the request's head, then goes on as without a fault.
    Delay(Duration),
    /// Forwards the request, throws the upstream's answer away and gives this
    /// one: what was carried out is reported wrongly.
    Replace(Answer),
    /// Answers as usual, with keep-alive, and closes the connection at once: a
    /// server that drops idle connections.
    CloseIdle,
    /// Answers as usual, and resets the connection when the first byte of the
    /// next request has come.
    CloseNext,
    /// Re-encodes the response body as chunked, without a Content-Length.
    Chunked,
}

impl Fault {
    /// Whether the upstream gets the request.
    pub(super) fn forwards(&self) -> bool {
        use Fault::*;
        match self {
            Status(_) | EarlyStatus(_) | EarlyStatusDrain(_) | RefuseFor(_) => false,
            DropRequest { .. } | StallRequest | StallBody { .. } => false,
            Redirect { .. } | WrongRegion { .. } | Skewed { .. } => false,
            ErrorIn200 { forward, .. } => *forward,
            _ => true,
        }
    }

    /// The answer that the proxy gives in place of the upstream's, if any.
    pub(super) fn answer(&self, target: &str) -> Option<Answer> {
        use Fault::*;
        Some(match self {
            Status(answer) | EarlyStatus(answer) | EarlyStatusDrain(answer) => answer.clone(),
            Replace(answer) => answer.clone(),
            Redirect {
                code,
                region,
                endpoint,
            } => redirect(*code, region, endpoint, target),
            WrongRegion { region } => wrong_region(region),
            Skewed { server_date } => skewed(*server_date),
            ErrorIn200 { code, .. } => Answer::s3(200, "OK", code, "It failed after all.", ""),
            _ => return None,
        })
    }
}

fn redirect(code: u16, region: &str, endpoint: &str, target: &str) -> Answer {
    let more = format!("<Endpoint>{endpoint}</Endpoint>");
    let message = "The bucket must be addressed using the specified endpoint.";
    let answer = match code {
        307 => Answer::s3(
            307,
            "Temporary Redirect",
            "TemporaryRedirect",
            message,
            &more,
        )
        .header("Location", &format!("http://{endpoint}{target}")),
        _ => Answer::s3(
            code,
            "Moved Permanently",
            "PermanentRedirect",
            message,
            &more,
        ),
    };
    answer.header("x-amz-bucket-region", region)
}

fn wrong_region(region: &str) -> Answer {
    let message =
        format!("The authorization header is malformed; the region is wrong; expecting '{region}'");
    let more = format!("<Region>{region}</Region>");
    let code = "AuthorizationHeaderMalformed";
    Answer::s3(400, "Bad Request", code, &message, &more)
}

fn skewed(server_date: SystemTime) -> Answer {
    let seconds = unix(server_date);
    let more = format!(
        "<ServerTime>{}</ServerTime><MaxAllowedSkewMilliseconds>900000</MaxAllowedSkewMilliseconds>",
        date::iso(seconds)
    );
    let message = "The difference between the request time and the current time is too large.";
    Answer::s3(403, "Forbidden", "RequestTimeTooSkewed", message, &more)
        .header("Date", &date::http(seconds))
}

/// Seconds since the epoch; 0 for anything before it.
pub(super) fn unix(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
