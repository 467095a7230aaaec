//! What is stored of a stream, compared with what its indexes say.
//!
//! An index lists blocks in the order of their keys. It is compared with the listing
//! side by side, an index and a page at a time, so that memory does not grow with
//! the stream. So the listing must have the same order; one that has not is refused
//! (69), since every key in it would seem to be extra or missing. That an object is
//! not listed proves nothing: the caller looks at the object itself.

use std::ops::Range;

use crate::error::{Error, Exit, Result};
use crate::s3::{Client, Object, Pages};
use crate::stream::index::each_index;
use crate::stream::manifest::{BlockRef, Manifest};
use crate::stream::name::{Name, UploadId};
use crate::stream::store::Store;
use crate::text::hex::{self, Hash};

/// A difference between the store and the manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// The manifest names this object (and its size, if it is a block), and the store
    /// does not list it.
    Missing(String, Option<u64>),
    /// The store lists this object with a size other than this one, which it must
    /// have.
    Size(String, u64),
    /// The store lists this object, and the manifest does not name it.
    Extra(String),
}

/// How many blocks of the same number are considered when an upload is resumed.
/// There may be one for each run that was broken off; if there are more, a block may
/// be sent again.
const SAME_NUMBER: usize = 64;

/// A listing in the order of keys that can be looked at one object at a time.
pub struct OrderedListing {
    pages: Pages,
    page: std::vec::IntoIter<Object>,
    next: Option<Object>,
}

impl OrderedListing {
    /// All objects whose keys begin with `prefix`. 69, when it comes to that, if
    /// they do not come in order.
    pub fn new(prefix: &str) -> OrderedListing {
        OrderedListing {
            pages: Pages::in_order(prefix),
            page: Vec::new().into_iter(),
            next: None,
        }
    }

    /// The next object, without going on.
    pub fn peek(&mut self, client: &mut Client) -> Result<Option<&Object>> {
        while self.next.is_none() {
            self.next = self.page.next();
            if self.next.is_none() {
                match client.next_page(&mut self.pages)? {
                    Some(page) => self.page = page.into_iter(),
                    None => return Ok(None),
                }
            }
        }
        Ok(self.next.as_ref())
    }

    /// Take the object that was peeked at, and go on.
    pub fn advance(&mut self) -> Option<Object> {
        self.next.take()
    }
}

/// The blocks that an earlier run of this upload has stored.
pub struct StoredBlocks {
    prefix: String,
    walk: OrderedListing,
}

/// Number and hash of a block's or index's key, behind its prefix.
pub fn parse_key(rest: &str) -> Option<(u64, Hash)> {
    let (number, sha256) = rest.split_once('.')?;
    let plain = number.len() == 10 && number.bytes().all(|b| b.is_ascii_digit());
    let sha256 = hex::decode_array(sha256)?;
    Some((number.parse().ok().filter(|_| plain)?, sha256))
}

impl StoredBlocks {
    /// The blocks of this upload. 69 if the first ones are not listed in order.
    pub fn open(store: &mut Store, name: &Name, upload: &UploadId) -> Result<StoredBlocks> {
        let prefix = store.keys.blocks(name, upload);
        let mut walk = OrderedListing::new(&prefix);
        walk.peek(&mut store.client)?;
        Ok(StoredBlocks { prefix, walk })
    }

    /// Lengths, in bytes, and hashes of the blocks that are stored under this number,
    /// or of some of them. To be called in the order of numbers.
    pub fn under(&mut self, client: &mut Client, number: u64) -> Result<Vec<(u64, Hash)>> {
        let mut found = Vec::new();
        while let Some(object) = self.walk.peek(client)? {
            match parse_key(&object.key[self.prefix.len()..]) {
                Some((n, _)) if n > number => break,
                Some((n, sha256)) if n == number && found.len() < SAME_NUMBER => {
                    found.push((object.size, sha256));
                }
                _ => {}
            }
            self.walk.advance();
        }
        Ok(found)
    }
}

