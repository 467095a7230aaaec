//! The attempts of one request: how long, how often, and when to say so. Pure:
//! time and chance come from the caller, so that a day passes in a test.

use std::time::{Duration, Instant};

use super::call::Failure;
use super::fault::{Fault, backoff};
use crate::error::{Error, Exit};

/// How often one request may be repaired and repeated at once.
const MENDS: u32 = 4;

/// How often an object must have arrived whole but wrong before it is believed
/// that it is stored so.
const READINGS: u32 = 3;

/// How long an outage lasts before the user is told, and how often then.
const SILENCE: Duration = Duration::from_secs(10);
const REMINDER: Duration = Duration::from_secs(60);

/// How long a service that has not answered anything yet is believed to exist,
/// and how long a request is worth on which nothing depends.
pub const FIRST_PATIENCE: Duration = Duration::from_secs(60);

/// How long and how often a request may fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long one request may keep failing, from the start of the first attempt
    /// that did; None is for ever.
    pub patience: Option<Duration>,
    /// How often it may be repeated; None is without end.
    pub retry: Option<u32>,
    /// How long a connection may stand still.
    pub timeout: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            patience: Some(Duration::from_secs(24 * 3600)),
            retry: None,
            timeout: Duration::from_secs(60),
        }
    }
}

impl Limits {
    /// Those of a service that has answered something, or has not.
    pub fn of_service(self, answered: bool) -> Limits {
        let patience = self.patience;
        let first = patience.map_or(FIRST_PATIENCE, |time| time.min(FIRST_PATIENCE));
        Limits {
            patience: if answered { patience } else { Some(first) },
            ..self
        }
    }
}

/// What has become of a request so far.
#[derive(Debug, Default)]
pub struct Trial {
    attempts: u32,
    mends: u32,
    /// How often something came that is not what the object must be.
    readings: u32,
    /// Since when it was evidence against the store.
    wrong_since: Option<Instant>,
    /// Since when answers are none of S3's.
    foreign_since: Option<Instant>,
    /// An attempt may have been carried out, though no answer came.
    unheard: bool,
    failing_since: Option<Instant>,
    told: Option<Instant>,
}

impl Trial {
    /// An attempt has failed, which had begun at `started`.
    pub fn failed(&mut self, fault: &Fault, started: Instant) {
        self.attempts += 1;
        self.unheard |= matches!(fault, Fault::Stale { .. });
        self.failing_since.get_or_insert(started);
        self.readings += u32::from(fault.is_of_object());
        match fault {
            Fault::Wrong { .. } => {
                self.wrong_since.get_or_insert(started);
            }
            Fault::Foreign { .. } => {
                self.foreign_since.get_or_insert(started);
            }
            _ => {}
        }
    }

    /// Whether it may be repeated at once, after something was mended. That is
    /// no repetition of the same request, and not counted as one.
    pub fn may_mend(&mut self) -> bool {
        let granted = self.mends < MENDS;
        if granted {
            self.mends += 1;
            self.attempts = self.attempts.saturating_sub(1);
        }
        granted
    }

    /// Whether something else came so often that it may be what is stored.
    pub fn is_read_enough(&self) -> bool {
        self.readings >= READINGS
    }

    /// For how long there have been faults of this one's kind.
    fn lasting(&self, fault: &Fault, now: Instant) -> Duration {
        let since = match fault {
            Fault::Wrong { .. } => self.wrong_since,
            Fault::Foreign { .. } => self.foreign_since,
            _ => self.failing_since,
        };
        now.saturating_duration_since(since.unwrap_or(now))
    }

    /// Whether there was an attempt, and it failed.
    pub fn has_failed(&self) -> bool {
        self.failing_since.is_some()
    }

    /// How long it has been failing.
    pub fn failing(&self, now: Instant) -> Duration {
        let since = self.failing_since.unwrap_or(now);
        now.saturating_duration_since(since)
    }

    /// How much longer it may keep failing; None is for ever.
    pub fn left(&self, limits: Limits, now: Instant) -> Option<Duration> {
        let time = limits.patience?;
        Some(time.saturating_sub(self.failing(now)))
    }

    /// How long to wait before the next attempt; None to give up. `random` is
    /// evenly distributed.
    pub fn delay(
        &self,
        fault: &Fault,
        limits: Limits,
        now: Instant,
        random: u64,
    ) -> Option<Duration> {
        let left = limits
            .patience
            .map(|time| time.saturating_sub(self.lasting(fault, now)));
        let repeats_left = limits.retry.is_none_or(|n| self.attempts <= n);
        let must_read = matches!(fault, Fault::Wrong { .. }) && !self.is_read_enough();
        if !repeats_left || (left == Some(Duration::ZERO) && !must_read) {
            return None;
        }
        let wish = match fault {
            Fault::Refused(refusal) => refusal.retry_after,
            _ => None,
        };
        let delay = backoff(self.attempts.saturating_sub(1), random, wish);
        Some(match left {
            Some(left) if !must_read => delay.min(left),
            _ => delay,
        })
    }

    /// Whether it is time to say what is being waited for: not at once, and
    /// then once a minute.
    pub fn must_tell(&mut self, now: Instant) -> bool {
        let last = self.told.map(|told| now.saturating_duration_since(told));
        let due = self.failing(now) >= SILENCE && last.is_none_or(|ago| ago >= REMINDER);
        if due {
            self.told = Some(now);
        }
        due
    }

