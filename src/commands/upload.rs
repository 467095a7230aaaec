//! A stream into the store: its record, its blocks (see `send`) and, last of
//! all, the manifest.
//!
//! Nothing makes the stream exist but the commit at the very end; whatever
//! fails before leaves blocks that no manifest names. Nothing is deleted before our
//! commit was seen.

use crate::cli::Options;
use crate::commands::send::{Input, Sender, what};
use crate::commands::session::Session;
use crate::error::{Error, Exit, Result};
use crate::os;
use crate::protection::keyring::Keyring;
use crate::protection::seal::Seal;
use crate::s3::Client;
use crate::stream::commit::{self, ManifestState};
use crate::stream::manifest::{Manifest, Record};
use crate::stream::name::Name;
use crate::stream::record;
use crate::stream::remove::{remove_strays, remove_upload};
use crate::stream::store::Store;
use crate::stream::stored::StoredBlocks;
use crate::stream::version1;

/// Bytes of a block, without `--blocksize`.
const BLOCKSIZE: u64 = 16 << 20;

/// Store a stream, seal it, and commit it.
pub fn upload(session: &mut Session, options: &Options) -> Result<()> {
    let name = &session.name()?;
    let (store, ring) = (&mut session.store, &session.ring);
    let input = Input {
        command: options.argv.clone(),
        filter: session.age.encrypting(),
        size: options.size,
        index_blocks: session.index_blocks,
    };
    let seen = look(store, name, options.force)?;
    ring.rehearse(&mut || store.progress().check())?;
    let (record, stored) = begin(store, name, options, &seen)?;
    let resumed = stored.is_some();
    if let Some(size) = options.size {
        store.progress().set_size(size);
    }
    let mut sender = Sender::new(store, &record, &input, stored);
    let sent = sender.send(session.jobs);
    let (far, plain) = (sender.stored(), sender.plain());
    let mut manifest = sender.manifest();
    let client = &store.client;
    sent.and_then(|()| check_size(options, client, name, plain))
        .and_then(|()| check_totals(client, &manifest, far))
        .map_err(|e| abandon(store, &record, e, far, resumed))?;
    let sealed = seal(&store.client, ring, &manifest);
    manifest.seals = sealed.map_err(|e| stopped(&store.client, name, e, far))?;
    let committed = commit::commit(store, &manifest, &record, seen, options.force);
    let old = committed.map_err(|e| {
        if e.may_be_stored {
            e.error
        } else {
            stopped(&store.client, name, e.error, far)
        }
    })?;
    last_look(store, &record)?;
    // From here on the exit status is 0, whatever comes.
    os::ignore_stop();
    store.progress().finish();
    store.client.be_brief();
    let settled = remove_resumed_strays(store, &manifest, resumed);
    if let Err(e) = &settled
        && e.exit() == Exit::Data
    {
        let e = e.clone();
        return Err(e.also("the stream is committed: run s3pipe verify"));
    }
    if let Err(e) = tidy(store, &manifest, old, settled) {
        let text = format!("{e} (the stream is committed; this was left behind)");
        store.progress().warn(&text);
    }
    Ok(())
}

