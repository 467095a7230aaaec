//! delete: nothing counts as gone without a proof, and nothing goes that is
//! another's.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::shelf::{Shelf, is, lists, page};
use crate::faults::site::blocks;
use crate::proxy::Answer;
use crate::support::store::{Act, Object, Order, Reply, Say};

fn empty(keys: &[String]) -> bool {
    keys.is_empty()
}

/// Answers to DELETE that prove nothing.
fn odd_successes() -> Vec<Answer> {
    // The 404 is none of S3's.
    let mut odd = vec![
        Answer::new(404, "Not Found").body("<html>Not Found</html>"),
        page(),
        Answer::new(200, "OK").body("deleted"),
    ];
    odd.extend([201, 202, 203, 206, 299].map(|status| Answer::new(status, "Fine")));
    odd
}

#[test]
fn an_answer_to_delete_that_proves_nothing_is_not_believed() {
    let parts = ["/upload/", "/manifest/", "/block/", "/index/"];
    for (answer, part) in odd_successes().into_iter().zip(parts.into_iter().cycle()) {
        println!("{answer:?}, {part}");
        let one_by_one = || Reply::instead(Answer::s3(501, "No", "NotImplemented", "No.", ""));
        // Once for each object.
        let shelf = Shelf::with(2);
        let (turn, said) = (AtomicUsize::new(0), answer.clone());
        shelf
            .store
            .hook(move |request| match request.method.as_str() {
                "POST" => one_by_one(),
                "DELETE" if turn.fetch_add(1, Relaxed) % 2 == 0 => Reply::instead(said.clone()),
                _ => Reply::truth(),
            });
        shelf.run("delete").option("-s", "n").run().ok();
        assert!(empty(&shelf.keys("")));
        // For good for some.
        let shelf = Shelf::with(2);
        shelf
            .store
            .hook(move |request| match request.method.as_str() {
                "POST" => one_by_one(),
                "DELETE" if is(request, "DELETE", part) => Reply::instead(answer.clone()),
                _ => Reply::truth(),
            });
        let run = shelf.run("delete").option("-s", "n").run();
        assert_eq!(run.status, 69, "{part}: {run}");
        if matches!(part, "/upload/" | "/manifest/") {
            shelf.assert_holds("n", &blocks(2));
        }
    }
}

/// What DeleteObjects says of each key counts, not the status.
#[test]
fn an_answer_to_many_deletes_that_proves_nothing_is_not_believed() {
    let shelf = Shelf::with(2);
    let turn = AtomicUsize::new(0);
    shelf
        .store
        .hook(move |request| match request.method.as_str() {
            "POST" if turn.fetch_add(1, Relaxed) == 0 => Reply::instead(page()),
            _ => Reply::truth(),
        });
    shelf.run("delete").option("-s", "n").run().ok();
    assert!(empty(&shelf.keys("")));
    let single = |r: &&_| is(r, "DELETE", "/block/");
    assert_eq!(shelf.store.requests().iter().filter(single).count(), 0);

    for status in [400, 403, 404, 405, 411, 501] {
        println!("{status}");
        let shelf = Shelf::with(2);
        shelf
            .store
            .hook(move |request| match request.method.as_str() {
                "POST" => Reply::instead(Answer::new(status, "No").body("<html>No</html>")),
                _ => Reply::truth(),
            });
        shelf.run("delete").option("-s", "n").run().ok();
        assert!(empty(&shelf.keys("")));
    }
}

#[test]
fn a_delete_that_is_not_carried_out_is_no_delete() {
    // Once, and for good.
    for times in [1, usize::MAX] {
        let shelf = Shelf::with(2);
        let turn = AtomicUsize::new(0);
        shelf.store.hook(move |request| {
            let lie = is(request, "DELETE", "/manifest/") && turn.fetch_add(1, Relaxed) < times;
            match lie {
                true => Reply::instead(Answer::new(204, "No Content")),
                false => Reply::truth(),
            }
        });
        let run = shelf.run("delete").option("-s", "n").run();
        if times == 1 {
            run.ok();
            assert!(empty(&shelf.keys("")));
        } else {
            let key = "test/s3pipe/manifest/n: ";
            let out = run.fails(69, "says that it was deleted, but still shows it");
            assert!(out.stderr.contains(key), "{out}");
            shelf.assert_holds("n", &blocks(2));
        }
    }
}

/// Of version 1, and of a manifest that makes no sense.
#[test]
fn what_makes_a_stream_one_must_be_gone_whatever_it_is() {
    for (key, args) in [
        ("stream.bg==.info", &[][..]),
        ("s3pipe/manifest/n", &["-f"][..]),
    ] {
        for times in [1, usize::MAX] {
            let shelf = Shelf::new();
            shelf.store.put("stream.bg==.info", Object::new(""));
            shelf.store.put("stream.bg==.block.0", Object::new("data"));
            if key.contains("manifest") {
                shelf
                    .store
                    .put(key, Object::new("s3pipe-manifest 2\nrot\n"));
            }
            let turn = AtomicUsize::new(0);
            shelf.store.hook(move |request| {
                let lie = is(request, "DELETE", key) && turn.fetch_add(1, Relaxed) < times;
                match lie {
                    true => Reply::instead(Answer::new(204, "No Content")),
                    false => Reply::truth(),
                }
            });
            let run = shelf.run("delete").option("-s", "n").args(args).run();
            if times == 1 {
                run.ok();
                assert!(empty(&shelf.keys("")), "{:?}", shelf.keys(""));
            } else {
                run.fails(69, "but still shows it");
                assert_eq!(shelf.keys("block.0").len(), 1);
            }
        }
    }
}

