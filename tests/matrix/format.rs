//! The stored format, read and written by what s3pipe(5) says of it, and by
//! nothing of the program's: the oracle's own eyes, and what scenarios begin
//! with.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest, Sha256};

use crate::support::store::Object;

/// The objects of a bucket.
pub type Objects = BTreeMap<String, Object>;

/// The size of every block but a stream's last, in bytes.
pub const BLOCK: usize = 64 << 10;

/// How many blocks an index lists, in the scenarios.
pub const PER_INDEX: usize = 2;

/// When every upload of [`write`] began, in both forms.
pub const BEGAN: (&str, &str) = ("20261122T031500Z", "2026-11-22T03:15:00Z");

/// A committed stream, as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Its upload.
    pub upload: String,
    /// Its bytes.
    pub data: Vec<u8>,
    /// The keys of its manifest, indexes and blocks.
    pub keys: BTreeSet<String>,
}

/// The SHA-256 of something, in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|b| format!("{b:02x}")).collect()
}

/// The key of a stream's manifest. The names here need no encoding.
pub fn manifest_key(name: &str) -> String {
    format!("s3pipe/manifest/{name}")
}

/// The key of an upload's record.
pub fn record_key(name: &str, upload: &str) -> String {
    format!("s3pipe/upload/{name}/{upload}")
}

/// The id of the upload of this number: a greater number is a later upload.
pub fn upload_id(number: u64) -> String {
    format!("{}-{number:016x}", BEGAN.0)
}

/// What an upload of `data` under this name stores: its blocks and indexes,
/// and the text of its manifest, which is not among them.
pub fn write(objects: &mut Objects, name: &str, upload: &str, data: &[u8]) -> String {
    let mut manifest = format!(
        "s3pipe-manifest 2\nstream {name}\nupload {upload}\ncreated {}\nblocksize {BLOCK}\n\
         hash sha256\nencryption none\n",
        BEGAN.1
    );
    let blocks: Vec<&[u8]> = data.chunks(BLOCK).collect();
    for (n, group) in blocks.chunks(PER_INDEX).enumerate() {
        let mut index = String::new();
        for (place, block) in group.iter().enumerate() {
            let (number, hash) = (n * PER_INDEX + place, sha256(block));
            index += &format!("{number:010} {} {hash}\n", block.len());
            let key = format!("s3pipe/block/{name}/{upload}/{number:010}.{hash}");
            objects.insert(key, Object::new(*block));
        }
        let hash = sha256(index.as_bytes());
        let bytes: usize = group.iter().map(|block| block.len()).sum();
        manifest += &format!("index {n:010} {} {bytes} {hash}\n", group.len());
        let key = format!("s3pipe/index/{name}/{upload}/{n:010}.{hash}");
        objects.insert(key, Object::new(index));
    }
    let indexes = blocks.len().div_ceil(PER_INDEX);
    manifest + &format!("end {indexes} {} {}\n", blocks.len(), data.len())
}

/// The same, committed.
pub fn commit(objects: &mut Objects, name: &str, upload: &str, data: &[u8]) {
    let manifest = write(objects, name, upload, data);
    objects.insert(manifest_key(name), Object::new(manifest));
}

/// The record of an upload.
pub fn record(objects: &mut Objects, name: &str, upload: &str) {
    let text = format!(
        "s3pipe-upload 2\nstream {name}\nupload {upload}\ncreated {}\nblocksize {BLOCK}\n\
         nonce {}\n",
        BEGAN.1,
        "0123456789abcdef".repeat(2)
    );
    objects.insert(record_key(name, upload), Object::new(text));
}

/// The key of an object of a stream of version 1: `info`, `block.0`.
pub fn old_key(name: &str, rest: &str) -> String {
    format!("stream.{}.{rest}", BASE64.encode(name))
}

/// A stream of version 1, written in 2007.
pub fn write_old(objects: &mut Objects, name: &str, data: &[u8]) {
    let info = Object::new("")
        .meta("x-amz-meta-name", name)
        .meta("x-amz-meta-version", "1")
        .meta("x-amz-meta-ctime", "1196423445678");
    objects.insert(old_key(name, "info"), info);
    for (n, block) in data.chunks(BLOCK).enumerate() {
        objects.insert(old_key(name, &format!("block.{n}")), Object::new(block));
    }
}

/// The stream of this name, if it has a manifest; what is wrong with it, where
/// it is not whole.
pub fn read(objects: &Objects, name: &str) -> Result<Option<Stream>, String> {
    let key = manifest_key(name);
    match objects.get(&key) {
        None => Ok(None),
        Some(object) => reconstruct(objects, name, &object.body)
            .map(Some)
            .map_err(|why| format!("stream {name}: {why}")),
    }
}

