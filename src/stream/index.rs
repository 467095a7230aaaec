//! Reading the indexes of a committed stream.
//!
//! An index is held in memory only while its blocks are used. One without the hash
//! that the manifest names is never used. Where one is missing, the manifest is read
//! again: the stream may have been replaced meanwhile.

use std::ops::Range;

use crate::error::{Error, Exit, Result};
use crate::s3::{Get, Kind};
use crate::stream::commit;
use crate::stream::manifest::{BlockRef, IndexRef, Manifest, index_length, parse_index};
use crate::stream::store::Store;

/// Read the indexes that list bytes of `wanted`, one after the other, and hand
/// the blocks of each to `each`.
pub fn each_index(
    store: &mut Store,
    manifest: &Manifest,
    wanted: &Range<u64>,
    mut each: impl FnMut(&mut Store, Vec<BlockRef>) -> Result<()>,
) -> Result<()> {
    let (mut first, mut start) = (0, 0);
    for (n, index) in manifest.indexes.iter().enumerate() {
        let last = n + 1 == manifest.indexes.len();
        if start < wanted.end && start + index.bytes > wanted.start && !wanted.is_empty() {
            let blocks = read_index(store, manifest, n as u64, index, first, last)?;
            each(store, blocks)?;
        }
        first += index.blocks;
        start += index.bytes;
    }
    Ok(())
}

fn read_index(
    store: &mut Store,
    manifest: &Manifest,
    number: u64,
    index: &IndexRef,
    first: u64,
    last: bool,
) -> Result<Vec<BlockRef>> {
    let key = store
        .keys
        .index(&manifest.name, &manifest.upload, number, &index.sha256);
    let length = index_length(index, first, manifest.blocksize);
    let mut get = Get::hashed(&key, Kind::Index, length, index.sha256);
    let got = store.client.find(&mut get);
    let text = got.map_err(|f| lost(store, manifest, f.no_such_key(), f.error))?;
    parse_index(&text.value, index, first, manifest.blocksize, last).map_err(|why| {
        let why = format!("bad index: {why}");
        store.client.error(Exit::Data, Some(&key), why)
    })
}

/// The error for an object of a stream that could not be read. If the object is
/// `missing`, the stream was changed meanwhile (75), or is damaged (65).
pub fn lost(store: &mut Store, manifest: &Manifest, missing: bool, error: Error) -> Error {
    if !missing {
        return error;
    }
    match commit::read(store, &manifest.name) {
        Err(e) => e,
        // All of it is compared: an upload may be resumed, and committed with other
        // data.
        Ok(Some(now)) if *now == *manifest => {
            let why = "404: missing from a committed stream";
            Error::new(Exit::Data, error.what(), why)
        }
        Ok(_) => {
            let why = "the stream was replaced or deleted while it was being read";
            store.error(Exit::Changed, &manifest.name, why)
        }
    }
}
