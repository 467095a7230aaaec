//! Bytes a second by the clock on the wall, and who is first among those that
//! check what they send.

use super::cpu::failures;
use super::rounds::{Group, Line};
use crate::bench::Program;
use crate::measure::median;
use crate::report::{Grid, middle, span};
use crate::transfer::Moved;

/// Prints it.
pub fn print(title: &str, groups: &[Group]) {
    println!("{title}");
    let headings = ["", "", "MB/s", "to the floor", "bodies with a sum"];
    let mut grid = Grid::new(2, &headings);
    for group in groups {
        for (at, line) in group.lines.iter().enumerate() {
            let way = if at == 0 { group.way.name() } else { "" };
            let mut cells = vec![way.to_string(), line.program.name()];
            cells.push(middle(&line.each(rate), 0));
            cells.push(match line.program {
                Program::Floor => String::new(),
                _ => span(&line.against(&group.lines[0], rate)),
            });
            if group.way.is_up() && !line.runs.is_empty() {
                cells.push(if checks(line) { "all" } else { "not all" }.into());
            }
            grid.row(cells);
        }
    }
    grid.print();
    for group in groups.iter().filter(|group| group.way.is_up()) {
        if let Some(first) = first(group) {
            let (way, name) = (group.way.name(), first.program.name());
            println!("First of those that check what they send, {way}: {name}");
        }
    }
    println!(
        "A sum is Content-MD5, x-amz-checksum or a signed SHA-256, as the sink saw it. On\n\
         the way down s3pipe and the floor verify each block before they write it.\n"
    );
    failures(groups);
}

/// The fastest whose bodies all came with a sum; the floor does not compete.
fn first(group: &Group) -> Option<&Line> {
    let running = group
        .lines
        .iter()
        .filter(|line| !line.runs.is_empty() && line.program != Program::Floor && checks(line));
    let speed = |line: &&Line| median(line.each(rate).into_iter());
    running.max_by(|a, b| speed(a).total_cmp(&speed(b)))
}

fn checks(line: &Line) -> bool {
    line.runs.iter().all(|moved| moved.seen.unchecked == 0)
}

/// In MB (10^6 bytes) a second.
fn rate(moved: &Moved) -> f64 {
    moved.bytes as f64 / 1e6 / moved.cost.wall.as_secs_f64()
}
