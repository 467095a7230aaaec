//! `make bench`: what s3pipe costs, beside the least that it could cost, and
//! beside what other programs cost that are on PATH.
//!
//! Every figure of s3pipe stands beside one of the floor (see `floor`) that
//! was measured just before it, against the same sink (see `sink`): machines
//! differ and are noisy, ratios less so. The parts other than the bench itself
//! are this same program, started again with a word as its argument, so that
//! each has a process of its own.
//!
//! From the environment:
//! `BENCH_TABLES` (those of `cpu,speed,tls,network,memory,start,many` to print;
//! all), `BENCH_GIB` (length of a stream, 2; peers move half of it, and the
//! network table at most 1), `BENCH_RUNS` (rounds a row, 3), `BENCH_RSS` (lengths
//! for the memory table in GiB, `1,4,16`), `BENCH_JOBS` (values of s3pipe's `-j`
//! for all tables, instead of each table's own), `S3PIPE_BENCH_BIN` (another
//! s3pipe than the one just built), `TMPDIR` (room for two streams).
//! As it is, it takes about 20 minutes on two cores, most of them the peers'.
//!
//! A run that fails, or that moved another number of bytes than it was given,
//! ends the bench with a message and status 1: only the tables that were
//! complete by then are printed. A peer that fails is named with its last words,
//! and the bench goes on.

mod bench;
mod books;
mod call;
mod connection;
mod floor;
mod http;
mod made_up;
mod measure;
mod multipart;
mod network;
mod objects;
mod pattern;
mod peers;
mod report;
mod resident;
mod settings;
mod sink;
mod strace;
mod tables;
mod tally;
mod tls;
mod tls_floor;
mod transfer;

use std::env;
use std::error::Error;
use std::io;
use std::path::Path;
use std::process::ExitCode;

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
    let file = |path| Some(Path::new(path));
    match *words {
        ["--bench"] => tables::all(),
        ["sink"] => sink::run(None),
        ["sink", chain, key] => sink::run(Some((Path::new(chain), Path::new(key)))),
        ["floor-up", port] => floor::up(port.parse()?, None),
        ["floor-up", port, authority] => floor::up(port.parse()?, file(authority)),
        ["floor-down", port, prefix, blocks] => {
            floor::down(port.parse()?, prefix, blocks.parse()?, None)
        }
        ["floor-down", port, prefix, blocks, authority] => {
            floor::down(port.parse()?, prefix, blocks.parse()?, file(authority))
        }
        ["write", bytes] => pattern::write(&mut io::stdout(), bytes.parse()?),
        ["check", bytes] => pattern::check(&mut io::stdin(), bytes.parse()?),
        ["books", blocks] => books::keep(blocks.parse()?),
        ["nothing"] => Ok(()),
        // `cargo test --all-targets` runs benches too, without the argument.
        [] => {
            println!("bench: takes minutes; run by `make bench` or `cargo bench`");
            Ok(())
        }
        _ => Err("unknown argument; settings come from the environment".into()),
    }
}
