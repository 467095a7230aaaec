//! The instance metadata service, and machines that have none.

use super::{asked, ear, is_discreet, past_proxies, signer};
use crate::proxy::{Answer, Fault, Match, Proxy};
use crate::support::{BUCKET, Run, Scratch, s3pipe_alone};

pub(super) const VARIABLE: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
const ROLES: &str = "/latest/meta-data/iam/security-credentials/";

/// A stand-in for the service that gives a key with this id to those who
/// have a session's token, and to nobody else.
pub(super) fn instance(id: &str) -> Proxy {
    let proxy = ear();
    proxy.clear();
    let key = format!(
        r#"{{"Code":"Success","Type":"AWS-HMAC","AccessKeyId":"{id}","SecretAccessKey":"hush",
            "Token":"TOKEN/+=","Expiration":"2099-01-01T00:00:00Z"}}"#
    );
    let asks = |seen: &crate::proxy::Seen| {
        let ttl = seen.header("x-aws-ec2-metadata-token-ttl-seconds");
        ttl == Some("21600") && seen.header("x-forwarded-for").is_none()
    };
    let has =
        |seen: &crate::proxy::Seen| seen.header("x-aws-ec2-metadata-token") == Some("SESSION==");
    let (put, get) = (Match::method("PUT"), || Match::method("GET").when(has));
    let token = put.target("/latest/api/token").when(asks);
    let role = get().target(&format!("{ROLES}web@1"));
    for (when, body) in [
        (token, "SESSION=="),
        (role, &*key),
        (get().target(ROLES), "web@1\n"),
    ] {
        proxy.always(when, Fault::Status(Answer::new(200, "OK").body(body)));
    }
    let refused = Fault::Status(Answer::new(401, "Unauthorized"));
    proxy.always(Match::any(), refused);
    proxy
}

fn at(scratch: &Scratch, service: &Proxy) -> Run {
    s3pipe_alone(scratch.path())
        .option("-b", BUCKET)
        .env_remove("AWS_EC2_METADATA_DISABLED")
        .env(VARIABLE, service.url())
}

#[test]
fn the_role_of_the_instance() {
    let (service, instance, scratch) = (ear(), instance("ROLE"), Scratch::new());
    let run = || at(&scratch, &instance).option("--endpoint", &service.url());
    let seen = asked(&service, run());
    assert_eq!(signer(&seen).0, "ROLE");
    assert_eq!(seen.header("x-amz-security-token"), Some("TOKEN/+="));
    let seen = instance.seen();
    let requests: Vec<_> = seen.iter().map(|s| (&*s.method, &*s.target)).collect();
    let role = format!("{ROLES}web@1");
    let expected = [
        ("PUT", "/latest/api/token"),
        ("GET", ROLES),
        ("GET", &*role),
    ];
    assert_eq!(requests, expected);
    assert_eq!(seen[0].header("content-length"), Some("0"));

    let outcome = run().args(["-v", "list"]).run();
    let url = instance.url();
    let said = format!("credentials: role web@1, from the instance metadata service {url}\n");
    let outcome = outcome.ok_saying(&said);
    is_discreet(&outcome);
    for secret in ["TOKEN", "SESSION"] {
        assert!(!outcome.stderr.contains(secret), "{outcome}");
    }
}

#[test]
fn it_is_asked_past_all_proxies() {
    let (service, instance, scratch) = (ear(), instance("ROLE"), Scratch::new());
    let run = at(&scratch, &instance).option("--endpoint", "http://127.0.0.1:9");
    past_proxies(&service, run, "ROLE");
    assert_eq!(instance.seen().len(), 3);
}

#[test]
fn machines_without_one() {
    let scratch = Scratch::new();
    let fails = |service: &Proxy, why: &str| {
        let run = at(&scratch, service).option("--endpoint", "http://127.0.0.1:9");
        let outcome = run
            .arg("list")
            .run()
            .fails(77, "s3pipe: credentials: none in ");
        let home = scratch.path().display();
        for place in [
            "the environment, ".to_string(),
            format!("{home}/.s3pipe.properties, "),
            format!("{home}/.aws/credentials and {home}/.aws/config, "),
            "a container endpoint, ".to_string(),
            format!("the instance metadata service {} ({why})\n", service.url()),
        ] {
            assert!(outcome.stderr.contains(&place), "{place}: {outcome}");
        }
    };
    // What other clouds, and firewalls, do.
    let proxy = || {
        let proxy = ear();
        proxy.clear();
        proxy
    };
    let other = proxy();
    other.always(Match::any(), Fault::Status(Answer::new(404, "Not Found")));
    fails(&other, "it answered 404");
    assert_eq!(other.seen().len(), 1);
    let silent = proxy();
    silent.always(Match::any(), Fault::StallRequest);
    fails(&silent, "no answer");
    assert_eq!(silent.seen().len(), 2);
    let gone = proxy();
    gone.down();
    fails(&gone, "Connection refused");
}

#[test]
fn it_can_be_switched_off() {
    let (instance, scratch) = (instance("ROLE"), Scratch::new());
    let run = at(&scratch, &instance).env("AWS_EC2_METADATA_DISABLED", "true");
    let why = "the instance metadata service (AWS_EC2_METADATA_DISABLED is set)\n";
    run.arg("list").run().fails(77, why);
    assert!(instance.seen().is_empty());
}

#[test]
fn a_role_that_gives_no_key() {
    let (instance, scratch) = (instance("ROLE"), Scratch::new());
    let all: Vec<_> = [("PUT", "SESSION"), ("GET", "web@1")]
        .map(|(method, body)| (Match::method(method), body))
        .into();
    instance.clear();
    let failed = r#"{"Code":"AssumeRoleUnauthorizedAccess","Message":"hush"}"#;
    let failed = Fault::Status(Answer::new(200, "OK").body(failed));
    instance.always(Match::any().target("web@1"), failed);
    for (when, body) in all {
        instance.always(when, Fault::Status(Answer::new(200, "OK").body(body)));
    }
    let outcome = at(&scratch, &instance).arg("list").run();
    let why = "it gave no key for role web@1: AssumeRoleUnauthorizedAccess\n";
    assert!(!outcome.fails(77, why).stderr.contains("hush"));
}
