//! The network that the sink plays: a wait before each answer, and so many
//! bytes a second on each connection.
//!
//! Nothing is limited until it is told. A wait begins when the request has
//! arrived whole. The rate holds for bodies, each by itself: an idle connection
//! saves up nothing. What the kernel takes from a client ahead of the sink
//! changes nothing but when the client believes it has sent its body: the
//! answer comes when the sink has had it all, at that rate.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How much goes out at a time where the rate is limited.
pub const PIECE: usize = 64 << 10;

/// What all connections of a sink are subject to.
#[derive(Default)]
pub struct Network {
    /// Milliseconds before an answer.
    wait: AtomicU64,
    /// Bytes a second; 0 for no limit.
    rate: AtomicU64,
}

impl Network {
    /// Sets the wait in milliseconds and the rate in bytes a second (0 for no
    /// limit).
    pub fn set(&self, wait: u64, rate: u64) {
        self.wait.store(wait, Ordering::SeqCst);
        self.rate.store(rate, Ordering::SeqCst);
    }

    /// Lets the time before an answer pass.
    pub fn wait(&self) {
        let wait = self.wait.load(Ordering::SeqCst);
        if wait > 0 {
            std::thread::sleep(Duration::from_millis(wait));
        }
    }

    /// The pace of a body that begins now.
    pub fn pace(&self) -> Pace {
        Pace {
            start: Instant::now(),
            rate: self.rate.load(Ordering::SeqCst),
            moved: 0,
        }
    }
}

/// Of one body.
pub struct Pace {
    start: Instant,
    rate: u64,
    moved: u64,
}

impl Pace {
    /// Whether there is one to keep.
    pub fn is_limited(&self) -> bool {
        self.rate > 0
    }

    /// After so many more bytes: waits until that many may have passed.
    pub fn moved(&mut self, bytes: usize) {
        if self.rate == 0 {
            return;
        }
        self.moved += bytes as u64;
        let due = Duration::from_secs_f64(self.moved as f64 / self.rate as f64);
        let wait = due.saturating_sub(self.start.elapsed());
        if !wait.is_zero() {
            std::thread::sleep(wait);
        }
    }
}
