//! The whole bench: one table after another on stdout, each as soon as it is
//! complete. Each run is told on stderr as it ends.

mod cpu;
mod many;
mod memory;
mod network;
mod rounds;
mod speed;
mod start;

use crate::Outcome;
use crate::bench::{Bench, Scheme};
use crate::report;
use crate::settings::{GIB, Settings, Table};
use crate::transfer::Way;

/// What the tables end with.
const NOTES: &str = "\
The floor is one process that reads stdin into one page-aligned 16 MiB block,
hashes it with SHA-256 and sends it, or receives, hashes, compares and writes it:
one kept-alive connection, four header lines, nothing else (tests/bench/floor.rs);
over TLS with rustls and ring, as s3pipe. CPU time is user and system time of the
program and of all processes that it has started and waited for, from wait4(2). A
ratio is to the floor (or of s3pipe to a peer) in the same round: median
(least-most). A round is the floor, s3pipe and the peers, one after the other.
The server is a stand-in on loopback that verifies no signature and throws bodies
away (tests/bench/sink.rs). Peers run with their defaults; they move half of the
bytes (curl's file: all), and the start of their interpreters counts.";

/// Measures everything and prints it.
pub fn all() -> Outcome {
    let mut bench = Bench::new(Settings::read()?)?;
    let Settings { bytes, runs, .. } = bench.settings;
    println!("{}", report::machine());
    println!(
        "{:.2} GiB a stream, rounds: {runs}, medians\n",
        bytes as f64 / GIB
    );
    if !bench.has_jobs {
        println!("This s3pipe does not know -j: one worker only.\n");
    }
    if !bench.missing.is_empty() {
        println!("Not on PATH: {}.\n", bench.missing.join(", "));
    }
    throughput(&mut bench)?;
    if bench.settings.wants(Table::Network) {
        network::print(&mut bench)?;
    }
    if bench.settings.wants(Table::Memory) {
        memory::print(&mut bench)?;
    }
    if bench.settings.wants(Table::Start) {
        start::print(&mut bench)?;
    }
    if bench.settings.wants(Table::Many) {
        many::print(&mut bench)?;
    }
    println!("{NOTES}");
    Ok(())
}

/// The tables of CPU time and speed, which are two views of the same rounds.
fn throughput(bench: &mut Bench) -> Outcome {
    let (cpu, speed) = (
        bench.settings.wants(Table::Cpu),
        bench.settings.wants(Table::Speed),
    );
    // Two workers are asked for in the table of speeds only.
    let jobs = bench.jobs(if speed { &[1, 2, 4] } else { &[1, 4] });
    if cpu || speed {
        let ways = [Way::UpFile, Way::UpPipe, Way::DownFile, Way::DownNull];
        let groups = rounds::measure(bench, Scheme::Plain, &ways, &jobs)?;
        if cpu {
            cpu::print("CPU seconds per GiB, plain HTTP", &groups);
        }
        if speed {
            speed::print("Wall clock, no limits, plain HTTP", &groups);
        }
    }
    if bench.settings.wants(Table::Tls) {
        let ways = [Way::UpPipe, Way::DownNull];
        let groups = rounds::measure(bench, Scheme::Tls, &ways, &jobs)?;
        cpu::print("CPU seconds per GiB, TLS", &groups);
        speed::print("Wall clock, no limits, TLS", &groups);
    }
    Ok(())
}
