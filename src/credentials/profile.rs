//! Profiles in the shared credentials and config files of AWS's tools.
//!
//! A profile has its key itself, or a program that gives it. One whose key
//! comes from elsewhere (a role, single sign-on) is refused, wherever it was
//! named, and told how AWS's own tools can be that program; never is another
//! profile, or the machine's role, used in its stead. One that says nothing of
//! keys is passed over unless the command line named it. It fails with 78 and
//! names the file or profile.
//!
//! Source: the AWS SDKs and Tools Reference Guide, 'Shared config and
//! credentials files' and 'Service-specific endpoints'.

use std::fs;
use std::io::ErrorKind;

use super::ini::{self, Section};
use super::{BLANKS, Entry, Found, Search, assemble, decode, half, left_to_aws, process};
use crate::error::{Error, Exit, Result};
use crate::os::files::{self, Contents};
use crate::sign::Credentials;

const LIMIT: u64 = 1024 * 1024;
const ID: &str = "aws_access_key_id";
const SECRET: &str = "aws_secret_access_key";
/// The older name comes first, as with botocore.
const TOKENS: [&str; 2] = ["aws_security_token", "aws_session_token"];
const PROCESS: &str = "credential_process";
const ROLE: &str = "role_arn";
/// What tells of a profile whose key comes from elsewhere.
const ELSEWHERE: [&str; 6] = [
    "web_identity_token_file",
    "sso_session",
    "sso_start_url",
    "sso_account_id",
    "sso_role_name",
    "login_session",
];

/// The profile that the command line names; it must exist and have a key.
pub(super) fn named(search: &Search, name: &str) -> Result<Found> {
    let profile = search.files()?.named(name)?;
    let lacking = || profile.error(format!("it lacks {ID} and {SECRET}, or {PROCESS}"));
    profile.found(search)?.ok_or_else(lacking)
}

/// The profile that the environment names, else the one called 'default'.
pub(super) fn shared(search: &mut Search) -> Result<Option<Found>> {
    let profile = current(search, None)?;
    let (mut place, mut found) = (String::new(), None);
    if let Some(profile) = profile {
        place = format!(" (profile {})", profile.name);
        found = profile.found(search)?;
    }
    if found.is_none() {
        let paths = search.files()?.paths().join(" and ");
        search
            .looked
            .extend((!paths.is_empty()).then(|| paths + &place));
    }
    Ok(found)
}

/// The profile whose settings count: the one that the command line or the
/// environment names, which must exist, else 'default', if it exists.
/// AWS_PROFILE comes first; botocore alone has these two the other way round.
pub(super) fn current<'a>(search: &'a Search, named: Option<&str>) -> Result<Option<Profile<'a>>> {
    let variables = ["AWS_PROFILE", "AWS_DEFAULT_PROFILE"];
    let variable = || variables.iter().find_map(|name| search.get(name));
    let files = search.files()?;
    match named.map(String::from).or_else(variable) {
        Some(name) => files.named(&name).map(Some),
        None => Ok(files.profile("default")),
    }
}

/// A setting of the profile whose settings count.
pub(super) fn setting(search: &Search, key: &str) -> Result<Option<String>> {
    current(search, None)?.map_or(Ok(None), |profile| profile.text(key))
}

/// Both files, in order of precedence; absent if there is no path to it.
pub(super) struct Files {
    credentials: Option<File>,
    config: Option<File>,
}

/// One of the files; without contents if it does not exist.
struct File {
    path: String,
    contents: Option<Contents>,
    sections: Vec<Section>,
}

impl Files {
    pub(super) fn open(search: &Search) -> Result<Files> {
        Ok(Files {
            credentials: File::open(search, "AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials")?,
            config: File::open(search, "AWS_CONFIG_FILE", ".aws/config")?,
        })
    }

    fn paths(&self) -> Vec<&str> {
        let files = self.credentials.iter().chain(&self.config);
        files.map(|f| f.path.as_str()).collect()
    }

