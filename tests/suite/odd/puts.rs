//! What proves that an object is stored, and what does not: of each answer here
//! the truth is that nothing was stored.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{Odd, PAGE, blocks, first, is, succeeds, undone, without};
use crate::proxy::Answer;
use crate::support::store::{Act, Part, Reply, Request, Say, Settings};
use crate::support::{Outcome, random};

/// The kinds of objects that an upload stores.
const KINDS: [&str; 4] = ["/upload/", "/block/", "/index/", "/manifest/"];

/// Runs an upload in which two PUTs of each kind in turn are answered so.
#[track_caller]
fn proves_nothing(name: &str, reply: impl Fn() -> Reply) {
    for kind in KINDS {
        let (odd, data) = (Odd::new(), blocks(2));
        let reply = reply();
        let lies = first(2, move |r| is(r, "PUT", kind), move |_| reply.clone());
        odd.store.hook(lies);
        let outcome = odd.upload(&data).run();
        println!("{name}: {kind}");
        succeeds(&outcome);
        odd.holds(&data);
        let once = if kind == "/block/" { 3 } else { 1 };
        assert_eq!(odd.count("PUT", kind), once + 2, "{name} {kind}");
    }
}

fn status(code: u16) -> Reply {
    undone(move |answer| Answer { code, ..answer })
}

#[test]
fn another_success_is_no_proof() {
    for code in [201, 202, 203, 204, 206, 299] {
        proves_nothing(&code.to_string(), || status(code));
    }
}

#[test]
fn a_page_is_no_proof() {
    proves_nothing("page", || undone(|answer| answer.body(PAGE)));
    let reply = || undone(|answer| without(answer, "etag").body(PAGE));
    proves_nothing("page without an ETag", reply);
}

#[test]
fn an_error_with_200_is_no_proof() {
    proves_nothing("error", || {
        undone(|answer| Answer {
            code: 200,
            headers: answer.headers,
            ..Answer::internal_error()
        })
    });
}

#[test]
fn an_answer_without_an_etag_is_no_proof() {
    proves_nothing("no ETag", || undone(|answer| without(answer, "etag")));
}

#[test]
fn another_checksum_is_no_proof() {
    let other = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    proves_nothing("checksum", || {
        undone(|answer| answer.header("x-amz-checksum-sha256", other))
    });
}

/// Nothing demands that an ETag says anything.
#[test]
fn an_empty_etag_counts() {
    for jobs in ["1", "3"] {
        let (odd, data) = (Odd::new(), blocks(2));
        odd.store.hook(|request| match request.method.as_str() {
            "PUT" => Reply::truth().edit(|answer| without(answer, "etag").header("ETag", "\"\"")),
            _ => Reply::truth(),
        });
        odd.upload(&data).option("-j", jobs).run().ok();
        assert_eq!(odd.count("PUT", ""), 6);
        odd.holds(&data);
    }
}

/// A block that does not go out at once, so that it is being sent when the
/// answer comes.
const LONG: usize = 1 << 20;

/// Uploads one such block, the first attempt at which is answered when half of
/// it has come, and then so; and gives how often it was sent.
fn answered_early(then: fn() -> Vec<Say>) -> (Outcome, usize) {
    let odd = Odd::with(Settings {
        narrow: true,
        ..Settings::default()
    });
    let data = random(3, LONG);
    let told = AtomicBool::new(false);
    odd.store.hook(move |request: &Request| {
        if !is(request, "PUT", "/block/") || told.swap(true, Ordering::Relaxed) {
            return Reply::truth();
        }
        let early = Reply::truth().act(Act::Never).read(Part::Begun);
        early.say(move |answer| [vec![Say::whole(&answer)], then()].concat())
    });
    let run = odd.upload(&data).option("--blocksize", "1M");
    let outcome = run.run();
    let sent = odd.count("PUT", "/block/");
    if outcome.status == 0 {
        odd.holds(&data);
    }
    (outcome, sent)
}

#[test]
fn an_answer_before_the_body_is_no_proof() {
    for then in [
        Vec::new as fn() -> Vec<Say>,
        || vec![Say::Close],
        || vec![Say::Reset],
    ] {
        let (outcome, sent) = answered_early(then);
        succeeds(&outcome);
        assert_eq!(sent, 2, "{:?}", then());
    }
}
