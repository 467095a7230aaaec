//! The command line: one table of options, checked into [`Options`].
//!
//! Pure: looks at nothing but the arguments. Every mistake is a usage error
//! (64) that names the option.

use std::time::Duration;

use crate::error::{Error, Exit, Result};
use crate::protection::Protection;
use crate::s3::Addressing;
use crate::sign::Version;
use crate::stream::manifest::BLOCK_SIZES;
use crate::text::units;

mod table;

use table::{OPTIONS, Spec, usage};

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// stdin to a stream.
    Upload,
    /// A stream to stdout.
    Download,
    /// Names of all streams.
    List,
    /// A summary of one.
    Info,
    /// Read a stream back and check it.
    Verify,
    /// Remove a stream.
    Delete,
    /// Remove what broken-off uploads have left.
    Clean,
    /// Make a bucket.
    CreateBucket,
    /// Remove an empty bucket.
    DeleteBucket,
}

use Command::{Clean, CreateBucket, Delete, DeleteBucket, Download, Info, List, Upload, Verify};

const COMMANDS: [(&str, Command); 9] = [
    ("upload", Upload),
    ("download", Download),
    ("list", List),
    ("info", Info),
    ("verify", Verify),
    ("delete", Delete),
    ("clean", Clean),
    ("createbucket", CreateBucket),
    ("deletebucket", DeleteBucket),
];

impl Command {
    /// The word on the command line.
    pub fn word(self) -> &'static str {
        COMMANDS
            .iter()
            .find(|(_, c)| *c == self)
            .map_or("", |(word, _)| word)
    }

    /// From that word.
    pub fn parse(word: &str) -> Option<Command> {
        let found = COMMANDS.iter().find(|(w, _)| *w == word);
        found.map(|(_, command)| *command)
    }
}

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
    /// `--patience`; None is for ever.
    pub patience: Option<Duration>,
    /// `--retry`.
    pub retries: Option<u32>,
    /// `--timeout`.
    pub timeout: Duration,
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

/// What the command line asks for.
#[derive(Clone, Debug)]
pub enum Parsed {
    /// Show this text and leave.
    Show(String),
    /// Be a worker of a coordinator that does this.
    Work(Command),
    /// Do this.
    Run(Box<Options>),
}

/// What a coordinator starts its workers with; for nobody else.
pub const WORKER: &str = "--worker";

/// Options with a value that may be given more than once.
const REPEATABLE: [&str; 2] = ["header", "encrypt-to"];

/// How many workers there may be.
const JOBS: std::ops::RangeInclusive<usize> = 1..=64;
const DEFAULT_JOBS: usize = 4;

/// Read the arguments (without the program's name).
pub fn parse(args: &[String]) -> Result<Parsed> {
    if let [WORKER, word] = args.iter().map(String::as_str).collect::<Vec<_>>()[..]
        && let Some(command) = Command::parse(word)
    {
        return Ok(Parsed::Work(command));
    }
    let mut table = getopts::Options::new();
    for Spec(short, long, hint, help, _) in &OPTIONS {
        match (*hint, *long) {
            ("", _) => table.optflagmulti(short, long, help),
            (_, _) => table.optmulti(short, long, help, hint),
        };
    }
    let (args, argv) = match args.iter().position(|arg| arg == "--") {
        Some(at) => (&args[..at], Some(args[at + 1..].to_vec())),
        None => (args, None),
    };
    let matches = table.parse(args).map_err(|e| {
        use getopts::Fail as F;
        match e {
            F::UnrecognizedOption(o) => bad(&dashes(&o), "no such option"),
            F::ArgumentMissing(o) => bad(&dashes(&o), "needs a value"),
            F::UnexpectedArgument(o) => bad(&dashes(&o), "takes no value"),
            F::OptionMissing(o) | F::OptionDuplicated(o) => bad(&dashes(&o), "given twice"),
        }
    })?;
    if matches.opt_present("h") {
        return Ok(Parsed::Show(usage()));
    }
    if matches.opt_present("V") {
        let version = concat!("s3pipe ", env!("CARGO_PKG_VERSION"), "\n");
        return Ok(Parsed::Show(version.into()));
    }
    let command = command(&matches.free)?;
    fits(&matches, command)?;
    let mut options = options(&matches, command)?;
    options.argv = command_line(argv, command)?;
    Ok(Parsed::Run(Box::new(options)))
}

