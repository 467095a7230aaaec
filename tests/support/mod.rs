//! What the integration tests have in common: servers, scratch folders, and
//! the built s3pipe in a clean environment.
//!
//! Nothing here may make a test pass that should not: whatever it
//! cannot do is a panic. No message shows more than a few lines of data.

// Each test binary uses a part.
#![allow(dead_code, unused_imports)]

pub mod keys;
pub mod relay;
pub mod server;
pub mod store;
mod unusual;

use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{env, fmt};

pub use server::{BUCKET, Scratch, Server};

/// The built s3pipe, about to be run.
pub struct Run {
    command: Command,
    options: Vec<(String, String)>,
    args: Vec<OsString>,
    stdin: Input,
}

/// Where stdin comes from.
enum Input {
    Bytes(Vec<u8>),
    Pipe,
    Other(Stdio),
}

/// s3pipe with this server, its credentials and [`BUCKET`].
pub fn s3pipe(server: &Server) -> Run {
    let mut run = s3pipe_alone(&server.home)
        .env("AWS_ACCESS_KEY_ID", &server.id)
        .env("AWS_SECRET_ACCESS_KEY", &server.key)
        .option("--endpoint", &server.endpoint)
        .option("--region", &server.region)
        .option("-b", BUCKET);
    if let Some(ca) = &server.ca {
        run = run.option("--ca-file", ca.to_str().expect("a UTF-8 path"));
    }
    run
}

/// s3pipe with no server, no credentials and nothing in its environment but
/// PATH and this home. Its stdin is empty.
pub fn s3pipe_alone(home: &Path) -> Run {
    let another = env::var_os("S3PIPE_TEST_BINARY").map(PathBuf::from);
    let program = another.unwrap_or(env!("CARGO_BIN_EXE_s3pipe").into());
    built(&program, home)
}

/// The same of another build of it.
pub fn built(program: &Path, home: &Path) -> Run {
    let mut command = Command::new(program);
    command.env_clear().env("HOME", home);
    // Where the tests run on a machine of Amazon's, that one is not asked.
    command.env("AWS_EC2_METADATA_DISABLED", "true");
    command.env("PATH", env::var_os("PATH").expect("PATH"));
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    Run {
        command,
        options: Vec::new(),
        args: Vec::new(),
        stdin: Input::Bytes(Vec::new()),
    }
}

impl Run {
    /// Sets an option that has a value, replacing what it had; these come
    /// before all arguments.
    pub fn option(mut self, name: &str, value: &str) -> Run {
        self = self.without(name);
        self.options.push((name.into(), value.into()));
        self
    }

    /// Takes such an option away.
    pub fn without(mut self, name: &str) -> Run {
        self.options.retain(|(known, _)| known != name);
        self
    }

    /// Adds an argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Run {
        self.args.push(arg.as_ref().into());
        self
    }

    /// Adds arguments.
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Run {
        self.args
            .extend(args.into_iter().map(|arg| arg.as_ref().into()));
        self
    }

    /// Sets a variable of its environment.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Run {
        self.command.env(name, value);
        self
    }

    /// Takes a variable away.
    pub fn env_remove(mut self, name: &str) -> Run {
        self.command.env_remove(name);
        self
    }

    /// Feeds these bytes to stdin, then ends it.
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Run {
        self.stdin = Input::Bytes(bytes.into());
        self
    }

    /// Keeps stdin open, for [`Running::feed`].
    pub fn stdin_open(mut self) -> Run {
        self.stdin = Input::Pipe;
        self
    }

    /// Takes stdin from a file or a pipe.
    pub fn stdin_from(mut self, stdin: impl Into<Stdio>) -> Run {
        self.stdin = Input::Other(stdin.into());
        self
    }

    /// Sends stdout to a file or a pipe; the outcome then has none.
    pub fn stdout_to(mut self, stdout: impl Into<Stdio>) -> Run {
        self.command.stdout(stdout);
        self
    }

    /// With no workers: for a test that is about the order of requests.
    pub fn alone(self) -> Run {
        self.option("-j", "1")
    }

    /// So many workers as `S3PIPE_TEST_JOBS` says, where the test does not say
    /// and the command can have any.
    fn with_jobs(self) -> Run {
        let transfers = |arg: &OsString| ["upload", "download", "verify"].iter().any(|c| arg == c);
        let said = self.options.iter().any(|(name, _)| name == "-j");
        let by_hand = self.args.iter().any(|arg| arg == "--worker");
        match env::var("S3PIPE_TEST_JOBS") {
            Ok(jobs) if !said && !by_hand && self.args.iter().any(transfers) => {
                self.option("-j", &jobs)
            }
            _ => self,
        }
    }

    /// Where what it talks to is a proxy's front: its certificate is trusted.
    fn with_trust(self) -> Run {
        let has = |name: &str| self.options.iter().any(|(known, _)| known == name);
        let fits = |(name, value): &(String, String)| {
            name == "--endpoint" && value.starts_with("https://127.0.0.1")
        };
        let wanted = env::var_os("S3PIPE_TEST_TLS").is_some();
        if !wanted || has("--ca-file") || !self.options.iter().any(fits) {
            return self;
        }
        let certificate = crate::proxy::front::certificate();
        self.option("--ca-file", certificate.to_str().expect("a UTF-8 path"))
    }

    /// Where it is a mutated one (tests/mutants), the name of its mutant.
    fn with_mutant(self) -> Run {
        match env::var_os("S3PIPE_MUTANT") {
            Some(name) => self.env("S3PIPE_MUTANT", name),
            None => self,
        }
    }

    /// Runs it to its end.
    pub fn run(self) -> Outcome {
        self.spawn().wait()
    }

    /// Starts it.
    pub fn spawn(self) -> Running {
        let mut this = self.with_jobs().with_trust().with_mutant();
        for (name, value) in &this.options {
            this.command.args([name, value]);
        }
        this.command.args(&this.args);
        let (stdin, bytes) = match this.stdin {
            Input::Bytes(bytes) => (Stdio::piped(), Some(bytes)),
            Input::Pipe => (Stdio::piped(), None),
            Input::Other(stdin) => (stdin, None),
        };
        let child = this.command.stdin(stdin).spawn().expect("s3pipe starts");
        Running::new(child, bytes)
    }
}

