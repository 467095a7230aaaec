//! Removing what is of no use any more: an upload that no manifest names, and
//! what lies within a committed one without belonging to it.
//!
//! Whoever calls, and whatever a listing says, two things are seen to here: of an
//! upload that the manifest names, as it is just then, nothing goes; and of a
//! committed one, nothing that its index names. Of what is to go the record goes
//! first, so that its owner and whoever resumes it notice; of what stays, the
//! record stays until all is done, so that clean comes back.

use std::time::Instant;

use crate::error::{Exit, Result};
use crate::s3::{Client, Kind, Presence, READINGS};
use crate::stream;
use crate::stream::commit::{self, Head};
use crate::stream::manifest::Manifest;
use crate::stream::name::{Keys, Name, UploadId};
use crate::stream::store::Store;
use crate::stream::stored::{Finding, Named, compare, parse_key};

/// How many strays are gathered before they are removed.
const STRAYS: usize = 10_000;

/// How many objects are removed until the manifest is looked at again.
const BATCH: usize = 1000;

/// Whether a stream's manifest names an upload.
type IsNamed = fn(&mut Client, &Keys, &Name, &UploadId) -> Result<bool>;

/// Delete all objects of an upload that no manifest names any more: its record,
/// then, unless the manifest names it after all, its blocks and indexes. False if
/// it does: one sight of that is enough, since a stream may be at stake.
pub fn remove_upload(store: &mut Store, name: &Name, id: &UploadId) -> Result<bool> {
    store.delete_record(name, id)?;
    if is_named(&mut store.client, &store.keys, name, id)? {
        return Ok(false);
    }
    remove_objects(store, name, id, is_named)?;
    Ok(true)
}

/// Whether the manifest of this stream names this upload. 77 or 65 if that cannot
/// be told.
fn is_named(client: &mut Client, keys: &Keys, name: &Name, id: &UploadId) -> Result<bool> {
    match commit::look_with(client, keys, name)? {
        Head::Unknown => Err(client.error(Exit::Denied, Some(&keys.manifest(name)), UNKNOWN)),
        Head::Damaged(_, why) => Err(client.error(Exit::Data, Some(&keys.manifest(name)), why)),
        head => Ok(head.upload() == Some(id)),
    }
}

