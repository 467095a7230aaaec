//! Version 1 where it is not whole: a gap, data that is not what the ETag
//! says, and what changes while it is read.

use std::fs;

use md5::{Digest, Md5};

use super::{beside, info, key, list, put, store, warned};
use crate::faults::site::{STREAM, Site, on};
use crate::proxy::{Answer, Fault, Seen};
use crate::support::{Outcome, assert_same};

fn block(n: usize) -> String {
    key(STREAM, &format!("block.{n}"))
}

fn set_etag(site: &Site, key: &str, etag: &str) {
    beside(site, key, "internal", &format!(r#"{{"e_tag":"{etag}"}}"#));
}

fn md5(data: &[u8]) -> String {
    let digest = Md5::digest(data);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// It failed with 65 and, behind the warning of version 1, this.
#[track_caller]
fn refused(outcome: Outcome, why: &str) -> Outcome {
    let lines: Vec<&str> = outcome.stderr.lines().collect();
    assert!(outcome.status == 65 && lines.len() == 2, "{outcome}");
    assert!(
        lines[0].contains("s3pipe 1") && lines[1].contains(why),
        "{outcome}"
    );
    outcome
}

#[test]
fn a_gap_is_refused() {
    for gap in [0, 1, 3] {
        let site = Site::new();
        store(&site, STREAM, 5, 1000);
        fs::remove_file(site.server.object(&block(gap))).expect("a block");
        let why = format!("block {gap} is missing, and later ones are there");
        for word in ["download", "verify", "info", "delete"] {
            let out = site.run(word).run().fails(65, &why);
            assert_eq!(out.stdout, b"");
        }
        site.run("verify").arg("--quick").run().fails(65, &why);
        let out = list(&site).arg("-l").run().fails(65, &why);
        assert_eq!(out.text(), "?\t?\t?\texport\n");
        assert_eq!(list(&site).run().ok().text(), "export\n");
        // Whoever insists is rid of it.
        site.run("delete").arg("-f").run().ok();
        assert_eq!(site.server.objects(), Vec::<String>::new());
    }
}

/// That the end is missing cannot be seen: hence the warning.
#[test]
fn an_end_that_is_missing_is_not_seen() {
    let site = Site::new();
    let data = store(&site, STREAM, 5, 1000);
    fs::remove_file(site.server.object(&block(4))).expect("a block");
    let out = warned(site.run("download").run(), STREAM);
    assert_same(&out.stdout, &data[..4000]);
}

#[test]
fn data_that_is_not_what_its_etag_says() {
    let site = Site::new();
    let data = store(&site, STREAM, 3, 1000);
    for (n, part) in data.chunks(1000).enumerate() {
        set_etag(&site, &block(n), &md5(part));
    }
    warned(site.run("verify").run(), STREAM);
    let mut bad = data[1000..2000].to_vec();
    bad[500] ^= 1;
    put(&site, &block(1), &bad);
    let why = format!("test/{}: the data does not match its ETag", block(1));
    let out = refused(site.hasty("download").run(), &why);
    assert_same(&out.stdout, &data[..1000]);
    refused(site.hasty("verify").run(), &why);
    // A listing does not tell.
    warned(site.run("verify").arg("--quick").run(), STREAM);
}

#[test]
fn an_etag_that_is_no_md5() {
    let site = Site::new();
    let data = store(&site, STREAM, 3, 1000);
    let parts = format!("{}-2", "0".repeat(32));
    for etag in [parts.as_str(), "0123", "", "x"] {
        set_etag(&site, &block(1), etag);
        let out = warned(site.run("download").run(), STREAM);
        assert_same(&out.stdout, &data);
    }
    // It looks like one, but the object is encrypted with a key of its own.
    let zeros = format!("\"{}\"", "0".repeat(32));
    for (name, value, fine) in [
        ("x-amz-server-side-encryption", "aws:kms", true),
        ("x-amz-server-side-encryption", "aws:kms:dsse", true),
        (
            "x-amz-server-side-encryption-customer-algorithm",
            "AES256",
            true,
        ),
        ("x-amz-server-side-encryption", "AES256", false),
        ("x-amz-other", "aws:kms", false),
    ] {
        let answer = Answer::new(200, "OK").header("ETag", &zeros);
        let answer = answer.header(name, value).body(&data[1000..2000]);
        site.proxy.clear();
        site.proxy
            .always(on("GET", ".block.1"), Fault::Status(answer));
        let out = site.hasty("download").run();
        if fine {
            assert_same(&warned(out, STREAM).stdout, &data);
        } else {
            refused(out, "does not match its ETag");
        }
    }
}

#[test]
fn a_block_of_another_size_than_listed() {
    let site = Site::new();
    let data = store(&site, STREAM, 3, 1000);
    for body in [&data[1000..1999], &data[1000..2001], &[]] {
        let answer = Answer::new(200, "OK").body(body);
        site.proxy.clear();
        site.proxy
            .always(on("GET", ".block.1"), Fault::Status(answer));
        // HEAD shows that size: something on the way is at fault.
        let out = site.hasty("download").run();
        let why = "its size is not the one listed";
        assert!(out.status == 69 && out.stderr.contains(why), "{out}");
        assert_same(&out.stdout, &data[..1000]);
    }
}

#[test]
fn what_breaks_on_the_way_is_fetched_again() {
    let site = Site::new();
    let data = store(&site, STREAM, 5, 1000);
    for (n, fault) in [
        Fault::DropResponse { after: 500 },
        Fault::LoseAnswer,
        Fault::Status(Answer::slow_down()),
        Fault::WrongLength { delta: 0 },
        Fault::DropResponse { after: 0 },
    ]
    .into_iter()
    .enumerate()
    {
        site.proxy.once(on("GET", &format!(".block.{n}")), fault);
    }
    let out = warned(site.run("download").run(), STREAM);
    assert_same(&out.stdout, &data);
}

/// The server's ETag is an MD5, which tells.
#[test]
fn a_bit_that_flips_on_the_way_is_fetched_again() {
    let site = Site::new();
    let data = store(&site, STREAM, 3, 1000);
    site.proxy
        .once(on("GET", ".block.1"), Fault::Flip { at: 500 });
    let out = warned(site.run("download").run(), STREAM);
    assert_same(&out.stdout, &data);
}

/// Reads it, and removes its second block when that is under way.
#[test]
fn one_that_is_deleted_while_it_is_read() {
    for word in ["download", "verify"] {
        let site = Site::new();
        store(&site, STREAM, 3, 1000);
        site.proxy.once(on("GET", ".block.1"), Fault::StallRequest);
        let running = site.run(word).spawn();
        let stalled = |seen: &Seen| seen.faulted;
        site.proxy.wait_for(|seen| seen.iter().any(stalled));
        site.run("delete").run().ok();
        site.proxy.hang_up();
        let out = running.wait();
        assert_eq!(out.status, 75, "{out}");
        assert!(out.stderr.contains("gone while it was read"), "{out}");
    }
}

/// Keys may be confined to the prefix, which version 1 has none of.
#[test]
fn who_may_not_look_has_none_of_version_1() {
    let site = Site::new();
    let denied = Fault::Status(Answer::access_denied());
    site.proxy.always(on("GET", "/stream."), denied);
    site.upload(b"new").run().ok();
    site.assert_holds(STREAM, b"new");
    info(&site, "old", "1", "0");
    let out = site.run("download").option("-s", "old").run();
    out.fails(66, "no such stream");
}
