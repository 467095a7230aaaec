//! A stream into the store: its record, its blocks (see `sending`) and, last of
//! all, the manifest.
//!
//! Nothing makes the stream exist but the commit at the very end; whatever
//! fails before leaves blocks that no manifest names. Memory is one block and
//! the lines of one index, whatever the stream's length. Nothing is deleted
//! before our commit was seen.

use crate::cli;
use crate::commands::send::{Plan, Sending, what};
use crate::error::{Error, Exit, Result};
use crate::os;
use crate::protection::age::Age;
use crate::protection::keyring::Keyring;
use crate::protection::seal::Seal;
use crate::s3::{Client, Kind};
use crate::stream::commit::{self, Head};
use crate::stream::manifest::{Manifest, Record};
use crate::stream::name::{Keys, Name};
use crate::stream::record;
use crate::stream::remove::{remove_strays, remove_upload};
use crate::stream::stored::Stored;
use crate::stream::version1;
use crate::workers::task::Brief;

/// What the user asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// Bytes of every block but the last.
    pub blocksize: Option<u64>,
    /// Replace a stream of that name.
    pub force: bool,
    /// Take up an upload that was broken off.
    pub resume: bool,
    /// The shortest stream that is committed, in bytes.
    pub min_size: u64,
    /// How it is sent.
    pub plan: Plan,
}

impl Options {
    /// Those of a command line, and what encrypts.
    pub fn new(options: &cli::Options, index_blocks: u64, age: &Age) -> Options {
        Options {
            blocksize: options.blocksize,
            force: options.force,
            resume: options.resume,
            min_size: options.min_size,
            plan: Plan {
                command: options.argv.clone(),
                filter: age.encrypting(),
                size: options.size,
                index_blocks,
            },
        }
    }
}

/// Where no size is given.
const BLOCKSIZE: u64 = 16 << 20;

/// Store a stream under `name`, sealed with these keys, and commit it. `brief`
/// is what `client` was made of.
pub fn upload(
    client: &mut Client,
    keys: &Keys,
    name: &Name,
    options: &Options,
    brief: &Brief,
    ring: &Keyring,
) -> Result<()> {
    let seen = look(client, keys, name, options.force)?;
    ring.rehearse(&mut || client.progress().check())?;
    let (record, stored) = begin(client, keys, name, options, &seen)?;
    let resumed = stored.is_some();
    if let Some(size) = options.plan.size {
        client.progress().set_size(size);
    }
    let mut sending = Sending::new(client, keys, &record, &options.plan, stored);
    let sent = sending.send(brief);
    let (far, plain) = (sending.far(), sending.plain());
    let mut manifest = sending.manifest();
    sent.and_then(|()| check_size(options, client, name, plain))
        .and_then(|()| check_books(client, &manifest, far))
        .map_err(|e| abandon(client, keys, &record, e, far, resumed))?;
    manifest.seals = seal(client, ring, &manifest).map_err(|e| stopped(client, name, e, far))?;
    let committed = commit::commit(client, keys, &manifest, &record, seen, options.force);
    let old = committed.map_err(|e| match e.unheard {
        true => e.error,
        false => stopped(client, name, e.error, far),
    })?;
    last_look(client, keys, &record)?;
    // From here on the exit status is 0, whatever comes.
    os::ignore_stop();
    client.progress().finish();
    client.be_brief();
    let settled = settle(client, keys, &manifest, resumed);
    if let Err(e) = &settled
        && e.exit() == Exit::Data
    {
        let e = e.clone();
        return Err(e.also("the stream is committed: run s3pipe verify"));
    }
    if let Err(e) = tidy(client, keys, &manifest, old, settled) {
        let text = format!("{e} (the stream is committed; this was left behind)");
        client.progress().warn(&text);
    }
    Ok(())
}

/// After the commit was seen: our record must be there still, or blocks may have
/// been removed together with it.
fn last_look(client: &mut Client, keys: &Keys, record: &Record) -> Result<()> {
    record::check(client, keys, record, "run s3pipe verify").map_err(|e| match e.exit() {
        Exit::Changed => e,
        Exit::Signal(_) => {
            let why = "the stream is committed; whether anything of it was removed \
                meanwhile was not checked: run s3pipe verify";
            Error::new(e.exit(), e.what(), format!("{}: {why}", e.why()))
        }
        _ => e.also("the stream is committed, but see what s3pipe verify says"),
    })
}

/// What the manifest is about to name must be all that was stored.
fn check_books(client: &Client, manifest: &Manifest, (bytes, blocks): (u64, u64)) -> Result<()> {
    if (manifest.bytes(), manifest.blocks()) == (bytes, blocks) {
        return Ok(());
    }
    let why = format!(
        "{bytes} bytes in {blocks} blocks are stored, and {} in {} listed: not committed",
        manifest.bytes(),
        manifest.blocks()
    );
    let what = what(client, &manifest.name);
    Err(Error::new(Exit::Internal, what, why))
}

