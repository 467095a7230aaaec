//! Filling a block from a stream, and writing it to one.
//!
//! Reading never takes a byte more than the block holds.

use std::io::{self, Read, Write};

use crate::error::Error;

/// Bytes that are gathered before they are hashed: few enough to be in the
/// processor's cache still, and enough not to switch between the two often.
pub const PIECE: usize = 1 << 20;

/// Why a transfer between a block and a stream ended early.
#[derive(Debug)]
pub enum Broken {
    /// The stream cannot be read or written.
    Io(io::Error),
    /// Somebody asked for a stop.
    Stopped(Error),
}

/// Fill `block` from `input` until it is full or the stream ends, and return
/// how many bytes there are. `each` sees all of them, a piece at a time and in
/// order; `check` is asked after each read and each interrupted call, and ends
/// the reading with its error.
pub fn fill(
    input: &mut impl Read,
    block: &mut [u8],
    mut each: impl FnMut(&[u8]),
    mut check: impl FnMut() -> Result<(), Error>,
) -> Result<usize, Broken> {
    let (mut filled, mut seen) = (0, 0);
    while filled < block.len() {
        let end = block.len().min(seen + PIECE);
        match input.read(&mut block[filled..end]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(Broken::Io(e)),
        }
        if filled == end {
            each(&block[seen..end]);
            seen = end;
        }
        check().map_err(Broken::Stopped)?;
    }
    each(&block[seen..filled]);
    // A signal that ended the producer must not pass for the stream's end.
    check().map_err(Broken::Stopped)?;
    Ok(filled)
}

/// Write all of `bytes`, and add to `written` how many were, even on failure.
/// `check` is asked as in [`fill`].
pub fn spill(
    output: &mut impl Write,
    bytes: &[u8],
    written: &mut u64,
    mut check: impl FnMut() -> Result<(), Error>,
) -> Result<(), Broken> {
    let mut rest = bytes;
    while !rest.is_empty() {
        match output.write(&rest[..rest.len().min(PIECE)]) {
            Ok(0) => return Err(Broken::Io(io::ErrorKind::WriteZero.into())),
            Ok(n) => {
                rest = &rest[n..];
                *written += n as u64;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => {
                // A terminal's signal ends the program at the other end of a pipe as
                // well: then that is the reason.
                check().map_err(Broken::Stopped)?;
                return Err(Broken::Io(e));
            }
        }
        check().map_err(Broken::Stopped)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Exit;
    use crate::os::Block;

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
                || Ok(()),
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
        let stop = || Err(Error::new(Exit::Signal(2), "stop", "now"));
        let result = fill(&mut &b"abc"[..], &mut [0; 9], |_| {}, stop);
        assert!(matches!(result, Err(Broken::Stopped(e)) if e.what() == "stop"));
        let (mut out, mut written) = (Vec::new(), 0);
        let result = spill(&mut out, &[7; 3 * PIECE], &mut written, stop);
        assert!(matches!(result, Err(Broken::Stopped(_))));
        assert!(written == PIECE as u64 && out.len() == PIECE);
    }
}
