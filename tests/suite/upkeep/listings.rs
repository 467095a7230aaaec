//! Services that list in another order than that of keys, twice, too much or too
//! little, or without an end: no stream suffers by it, and none is called damaged.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::shelf::{ORDERS, Shelf, is, lists};
use crate::faults::site::{BLOCK, blocks};
use crate::proxy::Answer;
use crate::support::random;
use crate::support::store::{Object, Order, Reply};

const UNORDERED: &str = "the service does not list in the order of keys";

/// Every order, in pages of two and in one page.
pub fn each_order(mut test: impl FnMut(Order, usize)) {
    for order in ORDERS {
        for page in [2, 1000] {
            println!("{order:?}, {page}");
            test(order, page);
        }
    }
}

#[test]
fn an_upload_is_not_resumed_from_a_listing_without_an_order() {
    each_order(|order, page| {
        let shelf = Shelf::new();
        shelf.leave("n", 9);
        let before = shelf.keys("/block/");
        shelf.order(order, page);
        let run = shelf.run("upload").option("-s", "n").arg("--resume");
        let run = run.stdin(blocks(9)).run();
        run.fails(69, UNORDERED);
        assert_eq!(shelf.keys("/manifest/").len(), 0);
        assert_eq!(shelf.keys("/block/"), before);
    });
}

/// Where the order is lost only after the commit.
#[test]
fn a_resumed_upload_is_not_tidied_by_a_listing_without_an_order() {
    each_order(|order, page| {
        let shelf = Shelf::new();
        shelf.leave("n", 9);
        shelf.hook(move |store, request| {
            if is(request, "PUT", "/manifest/") {
                store.set(|s| (s.order, s.page) = (order, page));
            }
            Reply::truth()
        });
        let run = shelf.run("upload").option("-s", "n").arg("--resume");
        let data = &blocks(9)[..4 * BLOCK + 7];
        let out = run.stdin(data).run().ok_saying(UNORDERED);
        assert!(out.stderr.contains("the stream is committed"), "{out}");
        // Of the one that was broken off one is left, and clean finds it.
        assert_eq!(shelf.keys("/block/").len(), 11);
        assert_eq!(shelf.keys("/upload/").len(), 1);
        shelf.store.hook(|_| Reply::truth());
        shelf.order(Order::Sorted, 1000);
        shelf.age(8);
        shelf.run("clean").run().ok();
        assert_eq!(shelf.keys("/block/").len(), 5);
        assert_eq!(shelf.keys("/upload/").len(), 0);
        shelf.assert_holds("n", data);
    });
}

#[test]
fn clean_leaves_committed_streams_alone() {
    each_order(|order, page| {
        let shelf = Shelf::new();
        shelf.upload_with_record("n", 9);
        let stray = shelf.stray("n", 2, "f");
        let before = shelf.keys("");
        shelf.leave("dead", 3);
        shelf.age(8);
        shelf.order(order, page);
        shelf.run("clean").run().fails(69, UNORDERED);
        // What needs no order was done.
        assert_eq!(shelf.keys(""), before);
        shelf.order(Order::Sorted, 1000);
        shelf.run("clean").run().ok();
        assert_eq!(shelf.keys("/upload/"), Vec::<String>::new());
        assert!(!shelf.keys("").contains(&stray));
        shelf.assert_holds("n", &blocks(9));
    });
}

#[test]
fn verify_calls_nothing_missing_or_foreign_because_of_an_order() {
    each_order(|order, page| {
        let shelf = Shelf::with(9);
        shelf.order(order, page);
        for word in ["--quick", "-q"] {
            let run = shelf.run("verify").option("-s", "n").arg(word);
            let out = run.run().fails(69, UNORDERED);
            assert!(out.stderr.contains("of s3pipe/"), "{out}");
        }
        // What is wrong is named in any order.
        let damaged = shelf.key("/0000000002.");
        shelf.store.put(&damaged, Object::new(random(1, BLOCK)));
        let out = shelf.run("verify").option("-s", "n").run();
        assert_eq!(out.status, 65, "{out}");
        assert_eq!(out.stderr.lines().count(), 3, "{out}");
        assert!(
            out.stderr.contains(&damaged) && out.stderr.contains(UNORDERED),
            "{out}"
        );
    });
}

