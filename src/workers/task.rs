//! What a worker is told before anything else: all that its client and its
//! keys are made of, as plain data.
//!
//! The coordinator makes a client of the same brief for itself, so that there
//! is one way from settings to a client. Some of it is secret (the access key,
//! customer keys among the headers): it goes into the channel only, and
//! `Debug` shows none of it.

use std::fmt;
use std::time::Duration;

use crate::cli::Command;
use crate::protection::age::Encryption;
use crate::s3::{Addressing, Headers, Known};
use crate::sign::{Credentials, Version};
use crate::stream::name::{Name, UploadId};

/// Settings, resolved.
#[derive(Clone, PartialEq, Eq)]
pub struct Brief {
    /// What is being done.
    pub command: Command,
    /// `-q`.
    pub quiet: bool,
    /// `-v`.
    pub verbose: bool,
    /// How many workers there may be; 1 is none. A worker has none.
    pub jobs: usize,
    /// For all of them together, in bytes a second; a worker is told its share.
    pub rate: Option<u64>,
    /// The service's URL; None is Amazon's.
    pub url: Option<String>,
    /// How the bucket is named in a URL.
    pub addressing: Addressing,
    /// What requests are signed for.
    pub region: String,
    /// The bucket.
    pub bucket: String,
    /// How to sign.
    pub signature: Version,
    /// The access key.
    pub credentials: Credentials,
    /// Whether there may be others when these have expired.
    pub renewable: bool,
    /// The user's headers.
    pub headers: Headers,
    /// How long one request may keep failing; None for ever.
    pub patience: Option<Duration>,
    /// How often it may be repeated, if that is bounded.
    pub retries: Option<u32>,
    /// How long a connection may stand still.
    pub timeout: Duration,
    /// PEM bundle to trust instead of the system's.
    pub ca_file: Option<String>,
    /// What keys begin with.
    pub prefix: String,
    /// What was found out about the service.
    pub known: Known,
    /// What is worked on; none until a transfer begins.
    pub task: Option<Task>,
}

/// A transfer, as a worker sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// The stream, encoded as in keys.
    pub name: String,
    /// The upload that its blocks belong to.
    pub upload: UploadId,
    /// The size of the largest block, in bytes.
    pub blocksize: u64,
    /// What blocks that are read must hold.
    pub encryption: Encryption,
    /// The process to die with.
    pub coordinator: u32,
}

impl Task {
    /// Of this very process's workers.
    pub fn new(name: &Name, upload: &UploadId, blocksize: u64, encryption: Encryption) -> Task {
        Task {
            name: name.encoded().to_string(),
            upload: upload.clone(),
            blocksize,
            encryption,
            coordinator: std::process::id(),
        }
    }
}

impl fmt::Debug for Brief {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Brief")
            .field("command", &self.command)
            .field("task", &self.task)
            .finish_non_exhaustive()
    }
}

/// Both ends must be the same program.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Names and values, while a brief is being written.
struct Writer(Vec<String>);

impl Writer {
    fn put(&mut self, name: &str, value: impl fmt::Display) {
        self.0.push(format!("{name}={value}"));
    }

    fn option(&mut self, name: &str, value: Option<impl fmt::Display>) {
        if let Some(value) = value {
            self.put(name, value);
        }
    }

    fn flag(&mut self, name: &str, flag: bool) {
        self.option(name, flag.then_some(1));
    }
}

