//! Stores that were damaged: 65, one line that names the object, and nothing
//! on stdout but the beginning of the stream, whole verified blocks of it.

use std::fs;
use std::path::PathBuf;

use super::format::hex;
use crate::support::{Run, Scratch, Server, assert_same, random, s3pipe};

const BLOCK: usize = 65536;

/// s3pipe that does not read for a minute what is damaged before it believes it.
fn hasty(server: &Server) -> Run {
    s3pipe(server).option("--patience", "1s")
}

/// A stream that was stored in an embedded server's folder.
struct Stored<'a> {
    server: &'a Server,
    /// Its name in keys.
    name: String,
    /// Its upload id, as its manifest has it.
    upload: String,
    data: Vec<u8>,
}

impl<'a> Stored<'a> {
    /// Three blocks and a half in two indexes.
    fn new(server: &'a Server, name: &str) -> Stored<'a> {
        let data = random(name.len() as u64, 3 * BLOCK + BLOCK / 2);
        let run = s3pipe(server).args(["upload", "--blocksize", "64K", "-s", name]);
        let run = run.env("S3PIPE_INDEX_BLOCKS", "2").stdin(data.clone());
        run.run().ok();
        let mut stored = Stored {
            server,
            name: name.into(),
            upload: String::new(),
            data,
        };
        let manifest = stored.text(&stored.manifest());
        let line = manifest.lines().find_map(|l| l.strip_prefix("upload "));
        stored.upload = line.expect("an upload line").into();
        stored
    }

    fn manifest(&self) -> String {
        format!("s3pipe/manifest/{}", self.name)
    }

    /// The key of this block or index.
    fn numbered(&self, kind: &str, number: usize) -> String {
        let (name, upload) = (&self.name, &self.upload);
        let start = format!("s3pipe/{kind}/{name}/{upload}/{number:010}.");
        let objects = self.server.objects();
        let key = objects.iter().find(|key| key.starts_with(&start));
        key.expect("such an object").clone()
    }

    fn path(&self, key: &str) -> PathBuf {
        self.server.object(key)
    }

    fn read(&self, key: &str) -> Vec<u8> {
        fs::read(self.path(key)).expect("an object")
    }

    fn text(&self, key: &str) -> String {
        String::from_utf8(self.read(key)).expect("text")
    }

    fn write(&self, key: &str, data: impl AsRef<[u8]>) {
        fs::write(self.path(key), data).expect("an object");
    }

    fn flip(&self, key: &str, at: usize) {
        let mut data = self.read(key);
        data[at] ^= 1;
        self.write(key, data);
    }

    fn append(&self, key: &str, more: &[u8]) {
        self.write(key, [&self.read(key)[..], more].concat());
    }

    fn remove(&self, key: &str) {
        fs::remove_file(self.path(key)).expect("an object");
    }

    fn swap(&self, a: &str, b: &str) {
        let (first, second) = (self.read(a), self.read(b));
        self.write(a, second);
        self.write(b, first);
    }

    /// Replaces this in the manifest, once.
    fn edit(&self, from: &str, to: &str) {
        let text = self.text(&self.manifest());
        assert_eq!(text.matches(from).count(), 1, "{from}");
        self.write(&self.manifest(), text.replace(from, to));
    }

    /// Puts another index in the place of this one, with a hash that is right.
    fn forge(&self, number: usize, change: impl Fn(String) -> String) {
        let key = self.numbered("index", number);
        let old = self.text(&key);
        let new = change(old.clone());
        assert_ne!(old, new);
        let (old, new_hash) = (hex(old.as_bytes()), hex(new.as_bytes()));
        self.write(&key.replace(&old, &new_hash), new);
        self.edit(&old, &new_hash);
    }
}

/// A way to damage a stream: what to call it, how, what the message names (a
/// kind of object and its number), and how many whole blocks come out before.
type Damage = (&'static str, fn(&Stored), (&'static str, usize), usize);

