//! Many objects: a listing of streams, a delete, the reading of an index, and
//! small blocks; requests and seconds.
//!
//! The sink makes the streams up. What a command must bring about is looked at
//! after each run: names listed, blocks gone, bytes sent.

use std::fs::{self, File};

use crate::Outcome;
use crate::bench::{Bench, Program, Scheme};
use crate::call::{self, Call};
use crate::measure::{self, Cost};
use crate::peers::Task;
use crate::report::{Grid, middle};
use crate::tally::Counts;
use crate::transfer::quietly;

const STREAMS: u64 = 10_000;
const BLOCKS: u64 = 100_000;
/// Blocks of one index, of this size.
const LISTED: u64 = 10_000;
const SMALL: u64 = 64 << 10;
/// What a listing, or a bulk delete, takes at most.
const PAGE: u64 = 1000;

/// Several runs of one command.
struct Runs {
    name: String,
    runs: Vec<(Cost, Counts)>,
}

/// Measures and prints it.
pub fn print(bench: &mut Bench) -> Outcome {
    let headings = ["", "", "requests", "at least", "s", "CPU s"];
    let mut grid = Grid::new(2, &headings);
    let mut failed = Vec::new();
    bench.sink.make_streams(STREAMS, "many", 1, SMALL)?;
    // Those that other tables have left are listed too.
    let streams = bench.sink.count("s3pipe/manifest/")?;
    let what = format!("list of {streams} streams");
    // Each page of the listing, once.
    let listed = lists(bench, streams, &mut failed)?;
    rows(&mut grid, &what, streams.div_ceil(PAGE), listed);
    let what = format!("delete of {BLOCKS} blocks");
    // The manifest read and removed, each page of blocks listed and removed,
    // and the indexes.
    let least = 2 + 2 * BLOCKS / PAGE + 2;
    rows(&mut grid, &what, least, vec![delete(bench)?]);
    bench.sink.make_streams(1, "indexed", LISTED, SMALL)?;
    let what = format!("one byte out of {LISTED} blocks");
    let byte = download(bench, None, &["--length", "1"], SMALL)?;
    // Manifest, index, block.
    rows(&mut grid, &what, 3, vec![byte]);
    let what = format!("download of {LISTED} blocks of 64K");
    let mut all = vec![small_floor(bench)?];
    for jobs in bench.jobs(&[1, 4]) {
        all.push(download(bench, Some(jobs), &[], LISTED * SMALL)?);
    }
    rows(&mut grid, &what, LISTED, all);
    println!("Many objects");
    grid.print();
    for why in failed {
        println!("Failed, list: {why}\n");
    }
    Ok(())
}

fn rows(grid: &mut Grid, what: &str, least: u64, all: Vec<Runs>) {
    for (at, Runs { name, runs }) in all.into_iter().enumerate() {
        let each = |figure: &dyn Fn(&(Cost, Counts)) -> f64| runs.iter().map(figure).collect();
        let requests: Vec<f64> = each(&|(_, seen)| seen.requests as f64);
        let wall: Vec<f64> = each(&|(cost, _)| cost.wall.as_secs_f64());
        let cpu: Vec<f64> = each(&|(cost, _)| cost.cpu());
        let what = if at == 0 { what } else { "" };
        grid.row([
            what.to_string(),
            name,
            middle(&requests, 0),
            least.to_string(),
            middle(&wall, 2),
            middle(&cpu, 2),
        ]);
    }
}

