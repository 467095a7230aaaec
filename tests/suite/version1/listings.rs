//! Listings in any order, late ones, and ones that say too little: all that there
//! is to know of a stream of version 1.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::faults::site::{BLOCK, blocks};
use crate::proxy::Answer;
use crate::support::store::{Object, Reply};
use crate::upkeep::listings::each_order;
use crate::upkeep::shelf::{Shelf, is, lists};

#[test]
fn version_1_needs_no_order() {
    each_order(|order, page| {
        let shelf = Shelf::new();
        let data = blocks(12);
        shelf.store.put("stream.bg==.info", Object::new(""));
        for (n, block) in data.chunks(BLOCK).enumerate() {
            let key = format!("stream.bg==.block.{n}");
            shelf.store.put(&key, Object::new(block));
        }
        shelf.order(order, page);
        let list = shelf.run("list").run().ok();
        assert_eq!(list.text(), "n\n");
        let run = shelf.run("download").option("-s", "n").arg("-q").run();
        assert!(run.ok().stdout == data);
        shelf.run("delete").option("-s", "n").run().ok();
        assert_eq!(shelf.store.objects().len(), 0);
    });
}

/// Of version 1 a listing says how many blocks there are, and may be late.
#[test]
fn what_version_1_has_is_not_told_by_a_listing_alone() {
    let shelf = Shelf::new();
    let data = blocks(3);
    shelf.store.put("stream.bg==.info", Object::new(""));
    for (n, block) in data.chunks(BLOCK).enumerate() {
        let key = format!("stream.bg==.block.{n}");
        shelf.store.put(&key, Object::new(block));
    }
    for hidden in ["block.", "block.1<", "block.3<"] {
        for times in [1, usize::MAX] {
            println!("{hidden} {times}");
            let turn = Arc::new(AtomicUsize::new(0));
            shelf.edit_listings("stream.bg==.block", move |text| {
                if turn.fetch_add(1, Ordering::Relaxed) >= times {
                    return text.into();
                }
                let parts = text.split_inclusive("</Contents>");
                let hide = |part: &str| part.contains(hidden);
                parts
                    .map(|part| match part.split_once("<Contents>") {
                        Some((before, _)) if hide(part) => before,
                        _ => part,
                    })
                    .collect()
            });
            let out = shelf.run("download").option("-s", "n").arg("-q").run();
            if times == 1 {
                assert!(out.ok().stdout == data);
            } else {
                let out = out.fails(69, "it is there, but the service does not list it");
                assert!(out.stdout.is_empty());
            }
        }
    }
}

/// What is listed without its size is no listing, rather than empty.
#[test]
fn a_listing_says_how_long_its_objects_are() {
    let shelf = Shelf::new();
    shelf.store.put("stream.bg==.info", Object::new(""));
    shelf.store.put("stream.bg==.block.0", Object::new("data"));
    for times in [1, usize::MAX] {
        let turn = Arc::new(AtomicUsize::new(0));
        shelf.edit_listings("stream.bg==.block", move |text| {
            let odd = turn.fetch_add(1, Ordering::Relaxed) < times;
            let odd = odd.then(|| text.replace("Size>", "Length>"));
            odd.unwrap_or(text.into())
        });
        let out = shelf.run("download").option("-s", "n").arg("-q").run();
        if times == 1 {
            assert_eq!(out.ok().text(), "data");
        } else {
            out.fails(69, "the server sent what is not a listing");
        }
    }
}

/// Version 1 is left out only for who may not list it.
#[test]
fn a_refusal_is_no_reason_to_leave_version_1_out() {
    let shelf = Shelf::with(1);
    shelf.store.put("stream.bw==.info", Object::new(""));
    for (code, status) in [("AccessDenied", 0), ("SignatureDoesNotMatch", 77)] {
        for (part, args) in [("stream.", &[][..]), (".info", &["-l"])] {
            shelf.store.hook(move |request| {
                match lists(request, part) || is(request, "GET", part) {
                    true => Reply::instead(Answer::s3(403, "Forbidden", code, "No.", "")),
                    false => Reply::truth(),
                }
            });
            let out = shelf.run("list").args(args).run();
            assert_eq!(out.status, status, "{out}");
            let names = out.text().lines().map(|line| line.rsplit('\t').next());
            let names: Vec<_> = names.flatten().collect();
            assert_eq!(names, if status == 0 { &["n"][..] } else { &[] });
        }
    }
}
