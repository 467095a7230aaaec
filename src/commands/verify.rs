//! Reading back what is stored of a stream, without giving it out.
//!
//! Every index and every block is fetched and hashed; what the store lists
//! besides is named too. Each finding is a line on stderr, and any finding
//! makes the exit status 65; an object in an archive, which cannot be read at
//! present, is a line too, and makes it 69. Nothing is changed.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::commands::fetch::{Fetching, Settle};
use crate::error::{Exit, Result};
use crate::protection::keyring::Keyring;
use crate::s3::{Client, Kind, Presence};
use crate::stream::manifest::Manifest;
use crate::stream::name::{Keys, Name};
use crate::stream::stored::{Finding, Named, Walk, compare, parse_key};
use crate::stream::version1::Old;
use crate::stream::{self, Stream};
use crate::workers::task::Brief;

/// Check a stream: its seals, and all of its data, or, `quick`, what the
/// listings show. `brief` is what `client` was made of.
pub fn verify(
    client: &mut Client,
    keys: &Keys,
    name: &Name,
    quick: bool,
    brief: &Brief,
    ring: &Keyring,
) -> Result<()> {
    let manifest = match stream::open_sealed(client, keys, name, ring)? {
        Stream::Current(manifest) => manifest,
        Stream::Old(old) => return verify_old(client, &old, quick),
    };
    let findings = match quick {
        true => Findings {
            bad: listed(client, keys, &manifest)?,
            archived: 0,
        },
        false => {
            client.progress().set_size(manifest.bytes());
            let mut findings = read(client, keys, &manifest, brief)?;
            let strays = extra(client, keys, &manifest);
            match strays {
                // What is wrong is worse than what could not be looked at.
                Err(e) if findings.bad > 0 && e.exit() == Exit::Unavailable => {
                    client.progress().say(&e.to_string());
                }
                strays => findings.bad += strays?,
            }
            findings
        }
    };
    // It may have been replaced while we looked, and what we found mean little.
    let key = keys.manifest(name);
    if !stream::is_unchanged(client, keys, &manifest)? {
        let why = "the stream was replaced or deleted while it was being verified";
        return Err(client.error(Exit::Changed, Some(&key), why));
    }
    match (findings.bad, findings.archived) {
        (0, 0) => Ok(()),
        (0, 1) => Err(client.error(Exit::Unavailable, Some(&key), "1 object is archived")),
        (0, n) => {
            let why = format!("{n} objects are archived");
            Err(client.error(Exit::Unavailable, Some(&key), why))
        }
        (1, _) => Err(client.error(Exit::Data, Some(&key), "1 object is not as it must be")),
        (n, _) => {
            let why = format!("{n} objects are not as they must be");
            Err(client.error(Exit::Data, Some(&key), why))
        }
    }
}

/// A stream of version 1 has no hashes to hold its blocks against; that its
/// listing has no gap was seen when it was opened.
fn verify_old(client: &mut Client, old: &Old, quick: bool) -> Result<()> {
    old.warn(client);
    if quick {
        return Ok(());
    }
    client.progress().set_size(old.bytes());
    old.read(client, &(0..old.bytes()), |client, bytes| {
        client.progress().block_done(bytes.len() as u64);
        client.set_underway(true);
        Ok(())
    })?;
    client.progress().finish();
    Ok(())
}

fn report(client: &Client, key: &str, what: &str) {
    let line = format!("verify: {}/{key}: {what}", client.bucket());
    client.progress().say(&line);
}

/// How many objects are wrong or missing, and how many cannot be read at
/// present.
#[derive(Default)]
struct Findings {
    bad: u64,
    archived: u64,
}

/// Fetch everything. What is bad, missing or archived is reported and counted;
/// what keeps us from looking ends the run.
fn read(client: &mut Client, keys: &Keys, manifest: &Manifest, brief: &Brief) -> Result<Findings> {
    let mut blocks = Findings::default();
    let mut fetching = Fetching::new(keys, manifest, brief, manifest.bytes(), None)?;
    let settle: &mut Settle = &mut |client, done| {
        blocks.note(client, done)?;
        client.set_underway(true);
        Ok(())
    };
    let mut indexes = Findings::default();
    let mut start = 0;
    let mut done = Ok(());
    for index in &manifest.indexes {
        // One index at a time, since a bad one must not hide the next.
        let part = start..start + index.bytes;
        start = part.end;
        let read = fetching.read(client, &part, settle);
        if let Err(e) = indexes.note(client, read) {
            done = Err(e);
            break;
        }
    }
    fetching.end(client, done, settle)?;
    client.progress().finish();
    Ok(Findings {
        bad: blocks.bad + indexes.bad,
        archived: blocks.archived + indexes.archived,
    })
}

