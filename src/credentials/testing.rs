//! What the tests of the providers share: a home directory for each test, and
//! a stand-in for the places that are asked over HTTP. Compiled for tests
//! only.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use super::*;

/// A directory of its own for a test, gone when dropped.
pub(super) struct Dir(PathBuf);

impl Dir {
    pub(super) fn new() -> Dir {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("s3pipe-credentials-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(path.join(".aws")).unwrap();
        Dir(path)
    }

    pub(super) fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_string()
    }

    /// Writes a file that only its owner can read; returns its path.
    pub(super) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// Looks with this directory as HOME and as the machine's.
    pub(super) fn find(
        &self,
        keyfile: Option<&str>,
        profile: Option<&str>,
        env: &[(&str, &str)],
    ) -> Result<Found> {
        self.look(keyfile, profile, env, false)
    }

    /// The same, asking programs and services too; an instance's only where
    /// `env` says where that is.
    pub(super) fn obtain(
        &self,
        keyfile: Option<&str>,
        profile: Option<&str>,
        env: &[(&str, &str)],
    ) -> Result<Found> {
        let disabled = [("AWS_EC2_METADATA_DISABLED", "true")];
        let known = |(name, _): &(&str, &str)| name.starts_with("AWS_EC2_METADATA_SERVICE");
        if env.iter().any(known) {
            self.look(keyfile, profile, env, true)
        } else {
            self.look(keyfile, profile, &[env, &disabled].concat(), true)
        }
    }

    fn look(
        &self,
        keyfile: Option<&str>,
        profile: Option<&str>,
        env: &[(&str, &str)],
        asks: bool,
    ) -> Result<Found> {
        let env = &self.environment(env);
        let lookup = Lookup {
            keyfile,
            profile,
            env,
        };
        find_in(&lookup, &self.path("system"), asks)
    }

    /// One step of a search.
    pub(super) fn search<T>(
        &self,
        env: &[(&str, &str)],
        step: impl FnOnce(&mut Search) -> Result<T>,
    ) -> Result<T> {
        let system = self.path("system");
        step(&mut Search::new(&self.environment(env), &system, true))
    }

    fn environment(&self, env: &[(&str, &str)]) -> impl Fn(&str) -> Option<String> {
        let home = self.path("");
        move |name: &str| {
            let pair = env.iter().find(|(n, _)| *n == name);
            let value = pair.map(|(_, v)| v.to_string());
            value.or_else(|| (name == "HOME").then(|| home.clone()))
        }
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A service that gives these answers, one to each request, and then is gone.
pub(super) struct Place {
    addr: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Place {
    /// Status and body of each answer.
    pub(super) fn start(answers: Vec<(u16, &str)>) -> Place {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let notes = seen.clone();
        let answers: Vec<_> = answers.into_iter().map(answer).collect();
        thread::spawn(move || serve(&listener, answers, &notes));
        Place { addr, seen }
    }

    /// The URL of a path there.
    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    /// The heads of the requests so far.
    pub(super) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

fn answer((status, body): (u16, &str)) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status} X\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

/// One connection after the other; a request has no body.
fn serve(listener: &TcpListener, answers: Vec<String>, seen: &Mutex<Vec<String>>) {
    let mut answers = answers.into_iter().peekable();
    while answers.peek().is_some() {
        let (mut stream, _) = listener.accept().unwrap();
        let mut lines = BufReader::new(stream.try_clone().unwrap());
        while answers.peek().is_some() {
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") && lines.read_line(&mut head).is_ok_and(|n| n > 0) {}
            if !head.ends_with("\r\n\r\n") {
                break;
            }
            seen.lock().unwrap().push(head);
            let answer = answers.next().unwrap();
            // A client that has read enough may be gone.
            let _ = stream.write_all(answer.as_bytes());
        }
    }
}
