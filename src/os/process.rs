//! This process, and the children that it starts.

use std::ffi::OsString;
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use crate::error::{Error, Exit, Result};

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
        // If it had ended before the call, nothing would come any more.
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

/// Wait until a child has ended, or a signal arrives. It is not reaped.
pub fn wait_for_end(child: u32) {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let flags = libc::WEXITED | libc::WNOWAIT;
    // SAFETY: `info` is large enough; it is not read.
    unsafe { libc::waitid(libc::P_PID, child as libc::id_t, info.as_mut_ptr(), flags) };
}

/// Ask a child that was not reaped yet to end.
pub fn terminate(child: u32) {
    // SAFETY: takes and returns plain integers; the id cannot have been given
    // to another process while the child is not reaped.
    unsafe { libc::kill(child as libc::pid_t, libc::SIGTERM) };
}
