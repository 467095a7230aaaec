//! Where the access key comes from: a chain of providers, the first that has
//! any wins.
//!
//! Named key file, named profile, environment, default key file, shared AWS
//! files, container endpoint, instance metadata. A provider is a function
//! that answers 'found', 'nothing here' or an error; further ones go into the
//! list in [`first`]. What is half there, unreadable or malformed is an error
//! and never 'nothing here', so that nobody works under another identity than
//! the one they set up. What goes with a key (region, endpoint, certificates)
//! is added in the end, by `aws_settings`.
//!
//! Secrets must never reach a message: errors name files, lines, settings and
//! hosts, not what stands there. This module changes nothing, reads bounded
//! amounts only, and looks at the environment through the caller's function
//! alone. [`obtain`] looks into variables and files, and then asks the
//! programs and services that these name, each for a bounded time. It fails
//! with 77 where there are no (whole) credentials and with 78 where a file or
//! value cannot be used.

mod aws_settings;
mod container;
mod environment;
mod imds;
mod ini;
mod key_json;
mod keyfile;
mod nearby;
mod process;
mod profile;
mod shell_words;

use std::cell::OnceCell;

use profile::Files;

use crate::error::{Error, Exit, Result};
use crate::os;
use crate::protection::Protection;
use crate::sign::Credentials;
use crate::text::time::Utc;

/// The key file of the whole machine, read where a user has none.
const SYSTEM_KEYFILE: &str = "/usr/local/etc/s3pipe.properties";

/// Where credentials are to be looked for, as far as the user said so.
pub struct Lookup<'a> {
    /// The file named by `--keyfile` or `S3PIPE_KEYFILE`.
    pub keyfile: Option<&'a str>,
    /// The profile named by `--profile`.
    pub profile: Option<&'a str>,
    /// Looks up an environment variable; set but empty counts as unset.
    pub env: &'a dyn Fn(&str) -> Option<String>,
}

/// Credentials, and what goes with them.
#[derive(Clone, Debug)]
pub struct Found {
    /// The access key.
    pub credentials: Credentials,
    /// Where it was found, for `-v`; never a secret.
    pub source: String,
    /// When they expire, by the clock of whoever gave them; none if they do
    /// not, or nobody said.
    pub expires: Option<Utc>,
    /// The bucket, from a key file.
    pub bucket: Option<String>,
    /// The stream's name, from a key file.
    pub stream: Option<String>,
    /// The service's URL: from the key file that held the key, AWS's
    /// variables, or the profile.
    pub endpoint: Option<String>,
    /// The region, likewise.
    pub region: Option<String>,
    /// A PEM file with the certificates to trust: from AWS's variable or the
    /// profile.
    pub ca_bundle: Option<String>,
    /// What every object's key starts with, from a key file.
    pub prefix: Option<String>,
    /// What is to be encrypted and sealed, from a key file.
    pub protection: Protection,
    /// The key was found where AWS's tools look, so that a profile's settings go
    /// with it.
    aws: bool,
    /// Asking again cannot give other credentials: they came from the
    /// environment or through a pipe.
    pub fixed: bool,
    /// A warning for the user: others can read the key file.
    pub warning: Option<String>,
}

impl Found {
    fn new(credentials: Credentials, source: String) -> Found {
        Found {
            credentials,
            source,
            expires: None,
            bucket: None,
            stream: None,
            endpoint: None,
            region: None,
            ca_bundle: None,
            prefix: None,
            protection: Protection::default(),
            aws: false,
            fixed: false,
            warning: None,
        }
    }
}

/// Finds credentials: the first of a named key file, a named profile, the
/// environment, the default key files, the shared AWS files, the container's
/// endpoint and the instance's metadata service. Runs the `credential_process` of
/// a profile. May take a minute, and is ended by a signal that asks to stop.
///
/// # Errors
/// 77 if there are none, half of them in the environment, or whoever was asked
/// gave no key; 78 if a file or profile that was named is not there, or one that
/// is there cannot be used; 128 and more if a signal came.
pub fn obtain(lookup: &Lookup) -> Result<Found> {
    find_in(lookup, SYSTEM_KEYFILE, true)
}

