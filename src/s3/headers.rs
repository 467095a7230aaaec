//! The headers that a user adds with `-H`, and the requests they belong on.
//!
//! S3 refuses some headers on requests they make no sense on, and a few must
//! not reach some objects: a storage class is for the bulk, not for the small
//! objects that say what it is; a lock must not keep an upload's record from
//! being removed. Keys never come from the command line, which others can see.

use std::fmt;

use crate::error::{Error, Exit, Result};
use crate::os::files;

/// What a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A block of a stream.
    Block,
    /// An index.
    Index,
    /// A manifest.
    Manifest,
    /// The record of an upload.
    Record,
    /// A bucket, a listing, a bulk delete.
    Other,
}

/// The user's headers.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, String)>);

/// Their names alone: values can be keys.
impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|(n, _)| n))
            .finish()
    }
}

/// Headers that s3pipe sets itself.
const OURS: [&str; 15] = [
    "authorization",
    "connection",
    "content-length",
    "content-md5",
    "date",
    "expect",
    "host",
    "if-match",
    "if-none-match",
    "range",
    "transfer-encoding",
    "x-amz-content-sha256",
    "x-amz-copy-source",
    "x-amz-date",
    "x-amz-security-token",
];

/// Headers that carry an encryption key, or belong to one.
const CUSTOMER_KEY: &str = "x-amz-server-side-encryption-customer-";

/// The most bytes of a file of headers: S3 takes 8 KiB of them.
const FILE_LIMIT: u64 = 64 << 10;

/// Headers that keep an object from being removed.
pub const LOCK: &str = "x-amz-object-lock-";

impl Headers {
    /// Read the values of all `-H` options. `warn` is told of a file that holds
    /// a key and can be read by others. 64 if a header cannot be used, 78 if a
    /// file cannot be read.
    pub fn new(options: &[String], warn: impl Fn(&str)) -> Result<Headers> {
        let mut headers = Headers::default();
        for option in options {
            match option.strip_prefix('@') {
                Some(path) => headers.add_file(path, &warn)?,
                None if is_customer_key(option) => {
                    let why = "a key on the command line can be seen by others: use -H @FILE";
                    return Err(Error::new(Exit::Usage, "--header", why));
                }
                None => headers.add(option, "--header")?,
            }
        }
        Ok(headers)
    }

    /// Those in a file, one on a line.
    fn add_file(&mut self, path: &str, warn: impl Fn(&str)) -> Result<()> {
        let contents = files::read(path, FILE_LIMIT)?;
        let text = String::from_utf8(contents.bytes)
            .map_err(|_| Error::new(Exit::Config, path, "stream did not contain valid UTF-8"))?;
        let lines = text.lines().map(str::trim);
        let mut secret = false;
        for line in lines.filter(|l| !l.is_empty() && !l.starts_with('#')) {
            self.add(line, path)?;
            secret |= is_customer_key(line);
        }
        contents
            .exposed
            .iter()
            .filter(|_| secret)
            .for_each(|text| warn(text));
        Ok(())
    }

    /// Headers that were read before, as `name: value`.
    pub fn from_lines<'a>(lines: impl Iterator<Item = &'a str>) -> Option<Headers> {
        let mut headers = Headers::default();
        for line in lines {
            headers.add(line, "header").ok()?;
        }
        Some(headers)
    }

    /// All of them.
    pub fn all(&self) -> &[(String, String)] {
        &self.0
    }

    fn add(&mut self, line: &str, place: &str) -> Result<()> {
        let bad = |why: &str| Error::new(Exit::Usage, place, why);
        let (name, value) = line
            .split_once(':')
            .ok_or_else(|| bad("a header is 'name: value'"))?;
        let name = name.trim().to_ascii_lowercase();
        let value = value.trim();
        let token = |b: u8| b.is_ascii_alphanumeric() || b"-_.!#$%&'*+^`|~".contains(&b);
        if name.is_empty() || !name.bytes().all(token) {
            return Err(bad("a header's name has letters, digits and hyphens only"));
        }
        if !value.bytes().all(|b| (b' '..=b'~').contains(&b)) {
            return Err(bad(&format!("{name}: only printable ASCII can be sent")));
        }
        if OURS.contains(&name.as_str()) || name.starts_with("x-amz-checksum-") {
            return Err(bad(&format!("{name} is set by s3pipe itself")));
        }
        if self.0.iter().any(|(n, _)| *n == name) {
            return Err(bad(&format!("{name} is given twice")));
        }
        self.0.push((name, value.to_string()));
        Ok(())
    }

    /// Those that belong on a request.
    pub fn on<'a>(
        &'a self,
        method: &'a str,
        kind: Kind,
    ) -> impl Iterator<Item = &'a (String, String)> {
        self.0
            .iter()
            .filter(move |(name, _)| belongs(name, method, kind))
    }
}