/// A running s3pipe: its outputs are drained, and it is killed if the test
/// forgets it.
pub struct Running {
    child: Child,
    /// Kept open for [`Running::feed`].
    stdin: Option<ChildStdin>,
    feeder: Option<JoinHandle<()>>,
    stdout: Arc<Drain>,
    stderr: Arc<Drain>,
}

impl Running {
    fn new(mut child: Child, bytes: Option<Vec<u8>>) -> Running {
        let mut stdin = child.stdin.take();
        let feeder = bytes.and_then(|bytes| {
            let mut pipe = stdin.take()?;
            // A program that does not read on is no fault of the test's.
            Some(thread::spawn(move || drop(pipe.write_all(&bytes))))
        });
        Running {
            stdin,
            feeder,
            stdout: Drain::start(child.stdout.take()),
            stderr: Drain::start(child.stderr.take()),
            child,
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Writes to the stdin that [`Run::stdin_open`] keeps open; blocks while
    /// the pipe is full.
    pub fn feed(&mut self, bytes: &[u8]) {
        let stdin = self.stdin.as_mut().expect("an open stdin");
        stdin.write_all(bytes).expect("s3pipe reads");
    }

    /// Ends that stdin.
    pub fn feed_end(&mut self) {
        self.stdin = None;
    }

    /// Sends it a signal, named as kill(1) does: `INT`, `TERM`, `KILL`.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args(["-s", name, &self.pid().to_string()])
            .status();
        assert!(status.expect("kill runs").success(), "kill -s {name}");
    }

    /// Waits until its stderr holds this text; panics if that ends without.
    pub fn wait_for_stderr(&self, text: &str) {
        let found = self.stderr.wait_for(|data| {
            let wanted = text.as_bytes();
            data.windows(wanted.len()).any(|window| window == wanted)
        });
        assert!(
            found,
            "no '{text}' in its stderr: {}",
            excerpt(&self.stderr.all())
        );
    }

    /// Waits until it has written this many bytes to stdout; panics if that
    /// ends before.
    pub fn wait_for_stdout(&self, length: usize) {
        let found = self.stdout.wait_for(|data| data.len() >= length);
        assert!(found, "stdout ended before {length} bytes");
    }

    /// Waits for its end, and for the end of its outputs (which a process
    /// that it left behind would hold open).
    pub fn wait(mut self) -> Outcome {
        self.stdin = None;
        let status = self.child.wait().expect("a child");
        let outcome = Outcome {
            status: number(status),
            stdout: self.stdout.all(),
            stderr: String::from_utf8(self.stderr.all()).expect("UTF-8 on stderr"),
        };
        if let Some(feeder) = self.feeder.take() {
            feeder.join().expect("a feeder");
        }
        outcome
    }
}

impl Running {
    /// The same, but one that takes longer than this is killed: true, then.
    pub fn wait_or_kill(self, limit: Duration) -> (Outcome, bool) {
        let (done, ended) = mpsc::channel::<()>();
        let pid = self.pid().to_string();
        let watch = thread::spawn(move || {
            let late = ended.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Timeout);
            if late {
                let killed = Command::new("kill").args(["-s", "KILL", &pid]).status();
                assert!(killed.is_ok_and(|status| status.success()), "kill {pid}");
            }
            late
        });
        let outcome = self.wait();
        drop(done);
        (outcome, watch.join().expect("a watch"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a pipe has given so far, read by a thread of its own.
#[derive(Default)]
struct Drain {
    state: Mutex<(Vec<u8>, bool)>,
    changed: Condvar,
}

impl Drain {
    /// Reads a pipe until it ends; none ends at once.
    fn start(pipe: Option<impl Read + Send + 'static>) -> Arc<Drain> {
        let drain = Arc::new(Drain::default());
        let filled = Arc::clone(&drain);
        thread::spawn(move || {
            if let Some(mut pipe) = pipe {
                let mut part = vec![0; 1 << 16];
                while let Ok(length @ 1..) = pipe.read(&mut part) {
                    filled.state.lock().unwrap().0.extend(&part[..length]);
                    filled.changed.notify_all();
                }
            }
            filled.state.lock().unwrap().1 = true;
            filled.changed.notify_all();
        });
        drain
    }

    /// Waits until the data satisfies this; false where it ended before.
    fn wait_for(&self, enough: impl Fn(&[u8]) -> bool) -> bool {
        let state = self.state.lock().unwrap();
        let more = |state: &mut (Vec<u8>, bool)| !enough(&state.0) && !state.1;
        let state = self.changed.wait_while(state, more).unwrap();
        enough(&state.0)
    }

    /// Everything, once it has ended.
    fn all(&self) -> Vec<u8> {
        self.wait_for(|_| false);
        self.state.lock().unwrap().0.clone()
    }
}

/// How a run of s3pipe ended.
pub struct Outcome {
    /// The exit status, or 128 + the number of the signal that ended it.
    pub status: i32,
    /// Everything that it wrote to stdout.
    pub stdout: Vec<u8>,
    /// Everything that it wrote to stderr.
    pub stderr: String,
}

impl Outcome {
    /// It succeeded, and had nothing to say.
    #[track_caller]
    pub fn ok(self) -> Outcome {
        assert!(self.status == 0 && self.stderr.is_empty(), "{self}");
        self
    }

    /// It succeeded, and said this on stderr.
    #[track_caller]
    pub fn ok_saying(self, text: &str) -> Outcome {
        assert!(
            self.status == 0 && self.stderr.contains(text) && !self.stderr.contains("panicked"),
            "expected 0 and '{text}': {self}"
        );
        self
    }

    /// It failed with this status and one line on stderr, which holds this
    /// text.
    #[track_caller]
    pub fn fails(self, status: i32, text: &str) -> Outcome {
        let one_line = self.stderr.ends_with('\n') && self.stderr.lines().count() == 1;
        assert!(
            self.status == status
                && one_line
                && self.stderr.starts_with("s3pipe: ")
                && self.stderr.contains(text)
                && !self.stderr.contains("panicked"),
            "expected {status} and one line with '{text}': {self}"
        );
        self
    }

    /// Its stdout as text.
    #[track_caller]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).expect("UTF-8 on stdout")
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (stdout, stderr) = (excerpt(&self.stdout), excerpt(self.stderr.as_bytes()));
        let status = self.status;
        write!(f, "status {status}\nstdout: {stdout}\nstderr: {stderr}")
    }
}

/// An exit status as a shell shows it.
fn number(status: ExitStatus) -> i32 {
    let signal = || 128 + status.signal().expect("a signal");
    status.code().unwrap_or_else(signal)
}

/// Enough of some output to understand a failure by.
fn excerpt(data: &[u8]) -> String {
    let part = &data[..data.len().min(4000)];
    let printable = part.iter().all(|b| !b.is_ascii_control() || *b == b'\n');
    match std::str::from_utf8(part) {
        Ok(text) if printable && part.len() == data.len() => text.into(),
        Ok(text) if printable => format!("{text}... ({} bytes)", data.len()),
        _ => format!("{} bytes", data.len()),
    }
}

/// Two streams are equal, byte for byte; says where they first differ.
#[track_caller]
pub fn assert_same(actual: &[u8], expected: &[u8]) {
    if actual == expected {
        return;
    }
    let differ = actual.iter().zip(expected).position(|(a, b)| a != b);
    let at = differ.unwrap_or(actual.len().min(expected.len()));
    let (got, wanted) = (actual.len(), expected.len());
    panic!("{got} bytes differ from the expected {wanted} at offset {at}");
}

/// Bytes that do not compress, the same for the same seed (splitmix64).
pub fn random(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed;
    let words = std::iter::repeat_with(|| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    });
    let mut bytes = Vec::with_capacity(length + 8);
    for word in words.take(length.div_ceil(8)) {
        bytes.extend(word.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}