/// The same in variables and files alone: no program is started and nobody asked.
/// A profile with a `credential_process` cannot be used then (78).
#[cfg(any(test, fuzzing))]
pub fn find(lookup: &Lookup) -> Result<Found> {
    find_in(lookup, SYSTEM_KEYFILE, false)
}

/// A place to look: none if it has nothing, which it then notes in `looked`.
type Provider = fn(&mut Search) -> Result<Option<Found>>;

/// The state of one search.
struct Search<'a> {
    env: &'a dyn Fn(&str) -> Option<String>,
    system_keyfile: &'a str,
    /// Whether programs and services are asked.
    asks: bool,
    /// AWS's files, once they were read. They cannot be read twice: one of them
    /// may be a pipe.
    files: OnceCell<Files>,
    /// The places that had nothing, for the message if none has.
    looked: Vec<String>,
}

impl<'a> Search<'a> {
    fn new(
        env: &'a dyn Fn(&str) -> Option<String>,
        system_keyfile: &'a str,
        asks: bool,
    ) -> Search<'a> {
        Search {
            env,
            system_keyfile,
            asks,
            files: OnceCell::new(),
            looked: Vec::new(),
        }
    }

    /// An environment variable; set but empty is as unset.
    fn get(&self, name: &str) -> Option<String> {
        (self.env)(name).filter(|value| !value.is_empty())
    }

    /// The path of a file in the user's home directory, if there is a home.
    fn at_home(&self, name: &str) -> Option<String> {
        let home = self.get("HOME")?;
        Some(format!("{}/{name}", home.trim_end_matches('/')))
    }

    /// AWS's files, which are read when they are first asked for.
    fn files(&self) -> Result<&Files> {
        match self.files.get() {
            Some(files) => Ok(files),
            None => {
                let files = Files::open(self)?;
                Ok(self.files.get_or_init(|| files))
            }
        }
    }
}

fn find_in(lookup: &Lookup, system_keyfile: &str, asks: bool) -> Result<Found> {
    let mut search = Search::new(lookup.env, system_keyfile, asks);
    let mut found = match (lookup.keyfile, lookup.profile) {
        (Some(path), _) => keyfile::named(path)?,
        (None, Some(name)) => profile::named(&search, name)?,
        (None, None) => first(&mut search)?,
    };
    aws_settings::add(&search, lookup.profile, &mut found)?;
    Ok(found)
}

/// The key of the first provider that has one.
fn first(search: &mut Search) -> Result<Found> {
    let silent: [Provider; 4] = [
        environment::pair,
        keyfile::default,
        profile::shared,
        environment::web_identity,
    ];
    let asked: &[Provider] = if search.asks {
        &[container::endpoint, imds::service]
    } else {
        &[]
    };
    for provider in silent.iter().chain(asked) {
        if let Some(found) = provider(search)? {
            return Ok(found);
        }
    }
    let why = format!("none in {}", search.looked.join(", "));
    Err(Error::new(Exit::Denied, "credentials", why))
}

/// What to do where only AWS's own tools can get the key.
fn left_to_aws(profile: Option<&str>) -> String {
    let profile = profile.map_or(String::new(), |name| {
        if name.contains(' ') {
            format!(" --profile '{name}'")
        } else {
            format!(" --profile {name}")
        }
    });
    format!(
        "s3pipe leaves this to AWS's own tools: use another profile, with \
         credential_process = aws configure export-credentials{profile} --format process"
    )
}

/// An error for a pair of settings of which only one is there.
fn half(exit: Exit, place: &str, there: &str, missing: &str) -> Error {
    Error::new(exit, place, format!("{there} is set, {missing} is not"))
}

/// Reads a time, which all providers write in the same way.
fn timestamp(place: &str, name: &str, text: &str) -> Result<Utc> {
    let refuse = || Error::new(Exit::Config, place, format!("{name} is no time (RFC 3339)"));
    Utc::parse_rfc3339(text).ok_or_else(refuse)
}

/// An error if a signal asked us to stop while we waited for `place`.
fn stopped(place: &str) -> Result<()> {
    match os::stop_signal() {
        None => Ok(()),
        Some(n) => {
            let why = format!("stopped by {}", os::signal_name(n));
            Err(Error::new(Exit::Signal(n), place, why))
        }
    }
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

/// What a file says, as text: UTF-8, else ISO 8859-1, which Java took key files
/// for. CR and CRLF end a line as LF does, so only LF is left.
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
