//! The floor: the least that a program can do which keeps s3pipe's promise of
//! a verified block, and so what s3pipe's CPU time is measured against.
//!
//! Up: read(2) from stdin into one page-aligned block, SHA-256, send(2). Down:
//! recv(2) into such a block, SHA-256, compare, write(2) to stdout. One
//! process, one kept-alive connection, HTTP of four header lines, and nothing
//! else: no signature, no retry, no manifest, no second attempt. Over TLS the
//! same, with the library that s3pipe encrypts with (see `tls`). A pipe on stdin
//! is widened as s3pipe does. Anything unexpected ends it with an error.
//!
//! Each piece is hashed as soon as it is in memory, before the cache loses it.
//! Pieces of 1 MiB were as cheap as any in every direction (medians of five on a
//! busy machine): 256 KiB cost a sixth more down and a tenth more from a pipe,
//! hashing the whole block at once 4 % more up from a file.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::Outcome;
use crate::pattern::{Aligned, BLOCK};
use crate::tls::{self, Wire};

/// How much is read and hashed at a time, in bytes.
const PIECE: usize = 1 << 20;

/// Where the sink keeps what [`up`] uploads.
pub const UPLOADED: &str = "floor/block/";

/// Uploads stdin to the sink on `port`, block by block; over TLS if there is an
/// `authority` to trust.
pub fn up(port: u16, authority: Option<&Path>) -> Outcome {
    // Not `io::stdin()`, which would copy through a buffer of its own.
    let mut input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    widen(&input);
    let mut server = Server::connect(port, authority)?;
    let mut block = Aligned::new(BLOCK);
    for number in 0.. {
        let (length, hash) = fill(&mut input, &mut block)?;
        if length == 0 {
            break;
        }
        let head = format!(
            "PUT /bench/{UPLOADED}{number} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n\
             content-length: {length}\r\nx-amz-content-sha256: {hash}\r\n\r\n"
        );
        server.stream.write_all(head.as_bytes())?;
        server.stream.write_all(&block[..length])?;
        let answer = server.head(&mut [])?;
        if answer.length != 0 {
            return Err("the answer to a PUT has a body".into());
        }
        if length < BLOCK {
            break;
        }
    }
    Ok(())
}

/// Downloads the objects `prefix`0 to `prefix`N, N being `blocks` - 1, to
/// stdout, each of a block at most; over TLS if there is an `authority`.
pub fn down(port: u16, prefix: &str, blocks: u64, authority: Option<&Path>) -> Outcome {
    let mut output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let mut server = Server::connect(port, authority)?;
    let mut block = Aligned::new(BLOCK);
    for number in 0..blocks {
        let head =
            format!("GET /bench/{prefix}{number} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n\r\n");
        server.stream.write_all(head.as_bytes())?;
        let answer = server.head(&mut block)?;
        let body = block
            .get_mut(..answer.length)
            .ok_or("a block is too long")?;
        let mut hasher = Sha256::new();
        hasher.update(&body[..answer.early]);
        let mut have = answer.early;
        while have < body.len() {
            let end = body.len().min(have + PIECE);
            server.stream.read_exact(&mut body[have..end])?;
            hasher.update(&body[have..end]);
            have = end;
        }
        if answer.etag != hex(&hasher.finalize()) {
            return Err(format!("block {number} has the wrong hash").into());
        }
        output.write_all(body)?;
    }
    Ok(())
}

/// Reads until `block` is full or the input ends: the length and the SHA-256.
fn fill(input: &mut impl Read, block: &mut [u8]) -> Outcome<(usize, String)> {
    let mut hasher = Sha256::new();
    let (mut have, mut hashed) = (0, 0);
    while have < block.len() {
        let end = block.len().min(hashed + PIECE);
        let count = match input.read(&mut block[have..end]) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        };
        have += count;
        if have == end || count == 0 {
            hasher.update(&block[hashed..have]);
            hashed = have;
        }
        if count == 0 {
            break;
        }
    }
    Ok((have, hex(&hasher.finalize())))
}

/// Makes a pipe as large as a piece, so that its two ends take turns less often;
/// where that cannot be done, it stays as it is.
fn widen(input: &File) {
    #[cfg(target_os = "linux")]
    {
        use std::os::fd::AsRawFd;
        // SAFETY: it takes and returns integers only.
        unsafe { libc::fcntl(input.as_raw_fd(), libc::F_SETPIPE_SZ, PIECE as libc::c_int) };
    }
    #[cfg(not(target_os = "linux"))]
    let _ = input;
}

/// The sink's end of the connection.
struct Server {
    stream: Box<dyn Wire>,
}

/// What matters of an answer's head.
struct Answer {
    /// The length of the body in bytes.
    length: usize,
    /// How many bytes of the body came together with the head.
    early: usize,
    etag: String,
}

impl Server {
    fn connect(port: u16, authority: Option<&Path>) -> Outcome<Server> {
        let stream = tls::connect(port, authority)?;
        Ok(Server { stream })
    }

    /// Reads the head of an answer, which must be 200; what was received of
    /// the body already is put into `body`.
    fn head(&mut self, body: &mut [u8]) -> Outcome<Answer> {
        let mut buffer = [0; 4096];
        let mut have = 0;
        let end = loop {
            let count = self.stream.read(&mut buffer[have..])?;
            if count == 0 {
                return Err("the sink closed the connection".into());
            }
            have += count;
            if let Some(at) = buffer[..have].windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
        };
        let early = have - end;
        body.get_mut(..early)
            .ok_or("more bytes than the answer has")?
            .copy_from_slice(&buffer[end..have]);
        let head = std::str::from_utf8(&buffer[..end])?;
        if !head.starts_with("HTTP/1.1 200 ") {
            return Err(format!("unexpected answer: {head}").into());
        }
        let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name));
        Ok(Answer {
            length: field("content-length: ").ok_or("no length")?.parse()?,
            early,
            etag: field("etag: ").unwrap_or("").trim_matches('"').to_string(),
        })
    }
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
