//! The bytes that a series is made of, and the page-aligned memory for them.
//!
//! The stream repeats one pattern of [`BLOCK`] bytes, s3pipe's default block
//! size: so every block is the same, and the sink can serve a block that it
//! never stored, with the hash that it was uploaded under. The pattern is
//! computed, not kept, by the process that measures, since a child's peak
//! memory can never read lower than its parent's (see `measure`).

use std::io::{Read, Write};
use std::ops::{Deref, DerefMut};

use crate::Outcome;

/// The length of the pattern and of a block, in bytes.
pub const BLOCK: usize = 16 << 20;

const PAGE: usize = 4096;

/// A buffer that starts on a page: a large allocation by the C library starts
/// 16 bytes into one, which halves the speed of the kernel's copies.
pub struct Aligned {
    memory: Vec<u8>,
    start: usize,
    length: usize,
}

impl Aligned {
    /// `length` zero bytes, whose pages are taken when they are first used.
    pub fn new(length: usize) -> Aligned {
        let memory = vec![0; length + PAGE];
        let start = memory.as_ptr().align_offset(PAGE);
        Aligned {
            memory,
            start,
            length,
        }
    }

    /// One block of the pattern.
    pub fn pattern() -> Aligned {
        let mut block = Aligned::new(BLOCK);
        for (index, word) in block.chunks_exact_mut(8).enumerate() {
            word.copy_from_slice(&mix(index as u64).to_le_bytes());
        }
        block
    }
}

impl Deref for Aligned {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.memory[self.start..self.start + self.length]
    }
}

impl DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..self.start + self.length]
    }
}

/// The output function of SplitMix64 (Steele, Lea, Flood 2014): bytes that
/// neither a file system nor a disk can compress.
fn mix(index: u64) -> u64 {
    let mut z = index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Writes `bytes` bytes of the stream to `out`.
pub fn write(out: &mut impl Write, bytes: u64) -> Outcome {
    let block = Aligned::pattern();
    let mut left = bytes;
    while left > 0 {
        let piece = left.min(BLOCK as u64) as usize;
        out.write_all(&block[..piece])?;
        left -= piece as u64;
    }
    Ok(())
}

/// Reads `input` to its end; an error unless it is `bytes` bytes of the
/// stream, no more and no fewer.
pub fn check(input: &mut impl Read, bytes: u64) -> Outcome {
    let block = Aligned::pattern();
    let mut buffer = vec![0; 1 << 20];
    let mut seen = 0;
    loop {
        let count = input.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        let mut piece = &buffer[..count];
        while !piece.is_empty() {
            let at = (seen % BLOCK as u64) as usize;
            let part = piece.len().min(BLOCK - at);
            if piece[..part] != block[at..at + part] {
                return Err(format!("wrong data after {seen} bytes").into());
            }
            seen += part as u64;
            piece = &piece[part..];
        }
    }
    if seen != bytes {
        return Err(format!("{seen} bytes instead of {bytes}").into());
    }
    Ok(())
}
