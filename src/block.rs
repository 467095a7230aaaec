//! One block to the store and back.
//!
//! A block is named by the SHA-256 of its bytes, computed once on the way up;
//! on the way down not a byte leaves this module before that hash was found
//! again over the whole block. A transfer that breaks off goes on from the
//! byte it had.

use std::io::Read;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::chunk::{Block, PIECE};
use crate::error::Exit;
use crate::http::{Answer, Payload};
use crate::key;
use crate::manifest::BlockRef;
use crate::s3::{Call, Client, Condition, Failure, Fault, Kind, Operation, Put, error_within};

/// Store the first `length` bytes of a block. Storing it again does no harm:
/// the key says what is in it.
pub fn store(
    client: &mut Client,
    key: &str,
    block: &Arc<Block>,
    length: usize,
    sha256: key::Sha256,
) -> std::result::Result<(), Failure> {
    client.run(&mut Put {
        key,
        kind: Kind::Block,
        body: Payload::Block(block, length),
        sha256: Some(sha256),
        condition: Condition::None,
    })
}

/// Fetch a block into the beginning of `buffer`, whole and verified.
pub fn fetch(
    client: &mut Client,
    key: &str,
    block: &BlockRef,
    buffer: &mut [u8],
) -> std::result::Result<(), Failure> {
    client.run(&mut Fetch {
        key,
        buffer: &mut buffer[..block.length as usize],
        have: 0,
        hashed: 0,
        hasher: Sha256::new(),
        sha256: block.sha256,
    })
}

/// GetObject of a block, continued with Range after a failure.
struct Fetch<'a> {
    key: &'a str,
    buffer: &'a mut [u8],
    have: usize,
    hashed: usize,
    hasher: Sha256,
    sha256: key::Sha256,
}

impl Fetch<'_> {
    fn start_over(&mut self) {
        (self.have, self.hashed) = (0, 0);
        self.hasher.reset();
    }

    fn wrong(&mut self, why: impl std::fmt::Display) -> Fault {
        self.start_over();
        Fault::wrong(Exit::Data, why)
    }

    /// Where this answer's body belongs: some servers answer a Range with
    /// status 200, others ignore it, so Content-Range decides.
    fn place(&mut self, answer: &Answer) -> std::result::Result<(), Fault> {
        let total = self.buffer.len() as u64;
        match answer.header("content-range").map(parse_range) {
            Some(Some((first, size))) => {
                if size.is_some_and(|size| size != total) {
                    let size = size.unwrap_or_default();
                    return Err(self.wrong(format!("{size} bytes long, not {total}")));
                }
                if first != self.have as u64 {
                    return Err(self.wrong("the server sent another range than was asked for"));
                }
            }
            Some(None) => return Err(self.wrong("the server sent a range that makes no sense")),
            None if answer.status == 206 && self.have > 0 => {
                return Err(self.wrong("the server did not say which range it sent"));
            }
            None => self.start_over(),
        }
        let rest = total - self.have as u64;
        match answer.length() {
            Some(length) if length != rest => {
                Err(self.wrong(format!("{length} bytes were sent, not {rest}")))
            }
            _ => Ok(()),
        }
    }
}

impl Operation for Fetch<'_> {
    type Out = ();

    fn call(&self) -> Call<'_> {
        let mut call = Call::new("GET", Some(self.key), Kind::Block);
        call.large = true;
        if self.have > 0 {
            let range = format!("bytes={}-{}", self.have, self.buffer.len() - 1);
            call.headers.push(("range".into(), range));
        }
        call
    }

    fn take(&mut self, mut answer: Answer) -> std::result::Result<(), Fault> {
        if let Err(wrong) = self.place(&answer) {
            return Err(error_within(&mut answer).unwrap_or(wrong));
        }
        while self.have < self.buffer.len() {
            let end = self.buffer.len().min(self.hashed + PIECE);
            match answer
                .read(&mut self.buffer[self.have..end])
                .map_err(Fault::broken)?
            {
                0 => return Err(Fault::broken("the answer broke off")),
                n => self.have += n,
            }
            if self.have == end {
                self.hasher.update(&self.buffer[self.hashed..end]);
                self.hashed = end;
            }
        }
        // Reading to the end is what gives the connection back, too.
        let more = answer.read(&mut [0]).map_err(Fault::broken)? > 0;
        let found: key::Sha256 = self.hasher.finalize_reset().into();
        (self.have, self.hashed) = (0, 0);
        match found == self.sha256 && !more {
            true => Ok(()),
            false => Err(self.wrong("the data is not what was stored: wrong SHA-256")),
        }
    }
}

/// `bytes 5-9/10`: first byte and, where it is told, the whole size.
pub(crate) fn parse_range(value: &str) -> Option<(u64, Option<u64>)> {
    let (range, size) = value.trim().strip_prefix("bytes ")?.split_once('/')?;
    let first = range.split_once('-')?.0.trim().parse().ok()?;
    match size.trim() {
        "*" => Some((first, None)),
        size => Some((first, Some(size.parse().ok()?))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read() {
        assert_eq!(parse_range("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(parse_range("bytes 0-9/*"), Some((0, None)));
        for bad in [
            "",
            "bytes",
            "bytes */10",
            "bytes 5-9",
            "lines 5-9/10",
            "bytes x-9/10",
            "bytes 1-2/-3",
        ] {
            assert_eq!(parse_range(bad), None, "{bad}");
        }
    }
}
