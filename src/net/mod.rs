//! One blocking HTTP/1.1 request at a time, over ureq; knows nothing of S3.
//!
//! No redirect is followed, nothing is decompressed, no `Expect` is sent, and
//! every status is an answer. A request fails with [`NoAnswer`] where there was no
//! answer. Retrying is the caller's business, and so are time limits on the
//! whole: here only a connection on which no byte moves is given up.

pub mod bypass;
pub mod connection;
pub mod dialer;
pub mod pace;
pub mod proxy;
mod reason;
pub mod socket;
pub mod tls;
pub mod trust;
pub mod wire;

use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustls::ClientConfig;
use ureq::http::{HeaderMap, Request, Response};
use ureq::{Agent, AsSendBody, Body, Proxy, ProxyProtocol, SendBody, Timeout};

use crate::error::Result;
use crate::net::bypass::{Counted, Loan};
use crate::net::connection::Shared;
use crate::net::dialer::{Dialer, Names};
use crate::net::reason::{Handshake, handshake, io_reason, is_time_out};
use crate::net::socket::{SharedFlow, is_closed};
use crate::os::Block;

/// Large writes, since a block goes out in one piece.
const OUTPUT_BUFFER: usize = 1 << 20;
const INPUT_BUFFER: usize = 64 << 10;

/// How long an idle connection is trusted: routers forget older ones without
/// a word, which would cost a stall.
const IDLE: Duration = Duration::from_secs(60);

/// How long a connection may take to be made, unless the stall limit is less.
const CONNECT: Duration = Duration::from_secs(30);

/// How long anything may take at least, however little is left of patience.
const LEAST: Duration = Duration::from_secs(5);

/// How many handshakes in a row may be garbled before that is believed to be
/// the server's doing.
const GARBLED: u32 = 3;

/// How the client is set up.
pub struct Setup<'a> {
    /// Whether TLS will be needed: loading certificates takes a while.
    pub tls: bool,
    /// PEM bundle to trust instead of the system's.
    pub ca_file: Option<&'a str>,
    /// How long a connection may stand still.
    pub timeout: Duration,
    /// See [`Flow`](crate::net::socket::Flow).
    pub flow: SharedFlow,
}

/// The client.
pub struct Http {
    agent: Agent,
    shared: Arc<Shared>,
    connect: Duration,
    timeout: Duration,
    /// Handshakes in a row of which something could not be read.
    garbled: u32,
}

/// The body of a request.
#[derive(Clone, Copy)]
pub enum Payload<'a> {
    /// There is none, and no Content-Length is sent.
    None,
    /// These bytes.
    Bytes(&'a [u8]),
    /// So many bytes of a block, which go out uncopied if possible.
    Block(&'a Arc<Block>, usize),
}

impl Payload<'_> {
    /// The bytes; none if there are none.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Payload::None => &[],
            Payload::Bytes(bytes) => bytes,
            Payload::Block(block, length) => &block.bytes()[..*length],
        }
    }
}

/// A request: everything is sent as it is given.
pub struct HttpRequest<'a> {
    /// `GET`, `PUT`, …
    pub method: &'a str,
    /// The absolute URL, encoded.
    pub url: &'a str,
    /// All headers but Content-Length.
    pub headers: &'a [(String, String)],
    /// The body.
    pub body: Payload<'a>,
    /// The answer is large: read its body past ureq's buffer if possible.
    pub large: bool,
    /// What is left of the time that the request may keep failing; None is
    /// without end. Nothing is waited for any longer, except that everything has
    /// five seconds; what moves is not cut off.
    pub patience: Option<Duration>,
}

/// How long one request may wait.
struct Waits {
    /// For a connection.
    connect: Duration,
    /// For the next byte to move.
    stall: Duration,
    /// For the next byte of the answer's head.
    answer: Duration,
    /// For the whole of that head, interim answers included.
    head: Duration,
}

/// An answer: its head, and its body to be read.
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The whole body of the request was sent before a byte of this answer came,
    /// as far as can be seen: up to its last 4 KiB, and the other end's system
    /// has acknowledged all of it (see `os::unsent`).
    pub whole: bool,
    headers: HeaderMap,
    body: Incoming,
}

