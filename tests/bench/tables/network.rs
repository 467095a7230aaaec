//! A network that is slow to answer and gives each connection so much and no
//! more: what part of that N workers make use of.
//!
//! One round only: the waits are the sink's, and do not vary as a busy machine
//! does.

use crate::Outcome;
use crate::bench::{Bench, Program, Scheme};
use crate::pattern::BLOCK;
use crate::report::Grid;
use crate::settings::bytes;
use crate::transfer::{Moved, Transfer, Way};

/// Milliseconds before each answer.
const WAIT: u64 = 50;
/// Bytes a second on each connection.
const RATE: u64 = 25_000_000;

/// Measures and prints it.
pub fn print(bench: &mut Bench) -> Outcome {
    let bytes = bench.settings.bytes.min(bytes(1.0));
    let mut grid = Grid::new(2, &["", "", "s", "MB/s", "of N x 25", "blocks alone"]);
    let jobs = bench.jobs(&[1, 2, 4, 8, 16]);
    bench.sink.network(WAIT, RATE)?;
    let mut rows = Vec::new();
    let programs = jobs.into_iter().map(Program::S3pipe);
    for program in [Program::Floor].into_iter().chain(programs) {
        for way in [Way::UpPipe, Way::DownNull] {
            let transfer = Transfer {
                program,
                way,
                scheme: Scheme::Plain,
                bytes,
            };
            let moved = transfer.run(bench)?;
            let seconds = moved.cost.wall.as_secs_f64();
            eprintln!(
                "network, {}: {}: {seconds:.2} s",
                way.name(),
                program.name()
            );
            rows.push((way, program, moved));
        }
    }
    bench.sink.network(0, 0)?;
    rows.sort_by_key(|(way, ..)| !way.is_up());
    let mut last = None;
    for (way, program, moved) in rows {
        let name = if last == Some(way) { "" } else { way.name() };
        last = Some(way);
        grid.row(cells(name, program, &moved));
    }
    let mib = bytes >> 20;
    println!("A network with {WAIT} ms before each answer and 25 MB/s a connection, {mib} MiB");
    grid.print();
    let body = BLOCK as f64 / RATE as f64;
    println!(
        "The aim is 0.93 and more. Who waits for the answer to each 16 MiB block before\n\
         sending the next reaches {:.3} at most. The last column counts from the first\n\
         block's request to the last one's answer, without what comes before and after.\n",
        body / (body + WAIT as f64 / 1e3)
    );
    Ok(())
}

fn cells(name: &str, program: Program, moved: &Moved) -> Vec<String> {
    let connections = match program {
        Program::S3pipe(jobs) => f64::from(jobs),
        _ => 1.0,
    };
    let most = connections * RATE as f64;
    let bytes = moved.bytes as f64;
    let seconds = moved.cost.wall.as_secs_f64();
    let span = moved.seen.span as f64 / 1e6;
    vec![
        name.to_string(),
        program.name(),
        format!("{seconds:.2}"),
        format!("{:.1}", bytes / 1e6 / seconds),
        format!("{:.3}", bytes / seconds / most),
        format!("{:.3}", bytes / span / most),
    ]
}
