//! The S3 client: signed requests that are tried until they succeed.
//!
//! `client` tries, and tries again, by `attempt`; `ops`, `listing`, `presence` and
//! `deletion` know the operations, `call` is what they agree on, `error_response` reads
//! what a server says of an error; `endpoint`, `fault`, `headers`, `retry` and
//! `xml` are pure.
//! Nothing here knows what a stream is.

mod attempt;
mod call;
mod client;
mod deletion;
mod endpoint;
mod error_response;
mod fault;
mod headers;
mod listing;
mod ops;
mod presence;
mod refresh;
mod retry;
mod settings;
pub(crate) mod xml;

pub use call::{Call, Failure, Halt, Known, Operation};
pub use client::Client;
pub use endpoint::{Addressing, check_bucket};
pub use fault::{ErrorResponse, Fault, Sizes, backoff};
pub use headers::{Headers, Kind};
pub use listing::Pages;
pub use ops::{
    Condition, Get, Got, HeadObject, ObjectHead, Put, READINGS, error_within, refused_after_all,
};
pub use presence::Presence;
pub use retry::{Limits, Trial};
pub use settings::Settings;
pub use xml::{Object, is_region};