#[test]
fn one_key_is_in_order_however_often_it_is_listed() {
    let shelf = Shelf::with(0);
    for order in [Order::Reversed, Order::Shuffled(1)] {
        shelf.order(order, 1);
        for command in ["verify", "download"] {
            shelf.run(command).option("-s", "n").run().ok();
        }
    }
    shelf.order(Order::Doubled, 1);
    let run = shelf.run("verify").option("-s", "n").run();
    run.fails(69, UNORDERED);
}

#[test]
fn what_is_a_set_needs_no_order() {
    each_order(|order, page| {
        let shelf = Shelf::new();
        for (n, name) in ["b", "a", "c/d", "e"].iter().enumerate() {
            shelf.upload(name, n);
        }
        shelf.leave("f", 6);
        shelf.leave("a", 1);
        shelf.age(8);
        let commands: [&[&str]; 4] = [
            &["list"],
            &["list", "-l"],
            &["list", "--incomplete"],
            &["clean", "-n"],
        ];
        let all = || {
            let run = |args: &&[&str]| shelf.run(args[0]).args(&args[1..]).run().ok().stdout;
            commands.iter().map(run).collect::<Vec<_>>()
        };
        let expected = all();
        assert!(expected.iter().all(|text| !text.is_empty()));
        shelf.order(order, page);
        assert_eq!(all(), expected);

        shelf.run("clean").run().ok();
        assert_eq!(shelf.keys("/f/"), Vec::<String>::new());
        for name in ["b", "e"] {
            shelf.run("delete").option("-s", name).run().ok();
            assert_eq!(shelf.keys(&format!("/{name}/")), Vec::<String>::new());
            assert_eq!(shelf.keys(&format!("manifest/{name}")).len(), 0);
        }
        shelf.assert_holds("a", &blocks(1));
        shelf.assert_holds("c/d", &blocks(2));
    });
}

/// A look that told nothing is no reason to say something.
#[test]
fn what_cannot_be_told_is_not_said() {
    let shelf = Shelf::new();
    shelf.upload_with_record("a", 1);
    shelf.upload("b", 1);
    let once = |answer: Answer| {
        let turn = AtomicUsize::new(0);
        shelf.store.hook(move |request| {
            let look = is(request, "GET", "/manifest/a");
            match look && turn.fetch_add(1, Ordering::Relaxed) == 0 {
                true => Reply::instead(answer.clone()),
                false => Reply::truth(),
            }
        });
    };
    once(Answer::not_found("NoSuchBucket"));
    let out = shelf.run("list").arg("-l").run().fails(66, "NoSuchBucket");
    assert!(out.stdout.is_empty());
    once(Answer::access_denied());
    let run = shelf.run("list").arg("--incomplete").run();
    let out = run.fails(77, "whether it is committed cannot be told");
    assert!(out.stdout.is_empty());
}

#[test]
fn a_bucket_is_empty_in_no_order() {
    each_order(|order, page| {
        let shelf = Shelf::with(1);
        shelf.order(order, page);
        let run = shelf.run("deletebucket").run();
        run.fails(73, "the bucket is not empty");
    });
}

/// Where there is no token, the last key is what a listing goes on with.
#[test]
fn a_page_without_a_token_needs_an_order() {
    let shelf = Shelf::new();
    for name in ["a", "b", "c", "d", "e"] {
        shelf.upload(name, 1);
    }
    shelf.order(Order::Sorted, 2);
    shelf.edit_listings("", |text| {
        let Some((before, after)) = text.split_once("<NextContinuationToken>") else {
            return text.into();
        };
        let (_, after) = after
            .split_once("</NextContinuationToken>")
            .expect("its end");
        format!("{before}{after}")
    });
    assert_eq!(shelf.run("list").run().ok().text(), "a\nb\nc\nd\ne\n");
    shelf.run("verify").option("-s", "a").run().ok();
    for order in ORDERS {
        println!("{order:?}");
        shelf.order(order, 4);
        let run = shelf.run("list").run();
        if order == Order::Doubled {
            assert_eq!(run.ok().text(), "a\nb\nc\nd\ne\n");
        } else {
            let out = run.fails(69, "");
            let whys = ["without a token", "does not advance"];
            assert!(whys.iter().any(|why| out.stderr.contains(why)), "{out}");
        }
    }
}