/// After the commit was seen: our record must still be there. If it is not, blocks
/// may have been removed together with it.
fn last_look(store: &mut Store, record: &Record) -> Result<()> {
    record::check(store, record, "run s3pipe verify").map_err(|e| match e.exit() {
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
fn check_totals(client: &Client, manifest: &Manifest, (bytes, blocks): (u64, u64)) -> Result<()> {
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

/// A new upload; or, with `--resume`, the one to continue and what it has stored.
fn begin(
    store: &mut Store,
    name: &Name,
    options: &Options,
    seen: &ManifestState,
) -> Result<(Record, Option<StoredBlocks>)> {
    if options.resume
        && let Some(record) = record::take_over(store, name, seen.upload(), options.blocksize)?
    {
        // Its process may have committed it just now, or another one another upload:
        // find out before everything is sent.
        let known = matches!(seen, ManifestState::Absent | ManifestState::Present(..));
        if let ManifestState::Present(now, _) = commit::look(store, name)?
            && (now.upload == record.upload || (known && seen.upload() != Some(&now.upload)))
        {
            let why = "another upload was committed meanwhile";
            return Err(store.error(Exit::Changed, name, why));
        }
        let stored = StoredBlocks::open(store, name, &record.upload)?;
        return Ok((record, Some(stored)));
    }
    let record = record::create(store, name, options.blocksize.unwrap_or(BLOCKSIZE))?;
    Ok((record, None))
}

/// The look before the upload: 73 if the stream is there and is to stay. One
/// of version 1 always stays: nothing could replace it in one step.
fn look(store: &mut Store, name: &Name, force: bool) -> Result<ManifestState> {
    let head = commit::look(store, name)?;
    let why = match &head {
        ManifestState::Damaged(sight, why) if !force || sight.is_none() => {
            let e = store.error(Exit::Data, name, why);
            // What HEAD does not show may have been sent by something in between.
            return Err(match sight {
                Some(_) => e.also("-f replaces it"),
                None => e,
            });
        }
        ManifestState::Present(..) if !force => "this stream exists already (-f replaces it)",
        ManifestState::Absent if version1::exists(&mut store.client, name)? == Some(true) => {
            "this stream exists already, written by s3pipe 1: delete it, or use another name"
        }
        _ => return Ok(head),
    };
    Err(store.error(Exit::Exists, name, why))
}

/// Of an upload that was resumed, remove what does not belong to the stream. False if
/// the stream is another one already. 65 if a block of it is missing: what earlier
/// runs have stored was listed, and not sent again.
fn remove_resumed_strays(store: &mut Store, manifest: &Manifest, resumed: bool) -> Result<bool> {
    if !resumed {
        return Ok(true);
    }
    match remove_strays(store, manifest) {
        Ok(()) => Ok(true),
        // It was replaced or deleted already: whoever did so has tidied up.
        Err(e) if e.exit() == Exit::Changed => Ok(false),
        Err(e) => Err(e),
    }
}

/// After the commit, remove what is of no use any more: the stream that was replaced,
/// and our record. That tells clean that something may be left to remove, so it is
/// kept unless there is nothing (`settled`).
fn tidy(
    store: &mut Store,
    manifest: &Manifest,
    old: ManifestState,
    settled: Result<bool>,
) -> Result<()> {
    let mut result = Ok(());
    if let ManifestState::Present(old, _) = old {
        // Try this even if strays could not be removed.
        let replaced = remove_upload(store, &old.name, &old.upload);
        result = replaced.and_then(|removed| {
            let why = "it was shown once more as it was, so the stream that it named stays";
            if removed {
                Ok(())
            } else {
                Err(store.error(Exit::Changed, &old.name, why))
            }
        });
    }
    if settled? {
        result = result.and(store.delete_record(&manifest.name, &manifest.upload));
    }
    result
}

/// Give the upload up. Without a block there is nothing to resume, so the record is
/// removed.
fn abandon(store: &mut Store, record: &Record, e: Error, far: (u64, u64), resumed: bool) -> Error {
    let name = &record.name;
    if far.1 == 0 && !resumed {
        os::ignore_stop();
        store.client.be_brief();
        // Unless another process has taken it over. Errors here do not matter any more.
        let ours = record::check(store, record, "");
        let _ = ours.and_then(|()| store.delete_record(name, &record.upload));
    }
    stopped(&store.client, name, e, far)
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
    let why = match options.size {
        Some(size) if got != size => format!("the stream has {got} bytes, not {size}"),
        _ if got == 0 && least > 0 => "the stream is empty (--min-size 0 allows it)".into(),
        _ if got < least => format!("the stream has {got} bytes, fewer than {least}"),
        _ => return Ok(()),
    };
    let why = format!("{why}: not committed");
    Err(Error::new(Exit::Data, what(client, name), why))
}

/// The same error; if it is a signal, with how much was stored.
fn stopped(client: &Client, name: &Name, e: Error, (bytes, blocks): (u64, u64)) -> Error {
    let Exit::Signal(_) = e.exit() else {
        return e;
    };
    let far = format!("{bytes} bytes in {blocks} blocks stored, nothing committed");
    Error::new(e.exit(), what(client, name), format!("{}: {far}", e.why()))
}
