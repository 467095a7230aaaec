//! What a client is made of, as plain data: whoever has it can make another
//! client of the same bucket, in another process, too.

use super::call::Known;
use super::endpoint::Addressing;
use super::headers::Headers;
use super::retry::Limits;
use crate::sign::{Credentials, Version};

/// Settings, resolved: where each came from is settled. Some of it is secret (the
/// access key, a customer's keys among the headers).
#[derive(Clone, PartialEq, Eq)]
pub struct Settings {
    /// The service's URL; None is Amazon's.
    pub endpoint: Option<String>,
    /// How the bucket is named in a URL.
    pub addressing: Addressing,
    /// What requests are signed for.
    pub region: String,
    /// The bucket.
    pub bucket: String,
    /// How to sign.
    pub signature: Version,
    /// The access key.
    pub credentials: Credentials,
    /// Whether there may be others when these have expired.
    pub renewable: bool,
    /// The user's own headers.
    pub headers: Headers,
    /// How long and how often a request may fail.
    pub limits: Limits,
    /// PEM bundle to trust instead of the system's.
    pub ca_file: Option<String>,
    /// What was found out about the service.
    pub known: Known,
}
