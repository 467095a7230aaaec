//! The commit: exactly one upload of a name wins, whatever its last requests
//! meet, and exit 0 is said of nothing that was not seen to stand.

mod replace;

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::faults::site::{BLOCK, STREAM, Site, blocks, on};
use crate::proxy::{Answer, Fault, Match, Rule, Seen};
use crate::support::{Outcome, Running, random};

fn denied() -> Fault {
    Fault::Status(Answer::access_denied())
}

fn not_found() -> Fault {
    Fault::Status(Answer::not_found("NoSuchKey"))
}

/// GETs of this after the commit was sent, however many came before.
fn after_commit(part: &'static str) -> Match {
    let sent = AtomicBool::new(false);
    Match::any().when(move |seen| {
        if seen.method == "PUT" && seen.target.contains("/manifest/") {
            sent.store(true, Ordering::Relaxed);
        }
        let fits = seen.method == "GET" && seen.target.contains(part);
        fits && sent.load(Ordering::Relaxed)
    })
}

/// A first block of an upload is stored, and it waits for the second.
fn begun(site: &Site, data: &[u8], options: &[&str]) -> Running {
    let run = site.run("upload").args(options);
    let mut run = run.stdin_open().spawn();
    let stored = site.seen("PUT", "/block/").len();
    run.feed(&data[..BLOCK]);
    site.wait_for("PUT", "/block/", stored + 1);
    run
}

fn finish(mut run: Running, data: &[u8]) -> Outcome {
    run.feed(&data[BLOCK..]);
    run.feed_end();
    run.wait()
}

#[test]
fn a_commit_whose_answer_is_lost_is_one_commit() {
    for retry in ["5", "0"] {
        let (site, data) = (Site::new(), blocks(1));
        let put = on("PUT", "/manifest/");
        site.proxy.once(put, Fault::LoseAnswer);
        site.upload(&data).option("--retry", retry).run().ok();
        // It is looked for before anything is sent again.
        assert_eq!(site.seen("PUT", "/manifest/").len(), 1);
        assert_eq!((site.count("/manifest/"), site.count("/upload/")), (1, 0));
        site.assert_holds(STREAM, &data);
    }
}

/// An error disproves nothing: the commit was carried out behind each of these.
#[test]
fn a_commit_behind_an_error_is_found() {
    for answer in [
        Answer::internal_error(),
        Answer::slow_down(),
        Answer::access_denied(),
        Answer::s3(412, "Precondition Failed", "PreconditionFailed", "", ""),
        Answer::s3(501, "Not Implemented", "NotImplemented", "", ""),
        Answer::new(400, "Bad Request"),
    ] {
        let (site, data) = (Site::new(), blocks(1));
        let put = on("PUT", "/manifest/");
        site.proxy.always(put, Fault::Replace(answer.clone()));
        let run = site.upload(&data).option("--retry", "1").run();
        assert!(
            run.status == 0 && run.stderr.is_empty(),
            "{answer:?}: {run}"
        );
        site.assert_holds(STREAM, &data);
    }
}

#[test]
fn a_conflict_is_tried_again() {
    let (site, data) = (Site::new(), blocks(1));
    let code = "ConditionalRequestConflict";
    let conflict = Answer::s3(409, "Conflict", code, "Try again.", "");
    site.proxy
        .once(on("PUT", "/manifest/"), Fault::Status(conflict));
    site.upload(&data).run().ok();
    assert_eq!(site.seen("PUT", "/manifest/").len(), 2);
    site.assert_holds(STREAM, &data);
}

/// A store that does not know conditional requests.
fn without_conditions(site: &Site) {
    let when = on("PUT", "/manifest/").when(|seen| {
        let conditions = ["if-none-match", "if-match"];
        conditions.iter().any(|name| seen.header(name).is_some())
    });
    let answer = Answer::s3(501, "Not Implemented", "NotImplemented", "No.", "");
    site.proxy.always(when, Fault::Status(answer));
}

#[test]
fn without_conditions_there_is_a_fresh_look() {
    for options in [&[][..], &["-f"]] {
        let (site, data) = (Site::new(), blocks(1));
        if !options.is_empty() {
            site.store(STREAM, b"older");
        }
        without_conditions(&site);
        site.upload(&data).args(options).run().ok();
        site.assert_holds(STREAM, &data);
        let seen = site.proxy.seen();
        let last = |method| {
            let mut all = seen.iter().rev();
            let found = all.find(|s| s.method == method && s.target.contains("/manifest/"));
            found.expect(method).n
        };
        let put = last("PUT");
        assert_eq!(seen[put].status, Some(200));
        // The record comes last of all.
        for (n, part) in [(put - 2, "/manifest/"), (put - 1, "/upload/")] {
            assert!(seen[n].method == "GET" && seen[n].target.contains(part));
        }
        assert!(last("GET") > put);
    }
}

