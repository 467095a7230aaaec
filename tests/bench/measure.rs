//! Runs a child and says what it cost, as the kernel counted it; and the
//! arithmetic on several such runs.
//!
//! The figures are wait4(2)'s: exact, and those of the child together with
//! the children that it has itself waited for (s3pipe's workers). The peak
//! memory is that of the largest single process; the sum over all of them is
//! sampled, where that is asked for (see `resident`). A child starts out with
//! its parent's peak (execve(2) carries it over, after fork and vfork alike),
//! so the process that measures must stay small itself; [`least`] shows how
//! small.
//!
//! A child that fails is an error here: its figures would mean nothing. One
//! that takes longer than anything in a bench may is ended, and has failed.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::resident;

/// Nothing takes longer but what hangs, or tries in vain for ever.
const LIMIT: Duration = Duration::from_secs(900);

/// What one run of a child cost.
#[derive(Clone, Copy)]
pub struct Cost {
    /// CPU seconds in user mode.
    pub user: f64,
    /// CPU seconds in the kernel on the child's behalf.
    pub system: f64,
    /// The peak resident set of the largest process, in MiB.
    pub peak: f64,
    /// The peak of the sum over the child and its descendants, in MiB, if it
    /// was to be sampled and this system shows it.
    pub sum: Option<f64>,
    /// From before the start until after the end.
    pub wall: Duration,
    /// Reads that had to wait for a disk: none, if the page cache had it all.
    pub disk_reads: i64,
}

impl Cost {
    /// All of the CPU time, in seconds.
    pub fn cpu(&self) -> f64 {
        self.user + self.system
    }
}

/// Runs `command`, called `name` in messages, to its end.
pub fn run(name: &str, command: Command) -> Outcome<Cost> {
    start(name, command, None)
}

/// The same, with the sum over all processes sampled.
pub fn run_sampled(name: &str, command: Command) -> Outcome<Cost> {
    start(name, command, Some(resident::INTERVAL))
}

fn start(name: &str, mut command: Command, sampling: Option<Duration>) -> Outcome<Cost> {
    let start = Instant::now();
    let child = command
        .spawn()
        .map_err(|e| format!("{name}: cannot be started: {e}"))?;
    // The command holds our copies of the child's pipes; while they are open,
    // a child that ends early would leave its producer waiting for ever.
    drop(command);
    let pid = libc::pid_t::try_from(child.id())?;
    let (done, ended) = mpsc::channel::<()>();
    let watch = std::thread::spawn(move || watch(pid, sampling, &ended));
    let waited = wait(pid);
    let wall = start.elapsed();
    drop(done);
    let sum = watch.join().map_err(|_| "the watching thread died")?;
    let (status, usage) = waited?;
    if !status.success() {
        return Err(format!("{name}: {status}").into());
    }
    let seconds = |t: libc::timeval| t.tv_sec as f64 + t.tv_usec as f64 / 1e6;
    Ok(Cost {
        user: seconds(usage.ru_utime),
        system: seconds(usage.ru_stime),
        peak: usage.ru_maxrss as f64 / 1024.0,
        sum,
        wall,
        disk_reads: usage.ru_inblock,
    })
}

/// Until `ended` hangs up: samples the memory of the process `pid` and its
/// descendants, and ends it when its time is up. The largest sum, in MiB.
fn watch(pid: libc::pid_t, sampling: Option<Duration>, ended: &mpsc::Receiver<()>) -> Option<f64> {
    let start = Instant::now();
    let mut largest: Option<f64> = None;
    while ended.recv_timeout(sampling.unwrap_or(LIMIT)) == Err(RecvTimeoutError::Timeout) {
        if start.elapsed() >= LIMIT {
            // SAFETY: it takes integers only. As long as `ended` has not hung up
            // the child is waited for: the number is still its own.
            unsafe { libc::kill(pid, libc::SIGKILL) };
            break;
        }
        if let Some(sum) = resident::sum(pid) {
            largest = Some(largest.map_or(sum, |most| most.max(sum)));
        }
    }
    largest
}

/// Waits for one child with wait4(2), which, other than the standard library,
/// tells what it used.
fn wait(pid: libc::pid_t) -> io::Result<(ExitStatus, libc::rusage)> {
    let mut status = 0;
    // SAFETY: rusage is a structure of integers, for which zeroes are valid.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    loop {
        // SAFETY: both pointers are to live variables of the right type.
        if unsafe { libc::wait4(pid, &mut status, 0, &mut usage) } == pid {
            return Ok((ExitStatus::from_raw(status), usage));
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// The peak memory of a child, in MiB: of one that does nothing, the least that
/// this process can measure.
pub fn peak(command: Command) -> Outcome<f64> {
    Ok(run("a child", command)?.peak)
}

/// The middle value (the mean of the middle two); `values` is not empty.
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted[middle]
    } else {
        (sorted[middle - 1] + sorted[middle]) / 2.0
    }
}
