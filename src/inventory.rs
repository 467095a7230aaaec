//! What is stored of a stream, held against what its indexes say.
//!
//! Listings come in the order of keys, and so do the blocks of an index: both
//! are walked side by side, a page and an index at a time, so that memory does
//! not grow with the stream.

use crate::error::Result;
use crate::index::each_index;
use crate::key::{Keys, Name, Sha256, UploadId};
use crate::manifest::Manifest;
use crate::s3::{Client, Object, Pages};
use crate::uri;

/// A difference between the store and the manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The manifest names it, the store does not list it.
    Missing(String),
    /// Its size is not what it must be.
    Size(String, u64),
    /// The store lists it, the manifest does not name it.
    Extra(String),
}

/// A listing that can be looked at one object at a time.
pub struct Walk {
    pages: Pages,
    page: std::vec::IntoIter<Object>,
    next: Option<Object>,
}

impl Walk {
    /// All objects whose keys begin with `prefix`.
    pub fn new(prefix: &str) -> Walk {
        Walk {
            pages: Pages::new(prefix),
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
pub fn parse_key(rest: &str) -> Option<(u64, Sha256)> {
    let (number, sha256) = rest.split_once('.')?;
    let plain = number.len() == 10 && number.bytes().all(|b| b.is_ascii_digit());
    let sha256 = uri::unhex(sha256)?.try_into().ok()?;
    Some((number.parse().ok().filter(|_| plain)?, sha256))
}

impl Stored {
    /// The blocks of this upload.
    pub fn new(keys: &Keys, name: &Name, upload: &UploadId) -> Stored {
        let prefix = keys.blocks(name, upload);
        let walk = Walk::new(&prefix);
        Stored { prefix, walk }
    }

    /// Lengths and hashes of the blocks that are there under this number. To be
    /// asked in order of numbers.
    pub fn under(&mut self, client: &mut Client, number: u64) -> Result<Vec<(u64, Sha256)>> {
        let mut found = Vec::new();
        while let Some(object) = self.walk.peek(client)? {
            match parse_key(&object.key[self.prefix.len()..]) {
                Some((n, _)) if n > number => break,
                Some((n, sha256)) if n == number => found.push((object.size, sha256)),
                _ => {}
            }
            self.walk.advance();
        }
        Ok(found)
    }
}

/// Show every difference between the store's listing and the manifest with
/// its indexes to `each`, in the order of keys.
pub fn compare(
    client: &mut Client,
    keys: &Keys,
    manifest: &Manifest,
    mut each: impl FnMut(&mut Client, Finding) -> Result<()>,
) -> Result<()> {
    let (name, upload) = (&manifest.name, &manifest.upload);
    let prefix = keys.indexes(name, upload);
    let mut walk = Walk::new(&prefix);
    for (n, index) in manifest.indexes.iter().enumerate() {
        let key = keys.index(name, upload, n as u64, &index.sha256);
        expect(client, &mut walk, &key, None, &mut each)?;
    }
    rest(client, &mut walk, &mut each)?;
    let prefix = keys.blocks(name, upload);
    let mut walk = Walk::new(&prefix);
    let whole = 0..manifest.bytes();
    each_index(client, keys, manifest, &whole, |client, blocks| {
        for block in blocks {
            let key = keys.block(name, upload, block.number, &block.sha256);
            expect(client, &mut walk, &key, Some(block.length), &mut each)?;
        }
        Ok(())
    })?;
    rest(client, &mut walk, &mut each)
}

type Each<'a> = dyn FnMut(&mut Client, Finding) -> Result<()> + 'a;

/// The listing must have this key next; what comes before it is extra.
fn expect(
    client: &mut Client,
    walk: &mut Walk,
    key: &str,
    size: Option<u64>,
    each: &mut Each,
) -> Result<()> {
    while let Some(object) = walk.peek(client)? {
        if object.key.as_str() > key {
            break;
        }
        let object = object.clone();
        walk.advance();
        if object.key != key {
            each(client, Finding::Extra(object.key))?;
            continue;
        }
        return match size.filter(|size| *size != object.size) {
            Some(_) => each(client, Finding::Size(object.key, object.size)),
            None => Ok(()),
        };
    }
    each(client, Finding::Missing(key.to_string()))
}

fn rest(client: &mut Client, walk: &mut Walk, each: &mut Each) -> Result<()> {
    while walk.peek(client)?.is_some() {
        if let Some(object) = walk.advance() {
            each(client, Finding::Extra(object.key))?;
        }
    }
    Ok(())
}
