//! Deleting objects, one by one and many at a time; making and removing buckets.
//!
//! Nothing here knows what may be deleted: that is for whoever asks. A success
//! code alone proves nothing: an answer to DELETE must be one that only S3 gives,
//! and what becomes of a bucket is looked at.

use std::collections::HashSet;
use std::time::Instant;

use super::call::{Call, Failure, Halt, Operation};
use super::client::Client;
use super::fault::{Fault, backoff};
use super::headers::Kind;
use super::listing::Pages;
use super::ops::{finish, read_xml, refused_after_all};
use super::retry::Trial;
use super::xml;
use crate::error::{Exit, Result};
use crate::net::{Answer, Payload};
use crate::os;

/// How many keys one DeleteObjects may name.
const DELETE_BATCH: usize = 1000;

/// How often a prefix is listed until nothing is found below it.
const PASSES: u32 = 8;

/// DeleteObject.
struct Delete<'a>(&'a str, Kind);

impl Operation for Delete<'_> {
    type Out = ();

    fn call(&self) -> Call<'_> {
        Call::new("DELETE", Some(self.0), self.1)
    }

    fn take(&mut self, mut answer: Answer) -> std::result::Result<(), Fault> {
        let status = answer.status;
        let body = answer.read_bounded(xml::ERROR_LIMIT);
        let body = body.map_err(Fault::broken)?;
        refused_after_all(&body)?;
        let doubt = match status {
            204 => return Ok(()),
            200 if body.is_empty() => return Ok(()),
            200 => "it has a body".to_string(),
            status => format!("its status is {status}, not 204"),
        };
        let why = format!("the answer does not prove that it was deleted: {doubt}");
        Err(Fault::foreign(Exit::Unavailable, why))
    }
}

/// DeleteObjects, one batch.
struct DeleteMany<'a>(&'a str);

impl Operation for DeleteMany<'_> {
    type Out = Vec<String>;

    fn call(&self) -> Call<'_> {
        Call {
            query: vec![("delete", "")],
            body: Payload::Bytes(self.0.as_bytes()),
            md5: true,
            ..Call::new("POST", None, Kind::Other)
        }
    }

    fn take(&mut self, answer: Answer) -> std::result::Result<Vec<String>, Fault> {
        read_xml(answer, xml::delete_result, "an answer to DeleteObjects")
    }
}

/// CreateBucket, DeleteBucket or HeadBucket. What they say is looked at, so any
/// success will do.
struct Bucket<'a>(&'static str, Payload<'a>);

impl Operation for Bucket<'_> {
    type Out = ();

    fn call(&self) -> Call<'_> {
        Call {
            body: self.1,
            ..Call::new(self.0, None, Kind::Other)
        }
    }

    fn take(&mut self, answer: Answer) -> std::result::Result<(), Fault> {
        match answer.status {
            200 => finish(answer),
            204 if self.0 == "DELETE" => finish(answer),
            status => {
                let why = format!("status {status} makes no sense here");
                Err(Fault::foreign(Exit::Unavailable, why))
            }
        }
    }
}

impl Client {
    /// DeleteObject. An object that is not there is no error.
    pub fn delete(&mut self, key: &str, kind: Kind) -> Result<()> {
        match self.run(&mut Delete(key, kind)) {
            Err(f) if f.no_such_key() => Ok(()),
            result => Ok(result?),
        }
    }

    /// DeleteObject of what others may put there anew: it is never sent again
    /// before `gone` was asked whether it is gone.
    pub fn delete_watched(
        &mut self,
        key: &str,
        kind: Kind,
        gone: &mut dyn FnMut(&mut Client) -> Result<bool>,
    ) -> Result<()> {
        let (mut op, mut trial) = (Delete(key, kind), Trial::default());
        loop {
            match self.step(&mut op, &mut trial) {
                Ok(()) => return Ok(()),
                Err(Halt::Final(failure)) if failure.no_such_key() => return Ok(()),
                Err(Halt::Final(failure)) => return Err(failure.error),
                Err(Halt::Passing(fault)) => self.pause(&mut trial, &fault, Some(key))?,
            }
            if gone(self)? {
                return Ok(());
            }
        }
    }

    /// Delete all these objects, with DeleteObjects where the server has it.
    /// Every key is accounted for, or it is an error.
    pub fn delete_all(&mut self, keys: &[String], kind: Kind) -> Result<()> {
        for batch in keys.chunks(DELETE_BATCH) {
            let body = xml::delete_request(batch);
            let mut left: Vec<&String> = batch.iter().collect();
            match self.run(&mut DeleteMany(&body)) {
                Ok(deleted) => {
                    let deleted: HashSet<_> = deleted.into_iter().collect();
                    left.retain(|key| !deleted.contains(*key));
                }
                // A server without bulk deletes says so in many ways.
                Err(f) if f.refusal.is_some() => {}
                Err(f) => return Err(f.error),
            }
            for key in left {
                self.delete(key, kind)?;
            }
        }
        Ok(())
    }

