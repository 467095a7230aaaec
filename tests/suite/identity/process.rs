//! `credential_process`: what the program of a profile gets, what it gives,
//! and what becomes of both.

use std::fs;
use std::path::Path;

use super::{asked, ear, is_discreet, private, signer};
use crate::proxy::{Answer, Fault, Match};
use crate::support::{BUCKET, Run, Scratch, Server, assert_same, random, s3pipe_alone};

/// Prints a key with this id, the way AWS's tools want it.
fn key(id: &str) -> String {
    format!(
        r#"printf '{{"Version":1,"AccessKeyId":"%s","SecretAccessKey":"hush/%s",' {id} key
           echo '"SessionToken":"TOKEN/+=","Expiration":"2099-01-01T00:00:00Z"}}'"#
    )
}

/// A profile `work` whose program is this script, run with these words.
fn work(home: &Path, script: &str, words: &str, more: &str) -> String {
    let script = private(home.join("a script"), script);
    let line = format!("credential_process = sh '{script}' {words}");
    let config = format!("[profile work]\n{line}\n{more}\n");
    private(home.join(".aws/config"), config)
}

fn alone(home: &Path) -> Run {
    s3pipe_alone(home)
        .option("-b", BUCKET)
        .env("AWS_PROFILE", "work")
}

#[test]
fn the_program_of_a_profile() {
    let (service, scratch) = (ear(), Scratch::new());
    let home = scratch.path();
    let settings = format!("region = work-1\nendpoint_url = {}", service.url());
    // Words are split as a shell splits them, and nothing else is done to them.
    let words = r#"PRO"CESS" '' 'a b' "c \"d\\" e\ f $HOME *"#;
    let check = r#"test "$#:$2:$3:$4:$5:$6:$7" = '7::a b:c "d\:e f:$HOME:*' || exit 9
"#;
    let config = work(home, &format!("{check}{}", key("$1")), words, &settings);
    let seen = asked(&service, alone(home));
    assert_eq!(signer(&seen), ("PROCESS".into(), "work-1".into()));
    assert_eq!(seen.header("x-amz-security-token"), Some("TOKEN/+="));

    let run = s3pipe_alone(home).option("-b", BUCKET).args(["-v", "list"]);
    let outcome = run.option("--profile", "work").run();
    let said = format!("credentials: credential_process of profile work in {config}");
    let outcome = outcome.ok_saying(&said);
    is_discreet(&outcome);
    assert!(!outcome.stderr.contains("TOKEN"), "{outcome}");
}

#[test]
fn it_cannot_eat_the_stream_and_may_complain() {
    let scratch = Scratch::new();
    let server = Server::embedded(&scratch);
    let json = format!(
        r#"{{"Version":1,"AccessKeyId":"{}","SecretAccessKey":"{}"}}"#,
        server.id, server.key
    );
    let script = format!("cat\necho 'touch it' >&2\necho '{json}'");
    work(&server.home, &script, "", "");
    let run = || alone(&server.home).option("--endpoint", &server.endpoint);
    let data = random(1, 300_000);
    let upload = run().args(["upload", "-s", "n"]).stdin(data.clone());
    let outcome = upload.run().ok_saying("touch it\n");
    assert_eq!(outcome.stderr, "touch it\n");
    let outcome = run().args(["download", "-s", "n"]).run();
    assert_same(&outcome.ok_saying("touch it\n").stdout, &data);
}

