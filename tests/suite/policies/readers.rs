//! A stream that is replaced or deleted while it is downloaded: never are two
//! uploads mixed, and no part is taken for the whole.

use crate::faults::site::{BLOCK, STREAM, Site, blocks, on};
use crate::proxy::{Answer, Fault, Match, Seen};
use crate::support::{Outcome, Running, assert_same, s3pipe};

const CHANGED: &str = "the stream was replaced or deleted while it was being read";

/// A download that waits for the answer to this request.
fn held(site: &Site, when: Match) -> Running {
    site.proxy.once(when, Fault::StallRequest);
    let run = site.download().option("--timeout", "100s").spawn();
    let stalled = |seen: &[Seen]| seen.iter().any(|s| s.faulted && s.method == "GET");
    site.proxy.wait_for(stalled);
    run
}

/// Lets it go on, by a connection that breaks.
fn go_on(site: &Site, run: Running) -> Outcome {
    site.proxy.hang_up();
    run.wait()
}

fn second_block() -> Match {
    on("GET", "/block/").target("/0000000001.")
}

fn replace(site: &Site, data: &[u8]) {
    let run = s3pipe(&site.server).args(["upload", "-f", "-s", STREAM]);
    run.option("--blocksize", "64K").stdin(data).run().ok();
}

fn delete(site: &Site) {
    let run = s3pipe(&site.server).args(["delete", "-s", STREAM]);
    run.run().ok();
}

#[test]
fn replaced_between_two_blocks() {
    // The second time, all that differs is a byte of the last block.
    let old = blocks(3);
    let mut nearly = old.clone();
    nearly[3 * BLOCK] ^= 1;
    for new in [blocks(4), nearly] {
        let site = Site::with(&old);
        let run = held(&site, second_block());
        replace(&site, &new);
        let end = go_on(&site, run).fails(75, CHANGED);
        assert!(end.stderr.contains("the first 65536 bytes"), "{end}");
        assert_same(&end.stdout, &old[..BLOCK]);
        assert_same(&site.download().run().ok().stdout, &new);
    }
}

#[test]
fn deleted_between_two_blocks() {
    let old = blocks(3);
    let site = Site::with(&old);
    let run = held(&site, second_block());
    delete(&site);
    let end = go_on(&site, run).fails(75, CHANGED);
    assert_same(&end.stdout, &old[..BLOCK]);
    site.download().run().fails(66, "no such stream");
}

#[test]
fn changed_before_the_first_block() {
    for replaced in [true, false] {
        let site = Site::with(&blocks(3));
        let run = held(&site, on("GET", "/index/"));
        match replaced {
            true => replace(&site, b"new"),
            false => delete(&site),
        }
        let end = go_on(&site, run).fails(75, CHANGED);
        assert!(end.stdout.is_empty(), "{end}");
    }
}

/// What is left of the old stream is still the old stream: where its blocks
/// could not be removed, a download that began with it ends with it.
#[test]
fn replaced_but_still_whole() {
    let (old, new) = (blocks(3), blocks(4));
    let site = Site::with(&old);
    let run = held(&site, second_block());
    for removal in ["DELETE", "POST"] {
        let denied = Fault::Status(Answer::access_denied());
        site.proxy.always(Match::method(removal), denied);
    }
    let end = site.upload(&new).arg("-f").run();
    end.ok_saying("the stream is committed");
    assert_same(&go_on(&site, run).ok().stdout, &old);
    site.assert_holds(STREAM, &new);
}

/// A name that has a stream again, which is another one.
#[test]
fn replaced_in_two_steps() {
    let (old, new) = (blocks(2), blocks(1));
    let site = Site::with(&old);
    let run = held(&site, second_block());
    delete(&site);
    replace(&site, &new);
    let end = go_on(&site, run).fails(75, CHANGED);
    assert_same(&end.stdout, &old[..BLOCK]);
    site.assert_holds(STREAM, &new);
}
