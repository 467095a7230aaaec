//! The way of a block past ureq.
//!
//! ureq moves every body through buffers of its own, which costs a copy of each
//! byte, and a second one where it is read from what it has buffered. A block
//! is to go from its memory to the socket, or into TLS, and back, uncopied: an
//! upload then costs 0.98 of what reading, hashing and writing cost alone, and
//! cost 1.25 by ureq's buffers (`make bench`, plain HTTP, one process).
//!
//! So ureq is shown less than there is. Of a request it gets a body that only
//! counts ([`Counted`]): it writes the head, with the true length, and hands over
//! as many bytes as the body has, in whose place the connection sends the block's
//! own ([`Outbound`]). Of an answer it gets a head whose Content-Length was
//! overwritten with zeros, so that it expects no body; the real one is a [`Loan`],
//! read from the connection itself, which ureq takes for idle meanwhile and is
//! told that it is open only once the loan was read to its end.
//!
//! ureq stays what it is for: looking names up, keeping connections, framing
//! heads and small bodies, limits. It is the only other user of a connection,
//! and never at the same time.

use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::net::wire::Wire;
use crate::os::Block;

/// What the client and its connections agree on for one request.
#[derive(Default)]
pub struct Bypass {
    /// Lend the body of the answer, if that allows it.
    lend: AtomicBool,
    /// The body that was lent out.
    loan: Mutex<Option<Loan>>,
    /// The body of the request, if that is a block.
    outbound: Mutex<Option<Outbound>>,
}

/// A block that is being sent.
struct Outbound {
    block: Arc<Block>,
    /// How many of its bytes are the body.
    length: usize,
    /// How many of them were asked for; None until the head was.
    sent: Option<usize>,
}

/// What a connection is to send in place of what ureq gave it.
pub struct Piece {
    /// The block.
    pub block: Arc<Block>,
    /// The first of its bytes, and the one behind the last.
    pub range: std::ops::Range<usize>,
    /// Whether they are the end of the body.
    pub last: bool,
}

fn locked<T>(slot: &Mutex<T>) -> MutexGuard<'_, T> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Bypass {
    /// A request begins: with so much of a block as its body, if it is one, and
    /// with an answer whose body is to be lent or not.
    pub fn begin(&self, block: Option<(&Arc<Block>, usize)>, lend: bool) {
        self.lend.store(lend, Ordering::Relaxed);
        *locked(&self.outbound) = block.map(|(block, length)| Outbound {
            block: block.clone(),
            length,
            sent: None,
        });
    }

    /// The request is over, answered or not: its block is wanted back. Returns
    /// the body of the answer, if it was lent.
    pub fn end(&self) -> Option<Loan> {
        self.lend.store(false, Ordering::Relaxed);
        *locked(&self.outbound) = None;
        locked(&self.loan).take()
    }

    /// What to send in place of the next `amount` bytes that ureq hands over. None
    /// for those themselves: of a request whose body is no block, and of each head.
    pub fn next(&self, amount: usize) -> Option<Piece> {
        let mut slot = locked(&self.outbound);
        let outbound = slot.as_mut()?;
        let Some(start) = outbound.sent else {
            outbound.sent = Some(0);
            return None;
        };
        let end = outbound.length.min(start + amount);
        outbound.sent = Some(end);
        Some(Piece {
            block: outbound.block.clone(),
            range: start..end,
            last: end == outbound.length,
        })
    }

    /// Whether the answer's body is to be lent, if it can be.
    pub fn lends(&self) -> bool {
        self.lend.load(Ordering::Relaxed)
    }

    /// In what has come of an answer: keep what belongs to its body for the
    /// borrower, and show ureq a head without one. Returns how much of `input` is
    /// that head; None if ureq is to have all of it. It is asked once an answer.
    pub fn lend(
        &self,
        input: &mut [u8],
        wire: &Arc<Mutex<Wire>>,
        loans: &Loans,
        stall: Duration,
    ) -> Option<usize> {
        self.lend.store(false, Ordering::Relaxed);
        let end = input.windows(4).position(|w| w == b"\r\n\r\n")? + 4;
        let (head, body) = input.split_at_mut(end);
        let length = blank_content_length(head)?;
        // More than there should be: ureq will not use the connection again.
        if body.len() as u64 > length {
            return None;
        }
        loans.0.store(LENT, Ordering::Relaxed);
        *locked(&self.loan) = Some(Loan {
            wire: wire.clone(),
            ready: body.to_vec(),
            taken: 0,
            left: length,
            stall,
            loans: loans.clone(),
        });
        Some(end)
    }
}

/// A body of which ureq sees nothing but its length.
pub struct Counted(pub usize);

