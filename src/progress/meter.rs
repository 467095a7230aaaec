//! The text of the meter and of status lines; pure.
//!
//! A line never has more columns than it is given: what matters less is left
//! out first, and a bar takes the room that is left.

use std::collections::VecDeque;
use std::time::Duration;

use crate::text::units::{clock, human};

/// How far back the present rate looks.
const RECENT: Duration = Duration::from_secs(5);

/// The narrowest bar that says anything, and the widest that is pleasant.
const BAR: std::ops::RangeInclusive<usize> = 10..=40;

/// How far a transfer has got.
#[derive(Clone, Copy, Debug, Default)]
pub struct Status {
    /// Bytes moved.
    pub bytes: u64,
    /// Of how many, if that is known.
    pub size: Option<u64>,
    /// Since the start.
    pub elapsed: Duration,
    /// Bytes a second just now.
    pub now: u64,
    /// Requests that were tried again.
    pub retries: u64,
}

/// Bytes a second over the last few seconds.
#[derive(Debug, Default)]
pub struct Recent(VecDeque<(Duration, u64)>);

impl Recent {
    /// So many bytes had been moved at this time from the start.
    pub fn rate(&mut self, at: Duration, bytes: u64) -> u64 {
        self.0.push_back((at, bytes));
        while self.0.len() > 2 && self.0[1].0 + RECENT <= at {
            self.0.pop_front();
        }
        let (start, before) = self.0[0];
        // A block that is fetched again counts anew.
        per_second(bytes.saturating_sub(before), at - start)
    }
}

fn per_second(bytes: u64, time: Duration) -> u64 {
    (bytes as f64 / time.as_secs_f64().max(0.001)) as u64
}

impl Status {
    fn average(&self) -> u64 {
        per_second(self.bytes, self.elapsed)
    }

    fn percent(&self, size: u64) -> u64 {
        let percent = self.bytes as f64 * 100.0 / size.max(1) as f64;
        (percent as u64).min(100)
    }

    fn done(&self) -> String {
        let bytes = human(self.bytes);
        match self.size {
            None => bytes,
            Some(size) => format!("{bytes} of {} ({}%)", human(size), self.percent(size)),
        }
    }

    /// How long it will take at the average rate; empty if that is not known.
    fn left(&self) -> String {
        let left = self.size.unwrap_or(0).saturating_sub(self.bytes);
        match (left, self.average()) {
            (0, _) | (_, 0) => String::new(),
            (left, rate) => format!("{} left", clock(left / rate)),
        }
    }

    fn retries(&self) -> String {
        match self.retries {
            0 => String::new(),
            1 => "1 retry".into(),
            n => format!("{n} retries"),
        }
    }

    /// All of it, however long: for SIGINFO and for the end, when there is no
    /// present rate any more.
    pub fn line(&self) -> String {
        let average = human(self.average());
        let rate = match self.now {
            0 => format!("{average}/s"),
            now => format!("{}/s, {average}/s on average", human(now)),
        };
        let elapsed = clock(self.elapsed.as_secs());
        join(&[&self.done(), &elapsed, &rate, &self.left(), &self.retries()])
    }

    /// What fits into so many columns.
    pub fn meter(&self, width: usize) -> String {
        let done = self.done();
        let now = format!("{}/s", human(self.now));
        let both = format!("{now} (average {}/s)", human(self.average()));
        let elapsed = clock(self.elapsed.as_secs());
        let (left, retries) = (self.left(), self.retries());
        let least = match self.size {
            Some(_) => *BAR.start() + 3,
            None => 0,
        };
        let choices = [
            join(&[&done, &both, &elapsed, &left, &retries]),
            join(&[&done, &now, &elapsed, &left, &retries]),
            join(&[&done, &now, &left, &retries]),
            join(&[&done, &now, &left]),
        ];
        if let Some(text) = choices.iter().find(|text| text.len() + least <= width) {
            return format!("{}{text}", self.bar(width - text.len()));
        }
        let narrow = [&choices[3], &join(&[&done, &now]), &done];
        let fits = narrow.into_iter().find(|text| text.len() <= width);
        fits.cloned()
            .unwrap_or_else(|| done.chars().take(width).collect())
    }

