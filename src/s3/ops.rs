//! The S3 operations that s3pipe needs, named as S3's API reference has them.

use md5::{Digest, Md5};

use super::call::{Call, Failure, Operation};
use super::client::Client;
use super::fault::{Fault, Refusal};
use super::headers::Kind;
use super::xml::{self, Object};
use crate::error::{Exit, Result};
use crate::http::{Answer, Payload};
use crate::key::Sha256;
use crate::uri;

/// How many keys one DeleteObjects may name.
const DELETE_BATCH: usize = 1000;

/// How often a prefix is listed until nothing is found below it.
const PASSES: u32 = 5;

/// PutObject: store `body` under `key`.
pub struct Put<'a> {
    /// The object's key.
    pub key: &'a str,
    /// What it is.
    pub kind: Kind,
    /// Its contents.
    pub body: Payload<'a>,
    /// Their SHA-256, if known.
    pub sha256: Option<Sha256>,
    /// Store only if this holds.
    pub condition: Condition<'a>,
}

/// When a PutObject may take effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition<'a> {
    /// Always.
    None,
    /// Where there is no such object yet.
    Absent,
    /// Where the object still has this ETag.
    Unchanged(&'a str),
}

impl<'a> Put<'a> {
    /// Store these bytes, unconditionally.
    pub fn new(key: &'a str, kind: Kind, body: &'a [u8]) -> Put<'a> {
        Put {
            key,
            kind,
            body: Payload::Bytes(body),
            sha256: None,
            condition: Condition::None,
        }
    }
}

impl Operation for Put<'_> {
    type Out = ();

    fn call(&self) -> Call<'_> {
        let header = match self.condition {
            Condition::None => None,
            Condition::Absent => Some(("if-none-match".to_string(), "*".to_string())),
            Condition::Unchanged(etag) => Some(("if-match".to_string(), etag.to_string())),
        };
        Call {
            body: self.body,
            sha256: self.sha256,
            headers: header.into_iter().collect(),
            ..Call::new("PUT", Some(self.key), self.kind)
        }
    }

    fn take(&mut self, answer: Answer) -> std::result::Result<(), Fault> {
        finish(answer)
    }
}

/// GetObject of a small object.
pub struct Get<'a> {
    key: &'a str,
    kind: Kind,
    limit: usize,
    /// A body that did not match its ETag.
    doubtful: Option<Vec<u8>>,
}

impl<'a> Get<'a> {
    /// The object `key`, of at most `limit` bytes (65 beyond that).
    pub fn new(key: &'a str, kind: Kind, limit: usize) -> Get<'a> {
        Get {
            key,
            kind,
            limit,
            doubtful: None,
        }
    }
}

/// A small object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Small {
    /// Its contents.
    pub body: Vec<u8>,
    /// Its ETag, if the server gave one.
    pub etag: Option<String>,
}

impl Operation for Get<'_> {
    type Out = Small;

    fn call(&self) -> Call<'_> {
        Call::new("GET", Some(self.key), self.kind)
    }

    fn take(&mut self, mut answer: Answer) -> std::result::Result<Small, Fault> {
        let etag = answer.header("etag").map(str::to_string);
        let announced = answer.length();
        let body = answer.read_bounded(self.limit).map_err(Fault::broken)?;
        if body.len() > self.limit {
            let why = format!("larger than {} bytes", self.limit);
            return Err(Fault::wrong(Exit::Data, why));
        }
        if announced.is_some_and(|n| n != body.len() as u64) {
            return Err(Fault::broken("the answer broke off"));
        }
        refused_after_all(&body)?;
        // An ETag is often the MD5 of the object, and often is not: a body
        // that differs from it is right if it comes a second time.
        let damaged = etag
            .as_deref()
            .is_some_and(|etag| is_other_md5(etag, &body));
        if damaged && self.doubtful.as_ref() != Some(&body) {
            self.doubtful = Some(body);
            return Err(Fault::wrong(Exit::Data, "the data does not match its ETag"));
        }
        Ok(Small { body, etag })
    }
}

fn is_other_md5(etag: &str, body: &[u8]) -> bool {
    let etag = etag.trim_matches('"');
    uri::unhex(etag).is_some_and(|md5| md5.len() == 16 && md5 != Md5::digest(body)[..])
}

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

/// ListObjectsV2, one page.
struct List<'a> {
    prefix: &'a str,
    token: Option<&'a str>,
    after: Option<&'a str>,
}

