//! Streams that the sink makes up, for the figures that need more of them than
//! anybody would upload first: manifest, indexes and blocks as s3pipe.5 has
//! them (format version 2), the blocks filled with the pattern.
//!
//! It is written from that page and not with s3pipe's own code, so a format
//! that changes shows as a download that fails.

use std::collections::HashMap;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::floor::hex;
use crate::objects::Object;

/// Blocks that one index lists.
const INDEX: u64 = 10_000;
/// All of them are one upload's, which no two real ones would be.
const UPLOAD: &str = "20260101T000000Z-0123456789abcdef";

/// Makes streams, and remembers the hashes that it has computed for them.
pub struct Maker<'a> {
    pattern: &'a [u8],
    hashes: HashMap<usize, Arc<str>>,
}

impl Maker<'_> {
    /// Of blocks that begin as `pattern` does, and are no longer.
    pub fn new(pattern: &[u8]) -> Maker<'_> {
        Maker {
            pattern,
            hashes: HashMap::new(),
        }
    }

    /// An object of `length` bytes. Its ETag is its hash, or if it is longer
    /// than the pattern, nothing to check it by.
    pub fn object(&mut self, length: u64) -> Object {
        let etag = match usize::try_from(length) {
            Ok(end) if end <= self.pattern.len() => self.hash(end),
            _ => "discarded-1".into(),
        };
        Object::discarded(etag, length)
    }

    /// The SHA-256 of so many bytes of the pattern.
    fn hash(&mut self, length: usize) -> Arc<str> {
        let hash = self.hashes.entry(length);
        hash.or_insert_with(|| hex(&Sha256::digest(&self.pattern[..length])).into())
            .clone()
    }

    /// All objects of the stream `name` (which needs no encoding): `blocks`
    /// blocks of `size` bytes.
    pub fn stream(&mut self, name: &str, blocks: u64, size: u64) -> Vec<(String, Object)> {
        let (hash, block) = (self.hash(size as usize), self.object(size));
        let mut made = Vec::new();
        let mut manifest = format!(
            "s3pipe-manifest 2\nstream {name}\nupload {UPLOAD}\ncreated 2026-01-01T00:00:00Z\n\
             blocksize {size}\nhash sha256\nencryption none\n"
        );
        let indexes = blocks.div_ceil(INDEX);
        for number in 0..indexes {
            let listed = number * INDEX..blocks.min((number + 1) * INDEX);
            let count = listed.end - listed.start;
            let lines: String = listed
                .map(|n| {
                    let key = format!("s3pipe/block/{name}/{UPLOAD}/{n:010}.{hash}");
                    made.push((key, block.clone()));
                    format!("{n:010} {size} {hash}\n")
                })
                .collect();
            let own = hex(&Sha256::digest(&lines));
            let bytes = count * size;
            manifest += &format!("index {number:010} {count} {bytes} {own}\n");
            let key = format!("s3pipe/index/{name}/{UPLOAD}/{number:010}.{own}");
            made.push((key, Object::kept(lines.into_bytes())));
        }
        manifest += &format!("end {indexes} {blocks} {}\n", blocks * size);
        let key = format!("s3pipe/manifest/{name}");
        made.push((key, Object::kept(manifest.into_bytes())));
        made
    }
}
