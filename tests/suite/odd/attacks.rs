//! Answers of a moment, found by attacking: none of them ends a run, makes it
//! wait for a day, or has it say what is not so.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::pages::every_other;
use super::{Odd, always, blocks, first, is, odd_page, page, succeeds, undone, without};
use crate::proxy::Answer;
use crate::support::store::{Reply, Request, View};

/// GETs of the manifest after all was sent, so many of them, are answered so.
fn last_looks(
    times: usize,
    reply: impl Fn(&Request) -> Reply + Send + Sync + 'static,
) -> impl Fn(&Request) -> Reply + Send + Sync + 'static {
    let sent = Mutex::new(false);
    let odd = first(times, |r| is(r, "GET", "/manifest/"), reply);
    move |request| {
        let mut sent = sent.lock().unwrap();
        *sent |= is(request, "PUT", "/index/");
        match *sent {
            true => odd(request),
            false => Reply::truth(),
        }
    }
}

fn missing() -> Reply {
    Reply::instead(Answer::not_found("NoSuchKey"))
}

/// The stream to be replaced is not shown for a moment, at the last look.
#[test]
fn a_moment_without_the_old_stream() {
    for times in [1, 2, 3] {
        let (odd, data) = (Odd::holding(&blocks(3)), blocks(2));
        odd.store.hook(last_looks(times, |_| missing()));
        odd.upload(&data).arg("-f").run().ok();
        odd.holds(&data);
        assert_eq!(odd.store.objects().len(), 5, "{:?}", odd.keys(""));
    }
}

/// The commit is not shown for a while, but what was there before.
#[test]
fn what_was_there_before_is_shown_for_a_while() {
    for options in [&[][..], &["-f"]] {
        let (odd, data) = (Odd::new(), blocks(1));
        if !options.is_empty() {
            odd.upload(&blocks(3)).run().ok();
        }
        // The first look sees what is there.
        let stale = last_looks(4, |_| Reply::truth().view(View::Before));
        odd.store
            .hook(move |request: &Request| match request.method.as_str() {
                "GET" => stale(request),
                _ => {
                    stale(request);
                    Reply::truth()
                }
            });
        odd.upload(&data).args(options).run().ok();
        odd.holds(&data);
        assert_eq!(odd.store.objects().len(), 4, "{:?}", odd.keys(""));
    }
}

/// A page in place of the manifest, for good, is no change of it: whoever has put
/// that up, it was no other upload.
#[test]
fn a_page_at_the_last_looks_is_no_change() {
    for options in [&[][..], &["-f"]] {
        let (odd, before) = (Odd::holding(&blocks(2)), blocks(2));
        let odd = if options.is_empty() { Odd::new() } else { odd };
        odd.store.hook(last_looks(usize::MAX, |r| page(r, 200)));
        let run = odd.upload(&blocks(1)).args(options);
        let outcome = run.option("--patience", "1s").run();
        outcome.fails(69, "bad manifest");
        if options.is_empty() {
            odd.holds_none();
        } else {
            odd.store.hook(|_| Reply::truth());
            odd.holds(&before);
        }
    }
}

/// The stream that was replaced is shown once more when it is to be removed: it
/// stays, which is said, and is for clean.
#[test]
fn what_was_replaced_stays_where_it_is_shown_again() {
    let (odd, data) = (Odd::holding(&blocks(3)), blocks(1));
    let (removing, replaced) = (AtomicBool::new(false), odd.keys("/block/"));
    let old = odd
        .store
        .object(&odd.keys("/manifest/")[0])
        .expect("a manifest");
    odd.store.hook(move |request: &Request| {
        if is(request, "DELETE", "/upload/") {
            removing.store(true, Ordering::Relaxed);
        } else if is(request, "GET", "/manifest/") && removing.swap(false, Ordering::Relaxed) {
            let body = old.body.to_vec();
            return Reply::instead(
                Answer::new(200, "OK")
                    .header("ETag", &old.etag())
                    .body(body),
            );
        }
        Reply::truth()
    });
    let outcome = odd.upload(&data).arg("-f").run();
    outcome.ok_saying("this was left behind");
    odd.holds(&data);
    let there = odd.keys("/block/");
    assert!(replaced.iter().all(|key| there.contains(key)), "{there:?}");
}

