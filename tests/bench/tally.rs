//! What has passed through the sink: kept by its threads, asked for over its
//! pipe by the process that measures.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Instant;

/// The sink's side. Every figure counts from when it was last asked for.
pub struct Tally {
    received: AtomicU64,
    sent: AtomicU64,
    requests: AtomicU64,
    connections: AtomicU64,
    unchecked: AtomicU64,
    /// In microseconds after `origin`.
    first: AtomicU64,
    last: AtomicU64,
    origin: Instant,
}

/// The same as it was told.
#[derive(Clone, Copy, Default)]
pub struct Counts {
    /// Bytes of bodies that were thrown away.
    pub received: u64,
    /// Bytes of such bodies served again.
    pub sent: u64,
    pub requests: u64,
    pub connections: u64,
    /// Bodies that came without a sum to check them by.
    pub unchecked: u64,
    /// From the first request with such a body to the last one's answer, in
    /// microseconds.
    pub span: u64,
}

impl Tally {
    /// All zero.
    pub fn new() -> Tally {
        Tally {
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            unchecked: AtomicU64::new(0),
            first: AtomicU64::new(u64::MAX),
            last: AtomicU64::new(0),
            origin: Instant::now(),
        }
    }

    /// A client has connected.
    pub fn connection(&self) {
        self.connections.fetch_add(1, SeqCst);
    }

    /// A request begins, `data` if it is for an object that is not kept.
    pub fn request(&self, data: bool) {
        self.requests.fetch_add(1, SeqCst);
        if data {
            self.first.fetch_min(self.now(), SeqCst);
        }
    }

    /// A body of so many bytes was thrown away, with or without a sum.
    pub fn received(&self, bytes: u64, checked: bool) {
        self.received.fetch_add(bytes, SeqCst);
        self.unchecked.fetch_add(u64::from(!checked), SeqCst);
    }

    /// A body of so many bytes is about to go out: a client that has it all may
    /// be gone, and the counts asked for, before its thread runs again.
    pub fn sent(&self, bytes: u64) {
        self.sent.fetch_add(bytes, SeqCst);
    }

    /// Such a body was answered, or has gone out.
    pub fn done(&self) {
        self.last.fetch_max(self.now(), SeqCst);
    }

    fn now(&self) -> u64 {
        self.origin.elapsed().as_micros() as u64
    }

    /// The counts as a line for [`Counts::parse`]; they begin anew.
    pub fn line(&self) -> String {
        let span = self.last.swap(0, SeqCst);
        let span = span.saturating_sub(self.first.swap(u64::MAX, SeqCst));
        let counts = [
            self.received.swap(0, SeqCst),
            self.sent.swap(0, SeqCst),
            self.requests.swap(0, SeqCst),
            self.connections.swap(0, SeqCst),
            self.unchecked.swap(0, SeqCst),
            span,
        ];
        counts.map(|count| count.to_string()).join(" ")
    }
}

impl Counts {
    /// Of the line; `None` if it is no such line.
    pub fn parse(line: &str) -> Option<Counts> {
        let mut fields = line.split_whitespace().map(|field| field.parse().ok());
        let mut next = || fields.next().flatten();
        Some(Counts {
            received: next()?,
            sent: next()?,
            requests: next()?,
            connections: next()?,
            unchecked: next()?,
            span: next()?,
        })
    }
}
