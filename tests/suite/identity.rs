//! Who s3pipe acts as, and where that is written: the places in their order,
//! what goes with which key, and that no secret is ever shown.

mod boto;
mod container;
pub mod headers;
mod imds;
mod keyfiles;
mod process;
mod refresh;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::proxy::{Answer, Fault, Match, Proxy, Seen};
use crate::support::{BUCKET, Outcome, Run, Scratch, Server, s3pipe, s3pipe_alone};

/// A service that has an empty listing for everybody, and notes who asked.
fn ear() -> Proxy {
    let nobody = "127.0.0.1:9".parse().expect("an address");
    let proxy = Proxy::start(nobody);
    let listing = "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>";
    let answer = Answer::new(200, "OK").body(listing);
    proxy.always(Match::any(), Fault::Status(answer));
    proxy
}

/// Who made a request: the access key's id, and the region it was signed for.
fn signer(seen: &Seen) -> (String, String) {
    let text = seen.header("authorization").expect("a signature");
    let (_, scope) = text.split_once("Credential=").expect("a credential");
    let mut parts = scope.split('/');
    let mut part = || parts.next().expect("a part of the scope").to_string();
    let (id, _date, region) = (part(), part(), part());
    (id, region)
}

/// Runs `list` and gives the request for the manifests; the others that it
/// made of `service` were made by the same user.
#[track_caller]
fn asked(service: &Proxy, run: Run) -> Seen {
    let before = service.seen().len();
    run.arg("list").run().ok();
    let seen = service.seen().split_off(before);
    let found = seen.iter().find(|s| s.target.contains("manifest%2F"));
    let found = found.expect("a request for the manifests");
    assert!(seen.iter().all(|s| signer(s) == signer(found)), "{seen:#?}");
    found.clone()
}

/// With this service as its proxy, in every variable that names one: what is
/// asked for at 127.0.0.1:9 goes through it, signed by this key, and nothing
/// else does.
#[track_caller]
fn past_proxies(service: &Proxy, mut run: Run, id: &str) {
    for name in ["ALL_PROXY", "HTTP_PROXY", "http_proxy"] {
        run = run.env(name, service.url());
    }
    run.arg("list").run().ok();
    let seen = service.seen();
    let (tunnels, requests): (Vec<_>, Vec<_>) = seen.iter().partition(|s| s.method == "CONNECT");
    assert!(
        tunnels.iter().all(|s| s.target == "127.0.0.1:9"),
        "{seen:?}"
    );
    assert!(!requests.is_empty() && requests.iter().all(|s| signer(s).0 == id));
}

/// Writes a file that only its owner can read, with the folders above it.
fn private(path: PathBuf, content: impl AsRef<[u8]>) -> String {
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(&path, content).expect("a file");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("its mode");
    path.to_str().expect("a UTF-8 path").to_string()
}

/// A key file's text.
fn keys(id: &str) -> String {
    format!("aws.id={id}\naws.key=secret\n")
}

/// A profile's text.
fn profile(section: &str, id: &str) -> String {
    format!("[{section}]\naws_access_key_id = {id}\naws_secret_access_key = secret\n")
}

fn with_pair(run: Run, id: &str) -> Run {
    run.env("AWS_ACCESS_KEY_ID", id)
        .env("AWS_SECRET_ACCESS_KEY", "secret")
}

#[test]
fn the_first_place_that_has_keys_wins() {
    let (service, scratch) = (ear(), Scratch::new());
    let home = scratch.path();
    let named = private(home.join("named"), keys("NAMED"));
    let variable = private(home.join("variable"), keys("VARIABLE"));
    // From the last to the first.
    type Place<'a> = (&'a str, Box<dyn Fn(Run) -> Run + 'a>);
    let config = profile("default", "CONFIG");
    let credentials = profile("default", "SHARED") + &profile("p", "PROFILE");
    let file = |name: &'static str, text: String| {
        move |run| {
            private(home.join(name), &text);
            run
        }
    };
    let places: [Place; 7] = [
        ("CONFIG", Box::new(file(".aws/config", config))),
        ("SHARED", Box::new(file(".aws/credentials", credentials))),
        (
            "DEFAULT",
            Box::new(file(".s3pipe.properties", keys("DEFAULT"))),
        ),
        ("PAIR", Box::new(|run| with_pair(run, "PAIR"))),
        (
            "VARIABLE",
            Box::new(|run| run.env("S3PIPE_KEYFILE", &variable)),
        ),
        ("PROFILE", Box::new(|run| run.option("--profile", "p"))),
        (
            "NAMED",
            Box::new(|run| run.without("--profile").option("--keyfile", &named)),
        ),
    ];
    for last in 0..places.len() {
        let mut run = s3pipe_alone(home).option("-b", BUCKET);
        run = run.env("AWS_ENDPOINT_URL", service.url());
        for (_, add) in &places[..=last] {
            run = add(run);
        }
        assert_eq!(signer(&asked(&service, run)).0, places[last].0);
    }
}

