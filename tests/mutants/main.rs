//! Mutants: the program spoilt on purpose in many ways, one at a time, each of
//! which the tests must notice. So the tests are tested.
//!
//! Unless `S3PIPE_MUTANTS` is set (to `all`, or to a part of the names of those
//! that are wanted), nothing is run, and only seen whether they still fit the
//! source. `S3PIPE_MUTANTS_JOBS` is how many run at the
//! same time. The mutated program is a copy, made below the target folder; the
//! sources of the real one know nothing of it.

mod making;
#[rustfmt::skip] // A table.
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};
use std::{env, thread};

use table::{Check, MUTANTS, Mutant};

/// A check that takes longer has no end.
const ENDLESS: Duration = Duration::from_secs(300);

fn say(text: &str) {
    let _ = writeln!(io::stderr(), "mutants: {text}");
}

fn main() -> ExitCode {
    let Ok(wanted) = env::var("S3PIPE_MUTANTS") else {
        making::spoilt();
        let n = MUTANTS.len();
        say(&format!(
            "{n} fit the source; not run: S3PIPE_MUTANTS is not set"
        ));
        return ExitCode::SUCCESS;
    };
    let all = wanted == "all";
    let chosen = |mutant: &&Mutant| all || mutant.name.contains(&wanted);
    let chosen: Vec<&Mutant> = MUTANTS.iter().filter(chosen).collect();
    let names: BTreeSet<&str> = MUTANTS.iter().map(|mutant| mutant.name).collect();
    assert_eq!(names.len(), MUTANTS.len(), "two have the same name");
    assert!(!chosen.is_empty(), "no mutant has '{wanted}' in its name");
    let began = Instant::now();
    let site = Site::new();
    say(&format!("built within {} s", began.elapsed().as_secs()));
    let wrong = run_all(&site, &chosen);
    let caught = chosen.len() - wrong.iter().filter(|w| w.mutant).count();
    for wrong in &wrong {
        say(&wrong.report);
    }
    let seconds = began.elapsed().as_secs();
    say(&format!(
        "{} mutants, {caught} caught, in {seconds} s",
        chosen.len()
    ));
    if wrong.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// What all runs share.
struct Site {
    program: PathBuf,
    matrix: PathBuf,
    suite: PathBuf,
}

/// A run that did not end as it should.
struct Wrong {
    /// It was a mutant's.
    mutant: bool,
    report: String,
}

/// How a check ended.
struct Ended {
    failed: bool,
    output: String,
}

impl Site {
    fn new() -> Site {
        let program = making::mutated();
        let [matrix, suite] = making::tests();
        Site {
            program,
            matrix,
            suite,
        }
    }

    /// Runs a check with this mutant switched on, or none. An error is why it is
    /// no answer.
    fn run(&self, check: Check, mutant: Option<&Mutant>) -> Result<Ended, String> {
        let mut command = match check {
            Check::Matrix(only) => {
                let mut command = Command::new(&self.matrix);
                command.args(["--exact", "every_odd_answer", "--nocapture"]);
                command.env("S3PIPE_MATRIX", "check");
                command.env("S3PIPE_MATRIX_ONLY", only);
                command.env("S3PIPE_MATRIX_BINARY", &self.program);
                command
            }
            Check::Suite(test) => {
                let mut command = Command::new(&self.suite);
                command.args(["--exact", test]);
                command.env("S3PIPE_TEST_BINARY", &self.program);
                command
            }
        };
        command.env("RUST_BACKTRACE", "0");
        match mutant {
            Some(mutant) => command.env("S3PIPE_MUTANT", mutant.name),
            None => command.env_remove("S3PIPE_MUTANT"),
        };
        let output = output(command);
        match verdict(check, &output) {
            Some(failed) => Ok(Ended { failed, output }),
            None => Err(format!("it came to no verdict:\n{output}")),
        }
    }
}

/// What a command says. With all that it has started, it is killed when it takes
/// too long: a mutant may have no end.
fn output(mut command: Command) -> String {
    let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.process_group(0).spawn().expect("a test starts");
    let group = format!("-{}", child.id());
    let (done, ended) = mpsc::channel::<()>();
    let watch = thread::spawn(move || {
        if ended.recv_timeout(ENDLESS) == Err(mpsc::RecvTimeoutError::Timeout) {
            let kill = Command::new("kill")
                .args(["-s", "KILL", "--", &group])
                .status();
            assert!(kill.is_ok_and(|status| status.success()), "kill {group}");
        }
    });
    let output = child.wait_with_output().expect("its output");
    drop(done);
    watch.join().expect("a watch");
    let streams = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&streams).into_owned()
}

