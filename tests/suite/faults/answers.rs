//! Answers that are errors: what passes, what can be mended, what is final.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use s3pipe::parts::Utc;

use super::site::{BLOCK, STREAM, Site, blocks, download_survives, on, upload_survives};
use crate::proxy::{Answer, Fault, Match, Rule, Seen};
use crate::support::{BUCKET, Run, assert_same, random, s3pipe_alone};

/// Refusals that pass by themselves.
fn passing() -> Vec<Fault> {
    let html = "<html><h1>Bad Gateway</h1></html>";
    let answers = [
        Answer::slow_down(),
        Answer::unavailable(0),
        Answer::internal_error(),
        Answer::too_many_requests(0),
        Answer::new(502, "Bad Gateway").body(html),
        Answer::new(504, "Gateway Timeout"),
        Answer::new(408, "Request Timeout").header("Connection", "close"),
        Answer::s3(400, "Bad Request", "RequestTimeout", "Too slow.", ""),
        Answer::s3(409, "Conflict", "OperationAborted", "Try again.", ""),
        Answer::s3(400, "Bad Request", "BadDigest", "Not your hash.", ""),
    ];
    answers.map(Fault::Status).to_vec()
}

#[test]
fn passing_refusals_are_survived() {
    upload_survives(&passing(), "20s", true);
    download_survives(&passing(), "20s", true);
}

#[test]
fn every_class_of_request_is_repeated() {
    let site = Site::new();
    let data = blocks(2);
    let classes = [
        ("GET", "/manifest/"),
        ("PUT", "/upload/"),
        ("GET", "/upload/"),
        ("PUT", "/block/"),
        ("PUT", "/index/"),
        ("PUT", "/manifest/"),
        ("DELETE", "/upload/"),
    ];
    let slow = || Fault::Status(Answer::slow_down());
    for (method, part) in classes {
        site.proxy.once(on(method, part), slow());
    }
    site.upload(&data).run().ok();
    for (method, part) in classes {
        let seen = site.seen(method, part);
        let (first, rest) = seen.split_first().expect(part);
        assert!(first.faulted && !rest.is_empty(), "{method} {part}");
    }
    site.proxy.clear();
    for part in ["/manifest/", "/index/", "/block/"] {
        site.proxy.once(on("GET", part), slow());
    }
    assert_same(&site.download().run().ok().stdout, &data);
    let faulted = site.proxy.seen().iter().filter(|s| s.faulted).count();
    assert_eq!(faulted, 7 + 3);
}

/// Within patience there is room for several attempts, but not for a second
/// wait as long as the server asks for.
#[test]
fn retry_after_is_honoured() {
    for answer in [Answer::unavailable(3600), Answer::too_many_requests(3600)] {
        let site = Site::new();
        site.proxy
            .always(on("PUT", "/upload/"), Fault::Status(answer));
        let run = site.upload(b"data").option("--patience", "2s");
        run.run().fails(69, "gave up");
        assert_eq!(site.seen("PUT", "/upload/").len(), 2);
    }
}

#[test]
fn an_error_in_a_200_is_an_error() {
    let error = |forward| Fault::ErrorIn200 {
        code: "InternalError".into(),
        forward,
    };
    let faults = [error(false), error(true)];
    upload_survives(&faults, "20s", true);
    download_survives(&faults, "20s", true);
    for (method, part) in [
        ("PUT", "/upload/"),
        ("GET", "/upload/"),
        ("PUT", "/index/"),
        ("PUT", "/manifest/"),
        ("DELETE", "/upload/"),
    ] {
        let (site, data) = (Site::new(), blocks(1));
        site.proxy.once(on(method, part), error(false));
        site.upload(&data).run().ok();
        assert!(site.seen(method, part).len() > 1, "{method} {part}");
        site.assert_holds(STREAM, &data);
        assert_eq!(site.count("/upload/"), 0);
    }
    let site = Site::with(b"data");
    site.proxy.once(on("GET", "/manifest/"), error(true));
    site.proxy.once(on("GET", "/index/"), error(true));
    assert_same(&site.download().run().ok().stdout, b"data");
}

/// The region in the credential scope.
fn region(seen: &Seen) -> &str {
    let authorization = seen.header("authorization").expect("a signature");
    authorization.split('/').nth(2).expect("a region")
}

fn elsewhere() -> [Fault; 4] {
    let region = "eu-west-3".to_string();
    let redirect = |code| Fault::Redirect {
        code,
        region: region.clone(),
        endpoint: "127.0.0.1:9".into(),
    };
    let bare = Answer::new(400, "Bad Request").header("x-amz-bucket-region", &region);
    [
        redirect(301),
        redirect(307),
        Fault::WrongRegion {
            region: region.clone(),
        },
        Fault::Status(bare),
    ]
}

