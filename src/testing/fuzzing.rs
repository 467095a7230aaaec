//! What must be true of every parser, whatever it is given: one function for
//! each target of `tests/fuzz`, which panics where something is not.
//!
//! Called by the fuzzer and, on the fuzzer's seeds, by the tests here; by
//! nothing else. Two of these write files below the temporary folder.

use std::path::PathBuf;
use std::{fs, process};

use crate::credentials::{self, Found};
use crate::error::{Exit, Result};
use crate::net::bypass::blank_content_length;
use crate::protection::age;
use crate::protection::seal::{Seal, Signature};
use crate::s3::xml;
use crate::s3::{Headers, is_region};
use crate::stream::block::parse_range;
use crate::stream::manifest::{self, INDEX_BLOCKS, IndexRef, Manifest, Record};
use crate::stream::name::{Keys, NAME_LIMIT, Name, UploadId};
use crate::text::time::Utc;

/// A manifest: there is one way to write it, and its totals hold.
pub fn manifest(data: &[u8]) {
    let Ok(manifest) = Manifest::parse(data) else {
        return;
    };
    assert_eq!(manifest.to_text().as_bytes(), data);
    assert!(manifest.bytes() <= manifest.blocks() * manifest.blocksize);
    assert!(manifest.indexes.iter().all(|i| i.blocks <= INDEX_BLOCKS));
    assert!(data.starts_with(manifest.body().as_bytes()));
    assert!(manifest.seals.len() <= 2);
}

/// A seal, as behind the word in a manifest, or a signature's blob or armour:
/// there is one way to write it. And the beginning of an age file.
pub fn seal(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        if let Some(seal) = Seal::parse(text) {
            assert_eq!(seal.line(), format!("seal {text}\n"));
            assert!(!seal.name().contains(char::is_control));
        }
        if let Some(signature) = Signature::from_armour(text) {
            let again = Signature::from_armour(&signature.to_armour());
            assert_eq!(again, Some(signature));
        }
    }
    if let Some(signature) = Signature::new(data.to_vec()) {
        assert!(signature.key().starts_with("SHA256:") && signature.key().len() == 50);
        let seal = Seal::Ssh(signature);
        let line = seal.line();
        let text = line
            .strip_prefix("seal ")
            .and_then(|l| l.strip_suffix('\n'));
        assert_eq!(text.and_then(Seal::parse), Some(seal));
    }
    if let Some(header) = age::header(data) {
        assert!(header <= data.len() as u64);
        assert!(age::plaintext(header, data.len() as u64) <= data.len() as u64 - header);
    }
}

/// An upload record: there is one way to write it.
pub fn record(data: &[u8]) {
    if let Ok(record) = Record::parse(data) {
        assert_eq!(record.to_text().as_bytes(), data);
    }
}

/// An index, expected to be just what it says of itself, and then otherwise.
pub fn index(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let field = |line: &str, n: usize| line.split(' ').nth(n)?.parse::<u64>().ok();
    let lengths = || text.lines().filter_map(|line| field(line, 1));
    let first = text.lines().find_map(|line| field(line, 0));
    let first = first.unwrap_or_default().min(1 << 40);
    let blocksize = lengths().next().unwrap_or_default();
    let expected = IndexRef {
        blocks: text.lines().count() as u64,
        bytes: lengths().fold(0, u64::wrapping_add),
        sha256: [0; 32],
    };
    if expected.blocks > INDEX_BLOCKS || !manifest::BLOCK_SIZES.contains(&blocksize) {
        return;
    }
    for last in [true, false] {
        let parse = |expected: &IndexRef, first| {
            manifest::parse_index(data, expected, first, blocksize, last)
        };
        let Ok(blocks) = parse(&expected, first) else {
            continue;
        };
        let written: String = blocks.iter().map(manifest::index_line).collect();
        assert_eq!(written.as_bytes(), data);
        let whole = blocks.iter().filter(|b| b.length == blocksize).count();
        assert!(whole + usize::from(last) >= blocks.len());
        let numbers = blocks.iter().map(|b| b.number);
        assert!(numbers.eq(first..first + expected.blocks));
        assert_eq!(expected.bytes, blocks.iter().map(|b| b.length).sum::<u64>());
        let (blocks_off, bytes_off) = (with(&expected, 1, 0), with(&expected, 0, 1));
        assert!(parse(&blocks_off, first).is_err() && parse(&bytes_off, first).is_err());
        assert!(blocks.is_empty() || parse(&expected, first + 1).is_err());
    }
}

