//! How streams are stored in a bucket: names and keys, manifests and indexes, the
//! commit and the removal. Here: looking one up, of whichever version (version 2
//! where both exist).

pub mod block;
pub mod commit;
pub mod index;
pub mod index_writer;
pub mod manifest;
pub mod name;
pub mod record;
pub mod remove;
pub mod store;
pub mod stored;
pub mod version1;

use crate::error::{Error, Exit, Result};
use crate::protection::keyring::{Keyring, Unproved};
use crate::s3::{Client, READINGS};
use crate::stream::manifest::Manifest;
use crate::stream::name::Name;
use crate::stream::store::Store;
use crate::stream::version1::Version1;

/// A committed stream.
pub enum StoredStream {
    /// Version 2.
    Version2(Box<Manifest>),
    /// Version 1, written by the Java s3pipe.
    Version1(Version1),
}

/// Look a stream up, and check that it has the seals that these keys demand: 65 if
/// not. Fails as [`open`] does, too.
pub fn open_sealed(store: &mut Store, name: &Name, ring: &Keyring) -> Result<StoredStream> {
    let found = find_sealed(store, name, ring)?;
    found.ok_or_else(|| missing(store, name))
}

/// The same where there may be none.
pub fn find_sealed(store: &mut Store, name: &Name, ring: &Keyring) -> Result<Option<StoredStream>> {
    let mut reading = 1;
    loop {
        let Some(stream) = find(store, name)? else {
            return Ok(None);
        };
        match unproved(&store.client, ring, &stream) {
            None => return Ok(Some(stream)),
            Some(Unproved::Failed(e)) => return Err(e),
            // The manifest may have been damaged on its way: read it again.
            Some(Unproved::Refused(_)) if reading < READINGS => reading += 1,
            Some(Unproved::Refused(why)) => {
                return Err(store.error(Exit::Data, name, why));
            }
        }
    }
}

fn unproved(client: &Client, ring: &Keyring, stream: &StoredStream) -> Option<Unproved> {
    match stream {
        StoredStream::Version2(m) => {
            let stopped = &mut || client.progress().check();
            ring.check(&m.body(), &m.seals, stopped).err()
        }
        StoredStream::Version1(_) if ring.demands() => {
            let why = "a stream of version 1, which has no seals, where one is demanded";
            Some(Unproved::Refused(why.into()))
        }
        StoredStream::Version1(_) => None,
    }
}

/// Look a stream up. 66 if there is none, 77 if that cannot be told.
pub fn open(store: &mut Store, name: &Name) -> Result<StoredStream> {
    let found = find(store, name)?;
    found.ok_or_else(|| missing(store, name))
}

fn missing(store: &Store, name: &Name) -> Error {
    store.error(Exit::Missing, name, "no such stream")
}

fn find(store: &mut Store, name: &Name) -> Result<Option<StoredStream>> {
    // That there is none is believed when it was said twice.
    for _ in 0..2 {
        if let Some(manifest) = commit::read(store, name)? {
            return Ok(Some(StoredStream::Version2(manifest)));
        }
        if let Some(old) = version1::open(&mut store.client, name)? {
            return Ok(Some(StoredStream::Version1(old)));
        }
    }
    Ok(None)
}

/// Whether the manifest of this stream is still this one, in all that it says: an
/// upload may be resumed after a deletion, and committed with other data. 65 if
/// it makes no sense any more, 77 if that cannot be told.
pub fn is_unchanged(store: &mut Store, manifest: &Manifest) -> Result<bool> {
    let now = commit::read(store, &manifest.name)?;
    Ok(now.is_some_and(|now| *now == *manifest))
}
