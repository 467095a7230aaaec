//! Streams of version 1, as the Java s3pipe has left them in buckets: they are
//! listed, read and removed, never written, and each time it is said that
//! nobody can know whether they are complete.

mod damage;
mod listings;

use std::fs;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use crate::faults::site::{STREAM, Site, on};
use crate::proxy::{Answer, Fault};
use crate::support::{BUCKET, Outcome, Run, assert_same, random, s3pipe};

/// What is said of each.
const WARNING: &str = "written by s3pipe 1: that it is complete cannot be proved";

/// The creation time that [`info`] writes, and how it is shown.
const CTIME: (&str, &str) = ("1196423445678", "2007-11-30T11:50:45Z");

fn key(name: &str, rest: &str) -> String {
    format!("stream.{}.{rest}", STANDARD.encode(name))
}

/// Puts an object into the server's folder, past the server.
fn put(site: &Site, key: &str, data: &[u8]) {
    let at = site.server.object(key);
    fs::create_dir_all(at.parent().expect("a folder")).expect("a folder");
    fs::write(at, data).expect("an object");
}

/// What the server knows of an object beside its data: `metadata`, `internal`.
fn beside(site: &Site, key: &str, kind: &str, json: &str) {
    let root = site.server.root.as_ref().expect("its folder");
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let (bucket, key) = (encode(BUCKET), encode(key));
    let name = format!(".bucket-{bucket}.object-{key}.{kind}.json");
    fs::write(root.join(name), json).expect("a file");
}

