//! clean and an upload that tidies up: nothing goes of an upload that still
//! stores, and nothing of a stream that is not all there.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::shelf::{Shelf, is, lists, with_other_data};
use crate::faults::site::{BLOCK, blocks};
use crate::proxy::{Answer, date};
use crate::support::random;
use crate::support::store::{Object, Order, Reply, Request, Store};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn empty(keys: &[String]) -> bool {
    keys.is_empty()
}

/// Answers each request as the service's clock would, and later by so much for
/// each one.
fn with_time(n: usize, step: Duration) -> Reply {
    Reply::truth().edit(move |mut answer| {
        let now = SystemTime::now() + step * u32::try_from(n).expect("a number");
        let seconds = now.duration_since(UNIX_EPOCH).expect("a time").as_secs();
        answer.headers.retain(|(name, _)| name != "Date");
        answer.header("Date", &date::http(seconds))
    })
}

/// What is old enough only by the time when the last page came is not.
#[test]
fn clean_takes_the_time_before_it_looks() {
    let shelf = Shelf::new();
    shelf.leave("n", 1);
    shelf.age(6);
    let before = shelf.keys("");
    let start = shelf.store.requests().len();
    shelf
        .store
        .hook(move |request| with_time(request.n - start, DAY));
    shelf.run("clean").run().ok();
    assert_eq!(shelf.keys(""), before);
    // By the service's clock, whatever the local one says.
    shelf.store.hook(move |_| with_time(1, 2 * DAY));
    shelf.run("clean").run().ok();
    assert!(empty(&shelf.keys("")));
}

/// An upload that stores something between the listing and its turn lives.
#[test]
fn clean_looks_again_before_it_removes() {
    // A new block, the record of one that was resumed, a time that is no more.
    type Change = fn(&Store);
    let changes: [Change; 3] = [
        |store| {
            let keys: Vec<String> = store.objects().into_keys().collect();
            let key = keys.iter().find(|key| key.contains("/block/n/"));
            let (folder, _) = key.expect("a block").rsplit_once('/').expect("a folder");
            let key = format!("{folder}/0000000009.{}", "a".repeat(64));
            store.put(&key, Object::new("new"));
        },
        |store| {
            for (key, object) in store.objects() {
                if key.contains("/upload/n/") {
                    store.put(&key, Object::new(object.body.to_vec()));
                }
            }
        },
        |_| {},
    ];
    for (n, change) in changes.into_iter().enumerate() {
        for args in [&[][..], &["-n"]] {
            println!("{n} {args:?}");
            let shelf = Shelf::new();
            shelf.leave("n", 2);
            shelf.leave("dead", 2);
            shelf.age(8);
            let looks = AtomicUsize::new(0);
            shelf.hook(move |store, request| {
                if is(request, "GET", "/manifest/n") && looks.fetch_add(1, Relaxed) == 0 {
                    change(store);
                }
                let timeless = n == 2 && lists(request, "s3pipe/block/n/");
                match timeless {
                    false => Reply::truth(),
                    true => Reply::truth().edit(|mut answer| {
                        let text = String::from_utf8(answer.body).expect("a listing");
                        answer.body = text.replace("LastModified", "LastSeen").into();
                        answer
                    }),
                }
            });
            let out = shelf.run("clean").args(args).run().ok();
            assert_eq!(
                (shelf.keys("/upload/n/").len(), shelf.keys("/dead/").len()),
                match args {
                    [] => (1, 0),
                    _ => (1, 5),
                }
            );
            assert!(shelf.keys("/block/n/").len() >= 3);
            assert!(!out.text().contains("\tn\n"), "{out}");
        }
    }
}

/// A manifest that appears while blocks go stops it.
#[test]
fn clean_stops_when_an_upload_is_committed_after_all() {
    let shelf = Shelf::with(5);
    let manifest = shelf.store.object("s3pipe/manifest/n").expect("a manifest");
    shelf.store.remove("s3pipe/manifest/n");
    shelf.age(8);
    shelf.order(Order::Sorted, 2);
    shelf.hook(move |store, request| {
        if request.method == "POST" {
            store.put("s3pipe/manifest/n", manifest.clone());
        }
        Reply::truth()
    });
    let run = shelf.run("clean").run();
    run.fails(
        75,
        "committed while it was being removed: run s3pipe verify",
    );
    assert_eq!(shelf.keys("/block/").len(), 4);
}

/// One that appears while the record goes is in time, and to see it once is
/// enough: the stream stays whole.
#[test]
fn clean_looks_once_more_when_the_record_is_gone() {
    for shown in [usize::MAX, 1] {
        let shelf = Shelf::with(2);
        let manifest = shelf.store.object("s3pipe/manifest/n").expect("a manifest");
        shelf.store.remove("s3pipe/manifest/n");
        shelf.age(8);
        let before = shelf.keys("/block/");
        let looks = AtomicUsize::new(0);
        shelf.hook(move |store, request| {
            if is(request, "DELETE", "/upload/") {
                store.put("s3pipe/manifest/n", manifest.clone());
            }
            let committed = store.object("s3pipe/manifest/n").is_some();
            if committed
                && is(request, "GET", "/manifest/n")
                && looks.fetch_add(1, Relaxed) >= shown
            {
                return Reply::instead(Answer::not_found("NoSuchKey"));
            }
            Reply::truth()
        });
        shelf.run("clean").run().ok();
        assert_eq!(shelf.keys("/block/"), before);
        assert_eq!(shelf.keys("/index/").len(), 1);
    }
}

