//! Reading back what is stored of a stream, without giving it out.
//!
//! Every index and every block is fetched and hashed, and objects that do not belong
//! to the stream are looked for. Each finding is a line on stderr, and makes the
//! exit status 65; an object in an archive, which cannot be read at present, is a
//! line, too, and makes it 69. Nothing is changed.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::cli::Options;
use crate::commands::fetch::{Fetcher, OnBlock};
use crate::commands::session::Session;
use crate::error::{Exit, Result};
use crate::s3::{Client, Kind, Presence};
use crate::stream::manifest::Manifest;
use crate::stream::store::Store;
use crate::stream::stored::{Difference, IndexedBlocks, OrderedListing, compare, parse_key};
use crate::stream::version1::Version1;
use crate::stream::{self, StoredStream};
use crate::workers::coordinator::Jobs;

/// Check a stream: its seals, and all of its data, or, with `--quick`, what the
/// listings show.
pub fn verify(session: &mut Session, options: &Options) -> Result<()> {
    let name = &session.name()?;
    let store = &mut session.store;
    let manifest = match stream::open_sealed(store, name, &session.ring)? {
        StoredStream::Version2(manifest) => manifest,
        StoredStream::Version1(old) => return verify_old(&mut store.client, &old, options.quick),
    };
    let findings = if options.quick {
        listed(store, &manifest)?
    } else {
        read_and_listed(store, &manifest, session.jobs)?
    };
    // If it was replaced meanwhile, the findings say nothing about it.
    if !stream::is_unchanged(store, &manifest)? {
        let why = "the stream was replaced or deleted while it was being verified";
        return Err(store.error(Exit::Changed, name, why));
    }
    let (exit, why) = match (findings.bad, findings.archived) {
        (0, 0) => return Ok(()),
        (0, 1) => (Exit::Unavailable, "1 object is archived".to_string()),
        (0, n) => (Exit::Unavailable, format!("{n} objects are archived")),
        (1, _) => (Exit::Data, "1 object is not as it must be".to_string()),
        (n, _) => (Exit::Data, format!("{n} objects are not as they must be")),
    };
    Err(store.error(exit, name, why))
}

/// A stream of version 1 has no hashes: its blocks can only be read. That no block is
/// missing in between was checked when it was opened.
fn verify_old(client: &mut Client, old: &Version1, quick: bool) -> Result<()> {
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

/// Fetch everything, and look for what does not belong there.
fn read_and_listed(store: &mut Store, manifest: &Manifest, jobs: Jobs) -> Result<Findings> {
    store.progress().set_size(manifest.bytes());
    let mut findings = read(store, manifest, jobs)?;
    match extra(store, manifest) {
        // What is wrong is worse than what could not be looked at.
        Err(e) if findings.bad > 0 && e.exit() == Exit::Unavailable => {
            store.progress().say(&e.to_string());
        }
        strays => findings.bad += strays?,
    }
    Ok(findings)
}

/// Fetch everything. What is damaged, missing or archived is reported and counted;
/// any other error ends the run.
fn read(store: &mut Store, manifest: &Manifest, jobs: Jobs) -> Result<Findings> {
    let mut blocks = Findings::default();
    let mut fetcher = Fetcher::new(store, manifest, jobs, manifest.bytes(), None)?;
    let on_block: &mut OnBlock = &mut |client, done| {
        blocks.note(client, done)?;
        client.set_underway(true);
        Ok(())
    };
    let mut indexes = Findings::default();
    let mut start = 0;
    let mut done = Ok(());
    for index in &manifest.indexes {
        // One index at a time, so that a damaged one does not hide the next.
        let part = start..start + index.bytes;
        start = part.end;
        let read = fetcher.read(store, &part, on_block);
        if let Err(e) = indexes.note(&store.client, read) {
            done = Err(e);
            break;
        }
    }
    fetcher.end(store, done, on_block)?;
    store.progress().finish();
    Ok(Findings {
        bad: blocks.bad + indexes.bad,
        archived: blocks.archived + indexes.archived,
    })
}

impl Findings {
    /// Report and count an object that is damaged, missing or archived; return any
    /// other error.
    fn note(&mut self, client: &Client, done: Result<()>) -> Result<()> {
        match done {
            Ok(()) => return Ok(()),
            Err(e) if e.exit() == Exit::Data => {
                client.progress().say(&e.to_string());
                self.bad += 1;
            }
            // The errors of workers come as text.
            Err(e) if e.why().starts_with("403 InvalidObjectState") => {
                client.progress().say(&e.to_string());
                self.archived += 1;
            }
            Err(e) => return Err(e),
        }
        Ok(())
    }
}

/// Report and count what the store lists and the manifest does not name. Missing
/// objects were reported when they were read.
fn extra(store: &mut Store, manifest: &Manifest) -> Result<u64> {
    let mut found = 0;
    store.client.set_underway(false);
    let compared = compare(store, manifest, |store, finding| {
        if let Difference::Extra(key) = finding {
            report(&store.client, &key, "does not belong to the stream");
            found += 1;
        }
        Ok(())
    });
    match compared {
        // A damaged index was reported already.
        Err(e) if e.exit() == Exit::Data => Ok(found),
        Err(e) if e.exit() == Exit::Denied => {
            let text = format!("{e} (so objects that do not belong here were not looked for)");
            store.progress().warn(&text);
            Ok(found)
        }
        result => result.map(|()| found),
    }
}

/// What the listings show, without reading a block.
fn listed(store: &mut Store, manifest: &Manifest) -> Result<Findings> {
    let mut quick = QuickCheck {
        store,
        manifest,
        named: IndexedBlocks::new(manifest),
        found: 0,
    };
    quick.indexes()?;
    quick.blocks()?;
    Ok(Findings {
        bad: quick.found,
        archived: 0,
    })
}

/// `--quick`: compares the listings with the manifest: every index that it names, and
/// as many blocks as it says, each of its size, without a gap. What is not listed, or
/// with another size, is looked at itself before it is reported.
struct QuickCheck<'a> {
    store: &'a mut Store,
    manifest: &'a Manifest,
    named: IndexedBlocks<'a>,
    /// What is wrong.
    found: u64,
}