#[test]
fn another_region_is_taken_and_kept() {
    for fault in elsewhere() {
        let (site, data) = (Site::new(), blocks(3));
        site.proxy.once(on("PUT", "/block/").nth(2), fault.clone());
        site.upload(&data).alone().option("--retry", "0").run().ok();
        let seen = site.proxy.seen();
        let at = seen.iter().position(|s| s.faulted).expect("a fault");
        assert!(seen[..=at].iter().all(|s| region(s) == "us-east-1"));
        assert!(seen[at + 1..].iter().all(|s| region(s) == "eu-west-3"));
        assert_eq!(seen[at].target, seen[at + 1].target, "{fault:?}");

        site.proxy.once(on("GET", "/index/"), fault);
        let run = site.download().option("--retry", "0").run().ok();
        assert_same(&run.stdout, &data);
        assert_eq!(region(site.proxy.seen().last().unwrap()), "eu-west-3");
    }
}

/// A server that is never content must not be asked for ever.
#[test]
fn a_region_that_does_not_help_is_an_error() {
    for (fault, status) in elsewhere().into_iter().zip([78, 78, 77, 69]) {
        let site = Site::new();
        site.proxy.always(on("PUT", "/upload/"), fault);
        let end = site.upload(b"data").run();
        assert_eq!(end.status, status, "{end}");
        assert_eq!(site.seen("PUT", "/upload/").len(), 2);
    }
}

/// What a request was signed at.
fn signed_at(seen: &Seen) -> &str {
    seen.header("x-amz-date").expect("x-amz-date")
}

fn basic(time: SystemTime) -> String {
    Utc::from_system(time).basic()
}

#[test]
fn a_wrong_date_on_good_answers_is_nothing() {
    let (site, data) = (Site::new(), blocks(1));
    for seconds in [3600, -3600] {
        site.proxy.clear();
        site.proxy.always(Match::any(), Fault::Date { seconds });
        let name = format!("stream{seconds}");
        let start = basic(SystemTime::now());
        let run = site.upload(&data).option("-s", &name).arg("-v").run();
        assert!(run.status == 0 && !run.stderr.contains("clock"), "{run}");
        let run = site.download().option("-s", &name).run().ok();
        assert_same(&run.stdout, &data);
        let end = basic(SystemTime::now());
        let own = |s: &Seen| (start.as_str()..=&end).contains(&signed_at(s));
        assert!(site.proxy.seen()[..].iter().rev().take(9).all(own));
    }
}

#[test]
fn the_servers_clock_is_taken_and_kept() {
    for (ahead, method, part) in [(true, "PUT", "/block/"), (false, "GET", "/manifest/")] {
        let (site, data) = (Site::new(), blocks(2));
        let off = Duration::from_secs(600);
        let shift = |time: SystemTime| if ahead { time + off } else { time - off };
        let server_date = shift(SystemTime::now());
        let skewed = Fault::Skewed { server_date };
        site.proxy.once(on(method, part), skewed);
        site.upload(&data).alone().option("--retry", "0").run().ok();
        site.assert_holds(STREAM, &data);
        let seen = site.proxy.seen();
        let at = seen.iter().position(|s| s.faulted).expect("a fault");
        let (from, to) = (basic(server_date), basic(shift(SystemTime::now())));
        let theirs = |s: &Seen| (from.as_str()..=&to).contains(&signed_at(s));
        assert!(!theirs(&seen[at]) && seen[at + 1..].iter().all(theirs));
    }
}

#[test]
fn a_refusal_before_the_first_block_is_final() {
    for (part, data) in [("/upload/", b"data"), ("/block/", b"data")] {
        for code in [
            "AccessDenied",
            "SignatureDoesNotMatch",
            "InvalidAccessKeyId",
        ] {
            let site = Site::new();
            let answer = Answer::s3(403, "Forbidden", code, "No.", "");
            site.proxy.always(on("PUT", part), Fault::Status(answer));
            let run = site.upload(data).run();
            run.fails(77, &format!("403 {code}: No"));
            assert_eq!(site.seen("PUT", part).len(), 1);
            assert_eq!(site.server.objects(), [""; 0]);
        }
    }
    for part in ["/block/", "/index/"] {
        let site = Site::with(b"data");
        let denied = Fault::Status(Answer::access_denied());
        site.proxy.always(on("GET", part), denied);
        let end = site.download().run().fails(77, "403 AccessDenied");
        assert_eq!((end.stdout.len(), site.seen("GET", part).len()), (0, 1));
    }
}

