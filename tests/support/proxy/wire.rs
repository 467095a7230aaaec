//! HTTP/1.1 messages on a socket, as RFC 9112 frames them.
//!
//! Nothing is ever read ahead: whatever has not been asked for stays in the
//! kernel. So pipelined requests need no care, and a socket that is closed
//! while bytes are unread in it is reset (RST), the one way that std has to
//! cause a reset. A message that breaks the rules is an error, which ends the
//! connection.

use std::io::{self, ErrorKind, Read};
use std::net::TcpStream;

/// The most payload read at once, in bytes.
const PIECE: u64 = 64 << 10;
/// The longest head accepted, in bytes.
const HEAD: usize = 1 << 20;

/// An error for a message that cannot be understood.
fn bad(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}

/// How the end of a body is found (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// So many bytes; none at all where there is no body.
    Length(u64),
    /// Transfer-Encoding: chunked.
    Chunked,
    /// Everything up to the end of the connection.
    UntilClose,
}

/// Start line and header fields, with the blank line, byte for byte.
#[derive(Clone, Debug)]
pub struct Head {
    /// The bytes as they came, or as edited.
    pub raw: Vec<u8>,
}

impl Head {
    /// The words of the start line: at least three, empty where missing.
    pub fn start(&self) -> [String; 3] {
        let text = String::from_utf8_lossy(&self.raw);
        let mut words = text.lines().next().unwrap_or("").splitn(3, ' ');
        [(); 3].map(|()| words.next().unwrap_or("").to_owned())
    }

    /// The status code of a response.
    pub fn status(&self) -> io::Result<u16> {
        let [_, code, _] = self.start();
        code.parse().map_err(|_| bad("no status code"))
    }

    /// The header fields in their order, names as they were written.
    pub fn headers(&self) -> Vec<(String, String)> {
        String::from_utf8_lossy(&self.raw)
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect()
    }

    /// The first value of this field.
    pub fn header(&self, name: &str) -> Option<String> {
        let mut all = self.headers().into_iter();
        all.find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// Whether a field holds this token in its list.
    fn lists(&self, name: &str, token: &str) -> bool {
        self.headers().iter().any(|(n, value)| {
            n.eq_ignore_ascii_case(name)
                && value
                    .split(',')
                    .any(|t| t.trim().eq_ignore_ascii_case(token))
        })
    }

    /// Replaces the field (all of them) by this value, or removes it.
    pub fn set(&mut self, name: &str, value: Option<&str>) {
        let mut out = Vec::new();
        for line in self.raw.split_inclusive(|&byte| byte == b'\n') {
            let text = String::from_utf8_lossy(line);
            if text.trim_end().is_empty() {
                let field = value.map(|value| format!("{name}: {value}\r\n"));
                out.extend_from_slice(field.unwrap_or_default().as_bytes());
            }
            let named = text.split(':').next().unwrap_or("");
            if !named.eq_ignore_ascii_case(name) {
                out.extend_from_slice(line);
            }
        }
        self.raw = out;
    }

    /// The head as an origin server expects it: a target in absolute form,
    /// which clients send to a proxy, loses its scheme and authority (RFC 9112
    /// section 3.2); everything else is left alone.
    pub fn origin_form(&self) -> Vec<u8> {
        let [method, target, _] = self.start();
        let Some(rest) = target.strip_prefix("http://") else {
            return self.raw.clone();
        };
        let path = rest.find('/').map_or("/", |at| &rest[at..]);
        let skip = method.len() + 1 + target.len();
        let mut out = format!("{method} {path}").into_bytes();
        out.extend_from_slice(&self.raw[skip..]);
        out
    }

    fn length(&self) -> io::Result<Option<u64>> {
        let parse = |text: String| text.parse().map_err(|_| bad("bad Content-Length"));
        self.header("Content-Length").map(parse).transpose()
    }

    /// How the body of this request is framed.
    pub fn request_framing(&self) -> io::Result<Framing> {
        if self.lists("Transfer-Encoding", "chunked") {
            return Ok(Framing::Chunked);
        }
        Ok(Framing::Length(self.length()?.unwrap_or(0)))
    }

    /// How the body of this response to a `method` request is framed.
    pub fn response_framing(&self, method: &str) -> io::Result<Framing> {
        if method == "HEAD" || matches!(self.status()?, 100..200 | 204 | 304) {
            return Ok(Framing::Length(0));
        }
        if self.lists("Transfer-Encoding", "chunked") {
            return Ok(Framing::Chunked);
        }
        let length = self.length()?;
        Ok(length.map_or(Framing::UntilClose, Framing::Length))
    }

    /// Whether the sender of this response closes the connection after it.
    pub fn closes(&self) -> bool {
        let old = self.start()[0] == "HTTP/1.0" && !self.lists("Connection", "keep-alive");
        old || self.lists("Connection", "close")
    }

    /// Whether the client waits for `100 Continue` before it sends the body.
    pub fn expects(&self) -> bool {
        self.lists("Expect", "100-continue")
    }
}

/// Reads a head, all but its last byte, which stays unread so that closing the
/// socket resets the connection; [`skip_byte`] takes it. `None` at the end of
/// the connection.
pub fn peek_head(mut stream: &TcpStream) -> io::Result<Option<Head>> {
    let mut raw = Vec::new();
    let mut buf = vec![0; 16 << 10];
    while raw.len() < HEAD {
        let (old, n) = (raw.len(), stream.peek(&mut buf)?);
        if n == 0 && old == 0 {
            return Ok(None);
        } else if n == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        raw.extend_from_slice(&buf[..n]);
        if let Some(end) = head_end(&raw) {
            raw.truncate(end);
            stream.read_exact(&mut buf[..end - 1 - old])?;
            return Ok(Some(Head { raw }));
        }
        stream.read_exact(&mut buf[..n])?;
    }
    Err(bad("endless head"))
}

fn head_end(raw: &[u8]) -> Option<usize> {
    let crlf = raw.windows(3).position(|w| w == b"\n\r\n").map(|at| at + 3);
    let lf = raw.windows(2).position(|w| w == b"\n\n").map(|at| at + 2);
    crlf.into_iter().chain(lf).min()
}

/// Takes the last byte of a head that [`peek_head`] left unread.
pub fn skip_byte(mut stream: &TcpStream) -> io::Result<()> {
    stream.read_exact(&mut [0])
}

/// Reads a whole head.
pub fn read_head(stream: &TcpStream) -> io::Result<Head> {
    let head = peek_head(stream)?.ok_or(ErrorKind::UnexpectedEof)?;
    skip_byte(stream)?;
    Ok(head)
}

/// What [`Body::next`] has put into the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Payload.
    Data,
    /// A line of the chunked coding, or a trailer field.
    Frame,
    /// Nothing: the body is complete.
    End,
}