/// A portal's clock is not the service's: ids are made of that.
#[test]
fn the_clock_of_a_page_is_not_taken() {
    let (odd, data) = (Odd::new(), blocks(1));
    odd.store.hook(first(
        1,
        |_| true,
        |r| odd_page(r, 403, &[("Date", "Tue, 19 Jan 2038 03:14:07 GMT")]),
    ));
    odd.upload(&data).run().ok();
    assert!(odd.keys("2038").is_empty(), "{:?}", odd.keys(""));
    odd.holds(&data);
}

/// An answer of nothing says nothing of a stream of version 1.
#[test]
fn nothing_is_no_stream_of_version_1() {
    let (odd, data) = (Odd::new(), blocks(1));
    odd.store.hook(first(
        2,
        |r| is(r, "GET", ".info"),
        |_| Reply::instead(Answer::new(200, "OK")),
    ));
    odd.upload(&data).run().ok();
    odd.holds(&data);
}

/// A service that gives ETags, but not in answers to PUT, cannot be used, and
/// that is said soon.
#[test]
fn etags_that_only_get_shows_are_no_proof() {
    for jobs in ["1", "3"] {
        let odd = Odd::new();
        odd.store.hook(|request| match request.method.as_str() {
            "PUT" => Reply::truth().edit(|answer| without(answer, "etag")),
            _ => Reply::truth(),
        });
        let run = odd.upload(&blocks(4)).option("-j", jobs);
        let outcome = run.option("--patience", "1s").run();
        outcome.fails(69, "does not prove that it was stored: it has no ETag");
        odd.holds_none();
    }
}

/// An empty object in place of a block has no first byte.
#[test]
fn an_empty_block_is_found_at_once() {
    let odd = Odd::holding(&blocks(2));
    odd.change(&odd.key("/0000000001."), Vec::clear);
    let run = odd.run("verify").arg("--quick");
    let outcome = run.option("--patience", "1s").run();
    assert_eq!(outcome.status, 65, "{outcome}");
    assert!(outcome.stderr.contains("wrong size"), "{outcome}");
}

/// A page in place of the first block of each worker, and of its HEAD: the
/// service has ETags, and the page none.
#[test]
fn a_page_without_an_etag_is_no_object() {
    for status in [200, 403, 405, 501] {
        let odd = Odd::holding(&blocks(4));
        let block = |r: &Request| is(r, "GET", "/block/") || is(r, "HEAD", "/block/");
        let answer = move |r: &Request| match r.method.as_str() {
            "HEAD" => page(r, status),
            _ => page(r, 200),
        };
        odd.store.hook(always(block, answer));
        let run = odd.run("download").option("-j", "3");
        let outcome = run.option("--patience", "1s").run();
        outcome.fails(69, "(gave up after ");
    }
}

/// A host that may write and not look: 403 for every manifest that is not there.
#[test]
fn a_host_that_may_only_write_meets_pages() {
    for status in [200, 302, 403, 404] {
        let (odd, data) = (Arc::new(Odd::new()), blocks(2));
        let (seen, pages) = (odd.clone(), every_other(status));
        odd.store.hook(move |request: &Request| {
            let absent = seen.keys("/manifest/").is_empty();
            match is(request, "GET", "/manifest/") && absent {
                true => Reply::instead(Answer::access_denied()),
                false => pages(request),
            }
        });
        odd.upload(&data).run().ok();
        odd.holds(&data);
    }
}

/// An unproved PUT of the commit in a row of other faults is still looked for.
#[test]
fn a_commit_among_faults_is_one_commit() {
    let replies: [fn(&Request) -> Reply; 5] = [
        |_| {
            undone(|answer| Answer {
                code: 202,
                ..answer
            })
        },
        |_| Reply::instead(Answer::internal_error()),
        |r| page(r, 404),
        |_| missing(),
        |_| Reply::truth().edit(|answer| without(answer, "etag")),
    ];
    for options in [&[][..], &["-f"]] {
        let (odd, data) = (Odd::new(), blocks(1));
        if !options.is_empty() {
            odd.upload(&blocks(3)).run().ok();
        }
        let before = odd.count("PUT", "/manifest/");
        let turn = AtomicUsize::new(0);
        odd.store.hook(move |request: &Request| {
            if !is(request, "PUT", "/manifest/") {
                return Reply::truth();
            }
            let turn = turn.fetch_add(1, Ordering::Relaxed);
            replies
                .get(turn)
                .map_or(Reply::truth(), |reply| reply(request))
        });
        succeeds(&odd.upload(&data).args(options).run());
        assert_eq!(odd.count("PUT", "/manifest/") - before, replies.len());
        odd.holds(&data);
    }
}
