//! The metadata service of an Amazon EC2 instance, version 2: the key of the
//! role that the instance has.
//!
//! The last place to look, asked on every machine where there is no key
//! elsewhere, and most of these are no instances: so a service that does not
//! answer, or knows no role, is 'nothing here', and that is known within
//! seconds. Version 1, which has no session tokens, is never asked. It fails
//! with 77 where there is a role but no key, and with 78 where an answer or a
//! setting cannot be used.
//!
//! Source: the AWS SDKs and Tools Reference Guide, 'IMDS credential provider';
//! the Amazon EC2 User Guide, 'Retrieve instance metadata'.

use std::time::Duration;

use super::key_json::KeyJson;
use super::nearby::{Nearby, Origin, Reply, origin};
use super::{Found, Search, profile, stopped};
use crate::error::{Error, Exit, Result};

const IPV4: &str = "http://169.254.169.254";
const IPV6: &str = "http://[fd00:ec2::254]";

/// How long it may take to connect, and then to send each byte.
const LIMIT: Duration = Duration::from_secs(1);
const TRIES: u32 = 2;

const TOKEN_PATH: &str = "/latest/api/token";
const ROLES_PATH: &str = "/latest/meta-data/iam/security-credentials/";

/// What came of asking the service.
enum Outcome {
    Found(Box<Found>),
    /// Nothing here, for this reason.
    Nothing(String),
}

/// The key of the instance's role, if there is an instance and a role.
pub(super) fn service(search: &mut Search) -> Result<Option<Found>> {
    let disabled = search.get("AWS_EC2_METADATA_DISABLED");
    if disabled.is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        let place = "the instance metadata service (AWS_EC2_METADATA_DISABLED is set)";
        search.looked.push(place.to_string());
        return Ok(None);
    }
    let (base, origin) = base(search)?;
    let place = format!("instance metadata service {}", origin.shown);
    match Service::new(&base, &place).ask()? {
        Outcome::Found(found) => Ok(Some(*found)),
        Outcome::Nothing(why) => {
            search.looked.push(format!("the {place} ({why})"));
            Ok(None)
        }
    }
}

/// Where the service is, without a slash at the end.
fn base(search: &Search) -> Result<(String, Origin)> {
    let setting = |variable: &str, key: &str| match search.get(variable) {
        Some(value) => Ok(Some(value)),
        None => profile::setting(search, key),
    };
    let variable = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
    let mode = "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE";
    let url = match setting(variable, "ec2_metadata_service_endpoint")? {
        Some(url) => url,
        None => match setting(mode, "ec2_metadata_service_endpoint_mode")? {
            Some(mode) if mode.eq_ignore_ascii_case("ipv6") => IPV6.to_string(),
            _ => IPV4.to_string(),
        },
    };
    let origin = origin(&url).filter(|origin| origin.scheme == "http");
    let Some(origin) = origin else {
        return Err(Error::new(Exit::Config, variable, "must be an http:// URL"));
    };
    Ok((url.trim_end_matches('/').to_string(), origin))
}

/// The service, with its URL and what messages call it.
struct Service<'a> {
    nearby: Nearby,
    base: &'a str,
    place: &'a str,
}

impl<'a> Service<'a> {
    fn new(base: &'a str, place: &'a str) -> Service<'a> {
        let nearby = Nearby::new(LIMIT, LIMIT);
        Service {
            nearby,
            base,
            place,
        }
    }

    /// Asks for a session's token, then for the role's name, then for its key.
    fn ask(&mut self) -> Result<Outcome> {
        let ttl = [("x-aws-ec2-metadata-token-ttl-seconds", "21600")];
        let reply = match self.send("PUT", TOKEN_PATH, &ttl)? {
            Ok(reply) => reply,
            Err(why) => return Ok(Outcome::Nothing(why)),
        };
        let token = match text(&reply) {
            Some(token) if reply.status == 200 => token,
            _ => return Ok(answered(&reply)),
        };
        let headers = [("x-aws-ec2-metadata-token", token)];
        let reply = match self.send("GET", ROLES_PATH, &headers)? {
            Ok(reply) => reply,
            Err(why) => return Ok(Outcome::Nothing(why)),
        };
        let role = match (reply.status, text(&reply)) {
            (200, Some(role)) => role,
            (404, _) | (200, None) => {
                return Ok(Outcome::Nothing("the instance has no role".to_string()));
            }
            _ => return Ok(answered(&reply)),
        };
        if !role.chars().all(is_role) {
            return Err(self.refuse(Exit::Config, "it named a role that cannot be one"));
        }
        let path = format!("{ROLES_PATH}{role}");
        let reply = self.send("GET", &path, &headers)?;
        let reply = reply.map_err(|why| self.refuse(Exit::Denied, &why))?;
        self.found(role, &reply)
    }

    fn found(&self, role: &str, reply: &Reply) -> Result<Outcome> {
        if reply.status != 200 {
            let why = format!("it answered {} for role {role}", reply.status);
            return Err(self.refuse(Exit::Denied, &why));
        }
        let answer = KeyJson::parse(self.place, &reply.body)?;
        let code = answer.text("Code")?;
        match code.as_deref() {
            Some("Success") | None => {}
            Some(code) => {
                let code: String = code.chars().filter(char::is_ascii_graphic).collect();
                let why = format!("it gave no key for role {role}: {code:.80}");
                return Err(self.refuse(Exit::Denied, &why));
            }
        }
        let (credentials, expires) = answer.credentials("Token")?;
        // Services that stand in for Amazon's leave it out; all else is there.
        if code.is_none() && (credentials.token.is_none() || expires.is_none()) {
            return Err(self.refuse(Exit::Config, "Code is missing from its answer"));
        }
        let source = format!("role {role}, from the {}", self.place);
        Ok(Outcome::Found(Box::new(Found {
            expires,
            aws: true,
            ..Found::new(credentials, source)
        })))
    }

    fn refuse(&self, exit: Exit, why: &str) -> Error {
        Error::new(exit, self.place, why)
    }

    /// Sends a request, and once more if it failed. The inner error is the reason
    /// why there was no answer.
    fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<std::result::Result<Reply, String>> {
        let url = format!("{}{path}", self.base);
        let mut tries = 1;
        loop {
            let reply = self.nearby.send(method, &url, headers);
            stopped(self.place)?;
            let failed = reply.as_ref().map_or(true, |reply| reply.status >= 500);
            if !failed || tries == TRIES {
                return Ok(reply);
            }
            tries += 1;
        }
    }
}

fn answered(reply: &Reply) -> Outcome {
    Outcome::Nothing(match reply.status {
        200 => "its answer cannot be used".to_string(),
        status => format!("it answered {status}"),
    })
}

/// The first line of an answer, if it is one of visible ASCII.
fn text(reply: &Reply) -> Option<&str> {
    let text = std::str::from_utf8(&reply.body).ok()?;
    let line = text.lines().next()?.trim();
    (!line.is_empty() && line.chars().all(|c| c.is_ascii_graphic())).then_some(line)
}

/// What a role's name is made of (IAM User Guide, 'IAM and AWS STS quotas').
fn is_role(c: char) -> bool {
    c.is_ascii_alphanumeric() || "+=,.@_-".contains(c)
}

#[cfg(test)]
#[path = "imds_tests.rs"]
mod tests;
