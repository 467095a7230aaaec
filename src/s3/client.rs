//! One signed request at a time, tried again until it succeeds, cannot, or
//! patience runs out.
//!
//! Each attempt signs anew. What can be mended (region, clock, credentials,
//! checksum) is mended and stays so for the rest of the run. It never repeats
//! a request without a delay unless it changed something first.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use md5::Md5;
use sha2::{Digest, Sha256};

use super::call::{Call, Failure, Operation};
use super::endpoint::Endpoint;
use super::fault::{Fault, Verdict, judge};
use super::headers::Headers;
use super::refusal::refusal;
use super::trial::{Limits, Trial};
use crate::credentials::{refresh_at, retry_at};
use crate::error::{Error, Exit, Result};
use crate::http::{Answer, Http, Outgoing, Payload};
use crate::progress::Progress;
use crate::sign::{self, Credentials, Version};
use crate::sys;
use crate::time::Utc;
use crate::uri;

/// How long a service that has not answered anything yet is believed to exist.
const FIRST_PATIENCE: Duration = Duration::from_secs(60);

/// Gets the credentials anew, and when they expire, if that is known.
pub type Reload = Box<dyn Fn() -> Result<(Credentials, Option<Utc>)>>;

/// Everything that a client needs to know.
pub struct Setup {
    /// The command, for messages.
    pub command: &'static str,
    /// The HTTP client.
    pub http: Http,
    /// The service.
    pub endpoint: Endpoint,
    /// The region to begin with.
    pub region: String,
    /// The bucket.
    pub bucket: String,
    /// How to sign.
    pub signature: Version,
    /// The access key.
    pub credentials: Credentials,
    /// Reads the credentials again; None if they cannot have changed.
    pub reload: Option<Reload>,
    /// The user's own headers.
    pub headers: Headers,
    /// How long one request may keep failing; None for ever.
    pub patience: Option<Duration>,
    /// How often it may be repeated, if that is bounded.
    pub retries: Option<u32>,
    /// Where messages go.
    pub progress: Arc<Progress>,
}

/// The client.
pub struct Client {
    setup: Setup,
    /// Added to the local clock, in seconds.
    skew: i64,
    send_md5: bool,
    /// The service's clock, and when it was read.
    clock: Option<(Utc, Instant)>,
    /// Whether the service has answered anything yet.
    answered: bool,
    underway: bool,
    /// When the credentials expire, and when to ask for others.
    expiry: Option<(Utc, Utc)>,
}

impl Client {
    /// A client; nothing is sent yet.
    pub fn new(setup: Setup) -> Client {
        Client {
            setup,
            skew: 0,
            send_md5: false,
            clock: None,
            answered: false,
            underway: false,
            expiry: None,
        }
    }

    /// The bucket's name.
    pub fn bucket(&self) -> &str {
        &self.setup.bucket
    }

    /// Whether it speaks to Amazon's own service.
    pub fn is_amazon(&self) -> bool {
        self.setup.endpoint.is_amazon()
    }

    /// The region that requests are signed for.
    pub fn region(&self) -> &str {
        &self.setup.region
    }

    /// Where messages go.
    pub fn progress(&self) -> &Progress {
        &self.setup.progress
    }

    /// What other processes of this run must know of what was mended here: the
    /// clock's difference in seconds, and whether a Content-MD5 is wanted.
    pub fn mended(&self) -> (i64, bool) {
        (self.skew, self.send_md5)
    }

    /// Begin with what another client has found out.
    pub fn mend_as(&mut self, skew: i64, md5: bool) {
        (self.skew, self.send_md5) = (skew, md5);
    }

    /// Another client has had an answer: the service exists.
    pub fn set_answered(&mut self) {
        self.answered = true;
    }

    /// Sign with these from now on.
    pub fn set_credentials(&mut self, credentials: Credentials) {
        self.setup.credentials = credentials;
    }

    /// The access key that requests are signed with.
    pub fn credentials(&self) -> &Credentials {
        &self.setup.credentials
    }

    /// Whether giving up would lose something.
    pub fn is_underway(&self) -> bool {
        self.underway
    }

    /// The time that requests are signed with: the server's, if ours is off.
    pub fn now(&self) -> Utc {
        Utc(Utc::from_system(SystemTime::now()).0 + self.skew)
    }

