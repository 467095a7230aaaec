//! The commit: a stream exists once its manifest does.
//!
//! A success code proves nothing and an error disproves nothing, so after each
//! PUT the manifest is read back, whatever was answered. A commit that was not seen
//! is never reported, nor a failure for one that was.

use std::time::Instant;

use crate::error::{Error, Exit, Result};
use crate::os;
use crate::s3::{
    Client, Condition, Failure, Fault, Get, Halt, HeadObject, Kind, ObjectHead, Put, Trial, backoff,
};
use crate::stream::manifest::{MANIFEST_LIMIT, Manifest, Record};
use crate::stream::name::{Keys, Name, UploadId};
use crate::stream::record;
use crate::stream::store::Store;

/// How often a manifest is sent that the server accepts, but does not show.
const UNSEEN_LIMIT: u32 = 8;

/// What a look at a stream's manifest found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ManifestState {
    /// There is none.
    Absent,
    /// It cannot be told: without the permission to list, S3 answers 403 for a key
    /// that does not exist, too.
    Unknown,
    /// There is one that makes no sense, for this reason. HEAD shows an object of the
    /// same length; if it does not (None), something in between may have answered.
    Damaged(Option<ObjectHead>, String),
    /// This upload, under this ETag.
    Present(Box<Manifest>, Option<String>),
}

impl ManifestState {
    /// The upload that is committed, as far as it is known.
    pub fn upload(&self) -> Option<&UploadId> {
        match self {
            ManifestState::Present(manifest, _) => Some(&manifest.upload),
            _ => None,
        }
    }
}

/// Look at a stream's manifest.
pub fn look(store: &mut Store, name: &Name) -> Result<ManifestState> {
    look_with(&mut store.client, &store.keys, name)
}

/// The same for the checks between two deletions, which get only the client.
pub(super) fn look_with(client: &mut Client, keys: &Keys, name: &Name) -> Result<ManifestState> {
    let key = keys.manifest(name);
    let parse = |body: &[u8]| {
        let manifest = Manifest::parse(body)?;
        if manifest.name == *name {
            Ok(manifest)
        } else {
            Err("it belongs to another stream".to_string())
        }
    };
    let mut get = Get::text(&key, Kind::Manifest, MANIFEST_LIMIT, "manifest", parse);
    match client.run(&mut get) {
        Ok(got) => Ok(ManifestState::Present(Box::new(got.value), got.etag)),
        Err(failure) => nothing_read(client, &key, failure),
    }
}

/// The manifest of a stream that is to be read, or that is being read. None where
/// there is none; 65 where it makes no sense, 77 where that cannot be told.
pub fn read(store: &mut Store, name: &Name) -> Result<Option<Box<Manifest>>> {
    let (exit, why) = match look(store, name)? {
        ManifestState::Present(manifest, _) => return Ok(Some(manifest)),
        ManifestState::Absent => return Ok(None),
        ManifestState::Damaged(_, why) => (Exit::Data, why),
        ManifestState::Unknown => {
            let why = "403 AccessDenied: may not be read, or does not exist";
            (Exit::Denied, why.to_string())
        }
    };
    Err(store.error(exit, name, why))
}

fn nothing_read(client: &mut Client, key: &str, failure: Failure) -> Result<ManifestState> {
    match failure.refusal {
        Some(r) if r.no_such_key() => Ok(ManifestState::Absent),
        Some(r) if r.status == 403 && r.code == "AccessDenied" => Ok(ManifestState::Unknown),
        None if failure.error.exit() == Exit::Data => {
            let sight = client.run(&mut HeadObject::at(key, Kind::Manifest)).ok();
            // A page that something in between has sent has no ETag.
            let has_etag = |s: &ObjectHead| s.etag.is_some() || client.known().no_etags;
            let shown = |s: &ObjectHead| s.length.is_some() && s.length == failure.came;
            let sight = sight.filter(|s| shown(s) && has_etag(s));
            Ok(ManifestState::Damaged(
                sight,
                failure.error.why().to_string(),
            ))
        }
        _ => Err(failure.error),
    }
}

/// Put the manifest in place of what was `seen`, and read it back. `force` says
/// that an older stream may be replaced that could not be read before. The last look
/// before each attempt is at `record`: it must still be ours, since whoever removes
/// an upload removes its record first. Returns what was replaced.
///
/// 75 if another upload was committed meanwhile or ours was removed, 73 if the
/// stream turns out to exist, 69 'commit unknown' if the service does not answer.
pub fn commit(
    store: &mut Store,
    manifest: &Manifest,
    record: &Record,
    seen: ManifestState,
    force: bool,
) -> std::result::Result<ManifestState, Uncommitted> {
    let key = store.keys.manifest(&manifest.name);
    let text = manifest.to_text();
    store.client.set_underway(true);
    // A manifest that may not be read will not become readable by waiting.
    store.client.may_not_read(seen == ManifestState::Unknown);
    let mut commit = Commit {
        store,
        manifest,
        record,
        key: &key,
        text: &text,
        force,
        first: seen.upload().cloned(),
        seen,
        trial: Trial::default(),
        conditional: true,
        warned: false,
        may_be_stored: false,
        answered: 0,
        answered_since: None,
    };
    match commit.run() {
        Ok(()) => Ok(commit.seen),
        Err(error) => Err(Uncommitted {
            may_be_stored: commit.may_be_stored,
            error,
        }),
    }
}

