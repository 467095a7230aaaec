//! Blocks in an archive: what says so, and the manual's way to get them back.

use std::fs;
use std::sync::{Arc, Mutex};

use crate::faults::site::{BLOCK, Site, blocks, on};
use crate::manual;
use crate::proxy::{Answer, Fault, Match, Seen};
use crate::recipe;
use crate::support::{BUCKET, Run, assert_same, s3pipe};

const NAME: &str = "export-2026-11-22";
const EXAMPLE: &str = "example-backup";

/// In S3's own words.
const WHY: &str = "The operation is not valid for the object&apos;s storage class";

/// The blocks are archived until they are asked for, each by a request of its
/// own. Gives the paths that were asked for.
fn archive(site: &Site) -> Arc<Mutex<Vec<String>>> {
    let asked = Arc::new(Mutex::new(Vec::<String>::new()));
    let (list, known) = (asked.clone(), asked.clone());
    let restore = on("POST", "?restore").when(move |seen| {
        let (path, _) = seen.target.split_once('?').expect("a query");
        list.lock().unwrap().push(path.into());
        true
    });
    let accepted = Answer::new(202, "Accepted");
    site.proxy.always(restore, Fault::Status(accepted));
    let frozen =
        on("GET", "/block/").when(move |seen: &Seen| !known.lock().unwrap().contains(&seen.target));
    let class = "<StorageClass>GLACIER</StorageClass>";
    let refusal = Answer::s3(403, "Forbidden", "InvalidObjectState", WHY, class);
    site.proxy
        .always(frozen.target("/s3pipe/"), Fault::Status(refusal));
    asked
}

fn run(site: &Site, bucket: &str, command: &str) -> Run {
    let run = site.run(command).option("-s", NAME);
    run.option("-b", bucket).env("S3PIPE_INDEX_BLOCKS", "2")
}

#[test]
fn the_message_says_what_to_do() {
    let site = Site::new();
    run(&site, BUCKET, "upload").stdin(blocks(3)).run().ok();
    archive(&site);
    for jobs in ["1", "4"] {
        let start = site.proxy.seen().len();
        let end = run(&site, BUCKET, "download").option("-j", jobs).run();
        let end = end.fails(
            69,
            "403 InvalidObjectState: the object is archived: ask for it by",
        );
        assert!(end.stderr.contains("/block/export-2026-11-22/"), "{end}");
        assert!(end.stderr.contains("/0000000000."), "{end}");
        assert!(end.stdout.is_empty(), "{end}");
        let gets = site.seen("GET", "/block/");
        let gets = gets.iter().filter(|seen| seen.n >= start).count();
        assert!(gets <= 4, "{gets} requests: it is not waited for");
        // Each block is named, and all of them are looked at.
        let end = run(&site, BUCKET, "verify").option("-j", jobs).run();
        assert_eq!(end.status, 69, "{end}");
        let lines: Vec<_> = end.stderr.lines().collect();
        let (last, rest) = lines.split_last().expect("lines");
        assert!(
            last.ends_with("/manifest/export-2026-11-22: 4 objects are archived"),
            "{end}"
        );
        assert_eq!(rest.len(), 4, "{end}");
        for (n, line) in rest.iter().enumerate() {
            assert!(line.contains(&format!("/{n:010}.")), "{end}");
            assert!(
                line.contains("403 InvalidObjectState: the object is archived"),
                "{end}"
            );
        }
    }
    run(&site, BUCKET, "verify").arg("--quick").run().ok();
    // What is wrong weighs more than what cannot be read.
    let objects = site.server.objects();
    let index = objects
        .iter()
        .find(|key| key.contains("/index/") && key.contains("/0000000001."));
    fs::remove_file(site.server.object(index.expect("an index"))).expect("an index");
    let end = run(&site, BUCKET, "verify").run();
    assert_eq!((end.status, end.stderr.lines().count()), (65, 4), "{end}");
}

/// A display of the manual, run to its end without a failure.
fn as_it_stands(site: &Site, text: &str) {
    let out = manual::sh(
        site.scratch.path(),
        &site.server,
        &site.proxy,
        EXAMPLE,
        text,
    );
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{}: {said}", out.status);
}

/// A rule may have come to some of the blocks only: what can be read comes out,
/// and nobody waits a day for the rest.
#[test]
fn behind_a_block_that_can_be_read() {
    let (site, data) = (Site::new(), blocks(3));
    run(&site, BUCKET, "upload").stdin(data.clone()).run().ok();
    let asked = archive(&site);
    let keys = site.server.objects();
    let hot = keys.iter().filter(|key| key.contains("/block/"));
    let hot = hot.filter(|key| !key.contains("/0000000002."));
    asked
        .lock()
        .unwrap()
        .extend(hot.map(|key| format!("/{BUCKET}/{key}")));
    for jobs in ["1", "4"] {
        let end = run(&site, BUCKET, "download").option("-j", jobs).run();
        let end = end.fails(69, "the object is archived");
        assert!(!end.stderr.contains("gave up"), "{end}");
        assert_same(&end.stdout, &data[..2 * BLOCK]);
        let end = run(&site, BUCKET, "verify").option("-j", jobs).run();
        assert_eq!((end.status, end.stderr.lines().count()), (69, 2), "{end}");
        assert!(!end.stderr.contains("gave up"), "{end}");
        assert!(
            end.stderr
                .contains("/manifest/export-2026-11-22: 1 object is archived"),
            "{end}"
        );
    }
}

#[test]
fn the_manual_asks_for_the_blocks_back() {
    if !recipe::aws() {
        return;
    }
    let (site, data) = (Site::new(), blocks(3));
    s3pipe(&site.server)
        .option("-b", EXAMPLE)
        .arg("createbucket")
        .run()
        .ok();
    for name in [NAME, "other"] {
        let upload = run(&site, EXAMPLE, "upload").option("-s", name);
        upload.stdin(data.clone()).run().ok();
    }
    let asked = archive(&site);
    run(&site, EXAMPLE, "download")
        .run()
        .fails(69, "is archived");
    let [text] = &manual::under("s3pipe.1", "Archived blocks")[..] else {
        panic!("one display");
    };
    as_it_stands(&site, text);
    let mut paths = asked.lock().unwrap().clone();
    paths.sort();
    assert_eq!(paths.len(), 4, "{paths:?}");
    let begin = format!("/{EXAMPLE}/s3pipe/block/{NAME}/");
    assert!(
        paths.iter().all(|path| path.starts_with(&begin)),
        "{paths:?}"
    );
    let got = run(&site, EXAMPLE, "download").run().ok().stdout;
    assert_eq!(got, data);
    run(&site, EXAMPLE, "verify").run().ok();
    run(&site, EXAMPLE, "download")
        .option("-s", "other")
        .run()
        .fails(69, "is archived");
}

/// aws(1) checks the rule before it sends it.
#[test]
fn the_manual_sets_the_lifecycle_rule() {
    if !recipe::aws() {
        return;
    }
    let site = Site::new();
    let put = Match::method("PUT").target("?lifecycle");
    site.proxy
        .always(put, Fault::Status(Answer::new(200, "OK")));
    let [rule, command] = &manual::under("s3pipe.1", "Blocks into a cold storage class")[..] else {
        panic!("a rule and a command");
    };
    site.scratch.file("lifecycle.json", rule);
    as_it_stands(&site, command);
    let puts = site.seen("PUT", &format!("/{EXAMPLE}?lifecycle"));
    assert_eq!(puts.len(), 1);
}
