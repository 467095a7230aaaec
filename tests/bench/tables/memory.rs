//! Resident memory by length of the stream, which it must not depend on.

use crate::Outcome;
use crate::bench::{Bench, Program, Scheme};
use crate::call::Call;
use crate::measure;
use crate::pattern::BLOCK;
use crate::report::Grid;
use crate::settings::bytes;
use crate::transfer::{Transfer, Way};

/// Measures and prints it.
pub fn print(bench: &mut Bench) -> Outcome {
    let lengths = bench.settings.memory.clone();
    let jobs = bench.jobs(&[1, 4]);
    let titles = lengths
        .iter()
        .flat_map(|gib| [format!("{gib} GiB: sum"), "largest".to_string()]);
    let mut headings = vec![String::new(), String::new()];
    headings.extend(titles);
    headings.push("aim for the sum".into());
    let headings: Vec<&str> = headings.iter().map(String::as_str).collect();
    let mut grid = Grid::new(2, &headings);
    let programs = jobs.into_iter().map(Program::S3pipe);
    for program in [Program::Floor].into_iter().chain(programs) {
        // The floor has no reason to grow, and needs no proof.
        let lengths = match program {
            Program::Floor => &lengths[..1],
            _ => &lengths[..],
        };
        for row in rows(bench, program, lengths)? {
            grid.row(row);
        }
    }
    let least = measure::peak(Call::again(&["nothing"])?.command(bench.home()))?;
    let books = |blocks| measure::peak(Call::again(&["books", blocks])?.command(bench.home()));
    let [few, many] = [books("1000")?, books("10000000")?];
    println!("Resident memory, MiB");
    grid.print();
    println!(
        "The aim is N x (one block + 4 MiB) + 8 MiB, at any length. The sum is the peak of\n\
         the proportional set sizes of all processes, sampled every 20 ms (Linux only);\n\
         the largest is one process's peak. A child that does nothing reads {least:.1}, one\n\
         that keeps the books of an upload {few:.1} for 1,000 blocks, and {many:.1} for ten\n\
         million.\n"
    );
    Ok(())
}

/// The way up and the way down, at all lengths.
fn rows(bench: &mut Bench, program: Program, lengths: &[f64]) -> Outcome<[Vec<String>; 2]> {
    let mut rows =
        [Way::UpPipe, Way::DownNull].map(|way| vec![way.name().to_string(), program.name()]);
    for gib in lengths {
        for (way, row) in [Way::UpPipe, Way::DownNull].into_iter().zip(&mut rows) {
            let transfer = Transfer {
                program,
                way,
                scheme: Scheme::Plain,
                bytes: bytes(*gib),
            };
            let cost = transfer.run_sampled(bench)?.cost;
            let sum = cost.sum.map_or("-".into(), |sum| format!("{sum:.1}"));
            let name = program.name();
            eprintln!(
                "memory, {gib} GiB: {}: {name}: {sum}, {:.1}",
                way.name(),
                cost.peak
            );
            row.extend([sum, format!("{:.1}", cost.peak)]);
        }
    }
    if let Program::S3pipe(jobs) = program {
        let aim = jobs as usize * ((BLOCK >> 20) + 4) + 8;
        rows.iter_mut().for_each(|row| row.push(aim.to_string()));
    }
    Ok(rows)
}
