//! verify and verify --quick: every damage is named, none is changed, and a
//! stream that is whole gets not a word.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::shelf::{Shelf, is, with_other_data};
use crate::faults::site::{BLOCK, STREAM, Site, blocks, on};
use crate::proxy::{Answer, Fault, Seen};
use crate::support::store::{Object, Reply};
use crate::support::{Outcome, Run, random, s3pipe};

/// Five blocks and a short one, in indexes of two.
fn stored() -> Site {
    let site = Site::new();
    store(&site, &[]);
    site
}

fn store(site: &Site, args: &[&str]) {
    let run = s3pipe(&site.server).args(["upload", "-s", STREAM, "--blocksize", "64K"]);
    let run = run.args(args).env("S3PIPE_INDEX_BLOCKS", "2");
    run.stdin(blocks(5)).run().ok();
}

fn quick(site: &Site) -> Run {
    site.run("verify").arg("--quick")
}

/// The key of this block or index.
fn key(site: &Site, kind: &str, number: usize) -> String {
    let mut keys = site.server.objects();
    let (kind, number) = (format!("/{kind}/"), format!("/{number:010}."));
    keys.retain(|key| key.contains(&kind) && key.contains(&number));
    assert_eq!(keys.len(), 1, "{keys:?}");
    keys.remove(0)
}

fn change(site: &Site, key: &str, how: impl Fn(&mut Vec<u8>)) {
    let at = site.server.object(key);
    let mut data = fs::read(&at).expect("an object");
    how(&mut data);
    fs::write(&at, data).expect("an object");
}

fn remove(site: &Site, key: &str) {
    fs::remove_file(site.server.object(key)).expect("an object");
}

/// It failed with 65, named each of these on a line of its own, and summed up.
#[track_caller]
fn names(outcome: &Outcome, found: &[&str]) {
    let lines: Vec<&str> = outcome.stderr.lines().collect();
    let (last, rest) = lines.split_last().expect("lines");
    assert_eq!((outcome.status, rest.len()), (65, found.len()), "{outcome}");
    for part in found {
        assert!(
            rest.iter().any(|line| line.contains(part)),
            "{part}: {outcome}"
        );
    }
    let summary = match found.len() {
        1 => "s3pipe: verify: test/s3pipe/manifest/export: 1 object is not as it must be".into(),
        n => format!(
            "s3pipe: verify: test/s3pipe/manifest/export: {n} objects are not as they must be"
        ),
    };
    assert_eq!(*last, summary);
    assert!(
        lines.iter().all(|line| line.starts_with("s3pipe: ")),
        "{outcome}"
    );
    assert_eq!(outcome.stdout, b"");
}

#[test]
fn what_is_whole_gets_no_word() {
    let site = stored();
    let before = site.server.objects();
    let gets = |part: &str, start: usize| {
        let seen = site.seen("GET", part);
        seen.iter().filter(|s| s.n >= start).count()
    };
    for word in ["", "--quick"] {
        let start = site.proxy.seen().len();
        let run = site.run("verify");
        let run = if word.is_empty() { run } else { run.arg(word) };
        assert_eq!(run.run().ok().stdout, b"");
        let read = if word.is_empty() {
            (6, true)
        } else {
            (0, false)
        };
        assert_eq!(gets("/block/export/", start), read.0);
        assert_eq!(gets("/index/export/", start) > 0, read.1);
        assert!(site.proxy.seen()[start..].iter().all(|s| s.method == "GET"));
    }
    // Two looks at the manifest, a listing each of indexes and blocks.
    let start = site.proxy.seen().len();
    quick(&site).run().ok();
    assert_eq!(site.proxy.seen().len() - start, 4);
    assert_eq!(site.server.objects(), before);
    let none = site.run("verify").option("-s", "none");
    none.run().fails(66, "no such stream");
}

/// A damage, what a full look names, and what a quick one does.
type Damage = (fn(&Site), &'static [&'static str], &'static [&'static str]);

const DAMAGES: [Damage; 12] = [
    // Only its hash tells.
    (
        |s| change(s, &key(s, "block", 2), |data| data[777] ^= 1),
        &["/0000000002."],
        &[],
    ),
    (
        |s| change(s, &key(s, "index", 1), |data| data[20] ^= 1),
        &["/index/export/"],
        &[],
    ),
    (
        |s| remove(s, &key(s, "block", 0)),
        &["/0000000000."],
        &["/0000000000."],
    ),
    (
        |s| remove(s, &key(s, "block", 5)),
        &["/0000000005."],
        &["/0000000005."],
    ),
    (
        |s| remove(s, &key(s, "index", 2)),
        &["/index/export/"],
        &["/0000000002."],
    ),
    (
        |s| change(s, &key(s, "block", 1), |data| data.truncate(9)),
        &["/0000000001."],
        &["has the wrong size"],
    ),
    (
        |s| change(s, &key(s, "block", 3), |data| data.push(0)),
        &["/0000000003."],
        &["has the wrong size"],
    ),
    (
        |s| change(s, &key(s, "block", 5), |data| data.truncate(9)),
        &["/0000000005."],
        &["/0000000005."],
    ),
    (
        |s| extra(s, "block", 2),
        &["/0000000002.ffff"],
        &["/0000000002.ffff"],
    ),
    (
        |s| extra(s, "block", 6),
        &["/0000000006.ffff"],
        &["/0000000006.ffff"],
    ),
    (
        |s| extra(s, "index", 3),
        &["/0000000003.ffff"],
        &["/0000000003.ffff"],
    ),
    // One does not hide another.
    (
        |s| {
            remove(s, &key(s, "index", 0));
            remove(s, &key(s, "block", 3));
            change(s, &key(s, "block", 4), |data| data.truncate(0));
        },
        &["/index/export/", "/0000000003.", "/0000000004."],
        &["/index/export/", "/0000000003.", "/0000000004."],
    ),
];

