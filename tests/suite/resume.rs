//! `upload --resume`: what an upload that was broken off has stored is not
//! sent again, what differs is, and nobody is left thinking that an upload is
//! theirs which is not.

use std::fs;

use crate::faults::site::{BLOCK, STREAM, Site, blocks, on};
use crate::proxy::{Answer, Fault};
use crate::support::{Run, Running, random, s3pipe};

fn resume(site: &Site, data: &[u8]) -> Run {
    site.upload(data).arg("--resume")
}

/// An upload that has stored so many blocks of this, and waits for more.
fn begun(site: &Site, run: Run, data: &[u8], stored: usize) -> Running {
    let before = site.seen("PUT", "/block/").len();
    let mut running = run.stdin_open().spawn();
    running.feed(&data[..stored * BLOCK]);
    site.wait_for("PUT", "/block/", before + stored);
    running
}

/// The same, stopped by this signal.
fn broken(site: &Site, run: Run, data: &[u8], stored: usize, signal: &str) {
    let running = begun(site, run, data, stored);
    running.signal(signal);
    let status = if signal == "KILL" { 137 } else { 143 };
    assert_eq!(running.wait().status, status);
    assert_eq!(site.count("/block/"), stored);
}

/// How many blocks were sent since there were so many requests.
fn sent(site: &Site, start: usize) -> usize {
    let seen = site.seen("PUT", "/block/");
    seen.iter().filter(|s| s.n >= start).count()
}

/// The only upload is committed, and nothing else of it or any other is left.
#[track_caller]
fn assert_whole(site: &Site, data: &[u8], indexes: usize) {
    site.assert_holds(STREAM, data);
    site.run("verify").run().ok();
    let expected = 1 + indexes + data.len().div_ceil(BLOCK);
    assert_eq!(site.server.objects().len(), expected);
    let out = s3pipe(&site.server).args(["list", "--incomplete"]).run();
    assert_eq!(out.ok().text(), "");
}

#[test]
fn stored_blocks_are_not_sent_again() {
    for signal in ["TERM", "KILL"] {
        let (site, data) = (Site::new(), blocks(6));
        broken(&site, site.run("upload"), &data, 4, signal);
        let start = site.proxy.seen().len();
        resume(&site, &data).run().ok();
        assert_eq!(sent(&site, start), 3);
        assert_whole(&site, &data, 1);
    }
}

#[test]
fn an_upload_can_be_broken_off_often() {
    let (site, data) = (Site::new(), blocks(6));
    broken(&site, site.run("upload"), &data, 1, "KILL");
    for stored in [3, 5] {
        let mut running = site.run("upload").arg("--resume").stdin_open().spawn();
        running.feed(&data[..stored * BLOCK]);
        site.wait_for("PUT", "/block/", stored);
        running.signal("KILL");
        assert_eq!(running.wait().status, 137);
    }
    resume(&site, &data).run().ok();
    // Each of them once, over all four runs.
    assert_eq!(sent(&site, 0), 7);
    assert_whole(&site, &data, 1);
}

#[test]
fn what_is_whole_already_is_only_committed() {
    let (site, data) = (Site::new(), blocks(2));
    let denied = Fault::Status(Answer::access_denied());
    site.proxy.always(on("PUT", "/manifest/"), denied);
    let run = site.upload(&data).option("--patience", "1s");
    run.run().fails(69, "AccessDenied");
    site.proxy.clear();
    let start = site.proxy.seen().len();
    resume(&site, &data).run().ok();
    assert_eq!(sent(&site, start), 0);
    assert_whole(&site, &data, 1);
}

