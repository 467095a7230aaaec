//! A committed stream to stdout, each block verified before a byte of it is
//! written.
//!
//! The manifest fixes which upload is read; a stream that is replaced or
//! deleted meanwhile ends the run (75), and never are two uploads mixed.
//! Memory is one block and one index.

use std::io::{self, Write};
use std::ops::Range;

use sha2::{Digest, Sha256};

use crate::block;
use crate::chunk::Block;
use crate::cli;
use crate::command::Pipe;
use crate::commit::{self, Head, READINGS};
use crate::error::{Error, Exit, Result};
use crate::key::{Keys, Name};
use crate::manifest::{BlockRef, INDEX_LIMIT, IndexRef, Manifest, parse_index};
use crate::s3::{Client, Failure, Get, Kind};
use crate::stream::{self, Stream};

/// Bytes that are handed to stdout at a time.
const WRITE: usize = 1 << 20;

/// What the user asked for.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The first byte that is wanted.
    pub offset: u64,
    /// How many bytes are wanted; None is all that follow.
    pub length: Option<u64>,
    /// Whose input the stream becomes; empty for stdout.
    pub command: Vec<String>,
}

impl Options {
    /// Those of a command line.
    pub fn new(options: &cli::Options) -> Options {
        Options {
            offset: options.offset,
            length: options.length,
            command: options.argv.clone(),
        }
    }

    /// The bytes that are wanted of a stream of this size. 65 if it does not
    /// have them.
    pub fn range(&self, name: &Name, size: u64) -> Result<Range<u64>> {
        let end = match self.length {
            Some(length) => self.offset.checked_add(length),
            None => Some(size.max(self.offset)),
        };
        end.filter(|end| *end <= size)
            .map(|end| self.offset..end)
            .ok_or_else(|| {
                let why = format!("the stream has {size} bytes only");
                Error::new(Exit::Data, name.printable(), why)
            })
    }
}

/// Write the stream `name`, or a part of it, to stdout or into a command.
pub fn download(client: &mut Client, keys: &Keys, name: &Name, options: &Options) -> Result<()> {
    let stream = stream::open(client, keys, name)?;
    let bytes = match &stream {
        Stream::Current(manifest) => manifest.bytes(),
        Stream::Old(old) => old.bytes(),
    };
    let wanted = options.range(name, bytes)?;
    client.progress().set_size(wanted.end - wanted.start);
    let mut sink = Pipe::sink(&options.command)?;
    let mut written = 0;
    let mut write = |client: &mut Client, bytes: &[u8]| {
        write_all(client, &mut sink, bytes, &mut written)?;
        client.set_underway(true);
        client.progress().block_done(bytes.len() as u64);
        Ok(())
    };
    let done = match &stream {
        Stream::Current(manifest) => send(client, keys, manifest, &wanted, &mut write),
        Stream::Old(old) => {
            old.warn(client);
            old.read(client, &wanted, &mut write)
        }
    };
    let done = done.and_then(|()| {
        let progress = client.progress();
        sink.finish(|| progress.check())
    });
    done.map_err(|e| so_far(client, name, e, wanted.start, written))?;
    client.progress().finish();
    Ok(())
}

fn send(
    client: &mut Client,
    keys: &Keys,
    manifest: &Manifest,
    wanted: &Range<u64>,
    write: &mut dyn FnMut(&mut Client, &[u8]) -> Result<()>,
) -> Result<()> {
    let most = manifest.blocksize.min(manifest.bytes());
    let mut buffer = Block::new(most as usize);
    each_index(client, keys, manifest, wanted, |client, blocks| {
        for block in blocks {
            let start = block.number * manifest.blocksize;
            let part = wanted.start.max(start)..wanted.end.min(start + block.length);
            if part.is_empty() {
                continue;
            }
            block::fetch(client, keys, manifest, &block, buffer.bytes_mut())
                .map_err(|f| lost(client, keys, manifest, f))?;
            let part = (part.start - start) as usize..(part.end - start) as usize;
            write(client, &buffer.bytes()[part])?;
        }
        Ok(())
    })
}

/// Read the indexes that list bytes of `wanted`, one after the other, and hand
/// the blocks of each to `each`.
pub fn each_index(
    client: &mut Client,
    keys: &Keys,
    manifest: &Manifest,
    wanted: &Range<u64>,
    mut each: impl FnMut(&mut Client, Vec<BlockRef>) -> Result<()>,
) -> Result<()> {
    let (mut first, mut start) = (0, 0);
    for (n, index) in manifest.indexes.iter().enumerate() {
        let last = n + 1 == manifest.indexes.len();
        if start < wanted.end && start + index.bytes > wanted.start && !wanted.is_empty() {
            let blocks = read_index(client, keys, manifest, n as u64, index, first, last)?;
            each(client, blocks)?;
        }
        first += index.blocks;
        start += index.bytes;
    }
    Ok(())
}

fn read_index(
    client: &mut Client,
    keys: &Keys,
    manifest: &Manifest,
    number: u64,
    index: &IndexRef,
    first: u64,
    last: bool,
) -> Result<Vec<BlockRef>> {
    let key = keys.index(&manifest.name, &manifest.upload, number, &index.sha256);
    for _ in 0..READINGS {
        let got = client.run(&mut Get::new(&key, Kind::Index, INDEX_LIMIT));
        let small = got.map_err(|f| lost(client, keys, manifest, f))?;
        let found: crate::key::Sha256 = Sha256::digest(&small.body).into();
        if found == index.sha256 {
            return parse_index(&small.body, index, first, manifest.blocksize, last)
                .map_err(|why| client.error(Exit::Data, Some(&key), format!("bad index: {why}")));
        }
    }
    let why = "the data is not what was stored: wrong SHA-256";
    Err(client.error(Exit::Data, Some(&key), why))
}

/// An object that the manifest names is not there: the stream has changed
/// under us (75), or is damaged (65).
pub fn lost(client: &mut Client, keys: &Keys, manifest: &Manifest, failure: Failure) -> Error {
    if !failure.no_such_key() {
        return failure.error;
    }
    match commit::look(client, keys, &manifest.name) {
        Err(e) => e,
        Ok(Head::Present(now, _)) if now.upload == manifest.upload => {
            let why = "404: missing from a committed stream";
            Error::new(Exit::Data, failure.error.what(), why)
        }
        Ok(_) => {
            let why = "the stream was replaced or deleted while it was being read";
            client.error(Exit::Changed, Some(&keys.manifest(&manifest.name)), why)
        }
    }
}

fn write_all(client: &Client, sink: &mut Pipe, bytes: &[u8], written: &mut u64) -> Result<()> {
    let mut rest = bytes;
    while !rest.is_empty() {
        match sink.stream().write(&rest[..rest.len().min(WRITE)]) {
            Ok(0) => return Err(sink.error(&io::ErrorKind::WriteZero.into())),
            Ok(n) => {
                rest = &rest[n..];
                *written += n as u64;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(sink.error(&e)),
        }
        client.progress().check()?;
    }
    Ok(())
}

/// What was written is true, but it is not the whole: say how far it goes.
fn so_far(client: &Client, name: &Name, e: Error, start: u64, written: u64) -> Error {
    let far = match start {
        0 => format!("the first {written} bytes were written and verified"),
        _ => format!("{written} bytes from offset {start} were written and verified"),
    };
    match e.exit() {
        Exit::Signal(_) => {
            let what = format!("download: {}/{}", client.bucket(), name.printable());
            Error::new(e.exit(), what, format!("{}: {far}", e.why()))
        }
        _ => e.also(&far),
    }
}
