//! A server that lies: plain HTTP from std alone, so that every byte of an
//! answer is the test's own, and s3pipe against it with its memory bounded.
//!
//! What it is not told to lie about it answers truthfully, from objects that
//! s3pipe itself has stored. Its threads end with their connections.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

use crate::support::{BUCKET, Outcome, Scratch, Server, random, s3pipe};

/// Block size of [`Liar::data`].
const BLOCK: usize = 64 << 10;

/// All the address space that a run may take, in bytes. It is a bound that
/// the system enforces, for what is promised of resident memory (a block and
/// 64 MiB): code counts too, and what is set aside but never touched.
const MEMORY: usize = 256 << 20;

/// Gets a request (`GET /test/key?query`), and the connection to answer on;
/// false if it has no lie for that.
pub type Lie = dyn Fn(&str, &mut TcpStream) -> bool + Send + Sync;

/// The server.
pub struct Liar {
    pub url: String,
    pub scratch: Scratch,
    /// The stream `n`: two blocks, of which the second is the shorter.
    pub data: Vec<u8>,
    shared: Arc<Shared>,
}

struct Shared {
    objects: HashMap<String, Vec<u8>>,
    lie: Mutex<Arc<Lie>>,
    requests: Mutex<Vec<String>>,
}

impl Liar {
    /// Starts it, with nothing but truth to tell.
    pub fn start() -> Liar {
        let scratch = Scratch::new();
        let data = random(1, BLOCK + 1000);
        let shared = Arc::new(Shared {
            objects: stored(&scratch, &data),
            lie: Mutex::new(Arc::new(|_, _| false)),
            requests: Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let server = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = Arc::clone(&server);
                // A client that has gone has seen enough.
                thread::spawn(move || drop(server.serve(stream)));
            }
        });
        Liar {
            url,
            scratch,
            data,
            shared,
        }
    }

    /// The first block of the stream.
    pub fn first_block(&self) -> &[u8] {
        &self.data[..BLOCK]
    }

    /// The object whose key has this in it.
    pub fn object(&self, part: &str) -> &[u8] {
        let mut objects = self.shared.objects.iter();
        let found = objects.find(|(key, _)| key.contains(part));
        found.expect("such an object").1
    }

    /// From now on, tells this lie.
    pub fn tell(&self, lie: impl Fn(&str, &mut TcpStream) -> bool + Send + Sync + 'static) {
        *self.shared.lie.lock().unwrap() = Arc::new(lie);
        self.shared.requests.lock().unwrap().clear();
    }

    /// From now on, answers requests with this in them by these very bytes,
    /// and closes.
    pub fn answer(&self, part: &'static str, bytes: impl Into<Vec<u8>>) {
        let bytes = bytes.into();
        self.tell(move |request, stream| request.contains(part) && say(stream, &bytes));
    }

    /// From now on, the object whose path has this in it is answered for by these
    /// bytes: all of them to GET, the head of them to HEAD.
    pub fn store(&self, part: &'static str, bytes: impl Into<Vec<u8>>) {
        let bytes = bytes.into();
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        let head = bytes[..end.expect("a head") + 4].to_vec();
        self.tell(move |request, stream| {
            let answer = match request.split_once(' ') {
                Some(("GET", target)) if target.contains(part) => &bytes,
                Some(("HEAD", target)) if target.contains(part) => &head,
                _ => return false,
            };
            say(stream, answer)
        });
    }

    /// Requests since the last lie.
    pub fn requests(&self) -> Vec<String> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// Runs s3pipe against it. Status 124 or 137 is a run without an end, 134
    /// one that took more memory than it may.
    pub fn run(&self, args: &[&str]) -> Outcome {
        println!("{args:?}");
        // Elsewhere programs map more than they use.
        let limit = match cfg!(target_os = "linux") {
            true => format!("ulimit -v {};", MEMORY >> 10),
            false => String::new(),
        };
        let input = self.scratch.file("input", "data");
        let output = Command::new("/bin/sh")
            .args(["-c", &format!("{limit} exec timeout -k 1 30 \"$0\" \"$@\"")])
            .arg(env!("CARGO_BIN_EXE_s3pipe"))
            .args(["--endpoint", &self.url, "-b", BUCKET])
            .args(args)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").expect("PATH"))
            .env("HOME", self.scratch.path())
            .env("AWS_ACCESS_KEY_ID", "LIARID")
            .env("AWS_SECRET_ACCESS_KEY", "liarsecret")
            .stdin(File::open(input).expect("its input"))
            .output();
        let output = output.expect("sh runs");
        let signal = || 128 + output.status.signal().expect("a signal");
        Outcome {
            status: output.status.code().unwrap_or_else(signal),
            stdout: output.stdout,
            stderr: String::from_utf8(output.stderr).expect("UTF-8 on stderr"),
        }
    }

    /// A run that fails in one clean, short line, with nothing on stdout.
    #[track_caller]
    pub fn fails(&self, args: &[&str], status: i32, text: &str) -> Outcome {
        let mut all = vec!["--retry=2", "--timeout=5s", "--patience=30s"];
        all.extend(args);
        let outcome = self.run(&all).fails(status, text);
        let line = outcome.stderr.trim_end_matches('\n');
        assert!(!line.chars().any(char::is_control), "{line:?}");
        assert!(line.len() < 1000, "a line of {} bytes", line.len());
        let copied = self.data.starts_with(&outcome.stdout);
        assert!(copied, "what is not in the stream was written");
        outcome
    }
}