/// No commit was seen.
pub struct Uncommitted {
    /// The manifest may have been stored all the same.
    pub may_be_stored: bool,
    /// Why.
    pub error: Error,
}

/// A commit under way.
struct Commit<'a> {
    store: &'a mut Store,
    manifest: &'a Manifest,
    record: &'a Record,
    key: &'a str,
    text: &'a str,
    force: bool,
    /// The upload that was committed when ours began.
    first: Option<UploadId>,
    /// What our manifest is to replace.
    seen: ManifestState,
    trial: Trial,
    /// PUT under a condition; false once the service has refused that.
    conditional: bool,
    /// The user was warned that there is no condition, for want of an ETag.
    warned: bool,
    /// An attempt may have been carried out that was not seen.
    may_be_stored: bool,
    /// How many attempts were answered without the manifest being there afterwards.
    answered: u32,
    /// Since when.
    answered_since: Option<Instant>,
}

impl Commit<'_> {
    fn run(&mut self) -> Result<()> {
        while self.answered < UNSEEN_LIMIT {
            if self.attempt()? {
                return Ok(());
            }
        }
        let why = if self.may_be_stored {
            "the server says that it was stored, but does not show it: commit unknown"
        } else {
            "the service refuses a condition that holds: nothing was committed"
        };
        let name = &self.manifest.name;
        Err(self.store.error(Exit::Unavailable, name, why))
    }

    /// What is known of the commit, for an error.
    fn so_far(&self) -> &'static str {
        if self.may_be_stored {
            "the commit was not seen"
        } else {
            "nothing was committed"
        }
    }

    /// Look, PUT once, and look again; true if our manifest is seen. A PUT is
    /// never repeated without these looks: its stream may have been deleted
    /// meanwhile, and must not come back without its blocks.
    ///
    /// The record is looked at after the manifest: whoever deletes the stream deletes
    /// the record first.
    fn attempt(&mut self) -> Result<bool> {
        // Some services ignore conditions: with those, this look is the only guard.
        let found = look(self.store, &self.manifest.name);
        let found = found.map_err(|e| self.doubtful(e))?;
        if self.is_ours(&found) {
            return Ok(true);
        }
        self.note(found)?;
        let owned = record::check(self.store, self.record, self.so_far());
        let owned = owned.and_then(|()| self.store.progress().check());
        owned.map_err(|e| match e.exit() {
            Exit::Changed => e,
            _ => self.unseen(e),
        })?;
        let sent = self.send();
        self.may_be_stored |= may_be_carried_out(&sent);
        let Some(found) = seen_after(self.store, self.manifest, &sent)? else {
            return Ok(true);
        };
        let untouched = found == self.seen;
        self.note(found)?;
        match sent {
            Err(Halt::Passing(fault)) => {
                let client = &mut self.store.client;
                let pause = client.pause(&mut self.trial, &fault, Some(self.key));
                pause.map_err(|f| self.unseen(f.error))?;
                return Ok(false);
            }
            Err(Halt::Final(failure)) => self.judge(*failure, untouched)?,
            Ok(_) => {}
        }
        self.answered += 1;
        let since = *self.answered_since.get_or_insert_with(Instant::now);
        let time = self.store.client.evidence_time();
        let left = time.saturating_sub(since.elapsed());
        let progress = self.store.progress();
        progress.wait(backoff(self.answered, os::chance(), None).min(left));
        progress.check().map_err(|e| self.unseen(e))?;
        Ok(false)
    }

    fn is_ours(&self, found: &ManifestState) -> bool {
        matches!(found, ManifestState::Present(found, _) if **found == *self.manifest)
    }

    /// What was found is what the next attempt replaces, if that may be.
    fn note(&mut self, found: ManifestState) -> Result<()> {
        let damaged = matches!(found, ManifestState::Damaged(..));
        let seen = std::mem::replace(&mut self.seen, ManifestState::Unknown);
        // The stream that was there at the beginning is the same one, even if it was
        // not shown for a moment.
        let again = found.upload().is_some() && found.upload() == self.first.as_ref();
        self.seen = if again {
            found
        } else {
            let next = unchanged(self.store, self.manifest, seen, found, self.force);
            next.map_err(|e| if damaged { self.doubtful(e) } else { e })?
        };
        Ok(())
    }

    /// The error of a look that failed, or found what makes no sense.
    fn doubtful(&self, e: Error) -> Error {
        if self.may_be_stored {
            Error::new(e.exit(), "commit unknown", e)
        } else {
            e
        }
    }

    /// The error to give up with, after looks that did not show our manifest.
    fn unseen(&self, e: Error) -> Error {
        if self.may_be_stored {
            e.also("not seen yet: commit unknown")
        } else {
            e
        }
    }

    /// What to do after a final answer if our manifest is not there: try again, or
    /// give up. `untouched`: what the condition named is still there.
    fn judge(&mut self, failure: Failure, untouched: bool) -> Result<()> {
        match failure.status() {
            Some(501) if self.conditional => self.conditional = false,
            // The condition holds, so the service wants the ETag in another form.
            Some(412) if untouched => self.store.client.toggle_etag_quotes(),
            // What was to be replaced was deleted meanwhile.
            Some(404) if failure.no_such_key() => {}
            Some(409 | 412) => {}
            _ => return Err(self.unseen(failure.error)),
        }
        Ok(())
    }

    fn send(&mut self) -> std::result::Result<(), Halt> {
        let etag = match &self.seen {
            ManifestState::Present(_, etag) => etag.as_deref(),
            ManifestState::Damaged(sight, _) => {
                sight.as_ref().and_then(|sight| sight.etag.as_deref())
            }
            ManifestState::Absent | ManifestState::Unknown => None,
        };
        let mut put = Put::new(self.key, Kind::Manifest, self.text.as_bytes());
        put.condition = match (&self.seen, etag) {
            _ if !self.conditional => Condition::None,
            (ManifestState::Absent | ManifestState::Unknown, _) => Condition::Absent,
            (_, Some(etag)) => Condition::Unchanged(etag),
            (_, None) => Condition::None,
        };
        if self.conditional && put.condition == Condition::None && !self.warned {
            self.warned = true;
            let why = "the manifest has no ETag: it is replaced without a condition";
            let warning = self.store.error(Exit::Data, &self.manifest.name, why);
            self.store.progress().warn(&warning.to_string());
        }
        self.store.client.step(&mut put, &mut self.trial)
    }
}