/// What the commit will need to read is tried before there is anything to lose.
#[test]
fn a_record_that_may_not_be_read_is_noticed_at_once() {
    let site = Site::new();
    let denied = Fault::Status(Answer::access_denied());
    site.proxy.always(on("GET", "/upload/"), denied);
    let run = site.upload(&blocks(1)).run();
    run.fails(77, "403 AccessDenied");
    assert_eq!(site.seen("PUT", "/block/").len(), 0);
}

#[test]
fn a_refusal_in_the_middle_is_waited_out() {
    for code in [
        "AccessDenied",
        "SignatureDoesNotMatch",
        "InvalidAccessKeyId",
    ] {
        let (site, data) = (Site::new(), blocks(3));
        let answer = Answer::s3(403, "Forbidden", code, "No.", "");
        for (method, part) in [("PUT", "/block/"), ("GET", "/block/"), ("PUT", "/index/")] {
            let nth = if part == "/block/" { 3 } else { 1 };
            site.proxy.rule(Rule {
                when: on(method, part).nth(nth),
                fault: Fault::Status(answer.clone()),
                times: 2,
            });
        }
        // With workers the third request may be refused before any block is
        // done.
        site.upload(&data).alone().run().ok();
        assert_same(&site.download().alone().run().ok().stdout, &data);
        let faulted = site.proxy.seen().iter().filter(|s| s.faulted).count();
        assert_eq!(faulted, 6);
    }
}

/// Variables of the environment cannot change any more.
#[test]
fn an_expired_token_from_the_environment_is_final() {
    let site = Site::new();
    let expired = Fault::Status(Answer::expired_token());
    site.proxy
        .always(on("PUT", "/block/").nth(2), expired.clone());
    let end = site.upload(&blocks(3)).alone().run();
    end.fails(77, "400 ExpiredToken");
    assert_eq!(site.seen("PUT", "/block/").len(), 2);
    site.assert_nothing_committed();
}

/// Writes a key file as an editor does: all of it or nothing.
fn keyfile(site: &Site, id: &str, key: &str) -> PathBuf {
    let text = format!("aws.id = {id}\naws.key = {key}\n");
    let (new, path) = (site.scratch.file("keys.new", text), "keys");
    let mode = fs::Permissions::from_mode(0o600);
    fs::set_permissions(&new, mode).expect("chmod");
    let path = site.scratch.path().join(path);
    fs::rename(&new, &path).expect("rename");
    path
}

fn with_keyfile(site: &Site, path: &Path) -> Run {
    s3pipe_alone(&site.server.home)
        .option("-k", path.to_str().expect("a UTF-8 path"))
        .option("--endpoint", &site.proxy.url())
        .option("-b", BUCKET)
        .option("-s", STREAM)
        .option("--blocksize", "64K")
        .arg("upload")
}

#[test]
fn a_key_file_is_read_again() {
    for refusal in [Answer::access_denied(), Answer::expired_token()] {
        let (site, data) = (Site::new(), random(7, 2 * BLOCK));
        let (id, key) = (site.server.id.clone(), site.server.key.clone());
        let path = keyfile(&site, &id, &key);
        let mut run = with_keyfile(&site, &path).stdin_open().spawn();
        run.feed(&data[..BLOCK]);
        site.wait_for("PUT", "/block/", 1);
        // A key that the server does not know, and a reason to look at it.
        keyfile(&site, "OTHERKEYID", &key);
        site.proxy
            .once(on("PUT", "/block/"), Fault::Status(refusal));
        run.feed(&data[BLOCK..]);
        let other = |s: &Seen| {
            let signature = s.header("authorization").unwrap_or_default();
            signature.contains("OTHERKEYID/") && s.status == Some(403)
        };
        site.proxy.wait_for(|seen| seen.iter().any(other));
        keyfile(&site, &id, &key);
        run.feed_end();
        run.wait().ok();
        site.assert_holds(STREAM, &data);
    }
}

#[test]
fn an_expired_token_in_an_unchanged_key_file_is_final() {
    let site = Site::new();
    let path = keyfile(&site, &site.server.id, &site.server.key);
    let expired = Fault::Status(Answer::expired_token());
    site.proxy.always(on("PUT", "/upload/"), expired);
    let run = with_keyfile(&site, &path).stdin("data").run();
    run.fails(77, "400 ExpiredToken");
    assert_eq!(site.seen("PUT", "/upload/").len(), 1);
}
