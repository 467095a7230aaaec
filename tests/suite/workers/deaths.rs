//! A worker that is killed or hangs ends the run: with 70, one line that names
//! it, no commit, and nobody left. One that cannot be started does not.
//!
//! `S3PIPE_SEED` is the seed of the first round and `S3PIPE_ROUNDS` how many
//! there are; a failure names its round's seed.

use std::collections::HashSet;
use std::sync::Mutex;
use std::thread;

use super::crew::{Crew, signal};
use super::{claimed, with_jobs};
use crate::faults::site::{BLOCK, STREAM, Site, blocks, on};
use crate::proxy::{Fault, Rule, Seen};
use crate::storm::{self, setting};
use crate::support::{Outcome, Run, s3pipe};

/// Rounds at the same time: they mostly wait.
const LANES: usize = 3;

/// Whole blocks of the stream; there is a short one behind them.
const BLOCKS: usize = 8;

/// Whose worker is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Upload,
    Download,
    Verify,
}

use Class::{Download, Upload, Verify};

const CLASSES: [Class; 3] = [Upload, Download, Verify];

impl Class {
    fn prepare(self, data: &[u8], jobs: usize) -> (Site, Run) {
        let site = Site::new();
        if self != Upload {
            site.store(STREAM, data);
        }
        let run = match self {
            Upload => site.upload(data).env("S3PIPE_INDEX_BLOCKS", "2"),
            Download => site.download(),
            Verify => site.run("verify"),
        };
        (site, with_jobs(run, jobs))
    }

    fn method(self) -> &'static str {
        if self == Upload { "PUT" } else { "GET" }
    }
}

/// It failed because a worker was killed, and says so in one line.
fn says_so(end: &Outcome, jobs: usize) -> bool {
    let named = (1..=jobs).any(|n| {
        let line = format!("s3pipe: worker {n}: was killed by signal 9");
        end.stderr.starts_with(&line)
    });
    end.status == 70 && named && end.stderr.lines().count() == 1
}

/// Kills one of the workers when a block is asked for or sent. True if that
/// ended the run; false if it came too late to matter.
fn round(class: Class, seed: u64) -> Result<bool, String> {
    let dice = crate::support::random(seed, 4);
    let jobs = [2, 3, 4, 16][usize::from(dice[0] % 4)];
    let nth = 1 + usize::from(dice[1]) % (BLOCKS + 1);
    // Just before a request is carried out, or some time after it came.
    let before = dice[2].is_multiple_of(2);
    let data = blocks(BLOCKS);
    let (site, run) = class.prepare(&data, jobs);
    let when = on(class.method(), "/block/").nth(nth);
    if before {
        let (fault, times) = (Fault::StallRequest, 1);
        site.proxy.rule(Rule { when, fault, times });
    }
    let crew = Crew::start(run);
    let wanted = |s: &&Seen| s.method == class.method() && s.target.contains("/block/");
    site.proxy
        .wait_for(|seen| seen.iter().filter(wanted).count() >= nth);
    let workers = crew.workers();
    if let Some(one) = workers.get(usize::from(dice[3]) % workers.len().max(1)) {
        signal("KILL", *one);
    }
    let end = crew.end();
    let judged = match end.status {
        0 if !before => whole(class, &site, &data, &end).map(|()| false),
        _ if !says_so(&end, jobs) => Err("not said well".into()),
        _ => broken(class, &site, &data, &end).map(|()| true),
    };
    let when = if before { "before" } else { "after" };
    judged.map_err(|why| {
        format!("{class:?} -j {jobs}, {when} block {nth}, seed {seed}: {why}: {end}")
    })
}

/// A run that succeeded after all.
fn whole(class: Class, site: &Site, data: &[u8], end: &Outcome) -> Result<(), String> {
    if class == Download && end.stdout != data {
        return Err("0, but not the stream".into());
    }
    site.assert_holds(STREAM, data);
    Ok(())
}