/// Whether a check failed, by what it says itself: one that ran nothing, or did
/// not come to its end, says neither.
fn verdict(check: Check, output: &str) -> Option<bool> {
    let count = match check {
        // Before anything odd: the requests are not what they must be.
        Check::Matrix(_) if output.contains("no path of tests/model") => return Some(true),
        // `matrix: 1 ran in 2 s, 0 wrong`
        Check::Matrix(_) => {
            let line = output.lines().find(|line| line.ends_with(" wrong"))?;
            line.split(' ').nth_back(1)
        }
        // `test result: ok. 1 passed; 0 failed; ...`
        Check::Suite(_) => {
            let line = output.lines().find(|l| l.starts_with("test result: "))?;
            let (counts, _) = line.split_once(" failed;")?;
            let ran = counts.contains(" 1 passed; 0") || counts.contains(" 0 passed; 1");
            counts.rsplit(' ').next().filter(|_| ran)
        }
    };
    Some(count?.parse::<u64>().ok()? > 0)
}

/// Runs the checks of these mutants, each with its mutant and once without.
fn run_all(site: &Site, chosen: &[&Mutant]) -> Vec<Wrong> {
    let sound: BTreeMap<Check, Option<&Mutant>> = chosen.iter().map(|m| (m.check, None)).collect();
    let mutated = chosen.iter().map(|mutant| (mutant.check, Some(*mutant)));
    let runs: Vec<(Check, Option<&Mutant>)> = mutated.chain(sound).collect();
    let jobs = env::var("S3PIPE_MUTANTS_JOBS").map_or(8, |n| n.parse().expect("a number"));
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some((check, mutant)) = runs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let began = Instant::now();
            let report = see(site, *check, *mutant);
            let name = mutant.map_or("no mutant", |mutant| mutant.name);
            let (what, seconds) = (describe(*check), began.elapsed().as_secs_f64());
            let end = match (&report, mutant) {
                (Some(_), Some(_)) => "NOT CAUGHT",
                (Some(_), None) => "FAILED",
                (None, Some(_)) => "caught",
                (None, None) => "passed",
            };
            say(&format!("{name}: {end} by {what} ({seconds:.1} s)"));
            let report = report.map(|why| format!("{name}, {what}: {why}"));
            let mutant = mutant.is_some();
            let report = report.map(|report| Wrong { mutant, report });
            wrong.lock().expect("reports").extend(report);
        }
    };
    thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(work);
        }
    });
    wrong.into_inner().expect("reports")
}

/// What is wrong with how a check ended.
fn see(site: &Site, check: Check, mutant: Option<&Mutant>) -> Option<String> {
    let Ended { failed, output } = match site.run(check, mutant) {
        Ok(ended) => ended,
        Err(why) => return Some(why),
    };
    match mutant {
        None if failed => Some(format!("it fails without a mutant:\n{output}")),
        None => None,
        Some(_) if !failed => Some(format!("nothing has noticed it:\n{output}")),
        Some(mutant) if !output.contains(mutant.says) => {
            let says = mutant.says;
            Some(format!("not noticed for its reason, '{says}':\n{output}"))
        }
        Some(_) => None,
    }
}

fn describe(check: Check) -> String {
    match check {
        Check::Matrix(only) => format!("matrix {only}"),
        Check::Suite(test) => format!("suite {test}"),
    }
}
