//! The instance metadata service, against a stand-in of it.

use super::super::testing::{Dir, Place};
use super::*;

const VARIABLE: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
const KEYS: &str = r#"{"Code":"Success","Type":"AWS-HMAC","AccessKeyId":"A",
    "SecretAccessKey":"hush","Token":"hush==","Expiration":"2026-11-23T01:02:03Z"}"#;

fn at(dir: &Dir, url: &str) -> Result<Found> {
    dir.obtain(None, None, &[(VARIABLE, url)])
}

#[test]
fn token_role_and_key() {
    let dir = Dir::new();
    for slash in ["", "/"] {
        let place = Place::start(vec![(200, "TOKEN=="), (200, "a.role@x\n"), (200, KEYS)]);
        let found = at(&dir, &place.url(slash)).unwrap();
        let credentials = &found.credentials;
        assert_eq!((&*credentials.id, &*credentials.secret), ("A", "hush"));
        assert_eq!(credentials.token.as_deref(), Some("hush=="));
        assert_eq!(found.expires.unwrap().rfc3339(), "2026-11-23T01:02:03Z");
        assert!(!found.fixed && found.aws);
        let url = place.url("");
        let source = format!("role a.role@x, from the instance metadata service {url}");
        assert_eq!(found.source, source);
        let seen = place.seen();
        let first = "PUT /latest/api/token HTTP/1.1\r\n";
        assert!(seen[0].starts_with(first), "{seen:?}");
        let ttl = "\r\nx-aws-ec2-metadata-token-ttl-seconds: 21600\r\n";
        assert!(seen[0].contains(ttl), "{seen:?}");
        for (seen, role) in [(&seen[1], ""), (&seen[2], "a.role@x")] {
            let line = format!("GET {ROLES_PATH}{role} HTTP/1.1\r\n");
            assert!(seen.starts_with(&line), "{seen}");
            assert!(
                seen.contains("\r\nx-aws-ec2-metadata-token: TOKEN==\r\n"),
                "{seen}"
            );
        }
    }
}

/// What moto says; no tool of Amazon's asks for more.
#[test]
fn a_key_without_a_code() {
    let keys = KEYS.replace(r#""Code":"Success","Type":"AWS-HMAC","#, "");
    assert!(keys.len() < KEYS.len());
    let place = Place::start(vec![(200, "t"), (200, "default-role"), (200, &keys)]);
    let found = at(&Dir::new(), &place.url("")).unwrap();
    let credentials = &found.credentials;
    assert_eq!((&*credentials.id, &*credentials.secret), ("A", "hush"));
    assert!(credentials.token.is_some() && found.expires.is_some());
}

#[test]
fn nothing_here() {
    let dir = Dir::new();
    let ok = (200, "TOKEN");
    for (answers, why) in [
        (vec![(404, "hush")], "it answered 404"),
        (vec![(405, "")], "it answered 405"),
        (vec![(302, "")], "it answered 302"),
        (vec![(503, ""), (500, "hush")], "it answered 500"),
        (vec![(200, "")], "its answer cannot be used"),
        (vec![(200, "a b")], "its answer cannot be used"),
        (vec![(200, "a\x01")], "its answer cannot be used"),
        (vec![ok, (404, "")], "the instance has no role"),
        (vec![ok, (200, "\n")], "the instance has no role"),
        (vec![ok, (401, "hush")], "it answered 401"),
    ] {
        let requests = answers.len();
        let place = Place::start(answers);
        let e = at(&dir, &place.url("")).unwrap_err();
        assert_eq!((e.exit(), e.what()), (Exit::Denied, "credentials"));
        let expected = format!("the instance metadata service {} ({why})", place.url(""));
        assert!(e.why().starts_with("none in the environment, "), "{e}");
        assert!(e.why().ends_with(&expected), "{e}");
        assert_eq!(place.seen().len(), requests);
    }
    // Nobody listens there.
    let url = "http://127.0.0.1:9";
    let e = at(&dir, url).unwrap_err();
    assert!(e.why().contains(url) && e.why().contains("refused"), "{e}");
    assert_eq!(e.exit(), Exit::Denied);
}

#[test]
fn a_service_that_never_answers_is_given_up() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let e = at(&Dir::new(), &url).unwrap_err();
    assert_eq!(e.exit(), Exit::Denied);
    assert!(e.why().ends_with("(no answer)"), "{e}");
}

