//! What the operating system offers beyond std, and the only `unsafe` code.
//!
//! Signals (handlers set a flag, nothing else), the standard descriptors as
//! plain files (std's own stdin reads ahead, which would lose data once
//! processes share it), poll(2), and the terminal. POSIX throughout; what only
//! one system has is marked. Nothing here prints or knows of S3.

mod cores;
mod terminal;

pub use cores::{forbid_cores, permit_cores};
pub use terminal::{owns_terminal, stderr_is_terminal, terminal_width, to_stderr};

use std::fs::File;
use std::io::{self, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::Duration;

use crate::error::{Error, Exit, Result};

/// What a program dies of that writes to a pipe which nobody reads any more.
pub const SIGPIPE: i32 = libc::SIGPIPE;

static STOP: AtomicI32 = AtomicI32::new(0);
static INFO: AtomicBool = AtomicBool::new(false);
static TICKING: AtomicBool = AtomicBool::new(false);

extern "C" fn on_stop(signal: libc::c_int) {
    let asked_before = STOP.swap(signal, Ordering::Relaxed) != 0;
    // SAFETY: all three calls are async-signal-safe.
    unsafe {
        match asked_before {
            false => libc::alarm(1),
            // Whatever we are blocked in (a name look-up, say) takes too long.
            true => {
                libc::signal(signal, libc::SIG_DFL);
                libc::raise(signal) as libc::c_uint
            }
        };
    }
}

/// For a worker: it hears a signal to all of us, and then the same from its
/// coordinator, which waits for what it has still to say.
extern "C" fn on_leave(signal: libc::c_int) {
    STOP.store(signal, Ordering::Relaxed);
    // SAFETY: async-signal-safe.
    unsafe { libc::alarm(1) };
}

extern "C" fn on_info(_: libc::c_int) {
    INFO.store(true, Ordering::Relaxed);
    // SAFETY: async-signal-safe.
    unsafe { libc::alarm(1) };
}

/// A signal may come between the look at its flag and the call that then
/// blocks: one more a second later, and so on, ends that call.
extern "C" fn on_alarm(_: libc::c_int) {
    let flagged = STOP.load(Ordering::Relaxed) != 0 || INFO.load(Ordering::Relaxed);
    if flagged || TICKING.load(Ordering::Relaxed) {
        // SAFETY: async-signal-safe.
        unsafe { libc::alarm(1) };
    }
}

/// Install the handlers: SIGINT, SIGTERM and SIGHUP ask for a stop, SIGINFO
/// (where there is one) and SIGUSR1 for a status line. A signal that was
/// ignored when we started, as nohup(1) and background jobs do, stays so. The
/// second request to stop is not caught.
/// No SA_RESTART: a blocked call must return and let the flags be seen.
pub fn catch_signals() {
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        if !is_ignored(signal) {
            handle(signal, on_stop);
        }
    }
    handle(libc::SIGUSR1, on_info);
    handle(libc::SIGALRM, on_alarm);
    #[cfg(any(target_os = "freebsd", target_os = "macos"))]
    handle(libc::SIGINFO, on_info);
}

fn is_ignored(signal: libc::c_int) -> bool {
    let mut old = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: a null new action only asks; `old` is large enough and, being
    // plain data that was zeroed, is initialised whatever the call does.
    unsafe {
        libc::sigaction(signal, std::ptr::null(), old.as_mut_ptr()) == 0
            && old.assume_init().sa_sigaction == libc::SIG_IGN
    }
}

fn handle(signal: libc::c_int, handler: extern "C" fn(libc::c_int)) {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: all-zero is a valid sigaction (no flags, empty mask), and the
    // handlers only store to atomics, which is async-signal-safe.
    unsafe {
        (*action.as_mut_ptr()).sa_sigaction = handler as *const () as libc::sighandler_t;
        libc::sigaction(signal, action.as_ptr(), std::ptr::null_mut());
    }
}

/// The signal that asked us to stop, if one did.
pub fn stop_signal() -> Option<i32> {
    match STOP.load(Ordering::Relaxed) {
        0 => None,
        signal => Some(signal),
    }
}

/// From here on signals change nothing any more (the commit was seen).
pub fn ignore_stop() {
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        // SAFETY: SIG_IGN is a valid disposition for these signals.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
    STOP.store(0, Ordering::Relaxed);
}

/// Whether a status line was asked for since the last call.
pub fn take_info() -> bool {
    INFO.swap(false, Ordering::Relaxed)
}

/// Interrupt blocked calls once a second, so that a meter can be redrawn.
pub fn start_ticking() {
    TICKING.store(true, Ordering::Relaxed);
    // SAFETY: takes and returns plain integers.
    unsafe { libc::alarm(1) };
}

