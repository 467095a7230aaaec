//! How fast data may move, and when requests may go: `--limit-rate`, and the
//! pause that a service asked all of us for. Pure arithmetic: the time comes
//! from the caller.
//!
//! A rate is kept by small pieces with waits between them, never by a burst
//! that is made up for afterwards: at most [`BURST`] of a second's worth goes
//! out at once.

use std::time::{Duration, Instant};

/// Pieces a second, where the rate allows whole ones.
const BURST: u64 = 20;

/// The least that is moved at once, in bytes, so that a low rate does not end
/// in packets of a few bytes.
const LEAST: u64 = 1 << 10;

/// The most, so that a high one does not stand still for long.
const MOST: u64 = 256 << 10;

/// What has been granted so far.
#[derive(Debug)]
pub struct Limit {
    /// Bytes a second; None is no limit.
    rate: Option<u64>,
    /// Bytes that may be moved at `at`; what was moved beyond the grant (a
    /// system call moves what it likes) is owed.
    credit: i64,
    at: Option<Instant>,
    hold: Option<Instant>,
}

/// What may be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    /// Move so many bytes, at least one.
    Move(usize),
    /// Wait so long, then ask again.
    Wait(Duration),
}

impl Limit {
    /// A limit of so many bytes a second.
    pub fn new(rate: Option<u64>) -> Limit {
        Limit {
            rate,
            credit: 0,
            at: None,
            hold: None,
        }
    }

    /// Change the rate from now on.
    pub fn set_rate(&mut self, rate: Option<u64>, now: Instant) {
        self.gather(now);
        self.rate = rate;
        self.credit = self.credit.min(self.piece() as i64);
    }

    /// How much is moved at once.
    fn piece(&self) -> u64 {
        self.rate
            .map_or(u64::MAX >> 1, |rate| (rate / BURST).clamp(LEAST, MOST))
    }

    /// Credit for the time that has passed, up to one piece's.
    fn gather(&mut self, now: Instant) {
        let Some(rate) = self.rate else {
            return;
        };
        let piece = self.piece() as i64;
        let Some(at) = self.at else {
            (self.at, self.credit) = (Some(now), self.credit + piece);
            return;
        };
        let passed = now.saturating_duration_since(at);
        let earned = passed.as_nanos() * u128::from(rate) / 1_000_000_000;
        if earned > 0 {
            let earned = i64::try_from(earned).unwrap_or(i64::MAX);
            self.credit = self.credit.saturating_add(earned).min(piece);
            self.at = Some(now);
        }
    }

    /// Whether `want` bytes may be moved, or a part of them. They count once
    /// they are [`moved`](Limit::moved).
    pub fn ask(&mut self, want: usize, now: Instant) -> Grant {
        let Some(rate) = self.rate else {
            return Grant::Move(want);
        };
        self.gather(now);
        let enough = (want as u64).min(self.piece()) as i64;
        if self.credit >= enough {
            return Grant::Move(enough as usize);
        }
        let missing = (enough - self.credit) as u128;
        let nanos = (missing * 1_000_000_000).div_ceil(u128::from(rate.max(1)));
        Grant::Wait(Duration::from_nanos(
            u64::try_from(nanos).unwrap_or(u64::MAX),
        ))
    }

    /// So many bytes have been moved.
    pub fn moved(&mut self, bytes: usize) {
        if self.rate.is_some() {
            self.credit = self.credit.saturating_sub(bytes as i64);
        }
    }

    /// No request before `end`.
    pub fn hold_until(&mut self, end: Instant) {
        self.hold = self.hold.max(Some(end));
    }

    /// How long the next request has to wait.
    pub fn held(&mut self, now: Instant) -> Option<Duration> {
        self.hold = self.hold.filter(|end| *end > now);
        self.hold.map(|end| end - now)
    }
}

/// The part of a rate that each of so many workers gets: together they stay
/// below it.
pub fn share(rate: u64, workers: usize) -> u64 {
    (rate / workers.max(1) as u64).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Move `total` bytes as fast as it is allowed: how long it takes, and the
    /// most that went at one instant.
    fn run(limit: &mut Limit, total: usize, now: &mut Instant) -> (Duration, usize) {
        let (start, mut left, mut burst, mut most) = (*now, total, 0, 0);
        while left > 0 {
            match limit.ask(left, *now) {
                Grant::Move(n) => {
                    assert!(n > 0 && n <= left);
                    limit.moved(n);
                    left -= n;
                    burst += n;
                    most = most.max(burst);
                }
                Grant::Wait(time) => {
                    *now += time;
                    burst = 0;
                }
            }
        }
        (*now - start, most)
    }

    #[test]
    fn a_rate_is_kept_without_bursts() {
        for rate in [1000, 100_000, 2_500_000, 1 << 30] {
            let mut limit = Limit::new(Some(rate));
            let mut now = Instant::now();
            let total = rate as usize * 10;
            let (took, most) = run(&mut limit, total, &mut now);
            let seconds = took.as_secs_f64();
            let piece = (rate / BURST).clamp(LEAST, MOST) as usize;
            let least = (total - piece) as f64 / rate as f64 - 0.001;
            assert!((least..10.01).contains(&seconds), "{rate}: {seconds}");
            assert!(most <= piece, "{rate}: {most}");
            // Time that nobody used is not saved up.
            now += Duration::from_secs(3600);
            let (took, most) = run(&mut limit, total, &mut now);
            assert!(took.as_secs_f64() > 8.9 && most <= piece, "{rate}");
        }
    }

    #[test]
    fn what_was_moved_too_much_is_owed() {
        let mut limit = Limit::new(Some(1000));
        let now = Instant::now();
        assert_eq!(limit.ask(10, now), Grant::Move(10));
        limit.moved(4000);
        let Grant::Wait(time) = limit.ask(1000, now) else {
            panic!("it may go on at once");
        };
        assert!((3.9..4.1).contains(&time.as_secs_f64()), "{time:?}");
        limit.set_rate(None, now);
        assert_eq!(limit.ask(usize::MAX, now), Grant::Move(usize::MAX));
    }

    #[test]
    fn a_new_rate_holds_at_once() {
        let mut limit = Limit::new(Some(1 << 20));
        let mut now = Instant::now();
        run(&mut limit, 1 << 20, &mut now);
        limit.set_rate(Some(1 << 18), now);
        let (took, _) = run(&mut limit, 1 << 20, &mut now);
        assert!(took.as_secs_f64() > 3.8, "{took:?}");
    }

    #[test]
    fn pauses_end() {
        let mut limit = Limit::new(None);
        let now = Instant::now();
        assert_eq!(limit.held(now), None);
        limit.hold_until(now + Duration::from_secs(5));
        limit.hold_until(now + Duration::from_secs(3));
        assert_eq!(limit.held(now), Some(Duration::from_secs(5)));
        assert_eq!(limit.held(now + Duration::from_secs(5)), None);
        assert_eq!(limit.held(now), None);
    }

    #[test]
    fn shares_stay_below_the_whole() {
        for workers in 1..=64 {
            assert!(share(1_000_003, workers) * workers as u64 <= 1_000_003);
        }
        assert_eq!(share(3, 64), 1);
    }
}