/// Three pages, of which each leads to the next one.
#[test]
fn a_listing_that_goes_round_in_a_circle_ends() {
    let shelf = Shelf::with(1);
    let turn = AtomicUsize::new(0);
    shelf.store.hook(move |request| {
        if !lists(request, "s3pipe/manifest/") {
            return Reply::truth();
        }
        let n = turn.fetch_add(1, Ordering::Relaxed) % 3;
        let body = format!(
            "<ListBucketResult><IsTruncated>true</IsTruncated>\
             <NextContinuationToken>{n}</NextContinuationToken>\
             <Contents><Key>s3pipe/manifest/{n}</Key><Size>1</Size></Contents>\
             </ListBucketResult>"
        );
        Reply::instead(Answer::new(200, "OK").body(body))
    });
    shelf.run("list").run().fails(69, "does not advance");
}

/// A page that makes no sense may be a mistake.
#[test]
fn an_odd_page_is_asked_for_again() {
    for order in ORDERS {
        let shelf = Shelf::with(9);
        let turn = AtomicUsize::new(0);
        shelf.hook(move |store, request| {
            if lists(request, "s3pipe/block/") {
                let odd = turn.fetch_add(1, Ordering::Relaxed) == 0;
                let order = if odd { order } else { Order::Sorted };
                store.set(|s| s.order = order);
            }
            Reply::truth()
        });
        shelf.run("verify").option("-s", "n").run().ok();
    }
}

/// Blocks that are there and not listed are found where they must be.
#[test]
fn what_is_not_listed_may_be_there() {
    let hide = |text: &str| {
        let parts = text.split_inclusive("</Contents>");
        let shown = parts.filter(|part| !part.contains("/0000000002."));
        shown.collect::<String>()
    };
    let shelf = Shelf::new();
    shelf.upload_with_record("n", 9);
    let stray = shelf.stray("n", 3, "f");
    shelf.age(8);
    let before = shelf.store.requests().len();
    shelf.edit_listings("s3pipe/block/", hide);
    let run = shelf.run("verify").option("-s", "n").arg("--quick").run();
    assert_eq!((run.status, run.stderr.lines().count()), (65, 2), "{run}");
    let named = format!("{stray}: does not belong");
    assert!(run.stderr.contains(&named), "{run}");
    shelf.run("clean").run().ok();
    let mut seen = shelf.store.requests().split_off(before);
    seen.retain(|request| is(request, "HEAD", "/0000000002."));
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert!(!shelf.keys("").contains(&stray));
    assert_eq!(shelf.keys("/upload/"), Vec::<String>::new());
    shelf.assert_holds("n", &blocks(9));

    // And of a resumed one.
    let shelf = Shelf::new();
    shelf.leave("n", 9);
    shelf.edit_listings("s3pipe/block/", hide);
    let run = shelf.run("upload").option("-s", "n").arg("--resume");
    run.stdin(blocks(9)).run().ok();
    assert_eq!(shelf.keys("/upload/"), Vec::<String>::new());
    shelf.assert_holds("n", &blocks(9));
}

/// What is listed under one number is not gathered without bound.
#[test]
fn hundreds_of_blocks_with_one_number() {
    for jobs in ["1", "3"] {
        let shelf = Shelf::new();
        shelf.leave("n", 3);
        let mut first = shelf.keys("/block/");
        first.truncate(1);
        let (folder, _) = first[0].rsplit_once('/').expect("a folder");
        for n in 0..500 {
            let key = format!("{folder}/0000000000.{n:064x}");
            shelf.store.put(&key, Object::new("stray"));
        }
        let before = shelf.store.requests().len();
        let run = shelf.run("upload").option("-s", "n").arg("--resume");
        run.option("-j", jobs).stdin(blocks(3)).run().ok();
        let mut sent = shelf.store.requests().split_off(before);
        sent.retain(|request| is(request, "PUT", "/block/"));
        let sent: Vec<_> = sent.into_iter().filter_map(|request| request.key).collect();
        assert_eq!(sent, first);
        assert_eq!(shelf.keys("/block/").len(), 4);
        shelf.assert_holds("n", &blocks(3));
    }
}