fn reconstruct(objects: &Objects, name: &str, manifest: &[u8]) -> Result<Stream, String> {
    let text = std::str::from_utf8(manifest).map_err(|_| "its manifest is not UTF-8")?;
    let mut lines = text.strip_suffix('\n').ok_or("no line feed")?.split('\n');
    let mut field = |word: &str| {
        let line = lines.next().unwrap_or_default();
        let value = line.strip_prefix(word).and_then(|v| v.strip_prefix(' '));
        value.ok_or_else(|| format!("'{line}' where '{word}' should be"))
    };
    expect("version", field("s3pipe-manifest")?, "2")?;
    expect("name", field("stream")?, name)?;
    let upload = field("upload")?.to_string();
    field("created")?;
    let blocksize = number(field("blocksize")?)?;
    expect("hash", field("hash")?, "sha256")?;
    expect("encryption", field("encryption")?, "none")?;
    let mut stream = Stream {
        upload,
        data: Vec::new(),
        keys: BTreeSet::from([manifest_key(name)]),
    };
    let (mut indexes, mut blocks) = (0, 0);
    loop {
        let line = lines.next().ok_or("it has no end line")?;
        if let Some(end) = line.strip_prefix("end ") {
            let totals = format!("{indexes} {blocks} {}", stream.data.len());
            expect("totals", end, &totals)?;
            expect("text behind its end", lines.next().unwrap_or(""), "")?;
            return Ok(stream);
        }
        let (n, rest) = fields(line.strip_prefix("index ").ok_or("no index line")?)?;
        expect("index", n, &format!("{indexes:010}"))?;
        let before = stream.data.len();
        let listed = take(objects, &mut stream, name, "index", n, rest[2])?;
        let found = add_blocks(objects, &mut stream, name, &listed, blocks, blocksize)?;
        expect("blocks", rest[0], &found.to_string())?;
        expect("bytes", rest[1], &(stream.data.len() - before).to_string())?;
        indexes += 1;
        blocks += found;
    }
}

/// Appends the blocks of an index, and counts them.
fn add_blocks(
    objects: &Objects,
    stream: &mut Stream,
    name: &str,
    index: &[u8],
    first: usize,
    blocksize: usize,
) -> Result<usize, String> {
    let text = std::str::from_utf8(index).map_err(|_| "an index is not UTF-8")?;
    let mut found = 0;
    for line in text.strip_suffix('\n').ok_or("no line feed")?.split('\n') {
        if !stream.data.len().is_multiple_of(blocksize) {
            return Err("a block behind a short one".into());
        }
        let mut words = line.split(' ');
        let mut word = || words.next().ok_or("a short block line");
        let (n, length, hash) = (word()?, number(word()?)?, word()?);
        expect("block", n, &format!("{:010}", first + found))?;
        let block = take(objects, stream, name, "block", n, hash)?;
        if block.len() != length || length == 0 || length > blocksize {
            return Err(format!("block {n} has {} bytes", block.len()));
        }
        stream.data.extend(block);
        found += 1;
    }
    Ok(found)
}

/// An index or a block, if it is there and has its hash.
fn take(
    objects: &Objects,
    stream: &mut Stream,
    name: &str,
    kind: &str,
    number: &str,
    hash: &str,
) -> Result<Vec<u8>, String> {
    let key = format!("s3pipe/{kind}/{name}/{}/{number}.{hash}", stream.upload);
    let object = objects.get(&key);
    let object = object.ok_or_else(|| format!("{kind} {number} is missing"))?;
    if sha256(&object.body) != hash {
        return Err(format!("{kind} {number} does not have its SHA-256"));
    }
    stream.keys.insert(key);
    Ok(object.body.to_vec())
}

/// The number of an index line, and its three other fields.
fn fields(line: &str) -> Result<(&str, [&str; 3]), String> {
    let words: Vec<&str> = line.split(' ').collect();
    match words[..] {
        [n, blocks, bytes, hash] => Ok((n, [blocks, bytes, hash])),
        _ => Err(format!("a bad index line: {line}")),
    }
}

fn number(text: &str) -> Result<usize, String> {
    let number: usize = text.parse().map_err(|_| format!("no number: {text}"))?;
    expect("number", text, &number.to_string())?;
    Ok(number)
}

fn expect(what: &str, found: &str, expected: &str) -> Result<(), String> {
    match found == expected {
        true => Ok(()),
        false => Err(format!("{what}: '{found}', not '{expected}'")),
    }
}

#[test]
fn what_is_written_is_read() {
    let data = crate::support::random(3, 2 * BLOCK + 5);
    let mut objects = Objects::new();
    assert_eq!(read(&objects, "n"), Ok(None));
    commit(&mut objects, "n", &upload_id(1), &data);
    let stream = read(&objects, "n").unwrap().unwrap();
    assert_eq!((stream.data, stream.keys.len()), (data, 6));
    for key in objects.keys().filter(|key| !key.contains("manifest")) {
        let mut without = objects.clone();
        without.remove(key);
        assert!(read(&without, "n").unwrap_err().contains("is missing"));
        let mut other = objects.clone();
        other.insert(key.clone(), Object::new("x"));
        assert!(read(&other, "n").unwrap_err().contains("SHA-256"));
    }
    let text = String::from_utf8(objects[&manifest_key("n")].body.to_vec()).unwrap();
    for (from, to) in [
        ("2\nstream", "3\nstream"),
        ("end 2 3 131077", "end 2 3 131078"),
        ("index 0000000000 2 131072", "index 0000000000 2 0"),
        ("stream n", "stream m"),
        ("encryption none\n", ""),
    ] {
        let changed = text.replace(from, to);
        assert_ne!(changed, text, "{from}");
        let mut other = objects.clone();
        other.insert(manifest_key("n"), Object::new(changed));
        assert!(read(&other, "n").is_err(), "{from}");
    }
}