const DAMAGES: [Damage; 15] = [
    (
        "block-flip",
        |s| s.flip(&s.numbered("block", 2), 777),
        ("block", 2),
        2,
    ),
    (
        "block-flip-last",
        |s| s.flip(&s.numbered("block", 3), 0),
        ("block", 3),
        3,
    ),
    (
        "block-gone",
        |s| s.remove(&s.numbered("block", 1)),
        ("block", 1),
        1,
    ),
    (
        "block-empty",
        |s| s.write(&s.numbered("block", 0), ""),
        ("block", 0),
        0,
    ),
    (
        "block-short",
        |s| s.write(&s.numbered("block", 1), &s.data[BLOCK..2 * BLOCK - 1]),
        ("block", 1),
        1,
    ),
    (
        "block-long",
        |s| s.write(&s.numbered("block", 3), &s.data[BLOCK..2 * BLOCK]),
        ("block", 3),
        3,
    ),
    (
        "blocks-swapped",
        |s| s.swap(&s.numbered("block", 1), &s.numbered("block", 2)),
        ("block", 1),
        1,
    ),
    (
        "index-flip",
        |s| s.flip(&s.numbered("index", 1), 20),
        ("index", 1),
        2,
    ),
    (
        "index-gone",
        |s| s.remove(&s.numbered("index", 1)),
        ("index", 1),
        2,
    ),
    (
        "index-empty",
        |s| s.write(&s.numbered("index", 0), ""),
        ("index", 0),
        0,
    ),
    (
        "indexes-swapped",
        |s| s.swap(&s.numbered("index", 0), &s.numbered("index", 1)),
        ("index", 0),
        0,
    ),
    (
        "index-gap",
        |s| s.forge(1, |t| t.replace("0000000003", "0000000004")),
        ("index", 1),
        2,
    ),
    (
        "index-order",
        |s| {
            s.forge(0, |t| {
                t.lines().rev().map(|l| l.to_string() + "\n").collect()
            })
        },
        ("index", 0),
        0,
    ),
    (
        "index-length",
        |s| s.forge(1, |t| t.replace(" 32768 ", " 32769 ")),
        ("index", 1),
        2,
    ),
    (
        "index-more",
        |s| s.forge(1, |t| t.clone() + t.lines().last().expect("a line") + "\n"),
        ("index", 1),
        2,
    ),
];

#[test]
fn damaged_blocks_and_indexes() {
    let scratch = Scratch::new();
    let server = Server::embedded(&scratch);
    for (name, damage, (kind, number), whole) in DAMAGES {
        let stored = Stored::new(&server, name);
        let key = |kind, number| stored.numbered(kind, number);
        // A forged index is found under its new name.
        let before = key(kind, number);
        damage(&stored);
        let named = before.rsplit_once('.').expect("a hash").0;
        let out = hasty(&server).args(["download", "-s", name]).run();
        assert_same(&out.stdout, &stored.data[..whole * BLOCK]);
        let out = out.fails(65, named);
        let far = format!("{} bytes were written", whole * BLOCK);
        assert!(out.stderr.contains(&far), "{name}: {out}");
        // The manifest is whole, and all that these look at.
        s3pipe(&server).args(["info", "-s", name]).run().ok();
    }
    let out = s3pipe(&server).args(["list", "-l"]).run().ok();
    assert_eq!(out.text().lines().count(), DAMAGES.len());
    for (name, ..) in DAMAGES {
        s3pipe(&server).args(["delete", "-s", name]).run().ok();
    }
    assert!(
        server.objects().iter().all(|key| key.contains("/index/")),
        "forged ones"
    );
}

/// A way to damage a manifest, and what the message says of it.
type Spoilt = (&'static str, fn(&Stored), &'static str);

