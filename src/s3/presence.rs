//! Whether an object is there that must be: what a listing cannot tell.
//!
//! HEAD says how long it is. But a 404 without a body does not say whose it is, so
//! that after one the first byte is asked for: only S3's own word counts for an
//! object that is not there.

use super::call::{Call, Operation};
use super::client::Client;
use super::fault::{Fault, Sizes};
use super::headers::Kind;
use super::ops::error_within;
use crate::error::{Exit, Result};
use crate::net::Answer;

/// What has become of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It is there, as long as it must be.
    Whole,
    /// It is there, and has another length.
    OtherLength,
    /// It is not there.
    Missing,
}

/// HeadObject of an object that must be so long, if that is known.
struct HeadOfLength<'a>(&'a str, Kind, Option<u64>);

impl Operation for HeadOfLength<'_> {
    type Out = ();

    fn call(&self) -> Call<'_> {
        Call::new("HEAD", Some(self.0), self.1)
    }

    fn take(&mut self, answer: Answer) -> std::result::Result<(), Fault> {
        match (answer.status, answer.length(), self.2) {
            (200, Some(came), Some(want)) if came != want => {
                let why = format!("{came} bytes long, not {want}");
                let (came, want) = (Some(came), Some(want));
                Err(Fault::wrong(Exit::Data, why, Sizes { came, want }))
            }
            (200, Some(_), _) => Ok(()),
            (status, ..) => Err(nonsense(status)),
        }
    }
}

/// GetObject of its first byte.
struct FirstByte<'a>(&'a str, Kind, Option<u64>);

impl Operation for FirstByte<'_> {
    type Out = ();

    fn call(&self) -> Call<'_> {
        let mut call = Call::new("GET", Some(self.0), self.1);
        call.headers.push(("range".into(), "bytes=0-0".into()));
        call
    }

    fn take(&mut self, mut answer: Answer) -> std::result::Result<(), Fault> {
        let length = match answer.header("content-range") {
            Some(range) => total(range),
            None if answer.status == 200 => answer.length(),
            None => None,
        };
        let fits = length.is_some_and(|length| self.2.is_none_or(|want| want == length));
        let status = answer.status;
        if fits && (status == 206 || self.2.is_some()) {
            return Ok(());
        }
        match error_within(&mut answer) {
            Some(error) => Err(Fault::foreign(Exit::Unavailable, error.why())),
            None if fits => Ok(()),
            None => Err(nonsense(status)),
        }
    }
}

fn nonsense(status: u16) -> Fault {
    let why = format!("{status}, and not an answer that says whether it is there");
    Fault::foreign(Exit::Unavailable, why)
}

/// The length of the whole, in `bytes 0-0/10`.
fn total(range: &str) -> Option<u64> {
    range.rsplit_once('/')?.1.trim().parse().ok()
}

impl Client {
    /// HeadOfLength whether this object is there, and so long, if that is known. It is not
    /// read.
    pub fn see(&mut self, key: &str, kind: Kind, length: Option<u64>) -> Result<Presence> {
        match self.run(&mut HeadOfLength(key, kind, length)) {
            Ok(()) => return Ok(Presence::Whole),
            Err(f) if f.no_such_key() => {}
            // Not what every service knows.
            Err(f) if matches!(f.status(), Some(405 | 501)) => {}
            Err(f) if f.error.exit() == Exit::Data => return Ok(Presence::OtherLength),
            Err(f) => return Err(f.error),
        }
        match self.run(&mut FirstByte(key, kind, length)) {
            Err(f) if f.no_such_key() => Ok(Presence::Missing),
            Err(f) if f.is_archived() => Ok(Presence::Whole),
            result => Ok(result.map(|()| Presence::Whole)?),
        }
    }
}
