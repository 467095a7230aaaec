//! What is left behind and what has rotted: list --incomplete, clean, verify,
//! and downloads of a part.

mod buckets;
mod cleaning;
pub mod listings;
mod ranges;
mod removal;
pub mod shelf;
mod verify;

use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use crate::faults::site::{BLOCK, STREAM, Site, blocks, on};
use crate::proxy::{Answer, Fault, Match, Seen};
use crate::support::{Outcome, Run, Server, s3pipe};

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

/// Makes the objects with this in their keys so many seconds old.
pub fn age(server: &Server, part: &str, seconds: u64) {
    let time = SystemTime::now() - Duration::from_secs(seconds);
    let keys = server.objects();
    let keys: Vec<_> = keys.iter().filter(|key| key.contains(part)).collect();
    assert!(!keys.is_empty(), "nothing with {part}");
    for key in keys {
        let file = File::options().append(true).open(server.object(key));
        let file = file.expect("an object");
        file.set_modified(time).expect("a time");
    }
}

fn clean(site: &Site) -> Run {
    site.run("clean").without("-s")
}

fn incomplete(site: &Site) -> String {
    let run = site.run("list").without("-s").arg("--incomplete");
    run.run().ok().text().into()
}

/// An upload that ends without a commit, and leaves what it has stored.
fn leave(site: &Site, name: &str, data: &[u8]) {
    let run = site.upload(data).option("-s", name).arg("-f");
    let run = run.option("--size", "1G").run();
    run.fails(65, "not committed");
}

/// It succeeded and had nothing to say or to show.
#[track_caller]
fn silent(outcome: Outcome) {
    assert_eq!(outcome.ok().text(), "");
}

/// The upload in the only key with this in it.
fn upload_id(site: &Site, part: &str) -> String {
    let mut keys = site.server.objects();
    keys.retain(|key| key.contains(part));
    assert_eq!(keys.len(), 1, "{keys:#?}");
    keys[0].rsplit('/').next().expect("a segment").into()
}

#[test]
fn what_was_never_committed_is_listed() {
    let site = Site::with(&blocks(1));
    assert_eq!(incomplete(&site), "");
    leave(&site, "tab\t", &blocks(1));
    leave(&site, "a", &blocks(1));
    leave(&site, STREAM, &blocks(1)[..0]);
    let a = upload_id(&site, "/upload/a/");
    let tab = upload_id(&site, "/upload/tab_09/");
    let expected = format!("{a}\ta\n{tab}\ttab\\x09\n");
    assert_eq!(incomplete(&site), expected);
    // These are no streams.
    let list = s3pipe(&site.server).arg("list").run().ok();
    assert_eq!(list.text(), "export\n");
    fs::write(site.server.object("s3pipe/upload/odd"), "odd").expect("an object");
    assert_eq!(incomplete(&site), expected);
}

#[test]
fn clean_shows_and_then_removes() {
    let site = Site::with(&blocks(2));
    let kept = site.server.objects();
    leave(&site, "a\t", &blocks(1));
    leave(&site, STREAM, &blocks(0));
    let first = upload_id(&site, "/upload/a_09/");
    let second = upload_id(&site, "/upload/export/");
    age(&site.server, "", 8 * DAY);
    let before = site.server.objects();

    let shown = clean(&site).arg("-n").run().ok();
    let expected = format!("{first}\t69857\t2\ta\\x09\n{second}\t4321\t1\texport\n");
    assert_eq!(shown.text(), expected);
    assert_eq!(site.server.objects(), before);
    assert_eq!(site.seen("DELETE", ""), []);

    silent(clean(&site).run());
    assert_eq!(site.server.objects(), kept);
    site.assert_holds(STREAM, &blocks(2));
    assert_eq!(incomplete(&site), "");
    // Now there is nothing to do.
    let start = site.proxy.seen().len();
    silent(clean(&site).run());
    silent(clean(&site).arg("-n").run());
    assert!(site.proxy.seen()[start..].iter().all(|s| s.method == "GET"));
}

#[test]
fn the_young_are_spared() {
    let site = Site::new();
    for name in ["old", "young", "growing"] {
        leave(&site, name, &blocks(1));
    }
    age(&site.server, "/old/", 8 * DAY);
    age(&site.server, "/young/", 6 * DAY);
    // Its newest object counts, whichever that is.
    age(&site.server, "/growing/", 30 * DAY);
    age(&site.server, "/block/growing/", 6 * DAY);
    silent(clean(&site).run());
    assert_eq!((site.count("/old/"), site.count("/young/")), (0, 4));
    silent(clean(&site).option("--older-than", "145h").run());
    assert_eq!(site.count(""), 8);
    silent(clean(&site).option("--older-than", "143h").run());
    assert_eq!(site.server.objects(), Vec::<String>::new());
}

/// A record that could not be removed does not make a stream incomplete, and
/// is all that goes.
#[test]
fn what_is_committed_is_never_touched() {
    let (site, data) = (Site::new(), blocks(3));
    let denied = Fault::Status(Answer::access_denied());
    site.proxy.always(on("DELETE", ""), denied);
    let run = site.upload(&data).run();
    run.ok_saying("the stream is committed");
    site.proxy.clear();
    assert_eq!(site.count("/upload/"), 1);
    age(&site.server, "", 365 * DAY);
    let before = site.server.objects();
    assert_eq!(incomplete(&site), "");
    silent(clean(&site).arg("-n").option("--older-than", "0").run());
    assert_eq!(site.server.objects(), before);
    for _ in 0..2 {
        silent(clean(&site).option("--older-than", "0").run());
        let mut left = before.clone();
        left.retain(|key| !key.contains("/upload/"));
        assert_eq!(site.server.objects(), left);
    }
    site.assert_holds(STREAM, &data);
}

