//! The connection beneath ureq.
//!
//! It does two things that ureq's does not. An answer that a server sends
//! while our body is still going out, and then closes, is read instead of
//! lost. And blocks pass by ureq's buffers: ureq sees a request or an answer
//! with an empty body, while the real one goes from its block to the socket or
//! the other way, uncopied but for what TLS does. It knows nothing of S3, and of HTTP only where a response's head ends and
//! what its Content-Length is.

use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ureq::Error;
use ureq::config::Config;
use ureq::unversioned::transport::{Buffers, LazyBuffers, NextTimeout, Transport};

use crate::net::socket::is_closed;
use crate::net::wire::Wire;
use crate::pipe::copy::Block;

/// How much is read at once while a head is awaited that will lend its body.
const HEAD_READ: usize = 8 << 10;

/// The last piece of a body, before which it is looked whether the server has
/// answered already: short, so that what goes before it has mostly been taken by
/// then.
pub(crate) const LAST: usize = 4 << 10;

/// The most that is received while nothing of it is head or body: two of ureq's
/// buffers, so that what lies in them does not count.
const UNCLAIMED: usize = 256 << 10;

/// After how long without use a server may be tired of a connection.
const STALE: Duration = Duration::from_secs(1);

/// What the connections and their user share.
#[derive(Default)]
pub struct Shared {
    /// Lend the body of the next answer that allows it.
    pub lend: AtomicBool,
    /// The body lent out by the last answer.
    pub loan: Mutex<Option<Loan>>,
    /// The body of the next request, and its length: ureq is given an empty
    /// one in its place.
    pub payload: Mutex<Option<(Arc<Block>, usize)>>,
    /// The request goes over a connection that has been idle for a while, and
    /// nothing of an answer has come.
    pub stale: AtomicBool,
    /// The answer began before the whole request was sent, or put an end to
    /// the sending.
    pub early: AtomicBool,
    /// Connections made before this counter moved are not used again.
    pub generation: AtomicU64,
    /// How long the body of an answer may stand still, in milliseconds.
    stall: AtomicU64,
    /// Bytes received since something was last given to who reads the answer.
    unclaimed: AtomicUsize,
}

impl Shared {
    /// From the next request on, the body of an answer that is lent may stand
    /// still for so long.
    pub fn set_stall(&self, limit: Duration) {
        let ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        self.stall.store(ms, Ordering::Relaxed);
    }

    /// Whoever reads an answer is given some of it, or asks for its head.
    pub fn claim(&self) {
        self.unclaimed.store(0, Ordering::Relaxed);
    }

    /// So many bytes came. What lies between heads and bodies (interim answers,
    /// the sizes of chunks, trailers) must not go on without end.
    fn received(&self, bytes: usize) -> io::Result<()> {
        let before = self.unclaimed.fetch_add(bytes, Ordering::Relaxed);
        match before + bytes {
            0..=UNCLAIMED => Ok(()),
            _ => Err(io::Error::other(
                "what comes is no head or body, and has no end",
            )),
        }
    }

    fn stall(&self) -> Duration {
        Duration::from_millis(self.stall.load(Ordering::Relaxed))
    }
}

/// No body is lent, or it was read to its end.
const SETTLED: u8 = 0;
/// A body is lent: the next bytes on the socket belong to the borrower.
const LENT: u8 = 1;
/// A loan was given up half way: the connection cannot be used again.
const SPOILT: u8 = 2;

/// A connection.
pub struct Connection {
    wire: Arc<Mutex<Wire>>,
    tls: bool,
    buffers: LazyBuffers,
    shared: Arc<Shared>,
    generation: u64,
    lent: Arc<AtomicU8>,
    write_failed: bool,
    /// Something came before the last piece of the body was sent; what it is
    /// shows when it is read.
    interrupted: bool,
    /// Nothing of a final answer has come since the request was sent.
    unanswered: bool,
    /// A request was begun, and nothing of its answer has come.
    sending: bool,
    /// When something was last received.
    heard: Option<Instant>,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connection")
    }
}

