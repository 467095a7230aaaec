//! The container endpoint, against a stand-in of it.

use super::super::testing::{Dir, Place};
use super::*;

const KEYS: &str = r#"{"RoleArn":"arn:x","AccessKeyId":"A","SecretAccessKey":"hush",
    "Token":"hush==","Expiration":"2026-11-23T01:02:03Z"}"#;

fn with_url(dir: &Dir, url: &str, env: &[(&str, &str)]) -> Result<Found> {
    dir.obtain(None, None, &[&[(FULL, url)], env].concat())
}

#[test]
fn the_endpoint_of_the_full_uri() {
    let dir = Dir::new();
    let place = Place::start(vec![(200, KEYS)]);
    let url = place.url("/hush?hush");
    let found = with_url(&dir, &url, &[]).unwrap();
    let credentials = &found.credentials;
    assert_eq!((&*credentials.id, &*credentials.secret), ("A", "hush"));
    assert_eq!(credentials.token.as_deref(), Some("hush=="));
    assert_eq!(found.expires.unwrap().rfc3339(), "2026-11-23T01:02:03Z");
    assert!(!found.fixed && found.aws);
    let shown = format!("container endpoint {}", place.url(""));
    assert_eq!(found.source, shown);
    let seen = &place.seen()[0];
    assert!(seen.starts_with("GET /hush?hush HTTP/1.1\r\n"), "{seen}");
    assert!(seen.contains("\r\naccept: application/json\r\n"), "{seen}");
    assert!(!seen.contains("authorization"), "{seen}");
}

#[test]
fn the_relative_uri_leads_to_the_agent() {
    let dir = Dir::new();
    let place = Place::start(vec![(200, KEYS)]);
    let env = [(RELATIVE, "/v2/x"), (FULL, "http://evil/")];
    let found = dir.search(&env, |s| endpoint_at(s, &place.url("")));
    assert_eq!(found.unwrap().unwrap().credentials.id, "A");
    let seen = &place.seen()[0];
    assert!(seen.starts_with("GET /v2/x HTTP/1.1\r\n"), "{seen}");
    assert_eq!(BASE, "http://169.254.170.2");
    for path in ["v2/x", "@evil/", ".evil/", ":80/", "?", "/ x"] {
        let e = dir.search(&[(RELATIVE, path)], endpoint).unwrap_err();
        assert_eq!((e.exit(), e.what()), (Exit::Config, RELATIVE), "{path}");
    }
}

#[test]
fn the_token() {
    let dir = Dir::new();
    let file = dir.write("token", "Basic file==");
    let place = Place::start(vec![(200, KEYS); 3]);
    let url = place.url("/");
    for (env, expected) in [
        (vec![(TOKEN, "Bearer x y")], "Bearer x y"),
        (vec![(TOKEN_FILE, &*file)], "Basic file=="),
        (vec![(TOKEN, "no"), (TOKEN_FILE, &file)], "Basic file=="),
    ] {
        with_url(&dir, &url, &env).unwrap();
        let seen = place.seen();
        let header = format!("\r\nauthorization: {expected}\r\n");
        assert!(seen.last().unwrap().contains(&header), "{seen:?}");
    }
    let gone = dir.path("gone");
    let bad = dir.write("bad", "hush\n");
    let long = dir.write("long", "x".repeat(LIMIT + 1));
    for (name, value, what, why) in [
        (TOKEN, "hush\n", TOKEN, "line end"),
        (TOKEN, "hu\r\nX: sh", TOKEN, "line end"),
        (TOKEN, "hüsh", TOKEN, "cannot be sent"),
        (TOKEN_FILE, &bad, &bad, "line end"),
        (TOKEN_FILE, &gone, &gone, "no such file"),
        (TOKEN_FILE, &long, &long, "larger than 64 KiB"),
    ] {
        let e = with_url(&dir, &url, &[(name, value)]).unwrap_err();
        assert_eq!((e.exit(), e.what()), (Exit::Config, what));
        assert!(e.why().contains(why) && !e.why().contains("hu"), "{e}");
    }
    assert_eq!(place.seen().len(), 3);
}

#[test]
fn where_plain_http_may_go() {
    for good in [
        "http://localhost/",
        "http://LOCALHOST:1/",
        "http://127.0.0.1/",
        "http://127.3.2.1:80",
        "http://[::1]:1/x",
        "http://169.254.170.2/",
        "http://169.254.170.23/v1/credentials",
        "http://[fd00:ec2::23]/",
        "https://example.com/x",
    ] {
        assert!(full(good.to_string()).is_ok(), "{good}");
    }
    for bad in [
        "http://example.com/hush",
        "http://10.0.0.1/",
        "http://169.254.170.3/",
        "http://169.254.169.254/",
        "http://127.0.0.1.evil/",
        "http://127.0.0.1@evil/",
        "http://localhost.evil/",
        "http://[fd00:ec2::24]/",
        "http://[::]/",
        "http://0.0.0.0/",
        "http://2130706433/",
        "ftp://127.0.0.1/",
        "127.0.0.1/x",
        "http:///x",
        "https://u:hush@x/",
        "hush",
    ] {
        let e = full(bad.to_string()).err().expect(bad);
        assert_eq!((e.exit(), e.what()), (Exit::Config, FULL));
        assert!(!e.why().contains("hush"), "{e}");
    }
}

#[test]
fn a_busy_agent_gets_time() {
    let dir = Dir::new();
    let place = Place::start(vec![(503, "hush"), (429, ""), (200, KEYS)]);
    assert!(with_url(&dir, &place.url("/"), &[]).is_ok());
    assert_eq!(place.seen().len(), 3);

    let place = Place::start(vec![(500, "hush"); 3]);
    let e = with_url(&dir, &place.url("/hush"), &[]).unwrap_err();
    assert_eq!(e.exit(), Exit::Denied);
    let shown = format!("container endpoint {}", place.url(""));
    assert_eq!((e.what(), e.why()), (&*shown, "it answered 500"));
    assert_eq!(place.seen().len(), 3);
}

#[test]
fn refused() {
    let dir = Dir::new();
    let long = "x".repeat(LIMIT + 1);
    let no_id = r#"{"SecretAccessKey":"hush"}"#;
    for (status, body, exit, why) in [
        (404, KEYS, Exit::Denied, "it answered 404"),
        (401, "hush", Exit::Denied, "it answered 401"),
        (307, "", Exit::Denied, "it answered 307"),
        (200, "hush", Exit::Config, "its answer is no JSON object"),
        (200, "", Exit::Config, "its answer is no JSON object"),
        (200, no_id, Exit::Config, "AccessKeyId is missing"),
        (200, &long, Exit::Config, "longer than 64 KiB"),
    ] {
        let place = Place::start(vec![(status, body)]);
        let e = with_url(&dir, &place.url("/hush"), &[]).unwrap_err();
        assert_eq!(e.exit(), exit, "{e}");
        assert!(e.why().contains(why), "{e}");
        assert!(!e.to_string().contains("hush"), "{e}");
        assert_eq!(place.seen().len(), 1);
    }
    // Nobody listens there.
    let e = with_url(&dir, "http://127.0.0.1:9/hush", &[]).unwrap_err();
    assert_eq!(e.exit(), Exit::Denied);
    assert!(e.why().contains("refused"), "{e}");
}