/// Where something is missing of a committed stream, or has another size, the
/// rest of it stays, and that is said.
#[test]
fn a_stream_that_is_not_all_there_is_not_tidied() {
    type Damage = fn(&Store, &str);
    let damages: [(&str, &str, Damage); 3] = [
        (
            "/0000000001.",
            "missing from a committed stream",
            |store, key| store.remove(key),
        ),
        ("/0000000001.", "has the wrong size", |store, key| {
            store.put(key, Object::new(random(1, BLOCK - 1)));
        }),
        (
            "/index/n/",
            "missing from a committed stream",
            |store, key| store.remove(key),
        ),
    ];
    for (part, why, damage) in damages {
        println!("{part} {why}");
        let shelf = Shelf::new();
        shelf.upload_with_record("n", 3);
        let key = shelf.key(part);
        shelf.stray("n", 0, "f");
        shelf.upload_with_record("whole", 1);
        shelf.stray("whole", 0, "f");
        damage(&shelf.store, &key);
        let kept = shelf.keys("/n");
        shelf.leave("dead", 2);
        shelf.age(8);
        let out = shelf.run("clean").run();
        assert_eq!((out.status, out.stderr.lines().count()), (65, 2), "{out}");
        assert!(
            out.stderr.contains(why) && out.stderr.contains(&key),
            "{out}"
        );
        assert!(
            out.stderr.contains("1 stream is not as it must be"),
            "{out}"
        );
        assert_eq!(shelf.keys("/n"), kept);
        // It has done the rest.
        assert!(empty(&shelf.keys("/dead/")));
        assert_eq!(shelf.keys("/whole").len(), 4);
    }
}

/// A block that an earlier run has stored goes in the moment of the commit: it
/// was only listed, and not sent again.
#[test]
fn a_resumed_upload_that_is_not_all_there_does_not_end_with_0() {
    for jobs in ["1", "3"] {
        let shelf = Shelf::new();
        shelf.leave("n", 4);
        let gone = shelf.key("/0000000002.");
        let hidden = gone.clone();
        shelf.hook(move |store, request| {
            if is(request, "PUT", "/manifest/") {
                store.remove(&hidden);
            }
            Reply::truth()
        });
        let run = shelf.run("upload").option("-s", "n").arg("--resume");
        let data = &blocks(4)[..3 * BLOCK + 5];
        let out = run.option("-j", jobs).stdin(data).run();
        let out = out.fails(65, "the stream is committed: run s3pipe verify");
        assert!(out.stderr.contains(&gone), "{out}");
        // Nothing was removed: the record, what does not belong.
        assert_eq!(shelf.keys("/upload/").len(), 1);
        assert_eq!(shelf.keys("/block/").len(), 5);
        shelf.store.hook(|_| Reply::truth());
        let out = shelf.run("verify").option("-s", "n").run();
        assert!(out.status == 65 && out.stderr.contains(&gone), "{out}");
    }
}

/// Its owner may come to the commit after it was looked at.
#[test]
fn strays_go_only_while_the_manifest_is_the_same() {
    let shelf = Shelf::new();
    shelf.upload_with_record("n", 3);
    shelf.stray("n", 1, "f");
    shelf.age(8);
    let before = shelf.keys("");
    let manifest = shelf.store.object("s3pipe/manifest/n").expect("a manifest");
    let other = with_other_data(&manifest);
    let listings = AtomicUsize::new(0);
    shelf.hook(move |store, request| {
        // It is listed once more before it is compared.
        if lists(request, "s3pipe/block/n/") && listings.fetch_add(1, Relaxed) == 1 {
            store.put("s3pipe/manifest/n", Object::new(other.clone()));
        }
        Reply::truth()
    });
    shelf.run("clean").run().ok();
    assert_eq!(shelf.keys(""), before);
}

/// What is not listed, and may not be looked at, is no reason to remove anything,
/// nor to call anything damaged.
#[test]
fn what_may_not_be_looked_at_is_left_as_it_is() {
    let hide = |_: &Store, request: &Request| {
        if is(request, "HEAD", "/block/") || is(request, "GET", "/block/") {
            return Reply::instead(Answer::access_denied());
        }
        if !lists(request, "s3pipe/block/") {
            return Reply::truth();
        }
        Reply::truth().edit(|mut answer| {
            let text = String::from_utf8(answer.body).expect("a listing");
            let parts = text.split_inclusive("</Contents>");
            let shown =
                parts.filter(|part| !part.contains("/n/") || !part.contains("/0000000002."));
            answer.body = shown.collect::<String>().into();
            answer
        })
    };
    let shelf = Shelf::new();
    shelf.upload_with_record("n", 4);
    shelf.stray("n", 0, "f");
    let before = shelf.keys("");
    shelf.leave("dead", 2);
    shelf.age(8);
    shelf.hook(hide);
    shelf.run("clean").run().fails(77, "403 AccessDenied");
    assert_eq!(shelf.keys(""), before);

    let shelf = Shelf::new();
    shelf.leave("n", 4);
    shelf.hook(hide);
    let run = shelf.run("upload").option("-s", "n").arg("--resume");
    let data = &blocks(4)[..3 * BLOCK + 5];
    let out = run.stdin(data).run().ok_saying("403 AccessDenied");
    assert!(out.stderr.contains("the stream is committed"), "{out}");
    assert_eq!(shelf.keys("/upload/").len(), 1);
    assert_eq!(shelf.keys("/block/").len(), 6);
}
