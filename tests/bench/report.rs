//! The whole bench: settings, the rows in order, and the tables on stdout.
//! Each pair of runs is told on stderr as it ends.

use std::env;
use std::process::Command;

use crate::measure::{self, Cost, median};
use crate::pattern::BLOCK;
use crate::series::{Program, Series, Way};
use crate::{Outcome, again};

const GIB: f64 = (1u64 << 30) as f64;

const ROWS: [(Way, &str); 4] = [
    (Way::UpFile, "upload from a file"),
    (Way::UpPipe, "upload from a pipe"),
    (Way::DownFile, "download to a file"),
    (Way::DownNull, "download to /dev/null"),
];

/// What a table ends with.
const FLOOR: &str = "\
The floor is one process that reads stdin into one page-aligned 16 MiB block,
hashes it with SHA-256 and sends it, or receives, hashes, compares and writes it:
one kept-alive connection, four header lines, nothing else (tests/bench/floor.rs).
CPU time is user and system time of s3pipe and its workers, from wait4(2); a
ratio is s3pipe's to that of the floor run just before it: median (least-most).
Peak memory is that of the largest single process. The server is a stand-in on
loopback that verifies no signature and keeps no block (tests/bench/sink.rs).";

struct Settings {
    bytes: u64,
    runs: usize,
    memory: Vec<f64>,
    jobs: Option<String>,
}

impl Settings {
    fn read() -> Outcome<Settings> {
        let get = |name: &str, default: &str| env::var(name).unwrap_or(default.to_string());
        let number = |name: &str, text: &str| {
            let number = text.trim().parse::<f64>();
            number
                .ok()
                .filter(|n| *n > 0.0 && *n < 1e6)
                .ok_or_else(|| format!("{name}: not a number above 0: {text:?}"))
        };
        let memory = get("BENCH_RSS", "1,16");
        Ok(Settings {
            bytes: bytes(number("BENCH_GIB", &get("BENCH_GIB", "4"))?),
            runs: number("BENCH_RUNS", &get("BENCH_RUNS", "3"))?.ceil() as usize,
            memory: memory
                .split(',')
                .map(|text| number("BENCH_RSS", text))
                .collect::<Result<_, _>>()?,
            jobs: env::var("BENCH_JOBS").ok(),
        })
    }
}

fn bytes(gib: f64) -> u64 {
    ((gib * GIB) as u64).max(1)
}

/// Measures everything and prints it.
pub fn all() -> Outcome {
    let settings = Settings::read()?;
    eprintln!("writing the files");
    let mut series = Series::new(settings.bytes, settings.jobs.clone())?;
    let mut table = Vec::new();
    for (way, name) in ROWS {
        table.push((name, row(&mut series, &settings, way, name)?));
    }
    let memory = memory(&mut series, &settings)?;
    let least = measure::least(again(&["nothing"])?)?;

    println!(
        "s3pipe against the floor: {:.2} GiB, {} pairs of runs, medians; -j {}\n",
        settings.bytes as f64 / GIB,
        settings.runs,
        settings.jobs.as_deref().unwrap_or("by default"),
    );
    speed_table(&table, settings.bytes);
    memory_table(&settings.memory, &memory, least);
    println!("\n{FLOOR}\n\n{}", machine());
    Ok(())
}

/// The pairs of one row: (floor, s3pipe).
fn row(
    series: &mut Series,
    settings: &Settings,
    way: Way,
    name: &str,
) -> Outcome<Vec<(Cost, Cost)>> {
    // Not counted: it brings the files' pages back, where the kernel (or a
    // virtual machine's host) has taken them away since they were written.
    series.transfer(Program::Floor, way, settings.bytes)?;
    let mut pairs = Vec::new();
    for run in 1..=settings.runs {
        let floor = series.transfer(Program::Floor, way, settings.bytes)?;
        let s3pipe = series.transfer(Program::S3pipe, way, settings.bytes)?;
        eprintln!(
            "{name}, {run}: floor {:.2} user + {:.2} system, s3pipe {:.2} user + {:.2} system",
            floor.user, floor.system, s3pipe.user, s3pipe.system
        );
        if floor.disk_reads > 0 && way == Way::UpFile {
            eprintln!(
                "note: {} reads of the input file went to the disk",
                floor.disk_reads
            );
        }
        pairs.push((floor, s3pipe));
    }
    Ok(pairs)
}

fn speed_table(table: &[(&str, Vec<(Cost, Cost)>)], bytes: u64) {
    println!(
        "{:24}{:^18}{:^20}{:^18}{:>10}",
        "", "CPU s/GiB", "ratio", "MB/s", "peak MiB"
    );
    println!(
        "{:24}{:>8} {:>8} {:20}{:>8} {:>8} {:>10}",
        "", "floor", "s3pipe", "", "floor", "s3pipe", "s3pipe"
    );
    for (name, pairs) in table {
        let of = |figure: &dyn Fn(&(Cost, Cost)) -> f64| median(pairs.iter().map(figure));
        let gib = bytes as f64 / GIB;
        let rate = |cost: &Cost| bytes as f64 / 1e6 / cost.wall.as_secs_f64();
        let ratio = |pair: &(Cost, Cost)| pair.1.cpu() / pair.0.cpu();
        let ratios = pairs.iter().map(ratio);
        let span = format!(
            "{:.2} ({:.2}-{:.2})",
            of(&ratio),
            ratios.clone().fold(f64::INFINITY, f64::min),
            ratios.fold(0.0, f64::max)
        );
        println!(
            "{name:24}{:>8.3} {:>8.3} {span:^20}{:>8.0} {:>8.0} {:>10.1}",
            of(&|pair| pair.0.cpu() / gib),
            of(&|pair| pair.1.cpu() / gib),
            of(&|pair| rate(&pair.0)),
            of(&|pair| rate(&pair.1)),
            pairs.iter().map(|pair| pair.1.peak).fold(0.0, f64::max)
        );
    }
}

/// s3pipe's peaks at each of the lengths: (up, down), in MiB.
fn memory(series: &mut Series, settings: &Settings) -> Outcome<Vec<(f64, f64)>> {
    let mut peaks = Vec::new();
    for gib in &settings.memory {
        let up = series.transfer(Program::S3pipe, Way::UpPipe, bytes(*gib))?;
        let down = series.transfer(Program::S3pipe, Way::DownNull, bytes(*gib))?;
        eprintln!(
            "memory at {gib} GiB: up {:.1}, down {:.1}",
            up.peak, down.peak
        );
        peaks.push((up.peak, down.peak));
    }
    Ok(peaks)
}

fn memory_table(lengths: &[f64], peaks: &[(f64, f64)], least: f64) {
    let aim = (BLOCK >> 20) as f64 + 8.0;
    let line = |name: &str, cells: &mut dyn Iterator<Item = String>, end: &str| {
        let cells: String = cells.map(|cell| format!("{cell:>12}")).collect();
        println!("{name:24}{cells}{end:>12}");
    };
    println!();
    line(
        "peak memory, MiB",
        &mut lengths.iter().map(|gib| format!("{gib} GiB")),
        "aim",
    );
    let end = format!("{aim:.0}");
    line(
        "upload from a pipe",
        &mut peaks.iter().map(|peak| format!("{:.1}", peak.0)),
        &end,
    );
    line(
        "download to /dev/null",
        &mut peaks.iter().map(|peak| format!("{:.1}", peak.1)),
        &end,
    );
    println!("The aim is one block and 8 MiB. A child that does nothing reads {least:.1}.");
}

/// One line on the machine: processor, cores, kernel.
fn machine() -> String {
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
fn said(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_string())
}
