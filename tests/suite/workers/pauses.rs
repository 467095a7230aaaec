//! When the service asks one of us to slow down, nobody sends a request before
//! the time is over: not the others, not who starts later, not the coordinator.
//!
//! A slow machine sends later still, so the tests ask for more time than they
//! insist on, and never for less.

use std::io::{PipeReader, Read, pipe};
use std::thread;
use std::time::{Duration, Instant};

use super::crew::Crew;
use super::with_jobs;
use crate::faults::site::{BLOCK, STREAM, Site, blocks, on};
use crate::proxy::{Answer, Fault, Seen};
use crate::support::{Run, assert_same, random};

/// The wish, in seconds.
const WISH: u64 = 3;

/// How long nothing may come.
const PAUSE: Duration = Duration::from_secs(2);

/// How long word of it may be on its way: between two lines of one process on
/// the same socket.
const WORD: Duration = Duration::from_millis(500);

/// Asks for it once.
fn ask(site: &Site, method: &str, part: &str) {
    let answer = Answer::unavailable(WISH);
    site.proxy.once(on(method, part), Fault::Status(answer));
}

/// Waits until it was asked, and all have been told; when it was.
fn asked(site: &Site, crew: &Crew) -> Instant {
    let seen = site.proxy.wait_for(|seen| seen.iter().any(refused));
    crew.running.wait_for_stderr("503 ServiceUnavailable");
    thread::sleep(WORD);
    seen.iter().find(|s| refused(s)).expect("a refusal").at
}

fn refused(seen: &Seen) -> bool {
    seen.status == Some(503)
}

/// Nothing came since, until the time was over; and then something did.
#[track_caller]
fn assert_silence(site: &Site, since: Instant) {
    let seen = site.proxy.seen();
    let after: Vec<_> = seen.iter().filter(|s| s.at > since + WORD).collect();
    assert!(!after.is_empty());
    for seen in after {
        let late = seen.at - since;
        assert!(
            late >= PAUSE,
            "{} {} after {late:?}",
            seen.method,
            seen.target
        );
    }
}

fn upload(site: &Site, jobs: usize) -> Run {
    let run = with_jobs(site.run("upload"), jobs).arg("-v").stdin_open();
    run.env("S3PIPE_INDEX_BLOCKS", "2")
}

/// All four are there when one of them is asked.
#[test]
fn the_other_workers_wait() {
    let (site, data) = (Site::new(), blocks(9));
    site.proxy.always(on("PUT", "/block/"), Fault::StallRequest);
    let mut crew = Crew::start(upload(&site, 4));
    crew.running.feed(&data[..4 * BLOCK]);
    site.proxy
        .wait_for(|seen| seen.iter().filter(|s| s.faulted).count() == 4);
    assert_eq!(crew.workers().len(), 4);
    // Three of them are done then, and idle, or read.
    site.proxy.clear();
    ask(&site, "PUT", "/0000000003.");
    site.proxy.hang_up();
    site.wait_for("PUT", "/block/", 3);
    let since = asked(&site, &crew);
    crew.running.feed(&data[4 * BLOCK..]);
    crew.running.feed_end();
    crew.end();
    site.assert_holds(STREAM, &data);
    assert_silence(&site, since);
}

/// There are two when one of them is asked; the others come in the meantime.
#[test]
fn who_comes_later_waits_too() {
    let (site, data) = (Site::new(), blocks(9));
    ask(&site, "PUT", "/0000000000.");
    let mut crew = Crew::start(upload(&site, 16));
    crew.running.feed(&data[..BLOCK]);
    let since = asked(&site, &crew);
    assert!(crew.workers().len() <= 2);
    crew.running.feed(&data[BLOCK..]);
    crew.running.feed_end();
    crew.end();
    site.assert_holds(STREAM, &data);
    assert_silence(&site, since);
}

/// A pause that was over before there was anything to send delays nobody who
/// waited for stdin meanwhile: else the second block would come behind the last.
#[test]
fn what_is_over_is_over() {
    let blocks = 200;
    let (site, data) = (Site::new(), random(2, blocks * BLOCK));
    let first = "/0000000000.";
    site.proxy.once(on("PUT", first), Fault::StallRequest);
    let run = with_jobs(site.run("upload"), 2).stdin_open();
    let mut crew = Crew::start(run);
    crew.running.feed(&data[..BLOCK]);
    site.proxy.wait_for(|seen| seen.iter().any(|s| s.faulted));
    crew.wait_for_workers(2);
    ask(&site, "PUT", first);
    site.proxy.hang_up();
    site.wait_for("PUT", first, 1);
    // A worker that is blocked in a read looks up once a second.
    thread::sleep(Duration::from_millis(1500));
    crew.running.feed(&data[BLOCK..]);
    crew.running.feed_end();
    crew.end().ok();
    site.assert_holds(STREAM, &data);
    let came = |n: usize| site.seen("PUT", &format!("/{n:010}."))[0].at;
    assert!(came(1) < came(blocks - 1), "the second block came last");
}

/// The coordinator's own requests are the service's business as well.
#[test]
fn the_workers_wait_with_the_coordinator() {
    let (site, data) = (Site::new(), blocks(5));
    ask(&site, "PUT", "/index/");
    let mut crew = Crew::start(upload(&site, 4));
    crew.running.feed(&data[..2 * BLOCK]);
    let since = asked(&site, &crew);
    crew.running.feed(&data[2 * BLOCK..]);
    crew.running.feed_end();
    crew.end();
    site.assert_holds(STREAM, &data);
    assert_silence(&site, since);
}

/// Reads so much of it.
fn take(reader: &mut PipeReader, got: &mut Vec<u8>, length: usize) {
    let start = got.len();
    got.resize(start + length, 0);
    reader.read_exact(&mut got[start..]).expect("its output");
}

/// Each worker holds a block that nobody takes; then two are taken, and of the
/// two workers that go on one is asked to wait.
#[test]
fn downloads_wait() {
    let block = 256 << 10;
    let data = random(1, 12 * block);
    let site = Site::new();
    let run = site.upload(&data).option("--blocksize", "256K");
    run.run().ok();
    ask(&site, "GET", "/0000000004.");
    let (mut reader, writer) = pipe().expect("a pipe");
    let run = with_jobs(site.download(), 4).arg("-v").stdout_to(writer);
    let crew = Crew::start(run);
    site.wait_for("GET", "/block/", 4);
    let mut got = Vec::new();
    // The first worker is done with its block as soon as the pipe has the rest.
    take(&mut reader, &mut got, block);
    let since = asked(&site, &crew);
    take(&mut reader, &mut got, 11 * block);
    crew.end();
    assert_same(&got, &data);
    assert_silence(&site, since);
}
