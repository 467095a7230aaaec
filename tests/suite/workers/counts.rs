//! How many workers there are, and what they cost: none that has nothing to
//! do, and nothing while there is nothing to do.

use std::fs::File;
use std::io::{Read, pipe};
use std::thread;
use std::time::Duration;

use super::crew::Crew;
use super::with_jobs;
use crate::faults::site::{BLOCK, STREAM, Site, blocks, on};
use crate::proxy::{Fault, Match, Seen};
use crate::support::{Run, assert_same, random};

/// Waits until so many requests for blocks have come, all told.
fn wait_for_blocks(site: &Site, count: usize) {
    let blocks = |s: &&Seen| s.target.contains("/block/");
    site.proxy
        .wait_for(|seen| seen.iter().filter(blocks).count() >= count);
}

/// Starts it with everything about blocks stalled, and counts its workers once
/// so many requests have come; then lets it go on to its end.
fn count(site: &Site, run: Run, requests: usize) -> usize {
    let before = site.proxy.seen();
    let before = before.iter().filter(|s| s.target.contains("/block/"));
    let before = before.count();
    let all = Match::any().target("/block/");
    site.proxy.always(all, Fault::StallRequest);
    let crew = Crew::start(with_jobs(run, 16));
    wait_for_blocks(site, before + requests);
    let workers = crew.workers().len();
    site.proxy.clear();
    site.proxy.hang_up();
    crew.end().ok();
    workers
}

#[test]
fn a_short_stream_has_few() {
    for (length, most) in [(1, 0), (BLOCK - 1, 0), (BLOCK, 2), (3 * BLOCK + 1, 4)] {
        let (site, data) = (Site::new(), random(1, length));
        let requests = length.div_ceil(BLOCK);
        let path = site.scratch.file("in", &data);
        let file = File::open(path).expect("a file");
        let run = site.run("upload").stdin_from(file);
        let workers = count(&site, run, requests);
        assert!(workers <= most, "{workers} for a file of {length}");
        site.assert_holds(STREAM, &data);
        // Of these the length is known before.
        for word in ["download", "verify"] {
            let workers = count(&site, site.run(word), requests);
            let expected = if requests == 1 { 0 } else { requests };
            assert_eq!(workers, expected, "{word} of {length}");
        }
        let run = site.download().option("--length", "1");
        assert_eq!(count(&site, run, 1), 0);
    }
}

#[test]
fn a_producer_that_is_not_done_has_no_more_than_it_needs() {
    let (site, data) = (Site::new(), blocks(6));
    let mut crew = Crew::start(with_jobs(site.run("upload"), 16).stdin_open());
    crew.running.feed(&data[..9]);
    crew.wait_for_workers(1);
    crew.running.feed(&data[9..BLOCK - 1]);
    assert_eq!(crew.workers().len(), 1);
    crew.running.feed(&data[BLOCK - 1..BLOCK]);
    // A block at a time: one waits for the next, one has the last; and one, who
    // had the one before, may not have said yet that he is done.
    for n in 1..=6 {
        site.wait_for("PUT", "/block/", n);
        let workers = crew.workers().len();
        assert!(workers <= 3, "{workers} at block {n}");
        if n < 6 {
            crew.running.feed(&data[n * BLOCK..(n + 1) * BLOCK]);
        }
    }
    crew.running.feed(&data[6 * BLOCK..]);
    crew.running.feed_end();
    crew.end().ok();
    site.assert_holds(STREAM, &data);
}

/// How long processes have used the processor, in milliseconds: proc(5) counts
/// in hundredths of a second, on whatever hardware.
#[cfg(target_os = "linux")]
fn cpu_time(crew: &Crew) -> u64 {
    let used = |pid: u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("a process");
        let (_, fields) = stat.rsplit_once(") ").expect("a name");
        let fields: Vec<&str> = fields.split(' ').collect();
        let [user, system] = [fields[11], fields[12]].map(|f| f.parse::<u64>().expect("ticks"));
        10 * (user + system)
    };
    crew.processes().iter().map(|p| used(p.pid)).sum()
}

/// Longer than any time-out, and than a worker may give no sign of life.
#[cfg(target_os = "linux")]
const IDLE: Duration = Duration::from_secs(11);

