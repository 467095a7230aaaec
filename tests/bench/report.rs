//! How figures are written: columns, medians with their least and most, and
//! what the machine is. Only this module and the tables write to stdout.

use std::process::Command;

use crate::measure::median;

/// Rows of cells under their headings; the first `left` columns are words.
pub struct Grid {
    left: usize,
    rows: Vec<Vec<String>>,
}

impl Grid {
    /// With these headings.
    pub fn new(left: usize, headings: &[&str]) -> Grid {
        let headings = headings.iter().map(|text| text.to_string()).collect();
        Grid {
            left,
            rows: vec![headings],
        }
    }

    /// One more row, which may be shorter than the headings.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Prints it, and an empty line.
    pub fn print(&self) {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for row in &self.rows {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                let width = widths[column];
                match column < self.left {
                    true => line += &format!("{cell:<width$}  "),
                    false => line += &format!("{cell:>width$}  "),
                }
            }
            println!("{}", line.trim_end());
        }
        println!();
    }
}

/// `0.98 (0.95-1.02)`: the median, the least and the most.
pub fn span(values: &[f64]) -> String {
    if values.is_empty() {
        return "-".into();
    }
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(0.0, f64::max);
    let middle = median(values.iter().copied());
    format!("{middle:.2} ({least:.2}-{most:.2})")
}

/// The median with so many decimals.
pub fn middle(values: &[f64], decimals: usize) -> String {
    match values.is_empty() {
        true => "-".into(),
        false => format!("{:.decimals$}", median(values.iter().copied())),
    }
}

/// One line on the machine: processor, cores, kernel.
pub fn machine() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo")
        .ok()
        .and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("model name"))?;
            Some(line.split_once(':')?.1.trim().to_string())
        })
        .or_else(|| said("sysctl", &["-n", "hw.model"]));
    format!(
        "Machine: {}, {} cores, {}",
        cpu.as_deref().unwrap_or("unknown processor"),
        std::thread::available_parallelism().map_or(0, usize::from),
        said("uname", &["-srm"])
            .as_deref()
            .unwrap_or("unknown kernel"),
    )
}

/// What a command says on stdout, if it succeeds.
pub fn said(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_string())
}
