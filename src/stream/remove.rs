//! Removing what is of no use any more: an upload that no manifest names, and stray
//! objects, which lie within a committed upload without belonging to it.
//!
//! Whoever calls, and whatever a listing says, two things are made sure of here:
//! nothing is removed of an upload that the manifest names at that moment, unless
//! it is a stray; and nothing that an index names. Where a whole upload is removed,
//! its record is the first object to go, so that its process, and one that resumes
//! it, notice. Where only strays are, the record is kept until the end, so that
//! clean comes back if this is interrupted.

use std::time::Instant;

use crate::error::{Exit, Result};
use crate::s3::{Client, Kind, Presence, READINGS};
use crate::stream;
use crate::stream::commit::{self, ManifestState};
use crate::stream::manifest::Manifest;
use crate::stream::name::{Keys, Name, UploadId};
use crate::stream::store::Store;
use crate::stream::stored::{Difference, IndexedBlocks, compare, parse_key};

/// How many stray objects are gathered before they are removed.
const STRAYS: usize = 10_000;

/// How many objects are removed until the manifest is looked at again.
const BATCH: usize = 1000;

/// Whether a stream's manifest names an upload.
type IsNamed = fn(&mut Client, &Keys, &Name, &UploadId) -> Result<bool>;

/// Delete all objects of an upload that no manifest names any more: its record,
/// then, unless the manifest names it after all, its blocks and indexes. False if
/// it does: one such answer is enough, since a stream could be lost.
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
        ManifestState::Unknown => {
            Err(client.error(Exit::Denied, Some(&keys.manifest(name)), UNKNOWN))
        }
        ManifestState::Damaged(_, why) => {
            Err(client.error(Exit::Data, Some(&keys.manifest(name)), why))
        }
        head => Ok(head.upload() == Some(id)),
    }
}

/// The same of a stream whose manifest was deleted, and seen gone: an answer that
/// still shows it is believed to be out of date, unless all of them do.
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

/// Why a look at the manifest has told nothing.
pub const UNKNOWN: &str = "403 AccessDenied: whether it is committed cannot be told";

/// Delete the blocks of an upload, and then the indexes. 75 if `look` finds in
/// between that the manifest names them.
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

/// Delete a committed stream. The record goes first: an upload that finds the
/// manifest gone finds its record gone, too, and does not commit again.
pub fn remove_stream(store: &mut Store, manifest: &Manifest) -> Result<()> {
    let (name, id) = (&manifest.name, &manifest.upload);
    store.delete_record(name, id)?;
    let key = store.keys.manifest(name);
    let Store { client, keys } = &mut *store;
    remove_manifest(client, &key, &mut |client| {
        Ok(commit::look_with(client, keys, name)?.upload() != Some(id))
    })?;
    remove_objects(store, name, id, is_named_still)?;
    let Store { client, keys } = store;
    // Here a look that tells nothing is an error.
    see_gone(client, &key, &mut |client| {
        Ok(!is_named_still(client, keys, name, id)?)
    })
}

/// Delete a manifest that makes no sense; its blocks are for clean to find.
pub fn remove_damaged(store: &mut Store, name: &Name) -> Result<()> {
    let Store { client, keys } = store;
    remove_manifest(client, &keys.manifest(name), &mut |client| {
        let head = commit::look_with(client, keys, name)?;
        Ok(!matches!(head, ManifestState::Damaged(..)))
    })
}

/// Check that a manifest that was deleted is still `gone`; 69 if it stays there.
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

/// Delete a manifest (of version 1: the info object) until it is `gone`. Afterwards
/// another process may put one there, so it is never deleted again without a look.
/// 69 if it stays.
pub fn remove_manifest(
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
        // The first look may have been answered with what was there before.
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

/// Delete these objects, after a check that none belongs to the stream.
fn remove(store: &mut Store, manifest: &Manifest, strays: &[String]) -> Result<()> {
    let mut named = IndexedBlocks::new(manifest);
    for batch in strays.chunks(BATCH) {
        // As long as the manifest is the same, the indexes say what belongs to it.
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

/// The first stray objects: within the upload, named as its own objects are, and not
/// belonging to it.
fn strays(store: &mut Store, manifest: &Manifest) -> Result<Vec<String>> {
    let mut strays = Vec::new();
    compare(store, manifest, |store, finding| {
        let (key, size) = match finding {
            Difference::Extra(key) => {
                let rest = key.rsplit_once('/').map_or("", |(_, rest)| rest);
                if strays.len() < STRAYS && parse_key(rest).is_some() {
                    strays.push(key);
                }
                return Ok(());
            }
            // Indexes are read anyway, which proves that they are there.
            Difference::Missing(_, None) => return Ok(()),
            Difference::Missing(key, Some(size)) | Difference::Size(key, size) => (key, size),
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
fn belongs(
    store: &mut Store,
    manifest: &Manifest,
    named: &mut IndexedBlocks,
    key: &str,
) -> Result<bool> {
    let (name, id) = (&manifest.name, &manifest.upload);
    let (blocks, indexes) = (store.keys.blocks(name, id), store.keys.indexes(name, id));
    if let Some((number, sha256)) = key.strip_prefix(&blocks).and_then(parse_key) {
        let block = named.block(store, number)?;
        return Ok(block.is_some_and(|block| block.sha256 == sha256));
    }
    let Some((number, sha256)) = key.strip_prefix(&indexes).and_then(parse_key) else {
        // Not of this upload: it must not be removed.
        return Ok(true);
    };
    let index = usize::try_from(number).ok();
    let index = index.and_then(|number| manifest.indexes.get(number));
    Ok(index.is_some_and(|index| index.sha256 == sha256))
}
