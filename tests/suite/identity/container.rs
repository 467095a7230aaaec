//! The endpoint that a container's agent offers.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use std::fs;
use std::time::SystemTime;

use super::{asked, ear, imds, is_discreet, past_proxies, private, signer};
use crate::proxy::{Answer, Fault, Match, Proxy};
use crate::support::{BUCKET, Run, Scratch, Server, s3pipe_alone};
use s3pipe::parts::Utc;

const FULL: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
const TOKEN: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN";
const TOKEN_FILE: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE";

/// What it answers.
pub(super) fn key(id: &str) -> String {
    format!(
        r#"{{"RoleArn":"arn:aws:iam::1:role/x","AccessKeyId":"{id}","SecretAccessKey":"hush",
            "Token":"TOKEN/+=","Expiration":"2099-01-01T00:00:00Z"}}"#
    )
}

/// A stand-in for the agent that gives a key with this id to whoever asks.
pub(super) fn agent(id: &str) -> Proxy {
    let proxy = ear();
    proxy.clear();
    let answer = Answer::new(200, "OK").body(key(id));
    proxy.always(Match::method("GET"), Fault::Status(answer));
    proxy
}

fn at(scratch: &Scratch, url: &str) -> Run {
    s3pipe_alone(scratch.path())
        .option("-b", BUCKET)
        .env(FULL, url)
}

#[test]
fn the_key_that_the_agent_gives() {
    let (service, agent, scratch) = (ear(), agent("TASK"), Scratch::new());
    let url = format!("{}/hush?id=hush", agent.url());
    let run = || at(&scratch, &url).option("--endpoint", &service.url());
    let seen = asked(&service, run().env(TOKEN, "Bearer HUSHTOKEN"));
    assert_eq!(signer(&seen).0, "TASK");
    assert_eq!(seen.header("x-amz-security-token"), Some("TOKEN/+="));
    let seen = &agent.seen()[0];
    assert_eq!((&*seen.method, &*seen.target), ("GET", "/hush?id=hush"));
    assert_eq!(seen.header("authorization"), Some("Bearer HUSHTOKEN"));

    let file = private(scratch.path().join("token"), "HUSHTOKEN");
    let run = run().env(TOKEN, "other").env(TOKEN_FILE, &file);
    let outcome = run.args(["-v", "list"]).run();
    let said = format!("credentials: container endpoint {}\n", agent.url());
    is_discreet(&outcome.ok_saying(&said));
    let seen = &agent.seen()[1];
    assert_eq!(seen.header("authorization"), Some("HUSHTOKEN"));
}

#[test]
fn it_is_asked_past_all_proxies() {
    let (service, agent, scratch) = (ear(), agent("TASK"), Scratch::new());
    let run = at(&scratch, &agent.url()).option("--endpoint", "http://127.0.0.1:9");
    past_proxies(&service, run, "TASK");
    assert_eq!(agent.seen()[0].target, "/");
}

#[test]
fn expired_keys_are_asked_for_again() {
    let (service, agent, scratch) = (ear(), agent("NEW"), Scratch::new());
    agent.clear();
    for (times, id) in [(1, "OLD"), (usize::MAX, "NEW")] {
        let fault = Fault::Status(Answer::new(200, "OK").body(key(id)));
        let when = Match::any();
        agent.rule(crate::proxy::Rule { when, fault, times });
    }
    service.clear();
    let old = |seen: &crate::proxy::Seen| signer(seen).0 == "OLD";
    let expired = Fault::Status(Answer::expired_token());
    service.always(Match::any().when(old), expired);
    let listing = "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>";
    let listing = Fault::Status(Answer::new(200, "OK").body(listing));
    service.always(Match::any(), listing);
    let run = at(&scratch, &agent.url()).option("--endpoint", &service.url());
    run.arg("list").run().ok();
    let ids: Vec<_> = service.seen().iter().map(|seen| signer(seen).0).collect();
    assert_eq!(ids[..2], ["OLD", "NEW"]);
    assert_eq!(agent.seen().len(), 2);
}

