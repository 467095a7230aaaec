//! One measured transfer after another: s3pipe or the floor, up or down, with
//! the streams' ends at a file, a pipe or the null device.
//!
//! A transfer whose bytes do not come to the right number at both ends is an
//! error. The input and output files have no name once they are made, so that
//! nothing is left behind even by a bench that is killed.

use std::env;
use std::fs::{self, File};
use std::io::Seek;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::measure::{self, Cost};
use crate::pattern::BLOCK;
use crate::sink::Sink;
use crate::{Outcome, again};

/// Whose transfer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// The yardstick.
    Floor,
    /// What is measured.
    S3pipe,
}

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
    fn is_up(self) -> bool {
        matches!(self, Way::UpFile | Way::UpPipe)
    }
}

/// All that a series needs.
pub struct Series {
    sink: Sink,
    input: File,
    output: File,
    /// The length of the input file.
    filed: u64,
    jobs: Option<String>,
    binary: PathBuf,
    home: PathBuf,
    uploads: u32,
}

impl Series {
    /// Starts the sink and writes an input file of `filed` bytes, which leaves
    /// it in the page cache; and an output file, which downloads overwrite: so
    /// none of them is charged with finding memory for new pages, the same for
    /// all and on a virtual machine more than all the rest. `jobs` is for
    /// s3pipe's `-j`.
    pub fn new(filed: u64, jobs: Option<String>) -> Outcome<Series> {
        let folder = env::var_os("TMPDIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from);
        let binary = env::var_os("S3PIPE_BENCH_BIN").map_or_else(
            || PathBuf::from(env!("CARGO_BIN_EXE_s3pipe")),
            PathBuf::from,
        );
        let home = folder.join(format!("s3pipe-bench-{}", std::process::id()));
        fs::create_dir(&home).map_err(|e| format!("{}: {e}", home.display()))?;
        let input = unnamed(&home.join("input"))?;
        let output = unnamed(&home.join("output"))?;
        let series = Series {
            sink: Sink::start(again(&["sink"])?)?,
            input,
            output,
            filed,
            jobs,
            binary,
            home,
            uploads: 0,
        };
        for file in [&series.input, &series.output] {
            let mut write = again(&["write", &filed.to_string()])?;
            write.stdout(file.try_clone()?);
            measure::run("writing the files", write)?;
            // On its way to the disk it would slow down what is measured next.
            file.sync_all()?;
        }
        Ok(series)
    }

    /// One transfer of `bytes` bytes. A download takes what the last upload
    /// by the same program has left, which must have been of that length.
    pub fn transfer(&mut self, program: Program, way: Way, bytes: u64) -> Outcome<Cost> {
        let name = match program {
            Program::Floor => "floor",
            Program::S3pipe => "s3pipe",
        };
        let mut command = self.command(program, way, bytes)?;
        let mut source = None;
        match way {
            Way::UpFile => {
                assert_eq!(bytes, self.filed, "the input file has one length");
                self.input.rewind()?;
                command.stdin(self.input.try_clone()?);
            }
            Way::UpPipe => {
                let mut write = again(&["write", &bytes.to_string()])?;
                let mut child = write.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
                command.stdin(child.stdout.take().ok_or("no pipe")?);
                source = Some(child);
            }
            Way::DownFile => {
                self.output.rewind()?;
                command.stdout(self.output.try_clone()?);
            }
            Way::DownNull => {
                command.stdout(Stdio::null());
            }
        }
        let cost = measure::run(name, command)?;
        if let Some(mut child) = source
            && !child.wait()?.success()
        {
            return Err(format!("{name} did not read its stdin to the end").into());
        }
        self.verify(name, way, bytes)?;
        Ok(cost)
    }

    /// The command line of one transfer, without the stream's end.
    fn command(&mut self, program: Program, way: Way, bytes: u64) -> Outcome<Command> {
        let port = self.sink.port.to_string();
        if program == Program::Floor {
            let blocks = bytes.div_ceil(BLOCK as u64).to_string();
            let mut command = match way.is_up() {
                true => again(&["floor-up", &port])?,
                false => again(&["floor-down", &port, &blocks])?,
            };
            command.stdin(Stdio::null()).stdout(Stdio::null());
            return Ok(command);
        }
        if way.is_up() {
            self.uploads += 1;
        }
        let mut command = Command::new(&self.binary);
        command
            .arg("-q")
            .args(["--endpoint", &format!("http://127.0.0.1:{port}")])
            .args(["--region", "us-east-1", "-b", "bench"])
            .args(["-s", &format!("bench-{}", self.uploads)]);
        if let Some(jobs) = &self.jobs {
            command.args(["-j", jobs]);
        }
        command
            .arg(if way.is_up() { "upload" } else { "download" })
            // Nobody's settings, proxies or credentials.
            .env_clear()
            .env("HOME", &self.home)
            .env("AWS_ACCESS_KEY_ID", "bench")
            .env("AWS_SECRET_ACCESS_KEY", "bench")
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        Ok(command)
    }

    /// Whether the bytes arrived: all of them, once, and the right ones.
    fn verify(&mut self, name: &str, way: Way, bytes: u64) -> Outcome {
        let (received, sent) = self.sink.counts()?;
        let expected = if way.is_up() { (bytes, 0) } else { (0, bytes) };
        if (received, sent) != expected {
            return Err(format!(
                "{name}: {bytes} bytes to transfer, but the sink received {received} \
                 and sent {sent}"
            )
            .into());
        }
        if way == Way::DownFile {
            // The offset is ours and the child's alike, and only writing moves
            // it: what was there before is overwritten up to here.
            let written = self.output.stream_position()?;
            if written != bytes {
                return Err(format!("{name}: {written} bytes written of {bytes}").into());
            }
            self.output.rewind()?;
            let mut check = again(&["check", &bytes.to_string()])?;
            check.stdin(self.output.try_clone()?);
            measure::run(&format!("{name}'s output file"), check)?;
        }
        Ok(())
    }
}

impl Drop for Series {
    fn drop(&mut self) {
        // An empty folder: nothing is lost if it stays.
        let _ = fs::remove_dir(&self.home);
    }
}

/// A new file whose name is gone already.
fn unnamed(path: &Path) -> Outcome<File> {
    let context = |e| format!("{}: {e}", path.display());
    let file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(path)
        .map_err(context)?;
    fs::remove_file(path).map_err(context)?;
    Ok(file)
}