fn bad(what: &str, why: &str) -> Error {
    Error::new(Exit::Usage, what, format!("{why} (see s3pipe -h)"))
}

fn dashes(name: &str) -> String {
    match name.chars().count() {
        1 => format!("-{name}"),
        _ => format!("--{name}"),
    }
}

fn command(free: &[String]) -> Result<Command> {
    let Some(word) = free.first() else {
        return Err(bad("command", "missing: upload, download, list, ..."));
    };
    let Some(command) = Command::parse(word) else {
        return Err(bad(&format!("'{word}'"), "no such command"));
    };
    match free.get(1) {
        None => Ok(command),
        Some(extra) => Err(bad(&format!("'{extra}'"), "one command, and no operands")),
    }
}

/// What stands behind `--`, where it makes sense.
fn command_line(argv: Option<Vec<String>>, command: Command) -> Result<Vec<String>> {
    match argv {
        None => Ok(Vec::new()),
        Some(_) if !matches!(command, Upload | Download) => {
            Err(bad("--", &format!("not for {}", command.word())))
        }
        Some(argv) if argv.is_empty() => Err(bad("--", "needs a command behind it")),
        Some(argv) => Ok(argv),
    }
}

/// Options given twice, and those that this command has no use for.
fn fits(matches: &getopts::Matches, command: Command) -> Result<()> {
    for Spec(short, long, hint, _, commands) in &OPTIONS {
        let name = if long.is_empty() { short } else { long };
        let times = matches.opt_count(name);
        if times > 1 && !hint.is_empty() && !REPEATABLE.contains(long) {
            return Err(bad(&dashes(name), "given twice"));
        }
        if times > 0 && !commands.is_empty() && !commands.contains(&command) {
            return Err(bad(&dashes(name), &format!("not for {}", command.word())));
        }
    }
    Ok(())
}

