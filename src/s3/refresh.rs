//! When to ask for temporary credentials again: early enough that requests
//! never meet expired ones, and not so often that the provider minds.
//!
//! Arithmetic only. The times are the service's: whoever knows that the
//! local clock is wrong hands in a `now` without its error.

#![forbid(unsafe_code)]

use crate::text::time::Utc;

/// How long before they expire credentials are asked for anew, in seconds.
/// EC2 has new ones by then, and botocore asks at the same time.
const EARLY: i64 = 15 * 60;

/// Never sooner again than this many seconds.
const SHORTEST: i64 = 10;

/// Nor later than this, after a failure.
const LONGEST: i64 = 60;

/// When to ask again, after credentials that expire at `expires` were had at
/// `now`: a quarter of an hour before they expire, and for those that do not
/// last half an hour, or come again as they were, at half of what is left.
pub fn refresh_at(expires: Utc, now: Utc) -> Utc {
    let left = left(expires, now);
    Utc(now
        .0
        .saturating_add((left - EARLY).max(left / 2).max(SHORTEST)))
}

/// When to try again, after asking at `now` failed.
pub fn retry_at(expires: Utc, now: Utc) -> Utc {
    let wait = (left(expires, now) / 2).clamp(SHORTEST, LONGEST);
    Utc(now.0.saturating_add(wait))
}

fn left(expires: Utc, now: Utc) -> i64 {
    expires.0.saturating_sub(now.0).max(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Utc = Utc(1_800_000_000);

    #[test]
    fn early_enough_and_not_too_often() {
        for (left, refresh, retry) in [
            (12 * 3600, 12 * 3600 - 900, 60),
            (3600, 2700, 60),
            (1800, 900, 60),
            (1799, 899, 60),
            (900, 450, 60),
            (60, 30, 30),
            (15, 10, 10),
            (0, 10, 10),
            (-3600, 10, 10),
        ] {
            let expires = Utc(NOW.0 + left);
            assert_eq!(refresh_at(expires, NOW).0 - NOW.0, refresh, "{left}");
            assert_eq!(retry_at(expires, NOW).0 - NOW.0, retry, "{left}");
        }
    }

    /// A provider that gives the same ones until they have expired.
    #[test]
    fn the_same_again_and_again() {
        let expires = Utc(NOW.0 + 3600);
        let (mut now, mut asked) = (NOW, 0);
        while now < expires {
            let next = refresh_at(expires, now);
            assert!(next.0 - now.0 >= SHORTEST);
            (now, asked) = (next, asked + 1);
        }
        assert!(now.0 < expires.0 + SHORTEST && asked < 12, "{asked}");
    }

    /// A day of failures, from the first attempt on.
    #[test]
    fn failures_are_tried_again_while_the_old_ones_hold() {
        let expires = Utc(NOW.0 + 3600);
        let (mut now, mut held) = (refresh_at(expires, NOW), 0);
        for _ in 0..1000 {
            let next = retry_at(expires, now);
            assert!((SHORTEST..=LONGEST).contains(&(next.0 - now.0)));
            held += i32::from(next < expires);
            now = next;
        }
        assert!(held >= 15, "{held}");
        assert_eq!(retry_at(Utc(0), Utc(i64::MAX)), Utc(i64::MAX));
        assert_eq!(refresh_at(Utc(i64::MAX), Utc(i64::MIN)), Utc(-901));
    }
}
