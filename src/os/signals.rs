//! Signals: each sets a flag, and nothing else, which whoever waits looks at.
//!
//! A handler is installed without SA_RESTART, so that it ends whatever call the
//! program is blocked in, and the flag is seen at once. SIGALRM comes again
//! every second for as long as a flag is set, or a meter wants to be redrawn.

use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

/// What a program dies of that writes to a pipe which nobody reads any more.
pub const SIGPIPE: i32 = libc::SIGPIPE;

static STOP: AtomicI32 = AtomicI32::new(0);
static INFO: AtomicBool = AtomicBool::new(false);
static TICKING: AtomicBool = AtomicBool::new(false);

extern "C" fn on_stop(signal: libc::c_int) {
    let asked_before = STOP.swap(signal, Ordering::Relaxed) != 0;
    // SAFETY: all three calls are async-signal-safe.
    unsafe {
        if asked_before {
            // Whatever we are blocked in (a name look-up, say) takes too long.
            libc::signal(signal, libc::SIG_DFL);
            libc::raise(signal);
        } else {
            libc::alarm(1);
        }
    }
}

/// For a worker, where a second signal is no second request: one that was sent
/// to the whole process group comes again from its coordinator, which then waits
/// for what the worker has still to say.
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
/// blocks. The next alarm, a second later, ends that call.
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

/// Ignore all further requests to stop, and forget one that came: the commit has
/// been seen, and only a message is left to be written.
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

/// End what [`start_ticking`] began.
pub fn stop_ticking() {
    TICKING.store(false, Ordering::Relaxed);
}

/// Install the handlers of a worker. What a terminal sends to all processes is
/// for its coordinator, which then says what is to be done; SIGTERM, which the
/// coordinator sends, ends the work. To be called before anything else.
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

/// The name of a signal that [`stop_signal`] can report.
pub fn signal_name(signal: i32) -> &'static str {
    match signal {
        libc::SIGINT => "SIGINT",
        libc::SIGTERM => "SIGTERM",
        libc::SIGHUP => "SIGHUP",
        _ => "signal",
    }
}

/// Do something that no tick may interrupt.
pub(super) fn without_ticks<T>(act: impl FnOnce() -> T) -> T {
    let ticked = TICKING.swap(false, Ordering::Relaxed);
    // SAFETY: takes and returns plain integers.
    unsafe { libc::alarm(0) };
    let result = act();
    if ticked {
        start_ticking();
    }
    result
}
