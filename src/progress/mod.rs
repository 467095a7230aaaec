//! What the user sees while s3pipe works, and what holds the work up: messages,
//! the meter, signals, `--limit-rate`.
//!
//! Everything that goes to stderr passes through here, each line in one write,
//! so that the meter never tears a message. A worker shows nothing itself: all
//! goes to its coordinator, which does. The meter shows only where stderr is a
//! terminal and s3pipe in its foreground. Writing to stderr never fails the
//! run, and no secret comes near this module.

pub mod limit;
pub mod meter;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Error, Exit, Result, one_line};
use crate::net::socket::Flow;
use crate::os;
use crate::progress::limit::{Grant, Limit};
use crate::progress::meter::{Recent, Status};

/// Milliseconds between two drawings of the meter.
const REDRAW: u64 = 300;

/// Milliseconds between two lines where the meter goes into a file.
const RELINE: u64 = 10_000;

/// Milliseconds between two reports of a worker on how far it is.
const REPORT: u64 = 250;

/// Milliseconds of silence after which a worker says that it is alive.
const ALIVE: u64 = 1000;

/// Seconds between two reminders: each request has one a minute.
const REMINDER: u64 = 55;

/// How far a transfer has got. Shared by reference; counting is cheap.
pub struct Progress {
    quiet: bool,
    meter: bool,
    forced: bool,
    verbose: bool,
    start: Instant,
    size: AtomicU64,
    bytes: AtomicU64,
    /// Bytes on their way, of blocks that are not done.
    moving: AtomicU64,
    retries: AtomicU64,
    recent: Mutex<Recent>,
    /// Milliseconds from the start, when it was last drawn or reported.
    drawn_at: AtomicU64,
    /// When the last reminder was shown, in seconds from 1 on.
    reminded_at: AtomicU64,
    drawn: AtomicBool,
    limit: Arc<Mutex<Limit>>,
    relay: Option<Arc<dyn Relay>>,
    /// Tell a worker of ours to send no request for so long.
    others: Mutex<Vec<Tell>>,
}

type Tell = Box<dyn Fn(Duration) + Send>;

/// A worker's way to its coordinator.
pub trait Relay: Send + Sync {
    /// This is for stderr.
    fn say(&self, text: &str);

    /// So is this, unless others say the like.
    fn remind(&self, text: &str);

    /// A request is tried again.
    fn retried(&self);

    /// The service asked to be spared for so long.
    fn slowed(&self, time: Duration);

    /// A name look-up begins, and until it is over I cannot say that I am alive;
    /// or it is over.
    fn look_up(&self, begins: bool);

    /// So many bytes of the present block are on their way; I am alive.
    fn moved(&self, bytes: u64);

    /// Wait, no longer than until an order or a signal comes, and see to it.
    fn attend(&self, time: Duration);
}

/// What the user asked to see.
#[derive(Clone, Copy, Default)]
pub struct Wanted {
    /// `-q`: no meter, no warnings.
    pub quiet: bool,
    /// `-v`: a line per request.
    pub verbose: bool,
    /// `--progress`: the meter even where stderr is no terminal.
    pub forced: bool,
    /// `--limit-rate`, in bytes a second.
    pub rate: Option<u64>,
}

impl Progress {
    /// Start counting. A meter is shown only for a `transfer`.
    pub fn new(wanted: Wanted, transfer: bool) -> Progress {
        let shown = wanted.forced || os::stderr_is_terminal();
        let meter = transfer && !wanted.quiet && shown;
        if meter {
            os::start_ticking();
        }
        Progress {
            quiet: wanted.quiet,
            meter,
            forced: wanted.forced && !os::stderr_is_terminal(),
            verbose: wanted.verbose,
            ..Progress::bare(Arc::new(Mutex::new(Limit::new(wanted.rate))))
        }
    }

