//! The matrix: every odd answer to every request of every command, and after
//! each run an oracle that knows the store and says what must be true.
//!
//! `S3PIPE_MATRIX` says how much of it is run: a sample (without it), `check`,
//! `soak`, or of that only the `pairs` at random. `S3PIPE_MATRIX_ONLY` takes the
//! combinations with this in their names, as they are printed where something is
//! wrong. `S3PIPE_MATRIX_SEED` is the seed of what is taken at random,
//! `S3PIPE_MATRIX_JOBS` how many run at the same time, `S3PIPE_MATRIX_BINARY` the
//! program, and `S3PIPE_MATRIX_LOG` a file that gets a line for each run.

#[path = "../support/proxy.rs"]
mod proxy;
#[path = "../support/mod.rs"]
mod support;

#[rustfmt::skip] // A table.
mod answers;
mod class;
mod combine;
mod expected;
mod format;
mod making;
mod oracle;
mod requests;
mod runs;
mod scenarios;
mod services;
#[path = "../model/trace.rs"]
mod trace;

use std::fs::File;
use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use std::{env, io, thread};

use combine::{Mode, combinations, traces};
use runs::{Combination, Ran, Site};

/// How many of those that are wrong are shown.
const SHOWN: usize = 40;

/// Past the test harness, which hides what passing tests print.
fn say(text: &str) {
    let _ = writeln!(io::stderr(), "matrix: {text}");
}

/// What a run that is wrong leaves: how to run it alone, and what is wrong.
fn report(combination: &Combination, ran: &Ran, why: &str) -> String {
    let Ran { outcome, took, .. } = ran;
    let (status, said) = (outcome.status, outcome.stderr.trim_end());
    let seconds = took.as_secs_f64();
    format!("{combination}\n    wrong: {why}\n    status {status} in {seconds:.1} s: {said}")
}

/// Runs them all, many at the same time, and gives a report of each that is
/// wrong.
fn run_all(site: &Site, all: &[Combination]) -> Vec<String> {
    let jobs = env::var("S3PIPE_MATRIX_JOBS").map_or(72, |n| n.parse().expect("a number"));
    let log = env::var_os("S3PIPE_MATRIX_LOG");
    let log = Mutex::new(log.map(|path| File::create(path).expect("a log")));
    let (next, began) = (AtomicUsize::new(0), Instant::now());
    let wrong = Mutex::new(Vec::new());
    let work = || {
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            let Some(combination) = all.get(n) else {
                return;
            };
            let ran = site.run(combination);
            if let Some(log) = &mut *log.lock().expect("a log") {
                writeln!(log, "{}", line(combination, &ran)).expect("a log");
            }
            if let Err(why) = &ran.found {
                let report = report(combination, &ran, why);
                wrong.lock().expect("reports").push(report);
            }
            if n > 0 && n.is_multiple_of(2000) {
                say(&format!("{n} began within {} s", began.elapsed().as_secs()));
            }
        }
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs).map(|_| scope.spawn(work)).collect();
        workers
            .into_iter()
            .for_each(|w| w.join().expect("a worker"));
    });
    let ran = next.load(Ordering::Relaxed) - jobs;
    let seconds = began.elapsed().as_secs();
    let mut wrong = wrong.into_inner().expect("reports");
    wrong.sort();
    say(&format!("{ran} ran in {seconds} s, {} wrong", wrong.len()));
    assert_eq!(ran, all.len(), "not all of them ran");
    wrong
}

/// A run in one line, for whoever wants to count.
fn line(combination: &Combination, ran: &Ran) -> String {
    let found = ran.found.clone().err().unwrap_or("ok".into());
    let said = ran.outcome.stderr.trim_end().replace('\n', " | ");
    let (status, seconds) = (ran.outcome.status, ran.took.as_secs_f64());
    format!("{combination}\t{status}\t{seconds:.2}\t{found}\t{said}")
}

#[test]
fn every_odd_answer() {
    let binary = env::var_os("S3PIPE_MATRIX_BINARY");
    let site = Site::new(binary.unwrap_or(env!("CARGO_BIN_EXE_s3pipe").into()).into());
    let mode = Mode::wanted();
    let traces = traces(&site, |_| true);
    let whole = combinations(&traces, Mode::Soak).len();
    let mut all = combinations(&traces, mode);
    if let Ok(only) = env::var("S3PIPE_MATRIX_ONLY") {
        all.retain(|combination| combination.to_string().contains(&only));
        assert!(!all.is_empty(), "no combination has '{only}' in its name");
    }
    // Those that wait long go first, so that the last ones do not wait alone.
    all.sort_by_key(|combination| !combination.waits());
    let requests: usize = traces.values().map(Vec::len).sum();
    say(&format!(
        "{requests} requests of {} commands, {} classes of answers: {whole} combinations, \
         of which {} are run",
        traces.len(),
        answers::classes().len(),
        all.len()
    ));
    let wrong = run_all(&site, &all);
    for report in wrong.iter().take(SHOWN) {
        say(report);
    }
    assert!(wrong.is_empty(), "{} are wrong: see above", wrong.len());
}

/// None of the waits in it is longer than what a run may take.
const _: () = assert!(Duration::from_secs(20).as_secs() < 60);
