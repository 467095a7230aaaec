//! Whether an object is there that must be: what a listing cannot tell.
//!
//! Its first byte is asked for, and its length seen by the way. Not HEAD, whose
//! 404 has no body that says whose it is.

use super::call::{Call, Operation};
use super::client::Client;
use super::fault::{Fault, Sizes};
use super::headers::Kind;
use super::ops::error_within;
use crate::error::{Exit, Result};
use crate::http::Answer;

/// What has become of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It is there, as long as it must be, as far as the service says.
    Whole,
    /// It is there, and has another length.
    OtherLength,
    /// It is not there.
    Missing,
}

/// GetObject of the first byte of an object that must be so long, if that is known.
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
        let fault = match (length, self.2) {
            (Some(came), Some(want)) if came != want => {
                let why = format!("{came} bytes long, not {want}");
                let (came, want) = (Some(came), Some(want));
                Fault::wrong(Exit::Data, why, Sizes { came, want })
            }
            (Some(_), _) => return Ok(()),
            (None, _) => {
                let why = "the answer does not say how long the object is";
                Fault::foreign(Exit::Unavailable, why)
            }
        };
        Err(error_within(&mut answer).unwrap_or(fault))
    }
}

/// The length of the whole, in `bytes 0-0/10`.
fn total(range: &str) -> Option<u64> {
    range.rsplit_once('/')?.1.trim().parse().ok()
}

impl Client {
    /// Look whether this object is there, and so long, if that is known. It is not
    /// read.
    pub fn see(&mut self, key: &str, kind: Kind, length: Option<u64>) -> Result<Presence> {
        match self.run(&mut FirstByte(key, kind, length)) {
            Ok(()) => Ok(Presence::Whole),
            Err(f) if f.no_such_key() => Ok(Presence::Missing),
            Err(f) if f.is_archived() => Ok(Presence::Whole),
            // What has no first byte is empty, and no block is.
            Err(f) if f.status() == Some(416) => Ok(Presence::OtherLength),
            Err(f) if f.error.exit() == Exit::Data => Ok(Presence::OtherLength),
            Err(f) => Err(f.error),
        }
    }
}
