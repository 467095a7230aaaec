//! One measured transfer after another: s3pipe, the floor or a peer, up or
//! down, with the streams' ends at a file, a pipe or the null device.
//!
//! A transfer whose bytes do not come to the right number at both ends is an
//! error.

use std::fs::{self, File};
use std::io::Seek;
use std::process::{Child, Command, Stdio};

use crate::Outcome;
use crate::bench::{Bench, Program, Scheme};
use crate::call::{self, Call};
use crate::floor::UPLOADED;
use crate::measure::{self, Cost};
use crate::pattern::BLOCK;
use crate::peers::{self, Task};
use crate::tally::Counts;

/// Which way, and what is at the stream's other end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// stdin is a file in the page cache.
    UpFile,
    /// stdin is a pipe.
    UpPipe,
    /// stdout is a file that is overwritten.
    DownFile,
    /// stdout is the null device.
    DownNull,
}

impl Way {
    /// For tables and messages.
    pub fn name(self) -> &'static str {
        match self {
            Way::UpFile => "upload from a file",
            Way::UpPipe => "upload from a pipe",
            Way::DownFile => "download to a file",
            Way::DownNull => "download to /dev/null",
        }
    }

    /// Whether it is an upload.
    pub fn is_up(self) -> bool {
        matches!(self, Way::UpFile | Way::UpPipe)
    }

    /// What a peer is asked for, if peers are asked at all.
    pub fn task(self) -> Option<Task> {
        match self {
            Way::UpFile => Some(Task::PutFile),
            Way::UpPipe => Some(Task::PutPipe),
            Way::DownNull => Some(Task::Get),
            Way::DownFile => None,
        }
    }
}

/// What is to be moved. A download by s3pipe or the floor takes what the last
/// upload by the same program has left, which must have been of that length.
#[derive(Clone, Copy)]
pub struct Transfer {
    pub program: Program,
    pub way: Way,
    pub scheme: Scheme,
    pub bytes: u64,
}

/// What it cost, and what the sink saw of it.
#[derive(Clone, Copy)]
pub struct Moved {
    pub cost: Cost,
    pub seen: Counts,
    /// Bytes that were to be moved.
    pub bytes: u64,
}

impl Transfer {
    /// Does it.
    pub fn run(self, bench: &mut Bench) -> Outcome<Moved> {
        self.run_by(bench, measure::run)
    }

    /// Does it with the memory of all processes sampled.
    pub fn run_sampled(self, bench: &mut Bench) -> Outcome<Moved> {
        self.run_by(bench, measure::run_sampled)
    }

    fn run_by(self, bench: &mut Bench, run: Runner) -> Outcome<Moved> {
        let call = self.call(bench)?;
        self.run_call(bench, &call, run)
    }

    /// Does it with another command line than its own.
    pub fn run_call(self, bench: &mut Bench, call: &Call, run: Runner) -> Outcome<Moved> {
        let name = self.program.name();
        let mut command = call.command(bench.home());
        let source = self.ends(bench, &mut command)?;
        // Whatever came before is somebody else's.
        bench.sink.counts()?;
        let cost = match self.program {
            Program::Peer(_) => quietly(bench, &name, command, run),
            _ => run(&name, command),
        };
        if let Some(mut child) = source {
            let status = child.wait()?;
            if cost.is_ok() && !status.success() {
                return Err(format!("{name} did not read its stdin to the end").into());
            }
        }
        let (cost, seen) = (cost?, bench.sink.counts()?);
        self.verify(bench, seen)?;
        let bytes = self.bytes;
        Ok(Moved { cost, seen, bytes })
    }

    /// The command line, without the stream's ends.
    pub fn call(self, bench: &mut Bench) -> Outcome<Call> {
        let endpoint = bench.endpoint(self.scheme)?;
        match self.program {
            Program::Floor if self.way.is_up() => call::floor("floor-up", &endpoint, &[]),
            Program::Floor => {
                let blocks = self.bytes.div_ceil(BLOCK as u64).to_string();
                call::floor("floor-down", &endpoint, &[UPLOADED, &blocks])
            }
            Program::S3pipe(jobs) => {
                let (word, stream) = match self.way.is_up() {
                    true => ("upload", bench.fresh_stream()),
                    false => ("download", bench.stream()),
                };
                let call = call::s3pipe(&bench.binary, &endpoint, bench.option(jobs));
                Ok(call.arg("-s").arg(stream).arg(word))
            }
            Program::Peer(tool) => {
                if !self.way.is_up() {
                    let prefix = peers::DOWN.trim_end_matches('0');
                    bench.sink.make_objects(1, prefix, self.bytes)?;
                }
                let task = self.way.task();
                let program = bench.program(tool)?;
                let call = task.and_then(|task| tool.call(program, task, &endpoint));
                Ok(call.ok_or("it cannot do that")?)
            }
        }
    }

    /// Gives the command the stream's end: the process that feeds it, if any.
    fn ends(self, bench: &mut Bench, command: &mut Command) -> Outcome<Option<Child>> {
        match self.way {
            Way::UpFile => {
                let (mut input, _) = bench.files(self.bytes)?;
                input.rewind()?;
                command.stdin(input);
            }
            Way::UpPipe => {
                let write = Call::again(&["write", &self.bytes.to_string()])?;
                let mut write = write.command(bench.home());
                // Where its reader fails, that is what there is to be told.
                let write = write.stdout(Stdio::piped()).stderr(Stdio::null());
                let mut child = write.spawn()?;
                command.stdin(child.stdout.take().ok_or("no pipe")?);
                return Ok(Some(child));
            }
            Way::DownFile => {
                let (_, mut output) = bench.files(self.bytes)?;
                output.rewind()?;
                command.stdout(output);
            }
            Way::DownNull => {}
        }
        Ok(None)
    }

    /// Whether the bytes arrived: all of them, once, and the right ones.
    fn verify(self, bench: &mut Bench, seen: Counts) -> Outcome {
        let (name, bytes) = (self.program.name(), self.bytes);
        let expected = if self.way.is_up() {
            (bytes, 0)
        } else {
            (0, bytes)
        };
        if (seen.received, seen.sent) != expected {
            return Err(format!(
                "{name}: {bytes} bytes to transfer, but the sink received {} and sent {}",
                seen.received, seen.sent
            )
            .into());
        }
        if self.way == Way::DownFile {
            // The offset is ours and the child's alike, and only writing moves
            // it: what was there before is overwritten up to here.
            let (_, mut output) = bench.files(bytes)?;
            let written = output.stream_position()?;
            if written != bytes {
                return Err(format!("{name}: {written} bytes written of {bytes}").into());
            }
            output.rewind()?;
            let mut check = Call::again(&["check", &bytes.to_string()])?.command(bench.home());
            check.stdin(output);
            measure::run(&format!("{name}'s output file"), check)?;
        }
        Ok(())
    }
}

/// Runs a command to its end, and measures it.
pub type Runner = fn(&str, Command) -> Outcome<Cost>;

/// Runs a peer, whose messages nobody wants unless it fails: then the last line
/// of them is in the error.
pub fn quietly(bench: &Bench, name: &str, mut command: Command, run: Runner) -> Outcome<Cost> {
    let path = bench.home().join("stderr");
    command.stderr(File::create(&path)?);
    run(name, command).map_err(|e| {
        let said = fs::read(&path).unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        let last = said.lines().rfind(|line| !line.trim().is_empty());
        let last: String = last.unwrap_or("").trim().chars().take(200).collect();
        format!("{e}: {last}").into()
    })
}
