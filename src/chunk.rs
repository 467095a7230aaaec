//! One block of memory, and filling it from a stream.
//!
//! A block is reused for the whole run; its pages are touched only as far as
//! data reaches, so a short stream costs little memory. Reading never takes a
//! byte more than the block holds.

use std::io::{self, Read};

/// Bytes that are gathered before they are hashed: few enough to be in the
/// processor's cache still, and enough not to switch between the two often.
pub const PIECE: usize = 1 << 20;

const PAGE: usize = 4096;

/// A page-aligned buffer: copies between kernel and user run at less than half
/// their speed on some processors when the buffer starts inside a page.
pub struct Block {
    memory: Vec<u8>,
    start: usize,
    size: usize,
}

impl Block {
    /// A block of `size` bytes.
    pub fn new(size: usize) -> Block {
        // Zeroed memory of this size comes from the system untouched.
        let memory = vec![0; size + PAGE];
        let start = memory.as_ptr().align_offset(PAGE).min(PAGE);
        Block {
            memory,
            start,
            size,
        }
    }

    /// All of it.
    pub fn bytes(&self) -> &[u8] {
        &self.memory[self.start..self.start + self.size]
    }

    /// All of it, to be filled.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..self.start + self.size]
    }
}

/// Fill `block` from `input` until it is full or the stream ends, and return
/// how many bytes there are. `each` sees all of them, a piece at a time and in
/// order; `interrupted` is asked after each read and each interrupted call,
/// and ends the reading with its error.
pub fn fill<E: From<io::Error>>(
    input: &mut impl Read,
    block: &mut [u8],
    mut each: impl FnMut(&[u8]),
    mut interrupted: impl FnMut() -> Result<(), E>,
) -> Result<usize, E> {
    let (mut filled, mut seen) = (0, 0);
    while filled < block.len() {
        let end = block.len().min(seen + PIECE);
        match input.read(&mut block[filled..end]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e.into()),
        }
        if filled == end {
            each(&block[seen..end]);
            seen = end;
        }
        interrupted()?;
    }
    each(&block[seen..filled]);
    // A signal that ended the producer must not pass for the stream's end.
    interrupted()?;
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Drip(Vec<u8>, usize);

    impl Read for Drip {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            self.1 += 1;
            if self.1.is_multiple_of(2) {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let n = buf.len().min(self.0.len()).min(self.1);
            buf[..n].copy_from_slice(&self.0[..n]);
            self.0.drain(..n);
            Ok(n)
        }
    }

    #[test]
    fn refills_short_and_interrupted_reads() {
        let data: Vec<u8> = (0..=255).cycle().take(10_000).collect();
        let mut input = Drip(data.clone(), 0);
        let mut block = Block::new(4096);
        let mut out = Vec::new();
        let mut seen = Vec::new();
        loop {
            let n = fill(
                &mut input,
                block.bytes_mut(),
                |p| seen.extend_from_slice(p),
                || Ok::<(), io::Error>(()),
            )
            .unwrap();
            out.extend_from_slice(&block.bytes()[..n]);
            if n < 4096 {
                break;
            }
        }
        assert!(out == data && seen == data);
    }

    #[test]
    fn stops_when_told() {
        let stop = || Err(io::Error::other("stop"));
        let result = fill(&mut &b"abc"[..], &mut [0; 9], |_| {}, stop);
        assert_eq!(result.unwrap_err().to_string(), "stop");
    }

    #[test]
    fn blocks_start_on_a_page() {
        let block = Block::new(65536);
        assert_eq!(block.bytes().as_ptr() as usize % PAGE, 0);
        assert_eq!(block.bytes().len(), 65536);
    }
}
