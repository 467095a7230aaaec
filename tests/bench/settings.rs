//! The settings of a bench, from the environment. One that makes no sense is
//! an error, so that nobody waits for figures of something else.

use std::env;

use crate::Outcome;

/// Bytes.
pub const GIB: f64 = (1u64 << 30) as f64;

/// What can be printed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Table {
    Cpu,
    Tls,
    Network,
    Speed,
    Memory,
    Start,
    Many,
}

/// All of them, in order, with the words that choose them.
const TABLES: [(&str, Table); 7] = [
    ("cpu", Table::Cpu),
    ("speed", Table::Speed),
    ("tls", Table::Tls),
    ("network", Table::Network),
    ("memory", Table::Memory),
    ("start", Table::Start),
    ("many", Table::Many),
];

/// How the bench is run.
pub struct Settings {
    /// Bytes of a measured stream.
    pub bytes: u64,
    /// Rounds of each row.
    pub runs: usize,
    /// Lengths for the memory table, in GiB.
    pub memory: Vec<f64>,
    /// Numbers of workers for all tables, if not each table's own.
    pub jobs: Option<Vec<u32>>,
    tables: Vec<Table>,
}

impl Settings {
    /// From the environment.
    pub fn read() -> Outcome<Settings> {
        let bytes = bytes(number("BENCH_GIB", &get("BENCH_GIB", "2"))?);
        let runs = number("BENCH_RUNS", &get("BENCH_RUNS", "3"))?.ceil() as usize;
        let memory = list("BENCH_RSS", &get("BENCH_RSS", "1,4,16"))?;
        let jobs = env::var("BENCH_JOBS").ok();
        let jobs = jobs.map(|text| list("BENCH_JOBS", &text)).transpose()?;
        let all: Vec<&str> = TABLES.iter().map(|(word, _)| *word).collect();
        let words = get("BENCH_TABLES", &all.join(","));
        let table = |word: &str| {
            let found = TABLES.iter().find(|(known, _)| *known == word.trim());
            let found = found.map(|(_, table)| *table);
            found.ok_or_else(|| format!("BENCH_TABLES: not one of {}: {word:?}", all.join(",")))
        };
        Ok(Settings {
            bytes,
            runs,
            memory,
            jobs: jobs.map(|jobs| jobs.iter().map(|n| *n as u32).collect()),
            tables: words.split(',').map(table).collect::<Result<_, _>>()?,
        })
    }

    /// Whether a table is to be printed.
    pub fn wants(&self, table: Table) -> bool {
        self.tables.contains(&table)
    }
}

/// Of so many GiB; one at least.
pub fn bytes(gib: f64) -> u64 {
    ((gib * GIB) as u64).max(1)
}

fn get(name: &str, default: &str) -> String {
    env::var(name).unwrap_or(default.to_string())
}

fn number(name: &str, text: &str) -> Outcome<f64> {
    let number = text.trim().parse::<f64>().ok();
    let number = number.filter(|n| *n > 0.0 && *n < 1e6);
    Ok(number.ok_or_else(|| format!("{name}: not a number above 0: {text:?}"))?)
}

fn list(name: &str, text: &str) -> Outcome<Vec<f64>> {
    text.split(',').map(|text| number(name, text)).collect()
}
