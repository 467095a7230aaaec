//! From options, environment and files to a client that is ready to go.
//!
//! A value comes from the command line, else from s3pipe's own variables, else
//! from where the access key was found (see `credentials`): the endpoint in a
//! key file belongs to that key and to no other.

use std::sync::Arc;

use crate::cli::{Command, Options};
use crate::credentials::{self, Found};
use crate::error::{Error, Exit, Result, os_reason};
use crate::os;
use crate::progress::{Progress, Wanted};
use crate::protection::age::Age;
use crate::protection::keyring::Keyring;
use crate::s3::{Client, Headers, Known, Settings, check_bucket, is_region};
use crate::stream::manifest::INDEX_BLOCKS;
use crate::stream::name::{Keys, Name};
use crate::stream::store::Store;
use crate::workers::coordinator::Jobs;

/// Region where nobody names one, as AWS's own tools have it.
const DEFAULT_REGION: &str = "us-east-1";

/// What keys begin with where nobody says otherwise.
const DEFAULT_PREFIX: &str = "s3pipe/";

/// S3 keys have at most 1024 bytes; ours need up to 320 behind the prefix.
const PREFIX_LIMIT: usize = 600;

/// What a command works with.
pub struct Session {
    /// The bucket.
    pub store: Store,
    /// The stream, for the commands that are about one.
    name: Option<Name>,
    /// Where messages go.
    pub progress: Arc<Progress>,
    /// Blocks per index.
    pub index_blocks: u64,
    /// What the user said of workers.
    pub jobs: Jobs,
    /// What encrypts and decrypts.
    pub age: Age,
    /// What seals are made and checked with.
    pub ring: Keyring,
}

impl Session {
    /// The stream that the command is about. 64 if none was named.
    pub fn name(&self) -> Result<Name> {
        self.name.clone().ok_or_else(|| missing("--stream"))
    }
}

/// An option that the command needs was not given.
fn missing(option: &str) -> Error {
    Error::new(Exit::Usage, option, "missing (see s3pipe -h)")
}

