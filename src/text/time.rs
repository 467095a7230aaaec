//! Points in time as S3 and HTTP write them: UTC, whole seconds.
//!
//! Arithmetic and text only: this module never reads a clock, never looks at
//! a time zone and never panics. What does not parse is `None`; what lies
//! outside the years 1970 to 9999 is refused when parsed and moved to the
//! nearer end when shown.

use std::time::{SystemTime, UNIX_EPOCH};

const DAY: i64 = 86_400;
/// 9999-12-31T23:59:59Z, the last second with a four-digit year.
const LAST: i64 = 253_402_300_799;
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
/// In the order of the days since 1970-01-01, which was a Thursday.
const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];

/// Seconds since 1970-01-01T00:00:00Z, leap seconds not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Utc(pub i64);

impl Utc {
    /// The system's time, fractions of a second dropped; a clock set before
    /// 1970 counts as 1970.
    pub fn from_system(t: SystemTime) -> Utc {
        let seconds = t.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        Utc(i64::try_from(seconds).unwrap_or(LAST).min(LAST))
    }

    /// `20130524T000000Z`: ISO 8601 basic format, as SigV4's x-amz-date has it.
    pub fn basic(self) -> String {
        let (hour, minute, second) = self.clock();
        format!("{}T{hour:02}{minute:02}{second:02}Z", self.date())
    }

    /// `20130524`: the day alone, as SigV4's credential scope has it.
    pub fn date(self) -> String {
        let (year, month, day) = self.calendar();
        format!("{year:04}{month:02}{day:02}")
    }

    /// `2013-05-24T00:00:00Z` (RFC 3339).
    pub fn rfc3339(self) -> String {
        let (year, month, day) = self.calendar();
        let (hour, minute, second) = self.clock();
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }

    /// `Fri, 24 May 2013 00:00:00 GMT`: IMF-fixdate (RFC 9110, 5.6.7).
    pub fn http(self) -> String {
        let (year, month, day) = self.calendar();
        let (hour, minute, second) = self.clock();
        let weekday = WEEKDAYS[(self.within() / DAY % 7) as usize];
        let month = MONTHS[month as usize - 1];
        format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
    }

    /// Reads any of the three forms of RFC 9110, 5.6.7. The weekday is not
    /// compared with the date. The two-digit year of the RFC 850 form is
    /// taken as 1970 to 2069, since there is no clock here to measure it by.
    pub fn parse_http(text: &str) -> Option<Utc> {
        let words: Vec<&str> = text.split(' ').filter(|w| !w.is_empty()).collect();
        match words[..] {
            [weekday, day, month, year, time, "GMT"] if weekday.ends_with(',') => {
                Utc::at(digits(year, 4)?, month_of(month)?, digits(day, 2)?, time)
            }
            [weekday, date, time, "GMT"] if weekday.ends_with(',') => {
                let parts: Vec<&str> = date.split('-').collect();
                let [day, month, year] = parts[..] else {
                    return None;
                };
                let year = digits(year, 2)?;
                let year = if year < 70 { 2000 + year } else { 1900 + year };
                Utc::at(year, month_of(month)?, digits(day, 2)?, time)
            }
            [_, month, day, time, year] => {
                let day = digits(day, day.len().clamp(1, 2))?;
                Utc::at(digits(year, 4)?, month_of(month)?, day, time)
            }
            _ => None,
        }
    }

    /// Reads RFC 3339: fractions of a second are dropped; the offset is `Z`
    /// or numeric, with its colon or (what `date +%z` prints) without.
    pub fn parse_rfc3339(text: &str) -> Option<Utc> {
        let (date, rest) = (text.get(..10)?, text.get(10..)?);
        let (time, rest) = (rest.strip_prefix(['T', 't'])?, rest.get(9..)?);
        let parts: Vec<&str> = date.split('-').collect();
        let [year, month, day] = parts[..] else {
            return None;
        };
        let (year, month, day) = (digits(year, 4)?, digits(month, 2)?, digits(day, 2)?);
        let local = Utc::at(year, month, day, time.get(..8)?)?;
        let zone = match rest.strip_prefix('.') {
            None => rest,
            Some(fraction) => {
                let zone = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
                (zone.len() < fraction.len()).then_some(zone)?
            }
        };
        Utc::checked(local.0 - offset(zone)?)
    }

