//! What unit tests have in common: strange input that is the same in every run,
//! for parsers, and a flow that lets everything pass. Compiled for tests only.

pub mod fuzzing;

use crate::net::socket::Flow;

/// Holds up nothing.
pub struct Free;

impl Flow for Free {
    fn pulse(&self) -> bool {
        false
    }

    fn grant(&self, want: usize) -> Option<usize> {
        Some(want)
    }

    fn moved(&self, _: usize) {}
}

/// Numbers that are the same in every run (xorshift64).
pub struct Random(pub u64);

impl Random {
    /// At least 0, less than `n`.
    pub fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }

    /// A good text with some bytes changed, or nothing but such bytes.
    pub fn input(&mut self, good: &str, special: &[u8]) -> Vec<u8> {
        let mut bytes = match self.below(3) {
            0 => Vec::new(),
            _ => good.as_bytes().to_vec(),
        };
        for _ in 0..1 + self.below(60) {
            let at = self.below(bytes.len() + 1);
            let byte = match self.below(4) {
                0 => self.below(256) as u8,
                _ => special[self.below(special.len())],
            };
            match self.below(3) {
                0 if at < bytes.len() => drop(bytes.remove(at)),
                1 if at < bytes.len() => bytes[at] = byte,
                _ => bytes.insert(at, byte),
            }
        }
        bytes
    }
}