/// What an upload of this as the stream `n` leaves behind: keys and contents.
fn stored(scratch: &Scratch, data: &[u8]) -> HashMap<String, Vec<u8>> {
    let server = Server::embedded(scratch);
    let upload = s3pipe(&server).args(["upload", "-s", "n", "--blocksize", "64K"]);
    upload.stdin(data).run().ok();
    let content = |key: &String| fs::read(server.object(key)).expect("an object");
    let keys = server.objects().into_iter();
    keys.map(|key| (key.clone(), content(&key))).collect()
}

impl Shared {
    fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream.try_clone()?);
        while let Some(request) = read_request(&mut reader)? {
            self.requests.lock().unwrap().push(request.clone());
            let lie = Arc::clone(&self.lie.lock().unwrap());
            if lie(&request, &mut stream) {
                break;
            }
            self.tell_truth(&request, &mut stream)?;
        }
        stream.shutdown(std::net::Shutdown::Both)
    }

    fn tell_truth(&self, request: &str, stream: &mut TcpStream) -> std::io::Result<()> {
        let (_, key) = request.split_once("/test").expect("the bucket");
        let object = self.objects.get(key.trim_start_matches('/'));
        let manifest = "<Contents><Key>s3pipe/manifest/n</Key><Size>1</Size></Contents>";
        let found = if key.contains("manifest") {
            manifest
        } else {
            ""
        };
        let listing = listing(found);
        let (status, body) = match object {
            Some(object) => ("200 OK", object.as_slice()),
            None if key.starts_with('?') => ("200 OK", listing.as_bytes()),
            None => (
                "404 Not Found",
                &b"<Error><Code>NoSuchKey</Code></Error>"[..],
            ),
        };
        stream.write_all(&response(status, "", body))
    }
}

/// Method and target of the next request, whose body is thrown away; none at
/// the end of the connection.
fn read_request(reader: &mut BufReader<TcpStream>) -> std::io::Result<Option<String>> {
    let (mut request, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        } else if request.is_empty() {
            request = line.to_string();
        }
        let line = line.to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().expect("a length");
        }
    }
    std::io::copy(&mut reader.take(length), &mut std::io::sink())?;
    let (start, _version) = request.rsplit_once(' ').expect("a request line");
    Ok(Some(start.to_string()))
}

/// Sends this, to a client that may have heard enough; always true.
pub fn say(stream: &mut TcpStream, bytes: &[u8]) -> bool {
    let _ = stream.write_all(bytes);
    true
}

/// A well-formed answer with further header lines (each ended by CRLF).
pub fn response(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let head = format!(
        "HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// A listing with this in it.
pub fn listing(inner: &str) -> String {
    format!("<ListBucketResult>{inner}</ListBucketResult>")
}
