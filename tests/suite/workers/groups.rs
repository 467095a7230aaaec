//! Signals to the whole process group, as a terminal, a shell that ends, or
//! timeout(1) sends them: one line, 128 + n, the right number of bytes, and
//! nobody left.

use std::io::{Read, pipe};

use super::crew::{Crew, signal};
use super::{claimed, with_jobs};
use crate::faults::site::{BLOCK, STREAM, Site, blocks, on};
use crate::proxy::Fault;
use crate::support::{Outcome, Run, assert_same, random};

const SIGNALS: [(&str, i32); 3] = [("INT", 130), ("TERM", 143), ("HUP", 129)];

/// Sends the signal, and waits for the end.
#[track_caller]
fn stop(crew: Crew, (name, status): (&str, i32)) -> Outcome {
    crew.running.signal_group(name);
    let end = crew.end();
    let line = format!(": stopped by SIG{name}: ");
    let lines = end.stderr.lines().filter(|line| !is_request(line));
    assert!(
        end.status == status && lines.count() == 1 && end.stderr.contains(&line),
        "{end}"
    );
    end
}

/// A line that `-v` brings.
fn is_request(line: &str) -> bool {
    let starts = ["GET ", "PUT ", "HEAD ", "DELETE ", "credentials: "];
    let rest = line.strip_prefix("s3pipe: ").unwrap_or_default();
    starts.iter().any(|start| rest.starts_with(start))
}

/// The bytes of all blocks that are stored.
fn stored(site: &Site) -> usize {
    let keys = site.server.objects().into_iter();
    keys.filter(|key| key.contains("/block/"))
        .map(|key| site.server.object(&key).metadata().expect("a block").len() as usize)
        .sum()
}

fn upload(site: &Site, jobs: usize) -> Run {
    with_jobs(site.run("upload"), jobs).arg("-v").own_group()
}

/// It says how much is stored, and that is so.
#[track_caller]
fn assert_counted(site: &Site, end: &Outcome) {
    assert_eq!(claimed(end, " bytes in "), stored(site), "{end}");
    site.assert_nothing_committed();
}

/// Waits until s3pipe knows that these blocks are stored.
fn wait_for_blocks(crew: &Crew, numbers: &[usize]) {
    for number in numbers {
        let part = format!("PUT test/s3pipe/block/{STREAM}/");
        crew.running.wait_for_stderr(&part);
        crew.running.wait_for_stderr(&format!("/{number:010}."));
    }
}

#[test]
fn an_upload_that_waits_for_its_producer() {
    for jobs in [1, 2, 4] {
        for signal in SIGNALS {
            let site = Site::new();
            let mut crew = Crew::start(upload(&site, jobs).stdin_open());
            crew.running.feed(&blocks(3)[..3 * BLOCK + 9]);
            wait_for_blocks(&crew, &[0, 1, 2]);
            let end = stop(crew, signal);
            assert_counted(&site, &end);
            assert_eq!(claimed(&end, " bytes in "), 3 * BLOCK);
        }
    }
}

#[test]
fn an_upload_that_waits_for_the_server() {
    for signal in SIGNALS {
        let site = Site::new();
        let when = on("PUT", "/block/").target("/0000000001.");
        site.proxy.always(when, Fault::StallRequest);
        let mut crew = Crew::start(upload(&site, 4).stdin_open());
        crew.running.feed(&blocks(4)[..4 * BLOCK]);
        wait_for_blocks(&crew, &[0, 2, 3]);
        let end = stop(crew, signal);
        assert_counted(&site, &end);
        assert_eq!(claimed(&end, " bytes in "), 3 * BLOCK);
    }
}

/// The command gets the signal, too: that it dies of it is no news.
#[test]
fn a_producer_that_is_stopped_with_us() {
    for jobs in [1, 4] {
        for signal in SIGNALS {
            let site = Site::new();
            let data = site.scratch.file("in", &blocks(2)[..2 * BLOCK]);
            let data = data.to_str().expect("a UTF-8 path");
            // It has more to say, or has closed its stdout already.
            for end in ["exec sleep 999", "exec >&-; exec sleep 999"] {
                let script = format!("cat {data}; {end}");
                let run = upload(&site, jobs).args(["--", "sh", "-c", &script]);
                let crew = Crew::start(run);
                wait_for_blocks(&crew, &[0, 1]);
                stop(crew, signal);
            }
            site.assert_nothing_committed();
        }
    }
}