/// A run that did not: what there is is true, and can be gone on with.
fn broken(class: Class, site: &Site, data: &[u8], end: &Outcome) -> Result<(), String> {
    site.proxy.clear();
    match class {
        Verify => return Ok(()),
        Upload => {
            if site.count("/manifest/") > 0 {
                return Err("committed".into());
            }
            let run = s3pipe(&site.server).args(["upload", "--resume", "-s", STREAM]);
            run.stdin(data).run().ok();
            site.assert_holds(STREAM, data);
        }
        Download => {
            // Of what it was writing when it was killed nobody can tell.
            let (got, said) = (&end.stdout, claimed(end, " bytes were written"));
            if !data.starts_with(got) || !(said..said + BLOCK).contains(&got.len()) {
                return Err(format!("{} bytes were written", got.len()));
            }
        }
    }
    Ok(())
}

#[test]
fn a_killed_worker_ends_the_run() {
    let first: u64 = setting("S3PIPE_SEED", 2007);
    let rounds: u64 = setting("S3PIPE_ROUNDS", 12);
    let tallies = Mutex::new([(0, 0); 3]);
    let wrongs = Mutex::new(Vec::new());
    storm::rounds(LANES, first, rounds, |seed| {
        for (n, class) in CLASSES.into_iter().enumerate() {
            match round(class, seed) {
                Ok(true) => tallies.lock().unwrap()[n].0 += 1,
                Ok(false) => tallies.lock().unwrap()[n].1 += 1,
                Err(why) => wrongs.lock().unwrap().push(why),
            }
        }
    });
    let tallies = tallies.into_inner().unwrap();
    for (class, (ended, late)) in CLASSES.iter().zip(tallies) {
        println!("worker of {class:?} killed, from seed {first}: {ended} ended, {late} too late");
    }
    let wrongs = wrongs.into_inner().unwrap();
    assert!(wrongs.is_empty(), "{}", wrongs.join("\n"));
    assert!(rounds < 4 || tallies.iter().all(|(ended, _)| *ended > 0));
}

/// One that has nothing to do at the moment counts as well.
#[test]
fn every_worker_matters() {
    for jobs in [2, 4] {
        for at in 0..jobs {
            let site = Site::new();
            site.proxy
                .once(on("PUT", "/0000000000."), Fault::StallRequest);
            let mut crew = Crew::start(with_jobs(site.run("upload"), jobs).stdin_open());
            crew.running.feed(&blocks(jobs - 1)[..(jobs - 1) * BLOCK]);
            // The first is stuck, the last one reads, the others are done.
            site.proxy.wait_for(|seen| seen.iter().any(|s| s.faulted));
            site.wait_for("PUT", "/block/", jobs - 2);
            let workers = crew.wait_for_workers(2);
            signal("KILL", workers[at % workers.len()]);
            let end = crew.end();
            assert!(says_so(&end, jobs), "{end}");
            site.assert_nothing_committed();
        }
    }
}

/// As where memory is short.
#[test]
fn all_of_them_at_once() {
    let data = blocks(BLOCKS);
    for class in CLASSES {
        let (site, run) = class.prepare(&data, 4);
        let when = on(class.method(), "/block/");
        site.proxy.always(when, Fault::StallRequest);
        let crew = Crew::start(run);
        let stuck = |s: &&Seen| s.faulted;
        site.proxy
            .wait_for(|seen| seen.iter().filter(stuck).count() == 4);
        for worker in crew.workers() {
            signal("KILL", worker);
        }
        let end = crew.end();
        assert!(says_so(&end, 4), "{end}");
        assert_eq!(
            (end.stdout.len(), site.count("/manifest/")),
            (0, usize::from(class != Upload))
        );
    }
}

