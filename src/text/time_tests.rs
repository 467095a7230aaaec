//! Times as they are written and read.

use std::time::Duration;

use super::*;

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
