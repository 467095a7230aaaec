//! Conditions that are refused although they hold: by Ceph's gateway, which
//! compares ETags without their quotes, by mistake, or always.

use super::{Odd, always, blocks, first, is, succeeds};
use crate::proxy::Answer;
use crate::support::store::{Conditions, Reply, Request, Settings};

const REFUSES: &str = "the service refuses a condition that holds";

fn refused() -> Reply {
    let code = "PreconditionFailed";
    Reply::instead(Answer::s3(412, "Precondition Failed", code, "No.", ""))
}

fn names_etag(request: &Request) -> bool {
    request.method == "PUT" && request.header("if-match").is_some()
}

/// Ceph's.
fn unquoted() -> Settings {
    Settings {
        conditions: Conditions::Unquoted,
        ..Settings::default()
    }
}

#[test]
fn ceph_replaces_a_stream() {
    for jobs in ["1", "3"] {
        let (odd, data) = (Odd::with(unquoted()), blocks(2));
        odd.upload(&blocks(3)).run().ok();
        odd.upload(&data).arg("-f").option("-j", jobs).run().ok();
        odd.holds(&data);
        assert_eq!(odd.keys("/block/").len(), 3);
        let commits = odd.count("PUT", "/manifest/");
        assert_eq!(commits, 3, "one with quotes, one without");
    }
}

#[test]
fn ceph_resumes_an_upload() {
    for jobs in ["1", "3"] {
        let (odd, data) = (Odd::with(unquoted()), blocks(2));
        odd.broken_off(&data);
        let run = odd.upload(&data).arg("--resume").option("-j", jobs);
        run.run().ok();
        assert_eq!(odd.count("PUT", "/block/"), 3);
        odd.holds(&data);
    }
}

/// All is sent of a replacement, and its commit is refused to the end.
fn broken_off(odd: &Odd, data: &[u8]) {
    let denied = always(
        |r| is(r, "PUT", "/manifest/"),
        |_| Reply::instead(Answer::access_denied()),
    );
    odd.store.hook(denied);
    let broken = odd.upload(data).arg("-f").option("--patience", "1s");
    assert_eq!(broken.run().status, 69);
    odd.truth();
}

/// What the record has taught, the commit knows.
#[test]
fn that_it_is_ceph_is_found_out_once() {
    let (odd, data) = (Odd::with(unquoted()), blocks(2));
    odd.upload_earlier(b"older");
    broken_off(&odd, &data);
    let before = odd.count("PUT", "/manifest/");
    odd.upload(&data).args(["-f", "--resume"]).run().ok();
    assert_eq!(odd.count("PUT", "/manifest/") - before, 1);
    odd.holds(&data);
}

/// A service that compares ETags as they are, quotes and all, and is mistaken.
fn mistaken(times: usize) -> impl Fn(&Request) -> Reply + Send + Sync + 'static {
    let mistake = first(times, names_etag, |_| refused());
    move |request| {
        let etag = request.header("if-match");
        let bare = etag.is_some_and(|etag| !etag.starts_with('"'));
        match names_etag(request) && bare {
            true => refused(),
            false => mistake(request),
        }
    }
}

#[test]
fn one_mistake_does_no_harm_to_a_replacement() {
    for times in [1, 2] {
        let (odd, data) = (Odd::holding(&blocks(3)), blocks(2));
        odd.store.hook(mistaken(times));
        odd.upload(&data).arg("-f").run().ok();
        odd.holds(&data);
        assert_eq!(odd.keys("/block/").len(), 3);
    }
}

#[test]
fn one_mistake_does_no_harm_to_a_resumption() {
    let (odd, data) = (Odd::new(), blocks(2));
    odd.broken_off(&data);
    odd.store.hook(mistaken(1));
    odd.upload(&data).arg("--resume").run().ok();
    assert_eq!(odd.count("PUT", "/block/"), 3);
    odd.holds(&data);
}

#[test]
fn one_mistake_does_no_harm_to_a_new_stream() {
    let (odd, data) = (Odd::new(), blocks(2));
    let commits = first(2, |r| is(r, "PUT", "/manifest/"), |_| refused());
    odd.store.hook(commits);
    odd.upload(&data).run().ok();
    odd.holds(&data);
}

#[test]
fn a_service_that_always_refuses_is_named() {
    let old = blocks(3);
    let odd = Odd::holding(&old);
    odd.store.hook(always(names_etag, |_| refused()));
    let run = odd.upload(&blocks(2)).arg("-f").option("--patience", "1s");
    run.run().fails(69, REFUSES);
    odd.holds(&old);

    let odd = Odd::new();
    odd.broken_off(&old);
    odd.store.hook(always(names_etag, |_| refused()));
    let run = odd.upload(&old).arg("--resume").option("--patience", "1s");
    let outcome = run.run().fails(69, REFUSES);
    assert!(!outcome.stderr.contains("another process"), "{outcome}");
}

/// Conditions that are not implemented are left away, by services that say so.
#[test]
fn what_is_not_implemented_is_left_away() {
    for options in [&["-f"][..], &["--resume", "-f"]] {
        let odd = Odd::with(Settings {
            conditions: Conditions::Refused,
            ..Settings::default()
        });
        let data = blocks(2);
        odd.upload_earlier(b"older");
        broken_off(&odd, &data);
        succeeds(&odd.upload(&data).args(options).run());
        odd.holds(&data);
    }
}