fn options(matches: &getopts::Matches, command: Command) -> Result<Options> {
    let text = |name: &str| match matches.opt_str(name) {
        Some(value) if value.is_empty() => Err(bad(&dashes(name), "is empty")),
        value => Ok(value),
    };
    let (mut bucket, mut stream) = (text("bucket")?, text("stream")?);
    if let Some((b, name)) = stream.as_deref().and_then(split_url).transpose()? {
        if bucket.as_ref().is_some_and(|other| *other != b) {
            return Err(bad("--stream", "names another bucket than --bucket"));
        }
        (bucket, stream) = (Some(b), Some(name));
    }
    if matches.opt_present("keyfile") && matches.opt_present("profile") {
        return Err(bad("--profile", "not together with --keyfile"));
    }
    if matches.opt_present("l") && matches.opt_present("incomplete") {
        return Err(bad("--incomplete", "not together with -l"));
    }
    let min_size = text("min-size")?
        .map(|t| size("--min-size", &t, 1))
        .transpose()?;
    let exact = text("size")?.map(|t| size("--size", &t, 1)).transpose()?;
    if min_size
        .zip(exact)
        .is_some_and(|(least, size)| size < least)
    {
        return Err(bad("--size", "is less than --min-size"));
    }
    let least_by_default = if exact == Some(0) { 0 } else { 1 };
    let offset = text("offset")?
        .map(|t| size("--offset", &t, 1))
        .transpose()?;
    let length = text("length")?
        .map(|t| size("--length", &t, 1))
        .transpose()?;
    let older_than = text("older-than")?
        .map(|t| time("--older-than", &t))
        .transpose()?;
    let patience = text("patience")?
        .map(|t| time("--patience", &t))
        .transpose()?;
    let timeout = text("timeout")?
        .map(|t| time("--timeout", &t))
        .transpose()?;
    if timeout == Some(Duration::ZERO) {
        return Err(bad("--timeout", "must be more than 0"));
    }
    let retries = text("retry")?.map(|t| {
        let count = units::number(&t).and_then(|n| u32::try_from(n).ok());
        count.ok_or_else(|| bad("--retry", "not a number"))
    });
    let jobs = text("jobs")?.map(|t| {
        let count = units::number(&t).and_then(|n| usize::try_from(n).ok());
        let count = count.filter(|n| JOBS.contains(n));
        count.ok_or_else(|| bad("--jobs", "is a number from 1 to 64"))
    });
    let rate = text("limit-rate")?.map(|t| {
        let why = || format!("'{t}' is no rate, such as 500K, 10M or 20Mbit");
        units::rate(&t).ok_or_else(|| bad("--limit-rate", &why()))
    });
    Ok(Options {
        command,
        bucket,
        stream,
        keyfile: text("keyfile")?,
        profile: text("profile")?,
        region: text("region")?,
        endpoint: text("endpoint")?,
        prefix: matches.opt_str("prefix"),
        addressing: match text("addressing")? {
            None => Addressing::Auto,
            Some(word) => Addressing::parse(&word)
                .ok_or_else(|| bad("--addressing", "is auto, path or virtual"))?,
        },
        blocksize: text("blocksize")?.map(|t| blocksize(&t)).transpose()?,
        patience: match patience {
            None => Some(Duration::from_secs(24 * 3600)),
            Some(Duration::ZERO) => None,
            some => some,
        },
        retries: retries.transpose()?,
        timeout: timeout.unwrap_or(Duration::from_secs(60)),
        jobs: jobs.transpose()?.unwrap_or(DEFAULT_JOBS),
        rate: rate.transpose()?,
        force: matches.opt_present("force"),
        resume: matches.opt_present("resume"),
        offset: offset.unwrap_or(0),
        length,
        min_size: min_size.unwrap_or(least_by_default),
        size: exact,
        protection: protection(matches, command)?,
        headers: matches.opt_strs("header"),
        signature: match text("signature")? {
            None => Version::V4,
            Some(word) => Version::parse(&word).ok_or_else(|| bad("--signature", "is v4 or v2"))?,
        },
        ca_file: text("ca-file")?,
        long: matches.opt_present("l"),
        incomplete: matches.opt_present("incomplete"),
        raw: matches.opt_present("raw"),
        quick: matches.opt_present("quick"),
        older_than: older_than.unwrap_or(Duration::from_secs(7 * 86_400)),
        dry_run: matches.opt_present("dry-run"),
        quiet: matches.opt_present("quiet"),
        verbose: matches.opt_present("verbose"),
        progress: matches.opt_present("progress"),
        argv: Vec::new(),
    })
}

fn protection(matches: &getopts::Matches, command: Command) -> Result<Protection> {
    let text = |name: &str| match matches.opt_str(name) {
        Some(value) if value.is_empty() => Err(bad(&dashes(name), "is empty")),
        value => Ok(value),
    };
    let checks = ["hmac-keyfile", "allowed-signers", "signer"];
    let check = checks.iter().find(|name| matches.opt_present(name));
    if let Some(name) = check
        && command == List
        && !matches.opt_present("l")
    {
        return Err(bad(&dashes(name), "list looks at no seals without -l"));
    }
    Ok(Protection {
        encrypt_to: matches.opt_strs("encrypt-to"),
        identity: text("identity")?,
        hmac_keyfile: text("hmac-keyfile")?,
        sign_key: text("sign-key")?,
        allowed_signers: text("allowed-signers")?,
        signer: text("signer")?,
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

/// A bare number is kilobytes, as it was in the Java s3pipe.
fn blocksize(text: &str) -> Result<u64> {
    let bytes = size("--blocksize", text, 1024)?;
    match BLOCK_SIZES.contains(&bytes) {
        true => Ok(bytes),
        false => Err(bad("--blocksize", "must be from 64K to 1G")),
    }
}

fn size(option: &str, text: &str, bare: u64) -> Result<u64> {
    let why = || format!("'{text}' is no size, such as 512K, 16M or 1G");
    units::size(text, bare).ok_or_else(|| bad(option, &why()))
}

fn time(option: &str, text: &str) -> Result<Duration> {
    let why = || format!("'{text}' is no time, such as 90s, 30m, 24h or 7d");
    units::time(text).ok_or_else(|| bad(option, &why()))
}

#[cfg(test)]
mod tests;