    /// Delete every object whose key begins with `prefix`, page by page. Each
    /// time `may` is asked first, whose error ends it.
    pub fn delete_prefix(
        &mut self,
        prefix: &str,
        kind: Kind,
        may: &mut dyn FnMut(&mut Client) -> Result<()>,
    ) -> Result<()> {
        // A server may lose its place in a listing that shrinks, or not know yet
        // what is gone, so look again.
        for pass in 0..PASSES {
            if pass > 1 {
                self.pause_before(pass)?;
            }
            let mut pages = Pages::new(prefix);
            let mut found = false;
            while let Some(page) = self.next_page(&mut pages)? {
                // A key may be listed twice.
                let mut keys: Vec<String> = page.into_iter().map(|o| o.key).collect();
                keys.sort_unstable();
                keys.dedup();
                if !keys.is_empty() {
                    found = true;
                    may(self)?;
                    self.delete_all(&keys, kind)?;
                }
            }
            if !found {
                return Ok(());
            }
        }
        let why = "the server still lists objects that it says are deleted";
        Err(self.error(Exit::Unavailable, Some(prefix), why))
    }

    /// CreateBucket, and see that it is there. An answer that was lost is not
    /// mistaken for a bucket that somebody else has.
    pub fn create_bucket(&mut self) -> Result<()> {
        let constraint = match self.settings.region.as_str() {
            region if self.is_amazon() && region != "us-east-1" => xml::create_bucket(region),
            _ => String::new(),
        };
        let start = Instant::now();
        for attempt in 0.. {
            let body = Payload::Bytes(constraint.as_bytes());
            let doubt = match self.run(&mut Bucket("PUT", body)) {
                Ok(()) => None,
                Err(f) if is_late(&f, attempt, Exit::Exists) => Some(f.error),
                Err(f) => return Err(f.error),
            };
            match (self.sees_bucket()?, doubt) {
                (Some(true), _) | (None, None) => break,
                (None, Some(e)) => return Err(e),
                (Some(false), _) => {
                    let why = "the service says that the bucket was made, but does not show it";
                    self.look_again(start, attempt, None, why)?;
                }
            }
        }
        Ok(())
    }

    /// DeleteBucket, and see that it is gone. S3 refuses it while there is an
    /// object left; not every server does, so we look.
    pub fn delete_bucket(&mut self) -> Result<()> {
        let start = Instant::now();
        for attempt in 0.. {
            match self.has_objects() {
                // It is gone, as it was said to be.
                Err(e) if attempt > 0 && e.exit() == Exit::Missing => break,
                Ok(true) => {
                    return Err(self.error(Exit::Exists, None, "the bucket is not empty"));
                }
                none => none?,
            };
            match self.run(&mut Bucket("DELETE", Payload::None)) {
                Err(f) if is_late(&f, attempt, Exit::Missing) => break,
                result => result?,
            }
            if self.sees_bucket()? != Some(true) {
                break;
            }
            let why = "the service says that the bucket was removed, but still shows it";
            self.look_again(start, attempt, None, why)?;
        }
        Ok(())
    }

    fn has_objects(&mut self) -> Result<bool> {
        let mut pages = Pages::new("");
        while let Some(page) = self.next_page(&mut pages)? {
            if !page.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether HEAD shows the bucket; None where that is not allowed.
    fn sees_bucket(&mut self) -> Result<Option<bool>> {
        match self.run(&mut Bucket("HEAD", Payload::None)) {
            Ok(()) => Ok(Some(true)),
            Err(f) => match f.status() {
                Some(404) => Ok(Some(false)),
                Some(403 | 405 | 501) => Ok(None),
                _ => Err(f.error),
            },
        }
    }

    /// Wait before something is done and looked at again that the service says
    /// and does not show; 69, for this reason, if that has lasted long enough.
    pub fn look_again(
        &mut self,
        start: Instant,
        attempt: u32,
        key: Option<&str>,
        why: &str,
    ) -> Result<()> {
        if start.elapsed() >= self.evidence_time() {
            return Err(self.error(Exit::Unavailable, key, why));
        }
        self.pause_before(attempt)
    }

    /// Wait a little before something is done or looked at again.
    pub fn pause_before(&mut self, attempt: u32) -> Result<()> {
        let progress = self.progress();
        progress.wait(backoff(attempt, os::chance(), None));
        progress.check()
    }
}

/// Whether this refusal only says that an earlier attempt was carried out.
fn is_late(failure: &Failure, attempt: u32, exit: Exit) -> bool {
    (failure.repeated || attempt > 0) && failure.error.exit() == exit
}
