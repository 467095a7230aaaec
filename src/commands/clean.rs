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
use crate::s3::{Client, Kind, Object, Pages};
use crate::stream::commit::{self, ManifestState};
use crate::stream::manifest::Manifest;
use crate::stream::name::{Name, UploadId};
use crate::stream::remove::{UNKNOWN, remove_strays, remove_upload};
use crate::stream::store::Store;
use crate::text::time::Utc;

/// What is stored of one upload, as far as it was listed.
#[derive(Clone, Copy, Debug)]
struct UploadContents {
    /// The time of the newest object.
    newest: Option<Utc>,
    blocks: u64,
    bytes: u64,
    /// There is a record: the upload is running, or was broken off.
    record: bool,
    /// There is an object whose time the service did not tell.
    timeless: bool,
}

impl UploadContents {
    const NOTHING: UploadContents = UploadContents {
        newest: None,
        blocks: 0,
        bytes: 0,
        record: false,
        timeless: false,
    };

    fn add(&mut self, kind: Kind, object: &Object) {
        match Utc::parse_rfc3339(&object.modified) {
            Some(time) => self.newest = self.newest.max(Some(time)),
            None => self.timeless = true,
        }
        self.record |= kind == Kind::Record;
        if kind == Kind::Block {
            self.blocks += 1;
            self.bytes += object.size;
        }
    }

    /// Whether there is an object, and none newer than this.
    fn is_old(&self, limit: Utc) -> bool {
        !self.timeless && self.newest.is_some_and(|newest| newest < limit)
    }
}

type Uploads = BTreeMap<(Name, UploadId), UploadContents>;

/// The uploads with objects below any of these prefixes, by stream and time; and the
/// time by the service's clock when it began to list them.
fn gather(client: &mut Client, prefixes: &[(Kind, String)]) -> Result<(Uploads, Utc)> {
    let mut uploads = Uploads::new();
    let (local, mut began) = (client.now(), None);
    for (kind, prefix) in prefixes {
        let mut pages = Pages::new(prefix);
        while let Some(page) = client.next_page(&mut pages)? {
            began = began.or_else(|| client.last_date());
            began.get_or_insert(local);
            for object in page {
                let mut segments = object.key[prefix.len()..].split('/');
                let name = segments.next().and_then(Name::decode);
                let id = segments.next().and_then(UploadId::parse);
                // Other keys were not made by s3pipe.
                if let Some(owner) = name.zip(id) {
                    let contents = uploads.entry(owner).or_insert(UploadContents::NOTHING);
                    contents.add(*kind, &object);
                }
            }
        }
    }
    Ok((uploads, began.unwrap_or(local)))
}

/// What is stored of one upload, each object counted once.
fn survey(store: &mut Store, name: &Name, id: &UploadId) -> Result<UploadContents> {
    let prefixes = [
        (Kind::Record, store.keys.record(name, id)),
        (Kind::Index, store.keys.indexes(name, id)),
        (Kind::Block, store.keys.blocks(name, id)),
    ];
    let mut contents = UploadContents::NOTHING;
    for (kind, prefix) in prefixes {
        let (before, mut last, mut sorted) = (contents, None, true);
        store.client.list(&prefix, |object| {
            contents.add(kind, &object);
            sorted &= last.as_ref() < Some(&object.key);
            last = Some(object.key);
            Ok(())
        })?;
        if sorted {
            continue;
        }
        // Some objects may have been counted twice: count again, and remember their
        // keys, which takes memory that grows with the upload.
        let (hasher, mut seen) = (RandomState::new(), HashSet::new());
        (contents.blocks, contents.bytes) = (before.blocks, before.bytes);
        store.client.list(&prefix, |object| {
            if seen.insert(hasher.hash_one(&object.key)) {
                contents.add(kind, &object);
            }
            Ok(())
        })?;
    }
    Ok(contents)
}

/// Print the uploads that were never committed: upload and name, separated by a
/// tab, oldest first within a stream.
pub fn incomplete(session: &mut Session) -> Result<()> {
    let store = &mut session.store;
    let mut records = store.keys.uploads().to_vec();
    records.retain(|(kind, _)| *kind == Kind::Record);
    let mut out = String::new();
    for ((name, id), _) in gather(&mut store.client, &records)?.0 {
        let head = commit::look(store, &name)?;
        if head == ManifestState::Unknown {
            return Err(store.error(Exit::Denied, &name, UNKNOWN));
        }
        if head.upload() != Some(&id) {
            out.push_str(&format!("{}\t{}\n", id.as_str(), name.printable()));
        }
    }
    print(&out)
}