/// The same, but for so many more blocks and bytes.
fn with(expected: &IndexRef, blocks: u64, bytes: u64) -> IndexRef {
    IndexRef {
        blocks: expected.blocks + blocks,
        bytes: expected.bytes.wrapping_add(bytes),
        ..expected.clone()
    }
}

/// Names and upload ids, as a user gives them and as they stand in keys: no
/// two share a key, and a key is what it should be.
pub fn name(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Some(name) = Name::decode(&text) {
        assert_eq!(name.encoded(), text);
        assert_eq!(Name::new(name.text()).as_ref(), Ok(&name));
    }
    if let Ok(name) = Name::new(&text) {
        let encoded = name.encoded();
        assert_eq!(Name::decode(encoded).as_ref(), Some(&name));
        assert_eq!(name.text(), text);
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
        assert!(encoded.bytes().all(plain) && !encoded.starts_with('.'));
        assert!((1..=NAME_LIMIT).contains(&encoded.len()));
        assert!(!name.printable().contains(char::is_control));
        let id = UploadId::new(Utc(0), [0xff; 8]);
        let key = Keys::new("p/").block(&name, &id, u64::MAX, &[0; 32]);
        assert!(key.len() <= 1024 && key.split('/').count() == 5);
    }
    if let Some(id) = UploadId::parse(&text) {
        assert_eq!(id.as_str(), text);
    }
}

/// What a server answers in XML; and keys that it is asked to delete.
pub fn answer(data: &[u8]) {
    if let Some(refusal) = xml::error(data) {
        assert!(!refusal.code.is_empty() && refusal.code.is_ascii());
        assert!(refusal.region.as_deref().is_none_or(is_region));
        assert!(refusal.why().len() <= refusal.code.len() + 8 + 4 * 300);
    }
    for prefix in ["", "s3pipe/manifest/"] {
        if let Some(page) = xml::page(data, prefix) {
            // <Contents><Key/></Contents>
            assert!(page.objects.len() * 20 <= data.len());
            let size: usize = page.objects.iter().map(|o| o.key.len()).sum();
            assert!(size <= data.len());
        }
    }
    if let Some(deleted) = xml::delete_result(data) {
        assert!(deleted.len() * 20 <= data.len());
    }
    delete(&String::from_utf8_lossy(data));
}

/// A key must come out of the request as it went in, whatever is in it.
fn delete(key: &str) {
    let keys = [key.to_string(), "other".to_string()];
    let request = xml::delete_request(&keys);
    assert_eq!(request.matches("<Key>").count(), 2);
    // What XML 1.0 cannot hold is the server's to judge.
    let impossible = |c: char| {
        let control = c < ' ' && !matches!(c, '\t' | '\n' | '\r');
        control || matches!(c, '\u{fffe}' | '\u{ffff}')
    };
    if key.is_empty() || key.contains(impossible) {
        return;
    }
    let names = [
        ("<Delete ", "<DeleteResult "),
        ("</Delete>", "</DeleteResult>"),
        ("<Object>", "<Deleted>"),
        ("</Object>", "</Deleted>"),
    ];
    let answer = names
        .iter()
        .fold(request, |text, (from, to)| text.replace(from, to));
    if answer.len() < xml::LISTING_LIMIT {
        assert_eq!(xml::delete_result(answer.as_bytes()), Some(keys.to_vec()));
    }
}

/// A key file.
pub fn keyfile(data: &[u8]) {
    let path = write("keyfile", data);
    found(credentials::find(&credentials::Lookup {
        keyfile: Some(&path),
        profile: None,
        env: &|_| None,
    }));
}

/// The shared files of AWS's tools, with a zero byte between them.
pub fn profile(data: &[u8]) {
    let (credentials, config) = match data.iter().position(|&b| b == 0) {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => (data, &[][..]),
    };
    let files = [
        (
            "AWS_SHARED_CREDENTIALS_FILE",
            write("credentials", credentials),
        ),
        ("AWS_CONFIG_FILE", write("config", config)),
    ];
    for profile in ["default", "a b"] {
        found(credentials::find(&credentials::Lookup {
            keyfile: None,
            profile: Some(profile),
            env: &|name| {
                let file = files.iter().find(|(known, _)| *known == name);
                file.map(|(_, path)| path.clone())
            },
        }));
    }
}

