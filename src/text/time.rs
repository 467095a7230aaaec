//! Points in time as S3 and HTTP write them: UTC, whole seconds.
//!
//! Arithmetic and text only: this module never reads a clock, never looks at
//! a time zone and never panics. What does not parse is `None`; what lies
//! outside the years 1970 to 9999 is refused when parsed and moved to the
//! nearer end when shown.

#![forbid(unsafe_code)]

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
mod tests {
    use super::*;
    use std::time::Duration;

    const MAY: Utc = Utc(1_369_353_600);

    #[test]
    fn shown() {
        assert_eq!(MAY.basic(), "20130524T000000Z");
        assert_eq!(MAY.date(), "20130524");
        assert_eq!(MAY.rfc3339(), "2013-05-24T00:00:00Z");
        assert_eq!(MAY.http(), "Fri, 24 May 2013 00:00:00 GMT");
        // The example of RFC 9110, 5.6.7.
        assert_eq!(Utc(784_111_777).http(), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(Utc(0).http(), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(Utc(951_782_400).rfc3339(), "2000-02-29T00:00:00Z");
        assert_eq!(Utc(LAST).rfc3339(), "9999-12-31T23:59:59Z");
        assert_eq!(Utc(i64::MAX).basic(), "99991231T235959Z");
        assert_eq!(Utc(i64::MIN).basic(), "19700101T000000Z");
    }

    #[test]
    fn days_follow_and_come_back() {
        let mut previous = String::new();
        for day in (0..60_000).chain((60_000..=LAST / DAY).step_by(97)) {
            let t = Utc(day * DAY + day % DAY);
            let text = t.rfc3339();
            assert!(text > previous, "{text} follows {previous}");
            assert_eq!(Utc::parse_rfc3339(&text), Some(t));
            previous = text;
        }
        for t in [MAY, Utc(0), Utc(LAST), Utc(4_107_542_399)] {
            assert_eq!(Utc::parse_basic(&t.basic()), Some(t));
            assert_eq!(Utc::parse_http(&t.http()), Some(t));
        }
    }

    #[test]
    fn the_three_http_forms() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(Utc::parse_http(text), Some(Utc(784_111_777)), "{text}");
        }
        let leap = Utc::parse_http("Sat, 31 Dec 2016 23:59:60 GMT");
        assert_eq!(leap, Some(Utc(1_483_228_800)));
    }

    #[test]
    fn rfc3339_fractions_and_offsets() {
        for text in [
            "2013-05-24T00:00:00Z",
            "2013-05-24t00:00:00.000z",
            "2013-05-24T00:00:00.123456789Z",
            "2013-05-24T02:00:00+02:00",
            "2013-05-24T02:00:00.5+0200",
            "2013-05-23T18:30:00-05:30",
        ] {
            assert_eq!(Utc::parse_rfc3339(text), Some(MAY), "{text}");
        }
        let epoch = Utc::parse_rfc3339("1970-01-01T01:00:00+01:00");
        assert_eq!(epoch, Some(Utc(0)));
    }

    #[test]
    fn hostile_text_is_refused() {
        for text in [
            "",
            "Z",
            "T",
            "2013-05-24",
            "2013-05-24T00:00:00",
            "2013-05-24T00:00:00.Z",
            "2013-05-24T00:00:00ZZ",
            "2013-05-24 00:00:00Z",
            "2013-05-24T24:00:00Z",
            "2013-05-24T00:60:00Z",
            "2013-05-24T00:00:61Z",
            "2013-02-29T00:00:00Z",
            "1900-02-29T00:00:00Z",
            "2013-13-01T00:00:00Z",
            "2013-00-01T00:00:00Z",
            "2013-01-00T00:00:00Z",
            "1969-12-31T23:59:59Z",
            "1970-01-01T00:59:59+01:00",
            "9999-12-31T23:59:60Z",
            "9999-12-31T23:59:59-00:01",
            "+013-05-24T00:00:00Z",
            "2013-+5-24T00:00:00Z",
            "2013-05-24T00:00:00+24:00",
            "2013-05-24T00:00:00+2:000",
            "2013-05-24T00:00:00+é0",
            "2013-05-2é00:00:00Z",
            "2013-05-24é00:00:00Z",
            "２０１３-05-24T00:00:00Z",
            "20130524T0000000Z",
            "20130524T00000Z",
            "20130532T000000Z",
            "20130524T246060Z",
            "2013é524T000000Z",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 06 nov 1994 08:49:37 GMT",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun, 31 Nov 1994 08:49:37 GMT",
            "Sun 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-1994 08:49:37 GMT",
            "Sunday, 06-Nov 08:49:37 GMT",
            "Sun Nov 006 08:49:37 1994",
            "Sun Nov - 08:49:37 1994",
            "Sun Nov 6 08:49 1994",
            "a b c d e f g",
        ] {
            assert_eq!(Utc::parse_rfc3339(text), None, "{text}");
            assert_eq!(Utc::parse_basic(text), None, "{text}");
            assert_eq!(Utc::parse_http(text), None, "{text}");
        }
    }

    #[test]
    fn from_the_system() {
        let t = UNIX_EPOCH + Duration::from_millis(1_369_353_600_999);
        assert_eq!(Utc::from_system(t), MAY);
        let before = UNIX_EPOCH - Duration::from_secs(1);
        assert_eq!(Utc::from_system(before), Utc(0));
        if let Some(far) = UNIX_EPOCH.checked_add(Duration::from_secs(1 << 60)) {
            assert_eq!(Utc::from_system(far), Utc(LAST));
        }
    }
}
