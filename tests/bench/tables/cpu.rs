//! CPU time per GiB: of the floor, of s3pipe as a ratio to it, and of the peers
//! with what part of theirs s3pipe takes.

use super::rounds::{Group, Line};
use crate::bench::Program;
use crate::report::{Grid, middle, span};
use crate::settings::GIB;
use crate::transfer::Moved;

/// Prints it.
pub fn print(title: &str, groups: &[Group]) {
    println!("{title}");
    let mut headings = vec!["", "", "s/GiB", "to the floor", "peak MiB"];
    let ours: Vec<String> = groups.first().map_or(Vec::new(), |group| {
        let ours = group.lines.iter().filter(|line| is_ours(line));
        ours.map(|line| format!("{} to it", line.program.name()))
            .collect()
    });
    headings.extend(ours.iter().map(String::as_str));
    let mut grid = Grid::new(2, &headings);
    for group in groups {
        for (at, line) in group.lines.iter().enumerate() {
            let way = if at == 0 { group.way.name() } else { "" };
            let mut cells = vec![way.to_string(), line.program.name()];
            cells.extend(figures(line, group));
            grid.row(cells);
        }
    }
    grid.print();
    failures(groups);
}

fn figures(line: &Line, group: &Group) -> Vec<String> {
    let mut cells = vec![middle(&line.each(per_gib), 3)];
    cells.push(match line.program {
        Program::Floor => String::new(),
        _ => span(&line.against(&group.lines[0], per_gib)),
    });
    let peaks = line.each(|moved| moved.cost.peak);
    cells.push(match peaks.is_empty() {
        true => "-".into(),
        false => format!("{:.1}", peaks.into_iter().fold(0.0, f64::max)),
    });
    if matches!(line.program, Program::Peer(_)) {
        let ours = group.lines.iter().filter(|line| is_ours(line));
        cells.extend(ours.map(|own| middle(&own.against(line, per_gib), 2)));
    }
    cells
}

/// Prints which peers failed, and why.
pub fn failures(groups: &[Group]) {
    let mut any = false;
    for group in groups {
        for line in &group.lines {
            if let Some(why) = &line.failure {
                println!("Failed, {}: {why}", group.way.name());
                any = true;
            }
        }
    }
    if any {
        println!();
    }
}

fn per_gib(moved: &Moved) -> f64 {
    moved.cost.cpu() / (moved.bytes as f64 / GIB)
}

fn is_ours(line: &Line) -> bool {
    matches!(line.program, Program::S3pipe(_))
}