#[test]
fn from_the_first_difference_on_it_is_sent() {
    // Other bytes, more of them, fewer.
    for (same, length) in [(0, 5), (2, 5), (2, 9), (3, 3), (1, 1)] {
        let (site, old) = (Site::new(), blocks(5));
        broken(&site, site.run("upload"), &old, 5, "KILL");
        let tail = random(99, length * BLOCK + 77 - same * BLOCK);
        let new = [&old[..same * BLOCK], &tail].concat();
        let start = site.proxy.seen().len();
        resume(&site, &new).run().ok();
        assert_eq!(sent(&site, start), length + 1 - same);
        assert_whole(&site, &new, 1);
        // What did not belong went last.
        let commit = site.seen("PUT", "/manifest/")[0].n;
        let removed = site.seen("DELETE", "/block/");
        assert_eq!(removed.len(), 5 - same);
        assert!(removed.iter().all(|delete| delete.n > commit));
    }
}

#[test]
fn a_resumed_run_that_fails_removes_nothing() {
    let (site, old) = (Site::new(), blocks(4));
    broken(&site, site.run("upload"), &old, 4, "KILL");
    let before = site.server.objects();
    let new = random(98, 3 * BLOCK);
    for (args, data) in [(["--size", "1"], &new[..]), (["--min-size", "9"], b"")] {
        let run = resume(&site, data).args(args).run();
        run.fails(65, "not committed");
        let after = site.server.objects();
        assert!(before.iter().all(|key| after.contains(key)), "{after:#?}");
    }
    let listed = s3pipe(&site.server).args(["list", "--incomplete"]);
    assert_eq!(listed.run().ok().text().lines().count(), 1);
    let start = site.proxy.seen().len();
    resume(&site, &old).run().ok();
    assert_eq!(sent(&site, start), 1);
    assert_whole(&site, &old, 1);
}

#[test]
fn with_nothing_to_resume_it_is_an_upload() {
    let (site, data) = (Site::new(), blocks(2));
    resume(&site, &data).run().ok();
    assert_whole(&site, &data, 1);
    resume(&site, &data).run().fails(73, "exists already");
    let new = blocks(3);
    resume(&site, &new).arg("-f").run().ok();
    assert_whole(&site, &new, 1);
}

#[test]
fn a_replacement_is_resumed() {
    let old = blocks(3);
    let (site, new) = (Site::with(&old), random(97, 5 * BLOCK + 5));
    let run = site.run("upload").arg("-f");
    let running = begun(&site, run, &new, 4);
    running.signal("KILL");
    running.wait();
    site.assert_holds(STREAM, &old);
    resume(&site, &new).run().fails(73, "exists already");
    let start = site.proxy.seen().len();
    resume(&site, &new).arg("-f").run().ok();
    assert_eq!(sent(&site, start), 2);
    assert_whole(&site, &new, 1);
}

/// Of another stream, whose name begins alike, nothing is touched.
#[test]
fn the_newest_upload_of_that_very_stream_is_taken() {
    let (site, data) = (Site::new(), blocks(3));
    let other = site.run("upload").option("-s", "export.1");
    broken(&site, other, &data, 3, "KILL");
    resume(&site, &data).run().ok();
    assert_eq!(site.count("/block/export.1/"), 3);
    assert_eq!(site.count("/block/export/"), 4);
    let run = resume(&site, &data).option("-s", "export.1");
    let start = site.proxy.seen().len();
    run.run().ok();
    assert_eq!(sent(&site, start), 1);
}

#[test]
fn it_needs_to_list() {
    let site = Site::new();
    let denied = Fault::Status(Answer::access_denied());
    site.proxy.always(on("GET", "list-type"), denied);
    let run = resume(&site, &blocks(1));
    run.run().fails(77, "--resume must be allowed to list");
    assert_eq!(site.server.objects(), Vec::<String>::new());
}

