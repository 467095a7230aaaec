//! One signed request at a time, tried again until it succeeds, cannot, or
//! patience runs out.
//!
//! Each attempt signs anew. What can be mended (region, clock, credentials,
//! checksum) is mended and stays so for the rest of the run. It never repeats
//! a request without a delay unless it changed something first.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::call::{Call, Failure, Halt, Known, Operation};
use super::endpoint::Endpoint;
use super::fault::{Fault, Verdict, judge};
use super::headers::Kind;
use super::refresh::{refresh_at, retry_at};
use super::retry::{FIRST_PATIENCE, Limits, Trial};
use super::settings::Settings;
use crate::error::{Error, Exit, Result};
use crate::net::{self, Http};
use crate::os;
use crate::progress::Progress;
use crate::sign::Credentials;
use crate::text::time::Utc;

/// Gets the credentials anew, and when they expire, if that is known.
pub type Reload = Box<dyn Fn() -> Result<(Credentials, Option<Utc>)>>;

/// The client.
pub struct Client {
    /// The command, for messages.
    command: String,
    /// What it is made of, and what it has found out since.
    pub(super) settings: Settings,
    pub(super) endpoint: Endpoint,
    pub(super) http: Http,
    /// Reads the credentials again; None if they cannot have changed.
    reload: Option<Reload>,
    pub(super) progress: Arc<Progress>,
    /// The last object that turned out to be stored other than it must be. For
    /// the next ones, three readings are enough.
    damaged: Option<String>,
    /// Manifests may not be read: that is no passing trouble.
    blind: bool,
    /// The time that the service gave with its last answer.
    pub(super) clock: Option<Utc>,
    /// Whether the service has answered anything yet.
    pub(super) answered: bool,
    underway: bool,
    /// When the credentials expire, and when to ask for others.
    expiry: Option<(Utc, Utc)>,
}

impl Client {
    /// A client with these settings, which begins its messages with `command`.
    /// `reload` gets the credentials anew. Nothing is sent. 78 if a setting cannot
    /// be used.
    pub fn new(
        command: &str,
        settings: Settings,
        reload: Reload,
        progress: Arc<Progress>,
    ) -> Result<Client> {
        let endpoint = Endpoint::new(settings.endpoint.as_deref(), settings.addressing)?;
        let http = Http::new(net::Setup {
            tls: endpoint.tls(),
            ca_file: settings.ca_file.as_deref(),
            timeout: settings.limits.timeout,
            flow: progress.clone(),
        })?;
        Ok(Client {
            command: command.to_string(),
            endpoint,
            http,
            reload: settings.renewable.then_some(reload),
            settings,
            progress,
            damaged: None,
            blind: false,
            clock: None,
            answered: false,
            underway: false,
            expiry: None,
        })
    }

    /// What it is made of, with the region, the access key and what else it has
    /// found out since: other processes of this run begin with it.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The command that messages begin with.
    pub fn command(&self) -> &str {
        &self.command
    }

    /// The bucket's name.
    pub fn bucket(&self) -> &str {
        &self.settings.bucket
    }

    /// Whether it speaks to Amazon's own service.
    pub fn is_amazon(&self) -> bool {
        self.endpoint.is_amazon()
    }

    /// Where messages go.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// What was found out about the service.
    pub fn known(&self) -> Known {
        self.settings.known
    }

    /// The service was seen to give an object no ETag: from now on a PUT is
    /// proved without one. False if another object had one in this run.
    pub fn expect_no_etags(&mut self) -> bool {
        self.settings.known.no_etags = !self.settings.known.etags;
        self.settings.known.no_etags
    }

    /// Give ETags without their quotes in conditions from now on, or with them
    /// again.
    pub fn toggle_etag_quotes(&mut self) {
        self.settings.known.bare_etags = !self.settings.known.bare_etags;
    }

    /// Another client has had an answer: the service exists.
    pub fn set_answered(&mut self) {
        self.answered = true;
    }

    /// Sign with these from now on.
    pub fn set_credentials(&mut self, credentials: Credentials) {
        self.settings.credentials = credentials;
    }

    /// The access key that requests are signed with.
    pub fn credentials(&self) -> &Credentials {
        &self.settings.credentials
    }

    /// Whether giving up would lose something.
    pub fn is_underway(&self) -> bool {
        self.underway
    }

    /// The time that requests are signed with: the server's, if ours is off.
    pub fn now(&self) -> Utc {
        Utc(Utc::from_system(SystemTime::now()).0 + self.settings.known.skew)
    }

    /// The time that the service gave with its last answer, if it gave one.
    pub fn last_date(&self) -> Option<Utc> {
        self.clock
    }

    /// How long what the service shows is looked at again, where it is not what
    /// it said itself, before that is believed.
    pub fn evidence_time(&self) -> Duration {
        let patience = self.settings.limits.patience.unwrap_or(FIRST_PATIENCE);
        patience.min(FIRST_PATIENCE)
    }

