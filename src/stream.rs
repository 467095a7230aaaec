//! A committed stream, of whichever version: version 2 where both exist.

use crate::commit::{self, Head};
use crate::error::{Exit, Result};
use crate::key::{Keys, Name};
use crate::legacy::{self, Old};
use crate::manifest::Manifest;
use crate::s3::Client;

/// A stream that can be read.
pub enum Stream {
    /// Version 2.
    Current(Box<Manifest>),
    /// Version 1, written by the Java s3pipe.
    Old(Old),
}

/// Look a stream up. 66 if there is none, 77 if that cannot be told.
pub fn open(client: &mut Client, keys: &Keys, name: &Name) -> Result<Stream> {
    let key = keys.manifest(name);
    match commit::look(client, keys, name)? {
        Head::Present(manifest, _) => return Ok(Stream::Current(manifest)),
        Head::Unknown => {
            let why = "403 AccessDenied: may not be read, or does not exist";
            return Err(client.error(Exit::Denied, Some(&key), why));
        }
        Head::Damaged(_, why) => return Err(client.error(Exit::Data, Some(&key), why)),
        Head::Absent => {}
    }
    match legacy::open(client, name)? {
        Some(old) => Ok(Stream::Old(old)),
        None => Err(client.error(Exit::Missing, Some(&key), "no such stream")),
    }
}
