//! The values of options, checked and with their defaults.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::Command::{self, List};
use super::{bad, dashes};
use crate::error::Result;
use crate::protection::Protection;
use crate::s3::{Addressing, Limits};
use crate::sign::Version;
use crate::stream::manifest::BLOCK_SIZES;
use crate::text::units;

/// How many workers there may be.
const JOBS: RangeInclusive<usize> = 1..=64;
const DEFAULT_JOBS: usize = 4;

/// Where no `--older-than` is given.
const OLD: Duration = Duration::from_secs(7 * 86_400);

/// A checked command line.
#[derive(Clone, Debug)]
pub struct Options {
    /// What to do.
    pub command: Command,
    /// `-b`, or the bucket of `-s s3://bucket/name`.
    pub bucket: Option<String>,
    /// `-s`.
    pub stream: Option<String>,
    /// `-k`.
    pub keyfile: Option<String>,
    /// `--profile`.
    pub profile: Option<String>,
    /// `--region`.
    pub region: Option<String>,
    /// `--endpoint`.
    pub endpoint: Option<String>,
    /// `--prefix`.
    pub prefix: Option<String>,
    /// `--addressing`.
    pub addressing: Addressing,
    /// `--blocksize`, in bytes.
    pub blocksize: Option<u64>,
    /// `--patience`, `--retry` and `--timeout`.
    pub limits: Limits,
    /// `-j`.
    pub jobs: usize,
    /// `--limit-rate`, in bytes a second.
    pub rate: Option<u64>,
    /// `--force`.
    pub force: bool,
    /// `--resume`.
    pub resume: bool,
    /// `--offset`, in bytes.
    pub offset: u64,
    /// `--length`, in bytes.
    pub length: Option<u64>,
    /// `--min-size`, in bytes.
    pub min_size: u64,
    /// `--size`, in bytes.
    pub size: Option<u64>,
    /// What to encrypt and seal with.
    pub protection: Protection,
    /// `--header`, as given.
    pub headers: Vec<String>,
    /// `--signature`.
    pub signature: Version,
    /// `--ca-file`.
    pub ca_file: Option<String>,
    /// `-l`.
    pub long: bool,
    /// `--incomplete`.
    pub incomplete: bool,
    /// `--raw`.
    pub raw: bool,
    /// `--quick`.
    pub quick: bool,
    /// `--older-than`.
    pub older_than: Duration,
    /// `-n`.
    pub dry_run: bool,
    /// `-q`.
    pub quiet: bool,
    /// `-v`.
    pub verbose: bool,
    /// `--progress`.
    pub progress: bool,
    /// The command behind `--`; empty if there is none.
    pub argv: Vec<String>,
}

/// What was given, asked for option by option.
struct Values<'a>(&'a getopts::Matches);

impl Values<'_> {
    fn flag(&self, name: &str) -> bool {
        self.0.opt_present(name)
    }

    fn text(&self, name: &str) -> Result<Option<String>> {
        match self.0.opt_str(name) {
            Some(value) if value.is_empty() => Err(bad(&dashes(name), "is empty")),
            value => Ok(value),
        }
    }

    /// What `parse` makes of the value; `why` not, with the value for a `{}`.
    fn parsed<T>(
        &self,
        name: &str,
        why: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>> {
        let parsed = self.text(name)?.map(|text| {
            let why = || bad(&dashes(name), &why.replace("{}", &text));
            parse(&text).ok_or_else(why)
        });
        parsed.transpose()
    }

    /// In bytes; a bare number is so many times `unit`.
    fn size(&self, name: &str, unit: u64) -> Result<Option<u64>> {
        let why = "'{}' is no size, such as 512K, 16M or 1G";
        self.parsed(name, why, |text| units::size(text, unit))
    }

    fn time(&self, name: &str) -> Result<Option<Duration>> {
        let why = "'{}' is no time, such as 90s, 30m, 24h or 7d";
        self.parsed(name, why, units::time)
    }

    fn number<T: TryFrom<u64>>(&self, name: &str, why: &str) -> Result<Option<T>> {
        self.parsed(name, why, |text| T::try_from(units::number(text)?).ok())
    }
}

