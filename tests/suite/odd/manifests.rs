//! Damaged manifests, and what only looks like one: a stream is offered to be
//! replaced only where the store shows that it has that object.

use super::{Odd, always, blocks, first, is, odd_page, page, succeeds, without};
use crate::support::store::{Object, Reply, Request};

const OFFERED: &str = "(-f replaces it)";

/// Of manifests that the store has so.
const DAMAGED: [(&str, &str); 5] = [
    ("empty", ""),
    ("a page", "<html>"),
    ("cut", "s3pipe-manifest 2\nstream x\n"),
    ("newer", "s3pipe-manifest 3\n"),
    ("not text", "\u{0}\u{1}"),
];

#[test]
fn a_damaged_manifest_is_replaced_by_force_alone() {
    for (name, text) in DAMAGED {
        println!("{name}");
        let (odd, data) = (Odd::new(), blocks(1));
        odd.store.put("s3pipe/manifest/x", Object::new(text));
        let read = odd.run("download").option("--patience", "1s").run();
        let read = read.fails(65, "bad manifest: ");
        assert!(!read.stderr.contains("-f"), "{read}");
        let refused = odd.upload(&data).option("--patience", "1s").run();
        refused.fails(65, OFFERED);
        let forced = odd.upload(&data).arg("-f").option("--patience", "1s");
        forced.run().ok();
        let requests = odd.store.requests();
        let commits = requests.iter().filter(|r| is(r, "PUT", "/manifest/"));
        let etag = Object::new(text).etag();
        let conditions: Vec<_> = commits.map(|r| r.header("if-match")).collect();
        assert_eq!(conditions, [Some(etag.as_str())]);
        odd.holds(&data);
    }
}

/// HEAD that shows nothing, another length, or no ETag, is of something else.
#[test]
fn what_head_does_not_show_is_not_replaced() {
    let heads: [fn(&Request) -> Reply; 5] = [
        |r| page(r, 200),
        |r| page(r, 404),
        |r| page(r, 403),
        |_| {
            Reply::truth().edit(|a| {
                let length = "7";
                without(a, "content-length").header("Content-Length", length)
            })
        },
        |_| Reply::truth().edit(|a| without(a, "etag")),
    ];
    for (n, head) in heads.into_iter().enumerate() {
        let odd = Odd::new();
        let text = "s3pipe-manifest 2\nstream x\n";
        odd.store.put("s3pipe/manifest/x", Object::new(text));
        odd.store.hook(always(|r| is(r, "HEAD", ""), head));
        for options in [&[][..], &["-f"]] {
            let run = odd.upload(b"new").args(options);
            let outcome = run.option("--patience", "1s").run();
            let outcome = outcome.fails(65, "bad manifest: ");
            assert!(!outcome.stderr.contains("-f"), "{n}: {outcome}");
        }
        let now = odd.store.object("s3pipe/manifest/x").unwrap();
        assert_eq!(now.body.as_slice(), text.as_bytes());
    }
}

/// A page may have an ETag too, and last. What it hid is older than this upload,
/// and to be replaced in any case.
#[test]
fn what_a_page_hid_is_replaced_by_force() {
    let (old, data) = (blocks(2), blocks(1));
    let odd = Odd::holding(&old);
    let stored = |r: &Request| is(r, "PUT", "/block/");
    let passed = std::sync::atomic::AtomicBool::new(false);
    odd.store.hook(move |r: &Request| {
        use std::sync::atomic::Ordering::Relaxed;
        if stored(r) {
            passed.store(true, Relaxed);
        }
        let hidden =
            (is(r, "GET", "/manifest/") || is(r, "HEAD", "/manifest/")) && !passed.load(Relaxed);
        match hidden {
            true => odd_page(r, 200, &[("ETag", "\"5f2-264\"")]),
            false => Reply::truth(),
        }
    });
    let run = odd.upload(&data).arg("-f").option("--patience", "1s");
    succeeds(&run.run());
    odd.holds(&data);
    assert_eq!(odd.keys("/block/").len(), 2);
}

/// An ETag that got lost on the way at the beginning is no reason to replace
/// without a condition at the end.
#[test]
fn an_etag_that_comes_back_is_used() {
    let (odd, data) = (Odd::holding(&blocks(2)), blocks(1));
    let etag = odd.store.object("s3pipe/manifest/x").unwrap().etag();
    odd.store.hook(first(
        1,
        |r| is(r, "GET", "/manifest/"),
        |_| Reply::truth().edit(|answer| without(answer, "etag")),
    ));
    odd.upload(&data).arg("-f").run().ok();
    let requests = odd.store.requests();
    let commit = requests.iter().rev().find(|r| is(r, "PUT", "/manifest/"));
    assert_eq!(commit.unwrap().header("if-match"), Some(etag.as_str()));
    odd.holds(&data);
}