#[test]
fn no_other_place_is_asked_in_its_stead() {
    let (agent, scratch) = (agent("TASK"), Scratch::new());
    let instance = imds::instance("ROLE");
    agent.clear();
    agent.always(
        Match::any(),
        Fault::Status(Answer::new(404, "Not Found").body("hush")),
    );
    let run = |url: &str| {
        at(&scratch, url)
            .env_remove("AWS_EC2_METADATA_DISABLED")
            .env(imds::VARIABLE, instance.url())
            .option("--endpoint", "http://127.0.0.1:9")
            .arg("list")
    };
    let place = format!("s3pipe: container endpoint {}: ", agent.url());
    let url = agent.url() + "/hush";
    let outcome = run(&url).run();
    let outcome = outcome.fails(77, &format!("{place}it answered 404\n"));
    assert!(!outcome.stderr.contains("hush"), "{outcome}");
    agent.down();
    run(&url)
        .run()
        .fails(77, &format!("{place}Connection refused"));
    run("http://example.com/hush").run().fails(78, FULL);
    let outcome = run(&agent.url()).env(TOKEN, "hush\n").run();
    assert!(!outcome.fails(78, TOKEN).stderr.contains("hush"));
    assert!(instance.seen().is_empty());
}

/// A URL by which anybody can read an object of [`BUCKET`] (SigV4 in the
/// query; S3's documentation, 'Authenticating Requests: Using Query
/// Parameters').
fn presigned(server: &Server, key: &str) -> String {
    let now = Utc::from_system(SystemTime::now());
    let scope = format!("{}/{}/s3/aws4_request", now.date(), server.region);
    let credential = format!("{}/{scope}", server.id).replace('/', "%2F");
    let query = format!(
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={credential}&X-Amz-Date={}\
         &X-Amz-Expires=600&X-Amz-SignedHeaders=host",
        now.basic()
    );
    let (_, host) = server.endpoint.split_once("//").expect("a URL");
    let path = format!("/{BUCKET}/{key}");
    let request = format!("GET\n{path}\n{query}\nhost:{host}\n\nhost\nUNSIGNED-PAYLOAD");
    let hash = hex(&Sha256::digest(request));
    let text = format!("AWS4-HMAC-SHA256\n{}\n{scope}\n{hash}", now.basic());
    let mac = |key: Vec<u8>, text: &str| {
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("a key");
        mac.update(text.as_bytes());
        mac.finalize().into_bytes().to_vec()
    };
    let secret = format!("AWS4{}", server.key).into_bytes();
    let signature = scope.split('/').fold(secret, mac);
    let signature = hex(&mac(signature, &text));
    format!(
        "{}{path}?{query}&X-Amz-Signature={signature}",
        server.endpoint
    )
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn over_https_to_anywhere_with_a_good_certificate() {
    let (service, scratch) = (ear(), Scratch::new());
    let server = Server::embedded_tls(&scratch);
    fs::write(server.object("key"), key("TASK")).expect("an object");
    let url = presigned(&server, "key");
    let run = || at(&scratch, &url).option("--endpoint", &service.url());
    let ca = server.ca.as_deref().expect("an authority");
    let seen = asked(&service, run().env("AWS_CA_BUNDLE", ca));
    assert_eq!(signer(&seen).0, "TASK");

    let place = format!("s3pipe: container endpoint {}: ", server.endpoint);
    let other = Scratch::new();
    let stranger = Server::embedded_tls(&other);
    let ca = stranger.ca.as_deref().expect("an authority");
    let outcome = run().env("AWS_CA_BUNDLE", ca).arg("list").run();
    // Both authorities have one name, so the signature tells them apart.
    let outcome = outcome.fails(77, &place);
    assert!(outcome.stderr.contains("certificate"), "{outcome}");
    assert!(!outcome.stderr.contains("X-Amz"), "{outcome}");
}
