//! Replacing a stream (`-f`): the old one stands until the new one was seen,
//! and nothing of it is left then.

use std::thread;
use std::time::SystemTime;

use md5::{Digest, Md5};
use s3pipe::parts::Utc;

use super::denied;
use crate::faults::site::{STREAM, Site, blocks, on};
use crate::proxy::Seen;

/// Of the old stream nothing goes before the new one was seen to stand.
#[test]
fn a_replaced_stream_goes_last() {
    let (old, new) = (blocks(3), blocks(2));
    let site = Site::with(&old);
    let manifest = site.run("info").arg("--raw").run().ok().stdout;
    let before = site.server.objects();
    let start = site.proxy.seen().len();
    site.upload(&new).arg("-f").run().ok();
    site.assert_holds(STREAM, &new);

    let put = site.seen("PUT", "/manifest/").pop().expect("a commit");
    let etag: String = Md5::digest(&manifest)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(put.header("if-match"), Some(format!("\"{etag}\"").as_str()));
    assert_eq!(put.header("if-none-match"), None);

    let seen = site.proxy.seen();
    let removes = |s: &Seen| matches!(s.method.as_str(), "DELETE" | "POST");
    let first = seen[start..].iter().find(|s| removes(s)).expect("a delete");
    let between = &seen[put.n + 1..first.n];
    let looked = |s: &&Seen| s.method == "GET" && s.status == Some(200);
    assert!(
        between
            .iter()
            .filter(looked)
            .any(|s| s.target.contains("/manifest/"))
    );
    assert!(
        between
            .iter()
            .filter(looked)
            .any(|s| s.target.contains("/upload/"))
    );

    let after = site.server.objects();
    let left = before.iter().filter(|key| after.contains(key));
    let left: Vec<_> = left.collect();
    assert!(
        left.len() == 1 && left[0].contains("/manifest/"),
        "{left:?}"
    );
    assert_eq!(site.count("/block/"), 3);
}

/// A replacement that fails leaves the old stream whole.
#[test]
fn a_replacement_that_fails_leaves_the_old_stream() {
    let (old, new) = (blocks(1), blocks(2));
    let site = Site::with(&old);
    for (method, part) in [
        ("PUT", "/upload/"),
        ("PUT", "/block/"),
        ("PUT", "/index/"),
        ("PUT", "/manifest/"),
    ] {
        site.proxy.clear();
        site.proxy.always(on(method, part), denied());
        let run = site.upload(&new).arg("-f").option("--patience", "1s");
        let end = run.run();
        assert!(matches!(end.status, 69 | 77), "{end}");
        assert!(!end.stderr.contains("commit unknown"), "{end}");
        site.assert_holds(STREAM, &old);
    }
}

/// Whether there was a stream could not be learnt at first (one 403): -f asks
/// for it to be replaced all the same, and nobody else has committed one.
#[test]
fn a_replacement_survives_a_look_that_was_refused() {
    let (old, new) = (blocks(1), blocks(2));
    let site = Site::with(&old);
    // Uploads are told apart by the second in which they began.
    let stored = Utc::from_system(SystemTime::now());
    while Utc::from_system(SystemTime::now()) == stored {
        thread::yield_now();
    }
    site.proxy.once(on("GET", "/manifest/"), denied());
    site.upload(&new).arg("-f").run().ok();
    site.assert_holds(STREAM, &new);
}
