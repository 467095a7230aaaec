//! What the operating system offers beyond std, and the only `unsafe` code.
//!
//! POSIX throughout; what only one system has is marked. Nothing here prints
//! anything of its own accord, or knows of S3.

mod cores;
pub mod files;
mod memory;
mod poll;
mod process;
mod signals;
mod stdio;
mod terminal;

pub use cores::{forbid_cores, permit_cores};
pub use memory::Block;
pub use poll::{can_write, pause, unsent, wait_for_input};
pub use process::{Child, arguments, die_with, end_with_us, ending, myself};
pub use signals::{
    SIGPIPE, catch_signals, catch_signals_of_worker, ignore_stop, signal_name, start_ticking,
    stop_signal, stop_ticking, take_info,
};
pub use stdio::{Stream, channel, stdin, stdout};
pub use terminal::{owns_terminal, stderr_is_terminal, terminal_width, to_stderr};

use std::fs::File;
use std::io::{self, Read};

/// Unpredictable bytes from the system.
pub fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// An evenly distributed number, for jitter; the largest one where the system has
/// no random bytes.
pub fn chance() -> u64 {
    random().map_or(u64::MAX, u64::from_ne_bytes)
}

/// The system's number of an error; that of an input/output error where it has
/// none.
pub fn errno(e: &io::Error) -> i32 {
    e.raw_os_error().unwrap_or(libc::EIO)
}