#[test]
fn what_stands_beside_a_key_goes_with_that_key_alone() {
    let (service, other, scratch) = (ear(), ear(), Scratch::new());
    let text = format!(
        "{}endpoint={}\nregion=file-1\nbucket=filebucket\nprefix=file/\n",
        keys("FILE"),
        other.url()
    );
    let file = private(scratch.path().join(".s3pipe.properties"), text);
    let alone = || s3pipe_alone(scratch.path()).env("AWS_ENDPOINT_URL", service.url());

    let seen = asked(&other, alone());
    assert_eq!(signer(&seen), ("FILE".into(), "file-1".into()));
    let target = &seen.target;
    assert!(target.starts_with("/filebucket?"), "{target}");
    assert!(target.contains("prefix=file%2Fmanifest%2F"), "{target}");

    let seen = asked(&service, with_pair(alone(), "PAIR").option("-b", BUCKET));
    assert_eq!(signer(&seen), ("PAIR".into(), "us-east-1".into()));
    assert!(seen.target.contains("prefix=s3pipe%2F"), "{}", seen.target);
    with_pair(alone(), "PAIR")
        .arg("list")
        .run()
        .fails(64, "--bucket: missing");
    let others = other.seen();
    assert!(others.iter().all(|seen| signer(seen).0 == "FILE"));
    assert_eq!(asked(&other, alone().option("-k", &file)).method, "GET");
}

#[test]
fn the_command_line_comes_before_variables_and_these_before_files() {
    let (service, scratch) = (ear(), Scratch::new());
    let text = keys("FILE") + "bucket=filebucket\nprefix=file/\nregion=file-1\n";
    let file = private(scratch.path().join("keys"), text);
    let run = || {
        s3pipe_alone(scratch.path())
            .option("-k", &file)
            .option("--endpoint", &service.url())
    };
    let variable = || run().env("S3PIPE_BUCKET", "varbucket");
    for (run, bucket) in [
        (run(), "/filebucket?"),
        (variable(), "/varbucket?"),
        (variable().option("-b", "argbucket"), "/argbucket?"),
        // Set but empty is not set.
        (run().env("S3PIPE_BUCKET", ""), "/filebucket?"),
    ] {
        let seen = asked(&service, run);
        assert!(seen.target.starts_with(bucket), "{}", seen.target);
    }
    let seen = asked(&service, run().option("--prefix", "arg/"));
    assert!(seen.target.contains("prefix=arg%2F"), "{}", seen.target);
    let seen = asked(&service, run().arg("--prefix="));
    let expected = "prefix=manifest%2F";
    assert!(seen.target.contains(expected), "{}", seen.target);
    let seen = asked(&service, run().option("--region", "arg-1"));
    assert_eq!(signer(&seen).1, "arg-1");
}

#[test]
fn regions_and_endpoints_in_the_environment() {
    let (service, other, scratch) = (ear(), ear(), Scratch::new());
    let pair = || with_pair(s3pipe_alone(scratch.path()), "PAIR").option("-b", BUCKET);
    let run = || pair().env("AWS_ENDPOINT_URL_S3", service.url());
    for (run, region) in [
        (run(), "us-east-1"),
        (run().env("AWS_DEFAULT_REGION", "default-1"), "default-1"),
        (
            run()
                .env("AWS_DEFAULT_REGION", "default-1")
                .env("AWS_REGION", "eu-1"),
            "eu-1",
        ),
        (
            run().env("AWS_REGION", "eu-1").option("--region", "arg-1"),
            "arg-1",
        ),
        (run().env("AWS_REGION", ""), "us-east-1"),
    ] {
        assert_eq!(signer(&asked(&service, run)).1, region);
    }
    let both = || run().env("AWS_ENDPOINT_URL", other.url());
    asked(&service, both());
    asked(&other, both().option("--endpoint", &other.url()));
    asked(&other, pair().env("AWS_ENDPOINT_URL", other.url()));
}