    /// From here on something would be lost by giving up: errors that somebody
    /// may repair (permissions, keys) are waited out too.
    pub fn set_underway(&mut self, underway: bool) {
        self.underway = underway;
    }

    /// Whether a manifest was not to be read from the beginning (403), so that
    /// waiting for it leads nowhere.
    pub fn may_not_read(&mut self, blind: bool) {
        self.blind = blind;
    }

    /// From here on nothing is at stake that would be worth a long wait.
    pub fn be_brief(&mut self) {
        self.underway = false;
        let limit = self.settings.limits.patience.unwrap_or(FIRST_PATIENCE);
        self.settings.limits.patience = Some(limit.min(FIRST_PATIENCE));
    }

    /// An error about an object of this bucket.
    pub fn error(&self, exit: Exit, key: Option<&str>, why: impl std::fmt::Display) -> Error {
        Error::new(exit, self.what(key), why)
    }

    fn what(&self, key: Option<&str>) -> String {
        format!("{}: {}", self.command, self.object(key))
    }

    pub(super) fn object(&self, key: Option<&str>) -> String {
        match key {
            Some(key) => format!("{}/{key}", self.settings.bucket),
            None => self.settings.bucket.clone(),
        }
    }

    /// Carry out an operation, trying again until it succeeds, cannot, or patience
    /// runs out.
    pub fn run<O: Operation>(&mut self, op: &mut O) -> std::result::Result<O::Out, Failure> {
        let mut trial = Trial::default();
        loop {
            match self.step(op, &mut trial) {
                Err(Halt::Passing(fault)) => {
                    let key = op.call().key.map(str::to_string);
                    self.pause(&mut trial, &fault, key.as_deref())?;
                }
                Err(Halt::Final(failure)) => return Err(*failure),
                Ok(out) => return Ok(out),
            }
        }
    }

    /// One attempt at an operation, for whoever must look at something before the
    /// next: after a [`Halt::Passing`], [`pause`](Self::pause) comes before that.
    /// What can be mended at once does not count as an attempt: it follows a word
    /// of the service's that nothing was carried out.
    pub fn step<O: Operation>(
        &mut self,
        op: &mut O,
        trial: &mut Trial,
    ) -> std::result::Result<O::Out, Halt> {
        if trial.has_failed() {
            // Requests may have come in between, over a connection as bad.
            self.http.drop_connections();
        }
        loop {
            self.progress.wait_turn();
            self.refresh_credentials();
            let signed_at = self.now();
            self.progress.set_moving(0);
            let started = Instant::now();
            let left = trial.left(self.limits(), started);
            let attempt = self.attempt(op, signed_at, left);
            self.progress.set_moving(0);
            let fault = match attempt {
                Ok(out) => return Ok(out),
                Err(fault) => self.blame(op, fault),
            };
            trial.failed(&fault, started);
            let what = self.what(op.call().key);
            self.check(&what).map_err(|e| trial.failure(&fault, e))?;
            let verdict = judge(&fault, &self.settings.region, signed_at);
            if self.mend(&verdict, signed_at) && trial.may_mend() {
                continue;
            }
            if let Err((exit, early)) = self.may_wait(trial, &fault, &verdict, &op.call()) {
                let error = Error::new(exit, what, fault.why());
                let failure = trial.failure(&fault, error);
                return Err(Failure { early, ..failure }.into());
            }
            return Err(Halt::Passing(fault));
        }
    }

    /// A request to stop, as an error that names what we were at.
    fn check(&self, what: &str) -> Result<()> {
        let checked = self.progress.check();
        checked.map_err(|e| Error::new(e.exit(), what, e.why()))
    }

    /// Change what the verdict says must change. False if that is nothing.
    fn mend(&mut self, verdict: &Verdict, signed_at: Utc) -> bool {
        match verdict {
            Verdict::Region(region) => self.settings.region = region.clone(),
            Verdict::Clock(theirs) => {
                // Relative to when we signed, so that the round trip does not
                // count twice.
                self.settings.known.skew += theirs.0 - signed_at.0;
                let text = format!(
                    "the server's clock differs by {} s: using it",
                    self.settings.known.skew
                );
                self.progress.debug(|| text);
            }
            Verdict::Checksum if !self.settings.known.md5 => self.settings.known.md5 = true,
            Verdict::Credentials => return self.reload_credentials(),
            _ => return false,
        }
        true
    }

    /// Get the credentials anew. True if there are other ones now.
    pub fn reload_credentials(&mut self) -> bool {
        let Some(reload) = &self.reload else {
            return false;
        };
        match reload() {
            Ok((fresh, expires)) => {
                let changed = fresh != self.settings.credentials;
                self.settings.credentials = fresh;
                self.set_expiry(expires);
                changed
            }
            Err(e) => {
                self.progress.debug(|| format!("not refreshed: {e}"));
                let now = self.now();
                if let Some((expires, next)) = &mut self.expiry {
                    *next = retry_at(*expires, now);
                }
                false
            }
        }
    }