/// It comes back after its blocks are gone: a PUT that was on its way so long.
#[test]
fn a_stream_that_comes_back_is_not_deleted() {
    let shelf = Shelf::with(2);
    let manifest = shelf.store.object("s3pipe/manifest/n").expect("a manifest");
    let listings = AtomicUsize::new(0);
    shelf.hook(move |store, request| {
        if lists(request, "s3pipe/index/") && listings.fetch_add(1, Relaxed) == 1 {
            store.put("s3pipe/manifest/n", manifest.clone());
        }
        Reply::truth()
    });
    let run = shelf.run("delete").option("-s", "n").run();
    run.fails(69, "but still shows it");
    // While there are still blocks, they stay.
    let shelf = Shelf::with(5);
    shelf.order(Order::Sorted, 2);
    let manifest = shelf.store.object("s3pipe/manifest/n").expect("a manifest");
    shelf.hook(move |store, request| {
        if request.method == "POST" {
            store.put("s3pipe/manifest/n", manifest.clone());
        }
        Reply::truth()
    });
    let run = shelf.run("delete").option("-s", "n").run();
    run.fails(75, "committed while it was being removed");
    assert_eq!(shelf.keys("/block/").len(), 4);
}

/// The record goes first, so that whoever finds no manifest finds none either.
#[test]
fn delete_removes_record_manifest_blocks_and_indexes() {
    let shelf = Shelf::new();
    shelf.upload_with_record("n", 2);
    let start = shelf.store.requests().len();
    shelf.run("delete").option("-s", "n").run().ok();
    assert!(empty(&shelf.keys("")));
    let mut steps = Vec::new();
    for request in shelf.store.requests().split_off(start) {
        let target = request.key.as_deref().or(request.parameter("prefix"));
        let part = target.and_then(|t| t.split('/').nth(1)).unwrap_or("");
        steps.push(format!("{} {part}", request.method));
    }
    let mut expected = vec!["GET manifest", "DELETE upload", "DELETE manifest"];
    expected.push("GET manifest");
    for part in ["GET block", "GET index"] {
        expected.extend([part, "GET manifest", "POST ", part]);
    }
    expected.push("GET manifest");
    assert_eq!(steps, expected);
}

/// Another stream of that name may be committed as soon as the manifest is gone,
/// and no answer came.
#[test]
fn a_lost_answer_to_delete_does_not_cost_the_next_stream() {
    for late in [false, true] {
        let shelf = Shelf::with(3);
        let first = shelf.store.objects();
        shelf.upload("n", 2);
        let second = shelf.store.objects();
        for key in second.keys() {
            shelf.store.remove(key);
        }
        for (key, object) in &first {
            shelf.store.put(key, object.clone());
        }
        let start = shelf.store.requests().len();
        let deletes = AtomicUsize::new(0);
        shelf.hook(move |store, request| {
            let before = deletes.load(Relaxed);
            if is(request, "DELETE", "/manifest/") {
                deletes.fetch_add(1, Relaxed);
            }
            if before == 0 && is(request, "DELETE", "/manifest/") {
                let say = if late { Say::Reset } else { Say::Close };
                return Reply::truth().say(move |_| vec![say.clone()]);
            }
            if before == 1 && store.object("s3pipe/manifest/n").is_none() {
                for (key, object) in &second {
                    store.put(key, object.clone());
                }
            }
            Reply::truth()
        });
        shelf.run("delete").option("-s", "n").run().ok();
        let requests = shelf.store.requests().split_off(start);
        let deletes = requests.iter().filter(|r| is(r, "DELETE", "/manifest/"));
        assert_eq!(deletes.count(), 1);
        let left = shelf.keys("/block/");
        assert_eq!(left.len(), 3, "{left:?}");
        shelf.assert_holds("n", &blocks(2));
    }
}

/// Requests that are carried out so late that nobody waits for them.
#[test]
fn a_late_delete_of_a_record_does_no_harm() {
    let shelf = Shelf::with(2);
    shelf
        .store
        .hook(|request| match is(request, "DELETE", "/upload/") {
            true => Reply::truth()
                .act(Act::Late(1000))
                .say(|_| vec![Say::Close]),
            false => Reply::truth(),
        });
    let run = shelf.run("delete").option("-s", "n").run();
    assert_eq!(run.status, 69, "{run}");
    shelf.store.settle();
    shelf.assert_holds("n", &blocks(2));
}
