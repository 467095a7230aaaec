//! A committed stream to stdout, each block verified before a byte of it is
//! written.
//!
//! The manifest fixes which upload is read; a stream that is replaced or
//! deleted meanwhile ends the run (75), and never are two uploads mixed.

use std::ops::Range;

use crate::cli;
use crate::commands::fetch::{Fetching, Settle};
use crate::error::{Error, Exit, Result};
use crate::pipe::Pipe;
use crate::pipe::copy;
use crate::protection::age::{Age, Encryption};
use crate::protection::keyring::Keyring;
use crate::s3::Client;
use crate::stream::manifest::Manifest;
use crate::stream::name::{Keys, Name};
use crate::stream::version1::Old;
use crate::stream::{self, Stream};
use crate::workers::task::Brief;

/// What the user asked for.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The first byte that is wanted.
    pub offset: u64,
    /// How many bytes are wanted; None is all that follow.
    pub length: Option<u64>,
    /// Whose input the stream becomes; empty for stdout.
    pub command: Vec<String>,
    /// Leave it encrypted.
    pub raw: bool,
    /// What decrypts it.
    pub age: Age,
}

impl Options {
    /// Those of a command line, and what decrypts.
    pub fn new(options: &cli::Options, age: &Age) -> Options {
        Options {
            offset: options.offset,
            length: options.length,
            command: options.argv.clone(),
            raw: options.raw,
            age: age.clone(),
        }
    }

    /// What the stream must go through; empty for nothing.
    fn filter(&self, stream: &Stream) -> Result<Vec<String>> {
        let encrypted = matches!(stream, Stream::Current(m) if m.encryption == Encryption::Age);
        if self.raw || !encrypted {
            return Ok(Vec::new());
        }
        if self.offset > 0 || self.length.is_some() {
            let why = "the stream is encrypted, and opens from its beginning only \
                (--raw gives a part of the ciphertext)";
            let option = if self.offset > 0 {
                "--offset"
            } else {
                "--length"
            };
            return Err(Error::new(Exit::Usage, option, why));
        }
        self.age.decrypting().ok_or_else(|| {
            let why = "missing: the stream is encrypted with age(1) (--raw gives the ciphertext)";
            Error::new(Exit::Config, "--identity", why)
        })
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

/// Write the stream `name`, or a part of it, to stdout or into a command, if it
/// has the seals that are demanded. `brief` is what `client` was made of.
pub fn download(
    client: &mut Client,
    keys: &Keys,
    name: &Name,
    options: &Options,
    brief: &Brief,
    ring: &Keyring,
) -> Result<()> {
    let stream = stream::open_sealed(client, keys, name, ring)?;
    let filter = options.filter(&stream)?;
    let bytes = match &stream {
        Stream::Current(manifest) => manifest.bytes(),
        Stream::Old(old) => old.bytes(),
    };
    let wanted = options.range(name, bytes)?;
    client.progress().set_size(wanted.end - wanted.start);
    let mut sink = Pipe::sink(&options.command, &filter)?;
    let (done, written) = match &stream {
        Stream::Current(manifest) => current(client, keys, manifest, &wanted, brief, &mut sink),
        Stream::Old(old) => legacy(client, old, &wanted, &mut sink),
    };
    let done = done.and_then(|()| {
        let progress = client.progress();
        sink.finish(|| progress.check())
    });
    let done = done.and_then(|()| all_written(name, wanted.end - wanted.start, written));
    done.map_err(|e| so_far(client, name, e, wanted.start, written, !filter.is_empty()))?;
    client.progress().finish();
    Ok(())
}

/// Exit status 0 is computed: as many bytes were written as were wanted.
fn all_written(name: &Name, wanted: u64, written: u64) -> Result<()> {
    if written == wanted {
        return Ok(());
    }
    let why = format!("{wanted} bytes were wanted");
    Err(Error::new(Exit::Internal, name.printable(), why))
}

/// A stream of version 2: what came of it, and how many bytes were written.
fn current(
    client: &mut Client,
    keys: &Keys,
    manifest: &Manifest,
    wanted: &Range<u64>,
    brief: &Brief,
    sink: &mut Pipe,
) -> (Result<()>, u64) {
    let bytes = wanted.end - wanted.start;
    let mut fetching = match Fetching::new(keys, manifest, brief, bytes, Some(sink)) {
        Ok(fetching) => fetching,
        Err(e) => return (Err(e), 0),
    };
    let settle: &mut Settle = &mut |client, done| {
        done?;
        client.set_underway(true);
        Ok(())
    };
    let done = fetching.read(client, wanted, settle);
    let done = fetching.end(client, done, settle);
    (done, fetching.written())
}

/// The same of one of version 1.
fn legacy(
    client: &mut Client,
    old: &Old,
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

/// What was written is true, but it is not the whole: say how far it goes.
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
