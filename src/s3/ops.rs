//! The S3 operations that s3pipe needs, named as S3's API reference has them.

use md5::{Digest, Md5};

use super::call::{Call, Failure, Operation};
use super::client::Client;
use super::fault::{Fault, Refusal};
use super::headers::Kind;
use super::xml;
use crate::error::{Exit, Result};
use crate::http::{Answer, Payload};
use crate::key::Sha256;
use crate::uri;

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
pub(super) fn finish(mut answer: Answer) -> std::result::Result<(), Fault> {
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

/// Read an answer that must be XML, and `what` it is to be.
pub(super) fn read_xml<T>(
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