/// A new upload, or the one to go on with and what it has stored.
fn begin(
    client: &mut Client,
    keys: &Keys,
    name: &Name,
    options: &Options,
    seen: &Head,
) -> Result<(Record, Option<Stored>)> {
    if options.resume
        && let Some(record) =
            record::take_over(client, keys, name, seen.upload(), options.blocksize)?
    {
        // Its owner may have committed it just before, or somebody another one: find
        // out now, and not when all is sent.
        let known = matches!(seen, Head::Absent | Head::Present(..));
        if let Head::Present(now, _) = commit::look(client, keys, name)?
            && (now.upload == record.upload || (known && seen.upload() != Some(&now.upload)))
        {
            let why = "another upload was committed meanwhile";
            return Err(client.error(Exit::Changed, Some(&keys.manifest(name)), why));
        }
        let stored = Stored::open(client, keys, name, &record.upload)?;
        return Ok((record, Some(stored)));
    }
    let record = record::create(client, keys, name, options.blocksize.unwrap_or(BLOCKSIZE))?;
    Ok((record, None))
}

/// The look before the upload: 73 if the stream is there and is to stay. One
/// of version 1 always stays: nothing could replace it in one step.
fn look(client: &mut Client, keys: &Keys, name: &Name, force: bool) -> Result<Head> {
    let head = commit::look(client, keys, name)?;
    let why = match &head {
        Head::Damaged(sight, why) if !force || sight.is_none() => {
            let e = client.error(Exit::Data, Some(&keys.manifest(name)), why);
            // What HEAD does not show may be no object of the store's.
            return Err(match sight {
                Some(_) => e.also("-f replaces it"),
                None => e,
            });
        }
        Head::Present(..) if !force => "this stream exists already (-f replaces it)",
        Head::Absent if version1::exists(client, name)? == Some(true) => {
            "this stream exists already, written by s3pipe 1: delete it, or use another name"
        }
        _ => return Ok(head),
    };
    Err(client.error(Exit::Exists, Some(&keys.manifest(name)), why))
}

/// Of an upload that was resumed, remove what does not belong to the stream, and
/// say whether it is settled so. 65 if the stream is not all there: what a
/// broken-off run has stored was only listed, and not sent again.
fn settle(client: &mut Client, keys: &Keys, manifest: &Manifest, resumed: bool) -> Result<bool> {
    if !resumed {
        return Ok(true);
    }
    match remove_strays(client, keys, manifest) {
        Ok(()) => Ok(true),
        // Replaced or deleted already: it is not ours to tidy up any more.
        Err(e) if e.exit() == Exit::Changed => Ok(false),
        Err(e) => Err(e),
    }
}

/// After the commit, remove what is of no use any more: the stream that was
/// replaced, and our record. As long as that is there, clean knows that something
/// may be left, so it stays unless all is `settled`.
fn tidy(
    client: &mut Client,
    keys: &Keys,
    manifest: &Manifest,
    old: Head,
    settled: Result<bool>,
) -> Result<()> {
    let mut result = Ok(());
    if let Head::Present(old, _) = old {
        // Whatever could not be removed before, this may be.
        let replaced = remove_upload(client, keys, &old.name, &old.upload);
        result = replaced.and_then(|removed| {
            let why = "it was shown once more as it was, so the stream that it named stays";
            match removed {
                true => Ok(()),
                false => Err(client.error(Exit::Changed, Some(&keys.manifest(&old.name)), why)),
            }
        });
    }
    if settled? {
        let record = keys.record(&manifest.name, &manifest.upload);
        result = result.and(client.delete(&record, Kind::Record));
    }
    result
}

/// Leave off. A record without a block is of no use to anybody.
fn abandon(
    client: &mut Client,
    keys: &Keys,
    record: &Record,
    e: Error,
    far: (u64, u64),
    resumed: bool,
) -> Error {
    let name = &record.name;
    if far.1 == 0 && !resumed {
        os::ignore_stop();
        client.be_brief();
        let key = keys.record(name, &record.upload);
        // Unless it was taken over. The first error is the one that matters.
        let ours = record::check(client, keys, record, "");
        let _ = ours.and_then(|()| client.delete(&key, Kind::Record));
    }
    stopped(client, name, e, far)
}

fn seal(client: &Client, ring: &Keyring, manifest: &Manifest) -> Result<Vec<Seal>> {
    let made = ring.seal(&manifest.body(), &mut || client.progress().check());
    made.map_err(|e| match e.exit() {
        Exit::Signal(_) => e,
        _ => e.also("nothing was committed"),
    })
}

fn check_size(options: &Options, client: &Client, name: &Name, got: u64) -> Result<()> {
    let least = options.min_size;
    let why = match options.plan.size {
        Some(size) if got != size => format!("the stream has {got} bytes, not {size}"),
        _ if got == 0 && least > 0 => "the stream is empty (--min-size 0 allows it)".into(),
        _ if got < least => format!("the stream has {got} bytes, fewer than {least}"),
        _ => return Ok(()),
    };
    let why = format!("{why}: not committed");
    Err(Error::new(Exit::Data, what(client, name), why))
}

/// An error as it is, or, of a signal, a line that says how far we got.
fn stopped(client: &Client, name: &Name, e: Error, (bytes, blocks): (u64, u64)) -> Error {
    let Exit::Signal(_) = e.exit() else {
        return e;
    };
    let far = format!("{bytes} bytes in {blocks} blocks stored, nothing committed");
    Error::new(e.exit(), what(client, name), format!("{}: {far}", e.why()))
}