/// Another object beside those of the stream.
fn extra(site: &Site, kind: &str, number: usize) {
    let beside = key(site, kind, 0);
    let (folder, _) = beside.rsplit_once('/').expect("a folder");
    let key = format!("{folder}/{number:010}.{}", "f".repeat(64));
    fs::write(site.server.object(&key), "extra").expect("an object");
}

#[test]
fn every_damage_is_named() {
    for (n, (damage, full, listed)) in DAMAGES.into_iter().enumerate() {
        println!("damage {n}");
        let site = stored();
        damage(&site);
        let before = site.server.objects();
        names(&site.hasty("verify").run(), full);
        let out = quick(&site).option("--patience", "1s").run();
        if listed.is_empty() {
            out.ok();
        } else {
            names(&out, listed);
        }
        assert_eq!(site.server.objects(), before);
        assert_eq!(site.seen("DELETE", ""), []);
    }
}

#[test]
fn what_does_not_belong_to_the_stream() {
    let site = stored();
    let folder = key(&site, "block", 0);
    let (folder, _) = folder.rsplit_once('/').expect("a folder");
    fs::write(site.server.object(&format!("{folder}/README")), "x").expect("an object");
    for run in [site.run("verify"), quick(&site)] {
        names(&run.run(), &["/README: does not belong to the stream"]);
    }
}

/// Verifies, and does this when the first request for `part` is under way.
fn meanwhile(site: &Site, run: Run, part: &str, change: impl Fn()) -> Outcome {
    let start = site.proxy.seen().len();
    site.proxy.once(on("GET", part), Fault::StallRequest);
    let running = run.spawn();
    let stalled = |seen: &Seen| seen.n >= start && seen.faulted;
    site.proxy.wait_for(|seen| seen.iter().any(stalled));
    change();
    site.proxy.hang_up();
    running.wait()
}

/// Whatever was found meanwhile, it is no verdict on what is there now.
#[test]
fn a_stream_that_changes_is_not_judged() {
    for word in ["replaced", "deleted"] {
        for (args, part) in [
            (&[][..], "/0000000003."),
            (&[], "/index/export/"),
            (&["--quick"], "s3pipe%2Fblock"),
        ] {
            let site = stored();
            let run = site.run("verify").args(args);
            let change = || match word {
                "replaced" => store(&site, &["-f"]),
                _ => drop(
                    s3pipe(&site.server)
                        .args(["delete", "-s", STREAM])
                        .run()
                        .ok(),
                ),
            };
            let out = meanwhile(&site, run, part, change);
            assert_eq!(out.status, 75, "{word}, {part}: {out}");
            let last = out.stderr.lines().last().expect("a line");
            assert!(last.contains("replaced or deleted while"), "{out}");
        }
    }
}

/// The listings of many blocks come in pages.
#[test]
fn more_blocks_than_a_page_holds() {
    let site = Site::new();
    let data = random(8, 1100 * BLOCK);
    site.store(STREAM, &data);
    quick(&site).run().ok();
    assert_eq!(site.seen("GET", "s3pipe%2Fblock").len(), 2);
    remove(&site, &key(&site, "block", 1050));
    names(&quick(&site).run(), &["/0000001050."]);
    names(&site.run("verify").run(), &["/0000001050."]);
}

/// Nor is one that cannot be looked at any more in the end.
#[test]
fn the_last_look_says_what_it_saw() {
    let changed = "replaced or deleted while";
    let denied = Reply::instead(Answer::access_denied());
    for (status, why, text, reply) in [
        (
            65,
            "bad manifest",
            Some("s3pipe-manifest 2\nrot\n"),
            Reply::truth(),
        ),
        // Resumed after a deletion.
        (75, changed, Some(""), Reply::truth()),
        (75, changed, None, Reply::truth()),
        (77, "403 AccessDenied", None, denied),
    ] {
        let shelf = Shelf::with(2);
        let manifest = shelf.store.object("s3pipe/manifest/n").expect("a manifest");
        let text = text.map(|text| match text {
            "" => with_other_data(&manifest),
            text => text.to_string(),
        });
        let looks = AtomicUsize::new(0);
        shelf.hook(move |store, request| {
            let look = is(request, "GET", "/manifest/");
            if !look || looks.fetch_add(1, Ordering::Relaxed) == 0 {
                return Reply::truth();
            }
            match &text {
                Some(text) => store.put("s3pipe/manifest/n", Object::new(text.as_str())),
                None => store.remove("s3pipe/manifest/n"),
            }
            reply.clone()
        });
        let run = shelf.run("verify").option("-s", "n").run();
        run.fails(status, why);
    }
}
