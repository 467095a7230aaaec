//! Removing what is of no use any more: an upload that no manifest names, and
//! what lies within a committed one without belonging to it.

use crate::error::Result;
use crate::inventory::{self, Finding};
use crate::key::{Keys, Name, UploadId};
use crate::manifest::Manifest;
use crate::s3::{Client, Kind};

/// Delete what is stored of a committed upload and not named by its manifest:
/// blocks of a run that was broken off, and resumed with other data.
pub fn remove_stale(client: &mut Client, keys: &Keys, manifest: &Manifest) -> Result<()> {
    inventory::compare(client, keys, manifest, |client, finding| match finding {
        Finding::Extra(key) => client.delete(&key, Kind::Block),
        _ => Ok(()),
    })
}

/// Delete all objects of an upload that no manifest names any more.
pub fn remove_upload(client: &mut Client, keys: &Keys, name: &Name, id: &UploadId) -> Result<()> {
    client.delete(&keys.record(name, id), Kind::Record)?;
    for (prefix, kind) in [
        (keys.blocks(name, id), Kind::Block),
        (keys.indexes(name, id), Kind::Index),
    ] {
        client.delete_prefix(&prefix, kind)?;
    }
    Ok(())
}
