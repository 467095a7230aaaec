//! The commit: a stream exists once its manifest does.
//!
//! A success code proves nothing and an error disproves nothing, so after each
//! PUT the manifest is read back, whatever was answered. It must never report
//! a commit that was not seen, nor a failure for one that was.

use crate::error::{Error, Exit, Result};
use crate::key::{Keys, Name, UploadId};
use crate::manifest::{MANIFEST_LIMIT, Manifest};
use crate::s3::{Client, Condition, Failure, Get, Kind, Put, backoff};
use crate::sys;

/// How often a manifest that a server took but does not show is sent again.
const UNSEEN_LIMIT: u32 = 8;

/// How often an object that makes no sense is read.
pub const READINGS: u32 = 3;

/// What a look at a stream's manifest found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Head {
    /// There is none.
    Absent,
    /// We may not know: S3 answers 403 for a missing key to who may not list.
    Unknown,
    /// There is one, under this ETag, that makes no sense for this reason.
    Damaged(Option<String>, String),
    /// This upload, under this ETag.
    Present(Box<Manifest>, Option<String>),
}

impl Head {
    /// The upload that is committed, as far as we know.
    pub fn upload(&self) -> Option<&UploadId> {
        match self {
            Head::Present(manifest, _) => Some(&manifest.upload),
            _ => None,
        }
    }
}

/// Look at a stream's manifest.
pub fn look(client: &mut Client, keys: &Keys, name: &Name) -> Result<Head> {
    let key = keys.manifest(name);
    let mut reading = 1;
    let (manifest, etag) = loop {
        let small = match client.run(&mut Get::new(&key, Kind::Manifest, MANIFEST_LIMIT)) {
            Ok(small) => small,
            Err(f) => return nothing_read(f),
        };
        match Manifest::parse(&small.body) {
            Ok(manifest) => break (manifest, small.etag),
            // It may have been damaged on its way.
            Err(_) if reading < READINGS => reading += 1,
            Err(why) => return Ok(Head::Damaged(small.etag, format!("bad manifest: {why}"))),
        }
    };
    if manifest.name != *name {
        let why = "this manifest belongs to another stream";
        return Ok(Head::Damaged(etag, why.into()));
    }
    Ok(Head::Present(Box::new(manifest), etag))
}

fn nothing_read(failure: Failure) -> Result<Head> {
    match failure.refusal {
        Some(r) if r.no_such_key() => Ok(Head::Absent),
        Some(r) if r.status == 403 && r.code == "AccessDenied" => Ok(Head::Unknown),
        // Too large, for one.
        None if failure.error.exit() == Exit::Data => {
            Ok(Head::Damaged(None, failure.error.why().to_string()))
        }
        _ => Err(failure.error),
    }
}

/// Put the manifest in place of what was `seen`, and see it there. `force` says
/// that an older stream may be replaced of which we could not know.
///
/// 75 if another upload was committed meanwhile, 73 if the stream turns out to
/// exist, 69 'commit unknown' if the service does not answer.
pub fn commit(
    client: &mut Client,
    keys: &Keys,
    manifest: &Manifest,
    seen: Head,
    force: bool,
) -> Result<()> {
    let text = manifest.to_text();
    let key = keys.manifest(&manifest.name);
    // Where reading was never allowed, waiting for it leads nowhere.
    client.set_underway(seen != Head::Unknown);
    // Not every store honours a condition: all that it has is this look.
    let found = look(client, keys, &manifest.name)?;
    let mut seen = unchanged(client, &key, manifest, seen, found, force)?;
    let mut conditional = true;
    for attempt in 0..UNSEEN_LIMIT {
        let sent = send(client, keys, manifest, &text, &seen, conditional);
        let Some(found) = seen_after(client, keys, manifest, &sent)? else {
            return Ok(());
        };
        let damaged = matches!(found, Head::Damaged(..));
        seen =
            unchanged(client, &key, manifest, seen, found, force).map_err(|e| match damaged {
                true => Error::new(e.exit(), "commit unknown", e),
                false => e,
            })?;
        if let Err(failure) = sent {
            match failure.status() {
                Some(501) if conditional => conditional = false,
                Some(409 | 412) => {}
                Some(_) => return Err(failure.error),
                // Nobody knows what becomes of a request without an answer.
                None => return Err(failure.error.also("not seen yet: commit unknown")),
            }
        }
        client
            .progress()
            .wait(backoff(attempt, sys::chance(), None));
        let checked = client.progress().check();
        checked.map_err(|e| e.also("not seen yet: commit unknown"))?;
    }
    let why = "the server says that it was stored, but does not show it: commit unknown";
    Err(client.error(Exit::Unavailable, Some(&key), why))
}

