//! Profiles in the shared credentials and config files of AWS's tools.
//!
//! Only profiles with static keys are used. One that takes its keys from
//! elsewhere (a role, a process, single sign-on) is passed over where it is
//! merely the default, and refused where the user named it; never is another
//! profile used in its stead. It fails with 78 and names the file or profile.
//!
//! Source: the AWS SDKs and Tools Reference Guide, 'Shared config and
//! credentials files' and 'Service-specific endpoints'.

#![forbid(unsafe_code)]

use super::ini::{self, Section};
use super::{Contents, Entry, Found, Search, assemble, half, read};
use crate::error::{Error, Exit, Result};
use crate::sign::Credentials;

const LIMIT: u64 = 1024 * 1024;
const NAMES: [&str; 3] = [
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_session_token",
];
/// What tells of a profile whose keys come from elsewhere.
const ELSEWHERE: [&str; 6] = [
    "role_arn",
    "web_identity_token_file",
    "credential_process",
    "sso_session",
    "sso_start_url",
    "login_session",
];

/// The profile that the user named; it must exist and have keys.
pub(super) fn named(search: &Search, name: &str) -> Result<Found> {
    let files = Files::open(search)?;
    let refuse = |why: String| Error::new(Exit::Config, format!("profile {name}"), why);
    let Some(profile) = files.profile(name) else {
        return Err(refuse(match files.paths().as_slice() {
            [] => "there are no files to look in, HOME is not set".to_string(),
            paths => format!("not in {}", paths.join(" or ")),
        }));
    };
    match profile.found()? {
        Some(found) => Ok(found),
        None => {
            let unsupported = match profile.elsewhere() {
                Some(key) => format!("{key} is not supported, a profile needs"),
                None => "it lacks".to_string(),
            };
            Err(refuse(format!(
                "{unsupported} {} and {}",
                NAMES[0], NAMES[1]
            )))
        }
    }
}

/// The profile that the environment names, else the one called 'default'.
/// AWS_PROFILE comes first; botocore alone has these two the other way round.
pub(super) fn shared(search: &mut Search) -> Result<Option<Found>> {
    let variables = ["AWS_PROFILE", "AWS_DEFAULT_PROFILE"];
    if let Some(name) = variables.iter().find_map(|name| search.get(name)) {
        return named(search, &name).map(Some);
    }
    let files = Files::open(search)?;
    let profile = files.profile("default");
    if let Some(profile) = &profile
        && let Some(found) = profile.found()?
    {
        return Ok(Some(found));
    }
    search
        .looked
        .extend(files.paths().iter().map(|p| p.to_string()));
    if let Some(key) = profile.as_ref().and_then(Profile::elsewhere)
        && let Some(last) = search.looked.last_mut()
    {
        last.push_str(&format!(" (where {key} is not supported)"));
    }
    Ok(None)
}

/// Both files, in order of precedence; absent if there is no path to it.
struct Files {
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
    fn open(search: &Search) -> Result<Files> {
        Ok(Files {
            credentials: File::open(search, "AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials")?,
            config: File::open(search, "AWS_CONFIG_FILE", ".aws/config")?,
        })
    }

    fn paths(&self) -> Vec<&str> {
        let files = self.credentials.iter().chain(&self.config);
        files.map(|f| f.path.as_str()).collect()
    }

    fn profile<'a>(&'a self, name: &'a str) -> Option<Profile<'a>> {
        let parts: Vec<Part> = [
            part(&self.credentials, |header| header == name),
            // `[default]` counts only where there is no `[profile default]`.
            part(&self.config, |header| {
                titled(header, "profile") == Some(name)
            })
            .or_else(|| part(&self.config, |header| header == name && name == "default")),
        ]
        .into_iter()
        .flatten()
        .collect();
        (!parts.is_empty()).then_some(Profile {
            name,
            parts,
            config: &self.config,
        })
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
        let contents = read(&path, LIMIT)?;
        let text = contents.as_ref().map_or("", |c| &c.text);
        let sections = ini::parse(&path, text)?;
        Ok(Some(File {
            path,
            contents,
            sections,
        }))
    }
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

    /// The keys, which must be whole within one file.
    fn credentials(&self, profile: &str) -> Result<Option<Credentials>> {
        let path = &self.file.path;
        let lacks = |there, missing| {
            let place = format!("{path}: profile {profile}");
            Err(half(Exit::Config, &place, there, missing))
        };
        match (self.text(NAMES[0])?, self.text(NAMES[1])?) {
            (Some(id), Some(secret)) => {
                let token = self.text(NAMES[2])?;
                assemble(path, NAMES, Credentials { id, secret, token }).map(Some)
            }
            (Some(_), None) => lacks(NAMES[0], NAMES[1]),
            (None, Some(_)) => lacks(NAMES[1], NAMES[0]),
            (None, None) => Ok(None),
        }
    }
}

/// A profile: its part in the credentials file, then that in the config file.
struct Profile<'a> {
    name: &'a str,
    parts: Vec<Part<'a>>,
    config: &'a Option<File>,
}

impl Profile<'_> {
    /// Where it says that its keys come from, if not out of itself.
    fn elsewhere(&self) -> Option<&'static str> {
        let has = |key: &&str| self.parts.iter().any(|part| part.get(key).is_some());
        ELSEWHERE.into_iter().find(has)
    }

    fn text(&self, key: &str) -> Result<Option<String>> {
        let part = self.parts.iter().find(|part| part.get(key).is_some());
        part.map_or(Ok(None), |part| part.text(key))
    }

    fn found(&self) -> Result<Option<Found>> {
        // AWS's tools take on the role even where there are keys; to use the
        // keys would be to act as somebody else.
        if matches!(self.elsewhere(), Some("role_arn")) {
            return Ok(None);
        }
        for part in &self.parts {
            let Some(credentials) = part.credentials(self.name)? else {
                continue;
            };
            let path = &part.file.path;
            let contents = part.file.contents.as_ref();
            return Ok(Some(Found {
                region: self.text("region")?,
                endpoint: self.endpoint()?,
                fixed: contents.is_some_and(|c| !c.regular),
                warning: contents.and_then(|c| c.warning(path)),
                aws_files: true,
                ..Found::new(credentials, format!("profile {} in {path}", self.name))
            }));
        }
        Ok(None)
    }

    /// The endpoint of S3 from the services section that the profile names,
    /// else the profile's for all services. A services section that is not
    /// there is an error: the keys could go to the wrong place.
    fn endpoint(&self) -> Result<Option<String>> {
        let ignore = self.text("ignore_configured_endpoint_urls")?;
        if ignore.is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return Ok(None);
        }
        if let Some(name) = self.text("services")? {
            let services = part(self.config, |header| {
                titled(header, "services") == Some(&name)
            });
            let Some(services) = services else {
                let why = format!("there is no section [services {name}] in the config file");
                let what = format!("profile {}", self.name);
                return Err(Error::new(Exit::Config, what, why));
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
