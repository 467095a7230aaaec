//! How many system calls a program makes, by strace(1), on Linux.
//!
//! Where it cannot be told there is a reason instead, never a figure.

use std::fs;
use std::path::PathBuf;

use crate::Outcome;
use crate::bench::Bench;
use crate::call::{self, Call};

/// The counter, if there is one.
pub struct Strace(Result<PathBuf, &'static str>);

impl Strace {
    /// That of PATH.
    pub fn find() -> Strace {
        Strace(match cfg!(target_os = "linux") {
            true => call::on_path("strace").ok_or("strace is not on PATH"),
            false => Err("strace(1) is for Linux"),
        })
    }

    /// The calls of `call` and all its processes and threads, which `run` runs.
    pub fn count(
        &self,
        bench: &mut Bench,
        call: Call,
        run: impl FnOnce(&mut Bench, &Call) -> Outcome,
    ) -> Result<u64, String> {
        let strace = self.0.as_ref().map_err(|why| why.to_string())?;
        let list = bench.home().join("strace");
        let options = [
            "-f".as_ref(),
            "-c".as_ref(),
            "-o".as_ref(),
            list.as_os_str(),
        ];
        let traced = call.under(strace, &options);
        run(bench, &traced).map_err(|e| format!("strace: {e}"))?;
        let text = fs::read_to_string(&list).map_err(|e| format!("strace: {e}"))?;
        let total: u64 = text.lines().filter_map(calls).sum();
        match total {
            0 => Err("strace: its summary cannot be read".into()),
            total => Ok(total),
        }
    }
}

/// The count in a line of the summary: share, seconds, microseconds a call,
/// calls, perhaps errors, name. The line of totals is none.
fn calls(line: &str) -> Option<u64> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let share: Option<f64> = fields.first()?.parse().ok();
    let one = share.is_some() && fields.len() >= 5 && *fields.last()? != "total";
    fields.get(3).filter(|_| one)?.parse().ok()
}