/// What our commit is to replace: what was found, if that is what was seen.
fn unchanged(
    client: &Client,
    key: &str,
    ours: &Manifest,
    seen: Head,
    found: Head,
    force: bool,
) -> Result<Head> {
    let older = |m: &Manifest| m.created <= ours.created && m.upload != ours.upload;
    match (&seen, &found) {
        (_, Head::Unknown) => Ok(seen),
        // Deleted meanwhile: there is nothing to replace any more.
        (_, Head::Absent) => Ok(found),
        (Head::Unknown, Head::Present(m, _)) if force && older(m) => Ok(found),
        (Head::Unknown, Head::Present(m, _)) if older(m) => {
            let why = "this stream exists already (-f replaces it)";
            Err(client.error(Exit::Exists, Some(key), why))
        }
        (Head::Absent | Head::Unknown, Head::Damaged(_, why)) if !force => {
            Err(client.error(Exit::Changed, Some(key), why))
        }
        _ if found.upload() != seen.upload() => {
            let why = "another upload was committed meanwhile";
            Err(client.error(Exit::Changed, Some(key), why))
        }
        _ => Ok(found),
    }
}

fn send(
    client: &mut Client,
    keys: &Keys,
    manifest: &Manifest,
    text: &str,
    seen: &Head,
    conditional: bool,
) -> std::result::Result<(), Failure> {
    let condition = match seen {
        _ if !conditional => Condition::None,
        Head::Present(_, Some(etag)) | Head::Damaged(Some(etag), _) => Condition::Unchanged(etag),
        Head::Present(_, None) | Head::Damaged(None, _) => Condition::None,
        _ => Condition::Absent,
    };
    let key = keys.manifest(&manifest.name);
    let mut put = Put::new(&key, Kind::Manifest, text.as_bytes());
    put.condition = condition;
    client.run(&mut put)
}

/// None if our manifest is the one that stands; else what was found.
fn seen_after(
    client: &mut Client,
    keys: &Keys,
    manifest: &Manifest,
    sent: &std::result::Result<(), Failure>,
) -> Result<Option<Head>> {
    let stopped = matches!(sent, Err(f) if matches!(f.error.exit(), Exit::Signal(_)));
    if stopped {
        // The request may have been carried out: one look, then we stop.
        sys::ignore_stop();
        client.be_brief();
    }
    let found = look(client, keys, &manifest.name)
        .map_err(|e| Error::new(e.exit(), "commit unknown", e))?;
    match found {
        Head::Present(found, _) if *found == *manifest => {
            sys::ignore_stop();
            Ok(None)
        }
        Head::Unknown if matches!(sent, Err(f) if f.status() == Some(412)) => {
            let why = "this stream exists already, and may not be read (403)";
            Err(client.error(Exit::Exists, Some(&keys.manifest(&manifest.name)), why))
        }
        Head::Unknown if sent.is_ok() => {
            let why = "stored, but it may not be read back (403): commit unknown";
            Err(client.error(Exit::Denied, Some(&keys.manifest(&manifest.name)), why))
        }
        // What was sent may still be on its way to the store.
        _ if stopped => Err(match sent {
            Err(f) => f.error.clone().also("during the commit: commit unknown"),
            Ok(()) => client.error(Exit::Internal, None, "stopped without a signal"),
        }),
        found => Ok(Some(found)),
    }
}
