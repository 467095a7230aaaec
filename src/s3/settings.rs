//! What a client is made of, as plain data: whoever has it can make another
//! client of the same bucket, in another process, too.

use std::sync::Arc;

use super::call::Known;
use super::client::{Client, Reload};
use super::endpoint::{Addressing, Endpoint};
use super::headers::Headers;
use super::retry::Limits;
use crate::error::Result;
use crate::net::{self, Http};
use crate::progress::Progress;
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

impl Settings {
    /// A client with these settings, which begins its messages with `command`.
    /// `reload` gets the credentials anew. Nothing is sent. 78 if a setting
    /// cannot be used.
    pub fn client(self, command: &str, reload: Reload, progress: Arc<Progress>) -> Result<Client> {
        let endpoint = Endpoint::new(self.endpoint.as_deref(), self.addressing)?;
        let http = Http::new(net::Setup {
            tls: endpoint.tls(),
            ca_file: self.ca_file.as_deref(),
            timeout: self.limits.timeout,
            flow: progress.clone(),
        })?;
        let reload = self.renewable.then_some(reload);
        Ok(Client::new(command, self, endpoint, http, reload, progress))
    }
}
