//! The S3 servers that tests run against, each on loopback, and the scratch
//! folders that their data lies in.
//!
//! The embedded one (tests/server) costs a tenth of a second: every test has
//! its own. The others (tests/servers) take seconds: one of each serves all
//! tests of a process, where the environment asks for it. Every server holds
//! a pipe from this process as its stdin and ends with it, so that none
//! outlives the tests, however they end. A server that is asked for and does
//! not start is a panic, never a silently skipped test.

use std::io::{self, BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs, process, thread};

use super::s3pipe;

/// The bucket that is there from the start on every server.
pub const BUCKET: &str = "test";

/// A fresh temporary folder, removed in the end; kept, and named on stderr,
/// where the test panicked.
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes one in cargo's folder for this, named after the running test.
    pub fn new() -> Scratch {
        let thread = thread::current();
        let name = thread.name().unwrap_or("test").replace("::", "-");
        let tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let path = numbered(tmp, &format!("{name}-{}", process::id()));
        fs::create_dir_all(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Scratch(path)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A path in it that nothing has yet, of this name and a number.
    pub fn fresh(&self, name: &str) -> PathBuf {
        numbered(&self.0, name)
    }

    /// Writes a file in it, and gives its path.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, content).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("kept: {}", self.0.display());
        } else {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

/// A path of this process that does not exist.
fn numbered(folder: &Path, name: &str) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!("{name}-{number}"));
        if !path.exists() {
            return path;
        }
    }
}

/// A running S3 server, and how to reach it.
pub struct Server {
    /// Its URL: scheme, address, port; no slash at the end.
    pub endpoint: String,
    /// The region that requests are signed for.
    pub region: String,
    /// The access key id.
    pub id: String,
    /// The secret access key.
    pub key: String,
    /// The authority that signed its certificate (PEM), where it has one.
    pub ca: Option<PathBuf>,
    /// The folder that holds a folder for each bucket (embedded server only).
    pub root: Option<PathBuf>,
    /// An empty folder to be the home of the programs that talk to it.
    pub home: PathBuf,
    /// How to start it again; the embedded server's alone.
    args: Vec<String>,
    child: Child,
}

impl Server {
    /// A server of the test's own, over HTTP, that keeps its data in `scratch`.
    pub fn embedded(scratch: &Scratch) -> Server {
        Server::embedded_with(scratch, &[])
    }

    /// The same over HTTPS, by a certificate for localhost, 127.0.0.1 and
    /// `*.s3.localhost` that only `ca` vouches for.
    pub fn embedded_tls(scratch: &Scratch) -> Server {
        let folder = scratch.path().join("tls");
        let folder = folder.to_str().expect("a UTF-8 path");
        Server::embedded_with(scratch, &["--tls", folder, "--domain", "s3.localhost"])
    }

    /// The same with further arguments for `s3-server`.
    pub fn embedded_with(scratch: &Scratch, extra: &[&str]) -> Server {
        let root = scratch.fresh("s3");
        let home = scratch.fresh("home");
        for folder in [&root.join(BUCKET), &home] {
            fs::create_dir_all(folder).expect("a folder for the server");
        }
        // The secret has the characters that AWS's secrets have.
        let (id, key) = ("S3PIPETESTKEYID", "s3pipe/test+secret");
        let root_text = root.to_str().expect("a UTF-8 path");
        let mut args = vec!["--root", root_text, "--access-key", id, "--secret-key", key];
        args.extend(extra);
        let args: Vec<String> = args.into_iter().map(String::from).collect();
        let (child, port) = start_embedded(&args, 0);
        let tls = extra.iter().position(|arg| *arg == "--tls");
        let scheme = if tls.is_some() { "https" } else { "http" };
        Server {
            endpoint: format!("{scheme}://127.0.0.1:{port}"),
            region: "us-east-1".into(),
            id: id.into(),
            key: key.into(),
            ca: tls.map(|at| Path::new(extra[at + 1]).join("ca.pem")),
            root: Some(root),
            home,
            args,
            child,
        }
    }

