//! The manual's examples of `-H`, run as they stand there: each header arrives
//! with its value, signed, on the requests that it belongs on, and on no other.
//!
//! What the servers here make of them: rclone takes them all; the embedded one
//! (s3s-fs) all but the storage class, of which it knows STANDARD only; Swift a
//! lock and a customer's key, and says of the others that it has no such thing.
//! None of them stores an object in another class, encrypts it, tags it or
//! locks it, so that this shows what is sent, and that the stream comes back.

use std::collections::BTreeSet;
use std::process;

use crate::identity::headers::is_signed;
use crate::manual;
use crate::proxy::{Proxy, Seen};
use crate::support::{Scratch, Server, assert_same, random, s3pipe};

const HEADING: &str = "Storage class, tags, locks, encryption by the service";

/// Header, value, and the kinds of request that have it.
type Expected = (&'static str, &'static str, &'static str);

const PUTS: &str = "PUT block,PUT index,PUT manifest,PUT upload";
const DATA: &str = "PUT block,PUT index,PUT manifest";

/// The commands of the first example by the name of their stream.
const COMMANDS: [(&str, &[Expected]); 5] = [
    ("a", &[("x-amz-storage-class", "STANDARD_IA", "PUT block")]),
    ("b", &[("x-amz-server-side-encryption", "AES256", PUTS)]),
    (
        "c",
        &[
            ("x-amz-server-side-encryption", "aws:kms", PUTS),
            (
                "x-amz-server-side-encryption-aws-kms-key-id",
                "alias/backup",
                PUTS,
            ),
        ],
    ),
    ("d", &[("x-amz-tagging", "host=db1&keep=1y", DATA)]),
    (
        "e",
        &[
            ("x-amz-object-lock-mode", "GOVERNANCE", DATA),
            (
                "x-amz-object-lock-retain-until-date",
                "2027-12-31T00:00:00Z",
                DATA,
            ),
        ],
    ),
];

/// Each command of a script, a continued line taken for one.
fn commands(script: &str) -> Vec<String> {
    let joined = script.replace("\\\n", " ");
    joined.lines().map(String::from).collect()
}

/// `PUT block`, `GET manifest`.
fn kind(seen: &Seen) -> Option<String> {
    let (_, rest) = seen.target.split_once("/s3pipe/")?;
    let (part, _) = rest.split_once('/')?;
    Some(format!("{} {part}", seen.method))
}

/// The user's own headers of a request.
fn extra(seen: &Seen) -> BTreeSet<(String, String)> {
    let ours = ["x-amz-date", "x-amz-content-sha256"];
    let names = seen.headers.iter();
    let names = names.map(|(name, value)| (name.to_ascii_lowercase(), value.clone()));
    names
        .filter(|(name, _)| name.starts_with("x-amz-") && !ours.contains(&name.as_str()))
        .collect()
}

/// A server, a proxy before it, a bucket, and files to be uploaded.
struct Place<'a> {
    server: &'a Server,
    proxy: Proxy,
    bucket: String,
    scratch: Scratch,
    /// The streams that it does not take, and what it says then.
    refuses: Refuses,
}

type Refuses = &'static [(&'static str, &'static str)];

