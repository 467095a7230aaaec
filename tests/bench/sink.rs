//! The other end of the measurements: as much of an S3 server as s3pipe's
//! upload and download need, over plain HTTP on loopback.
//!
//! It is no S3 server: it verifies no signature, and it throws the blocks
//! away. Of an object with `block` among the segments of its key it remembers
//! the length, and serves that much of the pattern again (see `pattern`);
//! every other object (manifest, index, upload record) it keeps in memory, with
//! the conditions and errors of S3, so that s3pipe's commit and its checks
//! run as they would elsewhere. What it does not know it refuses with 501.
//!
//! It runs in a process of its own with a thread for each connection, so that
//! its CPU time is not counted as anybody else's. It says its port on stdout,
//! answers each line on stdin with the bytes of blocks received and sent since
//! the line before, and ends with stdin: so it cannot outlive its parent.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

use crate::Outcome;
use crate::floor::hex;
use crate::http::{Answer, Body, Request};
use crate::pattern::{Aligned, BLOCK};

/// Received at a time: enough to make system calls rare, and little enough to
/// stay in the cache.
const RECEIVE: usize = 256 << 10;
/// The longest object that is kept.
const KEEP: usize = 64 << 20;
/// No object changes its time; nothing in a series asks for it.
const MODIFIED: &str = "2026-01-01T00:00:00.000Z";

/// The process that measures holds its sink by this.
pub struct Sink {
    child: Child,
    ask: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    /// Where it listens on 127.0.0.1.
    pub port: u16,
}

impl Sink {
    /// Starts a sink with `command`, which must end up in [`run`].
    pub fn start(mut command: Command) -> Outcome<Sink> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut answers = BufReader::new(child.stdout.take().ok_or("no stdout")?);
        let mut line = String::new();
        answers.read_line(&mut line)?;
        Ok(Sink {
            ask: child.stdin.take(),
            child,
            answers,
            port: line.trim().parse()?,
        })
    }

    /// The bytes of blocks (received, sent) since the last call.
    pub fn counts(&mut self) -> Outcome<(u64, u64)> {
        let ask = self.ask.as_mut().ok_or("the sink was stopped")?;
        ask.write_all(b"\n")?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        let (received, sent) = line.trim().split_once(' ').ok_or("the sink is gone")?;
        Ok((received.parse()?, sent.parse()?))
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.ask = None;
        // It ends by itself now; there is nothing left to do if it does not.
        let _ = self.child.wait();
    }
}

/// The sink itself, until stdin ends.
pub fn run() -> Outcome {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let mut out = io::stdout();
    writeln!(out, "{}", listener.local_addr()?.port())?;
    let store = Arc::new(Store {
        objects: Mutex::default(),
        pattern: Aligned::pattern(),
        received: AtomicU64::new(0),
        sent: AtomicU64::new(0),
    });
    let shared = Arc::clone(&store);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let store = Arc::clone(&shared);
            // A broken connection is for the client to report.
            std::thread::spawn(move || Connection::new(stream).serve(&store));
        }
    });
    for line in io::stdin().lines() {
        line?;
        let received = store.received.swap(0, Ordering::SeqCst);
        let sent = store.sent.swap(0, Ordering::SeqCst);
        writeln!(out, "{received} {sent}")?;
    }
    Ok(())
}

/// All that the connections share.
struct Store {
    objects: Mutex<BTreeMap<String, Object>>,
    pattern: Aligned,
    received: AtomicU64,
    sent: AtomicU64,
}

#[derive(Clone)]
struct Object {
    etag: String,
    length: usize,
    /// The content, unless it is a block.
    content: Option<Arc<[u8]>>,
}

impl Store {
    fn objects(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Object>> {
        // A thread that died in between has left the map whole.
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers everything but a PUT.
    fn answer(&self, request: &Request) -> Answer {
        match request.method.as_str() {
            "GET" | "HEAD" if !request.key.is_empty() => self.get(request),
            "GET" if request.query.contains("list-type=2") => self.list(request),
            "HEAD" => Answer::new("200 OK", ""),
            "DELETE" if !request.key.is_empty() => {
                self.objects().remove(&request.key);
                Answer::new("204 No Content", "")
            }
            _ => Answer::error("501 Not Implemented", "NotImplemented"),
        }
    }

    fn get(&self, request: &Request) -> Answer {
        let Some(object) = self.objects().get(&request.key).cloned() else {
            return Answer::error("404 Not Found", "NoSuchKey");
        };
        Answer {
            status: "200 OK",
            fields: format!("etag: \"{}\"\r\n", object.etag),
            body: object
                .content
                .map_or(Body::Pattern(object.length), Body::Bytes),
        }
    }

    /// Stores `object`, if the request's conditions allow it.
    fn put(&self, request: &Request, object: Object) -> Answer {
        let mut objects = self.objects();
        let present = objects.get(&request.key);
        let wanted = request.field("if-match").map(|tag| tag.trim_matches('"'));
        if (request.field("if-none-match") == Some("*") && present.is_some())
            || (wanted.is_some() && wanted != present.map(|o| o.etag.as_str()))
        {
            return Answer::error("412 Precondition Failed", "PreconditionFailed");
        }
        let field = format!("etag: \"{}\"", object.etag);
        objects.insert(request.key.clone(), object);
        Answer::new("200 OK", "").with(&field)
    }

    /// ListObjectsV2 with prefix, max-keys and continuation; the keys that
    /// s3pipe makes hold nothing that XML would want escaped.
    fn list(&self, request: &Request) -> Answer {
        let prefix = request.parameter("prefix").unwrap_or_default();
        let after = request
            .parameter("continuation-token")
            .or_else(|| request.parameter("start-after"))
            .unwrap_or_default();
        let most = request.parameter("max-keys").and_then(|n| n.parse().ok());
        let most: usize = most.unwrap_or(1000).min(1000);
        let objects = self.objects();
        let mut found = objects
            .iter()
            .filter(|(key, _)| key.starts_with(&prefix) && **key > after)
            .peekable();
        let (mut contents, mut count, mut last) = (String::new(), 0, "");
        while let Some((key, object)) = found.next_if(|_| count < most) {
            contents += &format!(
                "<Contents><Key>{key}</Key><LastModified>{MODIFIED}</LastModified>\
                 <ETag>&quot;{}&quot;</ETag><Size>{}</Size></Contents>",
                object.etag, object.length
            );
            count += 1;
            last = key;
        }
        let more = count > 0 && found.peek().is_some();
        let next = format!("<NextContinuationToken>{last}</NextContinuationToken>");
        let text = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult>\
             <Prefix>{prefix}</Prefix><KeyCount>{count}</KeyCount>\
             <IsTruncated>{more}</IsTruncated>{}{contents}</ListBucketResult>",
            if more { next.as_str() } else { "" }
        );
        Answer::new("200 OK", &text).with("content-type: application/xml")
    }
}

/// One client, with what was received from it and not yet used.
struct Connection {
    stream: TcpStream,
    buffer: Aligned,
    start: usize,
    end: usize,
}

impl Connection {
    fn new(stream: TcpStream) -> Connection {
        Connection {
            stream,
            buffer: Aligned::new(RECEIVE),
            start: 0,
            end: 0,
        }
    }