/// Remove all uploads that no manifest names and whose newest object is older
/// than `--older-than`; of one that is committed and as old, what its process was
/// ended before it could remove. With `--dry-run` nothing is removed, and a line for each
/// is printed: upload, bytes, blocks, name.
///
/// A committed stream of which something is missing is reported, and nothing of it
/// removed; the result is 65 then, at the end.
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
    for ((name, id), contents) in uploads {
        if contents.is_old(cleaning.limit) {
            cleaning.upload(&name, &id, contents.record)?;
        }
    }
    print(&cleaning.end()?)
}

/// A run of clean.
struct Cleaning<'a> {
    store: &'a mut Store,
    /// Uploads with an object that is not older than this are left alone.
    limit: Utc,
    only_show: bool,
    /// The lines to print.
    shown: String,
    /// How many committed streams have objects missing.
    damaged: u64,
    /// Why what a committed upload left behind could not be removed.
    unfinished: Option<Error>,
}

/// What is to be done with an upload.
#[derive(PartialEq)]
enum Action {
    Keep,
    /// The manifest names it: remove its record, and objects that do not belong to it.
    Tidy(Box<Manifest>),
    Remove,
}

impl Cleaning<'_> {
    /// Do what is to be done with an upload that looked old.
    fn upload(&mut self, name: &Name, id: &UploadId, record: bool) -> Result<()> {
        let mut action = self.look(name, id, record)?;
        if action == Action::Keep {
            return Ok(());
        }
        let contents = survey(self.store, name, id)?;
        if !contents.is_old(self.limit) {
            return Ok(());
        }
        if action == Action::Remove {
            // One answer may have been a mistake, and the record cannot be restored.
            action = self.look(name, id, record)?;
        }
        match action {
            Action::Keep => Ok(()),
            Action::Tidy(manifest) => self.tidy(&manifest),
            Action::Remove => self.remove(name, id, contents),
        }
    }

    /// What the manifest says is to be done with an upload. 77 if the manifest may not
    /// be read.
    fn look(&mut self, name: &Name, id: &UploadId, record: bool) -> Result<Action> {
        Ok(match commit::look(self.store, name)? {
            ManifestState::Unknown => return Err(self.store.error(Exit::Denied, name, UNKNOWN)),
            ManifestState::Damaged(_, why) => {
                let e = self.store.error(Exit::Data, name, why);
                let text = format!("{e}: its uploads are spared");
                self.store.progress().warn(&text);
                Action::Keep
            }
            ManifestState::Present(manifest, _) if manifest.upload == *id => {
                // Only a record says that something may have been left behind.
                if !record || self.only_show || self.unfinished.is_some() {
                    Action::Keep
                } else {
                    Action::Tidy(manifest)
                }
            }
            ManifestState::Present(..) | ManifestState::Absent => Action::Remove,
        })
    }

    /// Remove an upload that no manifest names.
    fn remove(&mut self, name: &Name, id: &UploadId, contents: UploadContents) -> Result<()> {
        let UploadContents { blocks, bytes, .. } = contents;
        let line = format!("{}\t{bytes}\t{blocks}\t{}", id.as_str(), name.printable());
        if self.only_show {
            self.shown.push_str(&(line + "\n"));
        } else if remove_upload(self.store, name, id)? {
            self.store.progress().debug(|| format!("removed {line}"));
        }
        Ok(())
    }

    /// Remove what a committed upload has left behind.
    fn tidy(&mut self, manifest: &Manifest) -> Result<()> {
        match remove_strays(self.store, manifest) {
            Ok(()) => self.store.delete_record(&manifest.name, &manifest.upload),
            Err(e) if e.exit() == Exit::Data => {
                self.store.progress().say(&e.to_string());
                self.damaged += 1;
                Ok(())
            }
            // It was replaced or deleted meanwhile: the next run sees to it.
            Err(e) if e.exit() == Exit::Changed => Ok(()),
            // Go on with other uploads: the service may not list in order, which
            // only this needs, or not allow to look at a block.
            Err(e) if matches!(e.exit(), Exit::Unavailable | Exit::Denied) => {
                self.unfinished = Some(e);
                Ok(())
            }
            Err(e) => Err(e),
        }
    }

    /// The lines to print, or what went wrong.
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
