//! The commit: a stream exists once its manifest does.
//!
//! A success code proves nothing and an error disproves nothing, so after each
//! PUT the manifest is read back, whatever was answered. It must never report
//! a commit that was not seen, nor a failure for one that was.

use std::time::Instant;

use crate::error::{Error, Exit, Result};
use crate::os;
use crate::s3::{
    Client, Condition, Failure, Fault, Get, Glance, Halt, Kind, Put, Sight, Trial, backoff,
};
use crate::stream::manifest::{MANIFEST_LIMIT, Manifest, Record};
use crate::stream::name::{Keys, Name, UploadId};
use crate::stream::record;
use crate::stream::store::Store;

/// How often a manifest that a server took but does not show is sent again.
const UNSEEN_LIMIT: u32 = 8;

/// What a look at a stream's manifest found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Head {
    /// There is none.
    Absent,
    /// We may not know: S3 answers 403 for a missing key to who may not list.
    Unknown,
    /// There is one that makes no sense, for this reason. HEAD has shown it too,
    /// of the same length; if not (None), it may be no object of the store's.
    Damaged(Option<Sight>, String),
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
pub fn look(store: &mut Store, name: &Name) -> Result<Head> {
    look_with(&mut store.client, &store.keys, name)
}

/// The same between two deletions, where only the client is at hand.
pub(super) fn look_with(client: &mut Client, keys: &Keys, name: &Name) -> Result<Head> {
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
        Ok(got) => Ok(Head::Present(Box::new(got.value), got.etag)),
        Err(failure) => nothing_read(client, &key, failure),
    }
}

/// The manifest of a stream that is to be read, or that is being read. None where
/// there is none; 65 where it makes no sense, 77 where that cannot be told.
pub fn read(store: &mut Store, name: &Name) -> Result<Option<Box<Manifest>>> {
    let (exit, why) = match look(store, name)? {
        Head::Present(manifest, _) => return Ok(Some(manifest)),
        Head::Absent => return Ok(None),
        Head::Damaged(_, why) => (Exit::Data, why),
        Head::Unknown => {
            let why = "403 AccessDenied: may not be read, or does not exist";
            (Exit::Denied, why.to_string())
        }
    };
    Err(store.error(exit, name, why))
}

fn nothing_read(client: &mut Client, key: &str, failure: Failure) -> Result<Head> {
    match failure.refusal {
        Some(r) if r.no_such_key() => Ok(Head::Absent),
        Some(r) if r.status == 403 && r.code == "AccessDenied" => Ok(Head::Unknown),
        None if failure.error.exit() == Exit::Data => {
            let sight = client.run(&mut Glance::at(key, Kind::Manifest)).ok();
            // A page has no ETag, where objects have one.
            let has_etag = |s: &Sight| s.etag.is_some() || client.known().no_etags;
            let shown = |s: &Sight| s.length.is_some() && s.length == failure.came;
            let sight = sight.filter(|s| shown(s) && has_etag(s));
            Ok(Head::Damaged(sight, failure.error.why().to_string()))
        }
        _ => Err(failure.error),
    }
}

/// Put the manifest in place of what was `seen`, and see it there. `force` says
/// that an older stream may be replaced of which we could not know. The last look
/// before each attempt is at `record`: it must be ours still, since whoever removes
/// an upload removes that first. Returns what was replaced.
///
/// 75 if another upload was committed meanwhile or ours was removed, 73 if the
/// stream turns out to exist, 69 'commit unknown' if the service does not answer.
pub fn commit(
    store: &mut Store,
    manifest: &Manifest,
    record: &Record,
    seen: Head,
    force: bool,
) -> std::result::Result<Head, Uncommitted> {
    let key = store.keys.manifest(&manifest.name);
    let text = manifest.to_text();
    store.client.set_underway(true);
    // Where reading was never allowed, waiting for it leads nowhere.
    store.client.may_not_read(seen == Head::Unknown);
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
        unheard: false,
        answered: 0,
        answered_since: None,
    };
    match commit.run() {
        Ok(()) => Ok(commit.seen),
        Err(error) => Err(Uncommitted {
            unheard: commit.unheard,
            error,
        }),
    }
}

/// No commit was seen.
pub struct Uncommitted {
    /// The manifest may have been stored, so that it may stand there all the same.
    pub unheard: bool,
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
    seen: Head,
    trial: Trial,
    /// The service is not known to refuse conditions.
    conditional: bool,
    /// It was said that there is no condition, for want of an ETag.
    warned: bool,
    /// An attempt may have been carried out that was not seen.
    unheard: bool,
    /// How many attempts were answered, and nothing was to be seen of them.
    answered: u32,
    answered_since: Option<Instant>,
}

