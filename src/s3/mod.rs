//! The S3 client: signed requests that are tried until they succeed.
//!
//! `client` sends and retries, `ops` knows the operations, `call` is what the
//! two agree on, `refusal` reads what a server says of an error; `endpoint`,
//! `fault`, `headers`, `trial` and `xml` are pure.
//! Nothing here knows what a stream is.

mod call;
mod client;
mod endpoint;
mod fault;
mod headers;
mod ops;
mod refusal;
mod trial;
pub(crate) mod xml;

pub use call::{Call, Failure, Operation};
pub use client::{Client, Reload, Setup};
pub use endpoint::{Addressing, Endpoint, check_bucket};
pub use fault::{Fault, Refusal, backoff};
pub use headers::{Headers, Kind};
pub use ops::{Condition, Get, Pages, Put, error_within};
pub use xml::{Object, is_region};
