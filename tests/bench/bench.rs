//! What a whole bench works with: its settings, the sink, the programs, and a
//! scratch folder that is gone when it ends.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::Outcome;
use crate::call::{Call, Endpoint};
use crate::measure;
use crate::peers::{self, Tool};
use crate::settings::{Settings, Table};
use crate::sink::Sink;
use crate::tls::Certificate;

/// Whose figures.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// The yardstick.
    Floor,
    /// What is measured, with so many workers.
    S3pipe(u32),
    /// Somebody else's.
    Peer(Tool),
}

impl Program {
    /// For tables and messages.
    pub fn name(self) -> String {
        match self {
            Program::Floor => "floor".into(),
            Program::S3pipe(jobs) => format!("s3pipe -j {jobs}"),
            Program::Peer(tool) => tool.name().into(),
        }
    }
}

/// What is between a program and the sink.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    Plain,
    Tls,
}

/// All that a bench needs.
pub struct Bench {
    pub settings: Settings,
    pub sink: Sink,
    /// The s3pipe that is measured.
    pub binary: PathBuf,
    /// Whether it knows `-j`; if not, there is one worker.
    pub has_jobs: bool,
    /// The peers on PATH, and their programs.
    pub peers: Vec<(Tool, PathBuf)>,
    /// Those that are not.
    pub missing: Vec<&'static str>,
    certificate: Option<Certificate>,
    scratch: Scratch,
    /// The input and the output file, and their length.
    files: Option<(File, File, u64)>,
    uploads: u32,
}

impl Bench {
    /// Makes the folder, and a certificate where one will be needed, and starts
    /// the sink.
    pub fn new(settings: Settings) -> Outcome<Bench> {
        let scratch = Scratch::new()?;
        let certificate = match settings.wants(Table::Tls) {
            true => Some(Certificate::new(&scratch.0)?),
            false => None,
        };
        let mut sink = Call::again(&["sink"])?;
        if let Some(made) = &certificate {
            sink = sink.arg(&made.chain).arg(&made.key);
        }
        let sink = Sink::start(sink.command(&scratch.0))?;
        let binary = env::var_os("S3PIPE_BENCH_BIN").map_or_else(
            || PathBuf::from(env!("CARGO_BIN_EXE_s3pipe")),
            PathBuf::from,
        );
        let mut probe = Call::new(&binary)
            .args(["-j", "1", "-V"])
            .command(&scratch.0);
        let probe = probe.stderr(Stdio::null()).status();
        let has_jobs = probe.map_err(|e| format!("{}: {e}", binary.display()))?;
        let (peers, missing) = peers::find();
        Ok(Bench {
            settings,
            sink,
            binary,
            has_jobs: has_jobs.success(),
            peers,
            missing,
            certificate,
            scratch,
            files: None,
            uploads: 0,
        })
    }

    /// The numbers of workers for a table: what the settings say, or else
    /// `usual`; or just one.
    pub fn jobs(&self, usual: &[u32]) -> Vec<u32> {
        match &self.settings.jobs {
            _ if !self.has_jobs => vec![1],
            Some(jobs) => jobs.clone(),
            None => usual.to_vec(),
        }
    }

    /// The value for `-j`, where it is known.
    pub fn option(&self, jobs: u32) -> Option<u32> {
        self.has_jobs.then_some(jobs)
    }

    /// Where to reach the sink.
    pub fn endpoint(&self, scheme: Scheme) -> Outcome<Endpoint> {
        Ok(match (scheme, &self.certificate, self.sink.tls) {
            (Scheme::Plain, ..) => Endpoint {
                port: self.sink.plain,
                authority: None,
            },
            (Scheme::Tls, Some(made), Some(port)) => Endpoint {
                port,
                authority: Some(made.chain.clone()),
            },
            _ => return Err("the sink has no certificate".into()),
        })
    }

    /// A folder for the programs' home, and for what comes up.
    pub fn home(&self) -> &Path {
        &self.scratch.0
    }

    /// The program of a peer.
    pub fn program(&self, tool: Tool) -> Outcome<&Path> {
        let found = self.peers.iter().find(|(known, _)| *known == tool);
        let (_, program) = found.ok_or_else(|| format!("{}: not on PATH", tool.name()))?;
        Ok(program)
    }

    /// A stream's name that no upload has had.
    pub fn fresh_stream(&mut self) -> String {
        self.uploads += 1;
        self.stream()
    }

    /// The name that was given out last.
    pub fn stream(&self) -> String {
        format!("bench-{}", self.uploads)
    }

    /// A file of `bytes` bytes of the pattern, which is in the page cache; and
    /// as long a one that downloads overwrite: so none of them is charged with
    /// finding memory for new pages, the same for all and on a virtual machine
    /// more than all the rest. Neither has a name, so that nothing is left
    /// behind even by a bench that is killed.
    pub fn files(&mut self, bytes: u64) -> Outcome<(File, File)> {
        if self
            .files
            .as_ref()
            .is_none_or(|(.., length)| *length != bytes)
        {
            eprintln!("writing the files");
            let input = unnamed(&self.scratch.0.join("input"))?;
            let output = unnamed(&self.scratch.0.join("output"))?;
            for file in [&input, &output] {
                let write = Call::again(&["write", &bytes.to_string()])?;
                let mut write = write.command(&self.scratch.0);
                write.stdout(file.try_clone()?);
                measure::run("writing the files", write)?;
                // On its way to the disk it would slow down what comes next.
                file.sync_all()?;
            }
            self.files = Some((input, output, bytes));
        }
        let (input, output, _) = self.files.as_ref().ok_or("no files")?;
        Ok((input.try_clone()?, output.try_clone()?))
    }
}

/// A folder of this process.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Outcome<Scratch> {
        let folder = env::var_os("TMPDIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from);
        let path = folder.join(format!("s3pipe-bench-{}", std::process::id()));
        fs::create_dir(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(Scratch(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Small files at most: nothing is lost if they stay.
        let _ = fs::remove_dir_all(&self.0);
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