#[test]
fn a_second_try_helps() {
    let fail = (500, "");
    let place = Place::start(vec![
        fail,
        (200, "TOKEN"),
        fail,
        (200, "role"),
        fail,
        (200, KEYS),
    ]);
    assert!(at(&Dir::new(), &place.url("")).is_ok());
    assert_eq!(place.seen().len(), 6);
}

#[test]
fn a_role_without_a_usable_key() {
    let dir = Dir::new();
    let failed = r#"{"Code":"AssumeRoleUnauthorizedAccess\n","Message":"hush"}"#;
    let no_code = KEYS.replace("Code", "code").replace("Token", "token");
    let no_key = r#"{"Code":"Success","AccessKeyId":"A"}"#;
    for (role, answer, exit, why) in [
        (
            "../../x",
            (0, ""),
            Exit::Config,
            "it named a role that cannot",
        ),
        ("a/b", (0, ""), Exit::Config, "it named a role that cannot"),
        ("a?b", (0, ""), Exit::Config, "it named a role that cannot"),
        (
            "r",
            (404, "hush"),
            Exit::Denied,
            "it answered 404 for role r",
        ),
        (
            "r",
            (200, failed),
            Exit::Denied,
            "it gave no key for role r: AssumeRoleUn",
        ),
        (
            "r",
            (200, &*no_code),
            Exit::Config,
            "Code is missing from its answer",
        ),
        (
            "r",
            (200, no_key),
            Exit::Config,
            "SecretAccessKey is missing",
        ),
        (
            "r",
            (200, "hush"),
            Exit::Config,
            "its answer is no JSON object",
        ),
    ] {
        let place = Place::start(vec![(200, "TOKEN"), (200, role), answer]);
        let e = at(&dir, &place.url("")).unwrap_err();
        assert_eq!(e.exit(), exit, "{e}");
        assert_eq!(
            e.what(),
            format!("instance metadata service {}", place.url(""))
        );
        assert!(e.why().starts_with(why), "{e}");
        assert!(!e.to_string().contains("hush"), "{e}");
    }
}

#[test]
fn where_it_is() {
    let dir = Dir::new();
    let base = |env: &[(&str, &str)]| dir.search(env, |search| base(search));
    let mode = "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE";
    let shown = |env: &[(&str, &str)]| base(env).unwrap().0;
    assert_eq!(shown(&[]), "http://169.254.169.254");
    assert_eq!(shown(&[(mode, "IPv4")]), "http://169.254.169.254");
    assert_eq!(shown(&[(mode, "IPv6")]), "http://[fd00:ec2::254]");
    let own = (VARIABLE, "http://a:1/x/");
    assert_eq!(shown(&[(mode, "IPv6"), own]), "http://a:1/x");
    dir.write(
        ".aws/config",
        "[default]\nec2_metadata_service_endpoint_mode = ipv6\n\
         [profile p]\nec2_metadata_service_endpoint = http://p\n",
    );
    assert_eq!(shown(&[]), "http://[fd00:ec2::254]");
    assert_eq!(shown(&[("AWS_PROFILE", "p")]), "http://p");
    assert_eq!(shown(&[own]), "http://a:1/x");
    for bad in [
        "hush",
        "https://a",
        "http://",
        "http://u:hush@a/",
        "file:///x",
    ] {
        let e = base(&[(VARIABLE, bad)]).err().expect(bad);
        assert_eq!((e.exit(), e.what()), (Exit::Config, VARIABLE));
        assert!(!e.why().contains("hush"), "{e}");
    }
}

#[test]
fn it_can_be_switched_off() {
    let dir = Dir::new();
    let place = Place::start(vec![(200, "TOKEN")]);
    for value in ["true", "TRUE"] {
        let url = place.url("");
        let env = [(VARIABLE, &*url), ("AWS_EC2_METADATA_DISABLED", value)];
        let e = dir.obtain(None, None, &env).unwrap_err();
        assert!(
            e.why().ends_with("(AWS_EC2_METADATA_DISABLED is set)"),
            "{e}"
        );
    }
    assert_eq!(place.seen().len(), 0);
}
