//! kill -9 at any instant: a stream is the old one, whole, or the new one,
//! whole, or (where that is what was asked for) not there. What is left over
//! goes with clean, and nothing else does.
//!
//! `S3PIPE_SEED` is the seed of the first round and `S3PIPE_ROUNDS` how many
//! there are; a failure names its round's seed.

use std::fs;
use std::sync::Mutex;

use crate::faults::site::{BLOCK, STREAM, Site, blocks};
use crate::proxy::{Fault, Match, Rule};
use crate::storm::{self, setting};
use crate::support::{Run, random, s3pipe};
use crate::upkeep::age;

/// Rounds at the same time: they mostly wait.
const LANES: usize = 4;

/// What is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    New,
    Replace,
    Resume,
    Delete,
    Clean,
}

use Class::{Clean, Delete, New, Replace, Resume};

const CLASSES: [Class; 5] = [New, Replace, Resume, Delete, Clean];

/// What a stream was found to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Old,
    New,
    Absent,
}

/// That, or what was wrong.
type End = Result<Found, String>;

#[derive(Clone, Copy, Default)]
struct Tally {
    tried: u32,
    old: u32,
    new: u32,
    absent: u32,
    wrong: u32,
}

fn old() -> Vec<u8> {
    blocks(4)
}

/// It begins as the old one does, and goes on differently.
fn new() -> Vec<u8> {
    [&old()[..2 * BLOCK], &random(77, 3 * BLOCK + 99)].concat()
}

impl Class {
    /// The run that is to be killed, on a site that is ready for it.
    fn prepare(self) -> (Site, Run) {
        let site = Site::new();
        if matches!(self, Replace | Delete | Clean) {
            small_indexes(site.upload(&old())).run().ok();
        }
        let broken = |data: &[u8]| {
            let run = small_indexes(site.upload(data)).arg("-f");
            run.option("--size", "1G").run().fails(65, "not committed");
        };
        let run = match self {
            New => site.upload(&new()),
            Replace => site.upload(&new()).arg("-f"),
            Resume => {
                broken(&old());
                site.upload(&new()).arg("--resume")
            }
            Delete => site.run("delete"),
            Clean => {
                broken(&new());
                broken(&old());
                // And what a crash has left of a stream that was deleted.
                site.store("gone", &old());
                let manifest = site.server.object("s3pipe/manifest/gone");
                fs::remove_file(manifest).expect("a manifest");
                age(&site.server, "", 3600);
                let run = site.run("clean").without("-s");
                run.option("--older-than", "0")
            }
        };
        (site, small_indexes(run))
    }

    /// What may be found afterwards.
    fn allows(self, found: Found) -> bool {
        match self {
            New | Resume => found != Found::Old,
            Replace => found != Found::Absent,
            Delete => found != Found::New,
            Clean => found == Found::Old,
        }
    }

    /// How many requests a run makes that is left in peace.
    fn requests(self) -> usize {
        let (site, run) = self.prepare();
        let start = site.proxy.seen().len();
        run.run().ok();
        site.proxy.seen().len() - start
    }
}

fn small_indexes(run: Run) -> Run {
    run.env("S3PIPE_INDEX_BLOCKS", "2")
}

/// Kills a run of this class at one of its requests.
fn round(class: Class, requests: usize, seed: u64) -> End {
    let dice = random(seed, 16);
    let number = |at: usize| u64::from_le_bytes(dice[at..at + 8].try_into().expect("8 bytes"));
    let nth = 1 + (number(0) % requests as u64) as usize;
    // Just before the request is carried out, or some time after it came.
    let before = number(8) % 2 == 0;
    let (mut site, run) = class.prepare();
    let start = site.proxy.seen().len();
    if before {
        site.proxy.rule(Rule {
            when: Match::any().nth(nth),
            fault: Fault::StallRequest,
            times: 1,
        });
    }
    let running = run.spawn();
    site.proxy.wait_for(|seen| seen.len() >= start + nth);
    running.signal("KILL");
    let end = running.wait();
    if before && end.status != 137 {
        return Err(format!("not killed: {end}"));
    }
    // What is under way still is carried out now or never.
    site.proxy.hang_up();
    site.server.restart();
    let end = look(&site).and_then(|found| match class.allows(found) {
        true => remains(&site, found).map(|()| found),
        false => Err(format!("found {found:?}")),
    });
    let when = if before { "before" } else { "after" };
    end.map_err(|why| format!("{class:?}, killed {when} request {nth}, seed {seed}: {why}"))
}