const SPOILT: [Spoilt; 17] = [
    (
        "empty",
        |s| s.write(&s.manifest(), ""),
        "does not begin with",
    ),
    (
        "no-end",
        |s| s.edit("end 2 4 229376\n", ""),
        "no 'end' line",
    ),
    (
        "cut",
        |s| s.edit("end 2 4 229376\n", "end 2 4 229376"),
        "unexpected text",
    ),
    (
        "more",
        |s| s.edit("229376\n", "229376\nend\n"),
        "unexpected text",
    ),
    (
        "gap",
        |s| s.edit("index 0000000001", "index 0000000002"),
        "canonical",
    ),
    (
        "twice",
        |s| s.edit("index 0000000001", "index 0000000000"),
        "canonical",
    ),
    (
        "total",
        |s| s.edit("end 2 4 229376", "end 2 4 229377"),
        "end is not",
    ),
    ("blocks", |s| s.edit("end 2 4", "end 2 5"), "end is not"),
    (
        "version",
        |s| s.edit("manifest 2\n", "manifest 3\n"),
        "format version 3",
    ),
    (
        "header",
        |s| s.edit("hash", "colour red\nhash"),
        "line 6: no 'hash' line",
    ),
    (
        "order",
        |s| {
            s.edit(
                "hash sha256\nencryption none\n",
                "encryption none\nhash sha256\n",
            )
        },
        "no 'hash' line",
    ),
    (
        "hash",
        |s| s.edit("hash sha256", "hash md5"),
        "hash is not sha256",
    ),
    (
        "encryption",
        |s| s.edit("encryption none", "encryption rot13"),
        "encryption is not",
    ),
    (
        "crlf",
        |s| s.edit("hash sha256\n", "hash sha256\r\n"),
        "hash is not",
    ),
    (
        "block-size",
        |s| s.edit("blocksize 65536", "blocksize 0065536"),
        "canonical",
    ),
    ("utf8", |s| s.append(&s.manifest(), b"\xfc"), "not UTF-8"),
    (
        "huge",
        |s| s.write(&s.manifest(), vec![b'\n'; (16 << 20) + 1]),
        "larger than 16777216 bytes",
    ),
];

#[test]
fn damaged_manifests() {
    let scratch = Scratch::new();
    let server = Server::embedded(&scratch);
    for (name, damage, why) in SPOILT {
        let stored = Stored::new(&server, name);
        damage(&stored);
        let key = format!("test/{}: ", stored.manifest());
        for args in [
            &["download"][..],
            &["info"],
            &["verify"],
            &["upload"],
            &["delete"],
        ] {
            let out = hasty(&server).args(args).args(["-s", name]).run();
            let out = out.fails(65, why);
            assert!(out.stderr.contains(&key), "{name}: {out}");
            assert_eq!(out.stdout, b"", "{name}");
        }
        // Its blocks are there still, for who repairs it by hand. Whoever
        // insists can replace it, or be rid of it.
        stored.numbered("block", 3);
        let again = hasty(&server).args(["upload", "-f", "-s", name]);
        again.stdin("new").run().ok();
        let out = s3pipe(&server).args(["download", "-s", name]).run().ok();
        assert_eq!(out.stdout, b"new", "{name}");
        stored.write(&stored.manifest(), b"nonsense");
        hasty(&server).args(["delete", "-f", "-s", name]).run().ok();
        s3pipe(&server)
            .args(["info", "-s", name])
            .run()
            .fails(66, "no such");
    }
}

#[test]
fn a_damaged_manifest_in_listings() {
    let scratch = Scratch::new();
    let server = Server::embedded(&scratch);
    for name in ["a", "bad", "c"] {
        Stored::new(&server, name);
    }
    fs::write(server.object("s3pipe/manifest/bad"), "nonsense\n").expect("an object");
    let out = s3pipe(&server).arg("list").run().ok();
    assert_eq!(out.text(), "a\nbad\nc\n");
    let out = hasty(&server).args(["list", "-l"]).run();
    let out = out.fails(65, "list: test/s3pipe/manifest/bad: bad manifest");
    // The others are shown all the same.
    let lines: Vec<&str> = out.text().lines().collect();
    assert!(
        lines[0].ends_with("\ta") && lines[2].ends_with("\tc"),
        "{out}"
    );
    assert_eq!(lines[1], "?\t?\t?\tbad");
}

#[test]
fn another_streams_manifest() {
    let scratch = Scratch::new();
    let server = Server::embedded(&scratch);
    let (a, b) = (Stored::new(&server, "a"), Stored::new(&server, "b1"));
    b.write(&b.manifest(), a.read(&a.manifest()));
    for word in ["download", "info", "delete"] {
        let out = hasty(&server).args([word, "-s", "b1"]).run();
        let why = "test/s3pipe/manifest/b1: bad manifest: it belongs to another stream";
        let out = out.fails(65, why);
        assert_eq!(out.stdout, b"");
    }
    let out = s3pipe(&server).args(["download", "-s", "a"]).run().ok();
    assert_same(&out.stdout, &a.data);
}
