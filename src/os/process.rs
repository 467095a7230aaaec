//! This process, and the children that it starts.

use std::ffi::OsString;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{self, Command, ExitStatus};
use std::time::{Duration, Instant};

use crate::error::{Error, Exit, Result};
use crate::os::poll::pause;

/// How long between two looks whether a child has ended.
const LOOK: Duration = Duration::from_millis(20);

/// The arguments behind the program's name. 64 if one is not UTF-8: names of
/// streams and buckets are text.
pub fn arguments() -> Result<Vec<String>> {
    let text = |arg: OsString| {
        arg.into_string().map_err(|arg| {
            let what = arg.to_string_lossy().into_owned();
            Error::new(Exit::Usage, what, "not UTF-8")
        })
    };
    std::env::args_os().skip(1).map(text).collect()
}

/// The path of this very program, to start it again: on Linux that of the file
/// which is running, even if another has taken its place meanwhile.
pub fn myself() -> io::Result<PathBuf> {
    #[cfg(target_os = "linux")]
    if std::fs::exists("/proc/self/exe").unwrap_or(false) {
        return Ok("/proc/self/exe".into());
    }
    std::env::current_exe()
}

/// Have the system end us as soon as `parent` ends, in whatever way. False if
/// it has ended already. FreeBSD and Linux can do this; elsewhere a worker notices
/// the end of its channel.
pub fn die_with(parent: u32) -> bool {
    let signal: libc::c_int = libc::SIGKILL;
    // SAFETY: prctl takes plain integers here; procctl reads one int, which
    // lives until it returns; getppid only asks.
    unsafe {
        #[cfg(target_os = "linux")]
        {
            libc::prctl(libc::PR_SET_PDEATHSIG, signal);
            // Started as /proc/self/exe: let ps(1) and pgrep(1) find us.
            libc::prctl(libc::PR_SET_NAME, c"s3pipe".as_ptr());
        }
        #[cfg(target_os = "freebsd")]
        {
            let signal = std::ptr::from_ref(&signal).cast_mut().cast();
            libc::procctl(libc::P_PID, 0, libc::PROC_PDEATHSIG_CTL, signal);
        }
        let _ = signal;
        // If the parent had ended before the call, no signal would ever come.
        libc::getppid() == parent as libc::pid_t
    }
}

/// Have the system end a program that is about to be started as soon as we end,
/// as [`die_with`] does.
pub fn end_with_us(program: &mut Command) {
    let us = std::process::id();
    let tie = move || {
        if die_with(us) {
            Ok(())
        } else {
            Err(io::Error::from_raw_os_error(libc::ESRCH))
        }
    };
    // SAFETY: runs in the child, where only async-signal-safe functions may be
    // called; `tie` makes system calls and allocates nothing.
    unsafe { program.pre_exec(tie) };
}

/// A child process, which is killed and reaped when it is dropped.
pub struct Child(process::Child);

impl Child {
    /// Start a program.
    pub fn start(program: &mut Command) -> io::Result<Child> {
        program.spawn().map(Child)
    }

    /// Our end of the pipe to its stdin. None if there is no pipe, or it was
    /// taken before.
    pub fn take_stdin(&mut self) -> Option<OwnedFd> {
        self.0.stdin.take().map(OwnedFd::from)
    }

    /// Our end of the pipe from its stdout. None if there is no pipe, or it was
    /// taken before.
    pub fn take_stdout(&mut self) -> Option<OwnedFd> {
        self.0.stdout.take().map(OwnedFd::from)
    }

    /// Its status, if it has ended.
    pub fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.0.try_wait()
    }

    /// Its status, if it ends by itself within this time.
    pub fn ends_within(&mut self, time: Duration) -> Option<ExitStatus> {
        let end = Instant::now() + time;
        loop {
            match self.ended() {
                Ok(Some(status)) => return Some(status),
                Ok(None) if Instant::now() < end => pause(LOOK),
                _ => return None,
            }
        }
    }

    /// Wait until it has ended, or a signal arrives. It is not reaped.
    pub fn wait_for_signal_or_end(&self) {
        let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
        let flags = libc::WEXITED | libc::WNOWAIT;
        let id = self.0.id() as libc::id_t;
        // SAFETY: `info` is large enough; it is not read.
        unsafe { libc::waitid(libc::P_PID, id, info.as_mut_ptr(), flags) };
    }

    /// Ask it to end (SIGTERM), unless it has.
    pub fn terminate(&mut self) {
        if let Ok(None) = self.ended() {
            // SAFETY: takes and returns plain integers; the id cannot have been
            // given to another process while the child is not reaped.
            unsafe { libc::kill(self.0.id() as libc::pid_t, libc::SIGTERM) };
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !matches!(self.ended(), Ok(Some(_))) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

/// What a program did that ended so, without success: `failed with exit status
/// 3`, `was killed by signal 9`.
pub fn ending(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("failed with exit status {code}"),
        (None, Some(signal)) => format!("was killed by signal {signal}"),
        (None, None) => "failed".to_string(),
    }
}