fn direct(site: &Site, word: &str) -> Run {
    let run = s3pipe(&site.server).arg(word);
    match word {
        "clean" | "list" => run,
        _ => run.args(["-s", STREAM]),
    }
}

/// Reads the stream back.
fn look(site: &Site) -> Result<Found, String> {
    let out = direct(site, "download").run();
    match (out.status, &out.stdout) {
        (66, _) => Ok(Found::Absent),
        (0, data) if *data == old() => Ok(Found::Old),
        (0, data) if *data == new() => Ok(Found::New),
        _ => Err(out.to_string()),
    }
}

/// Cleans up, and holds what is left against what the manifest names.
fn remains(site: &Site, found: Found) -> Result<(), String> {
    if !site.server.objects().is_empty() {
        age(&site.server, "", 3600);
    }
    let out = direct(site, "clean").args(["--older-than", "0"]).run();
    if out.status != 0 || !out.stderr.is_empty() {
        return Err(format!("clean: {out}"));
    }
    let out = direct(site, "list").arg("--incomplete").run();
    if out.status != 0 || !out.stdout.is_empty() || look(site)? != found {
        return Err(format!("after clean: {out}"));
    }
    let left = site.server.objects();
    if found == Found::Absent {
        let none = left.is_empty();
        return none.then_some(()).ok_or(format!("left: {left:#?}"));
    }
    let raw = direct(site, "info").arg("--raw").run().ok();
    let id = raw.text().lines().find_map(|l| l.strip_prefix("upload "));
    let id = id.expect("an upload");
    let other = left
        .iter()
        .find(|key| !key.contains(id) && !key.ends_with("/manifest/export"));
    let record = left.iter().any(|key| key.contains("/upload/"));
    let verified = direct(site, "verify").run();
    let whole = verified.status == 0 && verified.stderr.is_empty();
    match other.is_none() && !record && whole {
        true => Ok(()),
        false => Err(format!("left: {left:#?}, verify: {verified}")),
    }
}

fn count(tally: &mut Tally, end: End, wrongs: &Mutex<Vec<String>>) {
    tally.tried += 1;
    match end {
        Ok(found) => match found {
            Found::Old => tally.old += 1,
            Found::New => tally.new += 1,
            Found::Absent => tally.absent += 1,
        },
        Err(why) => {
            tally.wrong += 1;
            wrongs.lock().unwrap().push(why);
        }
    }
}

#[test]
fn a_stream_is_whole_or_not_there() {
    let first: u64 = setting("S3PIPE_SEED", 2007);
    let rounds: u64 = setting("S3PIPE_ROUNDS", 60);
    let requests = CLASSES.map(Class::requests);
    let tallies = Mutex::new([Tally::default(); 5]);
    let wrongs = Mutex::new(Vec::new());
    storm::rounds(LANES, first, rounds, |seed| {
        for (n, class) in CLASSES.into_iter().enumerate() {
            let end = round(class, requests[n], seed);
            count(&mut tallies.lock().unwrap()[n], end, &wrongs);
        }
    });
    for (n, tally) in tallies.into_inner().unwrap().into_iter().enumerate() {
        let Tally {
            tried,
            old,
            new,
            absent,
            wrong,
        } = tally;
        println!(
            "kill from seed {first}: {:?} at {} requests: tried {tried}, old {old}, new {new}, \
             absent {absent}, wrong {wrong}",
            CLASSES[n], requests[n]
        );
    }
    let wrongs = wrongs.into_inner().unwrap();
    assert!(wrongs.is_empty(), "{}", wrongs.join("\n"));
}