#[test]
fn without_conditions_another_commit_is_seen() {
    let (site, data) = (Site::new(), blocks(1));
    without_conditions(&site);
    let run = begun(&site, &data, &[]);
    site.store(STREAM, b"theirs");
    finish(run, &data).fails(75, "another upload was committed meanwhile");
    site.assert_holds(STREAM, b"theirs");
}

/// A store may take If-None-Match and not care: what protects the other's
/// stream there is a look at the manifest just before the commit.
#[test]
fn ignored_conditions_are_made_up_for_by_a_look() {
    let site = Site::new();
    site.upload(&blocks(1)).run().ok();
    let seen = site.proxy.seen();
    let commit = site.seen("PUT", "/manifest/")[0].n;
    let stored = site.seen("PUT", "/index/")[0].n;
    let look = |s: &Seen| s.method == "GET" && s.target.contains("/manifest/");
    assert!(
        seen[stored..commit].iter().any(look),
        "no look between the last index and the commit"
    );
}

#[test]
fn a_success_that_was_none_is_no_commit() {
    let stored = Fault::Status(Answer::new(200, "OK"));
    let (site, data) = (Site::new(), blocks(1));
    site.proxy.rule(Rule {
        when: on("PUT", "/manifest/"),
        fault: stored.clone(),
        times: 2,
    });
    site.upload(&data).run().ok();
    assert_eq!(site.seen("PUT", "/manifest/").len(), 3);
    site.assert_holds(STREAM, &data);

    let site = Site::new();
    site.proxy.always(on("PUT", "/manifest/"), stored);
    let run = site.upload(&data).option("--patience", "2s").run();
    run.fails(69, "commit unknown");
    assert!((2..=10).contains(&site.seen("PUT", "/manifest/").len()));
    site.assert_nothing_committed();
}

/// A store that shows a new object late: the commit is repeated, refused, and
/// found in the end.
#[test]
fn a_commit_that_shows_late_is_found() {
    let (site, data) = (Site::new(), blocks(1));
    site.proxy.once(after_commit("/manifest/"), not_found());
    site.upload(&data).run().ok();
    site.assert_holds(STREAM, &data);
}

#[test]
fn another_commit_in_between_wins() {
    let (site, data) = (Site::new(), blocks(1));
    let run = begun(&site, &data, &[]);
    site.store(STREAM, b"theirs");
    finish(run, &data).fails(75, "another upload was committed meanwhile");
    site.assert_holds(STREAM, b"theirs");
    // The same where both replace a stream.
    let run = begun(&site, &data, &["-f"]);
    let theirs = site.upload(b"theirs again").arg("-f").run();
    theirs.ok();
    finish(run, &data).fails(75, "another upload was committed meanwhile");
    site.assert_holds(STREAM, b"theirs again");
    // And where it is gone: what was to be replaced is not there any more.
    let run = begun(&site, &data, &["-f"]);
    site.run("delete").run().ok();
    let end = finish(run, &data);
    assert!(matches!(end.status, 0 | 75), "{end}");
    assert_eq!(site.count("/manifest/"), usize::from(end.status == 0));
}

/// Not raced on the last request itself: the embedded server looks and writes
/// in two steps.
#[test]
fn of_two_uploads_one_wins() {
    for first_wins in [true, false] {
        let site = Site::new();
        let (one, two) = (random(1, 3 * BLOCK), random(2, 2 * BLOCK));
        let first = begun(&site, &one, &[]);
        let second = begun(&site, &two, &[]);
        let (winner, loser) = match first_wins {
            true => ((first, &one), (second, &two)),
            false => ((second, &two), (first, &one)),
        };
        finish(winner.0, winner.1).ok();
        finish(loser.0, loser.1).fails(75, "another upload was committed meanwhile");
        site.assert_holds(STREAM, winner.1);
        let late = site.upload(b"late").run();
        late.fails(73, "exists already");
        site.assert_holds(STREAM, winner.1);
    }
}

/// The key of the only upload record.
fn record(site: &Site) -> String {
    let mut keys = site.server.objects();
    keys.retain(|key| key.contains("/upload/"));
    assert_eq!(keys.len(), 1);
    keys.remove(0)
}

