//! What a worker is told before anything else, as plain data: the transfer that it
//! takes part in, and all that its client and its keys are made of.
//!
//! Some of it is secret (the access key, customer keys among the headers): it goes
//! into the channel only, and `Debug` shows none of it.

use std::fmt;
use std::time::Duration;

use crate::protection::age::Encryption;
use crate::s3::{Addressing, Headers, Known, Limits, Settings};
use crate::sign::{Credentials, Version};
use crate::stream::name::{Name, UploadId};

/// A worker's task.
#[derive(Clone, PartialEq, Eq)]
pub struct Task {
    /// The command that messages begin with.
    pub command: String,
    /// `-q`.
    pub quiet: bool,
    /// `-v`.
    pub verbose: bool,
    /// What the client is made of.
    pub settings: Settings,
    /// What keys begin with.
    pub prefix: String,
    /// What is transferred.
    pub transfer: Transfer,
    /// The process to die with.
    pub coordinator: u32,
}

/// The blocks that are transferred.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// The stream.
    pub name: Name,
    /// The upload that the blocks belong to.
    pub upload: UploadId,
    /// The size of the largest block, in bytes.
    pub blocksize: u64,
    /// What blocks that are read from stdin must hold.
    pub encryption: Encryption,
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task")
            .field("command", &self.command)
            .field("transfer", &self.transfer)
            .finish_non_exhaustive()
    }
}

/// Both ends must be the same program.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Names and values, while a task is being written.
struct FieldWriter(Vec<String>);

impl FieldWriter {
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

/// The fields of a task that is being read.
struct FieldReader<'a>(&'a [&'a str]);

impl<'a> FieldReader<'a> {
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

impl Task {
    /// As `name=value` fields; what is not there is left out.
    pub fn to_fields(&self) -> Vec<String> {
        let mut w = FieldWriter(Vec::new());
        w.put("version", VERSION);
        w.put("command", &self.command);
        w.flag("quiet", self.quiet);
        w.flag("verbose", self.verbose);
        write_settings(&mut w, &self.settings);
        w.put("prefix", &self.prefix);
        w.put("name", self.transfer.name.encoded());
        w.put("upload", self.transfer.upload.as_str());
        w.put("blocksize", self.transfer.blocksize);
        w.put("encryption", self.transfer.encryption.word());
        w.put("coordinator", self.coordinator);
        w.0
    }

    /// From its fields. None if they are another version's, or nonsense.
    pub fn from_fields(fields: &[&str]) -> Option<Task> {
        let r = FieldReader(fields);
        (r.text("version")? == VERSION).then_some(())?;
        Some(Task {
            command: r.text("command")?,
            quiet: r.flag("quiet"),
            verbose: r.flag("verbose"),
            settings: read_settings(&r)?,
            prefix: r.text("prefix")?,
            transfer: Transfer {
                name: Name::decode(&r.text("name")?)?,
                upload: UploadId::parse(&r.text("upload")?)?,
                blocksize: r.number("blocksize")?,
                encryption: Encryption::parse(&r.text("encryption")?)?,
            },
            coordinator: r.number("coordinator")?,
        })
    }
}

fn write_settings(w: &mut FieldWriter, settings: &Settings) {
    w.option("endpoint", settings.endpoint.as_ref());
    w.put("addressing", settings.addressing.word());
    w.put("region", &settings.region);
    w.put("bucket", &settings.bucket);
    w.put("signature", settings.signature.word());
    w.put("id", &settings.credentials.id);
    w.put("secret", &settings.credentials.secret);
    w.option("token", settings.credentials.token.as_ref());
    w.flag("renewable", settings.renewable);
    for (name, value) in settings.headers.all() {
        w.put("header", format_args!("{name}: {value}"));
    }
    let Limits {
        patience,
        retry,
        timeout,
    } = settings.limits;
    w.option("patience", patience.map(|t| t.as_millis()));
    w.option("retry", retry);
    w.put("timeout", timeout.as_millis());
    w.option("ca-file", settings.ca_file.as_ref());
    w.put("skew", settings.known.skew);
    w.flag("md5", settings.known.md5);
    w.flag("etags", settings.known.etags);
    w.flag("no-etags", settings.known.no_etags);
    w.flag("bare-etags", settings.known.bare_etags);
}

fn read_settings(r: &FieldReader) -> Option<Settings> {
    Some(Settings {
        endpoint: r.text("endpoint"),
        addressing: Addressing::parse(&r.text("addressing")?)?,
        region: r.text("region")?,
        bucket: r.text("bucket")?,
        signature: Version::parse(&r.text("signature")?)?,
        credentials: Credentials {
            id: r.text("id")?,
            secret: r.text("secret")?,
            token: r.text("token"),
        },
        renewable: r.flag("renewable"),
        headers: Headers::from_lines(r.all("header"))?,
        limits: Limits {
            patience: r.time("patience"),
            retry: r.number("retry"),
            timeout: r.time("timeout")?,
        },
        ca_file: r.text("ca-file"),
        known: Known {
            skew: r.number("skew")?,
            md5: r.flag("md5"),
            etags: r.flag("etags"),
            no_etags: r.flag("no-etags"),
            bare_etags: r.flag("bare-etags"),
        },
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::text::time::Utc;

    /// One with everything in it.
    pub(crate) fn task() -> Task {
        Task {
            command: "upload".into(),
            quiet: false,
            verbose: true,
            settings: Settings {
                endpoint: Some("http://127.0.0.1:9000/a=b".into()),
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
                limits: Limits {
                    patience: Some(Duration::from_secs(86_400)),
                    retry: Some(3),
                    timeout: Duration::from_millis(1500),
                },
                ca_file: Some("/a b".into()),
                known: Known {
                    skew: -3600,
                    md5: true,
                    etags: true,
                    no_etags: true,
                    bare_etags: true,
                },
            },
            prefix: String::new(),
            transfer: Transfer {
                name: Name::new("a/b").unwrap(),
                upload: UploadId::new(Utc(0), [7; 8]),
                blocksize: 1 << 24,
                encryption: Encryption::Age,
            },
            coordinator: 4711,
        }
    }

    fn again(task: &Task) -> Option<Task> {
        let fields = task.to_fields();
        Task::from_fields(&fields.iter().map(String::as_str).collect::<Vec<_>>())
    }

    #[test]
    fn nothing_is_lost_on_the_way() {
        let full = task();
        assert!(again(&full) == Some(full.clone()));
        let bare = Task {
            verbose: false,
            settings: Settings {
                endpoint: None,
                credentials: Credentials {
                    token: None,
                    ..full.settings.credentials.clone()
                },
                renewable: false,
                headers: Headers::default(),
                limits: Limits {
                    patience: None,
                    retry: None,
                    ..full.settings.limits
                },
                ca_file: None,
                known: Known::default(),
                ..full.settings.clone()
            },
            ..full
        };
        assert!(again(&bare) == Some(bare));
    }

    #[test]
    fn secrets_are_not_shown() {
        assert!(!format!("{:?}", task()).contains("hush"));
    }

    #[test]
    fn another_version_is_refused() {
        let mut fields = task().to_fields();
        fields[0] = "version=1.9".into();
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        assert!(Task::from_fields(&fields).is_none());
    }
}
