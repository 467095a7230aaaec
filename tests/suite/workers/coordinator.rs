//! kill -9 of the coordinator, whatever its workers are blocked in: nobody is
//! left, and nothing is committed.
//!
//! `S3PIPE_SEED` and `S3PIPE_ROUNDS` are as for the other kills.

use std::io::{PipeReader, Read, pipe};

use super::crew::Crew;
use super::with_jobs;
use crate::faults::site::{BLOCK, STREAM, Site, blocks, on};
use crate::proxy::{Fault, Seen};
use crate::storm::setting;
use crate::support::{Run, assert_same, random};

fn upload(site: &Site) -> Crew {
    let run = site.run("upload").option("-s", "new").stdin_open();
    Crew::start(with_jobs(run, 4))
}

/// Waits until the `count`th such request has come, with all of its body.
fn stuck(site: &Site, method: &str, part: &str, count: usize) {
    let whole = |s: &&Seen| {
        let length = s.header("content-length").unwrap_or("0");
        s.method == method && s.target.contains(part) && s.body_len.to_string() == length
    };
    site.proxy
        .wait_for(|seen| seen.iter().filter(whole).count() >= count);
}

#[test]
fn they_read_from_a_producer_that_is_silent() {
    let site = Site::new();
    // A worker that has something of a block, with another that waits for work.
    for length in [0, 9, BLOCK, 2 * BLOCK + 9] {
        let mut crew = upload(&site);
        crew.running.feed(&random(1, length));
        let stored = site.seen("PUT", "/block/").len() + length / BLOCK;
        site.proxy.wait_for(|seen| {
            let puts = seen.iter().filter(|s| s.target.contains("/block/"));
            puts.filter(|s| s.status.is_some()).count() >= stored
        });
        crew.wait_for_workers(1 + (length / BLOCK).min(1));
        crew.kill();
    }
    site.assert_nothing_committed();
}

#[test]
fn they_wait_for_the_server() {
    let data = blocks(9);
    let site = Site::with(&data);
    for method in ["PUT", "GET"] {
        site.proxy
            .always(on(method, "/block/"), Fault::StallRequest);
    }
    let before = site.seen("PUT", "/block/").len();
    let mut crew = upload(&site);
    crew.running.feed(&data[..4 * BLOCK]);
    stuck(&site, "PUT", "/block/", before + 4);
    assert_eq!(crew.workers().len(), 4);
    crew.kill();
    assert_eq!(site.count("/manifest/new"), 0);
    // Without an answer, and in the middle of one.
    for fault in [Fault::StallRequest, Fault::Stall { after: 70 }] {
        site.proxy.clear();
        site.proxy.always(on("GET", "/block/"), fault);
        for word in ["download", "verify"] {
            let start = site.seen("GET", "/block/").len();
            let crew = Crew::start(with_jobs(site.run(word), 4));
            stuck(&site, "GET", "/block/", start + 4);
            assert_eq!(crew.workers().len(), 4);
            assert_eq!(crew.kill().stdout, b"");
        }
    }
}

#[test]
fn they_send_to_a_server_that_does_not_listen() {
    let site = Site::new();
    let deaf = Fault::StallBody { after: 1 << 20 };
    site.proxy.always(on("PUT", "/block/"), deaf);
    let run = with_jobs(site.run("upload"), 2).option("--blocksize", "16M");
    let mut crew = Crew::start(run.stdin_open());
    crew.running.feed(&random(1, 32 << 20));
    let most = |s: &&Seen| s.body_len >= 1 << 20;
    site.proxy
        .wait_for(|seen| seen.iter().filter(most).count() == 2);
    crew.kill();
    site.assert_nothing_committed();
}

/// What is left in the pipe is true.
fn assert_prefix(mut reader: PipeReader, data: &[u8]) {
    let mut got = Vec::new();
    reader.read_to_end(&mut got).expect("its output");
    assert!(!got.is_empty());
    assert_same(&got, &data[..got.len()]);
}

#[test]
fn they_write_to_a_reader_that_does_not_read() {
    let data = random(2, 9 << 20);
    let site = Site::new();
    let run = site.upload(&data).option("--blocksize", "1M");
    run.run().ok();
    let (reader, writer) = pipe().expect("a pipe");
    let run = with_jobs(site.download(), 4).arg("-v").stdout_to(writer);
    let crew = Crew::start(run);
    site.wait_for("GET", "/block/", 4);
    crew.running.wait_for_stderr("/0000000000.");
    // One holds its block, and has been told to write it.
    let mut reader = reader;
    let mut first = [0];
    reader.read_exact(&mut first).expect("a byte");
    assert_eq!(crew.workers().len(), 4);
    crew.kill();
    assert_prefix(reader, &data[1..]);
}

/// The coordinator is busy with a request of its own, they with nothing.
#[test]
fn they_wait_for_orders() {
    let site = Site::new();
    site.proxy.always(on("PUT", "/index/"), Fault::StallRequest);
    let run = with_jobs(site.upload(&blocks(6)), 4);
    let crew = Crew::start(run.env("S3PIPE_INDEX_BLOCKS", "2"));
    stuck(&site, "PUT", "/index/", 1);
    crew.wait_for_workers(2);
    crew.kill();
    site.assert_nothing_committed();
}

/// At any of its requests, or just after.
#[test]
fn at_any_instant() {
    let first: u64 = setting("S3PIPE_SEED", 2007);
    let rounds: u64 = setting("S3PIPE_ROUNDS", 12);
    let data = blocks(5);
    let small = |run: Run| run.env("S3PIPE_INDEX_BLOCKS", "2");
    let requests = {
        let site = Site::new();
        small(site.upload(&data)).run().ok();
        site.proxy.seen().len()
    };
    let mut found = [0; 2];
    for seed in first..first.wrapping_add(rounds) {
        let dice = random(seed, 2);
        let jobs = [2, 4, 16][usize::from(dice[0] % 3)];
        let nth = 1 + usize::from(dice[1]) % requests;
        let site = Site::new();
        let run = with_jobs(small(site.upload(&data)), jobs);
        let crew = Crew::start(run);
        site.proxy.wait_for(|seen| seen.len() >= nth);
        crew.kill_late();
        site.proxy.hang_up();
        let committed = site.count("/manifest/");
        if committed > 0 {
            site.assert_holds(STREAM, &data);
        }
        found[committed] += 1;
    }
    println!(
        "coordinator killed at one of {requests} requests, from seed {first}: \
         {} not committed, {} committed",
        found[0], found[1]
    );
}