enum Incoming {
    Buffered(Box<dyn Read>, Arc<Shared>),
    Lent(Loan),
}

/// There was no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoAnswer {
    /// What happened, for a message.
    pub why: String,
    /// It took too long.
    pub timed_out: bool,
    /// The server's certificate was refused, or what it speaks is no TLS: trying
    /// again rarely helps.
    pub untrusted: bool,
    /// The connection had been idle for a while, and was closed before an answer
    /// began: it is no sign of trouble.
    pub stale: bool,
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl Http {
    /// Set up; nothing is connected yet. 78 if the certificates to trust
    /// cannot be loaded, or a proxy is named that cannot be used.
    pub fn new(setup: Setup) -> Result<Http> {
        let proxy = proxy::from_environment()?;
        let secure = proxy
            .as_ref()
            .is_some_and(|proxy| proxy.protocol() == ProxyProtocol::Https);
        let tls = (setup.tls || secure)
            .then(|| trust::tls_config(setup.ca_file))
            .transpose()?;
        let connect = setup.timeout.min(CONNECT);
        Ok(Http::with(proxy, tls, connect, setup.timeout, setup.flow))
    }

    /// Set up for places next door: no proxy is asked, and no TLS spoken. A
    /// connection must be made within `connect`, and may stand still for `timeout`.
    pub fn direct(connect: Duration, timeout: Duration, flow: SharedFlow) -> Http {
        Http::with(None, None, connect, timeout, flow)
    }

    fn with(
        proxy: Option<Proxy>,
        tls: Option<Arc<ClientConfig>>,
        connect: Duration,
        timeout: Duration,
        flow: SharedFlow,
    ) -> Http {
        let shared = Arc::new(Shared::default());
        let config = Agent::config_builder()
            .proxy(proxy)
            .http_status_as_error(false)
            .max_redirects(0)
            .accept_encoding("identity")
            .user_agent(concat!("s3pipe/", env!("CARGO_PKG_VERSION")))
            .output_buffer_size(OUTPUT_BUFFER)
            .input_buffer_size(INPUT_BUFFER)
            .max_idle_connections(2)
            .max_idle_age(IDLE)
            .build();
        let names = Names { flow: flow.clone() };
        let dialer = Dialer {
            shared: shared.clone(),
            flow,
            tls,
        };
        Http {
            agent: Agent::with_parts(config, dialer, names),
            shared,
            connect,
            timeout,
            garbled: 0,
        }
    }

    /// Send a request and return the head of its answer.
    ///
    /// The previous answer must have been dropped: its connection is taken
    /// again if it was read to its end.
    pub fn send(&mut self, out: &HttpRequest) -> std::result::Result<Answer, NoAnswer> {
        let waits = self.waits(out);
        self.shared.stale.store(false, Ordering::Relaxed);
        self.shared.early.store(false, Ordering::Relaxed);
        self.shared.set_stall(waits.stall);
        let block = match out.body {
            Payload::Block(block, length) => Some((block, length)),
            _ => None,
        };
        self.shared.bypass.begin(block, out.large);
        let response = match out.body {
            Payload::None => self.run(out, (), &waits),
            Payload::Bytes(bytes) => self.run(out, bytes, &waits),
            Payload::Block(_, length) => {
                let mut counted = Counted(length);
                self.run(out, SendBody::from_reader(&mut counted), &waits)
            }
        };
        let loan = self.shared.bypass.end();
        let response = response.map_err(|e| self.explain(&e, &waits))?;
        self.garbled = 0;
        let (head, body) = response.into_parts();
        Ok(Answer {
            status: head.status.as_u16(),
            whole: !self.shared.early.load(Ordering::Relaxed),
            headers: head.headers,
            body: match loan {
                Some(loan) => Incoming::Lent(loan),
                None => Incoming::Buffered(Box::new(body.into_reader()), self.shared.clone()),
            },
        })
    }

    fn waits(&self, out: &HttpRequest) -> Waits {
        let within = |own: Duration| match out.patience {
            Some(left) => own.min(left.max(LEAST)),
            None => own,
        };
        // A server may take a while to store what it got: a second for 4 MiB.
        let storing = Duration::from_secs((out.body.bytes().len() >> 22) as u64);
        let answer = self.timeout + storing;
        Waits {
            connect: within(self.connect),
            stall: within(self.timeout),
            answer: within(answer),
            // Bytes may move all that time.
            head: answer * 3,
        }
    }

    fn run(
        &self,
        out: &HttpRequest,
        body: impl AsSendBody,
        waits: &Waits,
    ) -> std::result::Result<Response<Body>, ureq::Error> {
        let mut request = Request::builder().method(out.method).uri(out.url);
        for (name, value) in out.headers {
            request = request.header(name, value);
        }
        if let Payload::Block(_, length) = out.body {
            request = request.header("content-length", length);
        }
        let request = self
            .agent
            .configure_request(request.body(body)?)
            .timeout_connect(Some(waits.connect))
            .timeout_per_write(Some(waits.stall))
            .timeout_per_read(Some(waits.answer))
            .timeout_recv_response(Some(waits.head))
            .build();
        self.agent.run(request)
    }

    /// Use no connection again that is open now, and resolve the name anew.
    pub fn drop_connections(&self) {
        self.shared.generation.fetch_add(1, Ordering::Relaxed);
    }
}

