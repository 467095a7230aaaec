//! Credentials of a machine that is backed up and may not be able to destroy
//! its own backups: PutObject everywhere, GetObject on manifests and records.

use crate::faults::site::{STREAM, Site, blocks};
use crate::proxy::{Answer, Fault, Match};
use crate::support::BUCKET;

/// A site with such credentials. They do not hold ListBucket, so that S3 says
/// 403 of an object that is not there, too.
pub fn site() -> Site {
    let site = Site::new();
    let root = format!("/{BUCKET}/");
    let folder = site.server.object("");
    let refused = Match::any().when(move |seen| {
        let key = seen.target.strip_prefix(&root).unwrap_or_default();
        let readable = ["s3pipe/manifest/", "s3pipe/upload/"];
        match seen.method.as_str() {
            "PUT" => false,
            "GET" if readable.iter().any(|r| key.starts_with(r)) => !folder.join(key).exists(),
            _ => true,
        }
    });
    let denied = Fault::Status(Answer::access_denied());
    site.proxy.always(refused, denied);
    site
}

#[test]
fn an_upload_needs_no_more() {
    let (site, data) = (site(), blocks(3));
    let end = site.upload(&data).run();
    let end = end.ok_saying("403 AccessDenied: Access Denied (the stream is committed");
    assert_eq!(end.stderr.lines().count(), 1, "{end}");
    assert!(end.stderr.contains("test/s3pipe/upload/export/"), "{end}");
    site.assert_holds(STREAM, &data);
    let commit = site.seen("PUT", "/manifest/").pop().expect("a commit");
    assert_eq!(commit.header("if-none-match"), Some("*"));

    let quiet = site.upload(&data).option("-s", "quiet").arg("-q");
    quiet.run().ok();
    site.assert_holds("quiet", &data);
}

#[test]
fn what_is_there_is_replaced_by_force_only() {
    let (site, old, new) = (site(), blocks(2), blocks(1));
    site.store(STREAM, &old);
    let again = site.upload(&new).run();
    again.fails(73, "exists already (-f replaces it)");
    assert_eq!(site.seen("PUT", "").len(), 0);
    site.assert_holds(STREAM, &old);

    let end = site.upload(&new).arg("-f").run();
    let end = end.ok_saying("the stream is committed");
    assert_eq!(end.stderr.lines().count(), 1, "{end}");
    site.assert_holds(STREAM, &new);
    let commit = site.seen("PUT", "/manifest/").pop().expect("a commit");
    assert!(commit.header("if-match").is_some());
}

/// The look before an upload may have shown nothing because it was refused;
/// then the store's condition keeps what is there.
#[test]
fn a_stream_committed_meanwhile_stays() {
    let (site, data) = (site(), blocks(1));
    let mut run = site.run("upload").stdin_open().spawn();
    site.wait_for("GET", "/upload/", 1);
    site.store(STREAM, b"theirs");
    run.feed(&data);
    let end = run.wait();
    assert!(matches!(end.status, 73 | 75), "{end}");
    site.assert_holds(STREAM, b"theirs");
}

#[test]
fn what_needs_more_says_so() {
    let (site, data) = (site(), blocks(1));
    let resumed = site.upload(&data).arg("--resume").run();
    resumed.fails(77, "--resume must be allowed to list the bucket");
    assert_eq!(site.seen("PUT", "").len(), 0);
    site.store(STREAM, &data);
    for command in ["download", "verify", "delete"] {
        let end = site.run(command).run().fails(77, "403 AccessDenied");
        assert!(end.stdout.is_empty(), "{command}: {end}");
    }
    for command in ["list", "clean"] {
        let end = site.run(command).without("-s").run();
        let end = end.fails(77, "403 AccessDenied");
        assert!(end.stdout.is_empty(), "{command}: {end}");
    }
    site.assert_holds(STREAM, &data);
}