/// Stopped, a worker is as good as one that hangs in some call for ever. The
/// time after which that is noticed is ten seconds at the least.
#[test]
fn a_worker_that_hangs_ends_the_run() {
    let data = blocks(BLOCKS);
    thread::scope(|scope| {
        for class in CLASSES {
            let data = &data;
            scope.spawn(move || {
                let (site, run) = class.prepare(data, 2);
                for number in ["/0000000002.", "/0000000003."] {
                    let when = on(class.method(), "/block/").target(number);
                    site.proxy.always(when, Fault::StallRequest);
                }
                let run = run.option("--timeout", "1s").option("--patience", "0");
                // The other one could say that it is still trying.
                let crew = Crew::start(run.arg("-q"));
                // Each with a block of its own: one that only keeps what it has
                // is not missed.
                let stuck = |seen: &[Seen]| {
                    let stuck = seen.iter().filter(|s| s.faulted);
                    stuck.map(|s| &s.target).collect::<HashSet<_>>().len()
                };
                site.proxy.wait_for(|seen| stuck(seen) >= 2);
                let workers = crew.wait_for_workers(2);
                signal("STOP", workers[0]);
                let end = crew.end();
                let end = end.fails(70, "worker 1: no sign of life for 10 s");
                if class == Download {
                    assert_eq!(claimed(&end, " bytes were written"), end.stdout.len());
                }
            });
        }
        // One that has nothing more to do but to leave.
        scope.spawn(|| {
            let site = Site::new();
            let run = with_jobs(site.run("upload"), 2).option("--timeout", "1s");
            let mut crew = Crew::start(run.stdin_open());
            crew.running.feed(&data[..BLOCK]);
            site.wait_for("PUT", "/block/", 1);
            signal("STOP", crew.wait_for_workers(2)[0]);
            crew.running.feed_end();
            crew.end().fails(70, "worker 1: no sign of life for 10 s");
            site.assert_nothing_committed();
        });
        // A whole run that is stopped for longer is none that hangs.
        scope.spawn(|| {
            let site = Site::new();
            let run = with_jobs(site.run("upload"), 2).option("--timeout", "1s");
            let mut crew = Crew::start(run.own_group().stdin_open());
            crew.running.feed(&data[..BLOCK]);
            site.wait_for("PUT", "/block/", 1);
            crew.wait_for_workers(2);
            crew.running.signal_group("STOP");
            thread::sleep(std::time::Duration::from_secs(11));
            crew.running.signal_group("CONT");
            crew.running.feed(&data[BLOCK..]);
            crew.running.feed_end();
            crew.end().ok();
            site.assert_holds(STREAM, &data);
        });
    });
}

/// Too few descriptors, for the coordinator or for a worker: whichever is the
/// one too much, the run succeeds, with fewer workers or none where some could
/// not be started, or says what it could not do.
#[test]
fn a_worker_that_cannot_be_started() {
    let data = blocks(3);
    let site = Site::with(&data);
    let mut without = [0; 4];
    for class in [Upload, Download] {
        for limit in 4..24 {
            let name = format!("n{limit}");
            let word = if class == Upload {
                "upload"
            } else {
                "download"
            };
            let run = site.run(word).after(&format!("ulimit -n {limit}"));
            let run = with_jobs(run, 4).option("--retry", "0");
            let run = match class {
                Upload => run.option("-s", &name).stdin(data.clone()),
                _ => run,
            };
            let end = Crew::start(run).end();
            if end.status == 0 {
                assert!(class == Upload || end.stdout == data, "{limit}");
                if class == Upload {
                    site.assert_holds(&name, &data);
                }
                let workers = (0..4).find(|n| {
                    let text = format!("Too many open files: going on with {n} of 4 workers");
                    end.stderr.contains(&text)
                });
                match workers {
                    Some(n) => without[n] += 1,
                    None => drop(end.ok()),
                }
                continue;
            }
            if class == Upload {
                assert_eq!(site.count(&format!("/manifest/{name}")), 0, "{limit}");
            }
            assert!(data.starts_with(&end.stdout), "{limit}");
            let lines = end.stderr.lines().count();
            let known = end.stderr.contains("Too many open files")
                || end.stderr.contains("error while loading shared libraries");
            assert!(lines == 1 && known, "{class:?}, {limit}: {end}");
            assert!(!end.stderr.contains(": not started: "), "{end}");
        }
    }
    println!("runs with 0 to 3 workers of 4: {without:?}");
    assert!(without[0] > 0 && without[1..].iter().sum::<u32>() > 0);
    assert!(!site.seen("PUT", "/block/").is_empty());
}