impl Operation for List<'_> {
    type Out = xml::Page;

    fn call(&self) -> Call<'_> {
        let mut call = Call::new("GET", None, Kind::Other);
        call.query = vec![
            ("list-type", "2"),
            ("prefix", self.prefix),
            ("encoding-type", "url"),
        ];
        call.query
            .extend(self.token.map(|t| ("continuation-token", t)));
        call.query.extend(self.after.map(|a| ("start-after", a)));
        call
    }

    fn take(&mut self, answer: Answer) -> std::result::Result<xml::Page, Fault> {
        read_xml(answer, |body| xml::page(body, self.prefix), "a listing")
    }
}

/// A listing under way.
pub struct Pages {
    prefix: String,
    token: Option<String>,
    last: Option<String>,
    done: bool,
}

impl Pages {
    /// All objects whose keys begin with `prefix`.
    pub fn new(prefix: &str) -> Pages {
        Pages {
            prefix: prefix.to_string(),
            token: None,
            last: None,
            done: false,
        }
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
    /// PutObject, unconditionally.
    pub fn put(&mut self, key: &str, kind: Kind, body: &[u8]) -> std::result::Result<(), Failure> {
        self.run(&mut Put::new(key, kind, body))
    }

    /// GetObject of a small object; None if there is none.
    pub fn get(&mut self, key: &str, kind: Kind, limit: usize) -> Result<Option<Small>> {
        match self.run(&mut Get::new(key, kind, limit)) {
            Ok(small) => Ok(Some(small)),
            Err(f) if f.no_such_key() => Ok(None),
            Err(f) => Err(f.error),
        }
    }

    /// DeleteObject. An object that is not there is no error.
    pub fn delete(&mut self, key: &str, kind: Kind) -> Result<()> {
        match self.run(&mut Plain("DELETE", Some(key), kind, Payload::None)) {
            Err(f) if f.no_such_key() => Ok(()),
            result => Ok(result?),
        }
    }

    /// Show every object whose key begins with `prefix` to `each`, in the
    /// server's order, with one request per page.
    pub fn list(&mut self, prefix: &str, mut each: impl FnMut(Object) -> Result<()>) -> Result<()> {
        let mut pages = Pages::new(prefix);
        while let Some(page) = self.next_page(&mut pages)? {
            page.into_iter().try_for_each(&mut each)?;
        }
        Ok(())
    }

    /// The next page of a listing; None after the last. A server that does not
    /// advance, or lists what was not asked for, is not believed (69).
    pub fn next_page(&mut self, pages: &mut Pages) -> Result<Option<Vec<Object>>> {
        if pages.done {
            return Ok(None);
        }
        let page = self.run(&mut List {
            prefix: &pages.prefix,
            token: pages.token.as_deref(),
            // Where the server says that there is more, but not where.
            after: pages.last.as_deref().filter(|_| pages.token.is_none()),
        })?;
        let doubt = |why| Err(self.error(Exit::Unavailable, Some(&pages.prefix), why));
        if page
            .objects
            .iter()
            .any(|o| !o.key.starts_with(&pages.prefix))
        {
            return doubt("the server lists keys that were not asked for");
        }
        let last = page.objects.last().map(|o| o.key.clone());
        if page.truncated && (last.is_none() || last <= pages.last) {
            return doubt("the server's listing does not advance");
        }
        pages.done = !page.truncated;
        pages.token = page.token;
        pages.last = last;
        Ok(Some(page.objects))
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

/// Some servers put an error into a success.
fn refused_after_all(body: &[u8]) -> std::result::Result<(), Fault> {
    let status = 200;
    match xml::error(body) {
        None => Ok(()),
        Some(error) => Err(Fault::Refused(Box::new(Refusal { status, ..error }))),
    }
}

/// Read an answer to its end, which has nothing else to say.
fn finish(mut answer: Answer) -> std::result::Result<(), Fault> {
    let body = answer.read_bounded(xml::ERROR_LIMIT);
    refused_after_all(&body.map_err(Fault::broken)?)
}

/// The error in an answer that is not what was asked for, if it is one.
pub fn error_within(answer: &mut Answer) -> Option<Fault> {
    let short = answer
        .length()
        .is_some_and(|n| n <= xml::ERROR_LIMIT as u64);
    let body = answer
        .read_bounded(xml::ERROR_LIMIT)
        .ok()
        .filter(|_| short)?;
    refused_after_all(&body).err()
}

fn read_xml<T>(
    mut answer: Answer,
    parse: impl Fn(&[u8]) -> Option<T>,
    what: &str,
) -> std::result::Result<T, Fault> {
    let body = answer
        .read_bounded(xml::LISTING_LIMIT)
        .map_err(Fault::broken)?;
    refused_after_all(&body)?;
    let wrong = || {
        Fault::wrong(
            Exit::Unavailable,
            format!("the server sent what is not {what}"),
        )
    };
    match body.len() <= xml::LISTING_LIMIT {
        true => parse(&body).ok_or_else(wrong),
        false => Err(wrong()),
    }
}