/// The object that makes a stream one, with this metadata.
fn info(site: &Site, name: &str, version: &str, ctime: &str) {
    let key = key(name, "info");
    put(site, &key, b"");
    let json =
        format!(r#"{{"user_metadata":{{"name":"x","version":"{version}","ctime":"{ctime}"}}}}"#);
    beside(site, &key, "metadata", &json);
}

/// A stream of version 1 in blocks of this size; what it holds.
fn store(site: &Site, name: &str, blocks: usize, size: usize) -> Vec<u8> {
    // The last is a short one.
    let data = random(name.len() as u64, blocks * size - size / 3);
    info(site, name, "1", CTIME.0);
    for (n, block) in data.chunks(size).enumerate() {
        put(site, &key(name, &format!("block.{n}")), block);
    }
    data
}

fn run(site: &Site, word: &str, name: &str) -> Run {
    site.run(word).option("-s", name)
}

fn list(site: &Site) -> Run {
    site.run("list").without("-s")
}

/// It succeeded, with the warning of version 1 and nothing else on stderr.
#[track_caller]
fn warned(outcome: Outcome, name: &str) -> Outcome {
    let line = format!("{name}: {WARNING}\n");
    let only = outcome.stderr.lines().count() == 1 && outcome.stderr.ends_with(&line);
    assert!(outcome.status == 0 && only, "{outcome}");
    outcome
}

/// Names whose base64 has every odd character, as they are and as they show.
const NAMES: [(&str, &str); 7] = [
    ("???", "???"),
    ("???x", "???x"),
    ("a", "a"),
    ("ab", "ab"),
    ("bacula-/export", "bacula-/export"),
    ("tab\t", "tab\\x09"),
    ("\u{fb}\u{ff}?>", "\u{fb}\u{ff}?>"),
];

#[test]
fn names_of_every_kind() {
    let site = Site::new();
    let encoded: String = NAMES
        .iter()
        .map(|(name, _)| STANDARD.encode(name))
        .collect();
    assert!(['/', '+', '='].iter().all(|odd| encoded.contains(*odd)));
    let stored = NAMES.map(|(name, _)| store(&site, name, 3, 1000));
    let lines: Vec<&str> = NAMES.iter().map(|(_, shown)| *shown).collect();
    assert_eq!(list(&site).run().ok().text(), lines.join("\n") + "\n");
    let long = list(&site).arg("-l").run().ok();
    let lines: Vec<String> = lines
        .iter()
        .map(|name| format!("{}\t2667\t3\t{name}\n", CTIME.1))
        .collect();
    assert_eq!(long.text(), lines.concat());

    for ((name, shown), data) in NAMES.iter().zip(&stored) {
        let out = warned(run(&site, "download", name).run(), shown);
        assert_same(&out.stdout, data);
        let out = warned(run(&site, "verify", name).run(), shown);
        assert_eq!(out.stdout, b"");
        warned(run(&site, "verify", name).arg("--quick").run(), shown);
        let out = warned(run(&site, "info", name).run(), shown);
        let values: Vec<_> = out.text().lines().map(|line| &line[12..]).collect();
        assert_eq!(values, [*shown, "1", CTIME.1, "2667 (2.6 KiB)", "3"]);
    }
    for (n, (name, _)) in NAMES.iter().enumerate() {
        run(&site, "delete", name).run().ok();
        run(&site, "download", name)
            .run()
            .fails(66, "no such stream");
        assert_eq!(site.server.objects().len(), 4 * (NAMES.len() - n - 1));
    }
}

#[test]
fn quiet_is_silent() {
    let site = Site::new();
    let data = store(&site, STREAM, 2, 1000);
    for word in ["download", "verify", "info"] {
        let out = site.run(word).arg("-q").run().ok();
        if word == "download" {
            assert_same(&out.stdout, &data);
        }
    }
    site.run("info").arg("--raw").run().fails(64, "no manifest");
}

#[test]
fn any_prefix_sees_them() {
    let site = Site::new();
    let data = store(&site, STREAM, 2, 1000);
    for prefix in ["", "a/b/"] {
        let run = list(&site).option("--prefix", prefix).run().ok();
        assert_eq!(run.text(), "export\n");
        let run = site.run("download").option("--prefix", prefix).run();
        assert_same(&warned(run, STREAM).stdout, &data);
    }
}

#[test]
fn more_blocks_than_a_page_holds() {
    let site = Site::new();
    let data = store(&site, STREAM, 1100, 100);
    let out = warned(site.run("download").run(), STREAM);
    assert_same(&out.stdout, &data);
    // The listing has them as 0, 1, 10, 100, 1000. That there is not one more is
    // seen as well.
    assert_eq!(
        site.seen("GET", ".block.")
            .iter()
            .filter(|s| !s.target.contains('?'))
            .count(),
        1101
    );
    warned(site.run("verify").run(), STREAM);
    let out = warned(site.run("info").run(), STREAM);
    assert!(out.text().contains(&format!("{} ", data.len())), "{out}");
    site.run("delete").run().ok();
    assert_eq!(site.server.objects(), Vec::<String>::new());
}

#[test]
fn any_part_of_one() {
    let site = Site::new();
    let data = store(&site, STREAM, 5, 1000);
    for (offset, length, blocks) in [
        (0, 0, 0..0),
        (0, 1, 0..1),
        (999, 2, 0..2),
        (1000, 1000, 1..2),
        (1000, 1001, 1..3),
        (1, 4666, 0..5),
        (4000, 667, 4..5),
        (4667, 0, 0..0),
    ] {
        let start = site.proxy.seen().len();
        let run = site.run("download").option("--offset", &offset.to_string());
        let run = run.option("--length", &length.to_string());
        let out = warned(run.run(), STREAM);
        assert_same(&out.stdout, &data[offset..offset + length]);
        let seen = site.seen("GET", ".block.");
        let fetched = seen
            .iter()
            .filter(|s| s.n >= start && !s.target.contains('?'));
        let fetched: Vec<_> = fetched
            .map(|s| s.target.rsplit('.').next().expect("a number"))
            .collect();
        // That there is not one more is seen first.
        let expected = [5].into_iter().chain(blocks);
        let expected: Vec<_> = expected.map(|n| n.to_string()).collect();
        assert_eq!(fetched, expected, "{offset}, {length}");
    }
    let run = site.run("download").args(["--offset", "4668"]);
    run.run().fails(65, "the stream has 4667 bytes only");
}

#[test]
fn one_without_a_time_or_without_a_block() {
    let site = Site::new();
    put(&site, &key("a", "info"), b"");
    put(&site, &key("a", "block.0"), b"data");
    info(&site, "b", "1", "soon");
    let out = list(&site).arg("-l").run().ok();
    assert_eq!(out.text(), "-\t4\t1\ta\n-\t0\t0\tb\n");
    let out = warned(run(&site, "download", "a").run(), "a");
    assert_eq!(out.text(), "data");
    let out = warned(run(&site, "download", "b").run(), "b");
    assert_eq!(out.text(), "");
}

#[test]
fn nothing_is_written_to_its_name() {
    let site = Site::new();
    let data = store(&site, STREAM, 2, 1000);
    let before = site.server.objects();
    for args in [&[][..], &["-f"], &["--resume"], &["-f", "--resume"]] {
        let run = site.upload(b"new").args(args).run();
        run.fails(73, "written by s3pipe 1: delete it, or use another name");
        let run = site
            .run("upload")
            .args(args)
            .args(["--", "/no/such/program"]);
        run.run().fails(73, "written by s3pipe 1");
    }
    assert_eq!(site.server.objects(), before);
    assert_same(&warned(site.run("download").run(), STREAM).stdout, &data);
    site.run("delete").run().ok();
    site.upload(b"new").run().ok();
    site.assert_holds(STREAM, b"new");
}

#[test]
fn version_2_wins() {
    let site = Site::with(b"version 2");
    let data = store(&site, STREAM, 2, 1000);
    assert_eq!(list(&site).run().ok().text(), "export\n");
    assert!(
        list(&site)
            .arg("-l")
            .run()
            .ok()
            .text()
            .ends_with("Z\t9\t1\texport\n")
    );
    site.assert_holds(STREAM, b"version 2");
    site.run("verify").run().ok();
    site.upload(b"newer").run().fails(73, "-f replaces it");
    site.upload(b"newer").arg("-f").run().ok();
    site.assert_holds(STREAM, b"newer");
    // One is removed, and the other shows.
    site.run("delete").run().ok();
    assert_same(&warned(site.run("download").run(), STREAM).stdout, &data);
    site.run("delete").run().ok();
    site.run("delete").run().fails(66, "no such stream");
}

#[test]
fn what_only_looks_like_one() {
    let site = Site::new();
    let data = store(&site, "a", 2, 1000);
    let odd = [
        "stream.info",
        "stream..info",
        "stream.YQ.info",
        "stream.!!!!.info",
        "stream.YR==.info",
        "stream./w==.info",
        "stream.YQ==.block.01",
        "stream.YQ==.block.+1",
        "stream.YQ==.block.x",
        "stream.YQ==.block",
        "stream.YWI=.block.0",
    ];
    odd.iter().for_each(|key| put(&site, key, b"odd"));
    assert_eq!(list(&site).run().ok().text(), "a\n");
    let out = warned(run(&site, "download", "a").run(), "a");
    assert_same(&out.stdout, &data);
    run(&site, "download", "ab")
        .run()
        .fails(66, "no such stream");

    info(&site, "later", "2", CTIME.0);
    for word in ["download", "info", "verify"] {
        let out = run(&site, word, "later").option("--patience", "1s").run();
        out.fails(65, "not a stream of version 1");
    }
}

/// What makes it a stream goes first, so that none is left half.
#[test]
fn a_delete_that_is_broken_off() {
    let site = Site::new();
    store(&site, STREAM, 3, 1000);
    let denied = Fault::Status(Answer::access_denied());
    site.proxy.always(on("POST", "delete"), denied.clone());
    site.proxy.always(on("DELETE", ".block."), denied);
    let run = site.run("delete").option("--patience", "1s");
    run.run().fails(77, "AccessDenied");
    assert_eq!(site.server.objects().len(), 3);
    assert_eq!(list(&site).run().ok().text(), "");
    let again = s3pipe(&site.server).args(["download", "-s", STREAM]);
    again.run().fails(66, "no such stream");
}