    /// A worker's: shows nothing, and tells all to its coordinator. Rates and
    /// pauses are told to `limit`.
    pub fn of_worker(wanted: Wanted, relay: Arc<dyn Relay>, limit: Arc<Mutex<Limit>>) -> Progress {
        Progress {
            quiet: wanted.quiet,
            verbose: wanted.verbose,
            relay: Some(relay),
            ..Progress::bare(limit)
        }
    }

    fn bare(limit: Arc<Mutex<Limit>>) -> Progress {
        Progress {
            quiet: false,
            meter: false,
            forced: false,
            verbose: false,
            start: Instant::now(),
            size: AtomicU64::new(u64::MAX),
            bytes: AtomicU64::new(0),
            moving: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            recent: Mutex::default(),
            drawn_at: AtomicU64::new(0),
            reminded_at: AtomicU64::new(0),
            drawn: AtomicBool::new(false),
            limit,
            relay: None,
            others: Mutex::default(),
        }
    }

    /// Whether anybody looks at a meter.
    pub fn is_shown(&self) -> bool {
        self.meter
    }

    /// The stream's length in bytes has become known.
    pub fn set_size(&self, size: u64) {
        self.size.store(size, Ordering::Relaxed);
    }

    /// A block of so many bytes is done, and no longer on its way.
    pub fn block_done(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// So many bytes are on their way, of blocks that are not done.
    pub fn set_moving(&self, bytes: u64) {
        self.moving.store(bytes, Ordering::Relaxed);
    }

    /// A request is tried again.
    pub fn retried(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
        if let Some(relay) = &self.relay {
            relay.retried();
        }
    }

    /// The service asked to be spared; so all workers shall wait.
    pub fn slowed(&self, time: Duration) {
        if let Some(relay) = &self.relay {
            return relay.slowed(time);
        }
        self.hold(time);
        if let Ok(others) = self.others.lock() {
            others.iter().for_each(|tell| tell(time));
        }
    }

    /// Have this called when the service asks to be spared, even while we wait
    /// for it ourselves.
    pub fn when_slowed(&self, tell: impl Fn(Duration) + Send + 'static) {
        if let Ok(mut others) = self.others.lock() {
            others.push(Box::new(tell));
        }
    }

    /// How long no request may be sent.
    pub fn held(&self) -> Option<Duration> {
        self.limit().held(Instant::now())
    }

    fn limit(&self) -> MutexGuard<'_, Limit> {
        self.limit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// No request for so long.
    pub fn hold(&self, time: Duration) {
        self.limit().hold_until(Instant::now() + time);
    }

    /// Before a request: wait as long as all must.
    pub fn wait_turn(&self) {
        if let Some(relay) = &self.relay {
            relay.attend(Duration::ZERO);
        }
        loop {
            match self.held() {
                Some(time) if !self.pulse() => self.wait(time),
                _ => return,
            }
        }
    }

    /// Bytes of the blocks that are done.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Serve what signals asked for. True if one asked to stop.
    pub fn pulse(&self) -> bool {
        self.report(ALIVE);
        if os::take_info() {
            self.say(&self.status().line());
        }
        if self.meter {
            self.draw();
        }
        os::stop_signal().is_some()
    }

    /// [`pulse`](Self::pulse), as an error that names the signal.
    pub fn check(&self) -> Result<()> {
        self.pulse();
        match os::stop_signal() {
            None => Ok(()),
            Some(n) => {
                let why = format!("stopped by {}", os::signal_name(n));
                Err(Error::new(Exit::Signal(n), "s3pipe", why))
            }
        }
    }

    /// Sleep, serving signals meanwhile; one that asks to stop ends it.
    pub fn wait(&self, time: Duration) {
        let end = Instant::now() + time;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if self.pulse() || left.is_zero() {
                return;
            }
            let nap = left.min(Duration::from_millis(250));
            match &self.relay {
                Some(relay) => relay.attend(nap),
                None => os::pause(nap),
            }
        }
    }