/// For one call; nobody else wants it meanwhile.
fn hold(wire: &Mutex<Wire>) -> MutexGuard<'_, Wire> {
    wire.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Connection {
    /// Over this wire, to a server; with buffers as they are configured.
    pub fn new(wire: Wire, tls: bool, config: &Config, shared: &Arc<Shared>) -> Connection {
        Connection {
            wire: Arc::new(Mutex::new(wire)),
            tls,
            buffers: LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size()),
            generation: shared.generation.load(Ordering::Relaxed),
            shared: shared.clone(),
            lent: Arc::default(),
            write_failed: false,
            interrupted: false,
            unanswered: false,
            sending: false,
            heard: None,
        }
    }

    /// A request begins. Whether the connection was idle shows then, and not in
    /// its midst.
    fn begin(&mut self) {
        let idle = self.heard.map(|heard| heard.elapsed());
        let stale = idle.is_some_and(|idle| idle >= STALE);
        self.shared.stale.store(stale, Ordering::Relaxed);
        self.shared.claim();
        hold(&self.wire).begin();
    }

    /// After the head of an answer whose body may be lent: keep what was read
    /// of the body for the borrower, and show ureq an answer without a body.
    /// Returns how much of `input` is the head, or None if ureq is to have all.
    fn lend_body(&self, input: &mut [u8]) -> Option<usize> {
        let head_len = find(input, b"\r\n\r\n")? + 4;
        let (head, body) = input.split_at_mut(head_len);
        let length = blank_content_length(head)?;
        // More than there should be: ureq will not use the connection again.
        if body.len() as u64 > length {
            return None;
        }
        self.lent.store(LENT, Ordering::Relaxed);
        let loan = Loan {
            wire: self.wire.clone(),
            ready: body.to_vec(),
            taken: 0,
            left: length,
            stall: self.shared.stall(),
            lent: self.lent.clone(),
        };
        *self.shared.loan.lock().ok()? = Some(loan);
        Some(head_len)
    }
}

impl Transport for Connection {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        if self.write_failed {
            return Ok(());
        }
        if !std::mem::replace(&mut self.sending, true) {
            self.begin();
        }
        let timeout = timeout.for_write();
        let limit = timeout.not_zero().map(|d| *d);
        let mut wire = hold(&self.wire);
        let output = &self.buffers.output()[..amount];
        let payload = self.shared.payload.lock().ok().and_then(|mut p| p.take());
        let pushed = match payload {
            None => push_body(&mut wire, output, limit),
            Some((block, length)) => with_length(output, length)
                .and_then(|head| wire.push(&head, limit))
                .and_then(|()| push_body(&mut wire, &block.bytes()[..length], limit)),
        };
        let e = match pushed {
            Ok(interrupted) => {
                self.interrupted |= interrupted;
                self.unanswered = true;
                return Ok(());
            }
            Err(e) => e,
        };
        // The server has stopped listening. It may have said why.
        let timed_out = e.kind() == io::ErrorKind::TimedOut;
        self.write_failed = is_closed(&e) || (timed_out && wire.has_input());
        if self.write_failed {
            self.shared.early.store(true, Ordering::Relaxed);
            return Ok(());
        }
        Err(explained(e, timeout))
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        // The whole answer's, and this read's.
        let end = timeout
            .not_zero()
            .and_then(|d| Instant::now().checked_add(*d));
        let timeout = timeout.for_read();
        let limit = timeout.not_zero().map(|d| *d);
        let lend = self.shared.lend.load(Ordering::Relaxed);
        let had = self.buffers.input().len();
        let space = self.buffers.input_append_buf();
        let most = if lend {
            space.len().min(HEAD_READ)
        } else {
            space.len()
        };
        let space = &mut space[..most];
        let pulled = hold(&self.wire).pull(space, limit, end);
        let mut n = pulled.map_err(|e| explained(e, timeout))?;
        self.shared.received(n)?;
        let interrupted = std::mem::take(&mut self.interrupted);
        if n > 0 && self.unanswered && !is_interim(&space[..n]) {
            self.unanswered = false;
            // Whoever has all of it has told us so by now.
            if interrupted || hold(&self.wire).has_unsent() {
                self.shared.early.store(true, Ordering::Relaxed);
            }
        }
        // A head that comes in several reads is not worth the trouble.
        if lend && had == 0 {
            let mut input = space[..n].to_vec();
            if let Some(head) = self.lend_body(&mut input) {
                self.buffers.input_append_buf()[..head].copy_from_slice(&input[..head]);
                n = head;
            }
            self.shared.lend.store(false, Ordering::Relaxed);
        }
        self.buffers.input_appended(n);
        if n > 0 {
            self.heard = Some(Instant::now());
            self.sending = false;
            self.shared.stale.store(false, Ordering::Relaxed);
        }
        Ok(n > 0)
    }

    fn is_open(&mut self) -> bool {
        let current = self.shared.generation.load(Ordering::Relaxed) == self.generation;
        match self.lent.load(Ordering::Relaxed) {
            _ if !current || self.write_failed => false,
            LENT => true,
            SETTLED => hold(&self.wire).is_idle(),
            _ => false,
        }
    }

    fn is_tls(&self) -> bool {
        self.tls
    }
}