#[cfg(target_os = "linux")]
fn assert_idle(crew: &Crew, what: &str) {
    crew.wait_for_workers(2);
    let before = cpu_time(crew);
    thread::sleep(IDLE);
    let used = cpu_time(crew) - before;
    assert!(used < 100, "{what}: {used} ms");
}

/// A producer that needs its time, and a consumer that does.
#[cfg(target_os = "linux")]
#[test]
fn waiting_costs_nothing() {
    let (site, data) = (Site::new(), blocks(5));
    let data = &data[..3 * BLOCK + 300];
    let upload = || {
        let run = with_jobs(site.run("upload"), 4).option("--timeout", "1s");
        let mut crew = Crew::start(run.option("--retry", "0").stdin_open());
        crew.running.feed(&data[..2 * BLOCK]);
        site.wait_for("PUT", "/block/", 2);
        assert_idle(&crew, "upload");
        crew.running.feed(&data[2 * BLOCK..3 * BLOCK]);
        for byte in &data[3 * BLOCK..] {
            crew.running.feed(&[*byte]);
        }
        crew.running.feed_end();
        crew.end().ok();
        site.assert_holds(STREAM, data);
    };
    let other = Site::new();
    let large = random(1, 3 << 20);
    let download = || {
        let run = other.upload(&large).option("--blocksize", "1M");
        run.run().ok();
        let (mut reader, writer) = pipe().expect("a pipe");
        let run = with_jobs(other.download(), 4).option("--timeout", "1s");
        let crew = Crew::start(run.option("--retry", "0").stdout_to(writer));
        let mut got = vec![0];
        reader.read_exact(&mut got).expect("its output");
        assert_idle(&crew, "download");
        reader.read_to_end(&mut got).expect("its output");
        crew.end().ok();
        assert_same(&got, &large);
    };
    thread::scope(|scope| {
        scope.spawn(upload);
        scope.spawn(download);
    });
}

/// A connection is believed to be stale after a second.
const STALE: Duration = Duration::from_millis(1100);

/// A server that closes what is not used, at once or as the next request comes:
/// not a single repetition is needed.
#[test]
fn connections_that_were_closed_cost_no_retry() {
    let all = [
        (Fault::CloseIdle, 1),
        (Fault::CloseIdle, 2),
        (Fault::CloseNext, 1),
        (Fault::CloseNext, 2),
    ];
    thread::scope(|scope| {
        for (fault, jobs) in all {
            let uploaded = fault.clone();
            scope.spawn(move || close_uploads(uploaded, jobs));
            scope.spawn(move || close_downloads(fault, jobs));
        }
    });
}

fn close_uploads(fault: Fault, jobs: usize) {
    let (site, data) = (Site::new(), blocks(3));
    site.proxy.always(on("PUT", "/block/"), fault.clone());
    if jobs > 1 {
        // The coordinator's last request before that of the index.
        site.proxy.always(on("GET", "/upload/"), fault);
    }
    let run = with_jobs(site.run("upload"), jobs).option("--retry", "0");
    let mut crew = Crew::start(run.stdin_open());
    for n in 0..3 {
        crew.running.feed(&data[n * BLOCK..(n + 1) * BLOCK]);
        site.proxy.wait_for(|seen| {
            let stored = seen.iter().filter(|s| s.status == Some(200));
            stored.filter(|s| s.target.contains("/block/")).count() == n + 1
        });
        thread::sleep(STALE);
    }
    site.proxy.clear();
    crew.running.feed(&data[3 * BLOCK..]);
    crew.running.feed_end();
    crew.end().ok();
    site.assert_holds(STREAM, &data);
}

fn close_downloads(fault: Fault, jobs: usize) {
    let block = 256 << 10;
    let data = random(1, 4 * block);
    let site = Site::new();
    let run = site.upload(&data).option("--blocksize", "256K");
    run.run().ok();
    site.proxy.always(on("GET", "/block/"), fault);
    let (mut reader, writer) = pipe().expect("a pipe");
    let run = with_jobs(site.download(), jobs).option("--retry", "0");
    let crew = Crew::start(run.stdout_to(writer));
    let mut got = vec![0; data.len()];
    for part in got.chunks_mut(block) {
        // Whoever has the block cannot go on before it is taken.
        reader.read_exact(&mut part[..1]).expect("its output");
        thread::sleep(STALE);
        reader.read_exact(&mut part[1..]).expect("its output");
    }
    crew.end().ok();
    assert_same(&got, &data);
}