#[test]
fn an_upload_cleaned_away_is_not_committed() {
    let (site, data) = (Site::new(), blocks(1));
    let run = begun(&site, &data, &[]);
    fs::remove_file(site.server.object(&record(&site))).expect("remove");
    finish(run, &data).fails(75, "cleaned away under us: nothing was committed");
    site.assert_nothing_committed();

    let run = begun(&site, &data, &[]);
    let path = site.server.object(&record(&site));
    let text = fs::read_to_string(&path).expect("a record");
    let at = text.find("nonce ").expect("a nonce") + 6;
    let other = format!("{}{}\n", &text[..at], "0".repeat(32));
    fs::write(&path, other).expect("write");
    finish(run, &data).fails(75, "taken this upload over: nothing was committed");
    site.assert_nothing_committed();
}

#[test]
fn an_upload_cleaned_away_after_its_commit_says_so() {
    let (site, data) = (Site::new(), blocks(1));
    site.proxy.always(after_commit("/upload/"), not_found());
    site.upload(&data).run().fails(75, "run s3pipe verify");
    site.assert_holds(STREAM, &data);
}

/// Credentials that may read a manifest, but not learn that there is none.
#[test]
fn a_look_that_is_refused_stops_nothing() {
    let (site, data) = (Site::new(), blocks(1));
    site.proxy.once(on("GET", "/manifest/"), denied());
    site.upload(&data).run().ok();
    let put = site.seen("PUT", "/manifest/").pop().expect("a commit");
    assert_eq!(put.header("if-none-match"), Some("*"));
    site.assert_holds(STREAM, &data);
    // The condition is all that protects what is there.
    site.proxy.clear();
    site.proxy.once(on("GET", "/manifest/"), denied());
    let end = site.upload(b"other").run();
    assert!(matches!(end.status, 73 | 75), "{end}");
    site.assert_holds(STREAM, &data);
}

#[test]
fn a_commit_that_may_not_be_read_back_is_unknown() {
    for when in [on("GET", "/manifest/"), after_commit("/manifest/")] {
        let (site, data) = (Site::new(), blocks(1));
        site.proxy.always(when, denied());
        let run = site.upload(&data).option("--patience", "2s").run();
        run.fails(77, "commit unknown");
        site.assert_holds(STREAM, &data);
    }
    let (site, data) = (Site::new(), blocks(1));
    let slow = Fault::Status(Answer::slow_down());
    site.proxy.always(after_commit("/manifest/"), slow);
    let run = site.upload(&data).option("--patience", "1s").run();
    run.fails(69, "commit unknown");
}

/// The commit was carried out, and then nothing sensible is heard any more:
/// nobody may be left to think that the stream is not there.
#[test]
fn a_look_that_fails_after_the_commit_says_unknown() {
    for answer in [
        Answer::expired_token(),
        Answer::not_found("NoSuchBucket"),
        Answer::new(200, "OK").body("<html>Welcome to the hotel</html>"),
        Answer::s3(403, "Forbidden", "InvalidAccessKeyId", "No.", ""),
        Answer::new(418, "I'm a teapot"),
    ] {
        let (site, data) = (Site::new(), blocks(1));
        site.proxy
            .always(after_commit("/manifest/"), Fault::Status(answer));
        let end = site.upload(&data).option("--patience", "1s").run();
        let status = end.status;
        end.fails(status, "commit unknown");
        assert_ne!(status, 0);
        site.assert_holds(STREAM, &data);
    }
}

/// The same for the last look at the record, when the commit has been seen.
#[test]
fn a_record_unreadable_after_the_commit_does_not_hide_it() {
    for answer in [
        Answer::slow_down(),
        Answer::expired_token(),
        Answer::access_denied(),
    ] {
        let (site, data) = (Site::new(), blocks(1));
        site.proxy
            .always(after_commit("/upload/"), Fault::Status(answer));
        let end = site.upload(&data).option("--patience", "1s").run();
        site.assert_holds(STREAM, &data);
        assert!(end.stderr.contains("commit"), "{end}");
    }
}

#[test]
fn what_cannot_be_removed_is_said() {
    let (site, data) = (Site::new(), blocks(1));
    site.proxy.always(on("DELETE", ""), denied());
    let end = site.upload(&data).run();
    let end = end.ok_saying("403 AccessDenied: Access Denied (the stream is committed");
    assert_eq!(end.stderr.lines().count(), 1, "{end}");
    assert!(end.stderr.contains(&record(&site)), "{end}");
    assert_eq!(site.seen("DELETE", "").len(), 1);
    site.assert_holds(STREAM, &data);

    let (site, data) = (Site::new(), blocks(1));
    let slow = Fault::Status(Answer::slow_down());
    site.proxy.always(on("DELETE", ""), slow);
    let run = site.upload(&data).option("--patience", "1s").run();
    run.ok_saying("the stream is committed");
    site.assert_holds(STREAM, &data);
}
