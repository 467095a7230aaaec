//! The connection beneath ureq.
//!
//! It does two things that ureq's does not. An answer that a server sends
//! while our body is still going out, and then closes, is read instead of
//! lost; and it is told from one that came when the whole body was there. And
//! blocks pass by ureq's buffers, see [`Bypass`]. It knows nothing of S3, and of
//! HTTP only what an interim answer looks like.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ureq::Error;
use ureq::config::Config;
use ureq::unversioned::transport::{Buffers, LazyBuffers, NextTimeout, Transport};

use crate::net::bypass::{Bypass, Loans, Piece};
use crate::net::socket::is_closed;
use crate::net::wire::Wire;

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
    /// Which bodies go past ureq.
    pub bypass: Bypass,
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

/// A connection.
pub struct Connection {
    wire: Arc<Mutex<Wire>>,
    tls: bool,
    buffers: LazyBuffers,
    shared: Arc<Shared>,
    generation: u64,
    loans: Loans,
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
            loans: Loans::default(),
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
        let pushed = match self.shared.bypass.next(amount) {
            None => push_body(&mut wire, &self.buffers.output()[..amount], true, limit),
            Some(Piece { block, range, last }) => {
                push_body(&mut wire, &block.bytes()[range], last, limit)
            }
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
        let lend = self.shared.bypass.lends();
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
            let (bypass, stall) = (&self.shared.bypass, self.shared.stall());
            if let Some(head) = bypass.lend(&mut input, &self.wire, &self.loans, stall) {
                self.buffers.input_append_buf()[..head].copy_from_slice(&input[..head]);
                n = head;
            }
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
        if !current || self.write_failed || self.loans.is_spoilt() {
            false
        } else {
            self.loans.is_out() || hold(&self.wire).is_idle()
        }
    }

    fn is_tls(&self) -> bool {
        self.tls
    }
}

/// A time-out that gives no reason is one of ureq's.
fn explained(e: io::Error, timeout: NextTimeout) -> Error {
    match e.kind() {
        io::ErrorKind::TimedOut if e.get_ref().is_none() => Error::Timeout(timeout.reason),
        _ => e.into(),
    }
}

/// Write a body, or a piece of it. True if, where this is its end, something could
/// be read before the very last of it was written.
fn push_body(
    wire: &mut Wire,
    bytes: &[u8],
    end: bool,
    limit: Option<Duration>,
) -> io::Result<bool> {
    let tail = if end { LAST } else { 0 };
    let (most, last) = bytes.split_at(bytes.len().saturating_sub(tail));
    wire.push(most, limit)?;
    let interrupted = end && !most.is_empty() && wire.has_input();
    wire.push(last, limit)?;
    Ok(interrupted)
}

/// Whether an answer that begins so says only that there is more to come.
fn is_interim(input: &[u8]) -> bool {
    input.starts_with(b"HTTP/1.1 1") || input.starts_with(b"HTTP/1.0 1")
}
