//! A committed stream to stdout, each block verified before a byte of it is
//! written.
//!
//! The manifest fixes which upload is read; a stream that is replaced or
//! deleted meanwhile ends the run (75), and never are two uploads mixed.
//! Memory is one block and one index.

use std::io::{self, Write};

use sha2::{Digest, Sha256};

use crate::block;
use crate::chunk::Block;
use crate::commit::{self, Head, READINGS};
use crate::error::{Error, Exit, Result, os_reason};
use crate::key::{Keys, Name};
use crate::manifest::{BlockRef, INDEX_LIMIT, IndexRef, Manifest, parse_index};
use crate::s3::{Client, Failure, Get, Kind};
use crate::sys;

/// Bytes that are handed to stdout at a time.
const WRITE: usize = 1 << 20;

/// Write the stream `name` to `output`, and close that.
pub fn download(
    client: &mut Client,
    keys: &Keys,
    name: &Name,
    mut output: sys::Stream,
) -> Result<()> {
    let manifest = commit::require(client, keys, name)?;
    client.progress().set_size(manifest.bytes());
    let most = manifest.blocksize.min(manifest.bytes());
    let mut buffer = Block::new(most as usize);
    let mut written = 0;
    let done = each_index(client, keys, &manifest, |client, blocks| {
        for block in blocks {
            block::fetch(
                client,
                keys,
                name,
                &manifest.upload,
                &block,
                buffer.bytes_mut(),
            )
            .map_err(|f| lost(client, keys, &manifest, f))?;
            let bytes = &buffer.bytes()[..block.length as usize];
            write_all(client, &mut output, bytes)?;
            written += block.length;
            client.set_underway(true);
            client.progress().block_done(block.length);
        }
        Ok(())
    });
    done.map_err(|e| so_far(client, name, e, written))?;
    output.close().map_err(|e| stdout_error(&e))?;
    client.progress().finish();
    Ok(())
}

/// Read the indexes of a stream one after the other and hand the blocks of
/// each to `each`.
pub fn each_index(
    client: &mut Client,
    keys: &Keys,
    manifest: &Manifest,
    mut each: impl FnMut(&mut Client, Vec<BlockRef>) -> Result<()>,
) -> Result<()> {
    let mut first = 0;
    for (n, index) in manifest.indexes.iter().enumerate() {
        let last = n + 1 == manifest.indexes.len();
        let blocks = read_index(client, keys, manifest, n as u64, index, first, last)?;
        first += index.blocks;
        each(client, blocks)?;
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
fn lost(client: &mut Client, keys: &Keys, manifest: &Manifest, failure: Failure) -> Error {
    if !failure.refusal.as_ref().is_some_and(|r| r.no_such_key()) {
        return failure.error;
    }
    match commit::look(client, keys, &manifest.name) {
        Err(e) => e,
        Ok(Head::Present(now, _)) if now.upload == manifest.upload => {
            let why = format!("{}: missing from a committed stream", failure.error);
            Error::new(Exit::Data, "damaged stream", why)
        }
        Ok(_) => {
            let why = "the stream was replaced or deleted while it was being read";
            client.error(Exit::Changed, Some(&keys.manifest(&manifest.name)), why)
        }
    }
}

fn write_all(client: &Client, output: &mut sys::Stream, bytes: &[u8]) -> Result<()> {
    let mut rest = bytes;
    while !rest.is_empty() {
        match output.write(&rest[..rest.len().min(WRITE)]) {
            Ok(0) => return Err(stdout_error(&io::ErrorKind::WriteZero.into())),
            Ok(n) => rest = &rest[n..],
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(stdout_error(&e)),
        }
        client.progress().check()?;
    }
    Ok(())
}

fn stdout_error(e: &io::Error) -> Error {
    Error::new(Exit::Io, "stdout", os_reason(e))
}

/// What was written is true, but it is not the whole: say how far it goes.
fn so_far(client: &Client, name: &Name, e: Error, written: u64) -> Error {
    let far = format!("{written} bytes were written");
    match e.exit() {
        Exit::Signal(_) => {
            let what = format!("download: {}/{}", client.bucket(), name.printable());
            Error::new(e.exit(), what, format!("stopped by {}: {far}", e.why()))
        }
        _ => e.also(&far),
    }
}