    /// Tell the coordinator how far we are, unless it was told just now.
    fn report(&self, period: u64) {
        let Some(relay) = &self.relay else {
            return;
        };
        let now = self.start.elapsed().as_millis() as u64;
        if now >= self.drawn_at.load(Ordering::Relaxed) + period {
            self.drawn_at.store(now, Ordering::Relaxed);
            relay.moved(self.moving.load(Ordering::Relaxed));
            // A pause begins when we hear of it, so hear of it in time.
            relay.attend(Duration::ZERO);
        }
    }

    /// A line on stderr, `s3pipe: ` before it.
    pub fn say(&self, text: &str) {
        if let Some(relay) = &self.relay {
            return relay.say(text);
        }
        let clear = if self.drawn.swap(false, Ordering::Relaxed) {
            "\r\x1b[K"
        } else {
            ""
        };
        os::to_stderr(&format!("{clear}s3pipe: {}\n", one_line(text)));
    }

    /// A line that `-q` silences.
    pub fn warn(&self, text: &str) {
        if !self.quiet {
            self.say(text);
        }
    }

    /// That a request is still being tried: one such line a minute for all
    /// requests that are. `-q` silences it.
    pub fn remind(&self, text: &str) {
        if let Some(relay) = &self.relay {
            return relay.remind(text);
        }
        // 0 is never.
        let now = self.start.elapsed().as_secs() + 1;
        let last = self.reminded_at.load(Ordering::Relaxed);
        if last == 0 || now >= last + REMINDER {
            self.reminded_at.store(now, Ordering::Relaxed);
            self.warn(text);
        }
    }

    /// A line that only `-v` shows.
    pub fn debug(&self, text: impl FnOnce() -> String) {
        if self.verbose {
            self.say(&text());
        }
    }

    /// Replace the meter by one line that sums up a finished transfer.
    pub fn finish(&self) {
        if self.meter && (self.forced || os::owns_terminal()) {
            let status = Status {
                now: 0,
                ..self.status()
            };
            self.say(&status.line());
        }
    }

    /// Take the meter off the terminal.
    pub fn clear(&self) {
        if self.drawn.swap(false, Ordering::Relaxed) {
            os::to_stderr("\r\x1b[K");
        }
    }

    fn draw(&self) {
        let now = self.start.elapsed().as_millis() as u64;
        let last = self.drawn_at.load(Ordering::Relaxed);
        let period = if self.forced { RELINE } else { REDRAW };
        if now < last + period || !(self.forced || os::owns_terminal()) {
            return;
        }
        self.drawn_at.store(now, Ordering::Relaxed);
        let status = self.status();
        if self.forced {
            return self.say(&status.line());
        }
        self.drawn.store(true, Ordering::Relaxed);
        // The last column is left free: some terminals wrap there.
        let width = os::terminal_width().saturating_sub(1);
        os::to_stderr(&format!("\r{}\x1b[K", status.meter(width)));
    }

    fn status(&self) -> Status {
        let elapsed = self.start.elapsed();
        let bytes = self.bytes() + self.moving.load(Ordering::Relaxed);
        let size = self.size.load(Ordering::Relaxed);
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        Status {
            bytes,
            size: (size != u64::MAX).then_some(size),
            elapsed,
            now: recent.rate(elapsed, bytes),
            retries: self.retries.load(Ordering::Relaxed),
        }
    }
}

impl Flow for Progress {
    fn pulse(&self) -> bool {
        Progress::pulse(self)
    }

    fn grant(&self, want: usize) -> Option<usize> {
        loop {
            let grant = self.limit().ask(want, Instant::now());
            match grant {
                Grant::Move(n) => return Some(n),
                Grant::Wait(_) if self.pulse() => return None,
                Grant::Wait(time) => self.wait(time),
            }
        }
    }

    fn look_up(&self, begins: bool) {
        if let Some(relay) = &self.relay {
            relay.look_up(begins);
        }
    }

    fn moved(&self, bytes: usize) {
        self.limit().moved(bytes);
        self.moving.fetch_add(bytes as u64, Ordering::Relaxed);
        self.report(REPORT);
    }
}
