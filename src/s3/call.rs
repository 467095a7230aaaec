//! A request, as the operations see it: what to send, what to do with the
//! answer, and why it was given up.

use super::fault::{ErrorResponse, Fault};
use super::headers::Kind;
use crate::error::Error;
use crate::net::{Answer, Payload};
use crate::text::hex::Hash;

/// A request before it is signed.
pub struct Call<'a> {
    /// `GET`, `PUT`, `POST`, `HEAD`, `DELETE`.
    pub method: &'static str,
    /// The object, or the bucket itself.
    pub key: Option<&'a str>,
    /// What it is about.
    pub kind: Kind,
    /// Query parameters, not encoded.
    pub query: Vec<(&'a str, &'a str)>,
    /// Further headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Payload<'a>,
    /// The body's SHA-256, if it is known already.
    pub sha256: Option<Hash>,
    /// A Content-MD5 is needed in any case.
    pub md5: bool,
    /// The answer is a block.
    pub large: bool,
}

impl<'a> Call<'a> {
    /// A request without headers, query or body.
    pub fn new(method: &'static str, key: Option<&'a str>, kind: Kind) -> Call<'a> {
        Call {
            method,
            key,
            kind,
            query: Vec::new(),
            headers: Vec::new(),
            body: Payload::None,
            sha256: None,
            md5: false,
            large: false,
        }
    }
}

/// A request that can be made again, and what to do with its answer.
pub trait Operation {
    /// What it comes to.
    type Out;

    /// The next attempt's request.
    fn call(&self) -> Call<'_>;

    /// Read the answer to a request that the server says it carried out.
    fn take(&mut self, answer: Answer) -> std::result::Result<Self::Out, Fault>;

    /// Before each attempt: what is known of the service by now.
    fn prepare(&mut self, _known: &Known) {}

    /// The server refused an attempt.
    fn refused(&mut self, _refusal: &ErrorResponse) {}
}

/// What a run has found out about its service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// The service's clock less the local one, in seconds.
    pub skew: i64,
    /// It wants a Content-MD5 with every body.
    pub md5: bool,
    /// An object had an ETag.
    pub etags: bool,
    /// It gives no object an ETag, so that a PUT is proved without one.
    pub no_etags: bool,
    /// It compares the ETag in If-Match with what stands between the quotes of
    /// its own, as Ceph's gateway does.
    pub bare_etags: bool,
}

/// Why a request was given up.
#[derive(Debug)]
pub struct Failure {
    /// The server's last word, if it was an error that is final.
    pub refusal: Option<Box<ErrorResponse>>,
    /// Whether an earlier attempt may have been carried out unseen.
    pub repeated: bool,
    /// It would have been tried again if something had been underway.
    pub early: bool,
    /// The length, in bytes, of what came in place of the object, if something
    /// did.
    pub came: Option<u64>,
    /// For the user.
    pub error: Error,
}

/// Why one attempt came to nothing.
#[derive(Debug)]
pub enum Halt {
    /// Another one may succeed.
    Passing(Fault),
    /// No other one would.
    Final(Box<Failure>),
}

impl From<Failure> for Halt {
    fn from(failure: Failure) -> Halt {
        Halt::Final(Box::new(failure))
    }
}

impl Failure {
    /// The status of the server's last word.
    pub fn status(&self) -> Option<u16> {
        self.refusal.as_ref().map(|refusal| refusal.status)
    }

    /// Whether the server said that there is no such object.
    pub fn no_such_key(&self) -> bool {
        self.refusal.as_ref().is_some_and(|r| r.no_such_key())
    }

    /// Whether the server said that this key may not do that, and no other 403.
    pub fn is_denied(&self) -> bool {
        let refusal = self.refusal.as_ref();
        refusal.is_some_and(|r| r.status == 403 && r.code == "AccessDenied")
    }

    /// Whether the object is in an archive: it is there, and cannot be read now.
    pub fn is_archived(&self) -> bool {
        let refusal = self.refusal.as_ref();
        refusal.is_some_and(|r| r.code == "InvalidObjectState")
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        failure.error
    }
}