/// Everything that was given to this command.
pub fn options(matches: &getopts::Matches, command: Command) -> Result<Options> {
    let given = Values(matches);
    let (bucket, stream) = bucket_and_stream(&given)?;
    if given.flag("keyfile") && given.flag("profile") {
        return Err(bad("--profile", "not together with --keyfile"));
    }
    if given.flag("l") && given.flag("incomplete") {
        return Err(bad("--incomplete", "not together with -l"));
    }
    let (min_size, exact) = (given.size("min-size", 1)?, given.size("size", 1)?);
    if exact.is_some_and(|exact| min_size.is_some_and(|least| exact < least)) {
        return Err(bad("--size", "is less than --min-size"));
    }
    // An empty stream must be asked for.
    let least_by_default = u64::from(exact != Some(0));
    let rate = "'{}' is no rate, such as 500K, 10M or 20Mbit";
    let addressing = "is auto, path or virtual";
    Ok(Options {
        command,
        bucket,
        stream,
        keyfile: given.text("keyfile")?,
        profile: given.text("profile")?,
        region: given.text("region")?,
        endpoint: given.text("endpoint")?,
        prefix: matches.opt_str("prefix"),
        addressing: given
            .parsed("addressing", addressing, Addressing::parse)?
            .unwrap_or(Addressing::Auto),
        blocksize: blocksize(&given)?,
        limits: limits(&given)?,
        jobs: jobs(&given)?,
        rate: given.parsed("limit-rate", rate, units::rate)?,
        force: given.flag("force"),
        resume: given.flag("resume"),
        offset: given.size("offset", 1)?.unwrap_or(0),
        length: given.size("length", 1)?,
        min_size: min_size.unwrap_or(least_by_default),
        size: exact,
        protection: protection(&given, command)?,
        headers: matches.opt_strs("header"),
        signature: given
            .parsed("signature", "is v4 or v2", Version::parse)?
            .unwrap_or(Version::V4),
        ca_file: given.text("ca-file")?,
        long: given.flag("l"),
        incomplete: given.flag("incomplete"),
        raw: given.flag("raw"),
        quick: given.flag("quick"),
        older_than: given.time("older-than")?.unwrap_or(OLD),
        dry_run: given.flag("dry-run"),
        quiet: given.flag("quiet"),
        verbose: given.flag("verbose"),
        progress: given.flag("progress"),
        argv: Vec::new(),
    })
}

/// A stream's URL names the bucket as well.
fn bucket_and_stream(given: &Values) -> Result<(Option<String>, Option<String>)> {
    let (bucket, stream) = (given.text("bucket")?, given.text("stream")?);
    let Some(url) = stream.as_deref().and_then(split_url) else {
        return Ok((bucket, stream));
    };
    let (named, stream) = url?;
    match bucket {
        Some(other) if other != named => Err(bad("--stream", "names another bucket than --bucket")),
        _ => Ok((Some(named), Some(stream))),
    }
}

fn limits(given: &Values) -> Result<Limits> {
    let (by_default, timeout) = (Limits::default(), given.time("timeout")?);
    if timeout.is_some_and(|time| time.is_zero()) {
        return Err(bad("--timeout", "must be more than 0"));
    }
    let patience = given.time("patience")?;
    Ok(Limits {
        // 0 is for ever.
        patience: patience.map_or(by_default.patience, |time| {
            Some(time).filter(|time| !time.is_zero())
        }),
        retry: given.number("retry", "not a number")?,
        timeout: timeout.unwrap_or(by_default.timeout),
    })
}

fn jobs(given: &Values) -> Result<usize> {
    let why = "is a number from 1 to 64";
    match given.number("jobs", why)? {
        Some(jobs) if !JOBS.contains(&jobs) => Err(bad("--jobs", why)),
        jobs => Ok(jobs.unwrap_or(DEFAULT_JOBS)),
    }
}

/// A bare number is kilobytes, as it was in the Java s3pipe.
fn blocksize(given: &Values) -> Result<Option<u64>> {
    match given.size("blocksize", 1024)? {
        Some(bytes) if !BLOCK_SIZES.contains(&bytes) => {
            Err(bad("--blocksize", "must be from 64K to 1G"))
        }
        bytes => Ok(bytes),
    }
}

fn protection(given: &Values, command: Command) -> Result<Protection> {
    let checks = ["hmac-keyfile", "allowed-signers", "signer"];
    let check = checks.iter().find(|name| given.flag(name));
    if let Some(name) = check
        && command == List
        && !given.flag("l")
    {
        return Err(bad(&dashes(name), "list looks at no seals without -l"));
    }
    Ok(Protection {
        encrypt_to: given.0.opt_strs("encrypt-to"),
        identity: given.text("identity")?,
        hmac_keyfile: given.text("hmac-keyfile")?,
        sign_key: given.text("sign-key")?,
        allowed_signers: given.text("allowed-signers")?,
        signer: given.text("signer")?,
    })
}

/// `s3://bucket/name`; a name that is no such URL is a name.
fn split_url(stream: &str) -> Option<Result<(String, String)>> {
    let rest = stream.strip_prefix("s3://")?;
    Some(match rest.split_once('/') {
        Some((bucket, name)) if !bucket.is_empty() && !name.is_empty() => {
            Ok((bucket.to_string(), name.to_string()))
        }
        _ => Err(bad("--stream", "a URL is s3://BUCKET/NAME")),
    })
}
