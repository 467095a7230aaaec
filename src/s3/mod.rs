//! The S3 client: signed requests that are tried until they succeed.
//!
//! `client` sends and retries, `ops` knows the operations; `endpoint`,
//! `fault`, `headers` and `xml` are pure. Nothing here knows what a stream is.

mod client;
mod endpoint;
mod fault;
mod headers;
mod ops;
mod xml;

pub use client::{Call, Client, Failure, Operation, Setup};
pub use endpoint::{Addressing, Endpoint, check_bucket};
pub use fault::{Fault, Refusal, backoff};
pub use headers::{Headers, Kind};
pub use ops::{Condition, Get, Pages, Put, error_within};
pub use xml::{Object, is_region};
