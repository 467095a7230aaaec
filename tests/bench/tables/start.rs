//! What it costs to start, and to move a single byte: CPU time, system calls,
//! and requests to the server.

use crate::Outcome;
use crate::bench::{Bench, Program, Scheme};
use crate::call::Call;
use crate::measure;
use crate::peers::Task;
use crate::report::{Grid, middle};
use crate::strace::Strace;
use crate::transfer::{Moved, Transfer, Way, quietly};

/// Times a program is started whose start takes milliseconds only.
const STARTS: usize = 20;

/// One row of the table.
struct Row {
    name: String,
    /// CPU milliseconds of each run.
    cpu: Vec<f64>,
    calls: Result<u64, String>,
    /// The last run, where something was moved.
    moved: Option<Moved>,
}

/// Measures and prints it.
pub fn print(bench: &mut Bench) -> Outcome {
    let strace = Strace::find();
    let parts = [
        ("say the version", versions(bench, &strace)?),
        ("upload one byte", one_byte(bench, &strace)?),
    ];
    let headings = ["", "", "CPU ms", "system calls", "requests", "connections"];
    let mut grid = Grid::new(2, &headings);
    let mut reasons = Vec::new();
    for (what, rows) in parts {
        for (at, row) in rows.into_iter().enumerate() {
            let what = if at == 0 { what } else { "" };
            let calls = row.calls.map(|calls| calls.to_string());
            let mut cells = vec![what.into(), row.name, middle(&row.cpu, 1)];
            cells.push(calls.unwrap_or_else(|why| {
                reasons.push(why);
                "-".into()
            }));
            if let Some(Moved { seen, .. }) = row.moved {
                cells.extend([seen.requests, seen.connections].map(|n| n.to_string()));
            }
            grid.row(cells);
        }
    }
    println!("Start");
    grid.print();
    println!(
        "The first floor is a program in Rust that does nothing. System calls are those of\n\
         all processes and threads, in one more run under strace -f -c."
    );
    reasons.dedup();
    for why in reasons {
        println!("Not counted: {why}.");
    }
    println!();
    Ok(())
}

fn versions(bench: &mut Bench, strace: &Strace) -> Outcome<Vec<Row>> {
    let endpoint = bench.endpoint(Scheme::Plain)?;
    let nothing = Call::again(&["nothing"])?;
    let version = Call::new(&bench.binary).arg("-V");
    let mut rows = vec![
        version_row(bench, strace, "floor", &nothing, STARTS)?,
        version_row(bench, strace, "s3pipe", &version, STARTS)?,
    ];
    for (tool, program) in bench.peers.clone() {
        let times = bench.settings.runs;
        let call = tool.call(&program, Task::Version, &endpoint);
        let row = call.map(|call| version_row(bench, strace, tool.name(), &call, times));
        match row.transpose() {
            Ok(row) => rows.extend(row),
            Err(e) => println!("Failed, saying the version: {e}\n"),
        }
    }
    Ok(rows)
}

fn version_row(
    bench: &mut Bench,
    strace: &Strace,
    name: &str,
    call: &Call,
    times: usize,
) -> Outcome<Row> {
    let run = |bench: &mut Bench, call: &Call| {
        quietly(bench, name, call.command(bench.home()), measure::run)
    };
    let mut cpu = Vec::new();
    for _ in 0..times {
        cpu.push(run(bench, call)?.cpu() * 1e3);
    }
    eprintln!("version: {name}: {} ms", middle(&cpu, 1));
    let calls = strace.count(bench, call.clone(), |bench, call| {
        run(bench, call).map(drop)
    });
    Ok(Row {
        name: name.into(),
        cpu,
        calls,
        moved: None,
    })
}

fn one_byte(bench: &mut Bench, strace: &Strace) -> Outcome<Vec<Row>> {
    let endpoint = bench.endpoint(Scheme::Plain)?;
    let mut programs = vec![(Program::Floor, STARTS)];
    let jobs = bench.jobs(&[1, 4]).into_iter().map(Program::S3pipe);
    programs.extend(jobs.map(|program| (program, STARTS)));
    for (tool, program) in &bench.peers {
        let call = tool.call(program, Task::PutPipe, &endpoint);
        programs.extend(call.map(|_| (Program::Peer(*tool), bench.settings.runs)));
    }
    let mut rows = Vec::new();
    for (program, times) in programs {
        match byte_row(bench, strace, program, times) {
            Err(e) if matches!(program, Program::Peer(_)) => {
                println!("Failed, upload of one byte: {e}\n");
            }
            row => rows.push(row?),
        }
    }
    Ok(rows)
}

fn byte_row(bench: &mut Bench, strace: &Strace, program: Program, times: usize) -> Outcome<Row> {
    let transfer = Transfer {
        program,
        way: Way::UpPipe,
        scheme: Scheme::Plain,
        bytes: 1,
    };
    let (mut cpu, mut moved) = (Vec::new(), None);
    for _ in 0..times {
        let run = transfer.run(bench)?;
        cpu.push(run.cost.cpu() * 1e3);
        moved = Some(run);
    }
    let name = program.name();
    eprintln!("one byte: {name}: {} ms", middle(&cpu, 1));
    let call = transfer.call(bench)?;
    let calls = strace.count(bench, call, |bench, call| {
        transfer.run_call(bench, call, measure::run).map(drop)
    });
    Ok(Row {
        name,
        cpu,
        calls,
        moved,
    })
}
