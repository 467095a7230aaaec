//! Storing and reading single objects, named as S3's API reference has it.
//!
//! A success code alone proves nothing here. A PUT is proved by an answer that
//! only S3 gives, after all of the body was sent; a GET by what the caller makes
//! of the bytes, their hash or their text. Whatever else comes is a fault, and
//! which one decides how long it is waited out.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use md5::{Digest, Md5};
use sha2::Sha256;

use super::call::{Call, Failure, Known, Operation};
use super::client::Client;
use super::fault::{ErrorResponse, Fault, Sizes, backoff};
use super::headers::Kind;
use super::xml;
use crate::error::{Exit, Result};
use crate::net::{Answer, Payload};
use crate::os;
use crate::text::hex::{self, Hash};

/// How often something must be said before it is believed, where one answer
/// could be a mistake.
pub const READINGS: u32 = 3;

/// How every text begins that s3pipe stores, but for indexes.
const MARK: &[u8] = b"s3pipe-";

/// PutObject: store `body` under `key`.
pub struct Put<'a> {
    key: &'a str,
    kind: Kind,
    body: Payload<'a>,
    sha256: Hash,
    /// Store only if this holds.
    pub condition: Condition<'a>,
    /// All that the last answer lacked to be a proof was an ETag.
    pub lacked_etag: bool,
    no_etags: bool,
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
        let sha256 = Sha256::digest(body).into();
        Put::hashed(key, kind, Payload::Bytes(body), sha256)
    }

    /// Store what has this SHA-256, unconditionally.
    pub fn hashed(key: &'a str, kind: Kind, body: Payload<'a>, sha256: Hash) -> Put<'a> {
        Put {
            key,
            kind,
            body,
            sha256,
            condition: Condition::None,
            lacked_etag: false,
            no_etags: false,
        }
    }

    /// What is missing in this answer, of which the body was read, to prove that
    /// the object is stored; None if nothing is.
    fn doubt(&mut self, answer: &Answer, body: &[u8]) -> Option<String> {
        let sum = answer.header("x-amz-checksum-sha256");
        Some(match answer.status {
            _ if !answer.whole => "it came before the body was sent".into(),
            200 if !body.is_empty() => "it has a body".into(),
            200 if sum.is_some_and(|sum| sum.trim() != BASE64.encode(self.sha256)) => {
                "it names another checksum".into()
            }
            200 if !self.no_etags && answer.header("etag").is_none() => {
                self.lacked_etag = true;
                "it has no ETag".into()
            }
            200 => return None,
            status => format!("its status is {status}, not 200"),
        })
    }
}

impl Operation for Put<'_> {
    type Out = ();

    fn prepare(&mut self, known: &Known) {
        self.no_etags = known.no_etags;
        self.lacked_etag = false;
    }

    fn call(&self) -> Call<'_> {
        let header = match self.condition {
            Condition::None => None,
            Condition::Absent => Some(("if-none-match".to_string(), "*".to_string())),
            Condition::Unchanged(etag) => {
                // A weak one would never match (RFC 9110, 13.1.1).
                let etag = etag.strip_prefix("W/").unwrap_or(etag);
                Some(("if-match".to_string(), etag.to_string()))
            }
        };
        Call {
            body: self.body,
            sha256: Some(self.sha256),
            headers: header.into_iter().collect(),
            ..Call::new("PUT", Some(self.key), self.kind)
        }
    }

    fn take(&mut self, mut answer: Answer) -> std::result::Result<(), Fault> {
        let body = answer.read_bounded(xml::ERROR_LIMIT);
        let body = body.map_err(Fault::broken)?;
        refused_after_all(&body)?;
        match self.doubt(&answer, &body) {
            None => Ok(()),
            Some(doubt) => {
                let why = format!("the answer does not prove that it was stored: {doubt}");
                Err(Fault::foreign(Exit::Unavailable, why))
            }
        }
    }
}

/// GetObject of a small object, and what it is read as.
pub struct Get<'a, T> {
    key: &'a str,
    kind: Kind,
    limit: usize,
    read: Box<Reading<'a, T>>,
    /// A body that did not match its ETag.
    doubtful: Option<Vec<u8>>,
}

/// Makes something of a body of this length, or says what is wrong. The length is
/// None where there is more than was read, and nobody says how much.
type Reading<'a, T> = dyn Fn(&[u8], Option<u64>) -> std::result::Result<T, Fault> + 'a;

/// A small object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Got<T> {
    /// What it was read as.
    pub value: T,
    /// Its ETag, if the server gave one.
    pub etag: Option<String>,
}

impl<'a, T> Get<'a, T> {
    /// A text of s3pipe's of at most `limit` bytes, as `parse` reads it. Where
    /// that says why it cannot, an object that begins as such a text does is
    /// evidence that it is stored so (65); all else is none of the store's.
    pub fn text(
        key: &'a str,
        kind: Kind,
        limit: usize,
        what: &'static str,
        parse: impl Fn(&[u8]) -> std::result::Result<T, String> + 'a,
    ) -> Get<'a, T> {
        let read = move |body: &[u8], length| {
            parse(body).map_err(|why| {
                let why = format!("bad {what}: {why}");
                let (exit, came) = (Exit::Data, length);
                if body.starts_with(MARK) {
                    Fault::wrong(exit, why, Sizes { came, want: None })
                } else {
                    Fault::Foreign { why, exit, came }
                }
            })
        };
        Get::new(key, kind, limit, read)
    }

    fn new(
        key: &'a str,
        kind: Kind,
        limit: usize,
        read: impl Fn(&[u8], Option<u64>) -> std::result::Result<T, Fault> + 'a,
    ) -> Get<'a, T> {
        Get {
            key,
            kind,
            limit,
            read: Box::new(read),
            doubtful: None,
        }
    }
}