    /// The time by the service's clock, as far as it has told it.
    pub fn service_now(&self) -> Utc {
        match self.clock {
            Some((date, read)) => Utc(date.0 + read.elapsed().as_secs() as i64),
            None => self.now(),
        }
    }

    /// From here on something would be lost by giving up: errors that somebody
    /// may repair (permissions, keys) are waited out too.
    pub fn set_underway(&mut self, underway: bool) {
        self.underway = underway;
    }

    /// From here on nothing is at stake that would be worth a long wait.
    pub fn be_brief(&mut self) {
        self.underway = false;
        let limit = self.setup.patience.unwrap_or(FIRST_PATIENCE);
        self.setup.patience = Some(limit.min(FIRST_PATIENCE));
    }

    /// An error about an object of this bucket.
    pub fn error(&self, exit: Exit, key: Option<&str>, why: impl std::fmt::Display) -> Error {
        Error::new(exit, self.what(key), why)
    }

    fn what(&self, key: Option<&str>) -> String {
        format!("{}: {}", self.setup.command, self.object(key))
    }

    fn object(&self, key: Option<&str>) -> String {
        match key {
            Some(key) => format!("{}/{key}", self.setup.bucket),
            None => self.setup.bucket.clone(),
        }
    }

    /// Carry out an operation.
    pub fn run<O: Operation>(&mut self, op: &mut O) -> std::result::Result<O::Out, Failure> {
        let mut trial = Trial::default();
        loop {
            self.setup.progress.wait_turn();
            self.refresh_credentials();
            let signed_at = self.now();
            self.setup.progress.set_moving(0);
            let attempt = self.attempt(op, signed_at);
            self.setup.progress.set_moving(0);
            let fault = match attempt {
                Ok(out) => return Ok(out),
                Err(fault) => fault,
            };
            trial.failed(&fault, Instant::now());
            let what = self.what(op.call().key);
            self.check(&what).map_err(|e| trial.failure(&fault, e))?;
            let verdict = judge(&fault, &self.setup.region, signed_at);
            if self.mend(&verdict, signed_at) && trial.may_mend() {
                continue;
            }
            if let Err((exit, early)) = self.may_wait(&trial, &fault, &verdict) {
                let error = Error::new(exit, what, fault.why());
                return Err(Failure {
                    early,
                    ..trial.failure(&fault, error)
                });
            }
            self.pause(&mut trial, &fault, &what)?;
        }
    }

    /// A request to stop, as an error that names what we were at.
    fn check(&self, what: &str) -> Result<()> {
        let checked = self.setup.progress.check();
        checked.map_err(|e| Error::new(e.exit(), what, e.why()))
    }

    /// Change what the verdict says must change. False if that is nothing.
    fn mend(&mut self, verdict: &Verdict, signed_at: Utc) -> bool {
        match verdict {
            Verdict::Region(region) => self.setup.region = region.clone(),
            Verdict::Clock(theirs) => {
                // Relative to when we signed, so that the round trip does not
                // count twice.
                self.skew += theirs.0 - signed_at.0;
                let text = format!("the server's clock differs by {} s: using it", self.skew);
                self.setup.progress.debug(|| text);
            }
            Verdict::Checksum if !self.send_md5 => self.send_md5 = true,
            Verdict::Reconnect => self.setup.http.drop_connections(),
            Verdict::Credentials => return self.reload_credentials(),
            _ => return false,
        }
        true
    }

