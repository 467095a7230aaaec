//! What is stored of a stream, held against what its indexes say.
//!
//! Blocks stand in an index in the order of their keys, and both are walked side
//! by side, a page and an index at a time, so that memory does not grow with the
//! stream. So the listing must have that order too: one that does not is refused
//! (69), since every key in it would seem to be foreign or missing. That something
//! is not listed proves nothing: who concludes from it looks at the object first.

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
pub enum Finding {
    /// The manifest names it, and of this size if it is a block; the store does
    /// not list it.
    Missing(String, Option<u64>),
    /// The store does not list it with this size, which it must have.
    Size(String, u64),
    /// The store lists it, the manifest does not name it.
    Extra(String),
}

/// How many blocks with the same number an upload is resumed with. There may be
/// one for each run that was broken off; more only means to send one again.
const SAME_NUMBER: usize = 64;

/// A listing in the order of keys that can be looked at one object at a time.
pub struct Walk {
    pages: Pages,
    page: std::vec::IntoIter<Object>,
    next: Option<Object>,
}

impl Walk {
    /// All objects whose keys begin with `prefix`. 69, when it comes to that, if
    /// they do not come in order.
    pub fn new(prefix: &str) -> Walk {
        Walk {
            pages: Pages::in_order(prefix),
            page: Vec::new().into_iter(),
            next: None,
        }
    }

    /// The next object, which stays.
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

    /// Go on to the one after it.
    pub fn advance(&mut self) -> Option<Object> {
        self.next.take()
    }
}

/// Blocks that an earlier, broken-off upload has stored.
pub struct Stored {
    prefix: String,
    walk: Walk,
}

/// Number and hash of a block's or index's key, behind its prefix.
pub fn parse_key(rest: &str) -> Option<(u64, Hash)> {
    let (number, sha256) = rest.split_once('.')?;
    let plain = number.len() == 10 && number.bytes().all(|b| b.is_ascii_digit());
    let sha256 = hex::decode_array(sha256)?;
    Some((number.parse().ok().filter(|_| plain)?, sha256))
}

impl Stored {
    /// The blocks of this upload. 69 if the first ones are not listed in order.
    pub fn open(store: &mut Store, name: &Name, upload: &UploadId) -> Result<Stored> {
        let prefix = store.keys.blocks(name, upload);
        let mut walk = Walk::new(&prefix);
        walk.peek(&mut store.client)?;
        Ok(Stored { prefix, walk })
    }

    /// Lengths and hashes of the blocks that are there under this number, or of
    /// some of them. To be asked in order of numbers.
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
/// in memory, so it is best asked in order.
pub struct Named<'a> {
    manifest: &'a Manifest,
    /// The blocks of the index that was read last, or why it cannot be read.
    numbers: Range<u64>,
    blocks: Result<Vec<BlockRef>>,
}

impl Named<'_> {
    /// Of this stream.
    pub fn new(manifest: &Manifest) -> Named<'_> {
        Named {
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

/// Show every difference between the store's listing and the manifest with
/// its indexes to `each`, in the order of keys.
pub fn compare(
    store: &mut Store,
    manifest: &Manifest,
    mut each: impl FnMut(&mut Store, Finding) -> Result<()>,
) -> Result<()> {
    let (name, upload) = (&manifest.name, &manifest.upload);
    let prefix = store.keys.indexes(name, upload);
    let mut walk = Walk::new(&prefix);
    for (n, index) in manifest.indexes.iter().enumerate() {
        let key = store.keys.index(name, upload, n as u64, &index.sha256);
        expect(store, &mut walk, &key, None, &mut each)?;
    }
    rest(store, &mut walk, &mut each)?;
    let prefix = store.keys.blocks(name, upload);
    let mut walk = Walk::new(&prefix);
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

type Each<'a> = dyn FnMut(&mut Store, Finding) -> Result<()> + 'a;

/// The listing must have this key next; what comes before it is extra.
fn expect(
    store: &mut Store,
    walk: &mut Walk,
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
            each(store, Finding::Extra(object.key))?;
            continue;
        }
        return match size.filter(|size| *size != object.size) {
            Some(size) => each(store, Finding::Size(object.key, size)),
            None => Ok(()),
        };
    }
    each(store, Finding::Missing(key.to_string(), size))
}

fn rest(store: &mut Store, walk: &mut Walk, each: &mut Each) -> Result<()> {
    while walk.peek(&mut store.client)?.is_some() {
        if let Some(object) = walk.advance() {
            each(store, Finding::Extra(object.key))?;
        }
    }
    Ok(())
}