#[test]
fn the_block_size_is_that_of_the_record() {
    let (site, data) = (Site::new(), blocks(8));
    let run = site.run("upload").option("--blocksize", "128K");
    let mut running = run.stdin_open().spawn();
    running.feed(&data[..4 * BLOCK]);
    site.wait_for("PUT", "/block/", 2);
    running.signal("KILL");
    running.wait();
    let why = "--blocksize: the upload to resume has blocks of 131072 bytes";
    resume(&site, &data).run().fails(64, why);
    let start = site.proxy.seen().len();
    let run = resume(&site, &data).without("--blocksize");
    run.run().ok();
    assert_eq!(sent(&site, start), 3);
    site.assert_holds(STREAM, &data);
    let out = site.run("info").run().ok();
    assert!(out.text().contains("131072 "), "{out}");
}

/// 64 is found before anything is done, so it must change nothing.
#[test]
fn a_resume_that_is_refused_takes_nothing_over() {
    let (site, data) = (Site::new(), blocks(2));
    let mut first = site.run("upload").stdin_open().spawn();
    first.feed(&data[..BLOCK]);
    site.wait_for("PUT", "/block/", 1);
    let run = site
        .upload(&data)
        .arg("--resume")
        .option("--blocksize", "1M");
    run.run().fails(64, "--blocksize");
    first.feed(&data[BLOCK..]);
    first.feed_end();
    first.wait().ok();
}

/// Two processes that both think the upload is theirs.
#[test]
fn the_old_owner_notices() {
    let (site, data) = (Site::new(), blocks(4));
    let mut first = begun(&site, site.run("upload"), &data, 2);
    let mut second = begun(&site, site.run("upload").arg("--resume"), &data, 0);
    second.feed(&data[..3 * BLOCK]);
    site.wait_for("PUT", "/block/", 3);
    first.feed(&data[2 * BLOCK..]);
    first.feed_end();
    let why = "another process has taken this upload over: nothing was committed";
    first.wait().fails(75, why);
    site.assert_nothing_committed();
    second.feed(&data[3 * BLOCK..]);
    second.feed_end();
    second.wait().ok();
    assert_whole(&site, &data, 1);
}

#[test]
fn the_old_owner_comes_too_late() {
    let (site, data) = (Site::new(), blocks(4));
    let mut first = begun(&site, site.run("upload"), &data, 2);
    resume(&site, &data).run().ok();
    first.feed(&data[2 * BLOCK..]);
    first.feed_end();
    // What stands there is what it would have sent.
    let why = "this upload was cleaned away under us: run s3pipe verify";
    first.wait().fails(75, why);
    assert_whole(&site, &data, 1);
}

#[test]
fn several_indexes() {
    for (same, per_index, indexes) in [(7, "2", 4), (3, "2", 4), (7, "3", 3), (0, "100", 1)] {
        let (site, old) = (Site::new(), blocks(7));
        let run = site.run("upload").env("S3PIPE_INDEX_BLOCKS", "2");
        // Alone: the third index is begun only when two are stored.
        broken(&site, run.alone(), &old, 7, "KILL");
        assert!(site.count("/index/") >= 2);
        let tail = random(96, 7 * BLOCK + 77 - same * BLOCK);
        let new = [&old[..same * BLOCK], &tail].concat();
        let start = site.proxy.seen().len();
        let run = resume(&site, &new).env("S3PIPE_INDEX_BLOCKS", per_index);
        run.run().ok();
        assert_eq!(sent(&site, start), 8 - same);
        assert_whole(&site, &new, indexes);
    }
}

/// A block of the right name and the wrong size is not taken for stored.
#[test]
fn a_stored_block_of_the_wrong_size_is_sent_again() {
    let (site, data) = (Site::new(), blocks(3));
    broken(&site, site.run("upload"), &data, 3, "KILL");
    let objects = site.server.objects();
    let key = objects.iter().find(|key| key.contains("/0000000001."));
    let at = site.server.object(key.expect("a block"));
    fs::write(at, &data[BLOCK..BLOCK + 9]).expect("a block");
    let start = site.proxy.seen().len();
    resume(&site, &data).run().ok();
    assert_eq!(sent(&site, start), 2);
    assert_whole(&site, &data, 1);
}