    /// Answers requests until the client closes.
    fn serve(mut self, store: &Store) -> io::Result<()> {
        self.stream.set_nodelay(true)?;
        while let Some(request) = self.head()? {
            let length = request.field("content-length").map(str::parse);
            let answer = match (request.method.as_str(), length) {
                ("PUT", Some(Ok(length))) => self.put(store, &request, length)?,
                ("PUT", _) => Answer::error("411 Length Required", "MissingContentLength"),
                (_, length) => {
                    let length = length.and_then(Result::ok).unwrap_or(0);
                    self.body(length, |_| ())?;
                    store.answer(&request)
                }
            };
            self.send(store, &request, answer)?;
        }
        Ok(())
    }

    /// The next request's head; `None` when the client has closed.
    fn head(&mut self) -> io::Result<Option<Request>> {
        loop {
            let have = &self.buffer[self.start..self.end];
            if let Some(at) = have.windows(4).position(|w| w == b"\r\n\r\n") {
                let request = Request::parse(&String::from_utf8_lossy(&have[..at]));
                self.start += at + 4;
                return request.map(Some).ok_or(io::ErrorKind::InvalidData.into());
            }
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            // A full buffer without a head reads 0 as well, and ends it here.
            let count = self.stream.read(&mut self.buffer[self.end..])?;
            if count == 0 {
                return Ok(None);
            }
            self.end += count;
        }
    }

    /// Takes a body of `length` bytes, piece by piece.
    fn body(&mut self, length: usize, mut take: impl FnMut(&[u8])) -> io::Result<()> {
        let mut left = length;
        loop {
            let part = left.min(self.end - self.start);
            take(&self.buffer[self.start..self.start + part]);
            self.start += part;
            left -= part;
            if left == 0 {
                return Ok(());
            }
            self.start = 0;
            self.end = self.stream.read(&mut self.buffer)?;
            if self.end == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    fn put(&mut self, store: &Store, request: &Request, length: usize) -> io::Result<Answer> {
        let most = if request.is_block() { BLOCK } else { KEEP };
        if length > most {
            self.body(length, |_| ())?;
            return Ok(Answer::error("400 Bad Request", "EntityTooLarge"));
        }
        let object = if request.is_block() {
            self.body(length, |_| ())?;
            store.received.fetch_add(length as u64, Ordering::SeqCst);
            // The client's word for the hash: clients check their own blocks.
            let etag = request.field("x-amz-content-sha256").unwrap_or("block");
            Object {
                etag: etag.to_string(),
                length,
                content: None,
            }
        } else {
            let mut content = Vec::with_capacity(length);
            self.body(length, |piece| content.extend_from_slice(piece))?;
            Object {
                etag: hex(&Sha256::digest(&content)[..16]),
                length,
                content: Some(content.into()),
            }
        };
        Ok(store.put(request, object))
    }

    fn send(&mut self, store: &Store, request: &Request, answer: Answer) -> io::Result<()> {
        let body = match &answer.body {
            Body::Bytes(bytes) => bytes,
            Body::Pattern(length) => &store.pattern[..*length],
        };
        let mut message = format!("HTTP/1.1 {}\r\n{}", answer.status, answer.fields);
        if !answer.status.starts_with("204") {
            message += &format!("content-length: {}\r\n", body.len());
        }
        message += "\r\n";
        self.stream.write_all(message.as_bytes())?;
        if request.method == "HEAD" {
            return Ok(());
        }
        if matches!(answer.body, Body::Pattern(_)) {
            // Before it goes out: a client that has it all may be gone, and
            // the count asked for, before this thread runs again.
            store.sent.fetch_add(body.len() as u64, Ordering::SeqCst);
        }
        self.stream.write_all(body)
    }
}