fn env(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Gather everything that the command needs, and make the client. Nothing is sent.
pub fn open(options: &Options) -> Result<Session> {
    let transfer = matches!(
        options.command,
        Command::Upload | Command::Download | Command::Verify
    );
    let wanted = Wanted {
        quiet: options.quiet,
        verbose: options.verbose,
        forced: options.progress,
        rate: options.rate,
    };
    let progress = Arc::new(Progress::new(wanted, transfer));
    let headers = Headers::new(&options.headers, |text| progress.warn(text))?;
    let index_blocks = index_blocks()?;
    let profile = options.profile.clone();
    // --profile, too, has precedence over the variable, though it names no key file.
    let configured = || env("S3PIPE_KEYFILE").filter(|_| profile.is_none());
    let keyfile = options.keyfile.clone().or_else(configured);
    let found = find(keyfile.as_deref(), profile.as_deref())?;
    progress.debug(|| format!("credentials: {}", found.source));
    if let Some(warning) = &found.warning {
        progress.warn(warning);
    }
    let (age, ring) = protection(options, &found, &progress)?;
    let bucket = bucket(options, &found)?;
    let name = name(options, &found)?;
    let prefix = options.prefix.clone().or_else(|| found.prefix.clone());
    let prefix = prefix.unwrap_or_else(|| DEFAULT_PREFIX.into());
    check_prefix(&prefix)?;
    let most = if transfer {
        jobs(options, &progress)
    } else {
        1
    };
    let settings = settings(options, &found, bucket, headers)?;
    let reload = Box::new(move || {
        let found = find(keyfile.as_deref(), profile.as_deref())?;
        Ok((found.credentials, found.expires))
    });
    let command = options.command.word();
    let mut client = Client::new(command, settings, reload, progress.clone())?;
    client.set_expiry(found.expires);
    Ok(Session {
        store: Store {
            client,
            keys: Keys::new(&prefix),
        },
        name,
        progress,
        index_blocks,
        jobs: Jobs { most, wanted },
        age,
        ring,
    })
}

/// What the client is made of.
fn settings(
    options: &Options,
    found: &Found,
    bucket: String,
    headers: Headers,
) -> Result<Settings> {
    let region = options.region.as_ref().or(found.region.as_ref());
    let ca_file = options.ca_file.as_ref().or(found.ca_bundle.as_ref());
    let endpoint = options.endpoint.as_ref().or(found.endpoint.as_ref());
    Ok(Settings {
        endpoint: endpoint.cloned(),
        addressing: options.addressing,
        region: checked_region(region)?,
        bucket,
        signature: options.signature,
        credentials: found.credentials.clone(),
        renewable: !found.fixed,
        headers,
        limits: options.limits,
        ca_file: ca_file.cloned(),
        known: Known::default(),
    })
}

/// What encrypts and seals, as far as the command needs it: other commands must not
/// fail because a key is missing.
fn protection(options: &Options, found: &Found, progress: &Progress) -> Result<(Age, Keyring)> {
    let mut settings = options.protection.or(&found.protection);
    match options.command {
        Command::Upload => settings.identity = None,
        Command::Download | Command::Verify | Command::Info => settings.encrypt_to.clear(),
        Command::List if options.long => settings.encrypt_to.clear(),
        _ => return Ok((Age::default(), Keyring::default())),
    }
    if options.resume && !settings.encrypt_to.is_empty() {
        let why = "not together with --encrypt-to: age(1) never writes the same twice";
        return Err(Error::new(Exit::Usage, "--resume", why));
    }
    let program = env("S3PIPE_AGE");
    let age = Age::new(program, &settings.encrypt_to, settings.identity.clone())?;
    Ok((age, Keyring::new(&settings, |text| progress.warn(text))?))
}

/// How many workers there may be: none if this program's own file is not found.
fn jobs(options: &Options, progress: &Progress) -> usize {
    match os::myself() {
        Err(e) if options.jobs > 1 => {
            let why = os_reason(&e);
            progress.warn(&format!("-j: own executable not found: {why}: no workers"));
            1
        }
        _ => options.jobs,
    }
}

fn find(keyfile: Option<&str>, profile: Option<&str>) -> Result<Found> {
    credentials::obtain(&credentials::Lookup {
        keyfile,
        profile,
        env: &env,
    })
}

/// The bucket; `deletebucket` takes it from the command line only, so that no
/// setting can aim it.
fn bucket(options: &Options, found: &Found) -> Result<String> {
    let configured = || env("S3PIPE_BUCKET").or_else(|| found.bucket.clone());
    let bucket = match options.command {
        Command::DeleteBucket => options.bucket.clone(),
        _ => options.bucket.clone().or_else(configured),
    };
    let bucket = bucket.ok_or_else(|| missing("--bucket"))?;
    check_bucket(&bucket)?;
    Ok(bucket)
}

/// The stream, where the command is about one.
fn name(options: &Options, found: &Found) -> Result<Option<Name>> {
    let configured = || env("S3PIPE_STREAM").or_else(|| found.stream.clone());
    let text = match options.command {
        Command::List | Command::Clean | Command::CreateBucket | Command::DeleteBucket => {
            return Ok(None);
        }
        Command::Delete => options.stream.clone(),
        _ => options.stream.clone().or_else(configured),
    };
    let name = Name::new(&text.ok_or_else(|| missing("--stream"))?)?;
    if options.command == Command::Upload && options.force {
        check_volume(&name, env("DUMP_VOLUME").as_deref())?;
    }
    Ok(Some(name))
}

/// dump(8) runs its pipeline once for each volume: with -f, volume 2 would
/// replace volume 1 unless the name tells them apart.
fn check_volume(name: &Name, volume: Option<&str>) -> Result<()> {
    let Some(volume) = volume.and_then(|v| v.parse::<u64>().ok()) else {
        return Ok(());
    };
    let digits = name.text().len()
        - name
            .text()
            .trim_end_matches(|c: char| c.is_ascii_digit())
            .len();
    let number = &name.text()[name.text().len() - digits..];
    if volume <= 1 || number.parse() == Ok(volume) {
        return Ok(());
    }
    let why = format!(
        "DUMP_VOLUME is {volume}, and the stream's name does not end in it: \
         this would replace an earlier volume"
    );
    Err(Error::new(Exit::Usage, "--force", why))
}

fn check_prefix(prefix: &str) -> Result<()> {
    let why = match prefix {
        p if p.len() > PREFIX_LIMIT => format!("longer than {PREFIX_LIMIT} bytes"),
        p if p.chars().any(char::is_control) => "has control characters".into(),
        p if p.starts_with('/') => "must not begin with a slash".into(),
        p if p.split('/').any(|s| s == "." || s == "..") => "has a part '.' or '..'".into(),
        p if p.contains("//") => "has an empty part".into(),
        _ => return Ok(()),
    };
    Err(Error::new(Exit::Usage, "--prefix", why))
}

fn checked_region(named: Option<&String>) -> Result<String> {
    let region = named.map_or(DEFAULT_REGION, String::as_str);
    if is_region(region) {
        return Ok(region.to_string());
    }
    let why = format!("'{region}' is no region's name");
    Err(Error::new(Exit::Config, "region", why))
}

/// Blocks per index; tests make indexes short, to have several of them.
fn index_blocks() -> Result<u64> {
    let Some(text) = env("S3PIPE_INDEX_BLOCKS") else {
        return Ok(INDEX_BLOCKS);
    };
    let n = text.parse().ok().filter(|n| (1..=INDEX_BLOCKS).contains(n));
    n.ok_or_else(|| {
        let why = format!("must be from 1 to {INDEX_BLOCKS}");
        Error::new(Exit::Config, "S3PIPE_INDEX_BLOCKS", why)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_volumes_do_not_replace_earlier_ones() {
        let check = |name: &str, volume| check_volume(&Name::new(name).unwrap(), volume);
        assert!(check("export", None).is_ok());
        assert!(check("export", Some("1")).is_ok());
        assert!(check("export.2", Some("2")).is_ok());
        assert!(check("export.02", Some("2")).is_ok());
        assert!(check("export.12", Some("2")).is_err());
        assert_eq!(check("export", Some("2")).unwrap_err().exit(), Exit::Usage);
    }

    #[test]
    fn prefixes_are_plain_paths() {
        for good in ["", "s3pipe/", "a/b-", "Größe/"] {
            assert!(check_prefix(good).is_ok(), "{good}");
        }
        for bad in ["/a", "a//b", "../a", "a/./b", "a\nb", &"x".repeat(601)] {
            assert!(check_prefix(bad).is_err(), "{bad}");
        }
    }
}
