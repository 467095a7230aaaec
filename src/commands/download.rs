//! A committed stream to stdout, each block verified before a byte of it is
//! written.
//!
//! The manifest fixes which upload is read; a stream that is replaced or
//! deleted meanwhile ends the run (75), and never are two uploads mixed.

use std::ops::Range;

use crate::cli::Options;
use crate::commands::fetch::{Fetcher, OnBlock};
use crate::commands::session::Session;
use crate::error::{Error, Exit, Result};
use crate::pipe::Pipe;
use crate::pipe::copy;
use crate::protection::age::{Age, Encryption};
use crate::s3::Client;
use crate::stream::manifest::Manifest;
use crate::stream::name::Name;
use crate::stream::store::Store;
use crate::stream::version1::Version1;
use crate::stream::{self, StoredStream};
use crate::workers::coordinator::Jobs;

/// Write a stream, or a part of it, to stdout or into a command, if it has the
/// seals that are demanded.
pub fn download(session: &mut Session, options: &Options) -> Result<()> {
    let name = &session.name()?;
    let store = &mut session.store;
    let stream = stream::open_sealed(store, name, &session.ring)?;
    let filter = filter(options, &session.age, &stream)?;
    let bytes = match &stream {
        StoredStream::Version2(manifest) => manifest.bytes(),
        StoredStream::Version1(old) => old.bytes(),
    };
    let wanted = range(options, name, bytes)?;
    store.progress().set_size(wanted.end - wanted.start);
    let mut sink = Pipe::sink(&options.argv, &filter)?;
    let (done, written) = match &stream {
        StoredStream::Version2(manifest) => {
            current(store, manifest, &wanted, session.jobs, &mut sink)
        }
        StoredStream::Version1(old) => legacy(&mut store.client, old, &wanted, &mut sink),
    };
    let client = &store.client;
    let done = done.and_then(|()| sink.finish(|| client.progress().check()));
    let done = done.and_then(|()| all_written(name, wanted.end - wanted.start, written));
    done.map_err(|e| so_far(client, name, e, wanted.start, written, !filter.is_empty()))?;
    client.progress().finish();
    Ok(())
}

/// The program that decrypts the stream, with its arguments; empty for none.
fn filter(options: &Options, age: &Age, stream: &StoredStream) -> Result<Vec<String>> {
    let encrypted = matches!(stream, StoredStream::Version2(m) if m.encryption == Encryption::Age);
    if options.raw || !encrypted {
        return Ok(Vec::new());
    }
    if options.offset > 0 || options.length.is_some() {
        let why = "the stream is encrypted, and opens from its beginning only \
            (--raw gives a part of the ciphertext)";
        let option = if options.offset > 0 {
            "--offset"
        } else {
            "--length"
        };
        return Err(Error::new(Exit::Usage, option, why));
    }
    age.decrypting().ok_or_else(|| {
        let why = "missing: the stream is encrypted with age(1) (--raw gives the ciphertext)";
        Error::new(Exit::Config, "--identity", why)
    })
}

/// The bytes that are wanted of a stream of this size. 65 if it does not have
/// them.
fn range(options: &Options, name: &Name, size: u64) -> Result<Range<u64>> {
    let offset = options.offset;
    let end = match options.length {
        Some(length) => offset.checked_add(length),
        None => Some(size.max(offset)),
    };
    end.filter(|end| *end <= size)
        .map(|end| offset..end)
        .ok_or_else(|| {
            let why = format!("the stream has {size} bytes only");
            Error::new(Exit::Data, name.printable(), why)
        })
}

/// Before exit status 0: check that as many bytes were written as were wanted.
fn all_written(name: &Name, wanted: u64, written: u64) -> Result<()> {
    if written == wanted {
        return Ok(());
    }
    let why = format!("{wanted} bytes were wanted");
    Err(Error::new(Exit::Internal, name.printable(), why))
}

/// Write a stream of version 2. Returns the outcome, and how many bytes were written
/// in any case.
fn current(
    store: &mut Store,
    manifest: &Manifest,
    wanted: &Range<u64>,
    jobs: Jobs,
    sink: &mut Pipe,
) -> (Result<()>, u64) {
    let bytes = wanted.end - wanted.start;
    let mut fetcher = match Fetcher::new(store, manifest, jobs, bytes, Some(sink)) {
        Ok(fetcher) => fetcher,
        Err(e) => return (Err(e), 0),
    };
    let on_block: &mut OnBlock = &mut |client, done| {
        done?;
        client.set_underway(true);
        Ok(())
    };
    let done = fetcher.read(store, wanted, on_block);
    let done = fetcher.end(store, done, on_block);
    (done, fetcher.written())
}

/// The same for a stream of version 1.
fn legacy(
    client: &mut Client,
    old: &Version1,
    wanted: &Range<u64>,
    sink: &mut Pipe,
) -> (Result<()>, u64) {
    let mut written = 0;
    old.warn(client);
    let done = old.read(client, wanted, |client, bytes| {
        let check = || client.progress().check();
        let spilt = copy::spill(sink.stream(), bytes, &mut written, check);
        spilt.map_err(|broken| sink.failure(broken))?;
        client.set_underway(true);
        client.progress().block_done(bytes.len() as u64);
        Ok(())
    });
    (done, written)
}

/// Add to an error how much was written, since all of that was verified.
fn so_far(
    client: &Client,
    name: &Name,
    e: Error,
    start: u64,
    written: u64,
    decrypts: bool,
) -> Error {
    let far = match start {
        0 if decrypts => {
            format!("{written} bytes of ciphertext were verified and handed to age(1)")
        }
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