/// And let them be again.
pub fn stop_ticking() {
    TICKING.store(false, Ordering::Relaxed);
}

/// Set a worker's signals: those from a terminal are for its coordinator, which
/// says what is to be done; SIGTERM, which it sends, ends the work. To be
/// called before anything else.
pub fn catch_signals_of_worker() {
    for signal in [libc::SIGINT, libc::SIGHUP, libc::SIGUSR1] {
        // SAFETY: SIG_IGN is a valid disposition for these signals.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
    #[cfg(any(target_os = "freebsd", target_os = "macos"))]
    // SAFETY: as above.
    unsafe {
        libc::signal(libc::SIGINFO, libc::SIG_IGN);
    }
    handle(libc::SIGTERM, on_leave);
    handle(libc::SIGALRM, on_alarm);
}

/// Have the system end us as soon as `parent` ends, in whatever way. False if
/// it has ended already. Where the system cannot (it is FreeBSD's and Linux's),
/// the end of the channel must do.
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

/// The same for a program that is about to be started.
pub fn end_with_us(program: &mut std::process::Command) {
    use std::os::unix::process::CommandExt;
    let us = std::process::id();
    let tie = move || match die_with(us) {
        true => Ok(()),
        false => Err(io::Error::from_raw_os_error(libc::ESRCH)),
    };
    // SAFETY: runs in the child, where only async-signal-safe functions may be
    // called; `tie` makes system calls and allocates nothing.
    unsafe { program.pre_exec(tie) };
}

/// This very program, to be started again: on Linux as the file that is open,
/// even if another has taken its place meanwhile.
pub fn myself() -> io::Result<std::path::PathBuf> {
    #[cfg(target_os = "linux")]
    if std::fs::exists("/proc/self/exe").unwrap_or(false) {
        return Ok("/proc/self/exe".into());
    }
    std::env::current_exe()
}

/// The name of a signal that [`stop_signal`] can report.
pub fn signal_name(signal: i32) -> &'static str {
    match signal {
        libc::SIGINT => "SIGINT",
        libc::SIGTERM => "SIGTERM",
        libc::SIGHUP => "SIGHUP",
        _ => "signal",
    }
}

/// The arguments behind the program's name. 64 if one is not UTF-8: names of
/// streams and buckets are text.
pub fn arguments() -> Result<Vec<String>> {
    let text = |arg: std::ffi::OsString| {
        arg.into_string().map_err(|arg| {
            let what = arg.to_string_lossy().into_owned();
            Error::new(Exit::Usage, what, "not UTF-8")
        })
    };
    std::env::args_os().skip(1).map(text).collect()
}

/// Standard input or output as an unbuffered file that waits where an
/// inherited non-blocking descriptor would fail with EAGAIN.
pub struct Stream(File);

/// Standard input. Call once.
pub fn stdin() -> Stream {
    // SAFETY: descriptor 0 is open (std opens /dev/null in place of a closed
    // one before main) and nothing else in the program uses it.
    Stream(unsafe { File::from_raw_fd(libc::STDIN_FILENO) })
}

/// Standard output. Call once.
pub fn stdout() -> Stream {
    // SAFETY: as for stdin, with descriptor 1.
    Stream(unsafe { File::from_raw_fd(libc::STDOUT_FILENO) })
}

/// A worker's channel to its coordinator, which is the standard descriptor
/// that its data does not use. None if there is no socket.
pub fn channel(of_stdin: bool) -> Option<UnixStream> {
    let fd = match of_stdin {
        true => libc::STDIN_FILENO,
        false => libc::STDOUT_FILENO,
    };
    // SAFETY: as for stdin; the caller uses either this or the stream.
    let channel = unsafe { UnixStream::from_raw_fd(fd) };
    if channel.local_addr().is_ok() {
        return Some(channel);
    }
    // Not ours to close.
    let _ = channel.into_raw_fd();
    None
}

impl From<OwnedFd> for Stream {
    /// One end of a pipe to another program.
    fn from(fd: OwnedFd) -> Stream {
        Stream(File::from(fd))
    }
}

impl Stream {
    /// Close it, and report what only close(2) says: a full quota or a lost
    /// server on some network file systems.
    pub fn close(self) -> io::Result<()> {
        let fd = self.0.into_raw_fd();
        // A tick in the middle would leave unclear what became of the data.
        let ticked = TICKING.swap(false, Ordering::Relaxed);
        // SAFETY: we own `fd` and give it up here; alarm takes an integer.
        let closed = unsafe {
            libc::alarm(0);
            libc::close(fd)
        };
        let result = match closed {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        };
        if ticked {
            start_ticking();
        }
        result
    }