/// Overwrites a file of this process; returns its path.
fn write(name: &str, data: &[u8]) -> String {
    let path = path(name);
    fs::write(&path, data).expect("the temporary folder can be written to");
    path.to_str().expect("a UTF-8 path").to_string()
}

fn path(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("s3pipe-fuzz-{}-{name}", process::id()))
}

/// What was found can be sent; what was wrong is told, but not the secret.
fn found(result: Result<Found>) {
    let found = match result {
        Ok(found) => found,
        Err(e) => {
            assert_eq!(e.exit(), Exit::Config, "{e}");
            // The seeds' secrets. A section's name is none.
            let shown = e.to_string();
            assert!(!shown.contains("hush") || shown.contains("[services "));
            return;
        }
    };
    let credentials = &found.credentials;
    let visible = |text: &str| text.bytes().all(|b| b.is_ascii_graphic());
    assert!(!credentials.id.is_empty() && visible(&credentials.id));
    assert!(!credentials.secret.is_empty());
    assert!(!credentials.secret.contains(char::is_control));
    assert!(credentials.token.as_deref().is_none_or(visible));
    let beside = [
        &found.bucket,
        &found.stream,
        &found.endpoint,
        &found.region,
        &found.ca_bundle,
        &found.prefix,
    ];
    let mut beside = beside.into_iter().flatten();
    assert!(beside.all(|text| !text.is_empty() && !text.contains(char::is_control)));
}

/// Headers: those of answers that s3pipe reads itself, the heads that it
/// changes, and those that users add.
pub fn header(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Some((first, size)) = parse_range(&text) {
        let size = size.map_or("*".to_string(), |size| size.to_string());
        let plain = format!("bytes {first}-{first}/{size}");
        assert_eq!(parse_range(&plain), parse_range(&text));
    }
    if let Some(time) = Utc::parse_http(&text) {
        assert_eq!(Utc::parse_http(&time.http()), Some(time));
    }
    if let Some(time) = Utc::parse_rfc3339(&text) {
        assert_eq!(Utc::parse_rfc3339(&time.rfc3339()), Some(time));
        assert_eq!(Utc::parse_basic(&time.basic()), Some(time));
    }
    blanked(data);
    if !text.starts_with('@')
        && let Ok(headers) = Headers::new(&[text.into_owned()], |_| ())
    {
        let sendable = |text: &str| text.bytes().all(|b| (b' '..=b'~').contains(&b));
        let mut sent = headers.on("PUT", crate::s3::Kind::Block);
        assert!(sent.all(|(name, value)| sendable(name) && sendable(value)));
    }
}

/// Nothing but the digits of the one Content-Length may change.
fn blanked(data: &[u8]) {
    let mut head = data.to_vec();
    let Some(length) = blank_content_length(&mut head) else {
        assert_eq!(head, data);
        return;
    };
    let changed = || data.iter().zip(&head).filter(|(old, new)| old != new);
    assert!(changed().all(|(old, new)| old.is_ascii_digit() && *new == b'0'));
    let digits: Vec<u8> = changed().map(|(old, _)| *old).collect();
    assert!(length > 0 || digits.is_empty());
    assert_eq!(blank_content_length(&mut head), Some(0));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Also finds a seed that was damaged: each target has some.
    #[test]
    fn the_fuzzers_seeds_pass() {
        type Check = fn(&[u8]);
        let targets: [(&str, Check); 9] = [
            ("manifest", manifest),
            ("seal", seal),
            ("record", record),
            ("index", index),
            ("name", name),
            ("answer", answer),
            ("keyfile", keyfile),
            ("profile", profile),
            ("header", header),
        ];
        for (target, check) in targets {
            let folder = format!("{}/tests/fuzz/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
            let mut seeds = 0;
            for seed in fs::read_dir(&folder).expect("a folder of seeds") {
                check(&fs::read(seed.unwrap().path()).unwrap());
                seeds += 1;
            }
            assert!(seeds > 2, "{target}");
        }
        for name in ["keyfile", "credentials", "config"] {
            fs::remove_file(path(name)).unwrap();
        }
    }
}