    /// The error to give up with.
    pub fn given_up(&self, fault: &Fault, what: &str, now: Instant) -> Error {
        let seconds = self.failing(now).as_secs();
        let tried = match (fault, self.attempts) {
            (Fault::Wrong { .. }, n) => format!("read {n} times in {seconds} s"),
            (_, 1) => format!("gave up after 1 attempt in {seconds} s"),
            (_, n) => format!("gave up after {n} attempts in {seconds} s"),
        };
        let exit = match fault {
            Fault::Wrong { exit, .. } | Fault::Foreign { exit, .. } => *exit,
            _ => Exit::Unavailable,
        };
        Error::new(exit, what, format!("{} ({tried})", fault.why()))
    }

    /// The end of it.
    pub fn failure(&self, fault: &Fault, error: Error) -> Failure {
        Failure {
            refusal: match fault {
                Fault::Refused(refusal) => Some(refusal.clone()),
                _ => None,
            },
            repeated: self.attempts > 1 || self.unheard,
            early: false,
            came: fault.came(),
            error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::s3::fault::Sizes;

    fn of(patience: Option<Duration>) -> Limits {
        Limits {
            patience,
            ..Limits::default()
        }
    }

    /// An outage of `hours`, lived through as the client would: how long it
    /// waited, whether it gave up, how often it said something.
    fn outage(hours: u64, limits: Limits) -> (Duration, bool, u64) {
        let start = Instant::now();
        let end = start + Duration::from_secs(hours * 3600);
        let (mut now, mut told) = (start, 0);
        let mut trial = Trial::default();
        let mut random = crate::testing::Random(2007);
        let fault = Fault::broken("connection refused");
        while now < end {
            let started = now;
            now += Duration::from_millis(1);
            trial.failed(&fault, started);
            let chance = random.below(1 << 30) as u64;
            let Some(delay) = trial.delay(&fault, limits, now, chance) else {
                return (now - start, true, told);
            };
            told += u64::from(trial.must_tell(now));
            assert!(delay <= Duration::from_secs(30));
            now += delay;
        }
        (now - start, false, told)
    }

    #[test]
    fn hours_are_ridden_out() {
        let day = of(Some(Duration::from_secs(24 * 3600)));
        let (waited, gave_up, told) = outage(23, day);
        assert!(!gave_up && waited >= Duration::from_secs(23 * 3600));
        // Once a minute at most, and hardly less often.
        assert!((23 * 40..=23 * 60).contains(&told), "{told}");
        let (waited, gave_up, _) = outage(48, day);
        let seconds = waited.as_secs();
        assert!(gave_up && (86_400..86_402).contains(&seconds), "{seconds}");
        assert!(!outage(24 * 30, of(None)).1, "patience without end");
    }

    #[test]
    fn patience_counts_from_the_start_of_what_failed() {
        let limits = of(Some(Duration::from_secs(90)));
        let (start, fault) = (Instant::now(), Fault::broken("x"));
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut trial = Trial::default();
        assert_eq!(trial.left(limits, after(7)), limits.patience);
        trial.failed(&fault, start);
        assert_eq!(trial.left(limits, after(60)), Some(after(30) - start));
        assert!(trial.delay(&fault, limits, after(60), 5).is_some());
        trial.failed(&fault, after(61));
        assert!(trial.delay(&fault, limits, after(90), 5).is_none());
        let error = trial.given_up(&fault, "w", after(93));
        assert_eq!(error.why(), "x (gave up after 2 attempts in 93 s)");
    }

    #[test]
    fn a_service_that_never_answered_has_a_minute() {
        let time = |patience, answered| of(patience).of_service(answered).patience;
        let (second, day) = (Duration::from_secs(1), Duration::from_secs(86_400));
        assert_eq!(time(None, true), None);
        assert_eq!(time(Some(day), true), Some(day));
        assert_eq!(time(None, false), Some(FIRST_PATIENCE));
        assert_eq!(time(Some(day), false), Some(FIRST_PATIENCE));
        assert_eq!(time(Some(second), false), Some(second));
    }

    #[test]
    fn repetitions_are_counted() {
        let limits = Limits {
            retry: Some(2),
            ..of(None)
        };
        let (now, fault) = (Instant::now(), Fault::broken("x"));
        let mut trial = Trial::default();
        for expected in [true, true, false] {
            trial.failed(&fault, now);
            assert_eq!(trial.delay(&fault, limits, now, 5).is_some(), expected);
        }
        let why = trial.given_up(&fault, "w", now).to_string();
        assert_eq!(why, "w: x (gave up after 3 attempts in 0 s)");
        assert!(
            trial
                .failure(&fault, trial.given_up(&fault, "w", now))
                .repeated
        );
    }

    #[test]
    fn wrong_data_is_not_asked_for_without_end() {
        let sizes = Sizes {
            came: Some(5),
            want: Some(5),
        };
        let wrong = Fault::wrong(Exit::Data, "wrong SHA-256", sizes);
        let limits = of(Some(Duration::ZERO));
        let (mut trial, now) = (Trial::default(), Instant::now());
        for enough in [false, false, true] {
            trial.failed(&wrong, now);
            assert_eq!(trial.is_read_enough(), enough);
            assert_eq!(trial.delay(&wrong, limits, now, 0).is_none(), enough);
        }
        let error = trial.given_up(&wrong, "w", now);
        assert_eq!(error.to_string(), "w: wrong SHA-256 (read 3 times in 0 s)");
        assert_eq!((0..9).filter(|_| trial.may_mend()).count(), 4);
    }

    #[test]
    fn a_connection_that_went_stale_is_no_attempt_but_may_have_been_heard() {
        let (now, stale) = (Instant::now(), Fault::Stale { why: "x".into() });
        let mut trial = Trial::default();
        trial.failed(&stale, now);
        assert!(trial.may_mend());
        let refused = Fault::foreign(Exit::Data, "y");
        trial.failed(&refused, now);
        let error = trial.given_up(&refused, "w", now);
        assert!(error.why().contains("1 attempt"), "{error}");
        assert!(trial.failure(&refused, error).repeated);
    }
}
