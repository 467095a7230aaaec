//! The endpoint that a container's agent offers to what runs inside: Amazon
//! ECS, EKS Pod Identity, AWS IoT Greengrass, `aws-vault --ecs-server`, …
//!
//! Whoever sets its variables wants it used, so nothing here is 'nothing
//! here' but their absence. The authorization token is sent in clear text
//! only to this machine and to AWS's link-local addresses, past all proxies,
//! and neither it nor the URL's path is ever shown. It fails with 78 where a
//! variable or an answer cannot be used, and with 77 where none is given.
//!
//! Source: the AWS SDKs and Tools Reference Guide, 'Container credential
//! provider'.

use std::net::IpAddr;
use std::time::Duration;

use super::key_json::{KeyJson, LIMIT};
use super::nearby::{Nearby, Origin, Reply, origin};
use super::{Found, Search, decode, stopped};
use crate::error::{Error, Exit, Result};
use crate::os::{self, files};

const RELATIVE: &str = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
const FULL: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
const TOKEN: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN";
const TOKEN_FILE: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE";

/// What a relative URI is relative to: the agent of Amazon ECS.
const BASE: &str = "http://169.254.170.2";

/// Besides loopback, what plain HTTP may go to: Amazon ECS and EKS.
const HOSTS: [&str; 4] = [
    "localhost",
    "169.254.170.2",
    "169.254.170.23",
    "[fd00:ec2::23]",
];

/// How often it is asked at most, and how long after the first time it is asked
/// again; each further pause is twice as long.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(250);

const CONNECT: Duration = Duration::from_secs(2);
const STALL: Duration = Duration::from_secs(5);

/// The key that the endpoint gives, if the environment names one.
pub(super) fn endpoint(search: &mut Search) -> Result<Option<Found>> {
    endpoint_at(search, BASE)
}

fn endpoint_at(search: &mut Search, base: &str) -> Result<Option<Found>> {
    let (url, origin) = match (search.get(RELATIVE), search.get(FULL)) {
        (Some(path), _) => relative(base, &path)?,
        (None, Some(url)) => full(url)?,
        (None, None) => {
            search.looked.push("a container endpoint".to_string());
            return Ok(None);
        }
    };
    let place = format!("container endpoint {}", origin.shown);
    let token = token(search)?;
    let reply = ask(search, &place, &url, &origin, token.as_deref())?;
    let answer = KeyJson::parse(&place, &reply.body)?;
    let (credentials, expires) = answer.credentials("Token")?;
    Ok(Some(Found {
        expires,
        aws: true,
        ..Found::new(credentials, place)
    }))
}

fn relative(base: &str, path: &str) -> Result<(String, Origin)> {
    let url = format!("{base}{path}");
    // Without the slash it could go on with the host's name.
    let origin = origin(&url).filter(|_| path.starts_with('/'));
    let why = "must be a path, beginning with a slash";
    Ok((url, origin.ok_or_else(|| refuse(RELATIVE, why))?))
}

fn full(url: String) -> Result<(String, Origin)> {
    let Some(origin) = origin(&url) else {
        return Err(refuse(FULL, "must be an http:// or https:// URL"));
    };
    let address = origin.host.trim_matches(['[', ']']).parse::<IpAddr>();
    let near = address.is_ok_and(|a| a.is_loopback()) || HOSTS.contains(&origin.host.as_str());
    if origin.scheme == "http" && !near {
        let why = "plain HTTP may only go to a loopback address or to those of Amazon ECS and EKS";
        return Err(refuse(FULL, why));
    }
    Ok((url, origin))
}

fn refuse(variable: &str, why: &str) -> Error {
    Error::new(Exit::Config, variable, why)
}

/// The Authorization header: from the file, which is read anew every time
/// since EKS rewrites it, else from the variable.
fn token(search: &Search) -> Result<Option<String>> {
    let (place, token) = match (search.get(TOKEN_FILE), search.get(TOKEN)) {
        (Some(path), _) => match files::read_if_there(&path, LIMIT as u64)? {
            Some(contents) => (path, decode(&contents.bytes)),
            None => return Err(refuse(&path, "no such file")),
        },
        (None, Some(token)) => (TOKEN.to_string(), token),
        (None, None) => return Ok(None),
    };
    let sendable = |c: char| c.is_ascii_graphic() || c == ' ';
    if token.chars().all(sendable) {
        Ok(Some(token))
    } else {
        let why = "the token has a line end or another character that cannot be sent";
        Err(refuse(&place, why))
    }
}

/// Asks until the endpoint gives a key. One that is busy, or does not answer, is
/// asked again after a pause.
fn ask(
    search: &Search,
    place: &str,
    url: &str,
    origin: &Origin,
    token: Option<&str>,
) -> Result<Reply> {
    let mut nearby = if origin.scheme == "https" {
        // The certificates that the environment names, and none of a profile.
        Nearby::over_tls(search.get("AWS_CA_BUNDLE").as_deref(), STALL)?
    } else {
        Nearby::new(CONNECT, STALL)
    };
    let headers: Vec<_> = token.map(|t| ("authorization", t)).into_iter().collect();
    let (mut tries, mut pause) = (1, PAUSE);
    loop {
        let (why, worth) = match nearby.send("GET", url, &headers) {
            Ok(reply) if reply.status == 200 => return Ok(reply),
            Ok(reply) => {
                let busy = reply.status == 429 || reply.status >= 500;
                (format!("it answered {}", reply.status), busy)
            }
            Err(why) => (why, true),
        };
        stopped(place)?;
        if tries == TRIES || !worth {
            return Err(Error::new(Exit::Denied, place, why));
        }
        os::pause(pause);
        pause *= 2;
        tries += 1;
    }
}

#[cfg(test)]
#[path = "container_tests.rs"]
mod tests;