enum State {
    Left(u64),
    UntilClose,
    Size,
    Chunk(u64),
    ChunkEnd,
    Trailer,
}

/// Reads a body piece by piece, the framing of a chunked one included, so that
/// it can be passed on byte for byte.
pub struct Body<'a> {
    stream: &'a TcpStream,
    state: State,
}

impl<'a> Body<'a> {
    /// The body that begins at the next unread byte.
    pub fn new(stream: &'a TcpStream, framing: Framing) -> Body<'a> {
        let state = match framing {
            Framing::Length(n) => State::Left(n),
            Framing::Chunked => State::Size,
            Framing::UntilClose => State::UntilClose,
        };
        Body { stream, state }
    }

    /// Fills `buf` with the next part: at most `max` bytes of payload, or one
    /// line of framing. A body that ends too soon is an error.
    pub fn next(&mut self, buf: &mut Vec<u8>, max: u64) -> io::Result<Part> {
        buf.clear();
        match self.state {
            State::Left(0) => return Ok(Part::End),
            State::Left(left) => {
                let n = self.data(buf, left.min(max))?;
                self.state = State::Left(left - n);
            }
            State::UntilClose => match self.data(buf, max) {
                Err(e) if e.kind() == ErrorKind::UnexpectedEof => return Ok(Part::End),
                other => _ = other?,
            },
            State::Chunk(left) => {
                let n = self.data(buf, left.min(max))?;
                self.state = match left - n {
                    0 => State::ChunkEnd,
                    rest => State::Chunk(rest),
                };
            }
            State::Size | State::ChunkEnd | State::Trailer => {
                self.line(buf)?;
                return Ok(Part::Frame);
            }
        }
        Ok(Part::Data)
    }

    fn data(&mut self, buf: &mut Vec<u8>, max: u64) -> io::Result<u64> {
        buf.resize(max.min(PIECE) as usize, 0);
        let n = self.stream.read(buf)?;
        buf.truncate(n);
        if n == 0 && max > 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        Ok(n as u64)
    }

    /// One line of the chunked coding, and what must follow it.
    fn line(&mut self, buf: &mut Vec<u8>) -> io::Result<()> {
        while !buf.ends_with(b"\n") {
            let mut byte = [0];
            self.stream.read_exact(&mut byte)?;
            buf.push(byte[0]);
            if buf.len() > HEAD {
                return Err(bad("endless line"));
            }
        }
        let text = String::from_utf8_lossy(buf);
        let text = text.trim_end();
        self.state = match self.state {
            State::Size => {
                let size = text.split(';').next().unwrap_or("").trim();
                match u64::from_str_radix(size, 16).map_err(|_| bad("bad chunk size"))? {
                    0 => State::Trailer,
                    size => State::Chunk(size),
                }
            }
            State::ChunkEnd if text.is_empty() => State::Size,
            State::ChunkEnd => return Err(bad("chunk longer than its size")),
            _ if text.is_empty() => State::Left(0),
            _ => State::Trailer,
        };
        Ok(())
    }
}