    /// A profile that must exist.
    fn named(&self, name: &str) -> Result<Profile<'_>> {
        self.profile(name).ok_or_else(|| {
            let why = match self.paths().as_slice() {
                [] => "there are no files to look in, HOME is not set".to_string(),
                paths => format!("not in {}", paths.join(" or ")),
            };
            Error::new(Exit::Config, format!("profile {name}"), why)
        })
    }

    fn profile(&self, name: &str) -> Option<Profile<'_>> {
        let profile = Profile {
            name: name.to_string(),
            shared: part(&self.credentials, |header| header == name),
            // `[default]` counts only where there is no `[profile default]`.
            config: part(&self.config, |header| {
                titled(header, "profile") == Some(name)
            })
            .or_else(|| part(&self.config, |header| header == name && name == "default")),
            file: &self.config,
        };
        let exists = profile.shared.is_some() || profile.config.is_some();
        exists.then_some(profile)
    }
}

impl File {
    fn open(search: &Search, variable: &str, default: &str) -> Result<Option<File>> {
        let path = match search.get(variable) {
            Some(path) => match path.strip_prefix("~/") {
                Some(rest) => search.at_home(rest),
                None => Some(path),
            },
            None => search.at_home(default),
        };
        let Some(path) = path else { return Ok(None) };
        let contents = if is_out_of_reach(&path) {
            None
        } else {
            files::read_if_there(&path, LIMIT)?
        };
        let bytes = contents.as_ref().map_or(&[][..], |c| &c.bytes);
        let sections = ini::parse(&path, &decode(bytes))?;
        Ok(Some(File {
            path,
            contents,
            sections,
        }))
    }
}

/// Whether a file's folder is closed to us, as another user's home is where
/// HOME was kept: nothing there is ours, and botocore sees nothing either.
fn is_out_of_reach(path: &str) -> bool {
    fs::metadata(path).is_err_and(|e| e.kind() == ErrorKind::PermissionDenied)
}

/// The name in a header such as `profile name` or `services "a name"`, if it
/// is titled so and has just one name.
fn titled<'a>(header: &'a str, title: &str) -> Option<&'a str> {
    let rest = header.strip_prefix(title)?;
    let name = rest.trim();
    if rest.len() == rest.trim_start().len() {
        return None;
    }
    for quote in ['"', '\''] {
        if let Some(quoted) = name.strip_prefix(quote) {
            return quoted.strip_suffix(quote);
        }
    }
    (!name.is_empty() && !name.contains(char::is_whitespace)).then_some(name)
}

/// What one file has under one name: perhaps several sections.
struct Part<'a> {
    file: &'a File,
    sections: Vec<&'a Section>,
}

fn part<'a>(file: &'a Option<File>, matches: impl Fn(&str) -> bool) -> Option<Part<'a>> {
    let file = file.as_ref()?;
    let sections: Vec<_> = file.sections.iter().filter(|s| matches(&s.name)).collect();
    (!sections.is_empty()).then_some(Part { file, sections })
}

impl Part<'_> {
    /// The last setting of that name; empty is as unset.
    fn get(&self, key: &str) -> Option<&Entry> {
        let mut entries = self
            .sections
            .iter()
            .rev()
            .flat_map(|s| s.entries.iter().rev());
        entries
            .find(|e| e.key == key)
            .filter(|e| !e.value.is_empty())
    }

    fn text(&self, key: &str) -> Result<Option<String>> {
        self.get(key).map(|e| e.text(&self.file.path)).transpose()
    }

    /// The key, which must be whole within one file.
    fn credentials(&self, profile: &str) -> Result<Option<Credentials>> {
        let path = &self.file.path;
        let lacks = |there, missing| {
            let place = format!("{path}: profile {profile}");
            Err(half(Exit::Config, &place, there, missing))
        };
        match (self.text(ID)?, self.text(SECRET)?) {
            (Some(id), Some(secret)) => {
                let set = |name: &&str| self.get(name).is_some();
                let name = TOKENS.into_iter().find(set).unwrap_or(TOKENS[1]);
                let token = self.text(name)?;
                let credentials = Credentials { id, secret, token };
                assemble(path, [ID, SECRET, name], credentials).map(Some)
            }
            (Some(_), None) => lacks(ID, SECRET),
            (None, Some(_)) => lacks(SECRET, ID),
            (None, None) => Ok(None),
        }
    }
}