    /// When the credentials expire, by the service's clock.
    pub fn set_expiry(&mut self, expires: Option<Utc>) {
        let now = self.now();
        self.expiry = expires.map(|expires| (expires, refresh_at(expires, now)));
    }

    /// Get other credentials if these expire soon. If that fails they are good
    /// for a while still.
    pub fn refresh_credentials(&mut self) {
        if self.expiry.is_some_and(|(_, next)| next <= self.now()) {
            self.reload_credentials();
        }
    }

    /// Whether to wait and try again, or what to leave with, and whether that is
    /// only because nothing is underway.
    fn may_wait(
        &mut self,
        trial: &Trial,
        fault: &Fault,
        verdict: &Verdict,
        call: &Call,
    ) -> std::result::Result<(), (Exit, bool)> {
        let doubted = match fault {
            Fault::Wrong { .. } => self.damaged.is_some(),
            // Underway, only of what was found so before: -f replaces it.
            _ if !fault.is_of_object() => false,
            _ if self.underway => self.damaged.as_deref() == call.key,
            _ => self.damaged.is_some(),
        };
        if doubted && trial.is_read_enough() {
            let exit = match fault {
                Fault::Wrong { exit, .. } => *exit,
                _ => Exit::Data,
            };
            return Err((exit, false));
        }
        let exit = match verdict {
            Verdict::Again | Verdict::Reconnect => return Ok(()),
            Verdict::Final(exit) => *exit,
            Verdict::Credentials if self.reload.is_none() => {
                return Err((Exit::Denied, false));
            }
            Verdict::Credentials | Verdict::Clock(_) => Exit::Denied,
            Verdict::Region(_) => Exit::Config,
            Verdict::Checksum => Exit::Unavailable,
        };
        let lasting = match fault {
            // What is archived stays so for hours, and only if it is asked for. Of
            // a GET the other statuses make no sense, and may pass.
            Fault::Refused(r) => match r.status {
                404 => true,
                403 if call.kind == Kind::Manifest && self.blind => call.method == "GET",
                405 | 409 | 411..=417 | 501 => call.method != "GET",
                _ => r.code == "InvalidObjectState",
            },
            Fault::Fatal(_) => true,
            _ => false,
        };
        if lasting || !self.underway {
            return Err((exit, !lasting));
        }
        self.reload_credentials();
        Ok(())
    }

    pub(super) fn limits(&self) -> Limits {
        self.settings.limits.of_service(self.answered)
    }

    /// Wait before the next attempt at an operation on this object; an error once
    /// patience is at its end.
    pub fn pause(
        &mut self,
        trial: &mut Trial,
        fault: &Fault,
        key: Option<&str>,
    ) -> std::result::Result<(), Failure> {
        let what = &self.what(key);
        self.http.drop_connections();
        // That a connection went stale is no sign of trouble.
        if matches!(fault, Fault::Stale { .. }) && trial.may_mend() {
            return Ok(());
        }
        let limits = Limits {
            patience: self.patience_with(fault),
            ..self.limits()
        };
        let now = Instant::now();
        let Some(delay) = trial.delay(fault, limits, now, os::chance()) else {
            if let Some(key) = key.filter(|_| fault.is_of_object()) {
                self.damaged = Some(key.to_string());
            }
            let failure = trial.failure(fault, trial.given_up(fault, what, now));
            let early = matches!(fault, Fault::Foreign { .. }) && !self.underway;
            return Err(Failure { early, ..failure });
        };
        let progress = &self.progress;
        if trial.must_tell(now) {
            let seconds = trial.failing(now).as_secs();
            let why = fault.why();
            progress.remind(&format!("{what}: {why}: still trying after {seconds} s"));
        }
        progress.retried();
        if fault.is_throttling() {
            progress.slowed(delay);
        }
        progress.wait(delay);
        self.check(what).map_err(|e| trial.failure(fault, e))
    }

    /// How long faults of this kind may last; None for ever. Answers that are none
    /// of S3's are waited out for a minute where nothing is at stake, and an object
    /// that is not what it must be is read again for a minute before it is believed
    /// that it is stored so.
    fn patience_with(&self, fault: &Fault) -> Option<Duration> {
        let short = match fault {
            Fault::Foreign { .. } => !self.underway,
            Fault::Wrong { .. } => true,
            _ => false,
        };
        let Limits { patience, .. } = self.limits();
        if short {
            Some(patience.map_or(FIRST_PATIENCE, |time| time.min(FIRST_PATIENCE)))
        } else {
            patience
        }
    }
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
