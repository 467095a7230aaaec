//! Removing what uploads that were never committed have left behind.
//!
//! Never a block of an upload that a manifest names, nor one of an upload that
//! may still be running: its newest object must be older than a limit, by the
//! store's own clock, as that was before the first look. It is listed once more
//! right before anything is done to it. The record goes first, which a running
//! upload notices before its commit; the manifest is looked at after that.
//!
//! Listings are taken as sets: they may come in any order, and have a key twice.

use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher, RandomState};

use crate::cli::Options;
use crate::commands::session::Session;
use crate::commands::streams::print;
use crate::error::{Error, Exit, Result};
use crate::s3::{Client, Object, Pages};
use crate::stream::commit::{self, Head};
use crate::stream::manifest::Manifest;
use crate::stream::name::{Name, Part, UploadId};
use crate::stream::remove::{UNKNOWN, remove_strays, remove_upload};
use crate::stream::store::Store;
use crate::text::time::Utc;

/// What is stored of one upload.
#[derive(Clone, Copy, Debug)]
struct Found {
    newest: Option<Utc>,
    blocks: u64,
    bytes: u64,
    /// There is a record: the upload runs, or did not come to its end.
    record: bool,
    /// An object whose time the store did not tell.
    timeless: bool,
}

impl Found {
    const NOTHING: Found = Found {
        newest: None,
        blocks: 0,
        bytes: 0,
        record: false,
        timeless: false,
    };

    fn add(&mut self, part: Part, object: &Object) {
        match Utc::parse_rfc3339(&object.modified) {
            Some(time) => self.newest = self.newest.max(Some(time)),
            None => self.timeless = true,
        }
        self.record |= part == Part::Record;
        if part == Part::Block {
            self.blocks += 1;
            self.bytes += object.size;
        }
    }

    /// Whether there is something of it, and nothing newer than this.
    fn is_old(&self, limit: Utc) -> bool {
        !self.timeless && self.newest.is_some_and(|newest| newest < limit)
    }
}

type Uploads = BTreeMap<(Name, UploadId), Found>;

/// Uploads with any of these parts, by stream and time; and the time by the
/// service's clock when it began to list them.
fn gather(client: &mut Client, parts: &[(Part, String)]) -> Result<(Uploads, Utc)> {
    let mut uploads = Uploads::new();
    let (local, mut began) = (client.now(), None);
    for (part, prefix) in parts {
        let mut pages = Pages::new(prefix);
        while let Some(page) = client.next_page(&mut pages)? {
            began = began.or_else(|| client.last_date());
            began.get_or_insert(local);
            for object in page {
                let mut segments = object.key[prefix.len()..].split('/');
                let name = segments.next().and_then(Name::decode);
                let id = segments.next().and_then(UploadId::parse);
                // Else it was not made by s3pipe.
                if let Some(owner) = name.zip(id) {
                    let found = uploads.entry(owner).or_insert(Found::NOTHING);
                    found.add(*part, &object);
                }
            }
        }
    }
    Ok((uploads, began.unwrap_or(local)))
}

/// All that is stored of one upload, each object of it once.
fn survey(store: &mut Store, name: &Name, id: &UploadId) -> Result<Found> {
    let parts = [
        (Part::Record, store.keys.record(name, id)),
        (Part::Index, store.keys.indexes(name, id)),
        (Part::Block, store.keys.blocks(name, id)),
    ];
    let mut found = Found::NOTHING;
    for (part, prefix) in parts {
        let (before, mut last, mut sorted) = (found, None, true);
        store.client.list(&prefix, |object| {
            found.add(part, &object);
            sorted &= last.as_ref() < Some(&object.key);
            last = Some(object.key);
            Ok(())
        })?;
        if sorted {
            continue;
        }
        // Some may have been counted twice. What was seen is remembered only
        // where that is so, since it grows with the upload.
        let (hasher, mut seen) = (RandomState::new(), HashSet::new());
        (found.blocks, found.bytes) = (before.blocks, before.bytes);
        store.client.list(&prefix, |object| {
            if seen.insert(hasher.hash_one(&object.key)) {
                found.add(part, &object);
            }
            Ok(())
        })?;
    }
    Ok(found)
}

/// Print the uploads that were never committed: upload and name, separated by a
/// tab, oldest first within a stream.
pub fn incomplete(session: &mut Session) -> Result<()> {
    let store = &mut session.store;
    let mut parts = store.keys.uploads().to_vec();
    parts.retain(|(part, _)| *part == Part::Record);
    let mut out = String::new();
    for ((name, id), _) in gather(&mut store.client, &parts)?.0 {
        let head = commit::look(store, &name)?;
        if head == Head::Unknown {
            return Err(store.error(Exit::Denied, &name, UNKNOWN));
        }
        if head.upload() != Some(&id) {
            out.push_str(&format!("{}\t{}\n", id.as_str(), name.printable()));
        }
    }
    print(&out)
}

