//! Waiting for descriptors, by poll(2). A signal ends every wait.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

fn pollfd(fd: RawFd, events: libc::c_short) -> libc::pollfd {
    libc::pollfd {
        fd,
        events,
        revents: 0,
    }
}

/// Wait until the descriptor is ready for one of these events.
pub(super) fn wait(fd: RawFd, events: libc::c_short) -> io::Result<()> {
    let mut poll = pollfd(fd, events);
    // SAFETY: one valid pollfd, and the count says so.
    match unsafe { libc::poll(&mut poll, 1, -1) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Wait until one of these can be read (or has ended), a signal arrives, or
/// the time is over; and say of each whether it can be read.
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

/// Whether a line can be written to a worker's channel without waiting.
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

/// Sleep, but no longer than until the next signal (std's sleep goes on).
pub fn pause(time: Duration) {
    let ms = time.as_millis().min(i32::MAX as u128) as libc::c_int;
    // SAFETY: no descriptors are passed, so the pointer is not read.
    unsafe { libc::poll(std::ptr::null_mut(), 0, ms) };
}