/// The same of a stream whose manifest was deleted, and seen gone: what still shows
/// it is old, unless it shows it each time.
fn is_named_still(client: &mut Client, keys: &Keys, name: &Name, id: &UploadId) -> Result<bool> {
    for reading in 0..READINGS {
        if reading > 0 {
            client.pause_before(reading)?;
        }
        if !is_named(client, keys, name, id)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// That a look at the manifest has told nothing.
pub const UNKNOWN: &str = "403 AccessDenied: whether it is committed cannot be told";

/// The blocks, and then the indexes. 75 if the manifest begins to name them.
fn remove_objects(store: &mut Store, name: &Name, id: &UploadId, look: IsNamed) -> Result<()> {
    let Store { client, keys } = store;
    let may = &mut |client: &mut Client| {
        if !look(client, keys, name, id)? {
            return Ok(());
        }
        let why = "this upload was committed while it was being removed: run s3pipe verify";
        Err(client.error(Exit::Changed, Some(&keys.manifest(name)), why))
    };
    client.delete_prefix(&keys.blocks(name, id), Kind::Block, may)?;
    client.delete_prefix(&keys.indexes(name, id), Kind::Index, may)
}

/// Delete a committed stream. The record goes first: whoever finds the manifest
/// gone finds that gone, too, and commits nothing again.
pub fn remove_stream(store: &mut Store, manifest: &Manifest) -> Result<()> {
    let (name, id) = (&manifest.name, &manifest.upload);
    store.delete_record(name, id)?;
    let key = store.keys.manifest(name);
    let Store { client, keys } = &mut *store;
    remove_head(client, &key, &mut |client| {
        Ok(commit::look_with(client, keys, name)?.upload() != Some(id))
    })?;
    remove_objects(store, name, id, is_named_still)?;
    let Store { client, keys } = store;
    // A look that tells nothing is an error here.
    see_gone(client, &key, &mut |client| {
        Ok(!is_named_still(client, keys, name, id)?)
    })
}

/// Delete a manifest that makes no sense; its blocks are for clean to find.
pub fn remove_damaged(store: &mut Store, name: &Name) -> Result<()> {
    let Store { client, keys } = store;
    remove_head(client, &keys.manifest(name), &mut |client| {
        let head = commit::look_with(client, keys, name)?;
        Ok(!matches!(head, Head::Damaged(..)))
    })
}

/// Look whether what makes a stream one is still `gone`; 69 if it stays there.
pub fn see_gone(
    client: &mut Client,
    key: &str,
    gone: &mut dyn FnMut(&mut Client) -> Result<bool>,
) -> Result<()> {
    let (start, mut attempt) = (Instant::now(), 0);
    while !gone(client)? {
        client.look_again(start, attempt, Some(key), STILL_THERE)?;
        attempt += 1;
    }
    Ok(())
}

const STILL_THERE: &str = "the server says that it was deleted, but still shows it";

/// Delete the object that makes a stream one, until it is `gone`. What is there
/// after that is another's, so it is looked at before it is deleted again. 69 if
/// it does not go.
pub fn remove_head(
    client: &mut Client,
    key: &str,
    gone: &mut dyn FnMut(&mut Client) -> Result<bool>,
) -> Result<()> {
    let (start, mut attempt) = (Instant::now(), 0);
    loop {
        client.delete_watched(key, Kind::Manifest, gone)?;
        if gone(client)? {
            return Ok(());
        }
        client.look_again(start, attempt, Some(key), STILL_THERE)?;
        // What was shown may have been older than that.
        if gone(client)? {
            return Ok(());
        }
        attempt += 1;
    }
}

/// Delete what is stored of a committed upload and not named by its manifest:
/// blocks of a run that was broken off, and resumed with other data.
///
/// The whole stream must be there for that: 65 if something that the manifest
/// names is missing or of a wrong size, and nothing is deleted then. 69 if the
/// service does not list in the order of keys.
pub fn remove_strays(store: &mut Store, manifest: &Manifest) -> Result<()> {
    let mut last = None;
    loop {
        let strays = strays(store, manifest)?;
        remove(store, manifest, &strays)?;
        if strays.len() < STRAYS {
            return Ok(());
        }
        let first = strays.into_iter().next();
        if first == last {
            let why = "the server still lists objects that it says are deleted";
            return Err(store.client.error(Exit::Unavailable, last.as_deref(), why));
        }
        last = first;
    }
}

/// Delete these, of which none may belong to the stream.
fn remove(store: &mut Store, manifest: &Manifest, strays: &[String]) -> Result<()> {
    let mut named = Named::new(manifest);
    for batch in strays.chunks(BATCH) {
        // What the indexes name is what belongs to the stream while this is so.
        if !stream::is_unchanged(store, manifest)? {
            let why = "the stream was replaced or deleted meanwhile";
            return Err(store.error(Exit::Changed, &manifest.name, why));
        }
        for key in batch {
            if belongs(store, manifest, &mut named, key)? {
                let why = "the stream needs what was to be removed";
                return Err(store.client.error(Exit::Internal, Some(key), why));
            }
            store.client.delete(key, Kind::Block)?;
        }
    }
    Ok(())
}

/// The first objects that lie within the upload, are made as its own are, and do
/// not belong to it.
fn strays(store: &mut Store, manifest: &Manifest) -> Result<Vec<String>> {
    let mut strays = Vec::new();
    compare(store, manifest, |store, finding| {
        let (key, size) = match finding {
            Finding::Extra(key) => {
                let rest = key.rsplit_once('/').map_or("", |(_, rest)| rest);
                if strays.len() < STRAYS && parse_key(rest).is_some() {
                    strays.push(key);
                }
                return Ok(());
            }
            // An index is read, which proves more than that it is listed.
            Finding::Missing(_, None) => return Ok(()),
            Finding::Missing(key, Some(size)) | Finding::Size(key, size) => (key, size),
        };
        let why = match store.client.see(&key, Kind::Block, Some(size))? {
            Presence::Whole => return Ok(()),
            Presence::Missing => "missing from a committed stream",
            Presence::OtherLength => "has the wrong size in a committed stream",
        };
        let why = format!("{why}: nothing was removed of this upload");
        Err(store.client.error(Exit::Data, Some(&key), why))
    })?;
    Ok(strays)
}

/// Whether the manifest or an index names this very object.
fn belongs(store: &mut Store, manifest: &Manifest, named: &mut Named, key: &str) -> Result<bool> {
    let (name, id) = (&manifest.name, &manifest.upload);
    let (blocks, indexes) = (store.keys.blocks(name, id), store.keys.indexes(name, id));
    if let Some((number, sha256)) = key.strip_prefix(&blocks).and_then(parse_key) {
        let block = named.block(store, number)?;
        return Ok(block.is_some_and(|block| block.sha256 == sha256));
    }
    let Some((number, sha256)) = key.strip_prefix(&indexes).and_then(parse_key) else {
        // None of this upload's: nothing is known of it.
        return Ok(true);
    };
    let index = usize::try_from(number).ok();
    let index = index.and_then(|number| manifest.indexes.get(number));
    Ok(index.is_some_and(|index| index.sha256 == sha256))
}
