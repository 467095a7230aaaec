//! Answers of programs and services, good and bad.

use super::*;
use crate::testing::Random;

const GOOD: &str = r#"{"Version": 1, "AccessKeyId": "A", "SecretAccessKey": "hush/+=",
    "SessionToken": "hush==", "Expiration": "2026-11-23T01:02:03Z"}"#;

fn read(text: &str) -> Result<(Credentials, Option<Utc>)> {
    KeyJson::parse("p", text.as_bytes())?.credentials("SessionToken")
}

#[track_caller]
fn refused(text: &str, why: &str) {
    let e = read(text).unwrap_err();
    assert_eq!((e.exit(), e.what()), (Exit::Config, "p"), "{text}");
    assert!(e.why().contains(why), "{text}: {e}");
    assert!(!e.to_string().contains("hush"), "{e}");
}

#[test]
fn an_answer() {
    let (credentials, expires) = read(GOOD).unwrap();
    assert_eq!((&*credentials.id, &*credentials.secret), ("A", "hush/+="));
    assert_eq!(credentials.token.as_deref(), Some("hush=="));
    assert_eq!(expires, Utc::parse_rfc3339("2026-11-23T01:02:03Z"));
    assert!(
        KeyJson::parse("p", GOOD.as_bytes())
            .unwrap()
            .is_one("Version")
    );

    // Without what may be missing, with what may be there, escaped.
    for text in [
        r#"{"AccessKeyId":"A","SecretAccessKey":"s"}"#,
        r#"{"AccessKeyId":"A","SecretAccessKey":"s","SessionToken":null,"Expiration":""}"#,
        r#" {"AccessKeyId" : "\u0041", "SecretAccessKey":"\u0073", "x":[{"y":[1e3]}]} "#,
        r#"{"AccessKeyId":"Z","AccessKeyId":"A","SecretAccessKey":"s"}"#,
    ] {
        let (credentials, expires) = read(text).unwrap();
        assert_eq!((&*credentials.id, &*credentials.secret), ("A", "s"));
        assert!(credentials.token.is_none() && expires.is_none(), "{text}");
    }
}

#[test]
fn fields_that_cannot_be() {
    refused("{}", "AccessKeyId is missing");
    refused(r#"{"AccessKeyId":"A"}"#, "SecretAccessKey is missing");
    refused(r#"{"accesskeyid":"hush"}"#, "AccessKeyId is missing");
    let with = |field: &str, value: &str| {
        let old = format!("\"{field}\": ");
        let (before, after) = GOOD.split_once(&old).unwrap();
        let end = after.find([',', '}']).unwrap();
        format!("{before}{old}{value}{}", &after[end..])
    };
    for (field, value, why) in [
        ("AccessKeyId", "\"\"", "AccessKeyId is missing"),
        ("AccessKeyId", "null", "AccessKeyId is missing"),
        ("AccessKeyId", "7", "AccessKeyId in its answer is no text"),
        ("AccessKeyId", r#"["hush"]"#, "is no text"),
        ("AccessKeyId", r#""A\r\nX: hush""#, "AccessKeyId has a char"),
        ("AccessKeyId", r#""hu sh""#, "AccessKeyId has a char"),
        ("SecretAccessKey", r#""hu\u0000sh""#, "SecretAccessKey has"),
        ("SecretAccessKey", "{}", "SecretAccessKey in its answer is"),
        ("SessionToken", r#""hush\n""#, "SessionToken has a char"),
        ("SessionToken", r#""hüsh""#, "SessionToken has a char"),
        ("SessionToken", "true", "SessionToken in its answer is no"),
        ("Expiration", "1795395723", "Expiration in its answer is no"),
        ("Expiration", r#""hush""#, "Expiration is no time"),
        ("Expiration", r#""2026-11-23""#, "Expiration is no time"),
    ] {
        refused(&with(field, value), why);
    }
    for (version, one) in [
        ("1", true),
        ("1.0", true),
        ("2", false),
        ("0", false),
        ("-1", false),
        ("1.5", false),
        ("\"1\"", false),
        ("true", false),
        ("null", false),
        ("1e400", false),
        ("100000000000000000000000000000000000000000", false),
    ] {
        let text = with("Version", version);
        let answer = KeyJson::parse("p", text.as_bytes()).unwrap();
        assert_eq!(answer.is_one("Version"), one, "{version}");
    }
    assert!(!KeyJson::parse("p", b"{}").unwrap().is_one("Version"));
}

#[test]
fn no_json_object() {
    for text in [
        "",
        " ",
        "null",
        "1",
        "\"hush\"",
        "[]",
        "[{}]",
        "hush",
        "{",
        "}",
        "{}x",
        "{}{}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{'a':1}",
        "{a:1}",
        "{\"a\":01}",
        "{\"a\":+1}",
        "{\"a\":.5}",
        "{\"a\":1.}",
        "{\"a\":1e}",
        "{\"a\":NaN}",
        "{\"a\":\"hu\nsh\"}",
        "{\"a\":\"\\q\"}",
        "{\"a\":\"\\u12\"}",
        "{\"a\":\"\\ud800\"}",
        "{\"hush",
        "{1:2}",
        "{\"a\":tru}",
        "/**/{}",
        "\u{feff}{}",
    ] {
        refused(text, "its answer is no JSON object");
    }
    let e = KeyJson::parse("p", b"{\"a\":\"\xff\"}").err().unwrap();
    assert_eq!(e.why(), "its answer is no JSON object");
}

#[test]
fn bounds() {
    let nested = |open: &str, close: &str, n: usize| {
        format!("{{\"x\":{}{}}}", open.repeat(n), close.repeat(n))
    };
    // One short of the limit, and with brackets that do not count.
    let strings = format!("{{\"x\":\"\\\"{}\"}}", "[{".repeat(1000));
    for text in [nested("[", "]", DEPTH - 1), strings] {
        refused(&text, "AccessKeyId is missing");
    }
    let long = "[".repeat(LIMIT / 2);
    for text in [
        nested("[", "]", DEPTH),
        nested("{\"x\":[", "]}", DEPTH),
        "{".repeat(LIMIT),
        "[".repeat(LIMIT),
        "{\"a\":".repeat(LIMIT / 5),
        format!("{{\"a\\\":{long}"),
        format!("\\\"{long}"),
        format!("]]]]{long}"),
    ] {
        refused(&text, "its answer is no JSON object");
    }
    let number = format!("{{\"x\":{}}}", "9".repeat(LIMIT - 6));
    refused(&number, "AccessKeyId is missing");
    refused(&format!("{number} "), "its answer is longer than 64 KiB");
}

#[test]
fn any_input_is_read_or_refused() {
    let mut random = Random(5);
    let (mut good, mut bad) = (0, 0);
    for _ in 0..20_000 {
        let bytes = random.input(GOOD, b"{}[]\"\",:\\\\u0019eE-+. tnAas\n");
        let answer = KeyJson::parse("p", &bytes);
        match answer.and_then(|answer| answer.credentials("SessionToken")) {
            Ok((credentials, _)) => {
                let visible = |text: &str| text.bytes().all(|b| b.is_ascii_graphic());
                assert!(!credentials.id.is_empty() && visible(&credentials.id));
                assert!(!credentials.secret.is_empty());
                assert!(credentials.token.as_deref().is_none_or(visible));
                good += 1;
            }
            Err(e) => {
                assert_eq!(e.exit(), Exit::Config);
                assert!(!e.to_string().contains("hush"));
                bad += 1;
            }
        }
    }
    assert!(good > 50 && bad > 1000, "{good} {bad}");
}
