//! One block to the store and back.
//!
//! A block is named by the SHA-256 of its bytes, computed once on the way up;
//! on the way down not a byte leaves this module before the whole block was found to
//! have that hash. A download that breaks off is continued, not begun again.

use std::io::Read;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::error::Exit;
use crate::net::{Answer, Payload};
use crate::os::Block;
use crate::pipe::copy::PIECE;
use crate::s3::{
    Call, Client, ErrorResponse, Failure, Fault, Kind, Operation, Put, Sizes, error_within,
};
use crate::stream::manifest::BlockRef;
use crate::text::hex::Hash;

/// Store the first `length` bytes of a block. Storing it again does no harm:
/// the key says what is in it.
pub fn store(
    client: &mut Client,
    key: &str,
    block: &Arc<Block>,
    length: usize,
    sha256: Hash,
) -> std::result::Result<(), Failure> {
    let body = Payload::Block(block, length);
    client.run(&mut Put::hashed(key, Kind::Block, body, sha256))
}

/// Fetch a block into the beginning of `buffer`, whole and verified.
pub fn fetch(
    client: &mut Client,
    key: &str,
    block: &BlockRef,
    buffer: &mut [u8],
) -> std::result::Result<(), Failure> {
    let mut fetch = GetBlock {
        key,
        buffer: &mut buffer[..block.length as usize],
        have: 0,
        hashed: 0,
        hasher: Sha256::new(),
        sha256: block.sha256,
    };
    client.find(&mut fetch)
}

/// GetObject of a block, continued with Range after a failure.
struct GetBlock<'a> {
    key: &'a str,
    buffer: &'a mut [u8],
    have: usize,
    hashed: usize,
    hasher: Sha256,
    sha256: Hash,
}

impl GetBlock<'_> {
    fn start_over(&mut self) {
        (self.have, self.hashed) = (0, 0);
        self.hasher.reset();
    }

    /// A fault of the transfer, after which nothing that came is kept.
    fn broken(&mut self, why: &str) -> Fault {
        self.start_over();
        Fault::broken(why)
    }

    /// A fault: an object of this length came, if it is known, not of the block's.
    fn other_length(&mut self, came: Option<u64>) -> Fault {
        self.start_over();
        let want = self.buffer.len() as u64;
        let why = match came {
            Some(came) => format!("{came} bytes came, not {want}"),
            None => format!("more than {want} bytes came"),
        };
        let want = Some(want);
        Fault::wrong(Exit::Data, why, Sizes { came, want })
    }

    /// Check that this answer's body continues what is there, or start over with it.
    /// Some servers answer a Range with status 200, others ignore it, so Content-Range
    /// decides.
    fn place(&mut self, answer: &Answer) -> std::result::Result<(), Fault> {
        let total = self.buffer.len() as u64;
        let ranged = match answer.header("content-range").map(parse_range) {
            Some(Some((first, size))) => {
                if size.is_some_and(|size| size != total) {
                    return Err(self.other_length(size));
                }
                if first != self.have as u64 {
                    return Err(self.broken("the server sent another range than was asked for"));
                }
                true
            }
            Some(None) => return Err(self.broken("the server sent a range that makes no sense")),
            None if answer.status == 206 && self.have > 0 => {
                return Err(self.broken("the server did not say which range it sent"));
            }
            None => {
                self.start_over();
                false
            }
        };
        let rest = total - self.have as u64;
        match answer.length() {
            Some(length) if length != rest && ranged => {
                Err(self.broken("the server sent another range than was asked for"))
            }
            Some(length) if length != rest => Err(self.other_length(Some(length))),
            _ => Ok(()),
        }
    }
}

impl Operation for GetBlock<'_> {
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

    /// The range does not exist: what came before was of another object.
    fn refused(&mut self, refusal: &ErrorResponse) {
        if refusal.status == 416 {
            self.start_over();
        }
    }

    fn take(&mut self, mut answer: Answer) -> std::result::Result<(), Fault> {
        if let Err(wrong) = self.place(&answer) {
            return Err(error_within(&mut answer).unwrap_or(wrong));
        }
        let announced = answer.length().is_some();
        while self.have < self.buffer.len() {
            let end = self.buffer.len().min(self.hashed + PIECE);
            match answer
                .read(&mut self.buffer[self.have..end])
                .map_err(Fault::broken)?
            {
                0 if announced => return Err(Fault::broken("the answer broke off")),
                0 => return Err(self.other_length(Some(self.have as u64))),
                n => self.have += n,
            }
            if self.have == end {
                self.hasher.update(&self.buffer[self.hashed..end]);
                self.hashed = end;
            }
        }
        // Reading to the end is what gives the connection back. An end that does
        // not come is no fault of the data, which is all there.
        let more = answer.read(&mut [0]).is_ok_and(|n| n > 0);
        let found: Hash = self.hasher.finalize_reset().into();
        (self.have, self.hashed) = (0, 0);
        if more {
            return Err(self.other_length(None));
        }
        if found == self.sha256 {
            return Ok(());
        }
        let came = Some(self.buffer.len() as u64);
        let why = "the data is not what was stored: wrong SHA-256";
        Err(Fault::wrong(Exit::Data, why, Sizes { came, want: came }))
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