impl Commit<'_> {
    fn run(&mut self) -> Result<()> {
        while self.answered < UNSEEN_LIMIT {
            if self.attempt()? {
                return Ok(());
            }
        }
        let why = if self.unheard {
            "the server says that it was stored, but does not show it: commit unknown"
        } else {
            "the service refuses a condition that holds: nothing was committed"
        };
        let name = &self.manifest.name;
        Err(self.store.error(Exit::Unavailable, name, why))
    }

    /// What is known of the commit, for an error.
    fn so_far(&self) -> &'static str {
        if self.unheard {
            "the commit was not seen"
        } else {
            "nothing was committed"
        }
    }

    /// Look, PUT once, and look again; true if our manifest is seen. A PUT is
    /// never repeated without these looks: its stream may have been deleted
    /// meanwhile, and must not come back without its blocks.
    ///
    /// The record comes after the manifest: where somebody deleted that, the
    /// record had gone before.
    fn attempt(&mut self) -> Result<bool> {
        // Not every store honours a condition: all that it has is this look.
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
        self.unheard |= may_be_carried_out(&sent);
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

    fn is_ours(&self, found: &Head) -> bool {
        matches!(found, Head::Present(found, _) if **found == *self.manifest)
    }

    /// What was found is what the next attempt replaces, if that may be.
    fn note(&mut self, found: Head) -> Result<()> {
        let damaged = matches!(found, Head::Damaged(..));
        let seen = std::mem::replace(&mut self.seen, Head::Unknown);
        // A moment in which it is not shown does not make another one of it.
        let again = found.upload().is_some() && found.upload() == self.first.as_ref();
        self.seen = if again {
            found
        } else {
            let next = unchanged(self.store, self.manifest, seen, found, self.force);
            next.map_err(|e| if damaged { self.doubtful(e) } else { e })?
        };
        Ok(())
    }

    /// A look that failed, or found what makes no sense.
    fn doubtful(&self, e: Error) -> Error {
        if self.unheard {
            Error::new(e.exit(), "commit unknown", e)
        } else {
            e
        }
    }

    /// The end of trying, after looks that did not show our manifest.
    fn unseen(&self, e: Error) -> Error {
        if self.unheard {
            e.also("not seen yet: commit unknown")
        } else {
            e
        }
    }

    /// What a final answer means after which our manifest is not to be seen. It
    /// was `untouched`: what the condition named is there still.
    fn judge(&mut self, failure: Failure, untouched: bool) -> Result<()> {
        match failure.status() {
            Some(501) if self.conditional => self.conditional = false,
            // The service compares ETags in another way than we gave it.
            Some(412) if untouched => self.store.client.toggle_etag_quotes(),
            // It was deleted meanwhile, or it may have been.
            Some(404) if failure.no_such_key() => {}
            Some(409 | 412) => {}
            _ => return Err(self.unseen(failure.error)),
        }
        Ok(())
    }

    fn send(&mut self) -> std::result::Result<(), Halt> {
        let etag = match &self.seen {
            Head::Present(_, etag) => etag.as_deref(),
            Head::Damaged(sight, _) => sight.as_ref().and_then(|sight| sight.etag.as_deref()),
            Head::Absent | Head::Unknown => None,
        };
        let mut put = Put::new(self.key, Kind::Manifest, self.text.as_bytes());
        put.condition = match (&self.seen, etag) {
            _ if !self.conditional => Condition::None,
            (Head::Absent | Head::Unknown, _) => Condition::Absent,
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

/// Whether the service may have stored what was sent, though it is not seen. An
/// answer that refuses it says that it has not.
fn may_be_carried_out(sent: &std::result::Result<(), Halt>) -> bool {
    match sent {
        Ok(_) => true,
        Err(Halt::Passing(Fault::Refused(r))) => !matches!(r.status, 300..=499),
        Err(Halt::Passing(_)) => true,
        Err(Halt::Final(failure)) => failure.refusal.is_none(),
    }
}

/// What our commit is to replace: what was found, if that is what was seen.
fn unchanged(store: &Store, ours: &Manifest, seen: Head, found: Head, force: bool) -> Result<Head> {
    let older = |m: &Manifest| m.created <= ours.created && m.upload != ours.upload;
    match (&seen, &found) {
        (_, Head::Unknown) => Ok(seen),
        // Deleted meanwhile: there is nothing to replace any more.
        (_, Head::Absent) => Ok(found),
        // It was there before, and could not be read.
        (Head::Unknown | Head::Damaged(..), Head::Present(m, _)) if force && older(m) => Ok(found),
        (Head::Unknown, Head::Present(m, _)) if older(m) => {
            let why = "this stream exists already (-f replaces it)";
            Err(store.error(Exit::Exists, &ours.name, why))
        }
        (_, Head::Damaged(sight, why)) if !force || sight.is_none() => {
            Err(store.error(Exit::Changed, &ours.name, why))
        }
        (_, Head::Damaged(..)) => Ok(found),
        _ if found.upload() != seen.upload() => {
            let why = "another upload was committed meanwhile";
            Err(store.error(Exit::Changed, &ours.name, why))
        }
        _ => Ok(found),
    }
}

/// None if our manifest is the one that stands; else what was found.
fn seen_after(
    store: &mut Store,
    manifest: &Manifest,
    sent: &std::result::Result<(), Halt>,
) -> Result<Option<Head>> {
    let failure = match sent {
        Err(Halt::Final(failure)) => Some(failure),
        _ => None,
    };
    let stopped = failure.filter(|f| matches!(f.error.exit(), Exit::Signal(_)));
    if stopped.is_some() {
        // The request may have been carried out: one look, then we stop.
        os::ignore_stop();
        store.client.be_brief();
    }
    let found =
        look(store, &manifest.name).map_err(|e| Error::new(e.exit(), "commit unknown", e))?;
    match found {
        Head::Present(found, _) if *found == *manifest => Ok(None),
        Head::Unknown if failure.is_some_and(|f| f.status() == Some(412)) => {
            let why = "this stream exists already, and may not be read (403)";
            Err(store.error(Exit::Exists, &manifest.name, why))
        }
        Head::Unknown if sent.is_ok() => {
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
