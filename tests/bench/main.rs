//! `make bench`: what s3pipe costs, beside the least that it could cost.
//!
//! Every figure of s3pipe stands beside one of the floor (see `floor`) that
//! was measured just before it, against the same sink (see `sink`): machines
//! differ and are noisy, ratios less so. The parts other than the series
//! itself are this same program, started again with a word as its argument,
//! so that each has a process of its own.
//!
//! From the environment: `BENCH_GIB` (length of a stream, 4), `BENCH_RUNS`
//! (pairs of runs a row, 3), `BENCH_RSS` (lengths for the memory table, in
//! GiB, `1,16`), `BENCH_JOBS` (s3pipe's `-j`; without it s3pipe's default),
//! `S3PIPE_BENCH_BIN` (another s3pipe than the one just built), `TMPDIR` (room
//! for two streams).
//!
//! A run that fails, or that moved another number of bytes than it was given,
//! ends the bench with a message and status 1: there are no figures then.

mod floor;
mod http;
mod measure;
mod pattern;
mod report;
mod series;
mod sink;

use std::env;
use std::error::Error;
use std::io;
use std::process::{Command, ExitCode};

/// What every part returns; the error is printed once, by `main`.
type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match part(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            let name = words.first().filter(|word| **word != "--bench");
            let name = name.map_or(String::new(), |word| format!("{word}: "));
            eprintln!("bench: {name}{e}");
            ExitCode::FAILURE
        }
    }
}

/// Does the part that the arguments name.
fn part(words: &[&str]) -> Outcome {
    match words {
        ["--bench"] => report::all(),
        ["sink"] => sink::run(),
        ["floor-up", port] => floor::up(port.parse()?),
        ["floor-down", port, blocks] => floor::down(port.parse()?, blocks.parse()?),
        ["write", bytes] => pattern::write(&mut io::stdout(), bytes.parse()?),
        ["check", bytes] => pattern::check(&mut io::stdin(), bytes.parse()?),
        ["nothing"] => Ok(()),
        // `cargo test --all-targets` runs benches too, without the argument.
        [] => {
            println!("bench: takes minutes; run by `make bench` or `cargo bench`");
            Ok(())
        }
        _ => Err("unknown argument; settings come from the environment".into()),
    }
}

/// This program again, to do the part that `words` name.
fn again(words: &[&str]) -> Outcome<Command> {
    let mut command = Command::new(env::current_exe()?);
    command.args(words);
    Ok(command)
}