/// What was written is counted, to the byte.
#[test]
fn a_download_that_nobody_reads() {
    let data = random(1, 9 << 20);
    let site = Site::new();
    let run = site.upload(&data).option("--blocksize", "1M");
    run.run().ok();
    for jobs in [1, 2, 4] {
        for signal in SIGNALS {
            for taken in [1, (2 << 20) + 5] {
                let (mut reader, writer) = pipe().expect("a pipe");
                let run = with_jobs(site.download(), jobs).own_group();
                let crew = Crew::start(run.stdout_to(writer));
                let mut got = vec![0; taken];
                reader.read_exact(&mut got).expect("its output");
                let end = stop(crew, signal);
                reader.read_to_end(&mut got).expect("its output");
                assert_eq!(claimed(&end, " bytes were written"), got.len());
                assert_same(&got, &data[..got.len()]);
            }
        }
    }
}

#[test]
fn a_consumer_that_is_stopped_with_us() {
    let site = Site::with(&random(1, 4 << 20));
    for jobs in [1, 4] {
        for signal in SIGNALS {
            for script in ["exec sleep 999", "cat >/dev/null; exec sleep 999"] {
                let run = with_jobs(site.download(), jobs).own_group().arg("-v");
                let run = run.args(["--", "sh", "-c", script]);
                let crew = Crew::start(run);
                crew.running.wait_for_stderr("/0000000000.");
                stop(crew, signal);
            }
        }
    }
}

#[test]
fn a_verify() {
    let site = Site::with(&blocks(5));
    for signal in SIGNALS {
        let when = on("GET", "/block/").target("/0000000003.");
        site.proxy.always(when, Fault::StallRequest);
        let run = with_jobs(site.run("verify"), 4).own_group();
        let before = site.seen("GET", "/0000000003.").len();
        let crew = Crew::start(run);
        site.proxy.wait_for(|seen| {
            let third = seen.iter().filter(|s| s.target.contains("/0000000003."));
            third.filter(|s| s.method == "GET").count() > before
        });
        crew.running.signal_group(signal.0);
        let end = crew.end();
        end.fails(signal.1, &format!("stopped by SIG{}", signal.0));
    }
}

/// Whoever is in a hurry says it twice, and is not made to wait for workers.
#[test]
fn a_second_signal() {
    let site = Site::new();
    site.proxy.always(on("PUT", "/block/"), Fault::StallRequest);
    for (name, status) in SIGNALS {
        let run = with_jobs(site.upload(&blocks(6)), 4).own_group();
        let crew = Crew::start(run);
        let before = site.proxy.seen().len();
        site.proxy.wait_for(|seen| {
            let new = seen.get(before..).unwrap_or_default();
            new.iter().filter(|s| s.faulted).count() >= 3
        });
        // So that the first signal alone would take a second.
        for worker in crew.workers() {
            signal("STOP", worker);
        }
        crew.running.signal_group(name);
        crew.running.signal_group(name);
        let end = crew.end_late();
        assert_eq!(end.status, status, "{end}");
    }
    site.assert_nothing_committed();
}

/// A worker that hangs does not keep the others from leaving.
#[test]
fn a_worker_that_cannot_hear() {
    for taken in [1, BLOCK] {
        let data = random(1, 20 * BLOCK);
        let site = Site::with(&data);
        let (mut reader, writer) = pipe().expect("a pipe");
        let run = with_jobs(site.download(), 4).own_group();
        let crew = Crew::start(run.stdout_to(writer));
        let mut got = vec![0; taken];
        reader.read_exact(&mut got).expect("its output");
        signal("STOP", crew.wait_for_workers(4)[3]);
        let end = stop(crew, ("INT", 130));
        reader.read_to_end(&mut got).expect("its output");
        // What that one has written it could not tell.
        assert!(claimed(&end, " bytes were written") <= got.len());
        assert_same(&got, &data[..got.len()]);
    }
}
