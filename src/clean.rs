//! Removing what uploads that were never committed have left behind.
//!
//! Never a block of an upload that a manifest names, nor one of an upload that
//! may still be running: its newest object must be older than a limit, by the
//! store's own clock. The record goes first, which a running upload notices
//! before its commit; the manifest is looked at last.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::commit::{self, Head};
use crate::error::{Exit, Result};
use crate::key::{Keys, Name, Part, UploadId};
use crate::remove::{remove_stale, remove_upload};
use crate::s3::{Client, Kind};
use crate::time::Utc;

/// What is stored of one upload.
#[derive(Clone, Copy, Debug)]
struct Found {
    newest: Utc,
    blocks: u64,
    bytes: u64,
    /// There is a record: the upload runs, or did not come to its end.
    record: bool,
    /// An object whose time the store did not tell.
    timeless: bool,
}

type Uploads = BTreeMap<(Name, UploadId), Found>;

/// Uploads with a record, or with anything at all, by stream and time.
fn gather(client: &mut Client, keys: &Keys, records_only: bool) -> Result<Uploads> {
    let mut uploads = Uploads::new();
    for (part, prefix) in keys.uploads() {
        if records_only && part != Part::Record {
            continue;
        }
        client.list(&prefix, |object| {
            let mut segments = object.key[prefix.len()..].split('/');
            let name = segments.next().and_then(Name::decode);
            let id = segments.next().and_then(UploadId::parse);
            let Some(owner) = name.zip(id) else {
                // Not made by s3pipe.
                return Ok(());
            };
            let found = uploads.entry(owner).or_insert(Found {
                newest: Utc(0),
                blocks: 0,
                bytes: 0,
                record: false,
                timeless: false,
            });
            match Utc::parse_rfc3339(&object.modified) {
                Some(time) => found.newest = found.newest.max(time),
                None => found.timeless = true,
            }
            found.record |= part == Part::Record;
            if part == Part::Block {
                found.blocks += 1;
                found.bytes += object.size;
            }
            Ok(())
        })?;
    }
    Ok(uploads)
}

/// The uploads that were never committed: upload and name, separated by a tab,
/// oldest first within a stream.
pub fn incomplete(client: &mut Client, keys: &Keys) -> Result<String> {
    let mut out = String::new();
    for ((name, id), _) in gather(client, keys, true)? {
        if commit::look(client, keys, &name)?.upload() != Some(&id) {
            out.push_str(&format!("{}\t{}\n", id.as_str(), name.printable()));
        }
    }
    Ok(out)
}

/// Remove all uploads that no manifest names and whose newest object is older
/// than `older_than`; of one that is committed and as old, what its owner did
/// not come to remove. With `only_show` nothing is removed, and a line for each
/// is returned: upload, bytes, blocks, name.
pub fn clean(
    client: &mut Client,
    keys: &Keys,
    older_than: Duration,
    only_show: bool,
) -> Result<String> {
    let uploads = gather(client, keys, false)?;
    let limit = Utc(client.service_now().0 - older_than.as_secs() as i64);
    let mut out = String::new();
    for ((name, id), found) in uploads {
        if found.timeless || found.newest >= limit {
            continue;
        }
        if is_committed(client, keys, &name, &id)? {
            if found.record && !only_show {
                finish(client, keys, &name, &id)?;
            }
            continue;
        }
        if !only_show {
            client.delete(&keys.record(&name, &id), Kind::Record)?;
            // Its owner may have committed it until just now, but not later.
            if is_committed(client, keys, &name, &id)? {
                continue;
            }
            remove_upload(client, keys, &name, &id)?;
        }
        let Found { blocks, bytes, .. } = found;
        let name = name.printable();
        let line = format!("{}\t{bytes}\t{blocks}\t{name}", id.as_str());
        match only_show {
            true => out.push_str(&(line + "\n")),
            false => client.progress().debug(|| format!("removed {line}")),
        }
    }
    Ok(out)
}

/// A committed upload whose owner did not come to tidy up.
fn finish(client: &mut Client, keys: &Keys, name: &Name, id: &UploadId) -> Result<()> {
    let Head::Present(manifest, _) = commit::look(client, keys, name)? else {
        return Ok(());
    };
    if manifest.upload != *id {
        return Ok(());
    }
    remove_stale(client, keys, &manifest)?;
    client.delete(&keys.record(name, id), Kind::Record)
}

fn is_committed(client: &mut Client, keys: &Keys, name: &Name, id: &UploadId) -> Result<bool> {
    match commit::look(client, keys, name)? {
        Head::Unknown => {
            let why = "403 AccessDenied: whether it is committed cannot be told";
            Err(client.error(Exit::Denied, Some(&keys.manifest(name)), why))
        }
        Head::Damaged(_, why) => {
            let e = client.error(Exit::Data, Some(&keys.manifest(name)), why);
            client
                .progress()
                .warn(&format!("{e}: its uploads are spared"));
            Ok(true)
        }
        head => Ok(head.upload() == Some(id)),
    }
}
