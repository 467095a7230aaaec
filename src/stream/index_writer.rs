//! The indexes of an upload: which blocks are stored, and the text of the objects
//! that list them. Pure.
//!
//! Blocks are added as they are stored, in any order, and listed in the stream's.
//! Memory grows with the stream by a few bytes for each index only.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::protection::seal::SEALS_LIMIT;
use crate::stream::manifest::{BlockRef, INDEX_REF_LIMIT, IndexRef, MANIFEST_LIMIT, index_line};

/// By how many a block's number may exceed that of one that is not stored yet.
pub const AHEAD: u64 = 4096;

/// Makes the indexes of one upload.
pub struct IndexWriter {
    /// Blocks per index.
    index_blocks: u64,
    indexes: Vec<IndexRef>,
    /// The lines of the index that is being filled, and their totals.
    lines: String,
    pending: IndexRef,
    /// How many blocks are listed.
    listed: u64,
    /// Blocks that are stored, but cannot be listed before earlier ones are.
    ahead: BTreeMap<u64, BlockRef>,
    bytes: u64,
    blocks: u64,
}

/// An index that is complete, to be stored.
pub struct Index {
    /// Its number in the stream, from 0.
    pub number: u64,
    /// What the manifest says of it.
    pub entry: IndexRef,
    /// The text of the object.
    pub text: String,
}

fn nothing() -> IndexRef {
    IndexRef {
        blocks: 0,
        bytes: 0,
        sha256: [0; 32],
    }
}

impl IndexWriter {
    /// Of an upload without blocks yet, with so many blocks in each index.
    pub fn new(index_blocks: u64) -> IndexWriter {
        IndexWriter {
            index_blocks,
            indexes: Vec::new(),
            lines: String::new(),
            pending: nothing(),
            listed: 0,
            ahead: BTreeMap::new(),
            bytes: 0,
            blocks: 0,
        }
    }

    /// A block is stored.
    pub fn add(&mut self, block: BlockRef) {
        self.bytes += block.length;
        self.blocks += 1;
        self.ahead.insert(block.number, block);
    }

    /// The next index that is full. To be called after each block, until there is
    /// none.
    pub fn next_index(&mut self) -> Option<Index> {
        while self.pending.blocks < self.index_blocks {
            let block = self.ahead.remove(&self.listed)?;
            self.lines.push_str(&index_line(&block));
            self.pending.blocks += 1;
            self.pending.bytes += block.length;
            self.listed += 1;
        }
        self.last_index()
    }

    /// The index that is being filled, at the end of the stream; None if it is empty.
    pub fn last_index(&mut self) -> Option<Index> {
        if self.pending.blocks == 0 {
            return None;
        }
        let text = std::mem::take(&mut self.lines);
        let mut entry = std::mem::replace(&mut self.pending, nothing());
        entry.sha256 = Sha256::digest(text.as_bytes()).into();
        let number = self.indexes.len() as u64;
        self.indexes.push(entry.clone());
        Some(Index {
            number,
            entry,
            text,
        })
    }

    /// Whether the manifest could not name one more index.
    pub fn is_full(&self) -> bool {
        (self.indexes.len() + 8) * INDEX_REF_LIMIT + SEALS_LIMIT > MANIFEST_LIMIT
    }

    /// Whether this block may be begun, or must wait for earlier ones.
    pub fn has_room_for(&self, number: u64) -> bool {
        number < self.listed + AHEAD
    }

    /// Whether all blocks before this one are stored and listed.
    pub fn has_all_before(&self, number: u64) -> bool {
        self.listed >= number
    }

    /// Bytes and blocks that are stored.
    pub fn stored(&self) -> (u64, u64) {
        (self.bytes, self.blocks)
    }

    /// What the manifest will name.
    pub fn indexes(self) -> Vec<IndexRef> {
        self.indexes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::manifest::{INDEX_BLOCKS, parse_index};
    use crate::testing::Random;

    const SIZE: u64 = 1 << 16;

    fn block(number: u64) -> BlockRef {
        BlockRef {
            number,
            length: SIZE,
            sha256: [number as u8; 32],
        }
    }

    /// Bytes of memory that it holds.
    fn footprint(writer: &IndexWriter) -> usize {
        writer.lines.capacity()
            + writer.indexes.capacity() * size_of::<IndexRef>()
            + writer.ahead.len() * 2 * size_of::<BlockRef>()
    }

    #[test]
    fn blocks_are_listed_in_order_whatever_order_they_come_in() {
        let (mut writer, mut random) = (IndexWriter::new(3), Random(4));
        let mut waiting: Vec<u64> = (0..100).collect();
        let mut found = Vec::new();
        while !waiting.is_empty() {
            let at = random.below(waiting.len().min(16));
            writer.add(block(waiting.remove(at)));
            while let Some(index) = writer.next_index() {
                assert_eq!(index.number as usize, found.len());
                found.push(index);
            }
        }
        assert!(writer.has_all_before(100) && !writer.has_all_before(101));
        found.extend(writer.last_index());
        assert!(writer.last_index().is_none());
        assert_eq!(writer.stored(), (100 * SIZE, 100));
        let mut first = 0;
        for (n, index) in found.iter().enumerate() {
            let text = index.text.as_bytes();
            let last = n == found.len() - 1;
            parse_index(text, &index.entry, first, SIZE, last).unwrap();
            first += index.entry.blocks;
        }
        assert_eq!((first, writer.indexes().len()), (100, 34));
    }

    #[test]
    fn memory_does_not_grow_with_the_stream() {
        let mut writer = IndexWriter::new(INDEX_BLOCKS);
        let mut most = [0, 0];
        for number in 0..200_000 {
            // As workers do: a few are done before one that is not.
            writer.add(block(number ^ 3));
            if number % 4 == 3 {
                while let Some(index) = writer.next_index() {
                    assert_eq!(index.entry.blocks, INDEX_BLOCKS);
                }
            }
            let late = usize::from(number >= 20_000);
            if number % 1000 == 999 {
                most[late] = most[late].max(footprint(&writer));
            }
        }
        assert_eq!(writer.stored().1, 200_000);
        assert!(!writer.is_full());
        // The entries of twenty indexes are all that has come to it.
        let entries = 2 * 20 * size_of::<IndexRef>();
        assert!(most[1] <= most[0] + entries, "{most:?}");
    }

    #[test]
    fn nobody_gets_too_far_ahead() {
        let mut writer = IndexWriter::new(10);
        assert!(writer.has_room_for(AHEAD - 1) && !writer.has_room_for(AHEAD));
        writer.add(block(0));
        assert!(writer.next_index().is_none());
        assert!(writer.has_room_for(AHEAD));
    }
}