#[test]
fn profiles() {
    let (service, other, scratch) = (ear(), ear(), Scratch::new());
    let home = scratch.path();
    let credentials = profile("default", "DEFAULT") + &profile("work", "WORK");
    private(home.join(".aws/credentials"), credentials);
    let url = service.url();
    let config = format!(
        "[default]\nregion = default-1\nendpoint_url = {url}\n\
         [profile work]\nregion = work-1 # comment\nendpoint_url = {url}\n\
         {}region = conf-1\nservices = local\nendpoint_url = {}\n\
         [services local]\ns3 =\n  endpoint_url = {url}\n",
        profile("profile \"conf\"", "CONF"),
        other.url()
    );
    private(home.join(".aws/config"), config);
    let alone = || s3pipe_alone(home).option("-b", BUCKET);
    for (run, id, region) in [
        (alone(), "DEFAULT", "default-1"),
        (alone().env("AWS_PROFILE", "work"), "WORK", "work-1"),
        (alone().env("AWS_DEFAULT_PROFILE", "work"), "WORK", "work-1"),
        (alone().option("--profile", "conf"), "CONF", "conf-1"),
        (
            alone()
                .env("AWS_PROFILE", "work")
                .option("--profile", "conf"),
            "CONF",
            "conf-1",
        ),
    ] {
        assert_eq!(
            signer(&asked(&service, run)),
            (id.to_string(), region.to_string())
        );
    }
    assert_eq!(other.seen().len(), 0);

    let elsewhere = private(home.join("elsewhere"), profile("default", "ELSEWHERE"));
    let run = alone().env("AWS_SHARED_CREDENTIALS_FILE", &elsewhere);
    assert_eq!(signer(&asked(&service, run)).0, "ELSEWHERE");
    let text = profile("profile new", "NEW") + &format!("endpoint_url = {url}\n");
    let elsewhere = private(home.join("new"), text);
    let run = alone().env("AWS_CONFIG_FILE", &elsewhere);
    let seen = asked(&service, run.option("--profile", "new"));
    assert_eq!(signer(&seen), ("NEW".into(), "us-east-1".into()));

    let gone = |run: Run, text: &str| run.arg("list").run().fails(78, text);
    gone(alone().option("--profile", "gone"), "profile gone: not in ");
    gone(alone().env("AWS_PROFILE", "gone"), "profile gone: not in ");
    assert_eq!(other.seen().len(), 0);
}