    /// Get the credentials anew. True if there are other ones now.
    pub fn reload_credentials(&mut self) -> bool {
        let Some(reload) = &self.setup.reload else {
            return false;
        };
        match reload() {
            Ok((fresh, expires)) => {
                let changed = fresh != self.setup.credentials;
                self.setup.credentials = fresh;
                self.set_expiry(expires);
                changed
            }
            Err(e) => {
                self.setup.progress.debug(|| format!("not refreshed: {e}"));
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
    ) -> std::result::Result<(), (Exit, bool)> {
        match fault {
            Fault::Wrong { exit, .. } if trial.is_hopeless() => return Err((*exit, false)),
            _ => {}
        }
        let exit = match verdict {
            Verdict::Again | Verdict::Reconnect => return Ok(()),
            Verdict::Final(exit) => *exit,
            Verdict::Credentials if self.setup.reload.is_none() => {
                return Err((Exit::Denied, false));
            }
            Verdict::Credentials | Verdict::Clock(_) => Exit::Denied,
            Verdict::Region(_) => Exit::Config,
            Verdict::Checksum => Exit::Unavailable,
        };
        let lasting = match fault {
            // What is archived stays so for hours, and only if it is asked for.
            Fault::Refused(r) => {
                matches!(r.status, 404 | 405 | 409 | 411..=417 | 501)
                    || r.code == "InvalidObjectState"
            }
            Fault::Fatal(_) => true,
            _ => false,
        };
        if lasting || !self.underway {
            return Err((exit, !lasting));
        }
        self.reload_credentials();
        Ok(())
    }

    /// Wait before the next attempt; an error once patience is at its end.
    fn pause(
        &mut self,
        trial: &mut Trial,
        fault: &Fault,
        what: &str,
    ) -> std::result::Result<(), Failure> {
        self.setup.http.drop_connections();
        let patience = self.setup.patience;
        let limits = Limits {
            time: match self.answered {
                true => patience,
                false => Some(patience.unwrap_or(FIRST_PATIENCE).min(FIRST_PATIENCE)),
            },
            retries: self.setup.retries,
        };
        let now = Instant::now();
        let Some(delay) = trial.delay(fault, limits, now, sys::chance()) else {
            return Err(trial.failure(fault, trial.given_up(fault, what, now)));
        };
        let progress = &self.setup.progress;
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

    fn attempt<O: Operation>(
        &mut self,
        op: &mut O,
        now: Utc,
    ) -> std::result::Result<O::Out, Fault> {
        let started = Instant::now();
        let call = op.call();
        let label = format!("{} {}", call.method, self.object(call.key));
        let sent = call.body.bytes().len();
        let answer = self.send(&call, now);
        let mut answer = answer.inspect_err(|e| {
            self.setup
                .progress
                .debug(|| format!("{label}: {}", e.why()));
        })?;
        self.answered = true;
        if let Some(date) = answer.header("date").and_then(Utc::parse_http) {
            self.clock = Some((date, Instant::now()));
        }
        let status = answer.status;
        let result = match status {
            200..=299 => op.take(answer),
            _ => Err(Fault::Refused(Box::new(refusal(&mut answer)))),
        };
        self.setup.progress.debug(|| {
            let ms = started.elapsed().as_millis();
            let end = match &result {
                Ok(_) => format!("{status}"),
                Err(Fault::Refused(refusal)) => refusal.why(),
                Err(fault) => format!("{status}, but {}", fault.why()),
            };
            format!("{label}: {end} ({sent} bytes sent, {ms} ms)")
        });
        result
    }

    /// Sign and send one request.
    fn send(&mut self, call: &Call, now: Utc) -> std::result::Result<Answer, Fault> {
        let setup = &mut self.setup;
        let target = setup
            .endpoint
            .target(&setup.region, &setup.bucket, call.key, &call.query);
        let body = call.body.bytes();
        let sha256 = call.sha256.unwrap_or_else(|| Sha256::digest(body).into());
        let mut headers = call.headers.clone();
        headers.extend(setup.headers.on(call.method, call.kind).cloned());
        if call.method == "PUT" && call.key.is_some() && setup.endpoint.is_amazon() {
            headers.push(("x-amz-checksum-sha256".into(), BASE64.encode(sha256)));
        }
        let v2 = setup.signature == Version::V2;
        if !matches!(call.body, Payload::None) && (call.md5 || self.send_md5 || v2) {
            headers.push(("content-md5".into(), BASE64.encode(Md5::digest(body))));
        }
        let request = sign::Request {
            method: call.method,
            host: &target.host,
            path: &target.path,
            query: &call.query,
            headers: &headers,
            payload_sha256: &uri::hex(&sha256),
            bucket_in_host: target.bucket_in_host.then_some(setup.bucket.as_str()),
        };
        let signature = sign::sign(
            setup.signature,
            &request,
            &setup.credentials,
            &setup.region,
            now,
        );
        headers.extend(signature);
        headers.push(("host".into(), target.host.clone()));
        let out = Outgoing {
            method: call.method,
            url: &target.url,
            headers: &headers,
            body: call.body,
            large: call.large,
        };
        setup.http.send(&out).map_err(|e| {
            let why = format!("{}: {}", target.host, e.why);
            match e.stale {
                true => Fault::Stale { why },
                false => Fault::Broken {
                    why,
                    untrusted: e.untrusted,
                },
            }
        })
    }
}
