//! What somebody might do who can write to the bucket.

use std::fs;

use super::{ALL, How, STREAM, Sealed};
use crate::faults::site::blocks;
use crate::support::keys::output;
use crate::support::{assert_same, s3pipe};

impl Sealed {
    fn manifest(&self, name: &str) -> String {
        let path = self.site.server.object(&format!("s3pipe/manifest/{name}"));
        fs::read_to_string(path).expect("a manifest")
    }

    fn put_manifest(&self, name: &str, text: &str) {
        let path = self.site.server.object(&format!("s3pipe/manifest/{name}"));
        fs::write(path, text).expect("a manifest");
    }

    /// The key of an object by the middle of it.
    fn key(&self, part: &str) -> String {
        let objects = self.site.server.objects();
        let key = objects.iter().find(|key| key.contains(part));
        key.unwrap_or_else(|| panic!("no {part}")).clone()
    }

    fn read(&self, key: &str) -> Vec<u8> {
        fs::read(self.site.server.object(key)).expect("an object")
    }

    fn write(&self, key: &str, data: &[u8]) {
        fs::write(self.site.server.object(key), data).expect("an object");
    }

    fn swap(&self, a: &str, b: &str) {
        let (first, second) = (self.read(a), self.read(b));
        self.write(a, &second);
        self.write(b, &first);
    }

    /// Who checks gets nothing, and is told why.
    #[track_caller]
    fn refuses(&self, how: How, why: &str) {
        for word in ["download", "verify", "info"] {
            let out = self.check(word, how);
            println!("{how:?} {word}: {out}");
            let out = out.fails(65, why);
            assert_eq!(out.stdout, b"", "{word}: {out}");
        }
        let out = self.list(how).fails(65, "");
        assert!(out.text().contains("?\t?\t?\texport\n"), "{out}");
    }
}

/// A stream with other bytes whose hashes are right: all of it stored by
/// s3pipe, and only the seal cannot be made.
#[test]
fn another_stream_in_its_place() {
    for how in ALL {
        let sealed = Sealed::new();
        sealed.store(STREAM, &blocks(3), how);
        let good = sealed.manifest(STREAM);
        let seals = &good[good.find("seal ").expect("a seal")..];
        sealed.site.upload(&blocks(2)).arg("-f").run().ok();
        let bare = sealed.manifest(STREAM);
        let missing = match how {
            How::Ssh => "not signed, as --allowed-signers demands",
            _ => "not sealed by HMAC, as --hmac-keyfile demands",
        };
        sealed.refuses(how, missing);
        let wrong = match how {
            How::Ssh => "bad signature: ssh-keygen: ",
            _ => "wrong HMAC: the manifest is not what was sealed",
        };
        sealed.put_manifest(STREAM, &(bare + seals));
        sealed.refuses(how, wrong);
    }
}

/// Structure and digits of the manifest, where it still makes sense.
#[test]
fn a_manifest_that_was_edited() {
    for how in ALL {
        let sealed = Sealed::new();
        sealed.store(STREAM, &blocks(3), how);
        let good = sealed.manifest(STREAM);
        let line = |word: &str| {
            let line = good.lines().find(|line| line.starts_with(word));
            format!("{}\n", line.expect("such a line"))
        };
        let (end, seal) = (line("end "), line("seal "));
        let index = |n: usize| line(&format!("index {n:010} "));
        let created = line("created ");
        let seals = &good[good.find("seal ").expect("a seal")..];
        for edited in [
            good.replace(&created, "created 2001-09-09T01:46:40Z\n"),
            good.replace("encryption none", "encryption age"),
            good.replace("blocksize 65536", "blocksize 65537"),
            good.replace(&index(0)[20..], &index(1)[20..]),
            good.replace(&index(0), ""),
            good.replace(&index(1), &(index(1) + &index(1))),
            good.replace(&(index(0) + &index(1)), &(index(1) + &index(0))),
            good.replace(&end, "")
                .replace(&index(1), &(end.clone() + &index(1))),
            good.replace(&end, ""),
            good.replace(seals, ""),
            good.replace(&seal, &(seal.clone() + &seal)),
            good.replace(&(end.clone() + &seal), &(seal.clone() + &end)),
            good.clone() + "seal rot13 a b\n",
            good.replacen("seal ", "seal  ", 1),
        ] {
            assert_ne!(edited, good);
            sealed.put_manifest(STREAM, &edited);
            sealed.refuses(how, "test/s3pipe/manifest/export: ");
        }
        sealed.put_manifest(STREAM, &good);
        sealed.check("verify", how).ok();
    }
}

