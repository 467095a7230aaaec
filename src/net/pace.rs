//! How slowly data may move before a connection is given up: the counterpart
//! of [`limit`](crate::progress::limit). Pure arithmetic: times come from the caller.
//!
//! A connection that never stands still for long, but gives a byte now and
//! then, would otherwise be waited for without end. Only time spent waiting for
//! the other end counts, and it is the caller's to count no other.

use std::time::Duration;

/// So much must move, in bytes,
const LEAST: u64 = 16 << 10;

/// in so much time of waiting.
const TIME: Duration = Duration::from_secs(300);

/// What has moved, and how long it was waited for, since enough last had.
#[derive(Debug, Default)]
pub struct Pace {
    moved: u64,
    waited: Duration,
}

impl Pace {
    /// Count a call that moved so many bytes after a wait, which could not last
    /// longer than `limit` (a process that was stopped has not waited). False
    /// if that is too slow. The time is never less than twice that limit, since
    /// no single wait is to be blamed.
    pub fn bears(&mut self, moved: usize, waited: Duration, limit: Option<Duration>) -> bool {
        let limit = limit.unwrap_or(Duration::MAX);
        self.moved += moved as u64;
        self.waited = self.waited.saturating_add(waited.min(limit));
        if self.moved >= LEAST {
            *self = Pace::default();
        }
        self.waited <= TIME.max(limit.saturating_mul(2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    /// How long calls of this kind are borne, up to a day.
    fn borne(moved: usize, waited: Duration, limit: Duration) -> Option<Duration> {
        let (mut pace, mut time) = (Pace::default(), Duration::ZERO);
        while time < Duration::from_secs(86_400) {
            time += waited;
            if !pace.bears(moved, waited, Some(limit)) {
                return Some(time);
            }
        }
        None
    }

    #[test]
    fn a_byte_now_and_then_is_too_slow() {
        let second = Duration::from_secs(1);
        for (moved, waited, limit, end) in [
            (1, second, MINUTE, Some(301)),
            (1, MINUTE - second, MINUTE, Some(354)),
            (54, second, MINUTE, Some(301)),
            (55, second, MINUTE, None),
            (16 << 10, MINUTE, MINUTE, None),
            // Not in less than two waits of the longest kind.
            (1, 5 * MINUTE, 10 * MINUTE, Some(1500)),
            (8 << 10, 10 * MINUTE, 10 * MINUTE, None),
        ] {
            let found = borne(moved, waited, limit);
            assert_eq!(found, end.map(Duration::from_secs), "{moved} {waited:?}");
        }
    }

    #[test]
    fn what_comes_at_once_is_never_too_slow() {
        assert_eq!(borne(1, Duration::from_millis(1), MINUTE), None);
        // A wait of hours is none of the other end's: we were stopped.
        let mut pace = Pace::default();
        assert!(pace.bears(1, 500 * MINUTE, Some(MINUTE)));
        // Without a limit there is no such bound.
        assert!(pace.bears(1, 500 * MINUTE, None));
    }
}