/// The fields of a brief that is being read.
struct Reader<'a>(&'a [&'a str]);

impl<'a> Reader<'a> {
    fn all(&self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let pairs = self.0.iter().filter_map(|field| field.split_once('='));
        pairs
            .filter(move |(n, _)| *n == name)
            .map(|(_, value)| value)
    }

    fn text(&self, name: &'a str) -> Option<String> {
        self.all(name).next().map(String::from)
    }

    fn flag(&self, name: &'a str) -> bool {
        self.all(name).next().is_some()
    }

    fn number<T: std::str::FromStr>(&self, name: &'a str) -> Option<T> {
        self.all(name).next()?.parse().ok()
    }

    fn time(&self, name: &'a str) -> Option<Duration> {
        self.number(name).map(Duration::from_millis)
    }
}

impl Brief {
    /// As `name=value` fields; what is not there is left out.
    pub fn to_fields(&self) -> Vec<String> {
        let mut w = Writer(Vec::new());
        w.put("version", VERSION);
        w.put("command", self.command.word());
        w.flag("quiet", self.quiet);
        w.flag("verbose", self.verbose);
        w.option("url", self.url.as_ref());
        w.put("addressing", self.addressing.word());
        w.put("region", &self.region);
        w.put("bucket", &self.bucket);
        w.put("signature", self.signature.word());
        w.put("id", &self.credentials.id);
        w.put("secret", &self.credentials.secret);
        w.option("token", self.credentials.token.as_ref());
        w.flag("renewable", self.renewable);
        for (name, value) in self.headers.all() {
            w.put("header", format_args!("{name}: {value}"));
        }
        w.option("patience", self.patience.map(|t| t.as_millis()));
        w.option("retries", self.retries);
        w.put("timeout", self.timeout.as_millis());
        w.option("ca-file", self.ca_file.as_ref());
        w.put("prefix", &self.prefix);
        w.put("skew", self.known.skew);
        w.flag("md5", self.known.md5);
        w.flag("etags", self.known.etags);
        w.flag("no-etags", self.known.no_etags);
        w.flag("bare-etags", self.known.bare_etags);
        if let Some(task) = &self.task {
            w.put("name", &task.name);
            w.put("upload", task.upload.as_str());
            w.put("blocksize", task.blocksize);
            w.put("encryption", task.encryption.word());
            w.put("coordinator", task.coordinator);
        }
        w.0
    }

    /// From its fields. None if they are another version's, or nonsense.
    pub fn from_fields(fields: &[&str]) -> Option<Brief> {
        let r = Reader(fields);
        let credentials = Credentials {
            id: r.text("id")?,
            secret: r.text("secret")?,
            token: r.text("token"),
        };
        let task = || {
            Some(Task {
                name: r.text("name")?,
                upload: UploadId::parse(&r.text("upload")?)?,
                blocksize: r.number("blocksize")?,
                encryption: Encryption::parse(&r.text("encryption")?)?,
                coordinator: r.number("coordinator")?,
            })
        };
        (r.text("version")? == VERSION).then_some(())?;
        Some(Brief {
            command: Command::parse(&r.text("command")?)?,
            quiet: r.flag("quiet"),
            verbose: r.flag("verbose"),
            jobs: 1,
            rate: None,
            url: r.text("url"),
            addressing: Addressing::parse(&r.text("addressing")?)?,
            region: r.text("region")?,
            bucket: r.text("bucket")?,
            signature: Version::parse(&r.text("signature")?)?,
            credentials,
            renewable: r.flag("renewable"),
            headers: Headers::from_lines(r.all("header"))?,
            patience: r.time("patience"),
            retries: r.number("retries"),
            timeout: r.time("timeout")?,
            ca_file: r.text("ca-file"),
            prefix: r.text("prefix")?,
            known: Known {
                skew: r.number("skew")?,
                md5: r.flag("md5"),
                etags: r.flag("etags"),
                no_etags: r.flag("no-etags"),
                bare_etags: r.flag("bare-etags"),
            },
            task: task(),
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::text::time::Utc;

    /// One with everything in it.
    pub(crate) fn brief() -> Brief {
        Brief {
            command: Command::Upload,
            quiet: false,
            verbose: true,
            jobs: 1,
            rate: None,
            url: Some("http://127.0.0.1:9000/a=b".into()),
            addressing: Addressing::Path,
            region: "eu-central-1".into(),
            bucket: "b".into(),
            signature: Version::V2,
            credentials: Credentials {
                id: "i=d".into(),
                secret: "hush\t=%".into(),
                token: Some("t".into()),
            },
            renewable: true,
            headers: Headers::new(&["x-a: b: c".into(), "x-d: ".into()], |_| ()).unwrap(),
            patience: Some(Duration::from_secs(86_400)),
            retries: Some(3),
            timeout: Duration::from_millis(1500),
            ca_file: Some("/a b".into()),
            prefix: String::new(),
            known: Known {
                skew: -3600,
                md5: true,
                etags: true,
                no_etags: true,
                bare_etags: true,
            },
            task: Some(Task {
                name: "a_2Fb".into(),
                upload: UploadId::new(Utc(0), [7; 8]),
                blocksize: 1 << 24,
                encryption: Encryption::Age,
                coordinator: 4711,
            }),
        }
    }

    fn again(brief: &Brief) -> Option<Brief> {
        let fields = brief.to_fields();
        Brief::from_fields(&fields.iter().map(String::as_str).collect::<Vec<_>>())
    }

    #[test]
    fn nothing_is_lost_on_the_way() {
        let full = brief();
        assert!(again(&full) == Some(full.clone()));
        let bare = Brief {
            url: None,
            credentials: Credentials {
                token: None,
                ..full.credentials.clone()
            },
            headers: Headers::default(),
            patience: None,
            retries: None,
            ca_file: None,
            verbose: false,
            renewable: false,
            known: Known::default(),
            task: None,
            ..full
        };
        assert!(again(&bare) == Some(bare));
    }

    #[test]
    fn secrets_are_not_shown() {
        assert!(!format!("{:?}", brief()).contains("hush"));
    }

    #[test]
    fn another_version_is_refused() {
        let mut fields = brief().to_fields();
        fields[0] = "version=1.9".into();
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        assert!(Brief::from_fields(&fields).is_none());
    }
}