/// Remove all uploads that no manifest names and whose newest object is older
/// than `--older-than`; of one that is committed and as old, what its owner did
/// not come to remove. With `--dry-run` nothing is removed, and a line for each
/// is printed: upload, bytes, blocks, name.
///
/// A committed stream of which something is missing is said, and nothing of it
/// removed; that makes the result 65, at the end.
pub fn clean(session: &mut Session, options: &Options) -> Result<()> {
    let store = &mut session.store;
    let (uploads, began) = gather(&mut store.client, &store.keys.uploads())?;
    let mut cleaning = Cleaning {
        store,
        limit: Utc(began.0 - options.older_than.as_secs() as i64),
        only_show: options.dry_run,
        shown: String::new(),
        damaged: 0,
        unfinished: None,
    };
    for ((name, id), found) in uploads {
        if found.is_old(cleaning.limit) {
            cleaning.upload(&name, &id, found.record)?;
        }
    }
    print(&cleaning.end()?)
}

/// A run of clean.
struct Cleaning<'a> {
    store: &'a mut Store,
    /// What is not older than this is spared.
    limit: Utc,
    only_show: bool,
    shown: String,
    /// How many committed streams are not all there.
    damaged: u64,
    /// Why committed uploads could not be tidied up.
    unfinished: Option<Error>,
}

/// What is to become of an upload.
#[derive(PartialEq)]
enum Standing {
    /// Nothing.
    Spared,
    /// The manifest names it: what does not belong to it goes, and its record.
    Committed(Box<Manifest>),
    /// It goes.
    Dead,
}

impl Cleaning<'_> {
    /// See to an upload that looked old.
    fn upload(&mut self, name: &Name, id: &UploadId, record: bool) -> Result<()> {
        let mut standing = self.look(name, id, record)?;
        if standing == Standing::Spared {
            return Ok(());
        }
        let found = survey(self.store, name, id)?;
        if !found.is_old(self.limit) {
            return Ok(());
        }
        if standing == Standing::Dead {
            // One look may have been mistaken, and its record will be gone.
            standing = self.look(name, id, record)?;
        }
        match standing {
            Standing::Spared => Ok(()),
            Standing::Committed(manifest) => self.finish(&manifest),
            Standing::Dead => self.remove(name, id, found),
        }
    }

    /// What the manifest says of an upload. 77 if that may not be known.
    fn look(&mut self, name: &Name, id: &UploadId, record: bool) -> Result<Standing> {
        Ok(match commit::look(self.store, name)? {
            Head::Unknown => return Err(self.store.error(Exit::Denied, name, UNKNOWN)),
            Head::Damaged(_, why) => {
                let e = self.store.error(Exit::Data, name, why);
                let text = format!("{e}: its uploads are spared");
                self.store.progress().warn(&text);
                Standing::Spared
            }
            Head::Present(manifest, _) if manifest.upload == *id => {
                // Nothing but its record says that something of it is left.
                if !record || self.only_show || self.unfinished.is_some() {
                    Standing::Spared
                } else {
                    Standing::Committed(manifest)
                }
            }
            Head::Present(..) | Head::Absent => Standing::Dead,
        })
    }

    /// One that no manifest names.
    fn remove(&mut self, name: &Name, id: &UploadId, found: Found) -> Result<()> {
        let Found { blocks, bytes, .. } = found;
        let line = format!("{}\t{bytes}\t{blocks}\t{}", id.as_str(), name.printable());
        if self.only_show {
            self.shown.push_str(&(line + "\n"));
        } else if remove_upload(self.store, name, id)? {
            self.store.progress().debug(|| format!("removed {line}"));
        }
        Ok(())
    }

    /// A committed one whose owner did not come to tidy up.
    fn finish(&mut self, manifest: &Manifest) -> Result<()> {
        match remove_strays(self.store, manifest) {
            Ok(()) => self.store.delete_record(&manifest.name, &manifest.upload),
            Err(e) if e.exit() == Exit::Data => {
                self.store.progress().say(&e.to_string());
                self.damaged += 1;
                Ok(())
            }
            // It was replaced or deleted, and is for the next time.
            Err(e) if e.exit() == Exit::Changed => Ok(()),
            // The rest may be possible nevertheless: where a listing has no order,
            // or a block may not be looked at.
            Err(e) if matches!(e.exit(), Exit::Unavailable | Exit::Denied) => {
                self.unfinished = Some(e);
                Ok(())
            }
            Err(e) => Err(e),
        }
    }

    fn end(self) -> Result<String> {
        let why = match self.damaged {
            0 => return self.unfinished.map_or(Ok(self.shown), Err),
            1 => "1 stream is not as it must be: run s3pipe verify".to_string(),
            n => format!("{n} streams are not as they must be: run s3pipe verify"),
        };
        if let Some(e) = self.unfinished {
            self.store.progress().say(&e.to_string());
        }
        let Store { client, keys } = self.store;
        Err(client.error(Exit::Data, Some(keys.prefix()), why))
    }
}
