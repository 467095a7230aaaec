//! What an upload keeps of a stream's blocks, simulated: the books that its
//! coordinator fills, without the blocks, which it never sees.

use s3pipe::parts::IndexWriter;
use s3pipe::parts::{BlockRef, INDEX_BLOCKS};

use crate::Outcome;

/// Enters so many blocks, as four workers would that take turns at being late,
/// and lists them.
pub fn keep(blocks: u64) -> Outcome {
    let mut ledger = IndexWriter::new(INDEX_BLOCKS);
    let mut listed = 0;
    for number in 0..blocks.next_multiple_of(4) {
        ledger.add(BlockRef {
            number: number ^ 3,
            length: 16 << 20,
            sha256: [number as u8; 32],
        });
        while number % 4 == 3
            && let Some(index) = ledger.next_index()
        {
            listed += index.entry.blocks;
            if ledger.is_full() {
                return Err(format!("full after {listed} blocks").into());
            }
        }
    }
    listed += ledger.last_index().map_or(0, |index| index.entry.blocks);
    match listed == ledger.stored().1 {
        true => Ok(()),
        false => Err(format!("{listed} blocks are listed").into()),
    }
}