impl Http {
    fn explain(&mut self, e: &ureq::Error, waits: &Waits) -> NoAnswer {
        let seconds = |limit: Duration| limit.as_secs_f64().ceil();
        let why = match e {
            ureq::Error::HostNotFound => "host not found".to_string(),
            ureq::Error::Timeout(Timeout::Connect) => "no connection: timed out".to_string(),
            ureq::Error::Timeout(Timeout::PerWrite) => {
                let stall = seconds(waits.stall);
                format!("nothing more of the request was taken for {stall} s")
            }
            ureq::Error::Timeout(Timeout::RecvResponse) => {
                format!("no whole answer within {} s", seconds(waits.head))
            }
            ureq::Error::Timeout(_) => format!("no answer within {} s", seconds(waits.answer)),
            ureq::Error::Io(e) => io_reason(e),
            // Their own words may show the URL, of which some are secret.
            ureq::Error::Http(_) | ureq::Error::BadUri(_) => "the request cannot be made".into(),
            e => e.to_string(),
        };
        let fate = match e {
            ureq::Error::Io(e) => handshake(e),
            _ => Handshake::Broken,
        };
        self.garbled = match fate {
            Handshake::Garbled => self.garbled + 1,
            _ => 0,
        };
        let untrusted = matches!(fate, Handshake::Refused) || self.garbled >= GARBLED;
        let closed = matches!(e, ureq::Error::Io(e)
            if is_closed(e) || e.kind() == io::ErrorKind::UnexpectedEof);
        NoAnswer {
            why,
            timed_out: match e {
                ureq::Error::Timeout(_) => true,
                ureq::Error::Io(e) => is_time_out(e),
                _ => false,
            },
            untrusted,
            stale: closed && self.shared.stale.load(Ordering::Relaxed),
        }
    }
}

impl Answer {
    /// A header's value, if there is one and it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The length of the body, where it was announced.
    pub fn length(&self) -> Option<u64> {
        match &self.body {
            Incoming::Lent(loan) => Some(loan.length()),
            Incoming::Buffered(..) => self.header("content-length")?.trim().parse().ok(),
        }
    }

    /// Read the body, up to `limit` bytes and one more: a result longer than
    /// `limit` means that there was more.
    pub fn read_bounded(&mut self, limit: usize) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        self.take(limit as u64 + 1).read_to_end(&mut body)?;
        Ok(body)
    }
}

impl Read for Answer {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let result = match &mut self.body {
            Incoming::Buffered(body, shared) => {
                shared.claim();
                body.read(buf)
            }
            Incoming::Lent(loan) => loan.read(buf),
        };
        result.map_err(|e| {
            let kind = if is_time_out(&e) {
                io::ErrorKind::TimedOut
            } else {
                e.kind()
            };
            io::Error::new(kind, io_reason(&e))
        })
    }
}

#[cfg(test)]
mod tests;
