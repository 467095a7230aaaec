//! What went wrong with a request, and what to do about it; pure.
//!
//! A [`Fault`] is one failed attempt. [`judge`] says whether to try again, to
//! mend something first, or to give up, after the S3 API's list of error
//! responses and what real servers make of it.

use std::time::Duration;

use crate::error::Exit;
use crate::text::time::Utc;

/// One failed attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// There was no answer, or it broke off.
    Broken {
        /// What happened.
        why: String,
        /// The server's certificate was refused.
        untrusted: bool,
    },
    /// The connection, which had been idle for a while, was closed before a word
    /// of an answer: the server was tired of it.
    Stale {
        /// What happened.
        why: String,
    },
    /// The server answered with an error.
    Refused(Box<ErrorResponse>),
    /// The answer is none of S3's: the page of a portal or a load balancer, or
    /// a success that proves nothing. It is a fault of the way, and may pass.
    Foreign {
        /// What is odd about it.
        why: String,
        /// What to leave with if it stays so.
        exit: Exit,
        /// The length of what came, in bytes, where it was a body.
        came: Option<u64>,
    },
    /// An object arrived whole and is not what it must be: evidence that the
    /// store itself has something else.
    Wrong {
        /// What is wrong with it.
        why: String,
        /// What to leave with if it stays so.
        exit: Exit,
        /// What its length says.
        sizes: Sizes,
    },
    /// Something that trying again cannot change.
    Fatal(crate::error::Error),
}

/// The lengths, in bytes, of an object that is not what it must be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Of what came, if that is known.
    pub came: Option<u64>,
    /// Of what should have come, if that is known.
    pub want: Option<u64>,
}

impl Sizes {
    /// Whose fault it is that an object is not what it must be, now that HEAD
    /// shows that it is `stored` bytes long: true if the store's, false if the
    /// way's, on which something else was put in its place.
    pub fn blame_store(self, stored: u64) -> bool {
        Some(stored) != self.want && self.came.is_none_or(|came| came == stored)
    }

    /// Whether the length alone says that it is not what was asked for, so that
    /// HEAD can tell whose fault that is.
    pub fn differ(self) -> bool {
        self.want.is_some() && self.came != self.want
    }
}

/// An error answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorResponse {
    /// The HTTP status.
    pub status: u16,
    /// S3's error code, as `NoSuchBucket`; empty if there was none.
    pub code: String,
    /// The server's words; may be empty.
    pub message: String,
    /// The region that the server named.
    pub region: Option<String>,
    /// The server's clock.
    pub date: Option<Utc>,
    /// How long it asked us to wait.
    pub retry_after: Option<Duration>,
}

/// What to do about a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Wait, then try again.
    Again,
    /// Sign for this region, and try again.
    Region(String),
    /// Take the server's clock, and try again.
    Clock(Utc),
    /// Read the credentials again, and try again.
    Credentials,
    /// Send a Content-MD5 from now on, and try again.
    Checksum,
    /// Open another connection, and try again.
    Reconnect,
    /// Give up with this exit status.
    Final(Exit),
}

/// Codes that mean: the same request may succeed later.
const TRANSIENT: [&str; 14] = [
    "SlowDown",
    "SlowDownRead",
    "SlowDownWrite",
    "ServiceUnavailable",
    "InternalError",
    "RequestTimeout",
    "RequestTimeoutException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequests",
    "OperationAborted",
    "ConditionalRequestConflict",
    "IncompleteBody",
    "Busy",
];

/// What servers say when a body arrived other than it was signed.
const DAMAGED: [&str; 5] = [
    "BadDigest",
    "InvalidDigest",
    "XAmzContentSHA256Mismatch",
    "XAmzContentChecksumMismatch",
    "ContentSHA256Mismatch",
];

/// Codes of a request that was not signed to the server's liking.
const UNSIGNED: [&str; 7] = [
    "AccessDenied",
    "SignatureDoesNotMatch",
    "InvalidAccessKeyId",
    "InvalidToken",
    "InvalidSecurity",
    "AuthorizationHeaderMalformed",
    "Unauthorized",
];

impl Fault {
    /// For a message.
    pub fn why(&self) -> String {
        match self {
            Fault::Broken { why, .. }
            | Fault::Wrong { why, .. }
            | Fault::Foreign { why, .. }
            | Fault::Stale { why } => why.clone(),
            Fault::Refused(refusal) => refusal.why(),
            Fault::Fatal(e) => e.why().to_string(),
        }
    }

    /// Whether the service says that we ask for too much: others of us must
    /// wait as well.
    pub fn is_throttling(&self) -> bool {
        match self {
            Fault::Refused(r) => {
                matches!(r.status, 429 | 503)
                    || ["SlowDown", "Throttl", "TooManyRequests"]
                        .iter()
                        .any(|code| r.code.starts_with(code))
            }
            _ => false,
        }
    }

    /// A broken connection.
    pub fn broken(why: impl std::fmt::Display) -> Fault {
        Fault::Broken {
            why: why.to_string(),
            untrusted: false,
        }
    }

    /// Data that arrived whole, but is not what it must be.
    pub fn wrong(exit: Exit, why: impl std::fmt::Display, sizes: Sizes) -> Fault {
        Fault::Wrong {
            why: why.to_string(),
            exit,
            sizes,
        }
    }

    /// An answer without a body of interest that is none of S3's.
    pub fn foreign(exit: Exit, why: impl std::fmt::Display) -> Fault {
        Fault::Foreign {
            why: why.to_string(),
            exit,
            came: None,
        }
    }

    /// Whether something came in place of an object that was asked for.
    pub fn is_of_object(&self) -> bool {
        matches!(self, Fault::Wrong { .. }) || self.came().is_some()
    }

