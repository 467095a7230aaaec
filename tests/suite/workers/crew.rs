//! All processes of one run, as ps(1) shows them.
//!
//! Each run gets a mark in its environment, which its workers and commands
//! inherit: whoever has it belongs to the run, and must be gone when that has
//! ended. A zombie has ended, and has no environment any more.

use std::process::{self, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{Outcome, Run, Running};

const MARK: &str = "S3PIPE_TEST_MARK";

/// How long processes are waited for. Only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks.
const NAP: Duration = Duration::from_millis(5);

/// A run, and its processes.
pub struct Crew {
    /// The coordinator.
    pub running: Running,
    mark: String,
}

/// A process of a run.
#[derive(Clone, Debug)]
pub struct Process {
    pub pid: u32,
    /// Its arguments and its environment.
    pub text: String,
}

impl Process {
    pub fn is_worker(&self) -> bool {
        self.text.contains(" --worker ")
    }

    /// Its arguments: what comes before the first variable.
    fn args(&self) -> String {
        let words = self.text.split(' ');
        let args: Vec<&str> = words.take_while(|word| !word.contains('=')).collect();
        args.join(" ")
    }
}

impl Crew {
    /// Starts a run.
    pub fn start(run: Run) -> Crew {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let mark = format!("{}-{count}-", process::id());
        let running = run.env(MARK, &mark).spawn();
        Crew { running, mark }
    }

    /// Its processes by now.
    pub fn processes(&self) -> Vec<Process> {
        let mut ps = Command::new("ps");
        ps.args(["axeww", "-o", "pid=", "-o", "stat=", "-o", "command="]);
        let out = ps.output().expect("ps runs");
        assert!(out.status.success(), "ps: {out:?}");
        let mark = format!("{MARK}={}", self.mark);
        let text = String::from_utf8_lossy(&out.stdout);
        let mut found: Vec<Process> = text
            .lines()
            .filter(|line| line.contains(&mark))
            .filter_map(|line| {
                let (pid, rest) = line.trim_start().split_once(' ')?;
                let (state, text) = rest.trim_start().split_once(' ')?;
                let text = text.trim_start().to_string();
                let pid = pid.parse().ok()?;
                (!state.starts_with('Z')).then_some(Process { pid, text })
            })
            .collect();
        found.sort_by_key(|process| process.pid);
        found
    }

    /// The ids of its workers by now.
    pub fn workers(&self) -> Vec<u32> {
        let all = self.processes().into_iter();
        all.filter(Process::is_worker).map(|p| p.pid).collect()
    }

    /// Waits until it has so many workers, or more.
    #[track_caller]
    pub fn wait_for_workers(&self, count: usize) -> Vec<u32> {
        let end = Instant::now() + PATIENCE;
        loop {
            let workers = self.workers();
            if workers.len() >= count {
                return workers;
            }
            assert!(Instant::now() < end, "{} workers", workers.len());
            thread::sleep(NAP);
        }
    }

    /// Waits for the end of a run that ends by itself: its processes end no
    /// later than it does.
    #[track_caller]
    pub fn end(self) -> Outcome {
        self.settle(false)
    }

    /// The same of a coordinator that does not wait for its workers.
    #[track_caller]
    pub fn end_late(self) -> Outcome {
        self.settle(true)
    }

    /// Kills the coordinator, and waits until nobody is left.
    #[track_caller]
    pub fn kill(self) -> Outcome {
        let end = self.kill_late();
        assert_eq!(end.status, 137, "{end}");
        end
    }

    /// The same, when it may have come to its end already.
    #[track_caller]
    pub fn kill_late(self) -> Outcome {
        self.running.signal("KILL");
        self.settle(true)
    }

    #[track_caller]
    fn settle(mut self, killed: bool) -> Outcome {
        let deadline = Instant::now() + PATIENCE;
        while !self.running.has_ended() && Instant::now() < deadline {
            thread::sleep(NAP);
        }
        let mut left = self.processes();
        // What a command has started is its own, and may need a moment to end.
        let no_worker = |left: &[Process]| !left.iter().any(Process::is_worker);
        while !left.is_empty() && (killed || no_worker(&left)) && Instant::now() < deadline {
            thread::sleep(NAP);
            left = self.processes();
        }
        if left.is_empty() {
            return self.running.wait();
        }
        for process in &left {
            signal("KILL", process.pid);
        }
        let left: Vec<_> = left.iter().map(|p| (p.pid, p.args())).collect();
        panic!("{} is over, or hangs, with {left:?}", self.running.pid());
    }
}

/// Sends a signal to a process, which may have ended already.
pub fn signal(name: &str, pid: u32) {
    let pid = pid.to_string();
    let sent = Command::new("kill").args(["-s", name, &pid]).output();
    sent.expect("kill runs");
}
