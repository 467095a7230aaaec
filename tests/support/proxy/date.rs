//! Dates as HTTP writes them (IMF-fixdate, RFC 9110 section 5.6.7), for the
//! faults that lie about the time. It knows UTC and years from 1970 on, and
//! gives `None` for a date in any other form.

const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

fn leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn year_days(year: u64) -> u64 {
    365 + u64::from(leap(year))
}

fn month_days(year: u64, month: usize) -> u64 {
    match month {
        1 => 28 + u64::from(leap(year)),
        3 | 5 | 8 | 10 => 30,
        _ => 31,
    }
}

/// Year, month from 0, day from 1, of a number of days since 1970-01-01.
fn civil(mut days: u64) -> (u64, usize, u64) {
    let (mut year, mut month) = (1970, 0);
    while days >= year_days(year) {
        days -= year_days(year);
        year += 1;
    }
    while days >= month_days(year, month) {
        days -= month_days(year, month);
        month += 1;
    }
    (year, month, days + 1)
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`, of seconds since the epoch.
pub fn http(seconds: u64) -> String {
    let (year, month, day) = civil(seconds / 86400);
    let weekday = DAYS[(seconds / 86400 % 7) as usize];
    let (h, m, s) = clock(seconds);
    let month = MONTHS[month];
    format!("{weekday}, {day:02} {month} {year} {h:02}:{m:02}:{s:02} GMT")
}

/// `1994-11-06T08:49:37Z`, of seconds since the epoch.
pub fn iso(seconds: u64) -> String {
    let (year, month, day) = civil(seconds / 86400);
    let (h, m, s) = clock(seconds);
    let month = month + 1;
    format!("{year}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}Z")
}

fn clock(seconds: u64) -> (u64, u64, u64) {
    (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60)
}

/// Seconds since the epoch of what [`http`] writes.
pub fn parse_http(text: &str) -> Option<u64> {
    let words: Vec<&str> = text.split([' ', ':']).collect();
    let [_, day, month, year, h, m, s, "GMT"] = words[..] else {
        return None;
    };
    let month = MONTHS.iter().position(|&name| name == month)?;
    let year: u64 = year.parse().ok()?;
    let days = (1970..year).map(year_days).sum::<u64>()
        + (0..month).map(|m| month_days(year, m)).sum::<u64>()
        + day.parse::<u64>().ok()?.checked_sub(1)?;
    let [h, m, s] = [h, m, s].map(|number| number.parse::<u64>().ok());
    Some(days * 86400 + h? * 3600 + m? * 60 + s?)
}

#[test]
fn dates() {
    for (seconds, text, stamp) in [
        (0, "Thu, 01 Jan 1970 00:00:00 GMT", "1970-01-01T00:00:00Z"),
        (
            784111777,
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "1994-11-06T08:49:37Z",
        ),
        (
            951827696,
            "Tue, 29 Feb 2000 12:34:56 GMT",
            "2000-02-29T12:34:56Z",
        ),
    ] {
        assert_eq!(http(seconds), text);
        assert_eq!(iso(seconds), stamp);
        assert_eq!(parse_http(text), Some(seconds));
    }
    assert_eq!(parse_http("Sunday, 06-Nov-94 08:49:37 GMT"), None);
}