    /// The OpenStack Swift that all tests of this process share; `None`, and
    /// a line that says so, where `S3PIPE_TEST_SERVERS` does not list it.
    pub fn swift() -> Option<&'static Server> {
        static SWIFT: OnceLock<Server> = OnceLock::new();
        asked_for("swift").then(|| SWIFT.get_or_init(|| start_shared("swift")))
    }

    /// The rclone that all tests of this process share; else as `swift`.
    pub fn rclone() -> Option<&'static Server> {
        static RCLONE: OnceLock<Server> = OnceLock::new();
        asked_for("rclone").then(|| RCLONE.get_or_init(|| start_shared("rclone")))
    }

    /// The address that it listens on.
    pub fn addr(&self) -> SocketAddr {
        let (_, addr) = self.endpoint.split_once("//").expect("a URL");
        addr.parse().expect("an address and a port")
    }

    /// Ends it; its data stays, and its port refuses connections.
    pub fn stop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }

    /// Starts the embedded server again, after `stop`, at the same address
    /// and with the same data (but a new certificate).
    pub fn restart(&mut self) {
        assert!(self.root.is_some(), "only the embedded server restarts");
        self.stop();
        (self.child, _) = start_embedded(&self.args, self.addr().port());
    }

    /// Where an object of [`BUCKET`] lies on disk (embedded server only).
    pub fn object(&self, key: &str) -> PathBuf {
        self.bucket_folder().join(key)
    }

    /// The keys of all objects in [`BUCKET`], sorted (embedded server only).
    pub fn objects(&self) -> Vec<String> {
        let top = self.bucket_folder();
        let mut folders = vec![top.clone()];
        let mut keys = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).expect("a folder of objects") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let key = path.strip_prefix(&top).expect("a path below");
                    keys.push(key.to_str().expect("a UTF-8 key").into());
                }
            }
        }
        keys.sort();
        keys
    }

    fn bucket_folder(&self) -> PathBuf {
        let root = self.root.as_ref();
        root.expect("only the embedded server shows its files")
            .join(BUCKET)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Starts the embedded server on this port (0 = a free one) and waits until it
/// listens: its process, its port.
fn start_embedded(args: &[String], port: u16) -> (Child, u16) {
    let listen = format!("127.0.0.1:{port}");
    let mut command = Command::new(embedded_program());
    command.args(args).args(["--listen", &listen]);
    let (child, stdout) = spawn(command);
    let line = stdout.lines().next();
    let line = line.expect("s3-server ended: see above").expect("its line");
    let port = line.strip_prefix("listening ").expect("its port");
    (child, port.parse().expect("its port"))
}

/// The built binary of tests/server.
fn embedded_program() -> PathBuf {
    let program = match env::var_os("S3PIPE_TEST_SERVER") {
        Some(program) => PathBuf::from(program),
        None => tests_folder().join("server/target/release/s3-server"),
    };
    assert!(
        program.is_file(),
        "no {}: run 'make check' (or: cargo build --release --manifest-path tests/server/Cargo.toml)",
        program.display()
    );
    program
}

/// True where the environment lists this server; else says that a test goes
/// without it, past the test harness, which hides what passing tests print.
fn asked_for(name: &str) -> bool {
    let list = env::var("S3PIPE_TEST_SERVERS").unwrap_or_default();
    let listed = list.split([' ', ',']).any(|word| word == name);
    if !listed {
        let test = thread::current();
        let _ = writeln!(
            io::stderr(),
            "{}: not run against {name}: S3PIPE_TEST_SERVERS does not list it",
            test.name().unwrap_or("a test")
        );
    }
    listed
}

/// Starts one of tests/servers, waits until it serves, and makes [`BUCKET`].
fn start_shared(name: &str) -> Server {
    let tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let folder = tmp.join(format!("{name}-{}", process::id()));
    let mut command = Command::new(tests_folder().join("servers").join(name));
    command.arg("run").arg(&folder);
    let (child, mut stdout) = spawn(command);
    let mut value = |expected: &str| {
        let mut line = String::new();
        stdout.read_line(&mut line).expect("its output");
        match line.trim_end().split_once(' ') {
            Some((word, value)) if word == expected => value.to_string(),
            _ => panic!("{name} did not start: {expected}: got '{line}'; see above"),
        }
    };
    let server = Server {
        endpoint: value("endpoint"),
        region: value("region"),
        id: value("id"),
        key: value("key"),
        ca: None,
        root: None,
        home: folder.join("home"),
        args: Vec::new(),
        child,
    };
    value("pid");
    fs::create_dir(&server.home).expect("a home");
    s3pipe(&server).arg("createbucket").run().ok();
    server
}

/// Spawns a server with a pipe at both ends; its stderr is ours.
fn spawn(mut command: Command) -> (Child, BufReader<ChildStdout>) {
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let child = command.spawn();
    let mut child = child.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let stdout = child.stdout.take().expect("a pipe");
    (child, BufReader::new(stdout))
}

fn tests_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}
