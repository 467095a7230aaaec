//! One client of the sink: its requests read from the connection, and the
//! answers written to it.
//!
//! Bodies that are thrown away are counted and never held: the sink's memory
//! does not grow with them, whatever their length. A broken connection, or a
//! request that makes no sense, ends this client's thread and nothing else.

use std::io::{self, Read, Write};
use std::sync::Arc;

use crate::http::{Answer, Body, Request};
use crate::network::{Network, PIECE};
use crate::objects::{Object, Objects};
use crate::pattern::{Aligned, BLOCK};
use crate::tally::Tally;
use crate::tls::Wire;

/// Received at a time: enough to make system calls rare, and little enough to
/// stay in the cache.
const RECEIVE: usize = 256 << 10;
/// The longest object that is kept.
const KEEP: u64 = 64 << 20;

/// What all clients of a sink share.
pub struct Shared {
    pub objects: Objects,
    pub pattern: Aligned,
    pub network: Network,
    pub tally: Tally,
}

/// One client, with what was received from it and not yet used.
pub struct Connection {
    stream: Box<dyn Wire>,
    shared: Arc<Shared>,
    buffer: Aligned,
    start: usize,
    end: usize,
}

impl Connection {
    /// Of a client that has just connected.
    pub fn new(stream: Box<dyn Wire>, shared: Arc<Shared>) -> Connection {
        Connection {
            stream,
            shared,
            buffer: Aligned::new(RECEIVE),
            start: 0,
            end: 0,
        }
    }

    /// Answers requests until the client closes.
    pub fn serve(mut self) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        while let Some(request) = self.head()? {
            shared.tally.request(request.is_discarded());
            let answer = self.take(&request)?;
            shared.network.wait();
            self.send(&request, answer)?;
        }
        Ok(())
    }

    /// The next request's head; `None` when the client has closed.
    fn head(&mut self) -> io::Result<Option<Request>> {
        let Some(head) = self.until(b"\r\n\r\n")? else {
            return Ok(None);
        };
        let request = Request::parse(&String::from_utf8_lossy(&head));
        request.map(Some).ok_or(io::ErrorKind::InvalidData.into())
    }

    /// What comes before `mark`, which is skipped; `None` where the connection
    /// ends, or does not have it within one buffer.
    fn until(&mut self, mark: &[u8]) -> io::Result<Option<Vec<u8>>> {
        loop {
            let have = &self.buffer[self.start..self.end];
            if let Some(at) = have.windows(mark.len()).position(|w| w == mark) {
                let found = have[..at].to_vec();
                self.start += at + mark.len();
                return Ok(Some(found));
            }
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            // A full buffer reads 0 as well.
            let count = self.stream.read(&mut self.buffer[self.end..])?;
            if count == 0 {
                return Ok(None);
            }
            self.end += count;
        }
    }

    /// Takes the request's body, and answers.
    fn take(&mut self, request: &Request) -> io::Result<Answer> {
        let shared = Arc::clone(&self.shared);
        if request.method == "PUT" && request.is_discarded() {
            let taken = self.body(request, |_| ())?;
            let length = match request.is_framed() {
                true => request.number("x-amz-decoded-content-length"),
                false => Some(taken),
            };
            let Some(length) = length else {
                return Ok(Answer::error("411 Length Required", "MissingContentLength"));
            };
            shared.tally.received(length, request.is_checked());
            return Ok(shared.objects.discarded(request, length));
        }
        let mut content = Vec::new();
        let length = self.body(request, |piece| {
            if content.len() as u64 <= KEEP {
                content.extend_from_slice(piece);
            }
        })?;
        if length > KEEP {
            return Ok(Answer::error("400 Bad Request", "EntityTooLarge"));
        }
        if request.method == "PUT" && !request.key.is_empty() && !request.is_framed() {
            return Ok(shared.objects.put(request, Object::kept(content)));
        }
        Ok(shared.objects.answer(request, &content))
    }

    /// Takes the whole body, piece by piece: its length as it came.
    fn body(&mut self, request: &Request, mut each: impl FnMut(&[u8])) -> io::Result<u64> {
        if request.field("expect").is_some() {
            self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
            self.stream.flush()?;
        }
        let shared = Arc::clone(&self.shared);
        let mut pace = shared.network.pace();
        let mut take = |piece: &[u8]| {
            each(piece);
            pace.moved(piece.len());
        };
        if !request.is_chunked() {
            let length = request.number("content-length").unwrap_or(0);
            self.bytes(length, &mut take)?;
            return Ok(length);
        }
        let cut = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let mut total = 0;
        loop {
            let line = self.until(b"\r\n")?.ok_or_else(cut)?;
            let line = String::from_utf8_lossy(&line);
            let size = line.split(';').next().unwrap_or("").trim();
            let size = u64::from_str_radix(size, 16);
            let size = size.map_err(|_| io::ErrorKind::InvalidData)?;
            if size == 0 {
                // Trailers, to the empty line.
                while !self.until(b"\r\n")?.ok_or_else(cut)?.is_empty() {}
                return Ok(total);
            }
            self.bytes(size, &mut take)?;
            self.until(b"\r\n")?;
            total += size;
        }
    }

    /// Takes so many bytes.
    fn bytes(&mut self, count: u64, take: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        let mut left = count;
        loop {
            let part = left.min((self.end - self.start) as u64) as usize;
            take(&self.buffer[self.start..self.start + part]);
            self.start += part;
            left -= part as u64;
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

    fn send(&mut self, request: &Request, answer: Answer) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let length = answer.body.len();
        let mut message = format!("HTTP/1.1 {}\r\n{}", answer.status, answer.fields);
        if !answer.status.starts_with("204") {
            message += &format!("content-length: {length}\r\n");
        }
        message += "\r\n";
        let body = request.method != "HEAD" && length > 0;
        if request.method == "PUT" && request.is_discarded() {
            shared.tally.done();
        }
        if body && matches!(answer.body, Body::Pattern(_)) {
            shared.tally.sent(length);
        }
        self.stream.write_all(message.as_bytes())?;
        match answer.body {
            _ if !body => {}
            Body::Bytes(bytes) => self.pattern(&bytes, 0..length)?,
            Body::Pattern(part) => {
                self.pattern(&shared.pattern, part)?;
                shared.tally.done();
            }
        }
        self.stream.flush()
    }

    /// Sends `part` of an endless repetition of `bytes`.
    fn pattern(&mut self, bytes: &[u8], part: std::ops::Range<u64>) -> io::Result<()> {
        let mut pace = self.shared.network.pace();
        let most = if pace.is_limited() { PIECE } else { BLOCK };
        let mut at = part.start;
        while at < part.end {
            let rest = &bytes[(at % bytes.len() as u64) as usize..];
            let count = ((part.end - at) as usize).min(rest.len()).min(most);
            self.stream.write_all(&rest[..count])?;
            pace.moved(count);
            at += count as u64;
        }
        Ok(())
    }
}