/// The body of an answer, read from the connection itself.
pub struct Loan {
    wire: Arc<Mutex<Wire>>,
    ready: Vec<u8>,
    taken: usize,
    left: u64,
    stall: Duration,
    lent: Arc<AtomicU8>,
}

impl Loan {
    /// The body's length, before anything was read of it.
    pub fn length(&self) -> u64 {
        self.left
    }
}

impl Read for Loan {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let want = buf
            .len()
            .min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let n = if self.taken < self.ready.len() {
            let n = want.min(self.ready.len() - self.taken);
            buf[..n].copy_from_slice(&self.ready[self.taken..self.taken + n]);
            self.taken += n;
            n
        } else if want > 0 {
            hold(&self.wire).pull(&mut buf[..want], Some(self.stall), None)?
        } else {
            0
        };
        self.left -= n as u64;
        Ok(n)
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        let state = if self.left == 0 { SETTLED } else { SPOILT };
        self.lent.store(state, Ordering::Relaxed);
    }
}

/// A time-out that gives no reason is one of ureq's.
fn explained(e: io::Error, timeout: NextTimeout) -> Error {
    match e.kind() {
        io::ErrorKind::TimedOut if e.get_ref().is_none() => Error::Timeout(timeout.reason),
        _ => e.into(),
    }
}

/// Write a body, or as much of it as ureq gives us at once. True if something
/// could be read before its last piece was written.
fn push_body(wire: &mut Wire, body: &[u8], limit: Option<Duration>) -> io::Result<bool> {
    let (most, last) = body.split_at(body.len().saturating_sub(LAST));
    wire.push(most, limit)?;
    let interrupted = !most.is_empty() && wire.has_input();
    wire.push(last, limit)?;
    Ok(interrupted)
}

/// Whether an answer that begins so says only that there is more to come.
fn is_interim(input: &[u8]) -> bool {
    input.starts_with(b"HTTP/1.1 1") || input.starts_with(b"HTTP/1.0 1")
}

/// The head of a request whose empty body is replaced by one of this length.
pub(crate) fn with_length(head: &[u8], length: usize) -> io::Result<Vec<u8>> {
    const EMPTY: &[u8] = b"\r\ncontent-length: 0\r\n";
    let at = find(&head.to_ascii_lowercase(), EMPTY)
        .ok_or_else(|| io::Error::other("a request without a Content-Length"))?;
    let mut out = head[..at].to_vec();
    out.extend_from_slice(format!("\r\ncontent-length: {length}\r\n").as_bytes());
    out.extend_from_slice(&head[at + EMPTY.len()..]);
    Ok(out)
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|w| w == what)
}

/// In the head of a 200 or 206 with a body of known length: overwrite the
/// Content-Length with zeros, so that no body is expected, and return it.
pub(crate) fn blank_content_length(head: &mut [u8]) -> Option<u64> {
    let text = std::str::from_utf8(head).ok()?;
    let status = text.split(' ').nth(1)?;
    if !text.starts_with("HTTP/1.1 ") || !matches!(status, "200" | "206") {
        return None;
    }
    let mut found = None;
    let mut at = 0;
    for line in text.split("\r\n") {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        if name.eq_ignore_ascii_case("transfer-encoding") {
            return None;
        }
        if name.eq_ignore_ascii_case("content-length") {
            let digits = value.trim();
            let start = at + line.len() - value.trim_start().len();
            if found.is_some() || !digits.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            found = Some((start..start + digits.len(), digits.parse::<u64>().ok()?));
        }
        at += line.len() + 2;
    }
    let (place, length) = found?;
    head[place].fill(b'0');
    Some(length)
}

#[cfg(test)]
#[path = "connection_tests.rs"]
mod tests;