/// A profile: what the credentials file has of it, and what the config file.
pub(super) struct Profile<'a> {
    name: String,
    shared: Option<Part<'a>>,
    config: Option<Part<'a>>,
    /// The config file, which has the services.
    file: &'a Option<File>,
}

impl Profile<'_> {
    fn error(&self, why: impl std::fmt::Display) -> Error {
        Error::new(Exit::Config, format!("profile {}", self.name), why)
    }

    /// The part that has a setting: that of the credentials file outweighs
    /// the other, as botocore merges the two.
    fn part(&self, key: &str) -> Option<&Part<'_>> {
        let mut parts = self.shared.iter().chain(&self.config);
        parts.find(|part| part.get(key).is_some())
    }

    /// A setting, of whichever part has it.
    pub(super) fn text(&self, key: &str) -> Result<Option<String>> {
        self.part(key).map_or(Ok(None), |part| part.text(key))
    }

    /// The key, in botocore's order: a role, a key in the credentials file, a
    /// program, a key in the config file.
    fn found(&self, search: &Search) -> Result<Option<Found>> {
        // Keys beside a role are those that it is taken on with; to use them
        // would be to act as somebody else.
        if self.part(ROLE).is_some() {
            return Err(self.elsewhere(ROLE));
        }
        if let Some(found) = self.in_part(&self.shared)? {
            return Ok(Some(found));
        }
        if let Some(part) = self.part(PROCESS)
            && let Some(entry) = part.get(PROCESS)
        {
            return self.asked(search, part, entry).map(Some);
        }
        if let Some(found) = self.in_part(&self.config)? {
            return Ok(Some(found));
        }
        match ELSEWHERE.into_iter().find(|key| self.part(key).is_some()) {
            Some(key) => Err(self.elsewhere(key)),
            None => Ok(None),
        }
    }

    fn elsewhere(&self, key: &str) -> Error {
        let why = format!("{key}: {}", left_to_aws(Some(&self.name)));
        self.error(why)
    }

    fn in_part(&self, part: &Option<Part>) -> Result<Option<Found>> {
        let Some(part) = part else { return Ok(None) };
        let Some(credentials) = part.credentials(&self.name)? else {
            return Ok(None);
        };
        let path = &part.file.path;
        let contents = part.file.contents.as_ref();
        Ok(Some(Found {
            fixed: contents.is_some_and(|c| !c.regular),
            warning: contents.and_then(|c| c.exposed.clone()),
            aws: true,
            ..Found::new(credentials, format!("profile {} in {path}", self.name))
        }))
    }

    /// The key that the program prints. Its words may stand on several lines.
    fn asked(&self, search: &Search, part: &Part, entry: &Entry) -> Result<Found> {
        let (name, path) = (&self.name, &part.file.path);
        if !search.asks {
            let place = format!("profile {name}: {PROCESS}");
            return Err(Error::new(Exit::Config, place, "no program is run here"));
        }
        let (credentials, expires) = process::ask(name, entry.value.trim_matches(BLANKS))?;
        let source = format!("{PROCESS} of profile {name} in {path}");
        Ok(Found {
            expires,
            aws: true,
            ..Found::new(credentials, source)
        })
    }

    /// The endpoint of S3 from the services section that the profile names,
    /// else the profile's for all services. A services section that is not
    /// there is an error: the keys could go to the wrong place.
    pub(super) fn endpoint(&self) -> Result<Option<String>> {
        if let Some(name) = self.text("services")? {
            let services = part(self.file, |header| {
                titled(header, "services") == Some(&name)
            });
            let Some(services) = services else {
                let why = format!("there is no section [services {name}] in the config file");
                return Err(self.error(why));
            };
            let path = &services.file.path;
            if let Some(block) = services.get("s3")
                && let Some(entry) = ini::nested(path, block, "endpoint_url")?
            {
                return entry.text(path).map(Some);
            }
        }
        self.text("endpoint_url")
    }
}

#[cfg(test)]
#[path = "profile_tests.rs"]
mod tests;
