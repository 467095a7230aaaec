//! Where the access key comes from: a chain of providers, the first that has
//! any wins.
//!
//! Named key file, named profile, environment, default key file, shared AWS
//! files. A provider is a function that answers 'found', 'nothing here' or an
//! error; further ones go to the end of the list in [`find_in`]. What is half
//! there, unreadable or malformed is an error and never 'nothing here', so
//! that nobody works under another identity than the one they set up.
//!
//! Secrets must never reach a message: errors name files, lines and settings,
//! not what stands there. This module changes nothing, reads bounded amounts
//! only, and looks at the environment through the caller's function alone.
//! It fails with 77 where there are no (whole) credentials and with 78 where
//! a file or value cannot be used.

#![forbid(unsafe_code)]

mod ini;
mod keyfile;
mod profile;

use crate::error::{Error, Exit, Result, os_reason};
use crate::sign::Credentials;
use std::fs;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::PermissionsExt;

/// The key file of the whole machine, read where a user has none.
const SYSTEM_KEYFILE: &str = "/usr/local/etc/s3pipe.properties";

/// What the user said about credentials.
pub struct Request<'a> {
    /// The file named by `--keyfile` or `S3PIPE_KEYFILE`.
    pub keyfile: Option<&'a str>,
    /// The profile named by `--profile`.
    pub profile: Option<&'a str>,
    /// Looks up an environment variable; set but empty counts as unset.
    pub env: &'a dyn Fn(&str) -> Option<String>,
}

/// Credentials, and what stood beside them in the same place.
#[derive(Clone, Debug)]
pub struct Found {
    /// The access key.
    pub credentials: Credentials,
    /// Where it was found, for `-v`; never a secret.
    pub source: String,
    /// The bucket, from a key file.
    pub bucket: Option<String>,
    /// The stream's name, from a key file.
    pub stream: Option<String>,
    /// The service's URL, from a key file or profile.
    pub endpoint: Option<String>,
    /// The region, from a key file or profile.
    pub region: Option<String>,
    /// What every object's key starts with, from a key file.
    pub prefix: Option<String>,
    /// It came from AWS's own files, which AWS's variables outweigh.
    pub aws_files: bool,
    /// Asking again cannot give other credentials: they came from the
    /// environment or through a pipe.
    pub fixed: bool,
    /// Something the user should hear: a key file that others can read.
    pub warning: Option<String>,
}

impl Found {
    fn new(credentials: Credentials, source: String) -> Found {
        Found {
            credentials,
            source,
            bucket: None,
            stream: None,
            endpoint: None,
            region: None,
            prefix: None,
            aws_files: false,
            fixed: false,
            warning: None,
        }
    }
}

/// Finds credentials: the first of a named key file, a named profile, the
/// environment, the default key files, and the shared AWS files.
///
/// # Errors
/// 77 if there are none, or half of them in the environment; 78 if a file or
/// profile that was named is not there, or one that is there cannot be used.
pub fn find(request: &Request) -> Result<Found> {
    find_in(request, SYSTEM_KEYFILE)
}

/// A place to look: none if it has nothing, which it then notes in `looked`.
type Provider = fn(&mut Search) -> Result<Option<Found>>;

/// The state of one search.
struct Search<'a> {
    env: &'a dyn Fn(&str) -> Option<String>,
    system_keyfile: &'a str,
    /// The places that had nothing, for the message if none has.
    looked: Vec<String>,
}

impl Search<'_> {
    fn get(&self, name: &str) -> Option<String> {
        (self.env)(name).filter(|value| !value.is_empty())
    }

    /// The path of a file in the user's home directory, if there is a home.
    fn at_home(&self, name: &str) -> Option<String> {
        let home = self.get("HOME")?;
        Some(format!("{}/{name}", home.trim_end_matches('/')))
    }
}

fn find_in(request: &Request, system_keyfile: &str) -> Result<Found> {
    let mut search = Search {
        env: request.env,
        system_keyfile,
        looked: Vec::new(),
    };
    if let Some(path) = request.keyfile {
        return keyfile::named(path);
    }
    if let Some(name) = request.profile {
        return profile::named(&search, name);
    }
    let providers: [Provider; 3] = [environment, keyfile::default, profile::shared];
    for provider in providers {
        if let Some(found) = provider(&mut search)? {
            return Ok(found);
        }
    }
    let why = format!("none in {}", search.looked.join(", "));
    Err(Error::new(Exit::Denied, "credentials", why))
}