    /// The descriptor once more, for another process.
    pub fn share(&self) -> io::Result<OwnedFd> {
        Ok(self.0.try_clone()?.into())
    }

    /// How many bytes a regular file still has from where it is read on. None
    /// if it is something else.
    pub fn rest(&mut self) -> Option<u64> {
        let about = self.0.metadata().ok().filter(|about| about.is_file())?;
        let at = io::Seek::stream_position(&mut self.0).ok()?;
        Some(about.len().saturating_sub(at))
    }

    /// Linux: a larger pipe means fewer turns between its two processes.
    /// Elsewhere, and where stdin is no pipe, nothing happens.
    pub fn widen_pipe(&self) {
        #[cfg(target_os = "linux")]
        // SAFETY: F_SETPIPE_SZ takes an int and touches no memory of ours.
        unsafe {
            libc::fcntl(self.0.as_raw_fd(), libc::F_SETPIPE_SZ, 1 << 20);
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buf) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                wait(self.0.as_raw_fd(), libc::POLLIN)?;
                Err(io::ErrorKind::Interrupted.into())
            }
            result => result,
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self.0.write(buf) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                wait(self.0.as_raw_fd(), libc::POLLOUT)?;
                Err(io::ErrorKind::Interrupted.into())
            }
            result => result,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What poll(2) is to look at.
fn pollfd(fd: RawFd, events: libc::c_short) -> libc::pollfd {
    libc::pollfd {
        fd,
        events,
        revents: 0,
    }
}

fn wait(fd: RawFd, events: libc::c_short) -> io::Result<()> {
    let mut poll = pollfd(fd, events);
    // SAFETY: one valid pollfd, and the count says so.
    match unsafe { libc::poll(&mut poll, 1, -1) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Wait until one of these can be read (or has ended), a signal arrives, or
/// the time is over; and say which.
pub fn wait_for_input(fds: &[BorrowedFd], time: Duration) -> Vec<bool> {
    let mut polls: Vec<libc::pollfd> = fds
        .iter()
        .map(|fd| pollfd(fd.as_raw_fd(), libc::POLLIN))
        .collect();
    // Rounded up: a wait of 0 ms would be none.
    let ms = time.as_nanos().div_ceil(1_000_000).min(i32::MAX as u128) as libc::c_int;
    // SAFETY: as many valid pollfds as the count says.
    let found = unsafe { libc::poll(polls.as_mut_ptr(), polls.len() as libc::nfds_t, ms) };
    polls.iter().map(|p| found > 0 && p.revents != 0).collect()
}

/// Whether a line can be written to a channel without waiting.
pub fn can_write(fd: BorrowedFd) -> bool {
    let mut poll = pollfd(fd.as_raw_fd(), libc::POLLOUT);
    // SAFETY: one valid pollfd, and the count says so.
    unsafe { libc::poll(&mut poll, 1, 0) == 1 && poll.revents == libc::POLLOUT }
}

/// How many bytes were written to a TCP socket that the other end has not
/// acknowledged; 0 where the system does not tell.
pub fn unsent(fd: BorrowedFd) -> usize {
    #[cfg(target_os = "linux")]
    const ASK: libc::c_ulong = libc::TIOCOUTQ;
    // FIONWRITE of sys/filio.h.
    #[cfg(not(target_os = "linux"))]
    const ASK: libc::c_ulong = 0x4004_6677;
    let mut count: libc::c_int = 0;
    // SAFETY: the request stores an int, which lives until it returns.
    let told = unsafe { libc::ioctl(fd.as_raw_fd(), ASK as _, &mut count) };
    if told == 0 {
        usize::try_from(count).unwrap_or(0)
    } else {
        0
    }
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

/// Sleep, but no longer than until the next signal (std's sleep goes on).
pub fn pause(time: Duration) {
    let ms = time.as_millis().min(i32::MAX as u128) as libc::c_int;
    // SAFETY: no descriptors are passed, so the pointer is not read.
    unsafe { libc::poll(std::ptr::null_mut(), 0, ms) };
}

/// Unpredictable bytes from the system.
pub fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// An evenly distributed number, for jitter: where the system has none to give,
/// the largest.
pub fn chance() -> u64 {
    random().map_or(u64::MAX, u64::from_ne_bytes)
}

/// The system's number of an error; that of an input/output error where it has
/// none.
pub fn errno(e: &io::Error) -> i32 {
    e.raw_os_error().unwrap_or(libc::EIO)
}