/// What the indexes of a stream say of its blocks, by number. One index is held
/// in memory, so it is fastest in order.
pub struct IndexedBlocks<'a> {
    manifest: &'a Manifest,
    /// The numbers of the blocks of the index that was read last.
    numbers: Range<u64>,
    /// Those blocks, or why the index cannot be read.
    blocks: Result<Vec<BlockRef>>,
}

impl IndexedBlocks<'_> {
    /// Of this stream.
    pub fn new(manifest: &Manifest) -> IndexedBlocks<'_> {
        IndexedBlocks {
            manifest,
            numbers: 0..0,
            blocks: Ok(Vec::new()),
        }
    }

    /// The block of this number; None if the stream ends before it. 65 if its
    /// index cannot be read.
    pub fn block(&mut self, store: &mut Store, number: u64) -> Result<Option<BlockRef>> {
        if number >= self.manifest.blocks() {
            return Ok(None);
        }
        if !self.numbers.contains(&number) {
            self.read(store, number)?;
        }
        let blocks = self.blocks.as_ref().map_err(Error::clone)?;
        let at = (number - self.numbers.start) as usize;
        Ok(blocks.get(at).copied())
    }

    /// Read the index that lists this block.
    fn read(&mut self, store: &mut Store, number: u64) -> Result<()> {
        let (mut first, mut start) = (0, 0);
        for index in &self.manifest.indexes {
            self.numbers = first..first + index.blocks;
            if self.numbers.contains(&number) {
                break;
            }
            first += index.blocks;
            start += index.bytes;
        }
        let mut found = Vec::new();
        let read = each_index(store, self.manifest, &(start..start + 1), |_, blocks| {
            found = blocks;
            Ok(())
        });
        self.blocks = read.map(|()| found);
        match &self.blocks {
            Err(e) if e.exit() != Exit::Data => Err(e.clone()),
            _ => Ok(()),
        }
    }
}

/// Call `each` for every difference between the store's listing and the manifest
/// with its indexes, in the order of keys.
pub fn compare(
    store: &mut Store,
    manifest: &Manifest,
    mut each: impl FnMut(&mut Store, Difference) -> Result<()>,
) -> Result<()> {
    let (name, upload) = (&manifest.name, &manifest.upload);
    let prefix = store.keys.indexes(name, upload);
    let mut walk = OrderedListing::new(&prefix);
    for (n, index) in manifest.indexes.iter().enumerate() {
        let key = store.keys.index(name, upload, n as u64, &index.sha256);
        expect(store, &mut walk, &key, None, &mut each)?;
    }
    rest(store, &mut walk, &mut each)?;
    let prefix = store.keys.blocks(name, upload);
    let mut walk = OrderedListing::new(&prefix);
    let whole = 0..manifest.bytes();
    each_index(store, manifest, &whole, |store, blocks| {
        for block in blocks {
            let key = store.keys.block(name, upload, block.number, &block.sha256);
            expect(store, &mut walk, &key, Some(block.length), &mut each)?;
        }
        Ok(())
    })?;
    rest(store, &mut walk, &mut each)
}

type Each<'a> = dyn FnMut(&mut Store, Difference) -> Result<()> + 'a;

/// Compare the listing with the key that must come next; keys before it are extra.
fn expect(
    store: &mut Store,
    walk: &mut OrderedListing,
    key: &str,
    size: Option<u64>,
    each: &mut Each,
) -> Result<()> {
    while let Some(object) = walk.peek(&mut store.client)? {
        if object.key.as_str() > key {
            break;
        }
        let object = object.clone();
        walk.advance();
        if object.key != key {
            each(store, Difference::Extra(object.key))?;
            continue;
        }
        return match size.filter(|size| *size != object.size) {
            Some(size) => each(store, Difference::Size(object.key, size)),
            None => Ok(()),
        };
    }
    each(store, Difference::Missing(key.to_string(), size))
}

fn rest(store: &mut Store, walk: &mut OrderedListing, each: &mut Each) -> Result<()> {
    while walk.peek(&mut store.client)?.is_some() {
        if let Some(object) = walk.advance() {
            each(store, Difference::Extra(object.key))?;
        }
    }
    Ok(())
}
