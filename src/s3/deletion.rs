//! Deleting objects, one by one and many at a time; making and removing buckets.
//!
//! Nothing here knows what may be deleted: that is for whoever asks.

use super::call::{Call, Operation};
use super::client::Client;
use super::fault::Fault;
use super::headers::Kind;
use super::listing::Pages;
use super::ops::{finish, read_xml};
use super::xml;
use crate::error::{Exit, Result};
use crate::http::{Answer, Payload};

/// How many keys one DeleteObjects may name.
const DELETE_BATCH: usize = 1000;

/// How often a prefix is listed until nothing is found below it.
const PASSES: u32 = 5;

/// A request whose answer has nothing to read.
struct Plain<'a>(&'static str, Option<&'a str>, Kind, Payload<'a>);

impl Operation for Plain<'_> {
    type Out = ();

    fn call(&self) -> Call<'_> {
        Call {
            body: self.3,
            ..Call::new(self.0, self.1, self.2)
        }
    }

    fn take(&mut self, answer: Answer) -> std::result::Result<(), Fault> {
        finish(answer)
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

impl Client {
    /// DeleteObject. An object that is not there is no error.
    pub fn delete(&mut self, key: &str, kind: Kind) -> Result<()> {
        match self.run(&mut Plain("DELETE", Some(key), kind, Payload::None)) {
            Err(f) if f.no_such_key() => Ok(()),
            result => Ok(result?),
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
                    let deleted: std::collections::HashSet<_> = deleted.into_iter().collect();
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

    /// Delete every object whose key begins with `prefix`, page by page.
    pub fn delete_prefix(&mut self, prefix: &str, kind: Kind) -> Result<()> {
        // A server may lose its place in a listing that shrinks, so look again.
        for _ in 0..PASSES {
            let mut pages = Pages::new(prefix);
            let mut found = false;
            while let Some(page) = self.next_page(&mut pages)? {
                let keys: Vec<String> = page.into_iter().map(|o| o.key).collect();
                found |= !keys.is_empty();
                self.delete_all(&keys, kind)?;
            }
            if !found {
                return Ok(());
            }
        }
        let why = "the server still lists objects that it says are deleted";
        Err(self.error(Exit::Unavailable, Some(prefix), why))
    }

    /// CreateBucket. An answer that was lost is not mistaken for a bucket
    /// that somebody else has.
    pub fn create_bucket(&mut self) -> Result<()> {
        let constraint = match self.region() {
            region if self.is_amazon() && region != "us-east-1" => xml::create_bucket(region),
            _ => String::new(),
        };
        let body = Payload::Bytes(constraint.as_bytes());
        let mut op = Plain("PUT", None, Kind::Other, body);
        match self.run(&mut op) {
            Err(f) if f.repeated && f.error.exit() == Exit::Exists => {
                Ok(self.run(&mut Plain("HEAD", None, Kind::Other, Payload::None))?)
            }
            result => Ok(result?),
        }
    }

    /// DeleteBucket. S3 refuses it while there is an object left; not every
    /// server does, so we look.
    pub fn delete_bucket(&mut self) -> Result<()> {
        let first = self.next_page(&mut Pages::new(""))?;
        if first.is_some_and(|page| !page.is_empty()) {
            return Err(self.error(Exit::Exists, None, "the bucket is not empty"));
        }
        match self.run(&mut Plain("DELETE", None, Kind::Other, Payload::None)) {
            Err(f) if f.repeated && f.error.exit() == Exit::Missing => Ok(()),
            result => Ok(result?),
        }
    }
}