impl QuickCheck<'_> {
    fn note(&mut self, key: &str, what: &str) {
        report(&self.store.client, key, what);
        self.found += 1;
    }

    fn blocks(&mut self) -> Result<()> {
        let manifest = self.manifest;
        let prefix = self.store.keys.blocks(&manifest.name, &manifest.upload);
        let mut walk = OrderedListing::new(&prefix);
        let mut next = 0;
        while walk.peek(&mut self.store.client)?.is_some() {
            let Some(object) = walk.advance() else {
                continue;
            };
            let number = parse_key(&object.key[prefix.len()..]).map(|(number, _)| number);
            match number.filter(|n| (next..manifest.blocks()).contains(n)) {
                Some(n) => {
                    self.unlisted(&prefix, next..n)?;
                    next = n + 1;
                    let start = n * manifest.blocksize;
                    let size = manifest.bytes().saturating_sub(start);
                    let size = size.min(manifest.blocksize);
                    if object.size != size {
                        self.look(&object.key, size)?;
                    }
                }
                None => self.note(&object.key, "does not belong to the stream"),
            }
        }
        self.unlisted(&prefix, next..manifest.blocks())
    }

    /// Look at blocks that are not listed: they may be there all the same.
    fn unlisted(&mut self, prefix: &str, numbers: Range<u64>) -> Result<()> {
        let (name, upload) = (&self.manifest.name, &self.manifest.upload);
        for number in numbers {
            match self.named.block(self.store, number) {
                Ok(Some(block)) => {
                    let key = self.store.keys.block(name, upload, number, &block.sha256);
                    self.look(&key, block.length)?;
                }
                Err(e) if e.exit() != Exit::Data => return Err(e),
                _ => {
                    let what = "not listed, and its index cannot be read";
                    self.note(&format!("{prefix}{number:010}"), what);
                }
            }
        }
        Ok(())
    }

    fn look(&mut self, key: &str, size: u64) -> Result<()> {
        match self.store.client.see(key, Kind::Block, Some(size))? {
            Presence::Whole => {}
            Presence::OtherLength => self.note(key, "has the wrong size"),
            Presence::Missing => self.note(key, "missing"),
        }
        Ok(())
    }

    fn indexes(&mut self) -> Result<()> {
        let (name, upload) = (&self.manifest.name, &self.manifest.upload);
        let prefix = self.store.keys.indexes(name, upload);
        let mut there = BTreeSet::new();
        self.store.client.list(&prefix, |object| {
            there.insert(object.key);
            Ok(())
        })?;
        let mut first = 0;
        for (n, index) in self.manifest.indexes.iter().enumerate() {
            let key = self.store.keys.index(name, upload, n as u64, &index.sha256);
            if !there.remove(&key) {
                match self.named.block(self.store, first) {
                    Ok(_) => {}
                    Err(e) if e.exit() == Exit::Data => self.note(&key, "missing"),
                    Err(e) => return Err(e),
                }
            }
            first += index.blocks;
        }
        for key in &there {
            self.note(key, "does not belong to the stream");
        }
        Ok(())
    }
}