#[test]
fn one_that_fails() {
    let scratch = Scratch::new();
    let home = scratch.path();
    for (script, status, why) in [
        ("echo {hush}; exit 3", 77, "it failed with exit status 3"),
        ("kill -TERM $$", 77, "it was killed by signal 15"),
        ("echo hush", 78, "its answer is no JSON object"),
        ("echo '{}'", 78, "its answer is not of version 1"),
        (
            "echo '{\"Version\":1,\"SecretAccessKey\":\"hush\"}'",
            78,
            "AccessKeyId is missing from its answer",
        ),
        (
            "head -c 70000 /dev/zero",
            78,
            "its answer is longer than 64 KiB",
        ),
    ] {
        work(home, script, "hush", "");
        let run = alone(home).env("AWS_ENDPOINT_URL", "http://127.0.0.1:9");
        let line = format!("s3pipe: profile work: credential_process: {why}\n");
        let outcome = run.arg("list").run().fails(status, &line);
        assert!(!outcome.stderr.contains("hush"), "{outcome}");
    }
    work(home, "echo 'log in first' >&2; exit 1", "", "");
    let outcome = alone(home).arg("list").run();
    assert_eq!(outcome.status, 77, "{outcome}");
    let expected = "log in first\n\
        s3pipe: profile work: credential_process: it failed with exit status 1\n";
    assert_eq!(outcome.stderr, expected);
}

#[test]
fn a_signal_ends_it_and_us() {
    let scratch = Scratch::new();
    let home = scratch.path();
    work(home, "echo started >&2\nexec sleep 1000", "", "");
    for (signal, status) in [("TERM", 143), ("INT", 130)] {
        let running = alone(home).arg("list").spawn();
        running.wait_for_stderr("started\n");
        running.signal(signal);
        // It holds our stderr, whose end is waited for.
        let outcome = running.wait();
        assert_eq!(outcome.status, status, "{outcome}");
        let last = format!("profile work: credential_process: stopped by SIG{signal}\n");
        assert!(outcome.stderr.ends_with(&last), "{outcome}");
    }
}

#[test]
fn expired_keys_are_asked_for_again() {
    let (service, scratch) = (ear(), Scratch::new());
    let home = scratch.path();
    service.clear();
    let first = |seen: &crate::proxy::Seen| signer(seen).0 == "ID1";
    let expired = Fault::Status(Answer::expired_token());
    service.always(Match::any().when(first), expired);
    let listing = "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>";
    let listing = Fault::Status(Answer::new(200, "OK").body(listing));
    service.always(Match::any(), listing);

    let count = home.join("count");
    let script = format!("echo >>'{0}'\nn=$(wc -l <'{0}')\n", count.display());
    let config = work(home, &(script + &key("ID$((n))")), "", "");
    let run = alone(home).option("--endpoint", &service.url());
    let outcome = run.args(["-v", "list"]).run().ok_saying(&config);
    is_discreet(&outcome);
    let ids: Vec<_> = service.seen().iter().map(|seen| signer(seen).0).collect();
    assert_eq!(ids[..2], ["ID1", "ID2"]);
    assert!(ids[1..].iter().all(|id| id == "ID2"), "{ids:?}");
    assert_eq!(fs::read_to_string(&count).expect("a count"), "\n\n");
}

#[test]
fn keys_that_only_aws_tools_can_get() {
    let scratch = Scratch::new();
    let home = scratch.path();
    for (setting, value) in [
        ("sso_session", "corp"),
        ("sso_start_url", "https://corp"),
        ("role_arn", "arn:aws:iam::1:role/x"),
        ("web_identity_token_file", "/token"),
    ] {
        let config = format!("[profile work]\n{setting} = {value}\n");
        private(home.join(".aws/config"), config);
        let advice = format!(
            "s3pipe: profile work: {setting}: s3pipe leaves this to AWS's own tools: \
             use another profile, with credential_process = \
             aws configure export-credentials --profile work --format process\n"
        );
        alone(home).arg("list").run().fails(78, &advice);
        let named = s3pipe_alone(home).option("--profile", "work");
        named.args(["list", "-b", BUCKET]).run().fails(78, &advice);
    }
    let run = s3pipe_alone(home).env("AWS_WEB_IDENTITY_TOKEN_FILE", "/token");
    let advice = "aws configure export-credentials --format process\n";
    run.args(["list", "-b", BUCKET]).run().fails(78, advice);
}
