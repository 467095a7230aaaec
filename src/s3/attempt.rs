//! One attempt at a request: signed, sent, and its answer weighed.
//!
//! Whether there is another one is for `client`. Nothing is believed of an
//! answer here but what the operation makes of it, and what is none of S3's is
//! told from what S3 says.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use md5::Md5;
use sha2::{Digest, Sha256};

use super::call::{Call, Operation};
use super::client::Client;
use super::error_response::refusal;
use super::fault::{ErrorResponse, Fault, Verdict, judge};
use super::headers::LOCK;
use super::ops::HeadObject;
use crate::error::Exit;
use crate::net::{Answer, HttpRequest, Payload};
use crate::sign::{self, Version};
use crate::text::hex;
use crate::text::time::Utc;

impl Client {
    /// Sign, send, and read the answer. `patience` is what is left of it.
    pub(super) fn attempt<O: Operation>(
        &mut self,
        op: &mut O,
        now: Utc,
        patience: Option<Duration>,
    ) -> std::result::Result<O::Out, Fault> {
        let started = Instant::now();
        op.prepare(&self.settings.known);
        let call = op.call();
        let label = format!("{} {}", call.method, self.object(call.key));
        let sent = call.body.bytes().len();
        let answer = self.send(&call, now, patience);
        let mut answer = answer.inspect_err(|e| {
            self.progress.debug(|| format!("{label}: {}", e.why()));
        })?;
        self.answered = true;
        if let Some(date) = answer.header("date").and_then(Utc::parse_http) {
            self.clock = Some(date);
        }
        let (method, status) = (call.method, answer.status);
        let has_etag = call.key.is_some() && answer.header("etag").is_some();
        let result = if matches!(status, 200..=299) {
            op.take(answer)
        } else {
            let refusal = refusal(method, &mut answer);
            op.refused(&refusal);
            Err(self.weigh(method, refusal, now))
        };
        if result.is_ok() && has_etag {
            self.settings.known.no_etags = false;
            self.settings.known.etags = true;
        }
        let result = result.map_err(|fault| match fault {
            // A page has no ETag, where objects have one.
            Fault::Wrong { why, sizes, .. }
                if sizes.differ() && self.settings.known.etags && !has_etag =>
            {
                Fault::broken(why)
            }
            fault => fault,
        });
        self.progress.debug(|| {
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

    /// Where an object of another length came than it must have, find out by HEAD
    /// whether it is stored so, or something on the way has put another in its
    /// place. Where HEAD is not allowed, it is believed to be stored so.
    pub(super) fn blame<O: Operation>(&mut self, op: &O, fault: Fault) -> Fault {
        let (call, Fault::Wrong { sizes, .. }) = (op.call(), &fault) else {
            return fault;
        };
        let Some(key) = call.key.filter(|_| sizes.differ()) else {
            return fault;
        };
        self.progress.wait_turn();
        self.http.drop_connections();
        let patience = self.limits().patience;
        match self.attempt(&mut HeadObject::at(key, call.kind), self.now(), patience) {
            // A page has no ETag, where objects have one.
            Ok(sight) if self.settings.known.etags && sight.etag.is_none() => {
                Fault::broken(fault.why())
            }
            Ok(sight) if sight.length.is_some_and(|n| sizes.blame_store(n)) => fault,
            Err(Fault::Refused(r)) if matches!(r.status, 403 | 405 | 501) => fault,
            _ => Fault::broken(fault.why()),
        }
    }

    /// An error answer, as a fault. One without a code of S3's that would be
    /// final is none of S3's: something in between has answered. Of DeleteObjects,
    /// which is all that we POST, it may mean that the service does not know it.
    fn weigh(&self, method: &str, refusal: ErrorResponse, signed_at: Utc) -> Fault {
        let anonymous = refusal.code.is_empty() && refusal.region.is_none() && method != "POST";
        let why = refusal.why();
        let fault = Fault::Refused(Box::new(refusal));
        match judge(&fault, &self.settings.region, signed_at) {
            Verdict::Final(Exit::Missing) if anonymous => Fault::foreign(Exit::Unavailable, why),
            Verdict::Final(exit) if anonymous => Fault::foreign(exit, why),
            // Nor is its clock the service's. HEAD has no body to say whose it is.
            Verdict::Clock(_) if anonymous && method != "HEAD" => Fault::foreign(Exit::Denied, why),
            _ => fault,
        }
    }

    /// Sign and send one request. Nothing is waited for longer than patience.
    fn send(
        &mut self,
        call: &Call,
        now: Utc,
        patience: Option<Duration>,
    ) -> std::result::Result<Answer, Fault> {
        let settings = &self.settings;
        let (region, bucket) = (&settings.region, &settings.bucket);
        let target = self.endpoint.target(region, bucket, call.key, &call.query);
        let body = call.body.bytes();
        let sha256 = call.sha256.unwrap_or_else(|| Sha256::digest(body).into());
        let mut headers = call.headers.clone();
        if settings.known.bare_etags {
            bare_etags(&mut headers);
        }
        headers.extend(settings.headers.on(call.method, call.kind).cloned());
        let amazon = self.endpoint.is_amazon();
        if call.method == "PUT" && call.key.is_some() && amazon {
            headers.push(("x-amz-checksum-sha256".into(), BASE64.encode(sha256)));
        }
        // A lock is not taken without a checksum; services other than Amazon's
        // may know no newer one.
        let locks = headers.iter().any(|(name, _)| name.starts_with(LOCK));
        let md5 = call.md5 || settings.known.md5 || settings.signature == Version::V2;
        if !matches!(call.body, Payload::None) && (md5 || (locks && !amazon)) {
            headers.push(("content-md5".into(), BASE64.encode(Md5::digest(body))));
        }
        let request = sign::Request {
            method: call.method,
            host: &target.host,
            path: &target.path,
            query: &call.query,
            headers: &headers,
            payload_sha256: &hex::encode(&sha256),
            bucket_in_host: target.bucket_in_host.then_some(bucket.as_str()),
        };
        let signature = sign::sign(
            settings.signature,
            &request,
            &settings.credentials,
            region,
            now,
        );
        headers.extend(signature);
        headers.push(("host".into(), target.host.clone()));
        let out = HttpRequest {
            method: call.method,
            url: &target.url,
            headers: &headers,
            body: call.body,
            large: call.large,
            patience,
        };
        self.http.send(&out).map_err(|e| {
            let why = format!("{}: {}", target.host, e.why);
            if e.stale {
                Fault::Stale { why }
            } else {
                Fault::Broken {
                    why,
                    untrusted: e.untrusted,
                }
            }
        })
    }
}

/// Leave away the quotes of the ETag in an If-Match.
fn bare_etags(headers: &mut [(String, String)]) {
    for (name, value) in headers {
        if name == "if-match" {
            *value = value.trim_matches('"').to_string();
        }
    }
}
