//! Workers: whatever their number, a stream is what it would be with none; and
//! whatever happens to one of them, or to their coordinator, the run ends with
//! one line that says so, without a commit, and nobody is left.

mod coordinator;
mod counts;
pub mod crew;
mod deaths;
mod ends;
mod groups;
mod keys;
mod lines;
mod names;
mod pauses;
mod rate;
mod streams;

use crate::support::{Outcome, Run, s3pipe_alone};

/// So many workers.
fn with_jobs(run: Run, jobs: usize) -> Run {
    run.option("-j", &jobs.to_string())
}

/// The number before this in what it said: `N bytes were written`.
#[track_caller]
fn claimed(outcome: &Outcome, text: &str) -> usize {
    let (before, _) = outcome.stderr.split_once(text).expect(text);
    let number = before.rsplit(' ').next().expect("a number");
    number.parse().expect("a number")
}

/// What only s3pipe itself can want.
#[test]
fn a_worker_is_not_started_by_hand() {
    let scratch = crate::support::Scratch::new();
    for word in ["upload", "download", "verify", "list"] {
        let run = || s3pipe_alone(scratch.path()).args(["--worker", word]);
        let why = "--worker: is what s3pipe starts its workers with";
        assert_eq!(run().run().fails(64, why).stdout, b"");
        let file = || std::fs::File::open("/dev/null").expect("a null device");
        let run = run().stdin_from(file()).stdout_to(file());
        run.run().fails(64, why);
    }
    for args in [
        &["--worker"][..],
        &["--worker", "x"],
        &["-v", "--worker", "upload"],
    ] {
        let run = s3pipe_alone(scratch.path()).args(args);
        run.run().fails(64, "worker: no such option");
    }
}
