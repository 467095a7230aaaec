//! Services that send no ETags, and answers that have lost theirs.

use super::{Odd, Once, blocks, first, is, page, succeeds, undone, without};
use crate::proxy::Answer;
use crate::support::store::{Act, Reply, Request, Say, Settings};

const SAID: &str = "this service sends no ETags";

fn none() -> Settings {
    Settings {
        etags: false,
        ..Settings::default()
    }
}

/// Uploads to a service without ETags, with these options, and is told once.
fn works(odd: &Odd, data: &[u8], jobs: &str, options: &[&str]) {
    let before = odd.count("PUT", "/block/");
    let run = odd.upload(data).option("-j", jobs).args(options);
    let outcome = run.run().ok_saying(SAID);
    assert_eq!(outcome.stderr.matches(SAID).count(), 1, "{outcome}");
    assert_eq!(odd.count("PUT", "/block/") - before, 5, "{outcome}");
    odd.holds(data);
    assert!(odd.keys("/upload/").is_empty());
}

#[test]
fn a_service_without_etags_is_said_to_be_one() {
    for jobs in ["1", "3"] {
        let (odd, data) = (Odd::with(none()), blocks(4));
        works(&odd, &data, jobs, &[]);
    }
}

#[test]
fn a_stream_is_replaced_without_etags() {
    for jobs in ["1", "3"] {
        let (odd, data) = (Odd::with(none()), blocks(4));
        let outcome = odd.upload(b"older").run();
        succeeds(&outcome);
        works(&odd, &data, jobs, &["-f"]);
        assert_eq!(odd.keys("/block/").len(), 5);
    }
}

/// It says so where it does so: unconditionally.
#[test]
fn that_it_replaces_without_a_condition_is_said() {
    let (odd, data) = (Odd::with(none()), blocks(1));
    succeeds(&odd.upload(b"older").run());
    let outcome = odd.upload(&data).arg("-f").run();
    let said = "the manifest has no ETag";
    let outcome = outcome.ok_saying(said);
    assert_eq!(outcome.stderr.matches(said).count(), 1, "{outcome}");
    let requests = odd.store.requests();
    let mut commits = requests.iter().filter(|r| is(r, "PUT", "/manifest/"));
    assert!(commits.next_back().unwrap().header("if-match").is_none());
    odd.holds(&data);
}

#[test]
fn an_upload_is_resumed_without_etags() {
    for jobs in ["1", "3"] {
        let (odd, data) = (Odd::with(none()), blocks(4));
        odd.broken_off(&data);
        let run = odd.upload(&data).option("-j", jobs).arg("--resume");
        let outcome = run.run().ok_saying(SAID);
        assert_eq!(outcome.stderr.matches(SAID).count(), 1, "{outcome}");
        // Of the first run.
        assert_eq!(odd.count("PUT", "/block/"), 5);
        odd.holds(&data);
    }
}

/// The answers about the record lose their ETags, so many of them, on a service
/// that has some; then the first block is not stored.
fn lost(times: usize) -> (Odd, Vec<u8>) {
    let (odd, data) = (Odd::new(), blocks(2));
    let losing = first(
        times,
        |r| r.key.as_deref().is_some_and(|key| key.contains("/upload/")),
        |_| Reply::truth().edit(|answer| without(answer, "etag")),
    );
    let lying = first(
        1,
        |r| is(r, "PUT", "/block/"),
        |_| undone(|answer| without(answer, "etag")),
    );
    odd.store.hook(move |request: &Request| {
        if is(request, "PUT", "/block/") {
            lying(request)
        } else {
            losing(request)
        }
    });
    (odd, data)
}

#[test]
fn one_lost_etag_teaches_nothing() {
    for times in [1, 2] {
        for jobs in ["1", "3"] {
            let (odd, data) = lost(times);
            let outcome = odd.upload(&data).option("-j", jobs).run();
            outcome.ok();
            odd.holds(&data);
            assert_eq!(odd.count("PUT", "/block/"), 4);
        }
    }
}

/// What was learned from three answers is taken back by one ETag.
#[test]
fn an_etag_takes_back_that_there_are_none() {
    let (odd, data) = (Odd::with(none()), blocks(3));
    let lie = Once::default();
    odd.store.hook(move |request: &Request| {
        if request.method != "PUT" || is(request, "PUT", "/upload/") {
            return Reply::truth();
        }
        // From the first block on there are some.
        match is(request, "PUT", "/0000000001.") && lie.take() {
            true => undone(|answer| answer),
            false => Reply::truth().edit(|answer| answer.header("ETag", "\"any\"")),
        }
    });
    odd.upload(&data).alone().run().ok_saying(SAID);
    assert_eq!(odd.count("PUT", "/0000000001."), 2);
    odd.holds(&data);
}

/// On a service without ETags, an answer about the record that gets lost leaves
/// open whether it has some: another record finds out.
#[test]
fn what_was_not_learned_is_asked_again() {
    let answers: [fn(&Request) -> Reply; 3] = [
        |_| Reply::truth().say(|_| vec![Say::Close]),
        |_| Reply::truth().edit(|_| Answer::internal_error()),
        |r| page(r, 200).act(Act::Now),
    ];
    for answer in answers {
        let (odd, data) = (Odd::with(none()), blocks(1));
        odd.store
            .hook(first(1, |r| is(r, "PUT", "/upload/"), answer));
        odd.upload(&data).run().ok_saying(SAID);
        assert_eq!(odd.count("PUT", "/upload/"), 2);
        odd.holds(&data);
        assert_eq!(odd.store.objects().len(), 4, "{:?}", odd.keys(""));
    }
}