    /// The length of what came in place of an object, if that is known.
    pub fn came(&self) -> Option<u64> {
        match self {
            Fault::Foreign { came, .. } => *came,
            Fault::Wrong { sizes, .. } => sizes.came,
            _ => None,
        }
    }
}

impl ErrorResponse {
    /// `403 AccessDenied: the message`.
    pub fn why(&self) -> String {
        let mut why = self.status.to_string();
        if !self.code.is_empty() {
            why.push_str(&format!(" {}", self.code));
        }
        let message = match self.message.trim() {
            // Its words do not say what to do.
            _ if self.code == "InvalidObjectState" => meaning(&self.code),
            "" => meaning(&self.code),
            message => message,
        };
        let message: String = message.chars().take(300).collect();
        if !message.is_empty() {
            why.push_str(&format!(": {}", message.trim_end_matches('.')));
        }
        why
    }

    /// Whether it says that the object (not the bucket) does not exist: in S3's
    /// own words, since the 404 of a page that is in the way says nothing. Some
    /// servers say so of a bucket; callers that must know ask for that.
    pub fn no_such_key(&self) -> bool {
        self.status == 404 && self.code == "NoSuchKey"
    }
}

/// What a code means, for servers that do not say.
fn meaning(code: &str) -> &'static str {
    match code {
        "InvalidAccessKeyId" | "NotSignedUp" => "this access key is not known here",
        "SignatureDoesNotMatch" => "the secret key does not belong to the access key",
        "AccessDenied" => "this access key is not allowed to do that, or its secret is wrong",
        "NoSuchBucket" => "there is no such bucket",
        "NoSuchKey" => "there is no such object",
        "BucketAlreadyExists" => "somebody has a bucket of this name already",
        "BucketAlreadyOwnedByYou" => "you have this bucket already",
        "BucketNotEmpty" => "the bucket is not empty",
        "InvalidObjectState" => {
            "the object is archived: ask for it by 'aws s3api restore-object' \
             (see s3pipe(1), Archived blocks)"
        }
        _ => "",
    }
}

/// Decide. `region` is the one signed for, `now` the time that was signed.
pub fn judge(fault: &Fault, region: &str, now: Utc) -> Verdict {
    match fault {
        Fault::Broken {
            untrusted: true, ..
        } => Verdict::Final(Exit::Unavailable),
        Fault::Broken { .. } => Verdict::Again,
        Fault::Stale { .. } => Verdict::Reconnect,
        Fault::Foreign { .. } | Fault::Wrong { .. } => Verdict::Again,
        Fault::Fatal(e) => Verdict::Final(e.exit()),
        Fault::Refused(refusal) => judge_refusal(refusal, region, now),
    }
}

fn judge_refusal(r: &ErrorResponse, region: &str, now: Utc) -> Verdict {
    let code = r.code.as_str();
    let misdirected = matches!(r.status, 301 | 302 | 307 | 308)
        || matches!(code, "AuthorizationHeaderMalformed" | "PermanentRedirect")
        || (r.status == 400 && r.region.is_some());
    let elsewhere = r.region.as_ref().filter(|other| *other != region);
    if let (true, Some(other)) = (misdirected, elsewhere) {
        return Verdict::Region(other.clone());
    }
    let refused = matches!(r.status, 400 | 401 | 403);
    let skewed = r.date.filter(|date| (date.0 - now.0).abs() > 300);
    let blamed = code == "RequestTimeTooSkewed" || UNSIGNED.contains(&code) || code.is_empty();
    if let (true, true, Some(date)) = (refused, blamed, skewed) {
        return Verdict::Clock(date);
    }
    if matches!(
        code,
        "ExpiredToken" | "TokenRefreshRequired" | "RequestExpired"
    ) {
        return Verdict::Credentials;
    }
    let wants_md5 = r.message.contains("Content-MD5") || r.message.contains("checksum");
    if r.status == 400 && (code == "MissingContentMD5" || (code == "InvalidRequest" && wants_md5)) {
        return Verdict::Checksum;
    }
    // 416: the object is shorter than it must be, or the range was damaged.
    let passing = matches!(r.status, 408 | 416 | 425 | 429 | 500 | 502..=599);
    if passing || TRANSIENT.contains(&code) || DAMAGED.contains(&code) {
        return Verdict::Again;
    }
    Verdict::Final(match (r.status, code) {
        (_, "NoSuchBucket") | (404, _) => Exit::Missing,
        (_, "BucketAlreadyExists" | "BucketAlreadyOwnedByYou") => Exit::Exists,
        (_, "InvalidObjectState") => Exit::Unavailable,
        (_, code) if UNSIGNED.contains(&code) => Exit::Denied,
        (401 | 403, _) => Exit::Denied,
        (301 | 302 | 307 | 308, _) | (_, "InvalidBucketName") => Exit::Config,
        _ => Exit::Unavailable,
    })
}

/// Full jitter, as Amazon's architecture blog has it: anything up to a bound
/// that doubles with each of `attempt` failures (from 0), to 30 seconds at
/// most. `random` is evenly distributed. A server's own wish comes on top.
pub fn backoff(attempt: u32, random: u64, wish: Option<Duration>) -> Duration {
    const FIRST: u64 = 200;
    const MOST: u64 = 30_000;
    let bound = (FIRST << attempt.min(20)).min(MOST);
    let jitter = Duration::from_millis(random % (bound + 1));
    let wish = wish.unwrap_or_default().min(Duration::from_secs(300));
    wish + jitter
}

#[cfg(test)]
#[path = "fault_tests.rs"]
mod tests;
