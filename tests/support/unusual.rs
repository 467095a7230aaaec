//! Runs of s3pipe that are started in unusual ways: with little to live on, in
//! a process group of their own, with a stderr that the test reads.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use super::{Run, Running};

impl Run {
    /// Has a shell do this first (`ulimit`, `trap`), and then become s3pipe. To
    /// be called before anything that this file or `stdout_to` sets.
    pub fn after(mut self, script: &str) -> Run {
        let mut shell = Command::new("sh");
        let script = format!("{script}; exec \"$0\" \"$@\"");
        shell.args(["-c", &script, env!("CARGO_BIN_EXE_s3pipe")]);
        shell.env_clear();
        let set = self.command.get_envs();
        shell.envs(set.filter_map(|(name, value)| Some((name, value?))));
        shell.stdout(Stdio::piped()).stderr(Stdio::piped());
        self.command = shell;
        self
    }

    /// Starts it as a shell with job control would: in a process group that
    /// [`Running::signal_group`] reaches.
    pub fn own_group(mut self) -> Run {
        self.command.process_group(0);
        self
    }

    /// Sends stderr to a file or a pipe; the outcome then has none.
    pub fn stderr_to(mut self, stderr: impl Into<Stdio>) -> Run {
        self.command.stderr(stderr);
        self
    }
}

impl Running {
    /// Whether it has ended, whoever it has left behind.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_some()
    }

    /// Sends a signal to its whole group, as a terminal does.
    pub fn signal_group(&self, name: &str) {
        let group = format!("-{}", self.pid());
        let status = Command::new("kill")
            .args(["-s", name, "--", &group])
            .status();
        assert!(status.expect("kill runs").success(), "kill -s {name}");
    }
}
