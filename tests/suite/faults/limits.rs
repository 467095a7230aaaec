//! When s3pipe gives up, how it says so, and what it must keep to itself.

use super::site::{BLOCK, STREAM, Site, blocks, on};
use crate::proxy::{Answer, Fault, Match, Rule, Seen};
use crate::support::{assert_same, random};

fn slow() -> Fault {
    Fault::Status(Answer::slow_down())
}

#[test]
fn patience_ends() {
    let data = blocks(2);
    let site = Site::with(&data);
    for (method, part) in [("PUT", "/upload/"), ("PUT", "/block/"), ("PUT", "/index/")] {
        site.proxy.clear();
        site.proxy.always(on(method, part), slow());
        let run = site.upload(&data).option("-s", "new");
        let end = run.option("--patience", "1s").run();
        end.fails(69, "gave up");
        assert!(site.seen(method, part).len() > 2);
        assert_eq!(site.count("/manifest/new"), 0);
    }
    site.proxy.clear();
    site.proxy.always(on("GET", "/0000000001."), slow());
    let run = site.download().option("--patience", "3s").run();
    let end = run.fails(69, "gave up");
    assert_same(&end.stdout, &data[..BLOCK]);
}

#[test]
fn retries_are_counted() {
    for (fault, text) in [
        (slow(), "503 SlowDown"),
        (Fault::LoseAnswer, "closed before the answer"),
        (Fault::DropRequest { after: 2 }, "reset"),
    ] {
        let site = Site::with(b"data");
        site.proxy.always(on("PUT", "/upload/"), fault.clone());
        site.proxy.always(on("GET", "/block/"), fault);
        let run = site.upload(b"data").option("-s", "new");
        let run = run.option("--retry", "2").run();
        if text == "closed before the answer" {
            // It was carried out, and is found.
            run.ok();
        } else {
            run.fails(69, "gave up after 3");
            assert_eq!(site.seen("PUT", "/upload/").len(), 3);
        }
        let run = site.download().option("--retry", "0").run();
        assert_eq!(site.seen("GET", "/block/").len(), 1);
        let run = run.fails(69, "gave up after 1");
        assert!(text == "reset" || run.stderr.contains(text), "{run}");
    }
}

#[test]
fn an_endpoint_that_is_not_there() {
    let site = Site::new();
    let nowhere = site.upload(b"data").option("--patience", "2s");
    let nowhere = nowhere.option("--endpoint", "http://nosuch.invalid");
    nowhere.run().fails(69, "nosuch.invalid");
    site.proxy.down();
    let plain = site.proxy.plain_url();
    let refused = site.upload(b"data").option("--patience", "2s");
    let refused = refused.option("--endpoint", &plain);
    refused.run().fails(69, "refused");
    let refused = site.download().option("--patience", "1s");
    let refused = refused.option("--endpoint", &plain);
    refused.run().fails(69, "refused");
}

/// A server that answers before it has the body, and hangs up: its answer is
/// what counts, not the broken pipe.
#[test]
fn an_early_refusal_is_heard() {
    let denied = Answer::access_denied().header("Connection", "close");
    for early in [Fault::EarlyStatus, Fault::EarlyStatusDrain] {
        let (site, data) = (Site::new(), random(1, 16 << 20));
        site.proxy
            .always(on("PUT", "/block/"), early(denied.clone()));
        let run = site.upload(&data).option("--blocksize", "16M").run();
        run.fails(77, "403 AccessDenied: Access Denied");
        assert_eq!(site.seen("PUT", "/block/").len(), 1);
        site.assert_nothing_committed();
    }
}

/// A success that comes before the body is none, be it behind a proxy or not.
#[test]
fn an_early_success_is_not_believed() {
    let done = Answer::new(200, "OK").header("ETag", "\"0\"");
    let data = random(1, 16 << 20);
    for proxied in [false, true] {
        let site = Site::new();
        for early in [Fault::EarlyStatus, Fault::EarlyStatusDrain] {
            site.proxy.once(on("PUT", "/block/"), early(done.clone()));
        }
        let run = site.upload(&data).option("--blocksize", "16M");
        let run = match proxied {
            true => {
                let run = run.option("--endpoint", "http://s3.test");
                run.env("HTTP_PROXY", site.proxy.plain_url())
            }
            false => run,
        };
        run.run().ok();
        assert_eq!(site.seen("PUT", "/block/").len(), 3);
        site.assert_holds(STREAM, &data);
    }
}