impl<'a> Get<'a, Vec<u8>> {
    /// The object of this length with this SHA-256, and nothing else.
    pub fn hashed(key: &'a str, kind: Kind, length: usize, sha256: Hash) -> Get<'a, Vec<u8>> {
        Get::new(key, kind, length, move |body, came| {
            let found: Hash = Sha256::digest(body).into();
            let want = Some(length as u64);
            let why = if came != want {
                format!("not {length} bytes long")
            } else if found != sha256 {
                "the data is not what was stored: wrong SHA-256".into()
            } else {
                return Ok(body.to_vec());
            };
            Err(Fault::wrong(Exit::Data, why, Sizes { came, want }))
        })
    }
}

impl<T> Operation for Get<'_, T> {
    type Out = Got<T>;

    fn call(&self) -> Call<'_> {
        Call::new("GET", Some(self.key), self.kind)
    }

    fn take(&mut self, mut answer: Answer) -> std::result::Result<Got<T>, Fault> {
        let etag = answer.header("etag").map(str::to_string);
        let announced = answer.length();
        // An error that comes with a success may be longer than the object.
        let most = self.limit.max(xml::ERROR_LIMIT);
        let body = answer.read_bounded(most).map_err(Fault::broken)?;
        let length = Some(body.len() as u64).filter(|_| body.len() <= self.limit);
        if length.is_some() && announced.is_some() && announced != length {
            return Err(Fault::broken("the answer broke off"));
        }
        refused_after_all(&body)?;
        let value = (self.read)(&body, announced.or(length))?;
        // An ETag is often the MD5 of the object, and often is not: a text
        // that differs from it is right if it comes a second time.
        let damaged = etag
            .as_deref()
            .is_some_and(|etag| is_other_md5(etag, &body));
        if damaged && self.doubtful.as_ref() != Some(&body) {
            self.doubtful = Some(body);
            return Err(Fault::broken("the data does not match its ETag"));
        }
        Ok(Got { value, etag })
    }
}

fn is_other_md5(etag: &str, body: &[u8]) -> bool {
    let etag = etag.trim_matches('"');
    hex::decode(etag).is_some_and(|md5| md5.len() == 16 && md5 != Md5::digest(body)[..])
}

/// HeadObject: what there is under a key, without its contents.
pub struct HeadObject<'a> {
    key: &'a str,
    kind: Kind,
}

/// What HEAD says of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectHead {
    /// Its length in bytes, if the answer says so.
    pub length: Option<u64>,
    /// Its ETag, if it has one.
    pub etag: Option<String>,
}

impl<'a> HeadObject<'a> {
    /// At the object `key`.
    pub fn at(key: &'a str, kind: Kind) -> HeadObject<'a> {
        HeadObject { key, kind }
    }
}

impl Operation for HeadObject<'_> {
    type Out = ObjectHead;

    fn call(&self) -> Call<'_> {
        Call::new("HEAD", Some(self.key), self.kind)
    }

    fn take(&mut self, answer: Answer) -> std::result::Result<ObjectHead, Fault> {
        if answer.status != 200 {
            return Err(Fault::foreign(Exit::Unavailable, answer.status));
        }
        Ok(ObjectHead {
            length: answer.length(),
            etag: answer.header("etag").map(str::to_string),
        })
    }
}

impl Client {
    /// PutObject, unconditionally.
    pub fn put(&mut self, key: &str, kind: Kind, body: &[u8]) -> std::result::Result<(), Failure> {
        self.run(&mut Put::new(key, kind, body))
    }

    /// Carry out a GET of what must be there. That it is missing is believed the
    /// third time: a server can be mistaken for a moment.
    pub fn find<O: Operation>(&mut self, get: &mut O) -> std::result::Result<O::Out, Failure> {
        let mut reading = 1;
        loop {
            match self.run(get) {
                Err(f) if f.no_such_key() && reading < READINGS => {
                    self.progress().wait(backoff(reading, os::chance(), None));
                    reading += 1;
                }
                result => return result,
            }
        }
    }

    /// A small object, as `get` reads it, and its ETag; None if there is none.
    pub fn get<T>(&mut self, mut get: Get<T>) -> Result<Option<Got<T>>> {
        match self.run(&mut get) {
            Ok(got) => Ok(Some(got)),
            Err(f) if f.no_such_key() => Ok(None),
            Err(f) => Err(f.error),
        }
    }
}

/// Some servers put an error into a success.
pub fn refused_after_all(body: &[u8]) -> std::result::Result<(), Fault> {
    let status = 200;
    match xml::error(body) {
        None => Ok(()),
        Some(error) => Err(Fault::Refused(Box::new(ErrorResponse { status, ..error }))),
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
    let small = body.len() <= xml::LISTING_LIMIT;
    let parsed = if small { parse(&body) } else { None };
    parsed.ok_or_else(|| {
        let why = format!("the server sent what is not {what}");
        Fault::foreign(Exit::Unavailable, why)
    })
}