#[test]
fn what_a_crash_in_delete_has_left_goes() {
    let (site, other) = (Site::with(&blocks(3)), blocks(1));
    site.store("other", &other);
    let denied = Fault::Status(Answer::access_denied());
    let removes = |seen: &Seen| matches!(seen.method.as_str(), "DELETE" | "POST");
    let data = Match::any().when(move |seen| {
        let first = ["/manifest/", "/upload/"];
        removes(seen) && !first.iter().any(|part| seen.target.contains(part))
    });
    site.proxy.always(data, denied);
    let run = site.run("delete").option("--patience", "1s").run();
    run.fails(77, "AccessDenied");
    site.proxy.clear();
    assert_eq!(
        (site.count("/block/export/"), site.count("/manifest/export")),
        (4, 0)
    );
    age(&site.server, "/export/", 2 * HOUR);
    let shown = clean(&site)
        .arg("-n")
        .option("--older-than", "1h")
        .run()
        .ok();
    assert!(shown.text().ends_with("\t200929\t4\texport\n"), "{shown}");
    silent(clean(&site).option("--older-than", "1h").run());
    assert_eq!(site.count("/export/"), 0);
    site.assert_holds("other", &other);
}

#[test]
fn a_running_upload_that_is_cleaned_away_is_not_committed() {
    let (site, data) = (Site::new(), blocks(4));
    let mut running = site.run("upload").stdin_open().spawn();
    running.feed(&data[..2 * BLOCK]);
    site.wait_for("PUT", "/block/", 2);
    // By the default it would be spared.
    silent(clean(&site).run());
    assert_eq!(site.count("/block/"), 2);
    age(&site.server, "", HOUR);
    silent(clean(&site).option("--older-than", "0").run());
    assert_eq!(site.server.objects(), Vec::<String>::new());
    running.feed(&data[2 * BLOCK..]);
    running.feed_end();
    running
        .wait()
        .fails(75, "cleaned away under us: nothing was committed");
    site.assert_nothing_committed();
    // What it stored meanwhile is found the next time.
    assert!(site.count("/block/") > 0);
    age(&site.server, "", HOUR);
    silent(clean(&site).option("--older-than", "0").run());
    assert_eq!(site.server.objects(), Vec::<String>::new());
}

#[test]
fn behind_a_damaged_manifest_all_is_spared() {
    let site = Site::with(&blocks(2));
    leave(&site, STREAM, &blocks(1));
    leave(&site, "other", &blocks(1));
    fs::write(site.server.object("s3pipe/manifest/export"), "rot\n").expect("an object");
    age(&site.server, "", 8 * DAY);
    let mut kept = site.server.objects();
    kept.retain(|key| !key.contains("/other/"));
    let clean = |site| clean(site).option("--patience", "1s");
    let out = clean(&site).run().ok_saying("its uploads are spared");
    assert!(
        out.stderr.contains("test/s3pipe/manifest/export: "),
        "{out}"
    );
    assert_eq!(site.server.objects(), kept);
    silent(clean(&site).arg("-q").run());
    assert_eq!(site.server.objects(), kept);
}

#[test]
fn what_may_not_be_looked_at_is_not_removed() {
    let site = Site::new();
    leave(&site, STREAM, &blocks(1));
    age(&site.server, "", 8 * DAY);
    let before = site.server.objects();
    for (part, why) in [
        ("/manifest/", "cannot be told"),
        ("list-type", "AccessDenied"),
    ] {
        let denied = Fault::Status(Answer::access_denied());
        site.proxy.always(on("GET", part), denied);
        clean(&site).run().fails(77, why);
        site.proxy.clear();
        assert_eq!(site.server.objects(), before);
    }
}

/// It was committed in the very moment in which its record went.
#[test]
fn a_commit_at_the_last_moment_is_spared() {
    let (site, data) = (Site::new(), blocks(2));
    let denied = Fault::Status(Answer::access_denied());
    site.proxy.always(on("DELETE", ""), denied);
    site.upload(&data)
        .run()
        .ok_saying("the stream is committed");
    site.proxy.clear();
    age(&site.server, "", HOUR);
    // The first look does not see the manifest, the second one does.
    let none = Fault::Status(Answer::not_found("NoSuchKey"));
    site.proxy.once(on("GET", "/manifest/"), none);
    silent(clean(&site).option("--older-than", "0").run());
    assert_eq!((site.count("/upload/"), site.count("/block/")), (0, 3));
    site.assert_holds(STREAM, &data);
}

/// Whatever else lies in the bucket is none of ours.
#[test]
fn what_others_have_stored_stays() {
    let site = Site::new();
    leave(&site, STREAM, &blocks(1));
    for key in ["block/README", "block/a/b/c", "upload/_zz/x", "other/a"] {
        let at = site.server.object(&format!("s3pipe/{key}"));
        fs::create_dir_all(at.parent().expect("a folder")).expect("a folder");
        fs::write(at, "theirs").expect("an object");
    }
    fs::write(site.server.object("s3pipe.txt"), "theirs").expect("an object");
    age(&site.server, "", 8 * DAY);
    silent(clean(&site).run());
    let left = site.server.objects();
    assert_eq!(left.len(), 5, "{left:#?}");
    assert!(left.iter().all(|key| !key.contains(STREAM)));
}