#[test]
fn an_early_throttle_is_waited_out() {
    let slow = Answer::slow_down().header("Connection", "close");
    let (site, data) = (Site::new(), random(1, 16 << 20));
    for early in [Fault::EarlyStatus, Fault::EarlyStatusDrain] {
        site.proxy.once(on("PUT", "/block/"), early(slow.clone()));
    }
    let run = site.upload(&data).option("--blocksize", "16M");
    let end = run.arg("-v").run().ok_saying("503 SlowDown");
    assert_eq!(end.stderr.matches("503 SlowDown").count(), 2, "{end}");
    assert!(!end.stderr.contains("pipe:") || !end.stderr.contains("Broken"));
    assert_eq!(site.seen("PUT", "/block/").len(), 3);
    site.assert_holds(STREAM, &data);
}

/// Whatever goes wrong, a line for a request never shows what signed it.
#[test]
fn secrets_are_never_shown() {
    let (site, data) = (Site::new(), blocks(2));
    let faults = [
        slow(),
        Fault::Status(Answer::access_denied()),
        Fault::LoseAnswer,
        Fault::WrongRegion {
            region: "eu-west-3".into(),
        },
    ];
    for (n, fault) in faults.into_iter().enumerate() {
        site.proxy.once(on("PUT", "/block/").nth(2 + n), fault);
    }
    let token = "notasecret/butlikeone";
    let run = site.upload(&data).alone().arg("-v").run();
    let mut all = run.ok_saying("403 AccessDenied").stderr;
    let denied = Fault::Status(Answer::access_denied());
    site.proxy.clear();
    site.proxy.always(Match::any(), denied);
    let run = site.download().arg("-v").env("AWS_SESSION_TOKEN", token);
    let end = run.run();
    assert_eq!(end.status, 77, "{end}");
    all += &end.stderr;
    let seen = site.proxy.seen();
    let secret = [site.server.key.as_str(), token, "Signature="];
    for word in secret {
        assert!(!all.contains(word), "{all}");
    }
    assert!(seen.last().unwrap().header("x-amz-security-token") == Some(token));
    let puts = all.lines().filter(|line| line.contains("PUT test/"));
    assert!(puts.count() >= site.seen("PUT", "").len(), "{all}");
}

/// What was wrong is not said where all went well in the end; -q leaves only
/// the reason for a failure.
#[test]
fn quiet_and_silent() {
    let (site, data) = (Site::new(), blocks(1));
    let denied = || Fault::Status(Answer::access_denied());
    site.proxy.once(on("PUT", "/block/"), slow());
    site.proxy.always(on("DELETE", "/upload/"), denied());
    site.upload(&data).arg("-q").run().ok();
    site.proxy.clear();
    site.proxy.always(Match::any(), denied());
    let run = site.download().arg("-q").run();
    run.fails(77, "403 AccessDenied");
}

/// Ten seconds of failure are worth a word, with a name in it.
#[test]
fn a_long_wait_is_spoken_of() {
    let site = Site::new();
    site.proxy.rule(Rule {
        when: on("PUT", "/upload/"),
        fault: Fault::Status(Answer::unavailable(11)),
        times: 2,
    });
    let end = site.upload(b"data").run();
    let end = end.ok_saying("still trying after 11 s");
    assert_eq!(end.stderr.lines().count(), 1, "{end}");
    assert!(end.stderr.contains("503 ServiceUnavailable"), "{end}");
    assert!(end.stderr.contains("test/s3pipe/upload/export/"), "{end}");
}

/// One word, however many workers wait.
#[test]
fn several_that_wait_are_spoken_of_once() {
    let (site, data) = (Site::new(), blocks(8));
    site.proxy.always(on("PUT", "/block/"), Fault::StallRequest);
    let run = site.upload(&data).option("-j", "4");
    let run = run.option("--timeout", "1s").spawn();
    run.wait_for_stderr("still trying after");
    // By then most of them have tried for as long.
    let faulted = |seen: &[Seen]| seen.iter().filter(|s| s.faulted).count();
    site.proxy.wait_for(|seen| faulted(seen) >= 21);
    site.proxy.clear();
    let end = run.wait().ok_saying("/block/");
    assert_eq!(end.stderr.lines().count(), 1, "{end}");
    site.assert_holds(STREAM, &data);
}
