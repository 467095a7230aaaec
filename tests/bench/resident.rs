//! The memory of a process and all its descendants together, on Linux: the sum
//! of their proportional set sizes, in which a page that several of them share
//! (the program's own text) counts once.
//!
//! Elsewhere, or where the kernel does not show it, there is no figure. A
//! process that ends while it is looked at counts nothing.

use std::fs;
use std::time::Duration;

/// How often to look: a block takes longer than that to come and go.
pub const INTERVAL: Duration = Duration::from_millis(20);

/// The sum in MiB; `None` if nothing can be told.
pub fn sum(pid: libc::pid_t) -> Option<f64> {
    let mut total = None;
    let mut left = vec![pid];
    while let Some(pid) = left.pop() {
        let path = format!("/proc/{pid}/task/{pid}/children");
        let children = fs::read_to_string(path).unwrap_or_default();
        left.extend(
            children
                .split_whitespace()
                .filter_map(|c| c.parse::<i32>().ok()),
        );
        if let Some(size) = proportional(pid) {
            total = Some(total.unwrap_or(0.0) + size);
        }
    }
    total
}

/// One process's proportional set size in MiB.
fn proportional(pid: libc::pid_t) -> Option<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kibibytes: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes / 1024.0)
}