impl Read for Counted {
    /// What `buf` holds does not matter: it is not sent.
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.0.min(buf.len());
        self.0 -= count;
        Ok(count)
    }
}

/// No body is lent, or it was read to its end.
const SETTLED: u8 = 0;
/// A body is lent: the next bytes on the socket belong to the borrower.
const LENT: u8 = 1;
/// A loan was given up half way: the connection cannot be used again.
const SPOILT: u8 = 2;

/// What a connection knows of the body that it has lent.
#[derive(Clone, Default)]
pub struct Loans(Arc<AtomicU8>);

impl Loans {
    /// Whether a body is out, so that nothing on the connection is ureq's.
    pub fn is_out(&self) -> bool {
        self.0.load(Ordering::Relaxed) == LENT
    }

    /// Whether a body was given up half way.
    pub fn is_spoilt(&self) -> bool {
        self.0.load(Ordering::Relaxed) == SPOILT
    }
}

/// The body of an answer, read from the connection itself.
pub struct Loan {
    wire: Arc<Mutex<Wire>>,
    /// What came together with the head.
    ready: Vec<u8>,
    taken: usize,
    left: u64,
    stall: Duration,
    loans: Loans,
}

impl Loan {
    /// The body's length, before anything was read of it.
    pub fn length(&self) -> u64 {
        self.left
    }
}

impl Read for Loan {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let want = buf
            .len()
            .min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let n = if self.taken < self.ready.len() {
            let n = want.min(self.ready.len() - self.taken);
            buf[..n].copy_from_slice(&self.ready[self.taken..self.taken + n]);
            self.taken += n;
            n
        } else if want > 0 {
            locked(&self.wire).pull(&mut buf[..want], Some(self.stall), None)?
        } else {
            0
        };
        self.left -= n as u64;
        Ok(n)
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        let state = if self.left == 0 { SETTLED } else { SPOILT };
        self.loans.0.store(state, Ordering::Relaxed);
    }
}

/// In the head of a 200 or 206 with a body of known length: overwrite the
/// Content-Length with zeros, so that no body is expected, and return it.
pub(crate) fn blank_content_length(head: &mut [u8]) -> Option<u64> {
    let text = std::str::from_utf8(head).ok()?;
    let status = text.split(' ').nth(1)?;
    if !text.starts_with("HTTP/1.1 ") || !matches!(status, "200" | "206") {
        return None;
    }
    let mut found = None;
    let mut at = 0;
    for line in text.split("\r\n") {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        if name.eq_ignore_ascii_case("transfer-encoding") {
            return None;
        }
        if name.eq_ignore_ascii_case("content-length") {
            let digits = value.trim();
            let start = at + line.len() - value.trim_start().len();
            if found.is_some() || !digits.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            found = Some((start..start + digits.len(), digits.parse::<u64>().ok()?));
        }
        at += line.len() + 2;
    }
    let (place, length) = found?;
    head[place].fill(b'0');
    Some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blanked(head: &str) -> (Option<u64>, String) {
        let mut bytes = head.as_bytes().to_vec();
        let length = blank_content_length(&mut bytes);
        (length, String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn lends_only_bodies_of_known_length() {
        let (length, head) = blanked("HTTP/1.1 200 OK\r\nA: b\r\nContent-Length:  123 \r\n\r\n");
        assert_eq!(length, Some(123));
        assert_eq!(
            head,
            "HTTP/1.1 200 OK\r\nA: b\r\nContent-Length:  000 \r\n\r\n"
        );
        let (length, _) = blanked("HTTP/1.1 206 Partial Content\r\ncontent-length:7\r\n\r\n");
        assert_eq!(length, Some(7));
        for head in [
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nContent-Length: 9\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -9\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
            "HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
            "\u{fffd}\r\n\r\n",
        ] {
            assert_eq!(blanked(head), (None, head.to_string()));
        }
    }

    #[test]
    fn a_block_goes_out_in_the_place_of_what_was_counted() {
        let (bypass, block) = (Bypass::default(), Arc::new(Block::new(10)));
        assert!(bypass.next(7).is_none());
        bypass.begin(Some((&block, 9)), false);
        let (mut counted, mut buffer) = (Counted(9), [0; 6]);
        // The head is ureq's own.
        assert!(bypass.next(100).is_none());
        for expected in [(0..6, false), (6..9, true)] {
            let amount = counted.read(&mut buffer).unwrap();
            let piece = bypass.next(amount).unwrap();
            assert_eq!((piece.range, piece.last), expected);
        }
        assert_eq!(counted.read(&mut buffer).unwrap(), 0);
        assert!(bypass.end().is_none());
        assert_eq!(Arc::strong_count(&block), 1);
    }
}