/// Whether a header, as it stands on the command line or in a file, is about a
/// customer's key.
fn is_customer_key(line: &str) -> bool {
    line.trim().to_ascii_lowercase().starts_with(CUSTOMER_KEY)
}

fn belongs(name: &str, method: &str, kind: Kind) -> bool {
    let put = method == "PUT" && kind != Kind::Other;
    let read = matches!(method, "GET" | "HEAD") && kind != Kind::Other;
    let locked = ["x-amz-tagging", LOCK];
    match name {
        "x-amz-storage-class" => put && kind == Kind::Block,
        name if name.starts_with(CUSTOMER_KEY) => put || read,
        name if locked.iter().any(|l| name.starts_with(l)) => put && kind != Kind::Record,
        name if is_for_put(name) => put,
        // What S3 does not define is some gateway's, and goes everywhere, as
        // do x-amz-request-payer and x-amz-expected-bucket-owner.
        _ => true,
    }
}

/// Headers of S3's PutObject that describe the object.
fn is_for_put(name: &str) -> bool {
    let prefixes = [
        "cache-control",
        "content-",
        "expires",
        "x-amz-acl",
        "x-amz-grant-",
        "x-amz-meta-",
        "x-amz-server-side-encryption",
        "x-amz-website-",
    ];
    prefixes.iter().any(|p| name.starts_with(p))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    fn parse(options: &[String]) -> Result<Headers> {
        Headers::new(options, |_| ())
    }

    fn names(headers: &Headers, method: &str, kind: Kind) -> Vec<String> {
        headers.on(method, kind).map(|(n, _)| n.clone()).collect()
    }

    #[test]
    fn each_header_goes_where_it_belongs() {
        let options = [
            "X-Amz-Storage-Class: GLACIER",
            "x-amz-server-side-encryption: aws:kms",
            "x-amz-tagging: a=b",
            "x-amz-object-lock-mode: GOVERNANCE",
            "x-amz-request-payer: requester",
            "x-amz-meta-owner: me",
        ];
        let headers = parse(&options.map(String::from)).unwrap();
        assert_eq!(names(&headers, "PUT", Kind::Block).len(), 6);
        assert_eq!(names(&headers, "PUT", Kind::Manifest).len(), 5);
        assert_eq!(
            names(&headers, "PUT", Kind::Record),
            [
                "x-amz-server-side-encryption",
                "x-amz-request-payer",
                "x-amz-meta-owner"
            ]
        );
        assert_eq!(names(&headers, "GET", Kind::Block), ["x-amz-request-payer"]);
        assert_eq!(names(&headers, "PUT", Kind::Other), ["x-amz-request-payer"]);
    }

    #[test]
    fn keys_come_from_files_only() {
        let key = "x-amz-server-side-encryption-customer-key: c2VjcmV0";
        let e = parse(&[key.to_string()]).unwrap_err();
        assert!(e.exit() == Exit::Usage && !e.to_string().contains("c2VjcmV0"));
        let path = std::env::temp_dir().join(format!("s3pipe-headers-{}", std::process::id()));
        std::fs::write(&path, format!("# SSE-C\n\n{key}\n")).unwrap();
        let file = [format!("@{}", path.display())];
        let headers = parse(&file).unwrap();
        let warned = |mode: u32, text: &str| {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let said = RefCell::new(String::new());
            Headers::new(&file, |w| said.borrow_mut().push_str(w)).unwrap();
            said.into_inner()
        };
        let said = warned(0o644, &key.to_uppercase());
        assert!(
            said.ends_with(&format!("chmod 600 {}", path.display())),
            "{said}"
        );
        assert_eq!(warned(0o600, key), "");
        // A file without a key is no secret.
        assert_eq!(warned(0o644, &format!("x-y: z\n# {key}\n")), "");
        std::fs::remove_file(&path).unwrap();
        let e = parse(&["@/dev/zero".to_string()]).unwrap_err();
        assert_eq!(e.to_string(), "/dev/zero: larger than 64 KiB");
        assert_eq!(e.exit(), Exit::Config);
        for (method, kind, n) in [
            ("GET", Kind::Block, 1),
            ("PUT", Kind::Record, 1),
            ("DELETE", Kind::Block, 0),
            ("GET", Kind::Other, 0),
        ] {
            assert_eq!(
                names(&headers, method, kind).len(),
                n.min(1),
                "{method} {kind:?}"
            );
        }
    }

    #[test]
    fn bad_headers_are_refused() {
        for bad in [
            "x",
            ": v",
            "a b: c",
            "host: x",
            "Range: bytes=0-",
            "x-y: \u{fc}",
            "x-y: a\r\nz: b",
            "@/nonexistent/file",
        ] {
            assert!(parse(&[bad.to_string()]).is_err(), "{bad}");
        }
        let twice = ["x-y: 1".to_string(), "X-Y: 2".to_string()];
        assert!(parse(&twice).is_err());
    }
}