    /// A bar of at most so many columns, with a blank behind it.
    fn bar(&self, room: usize) -> String {
        let Some(size) = self.size else {
            return String::new();
        };
        let inside = room.saturating_sub(3).min(*BAR.end());
        let full = (self.bytes.min(size) as f64 * inside as f64 / size.max(1) as f64) as usize;
        let head = if full < inside { ">" } else { "" };
        let bar = format!("{}{head}", "=".repeat(full));
        format!("[{bar:inside$}] ")
    }
}

fn join(parts: &[&str]) -> String {
    let parts: Vec<&str> = parts.iter().copied().filter(|p| !p.is_empty()).collect();
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> Status {
        Status {
            bytes: 1 << 30,
            size: Some(4 << 30),
            elapsed: Duration::from_secs(100),
            now: 20 << 20,
            retries: 2,
        }
    }

    #[test]
    fn figures_read_well() {
        let mut s = status();
        assert_eq!(
            s.line(),
            "1.0 GiB of 4.0 GiB (25%), 0:01:40, 20.0 MiB/s, 10.2 MiB/s on average, \
             0:05:00 left, 2 retries"
        );
        (s.now, s.retries, s.bytes) = (0, 1, 4 << 30);
        assert_eq!(
            s.line(),
            "4.0 GiB of 4.0 GiB (100%), 0:01:40, 41.0 MiB/s, 1 retry"
        );
        assert_eq!(Status::default().line(), "0 B, 0:00:00, 0 B/s");
        let odd = Status {
            bytes: 5,
            size: Some(0),
            ..Status::default()
        };
        assert!(odd.line().starts_with("5 B of 0 B (100%), "), "{odd:?}");
    }

    #[test]
    fn the_meter_fits_any_terminal() {
        for size in [None, Some(0), Some(4 << 30), Some(u64::MAX)] {
            for bytes in [0, 1, 1 << 30, u64::MAX >> 1] {
                for width in 0..200 {
                    let s = Status {
                        bytes,
                        size,
                        ..status()
                    };
                    let line = s.meter(width);
                    assert!(line.chars().count() <= width, "{width}: {line}");
                    assert!(width < 10 || !line.is_empty());
                }
            }
        }
    }

    #[test]
    fn what_matters_less_goes_first() {
        let s = status();
        assert_eq!(
            s.meter(120),
            "[======>                   ] 1.0 GiB of 4.0 GiB (25%), \
             20.0 MiB/s (average 10.2 MiB/s), 0:01:40, 0:05:00 left, 2 retries"
        );
        assert_eq!(
            s.meter(79),
            "[===>           ] 1.0 GiB of 4.0 GiB (25%), 20.0 MiB/s, 0:05:00 left, 2 retries"
        );
        assert_eq!(s.meter(40), "1.0 GiB of 4.0 GiB (25%), 20.0 MiB/s");
        assert_eq!(s.meter(12), "1.0 GiB of 4");
        let open = Status { size: None, ..s };
        assert_eq!(
            open.meter(79),
            "1.0 GiB, 20.0 MiB/s (average 10.2 MiB/s), 0:01:40, 2 retries"
        );
    }

    #[test]
    fn the_present_rate_forgets() {
        let mut recent = Recent::default();
        let at = Duration::from_secs;
        assert_eq!(recent.rate(at(0), 0), 0);
        assert_eq!(recent.rate(at(1), 1000), 1000);
        for second in 2..60 {
            recent.rate(at(second), 1000);
        }
        assert_eq!(recent.rate(at(60), 1000), 0);
        assert_eq!(recent.rate(at(61), 500), 0);
        assert!(recent.0.len() < 10);
    }
}