/// The variables that all of AWS's tools know.
fn environment(search: &mut Search) -> Result<Option<Found>> {
    const NAMES: [&str; 3] = [
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
    ];
    let values = NAMES.map(|name| search.get(name));
    let credentials = match values {
        [Some(id), Some(secret), token] => {
            assemble("environment", NAMES, Credentials { id, secret, token })?
        }
        [None, None, _] => {
            search.looked.push("the environment".to_string());
            return Ok(None);
        }
        [Some(_), None, _] => return Err(half(Exit::Denied, "environment", NAMES[0], NAMES[1])),
        [None, Some(_), _] => return Err(half(Exit::Denied, "environment", NAMES[1], NAMES[0])),
    };
    let mut found = Found::new(credentials, "environment".to_string());
    found.fixed = true;
    Ok(Some(found))
}

fn half(exit: Exit, place: &str, there: &str, missing: &str) -> Error {
    Error::new(exit, place, format!("{there} is set, {missing} is not"))
}

/// Passes credentials on if they can be sent: id and token go into a header
/// as they are, so they must be visible ASCII. `names` is what `place` calls
/// id, secret and token.
fn assemble(place: &str, names: [&str; 3], credentials: Credentials) -> Result<Credentials> {
    let visible = |text: &str| text.chars().all(|c| c.is_ascii_graphic());
    let wrong = if !visible(&credentials.id) {
        names[0]
    } else if credentials.secret.chars().any(char::is_control) {
        names[1]
    } else if !credentials.token.as_deref().is_none_or(visible) {
        names[2]
    } else {
        return Ok(credentials);
    };
    let why = format!("{wrong} has a character that cannot be part of it");
    Err(Error::new(Exit::Config, place, why))
}

/// White space within a line.
const BLANKS: [char; 3] = [' ', '\t', '\x0c'];

/// A setting as it stands in a file.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    key: String,
    value: String,
    /// Its (first) line, from 1.
    line: usize,
}

impl Entry {
    /// The value without the blanks at its end, which no setting has, unless
    /// it could split a header or a message.
    fn text(&self, path: &str) -> Result<String> {
        let value = self.value.trim_end_matches(BLANKS);
        if value.contains('\n') {
            let why = format!("{} goes on in the next line", self.key);
            return Err(malformed(path, self.line, why));
        }
        if value.chars().any(char::is_control) {
            let why = format!("{} has a control character in it", self.key);
            return Err(malformed(path, self.line, why));
        }
        Ok(value.to_string())
    }
}

/// An error at a line of a file. The line itself may hold a secret, so it is
/// never shown.
fn malformed(path: &str, line: usize, why: impl std::fmt::Display) -> Error {
    Error::new(Exit::Config, format!("{path}:{line}"), why)
}

/// What was in a file, and who else can read it.
struct Contents {
    /// The text, with LF alone at the end of lines.
    text: String,
    mode: u32,
    /// False for a pipe, a terminal and the like.
    regular: bool,
}

impl Contents {
    /// What to tell the user if others can read the keys in `path`.
    fn warning(&self, path: &str) -> Option<String> {
        let mode = self.mode & 0o7777;
        (self.regular && mode & 0o044 != 0)
            .then(|| format!("{path}: others can read it (mode {mode:04o}): chmod 600 {path}"))
    }
}

/// Reads a file of at most `limit` bytes; none if it does not exist. A pipe
/// will do, and is read to its end.
fn read(path: &str, limit: u64) -> Result<Option<Contents>> {
    let failed = |e: std::io::Error| Error::new(Exit::Config, path, os_reason(&e));
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(e) => return Err(failed(e)),
    };
    let about = file.metadata().map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > limit {
        let why = format!("larger than {} KiB", limit / 1024);
        return Err(Error::new(Exit::Config, path, why));
    }
    Ok(Some(Contents {
        text: decode(&bytes),
        mode: about.permissions().mode(),
        regular: about.is_file(),
    }))
}

/// Bytes as text: UTF-8, else ISO 8859-1, which Java took them for. CR and
/// CRLF end a line as LF does, so only LF is left.
fn decode(bytes: &[u8]) -> String {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.to_string(),
        Err(_) => bytes.iter().map(|&b| char::from(b)).collect(),
    };
    text.replace("\r\n", "\n").replace('\r', "\n")
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