impl Findings {
    /// Say what is wrong with the data, or that it is archived, and count it;
    /// hand on any other error.
    fn note(&mut self, client: &Client, done: Result<()>) -> Result<()> {
        match done {
            Ok(()) => return Ok(()),
            Err(e) if e.exit() == Exit::Data => {
                client.progress().say(&e.to_string());
                self.bad += 1;
            }
            // A worker's errors come as text.
            Err(e) if e.why().starts_with("403 InvalidObjectState") => {
                client.progress().say(&e.to_string());
                self.archived += 1;
            }
            Err(e) => return Err(e),
        }
        Ok(())
    }
}

/// What the store lists and the manifest does not name. Missing objects were
/// reported when they were read.
fn extra(client: &mut Client, keys: &Keys, manifest: &Manifest) -> Result<u64> {
    let mut found = 0;
    client.set_underway(false);
    let compared = compare(client, keys, manifest, |client, finding| {
        if let Finding::Extra(key) = finding {
            report(client, &key, "does not belong to the stream");
            found += 1;
        }
        Ok(())
    });
    match compared {
        // A bad index: reported already.
        Err(e) if e.exit() == Exit::Data => Ok(found),
        Err(e) if e.exit() == Exit::Denied => {
            let text = format!("{e} (so objects that do not belong here were not looked for)");
            client.progress().warn(&text);
            Ok(found)
        }
        result => result.map(|()| found),
    }
}

fn listed(client: &mut Client, keys: &Keys, manifest: &Manifest) -> Result<u64> {
    let mut quick = Quick {
        keys,
        manifest,
        named: Named::new(keys, manifest),
        found: 0,
    };
    quick.indexes(client)?;
    quick.blocks(client)?;
    Ok(quick.found)
}

/// The listings held against the manifest alone: every index that it names, and
/// as many blocks as it says, each of its size, without a gap. What is not listed,
/// or with another size, is looked at itself before it is called missing or wrong.
struct Quick<'a> {
    keys: &'a Keys,
    manifest: &'a Manifest,
    named: Named<'a>,
    /// What is wrong.
    found: u64,
}

impl Quick<'_> {
    fn note(&mut self, client: &Client, key: &str, what: &str) {
        report(client, key, what);
        self.found += 1;
    }

    fn blocks(&mut self, client: &mut Client) -> Result<()> {
        let manifest = self.manifest;
        let prefix = self.keys.blocks(&manifest.name, &manifest.upload);
        let mut walk = Walk::new(&prefix);
        let mut next = 0;
        while walk.peek(client)?.is_some() {
            let Some(object) = walk.advance() else {
                continue;
            };
            let number = parse_key(&object.key[prefix.len()..]).map(|(number, _)| number);
            match number.filter(|n| (next..manifest.blocks()).contains(n)) {
                Some(n) => {
                    self.unlisted(client, &prefix, next..n)?;
                    next = n + 1;
                    let start = n * manifest.blocksize;
                    let size = manifest.bytes().saturating_sub(start);
                    let size = size.min(manifest.blocksize);
                    if object.size != size {
                        self.look(client, &object.key, size)?;
                    }
                }
                None => self.note(client, &object.key, "does not belong to the stream"),
            }
        }
        self.unlisted(client, &prefix, next..manifest.blocks())
    }

    /// Blocks that the listing does not have; nor, perhaps, the store.
    fn unlisted(&mut self, client: &mut Client, prefix: &str, numbers: Range<u64>) -> Result<()> {
        let (name, upload) = (&self.manifest.name, &self.manifest.upload);
        for number in numbers {
            match self.named.block(client, number) {
                Ok(Some(block)) => {
                    let key = self.keys.block(name, upload, number, &block.sha256);
                    self.look(client, &key, block.length)?;
                }
                Err(e) if e.exit() != Exit::Data => return Err(e),
                _ => {
                    let what = "not listed, and its index cannot be read";
                    self.note(client, &format!("{prefix}{number:010}"), what);
                }
            }
        }
        Ok(())
    }

    fn look(&mut self, client: &mut Client, key: &str, size: u64) -> Result<()> {
        match client.see(key, Kind::Block, Some(size))? {
            Presence::Whole => {}
            Presence::OtherLength => self.note(client, key, "has the wrong size"),
            Presence::Missing => self.note(client, key, "missing"),
        }
        Ok(())
    }

    fn indexes(&mut self, client: &mut Client) -> Result<()> {
        let (name, upload) = (&self.manifest.name, &self.manifest.upload);
        let prefix = self.keys.indexes(name, upload);
        let mut there = BTreeSet::new();
        client.list(&prefix, |object| {
            there.insert(object.key);
            Ok(())
        })?;
        let mut first = 0;
        for (n, index) in self.manifest.indexes.iter().enumerate() {
            let key = self.keys.index(name, upload, n as u64, &index.sha256);
            if !there.remove(&key) {
                match self.named.block(client, first) {
                    Ok(_) => {}
                    Err(e) if e.exit() == Exit::Data => self.note(client, &key, "missing"),
                    Err(e) => return Err(e),
                }
            }
            first += index.blocks;
        }
        for key in &there {
            self.note(client, key, "does not belong to the stream");
        }
        Ok(())
    }
}