/// The kind of object that the message names, and what is done to it.
type Attack = (&'static str, fn(&Sealed));

/// What the manifest names: the first of them, so that there is nothing good
/// before it that could come out.
#[test]
fn blocks_and_indexes() {
    let (sealed, data) = (Sealed::new(), blocks(3));
    sealed.store("other", &blocks(3).split_off(1), How::Both);
    let attacks: [Attack; 7] = [
        ("index", |s| {
            let key = s.key("/index/export/");
            let mut text = s.read(&key);
            text[11] ^= 1;
            s.write(&key, &text);
        }),
        ("index", |s| {
            let keys = [0, 1].map(|n| format!("/index/export/{n}"));
            let objects = s.site.server.objects();
            let mut found = objects.iter().filter(|key| key.contains("/index/export/"));
            let (a, b) = (found.next().expect(&keys[0]), found.next().expect(&keys[1]));
            s.swap(a, b);
        }),
        ("index", |s| {
            let key = s.key("/index/export/");
            s.write(&key, &s.read(&key).repeat(2));
        }),
        ("index", |s| {
            let key = s.key("/index/export/");
            let other = s.key("/index/other/");
            s.write(&key, &s.read(&other));
        }),
        ("block", |s| {
            let objects = s.site.server.objects();
            let mut found = objects.iter().filter(|key| key.contains("/block/export/"));
            let (a, b) = (found.next().expect("one"), found.next().expect("two"));
            s.swap(a, b);
        }),
        ("block", |s| {
            let other = s.key("/block/other/");
            s.write(&s.key("/block/export/"), &s.read(&other));
        }),
        ("block", |s| {
            let path = s.site.server.object(&s.key("/block/export/"));
            fs::remove_file(path).expect("a block");
        }),
    ];
    for (kind, attack) in attacks {
        let run = sealed
            .site
            .upload(&data)
            .arg("-f")
            .env("S3PIPE_INDEX_BLOCKS", "2");
        sealed.sealing(run, How::Both).run().ok();
        attack(&sealed);
        let out = sealed.check("download", How::Both);
        let out = out.fails(65, &format!("/{kind}/export/"));
        assert_eq!(out.stdout, b"", "{kind}");
        assert_eq!(sealed.check("verify", How::Both).status, 65, "{kind}");
    }
}

#[test]
fn under_another_name_or_by_another_key() {
    let (sealed, data) = (Sealed::new(), blocks(1));
    let keys = &sealed.keys;
    sealed.store("a", &data, How::Both);
    sealed.store(STREAM, &data, How::Both);
    let good = sealed.manifest(STREAM);
    sealed.put_manifest(STREAM, &sealed.manifest("a"));
    sealed.refuses(How::Both, "it belongs to another stream");
    // Its name changed, too.
    let renamed = sealed
        .manifest("a")
        .replace("stream a\n", "stream export\n");
    sealed.put_manifest(STREAM, &renamed);
    sealed.refuses(How::Both, "wrong HMAC");
    sealed.refuses(How::Ssh, "bad signature");

    // Sealed by keys of the attacker's.
    keys.file("evil-hmac", "another key of some bytes");
    keys.ssh("evil");
    let run = sealed.site.upload(&data).arg("-f");
    let run = run.option("--hmac-keyfile", &keys.path("evil-hmac"));
    run.option("--sign-key", &keys.path("evil")).run().ok();
    sealed.refuses(How::Hmac, "sealed by another HMAC key than ours");
    sealed.refuses(How::Ssh, "bad signature: ssh-keygen: ");

    // By our key, but for something else.
    let body = &good[..good.find("seal ").expect("a seal")];
    let git = ["-q", "-Y", "sign", "-n", "git", "-f", &keys.path("host")];
    let armour = output("ssh-keygen", &git, body.as_bytes());
    let armour = String::from_utf8(armour).expect("text");
    let blob: String = armour.lines().filter(|l| !l.starts_with("-----")).collect();
    let key = good.lines().find(|line| line.starts_with("seal ssh "));
    let key = key.and_then(|l| l.split(' ').nth(2)).expect("its id");
    sealed.put_manifest(STREAM, &format!("{body}seal ssh {key} {blob}\n"));
    sealed.refuses(How::Ssh, ": bad or missing 'seal'");

    // A stream of version 1 has no seal at all.
    sealed.site.hasty("delete").arg("-f").run().ok();
    let info = "stream.ZXhwb3J0.info";
    let path = sealed.site.server.object(info);
    fs::write(path, b"").expect("an object");
    fs::write(sealed.site.server.object("stream.ZXhwb3J0.block.0"), b"x").expect("an object");
    for how in ALL {
        let out = sealed.check("download", how);
        assert_eq!((out.status, out.stdout.len()), (65, 0), "{out}");
    }
}

/// An older upload, put back: nothing in it is wrong. Its time tells.
#[test]
fn an_older_stream_shows_its_age() {
    let sealed = Sealed::new();
    let run = |data: &[u8]| {
        let run = sealed.site.upload(data).arg("-f");
        sealed.sealing(run, How::Both).run().ok();
        sealed.manifest(STREAM)
    };
    let old = run(b"old");
    let blocks = sealed.key("/block/export/");
    let indexes = sealed.key("/index/export/");
    let (block, index) = (sealed.read(&blocks), sealed.read(&indexes));
    run(b"new");
    sealed.put_manifest(STREAM, &old);
    for (key, data) in [(&blocks, &block), (&indexes, &index)] {
        let path = sealed.site.server.object(key);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        sealed.write(key, data);
    }
    assert_same(&sealed.check("download", How::Both).ok().stdout, b"old");
    let created = old.lines().find_map(|line| line.strip_prefix("created "));
    let shown = format!("\ncreated     {}\n", created.expect("a time"));
    assert!(sealed.check("info", How::Both).ok().text().contains(&shown));
    let run = s3pipe(&sealed.site.server).args(["list", "-l"]);
    assert!(run.run().ok().text().starts_with(created.expect("a time")));
}