/// Whether the service may have stored what was sent: always, unless its answer says
/// that it refused.
fn may_be_carried_out(sent: &std::result::Result<(), Halt>) -> bool {
    match sent {
        Ok(_) => true,
        Err(Halt::Passing(Fault::Refused(r))) => !matches!(r.status, 300..=499),
        Err(Halt::Passing(_)) => true,
        Err(Halt::Final(failure)) => failure.refusal.is_none(),
    }
}

/// What our commit is to replace: what was found, if that is what was seen.
fn unchanged(
    store: &Store,
    ours: &Manifest,
    seen: ManifestState,
    found: ManifestState,
    force: bool,
) -> Result<ManifestState> {
    let older = |m: &Manifest| m.created <= ours.created && m.upload != ours.upload;
    match (&seen, &found) {
        (_, ManifestState::Unknown) => Ok(seen),
        // Deleted meanwhile: there is nothing to replace any more.
        (_, ManifestState::Absent) => Ok(found),
        // It was there before our upload, and could not be read then.
        (ManifestState::Unknown | ManifestState::Damaged(..), ManifestState::Present(m, _))
            if force && older(m) =>
        {
            Ok(found)
        }
        (ManifestState::Unknown, ManifestState::Present(m, _)) if older(m) => {
            let why = "this stream exists already (-f replaces it)";
            Err(store.error(Exit::Exists, &ours.name, why))
        }
        // HEAD does not show it, so what came may be no object of the service's.
        (_, ManifestState::Damaged(None, why)) => {
            Err(store.error(Exit::Unavailable, &ours.name, why))
        }
        (_, ManifestState::Damaged(_, why)) if !force => {
            Err(store.error(Exit::Changed, &ours.name, why))
        }
        (_, ManifestState::Damaged(..)) => Ok(found),
        _ if found.upload() != seen.upload() => {
            let why = "another upload was committed meanwhile";
            Err(store.error(Exit::Changed, &ours.name, why))
        }
        _ => Ok(found),
    }
}

/// Look after a PUT: None if our manifest is there; else what is.
fn seen_after(
    store: &mut Store,
    manifest: &Manifest,
    sent: &std::result::Result<(), Halt>,
) -> Result<Option<ManifestState>> {
    let failure = match sent {
        Err(Halt::Final(failure)) => Some(failure),
        _ => None,
    };
    let stopped = failure.filter(|f| matches!(f.error.exit(), Exit::Signal(_)));
    if stopped.is_some() {
        // The request may have been carried out: look once, and then stop.
        os::ignore_stop();
        store.client.be_brief();
    }
    let found =
        look(store, &manifest.name).map_err(|e| Error::new(e.exit(), "commit unknown", e))?;
    match found {
        ManifestState::Present(found, _) if *found == *manifest => Ok(None),
        ManifestState::Unknown if failure.is_some_and(|f| f.status() == Some(412)) => {
            let why = "this stream exists already, and may not be read (403)";
            Err(store.error(Exit::Exists, &manifest.name, why))
        }
        ManifestState::Unknown if sent.is_ok() => {
            let why = "stored, but it may not be read back (403): commit unknown";
            Err(store.error(Exit::Denied, &manifest.name, why))
        }
        found => match stopped {
            // What was sent may still be on its way to the store.
            Some(f) => Err(f.error.clone().also("during the commit: commit unknown")),
            None => Ok(Some(found)),
        },
    }
}