    /// Reads `20130524T000000Z`, and nothing else.
    pub fn parse_basic(text: &str) -> Option<Utc> {
        let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
        let time = digits(time, 6).map(|n| (n / 10_000, n / 100 % 100, n % 100))?;
        let date = digits(date, 8)?;
        let midnight = Utc::midnight(date / 10_000, date / 100 % 100, date % 100)?;
        Utc::checked(midnight + seconds(time)?)
    }

    /// A date and a time of day written `hh:mm:ss`.
    fn at(year: i64, month: i64, day: i64, time: &str) -> Option<Utc> {
        let parts: Vec<&str> = time.split(':').collect();
        let [hour, minute, second] = parts[..] else {
            return None;
        };
        let time = (digits(hour, 2)?, digits(minute, 2)?, digits(second, 2)?);
        Utc::checked(Utc::midnight(year, month, day)? + seconds(time)?)
    }

    fn checked(seconds: i64) -> Option<Utc> {
        (0..=LAST).contains(&seconds).then_some(Utc(seconds))
    }

    /// The first second of a day of the Gregorian calendar.
    fn midnight(year: i64, month: i64, day: i64) -> Option<i64> {
        let sane = (1970..=9999).contains(&year) && (1..=12).contains(&month);
        if !sane || !(1..=month_length(year, month)).contains(&day) {
            return None;
        }
        let before: i64 = (1..month).map(|m| month_length(year, m)).sum();
        Some((days_before(year) + before + day - 1) * DAY)
    }

    fn within(self) -> i64 {
        self.0.clamp(0, LAST)
    }

    /// Year, month (from 1), day (from 1).
    fn calendar(self) -> (i64, i64, i64) {
        let days = self.within() / DAY;
        // A year has at least 365 days, so this guess is never too early.
        let mut year = 1970 + days / 365;
        while days_before(year) > days {
            year -= 1;
        }
        let (mut month, mut day) = (1, days - days_before(year));
        while day >= month_length(year, month) {
            day -= month_length(year, month);
            month += 1;
        }
        (year, month, day + 1)
    }

    /// Hour, minute, second.
    fn clock(self) -> (i64, i64, i64) {
        let second = self.within() % DAY;
        (second / 3600, second / 60 % 60, second % 60)
    }
}

/// Days from 1970-01-01 to the first of January of `year`.
fn days_before(year: i64) -> i64 {
    let leap_days = |y: i64| y / 4 - y / 100 + y / 400;
    (year - 1970) * 365 + leap_days(year - 1) - leap_days(1969)
}

fn month_length(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn month_of(name: &str) -> Option<i64> {
    (1..).zip(MONTHS).find(|(_, m)| *m == name).map(|(n, _)| n)
}

/// Seconds since midnight; a leap second (60) counts as the second after it.
fn seconds((hour, minute, second): (i64, i64, i64)) -> Option<i64> {
    (hour < 24 && minute < 60 && second <= 60).then_some(hour * 3600 + minute * 60 + second)
}

/// What `zone` is ahead of UTC, in seconds.
fn offset(zone: &str) -> Option<i64> {
    if matches!(zone, "Z" | "z") {
        return Some(0);
    }
    let (sign, rest) = match zone.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, zone.strip_prefix('+')?),
    };
    let (hour, minute) = (rest.get(..2)?, rest.get(2..)?);
    let minute = digits(minute.strip_prefix(':').unwrap_or(minute), 2)?;
    Some(sign * seconds((digits(hour, 2)?, minute, 0))?)
}

/// Exactly `width` ASCII digits, without a sign (which `str::parse` allows).
fn digits(text: &str, width: usize) -> Option<i64> {
    let good = text.len() == width && text.bytes().all(|b| b.is_ascii_digit());
    good.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
#[path = "time_tests.rs"]
mod tests;