/// The command, as often as settings say, between `before` and `after`.
fn repeat(
    bench: &mut Bench,
    name: String,
    call: &Call,
    mut before: impl FnMut(&mut Bench) -> Outcome,
    mut after: impl FnMut(&mut Bench, Counts) -> Outcome,
) -> Outcome<Runs> {
    let mut runs = Vec::new();
    for run in 1..=bench.settings.runs {
        before(bench)?;
        bench.sink.counts()?;
        let mut command = call.command(bench.home());
        command.stdout(File::create(bench.home().join("stdout"))?);
        let cost = quietly(bench, &name, command, measure::run)?;
        let seen = bench.sink.counts()?;
        after(bench, seen).map_err(|e| format!("{name}: {e}"))?;
        let seconds = cost.wall.as_secs_f64();
        eprintln!(
            "many, {run}: {name}: {} requests, {seconds:.2} s",
            seen.requests
        );
        runs.push((cost, seen));
    }
    Ok(Runs { name, runs })
}

/// Listings of the streams' heads, by s3pipe and by the peers.
fn lists(bench: &mut Bench, streams: u64, failed: &mut Vec<String>) -> Outcome<Vec<Runs>> {
    let endpoint = bench.endpoint(Scheme::Plain)?;
    let lines = |bench: &mut Bench, _| {
        let text = fs::read_to_string(bench.home().join("stdout"))?;
        match text.lines().count() as u64 == streams {
            true => Ok(()),
            false => Err(format!("{} names of {streams}", text.lines().count()).into()),
        }
    };
    let call = call::s3pipe(&bench.binary, &endpoint, None).arg("list");
    let mut all = vec![repeat(bench, "s3pipe".into(), &call, |_| Ok(()), lines)?];
    for (tool, program) in bench.peers.clone() {
        let Some(call) = tool.call(&program, Task::List, &endpoint) else {
            continue;
        };
        match repeat(bench, tool.name().into(), &call, |_| Ok(()), lines) {
            Ok(runs) => all.push(runs),
            Err(e) => failed.push(e.to_string()),
        }
    }
    Ok(all)
}

fn delete(bench: &mut Bench) -> Outcome<Runs> {
    let endpoint = bench.endpoint(Scheme::Plain)?;
    let call = call::s3pipe(&bench.binary, &endpoint, None).args(["-s", "large-0", "delete"]);
    repeat(
        bench,
        "s3pipe".into(),
        &call,
        |bench| bench.sink.make_streams(1, "large", BLOCKS, SMALL),
        |bench, _| match bench.sink.count("s3pipe/block/large-0/")? {
            0 => Ok(()),
            left => Err(format!("{left} blocks are left").into()),
        },
    )
}

/// Of the stream of small blocks, of which the sink must have sent so many
/// bytes; by workers, where it is told how many.
fn download(bench: &mut Bench, jobs: Option<u32>, options: &[&str], bytes: u64) -> Outcome<Runs> {
    let endpoint = bench.endpoint(Scheme::Plain)?;
    let name = jobs.map_or("s3pipe".into(), |jobs| Program::S3pipe(jobs).name());
    let jobs = jobs.and_then(|jobs| bench.option(jobs));
    let call = call::s3pipe(&bench.binary, &endpoint, jobs)
        .args(["-s", "indexed-0", "download"])
        .args(options);
    repeat(
        bench,
        name,
        &call,
        |_| Ok(()),
        |_, seen| exactly(seen, bytes),
    )
}

/// The floor at as many small blocks.
fn small_floor(bench: &mut Bench) -> Outcome<Runs> {
    let prefix = "floor/block/small-";
    bench.sink.make_objects(LISTED, prefix, SMALL)?;
    let endpoint = bench.endpoint(Scheme::Plain)?;
    let call = call::floor("floor-down", &endpoint, &[prefix, &LISTED.to_string()])?;
    let name = Program::Floor.name();
    let bytes = LISTED * SMALL;
    repeat(
        bench,
        name,
        &call,
        |_| Ok(()),
        |_, seen| exactly(seen, bytes),
    )
}

fn exactly(seen: Counts, bytes: u64) -> Outcome {
    match seen.sent == bytes {
        true => Ok(()),
        false => Err(format!("the sink sent {} bytes instead of {bytes}", seen.sent).into()),
    }
}