#[test]
fn none_and_half() {
    let scratch = Scratch::new();
    let alone = || {
        let run = s3pipe_alone(scratch.path()).args(["list", "-b", BUCKET]);
        run.env("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    };
    let outcome = alone().run().fails(77, "credentials: ");
    let home = scratch.path().display();
    for place in [
        "the environment".to_string(),
        format!("{home}/.s3pipe.properties"),
        "/usr/local/etc/s3pipe.properties".to_string(),
        format!("{home}/.aws/credentials"),
        format!("{home}/.aws/config"),
    ] {
        assert!(outcome.stderr.contains(&place), "{place}: {outcome}");
    }
    alone().env_remove("HOME").run().fails(77, "credentials: ");
    // Half a pair is a mistake, even where a whole one is in the next place.
    private(
        scratch.path().join(".aws/credentials"),
        profile("default", "WHOLE"),
    );
    let (id, secret) = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY");
    for (run, missing) in [
        (alone().env(id, "hush"), secret),
        (alone().env(id, "hush").env(secret, ""), secret),
        (alone().env(secret, "hush"), id),
    ] {
        let outcome = run.run().fails(77, &format!("{missing} is not"));
        assert!(!outcome.stderr.contains("hush"), "{outcome}");
    }
    let bad = alone().env(id, "A").env(secret, "hu\nsh").run();
    assert!(!bad.fails(78, secret).stderr.contains("hu"));
}

#[test]
fn wrong_keys_are_told_apart_from_missing_ones() {
    let scratch = Scratch::new();
    let server = Server::embedded(&scratch);
    let wrong = s3pipe(&server).env("AWS_SECRET_ACCESS_KEY", "hush");
    let outcome = wrong.arg("list").run().fails(77, "SignatureDoesNotMatch");
    assert!(!outcome.stderr.contains("hush"), "{outcome}");
    let wrong = s3pipe(&server).env("AWS_ACCESS_KEY_ID", "OTHER");
    wrong.arg("list").run().fails(77, "list: test: 403 ");
    let wrong = s3pipe(&server).env("AWS_ACCESS_KEY_ID", "OTHER");
    let wrong = wrong.args(["upload", "-s", "n"]).stdin("data");
    wrong
        .run()
        .fails(77, "upload: test/s3pipe/manifest/n: 403 ");
    assert!(server.objects().is_empty());
}

#[test]
fn session_tokens_are_sent_and_signed() {
    let (service, scratch) = (ear(), Scratch::new());
    let text = keys("FILE") + "aws.token = TOKEN/+=\n";
    let file = private(scratch.path().join("keys"), text);
    let text = profile("default", "SHARED") + "aws_session_token=TOKEN/+=\n";
    let shared = private(scratch.path().join("shared"), text);
    let alone = || {
        let run = s3pipe_alone(scratch.path()).option("-b", BUCKET);
        run.option("--endpoint", &service.url())
    };
    for run in [
        alone().option("-k", &file),
        alone().env("AWS_SHARED_CREDENTIALS_FILE", &shared),
        with_pair(alone(), "PAIR").env("AWS_SESSION_TOKEN", "TOKEN/+="),
    ] {
        let seen = asked(&service, run);
        assert_eq!(seen.header("x-amz-security-token"), Some("TOKEN/+="));
        assert!(
            headers::is_signed(&seen, "x-amz-security-token"),
            "{seen:?}"
        );
    }
    // It belongs to the pair, not to other keys.
    let run = alone().option("-k", &private(scratch.path().join("plain"), keys("PLAIN")));
    let seen = asked(&service, run.env("AWS_SESSION_TOKEN", "TOKEN"));
    assert_eq!(seen.header("x-amz-security-token"), None);
}

/// Nothing secret in an outcome, whatever it is about.
#[track_caller]
fn is_discreet(outcome: &Outcome) {
    for secret in ["s3pipe/test+secret", "HUSHTOKEN", "hush"] {
        assert!(!outcome.stderr.contains(secret), "{secret}: {outcome}");
    }
}

#[test]
fn nothing_private_is_shown() {
    let scratch = Scratch::new();
    let server = Server::embedded(&scratch);
    let text = format!(
        "aws.id={}\naws.key={}\naws.token=HUSHTOKEN\nendpoint={}\n",
        server.id, server.key, server.endpoint
    );
    let file = private(scratch.path().join("keys"), text);
    let run = || {
        let run = s3pipe_alone(&server.home).option("-b", BUCKET);
        run.option("-k", &file).arg("-v")
    };
    let upload = run().args(["upload", "-s", "n"]).stdin_open();
    let mut running = upload.spawn();
    running.wait_for_stderr("GET test/s3pipe/upload/n/");
    assert_arguments_are_clean(running.pid());
    running.feed(b"data");
    running.feed_end();
    is_discreet(&running.wait().ok_saying("PUT test/s3pipe/manifest/n: 200"));
    let outcome = run().args(["download", "-s", "n"]).run();
    is_discreet(&outcome.ok_saying(&format!("credentials: key file {file}")));
    let wrong = run().option("-k", &private(scratch.path().join("wrong"), keys("hush")));
    is_discreet(&wrong.args(["list", "--endpoint", &server.endpoint]).run());
}

fn assert_arguments_are_clean(pid: u32) {
    let ps = Command::new("ps")
        .args(["-ww", "-o", "args=", "-p", &pid.to_string()])
        .output();
    let ps = ps.expect("ps runs").stdout;
    let shown = String::from_utf8(ps).expect("UTF-8");
    assert!(shown.contains("upload"), "{shown}");
    assert!(
        !shown.contains("secret") && !shown.contains("HUSH"),
        "{shown}"
    );
}

#[test]
fn a_certificate_bundle_in_the_environment() {
    let scratch = Scratch::new();
    let server = Server::embedded_tls(&scratch);
    let ca = server.ca.as_deref().expect("an authority");
    let run = || s3pipe(&server).without("--ca-file").arg("list");
    run().env("AWS_CA_BUNDLE", ca).run().ok();
    let other: &Path = &scratch.file("other.pem", "");
    let both = run().env("AWS_CA_BUNDLE", other);
    both.arg("--ca-file").arg(ca).run().ok();
    run()
        .env("AWS_CA_BUNDLE", other)
        .run()
        .fails(78, "other.pem: ");
    run().run().fails(69, "list: test: ");
}
