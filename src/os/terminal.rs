//! Stderr, and the terminal that it may be.

use std::io::{self, Write};
use std::mem::MaybeUninit;

/// Whether stderr is a terminal.
pub fn stderr_is_terminal() -> bool {
    io::IsTerminal::is_terminal(&io::stderr())
}

/// Whether stderr is a terminal and we are in its foreground, where a meter
/// disturbs nobody.
pub fn owns_terminal() -> bool {
    // SAFETY: calls that take and return plain integers.
    unsafe {
        libc::isatty(libc::STDERR_FILENO) == 1
            && libc::tcgetpgrp(libc::STDERR_FILENO) == libc::getpgrp()
    }
}

/// Columns of the terminal behind stderr; 80 if it does not say.
pub fn terminal_width() -> usize {
    let mut size = MaybeUninit::<libc::winsize>::zeroed();
    // SAFETY: TIOCGWINSZ fills a winsize, which is plain data.
    let known = unsafe {
        libc::ioctl(libc::STDERR_FILENO, libc::TIOCGWINSZ, size.as_mut_ptr()) == 0
            && (*size.as_ptr()).ws_col > 0
    };
    // SAFETY: zeroed above, so initialised in any case.
    let size = unsafe { size.assume_init() };
    if known { size.ws_col as usize } else { 80 }
}

/// Write to stderr, whole if it can be; there is nowhere to report a failure.
pub fn to_stderr(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}