impl Place<'_> {
    fn new(server: &Server, refuses: Refuses) -> Place<'_> {
        let bucket = format!("headers-{}", process::id());
        let scratch = Scratch::new();
        for (n, name) in ["a", "b", "c", "d", "e", "f"].into_iter().enumerate() {
            scratch.file(name, random(n as u64, 1000));
        }
        let create = s3pipe(server).option("-b", &bucket).arg("createbucket");
        create.run().ok();
        Place {
            server,
            proxy: Proxy::start(server.addr()),
            bucket,
            scratch,
            refuses,
        }
    }

    /// Runs some lines of the manual; gives the requests that they made. An
    /// error code is what they fail with.
    fn run(&self, text: &str, error: Option<&str>) -> Vec<Seen> {
        let start = self.proxy.seen().len();
        let folder = self.scratch.path();
        let out = manual::sh(folder, self.server, &self.proxy, &self.bucket, text);
        let said = String::from_utf8_lossy(&out.stderr);
        match error {
            None => assert!(out.status.success() && said.is_empty(), "{text}: {said}"),
            Some(code) => assert!(
                !out.status.success() && said.contains(code),
                "{text}: {said}"
            ),
        }
        let mut seen = self.proxy.seen();
        seen.drain(..start);
        seen
    }

    /// All but a customer's key.
    fn first_example(&self, text: &str) {
        let lines = commands(text);
        assert_eq!(lines.len(), COMMANDS.len(), "{lines:?}");
        for (line, (name, expected)) in lines.iter().zip(COMMANDS) {
            assert!(line.contains(&format!("-s {name} ")), "{line}");
            let refused = self.refuses.iter().find(|r| r.0 == name).map(|r| r.1);
            let seen = self.run(line, refused);
            let mut kinds = BTreeSet::new();
            for request in &seen {
                let kind = kind(request).unwrap_or_default();
                let on = |e: &&Expected| e.2.split(',').any(|k| k == kind);
                let wanted = expected.iter().filter(on);
                let wanted: BTreeSet<_> =
                    wanted.map(|e| (e.0.to_string(), e.1.to_string())).collect();
                assert_eq!(extra(request), wanted, "{name}: {kind}");
                for (header, _) in &wanted {
                    assert!(is_signed(request, header), "{name}: {header}");
                }
                kinds.insert(kind);
            }
            if refused.is_some() {
                assert!(kinds.iter().any(|kind| kind.starts_with("PUT ")));
                continue;
            }
            for put in PUTS.split(',') {
                assert!(kinds.contains(put), "{name}: no {put}");
            }
            self.comes_back(name);
        }
    }

    fn comes_back(&self, name: &str) {
        let run = s3pipe(self.server).option("-b", &self.bucket);
        let out = run.args(["download", "-s", name]).run().ok();
        let file = self.scratch.path().join(name);
        assert_same(&out.stdout, &std::fs::read(file).expect("a file"));
    }

    /// A customer's key: openssl makes it, its MD5 and the file.
    fn second_example(&self, text: &str) {
        let seen = self.run(text, None);
        let file = |name: &str| {
            let path = self.scratch.path().join(name);
            std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
        };
        assert_same(&file("f.back"), &file("f"));
        let prefix = "x-amz-server-side-encryption-customer-";
        let key = file("sse-c.key");
        let wanted = expected_key(prefix, &key);
        for request in &seen {
            let kind = kind(request);
            let about_object = kind.is_some_and(|k| {
                k.starts_with("PUT ") || k.starts_with("GET ") || k.starts_with("HEAD ")
            }) && !request.target.contains("list-type");
            let got = extra(request);
            match about_object {
                true => assert_eq!(got, wanted, "{request:?}"),
                // One about version 1 is about an object, too.
                false => assert!(got.is_empty() || got == wanted, "{request:?}"),
            }
            for (header, _) in &got {
                assert!(is_signed(request, header), "{header}");
            }
        }
        // Nobody else may read it.
        use std::os::unix::fs::PermissionsExt;
        for name in ["sse-c.key", "sse-c.headers"] {
            let meta = std::fs::metadata(self.scratch.path().join(name));
            assert_eq!(meta.expect("a file").permissions().mode() & 0o077, 0);
        }
    }
}

fn expected_key(prefix: &str, key: &[u8]) -> BTreeSet<(String, String)> {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD as BASE64;
    use md5::{Digest, Md5};
    assert_eq!(key.len(), 32);
    [
        ("algorithm", "AES256".to_string()),
        ("key", BASE64.encode(key)),
        ("key-md5", BASE64.encode(Md5::digest(key))),
    ]
    .map(|(name, value)| (format!("{prefix}{name}"), value))
    .into()
}

fn both(server: &Server, refuses: Refuses) {
    let [first, second] = &manual::under("s3pipe.1", HEADING)[..] else {
        panic!("two displays");
    };
    let place = Place::new(server, refuses);
    place.first_example(first);
    place.second_example(second);
}

#[test]
fn embedded() {
    let scratch = Scratch::new();
    both(
        &Server::embedded(&scratch),
        &[("a", "400 InvalidStorageClass")],
    );
}

#[test]
fn swift() {
    if let Some(server) = Server::swift() {
        both(
            server,
            &[
                ("a", "400 InvalidStorageClass"),
                ("b", "501 NotImplemented: Server-side encryption"),
                ("c", "501 NotImplemented: Server-side encryption"),
                ("d", "501 NotImplemented"),
            ],
        );
    }
}

#[test]
fn rclone() {
    if let Some(server) = Server::rclone() {
        both(server, &[]);
    }
}
