//! stdin to blocks, indexes and, last of all, the manifest.
//!
//! Nothing makes the stream exist but the commit at the very end; whatever
//! fails before leaves blocks that no manifest names. Memory is one block and
//! the lines of one index, whatever the stream's length. Nothing is deleted
//! before our commit was seen.

use std::io;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::block;
use crate::chunk::{self, Block};
use crate::cli;
use crate::command::Pipe;
use crate::commit::{self, Head};
use crate::error::{Error, Exit, Result};
use crate::inventory::{self, Finding, Stored};
use crate::key::{Keys, Name, Sha256 as Sha, UploadId};
use crate::legacy;
use crate::manifest::{
    BlockRef, INDEX_REF_LIMIT, IndexRef, MANIFEST_LIMIT, Manifest, Record, index_line,
};
use crate::record;
use crate::s3::{Client, Kind};
use crate::sys;

/// What the user asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// Bytes of every block but the last.
    pub blocksize: Option<u64>,
    /// Blocks per index.
    pub index_blocks: u64,
    /// Replace a stream of that name.
    pub force: bool,
    /// Take up an upload that was broken off.
    pub resume: bool,
    /// The shortest stream that is committed, in bytes.
    pub min_size: u64,
    /// The only length that is committed, in bytes.
    pub size: Option<u64>,
    /// Whose output is uploaded; empty for stdin.
    pub command: Vec<String>,
}

impl Options {
    /// Those of a command line.
    pub fn new(options: &cli::Options, index_blocks: u64) -> Options {
        Options {
            blocksize: options.blocksize,
            index_blocks,
            force: options.force,
            resume: options.resume,
            min_size: options.min_size,
            size: options.size,
            command: options.argv.clone(),
        }
    }
}

/// Where no size is given.
const BLOCKSIZE: u64 = 16 << 20;

/// An upload under way.
struct Upload<'a> {
    client: &'a mut Client,
    keys: &'a Keys,
    record: &'a Record,
    options: &'a Options,
    /// What an earlier run has stored already.
    stored: Option<Stored>,
    indexes: Vec<IndexRef>,
    /// The lines of the index that is being filled, and what they list.
    lines: String,
    pending: IndexRef,
    bytes: u64,
    blocks: u64,
}

/// Store a stream under `name`, and commit it.
pub fn upload(client: &mut Client, keys: &Keys, name: &Name, options: &Options) -> Result<()> {
    let seen = look(client, keys, name, options.force)?;
    let (record, stored) = begin(client, keys, name, options, &seen)?;
    let resumed = stored.is_some();
    if let Some(size) = options.size {
        client.progress().set_size(size);
    }
    let mut upload = Upload {
        client,
        keys,
        record: &record,
        options,
        stored,
        indexes: Vec::new(),
        lines: String::new(),
        pending: nothing(),
        bytes: 0,
        blocks: 0,
    };
    if let Err(e) = upload.send().and_then(|()| upload.check_size()) {
        return Err(upload.abandon(e));
    }
    let manifest = upload.manifest();
    let far = (manifest.bytes(), manifest.blocks());
    record::check(client, keys, &record, "nothing was committed")
        .and_then(|()| client.progress().check())
        .map_err(|e| stopped(client, name, e, far))?;
    commit::commit(client, keys, &manifest, seen.clone(), options.force)?;
    record::check(client, keys, &record, "run s3pipe verify").map_err(|e| match e.exit() {
        Exit::Changed => e,
        _ => e.also("the stream is committed, but see what s3pipe verify says"),
    })?;
    client.progress().finish();
    if let Err(e) = tidy(client, keys, &manifest, seen, resumed) {
        let text = format!("{e} (the stream is committed; this was left behind)");
        client.progress().warn(&text);
    }
    Ok(())
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
        let stored = Stored::new(keys, name, &record.upload);
        return Ok((record, Some(stored)));
    }
    let record = record::create(client, keys, name, options.blocksize.unwrap_or(BLOCKSIZE))?;
    Ok((record, None))
}

fn nothing() -> IndexRef {
    IndexRef {
        blocks: 0,
        bytes: 0,
        sha256: [0; 32],
    }
}

/// The look before the upload: 73 if the stream is there and is to stay. One
/// of version 1 always stays: nothing could replace it in one step.
fn look(client: &mut Client, keys: &Keys, name: &Name, force: bool) -> Result<Head> {
    let head = commit::look(client, keys, name)?;
    let why = match &head {
        Head::Damaged(_, why) if !force => {
            let e = client.error(Exit::Data, Some(&keys.manifest(name)), why);
            return Err(e.also("-f replaces it"));
        }
        Head::Present(..) if !force => "this stream exists already (-f replaces it)",
        Head::Absent if legacy::exists(client, name)? == Some(true) => {
            "this stream exists already, written by s3pipe 1: delete it, or use another name"
        }
        _ => return Ok(head),
    };
    Err(client.error(Exit::Exists, Some(&keys.manifest(name)), why))
}

/// After the commit, remove what is of no use any more: our record, the stream
/// that was replaced, blocks of a broken-off run that are not in this stream.
fn tidy(
    client: &mut Client,
    keys: &Keys,
    manifest: &Manifest,
    old: Head,
    resumed: bool,
) -> Result<()> {
    client.be_brief();
    let mut result = Ok(());
    if resumed {
        result = result.and(remove_stale(client, keys, manifest));
    }
    if let Head::Present(old, _) = old {
        // Whatever could not be removed before, this may be.
        let replaced = remove_upload(client, keys, &old.name, &old.upload);
        result = result.and(replaced);
    }
    // Last: as long as it is there, clean knows that something may be left.
    let record = keys.record(&manifest.name, &manifest.upload);
    let removed = client.delete(&record, Kind::Record);
    result.and(removed)
}

/// Delete what is stored of a committed upload and not named by its manifest:
/// blocks of a run that was broken off, and resumed with other data.
pub fn remove_stale(client: &mut Client, keys: &Keys, manifest: &Manifest) -> Result<()> {
    inventory::compare(client, keys, manifest, |client, finding| match finding {
        Finding::Extra(key) => client.delete(&key, Kind::Block),
        _ => Ok(()),
    })
}

/// Delete all objects of an upload that no manifest names any more.
pub fn remove_upload(client: &mut Client, keys: &Keys, name: &Name, id: &UploadId) -> Result<()> {
    client.delete(&keys.record(name, id), Kind::Record)?;
    for (prefix, kind) in [
        (keys.blocks(name, id), Kind::Block),
        (keys.indexes(name, id), Kind::Index),
    ] {
        client.delete_prefix(&prefix, kind)?;
    }
    Ok(())
}

impl Upload<'_> {
    /// Read blocks and store them until the stream ends, as its producer
    /// meant it to.
    fn send(&mut self) -> Result<()> {
        let mut source = Pipe::source(&self.options.command)?;
        source.stream().widen_pipe();
        let size = self.record.blocksize;
        let mut block = Arc::new(Block::new(size as usize));
        loop {
            let (length, sha256) = self.read(&mut source, &mut block)?;
            if self
                .options
                .size
                .is_some_and(|s| self.bytes + length as u64 > s)
            {
                let why = "the stream is longer than --size says: not committed";
                return Err(Error::new(Exit::Data, self.what(), why));
            }
            if length > 0 {
                self.store(&block, length, sha256)?;
            }
            if (length as u64) < size {
                break;
            }
        }
        let stopped = || self.client.progress().check();
        source.finish(stopped).map_err(|e| match e.exit() {
            Exit::Data => e.also("nothing was committed"),
            _ => e,
        })?;
        self.flush_index()
    }

    /// Fill the block, and hash it as it comes.
    fn read(&mut self, source: &mut Pipe, block: &mut Arc<Block>) -> Result<(usize, Sha)> {
        let mut hasher = Sha256::new();
        let free = Arc::get_mut(block)
            .ok_or_else(|| Error::new(Exit::Internal, "block", "still being sent"))?;
        let read = chunk::fill(
            source.stream(),
            free.bytes_mut(),
            |piece| hasher.update(piece),
            || self.client.progress().check().map_err(ReadError::Stopped),
        );
        match read {
            Ok(length) => Ok((length, hasher.finalize().into())),
            Err(ReadError::Io(e)) => Err(source.error(&e)),
            Err(ReadError::Stopped(e)) => Err(e),
        }
    }

    fn store(&mut self, bytes: &Arc<Block>, length: usize, sha256: Sha) -> Result<()> {
        let block = BlockRef {
            number: self.blocks,
            length: length as u64,
            sha256,
        };
        let there = match &mut self.stored {
            Some(stored) => stored.has(self.client, &block)?,
            None => false,
        };
        if !there {
            let (name, id) = (&self.record.name, &self.record.upload);
            let key = self.keys.block(name, id, block.number, &sha256);
            block::store(self.client, &key, bytes, length, sha256)?;
        }
        self.client.set_underway(true);
        self.client.progress().block_done(block.length);
        self.blocks += 1;
        self.bytes += block.length;
        self.lines.push_str(&index_line(&block));
        self.pending.blocks += 1;
        self.pending.bytes += block.length;
        if self.pending.blocks == self.options.index_blocks {
            self.flush_index()?;
        }
        Ok(())
    }

    /// The stream, for a message.
    fn what(&self) -> String {
        what(self.client, &self.record.name)
    }

    /// Store the lines gathered so far as an index object.
    fn flush_index(&mut self) -> Result<()> {
        if self.pending.blocks == 0 {
            return Ok(());
        }
        let mut index = std::mem::replace(&mut self.pending, nothing());
        index.sha256 = Sha256::digest(self.lines.as_bytes()).into();
        let number = self.indexes.len() as u64;
        let key = self.keys.index(
            &self.record.name,
            &self.record.upload,
            number,
            &index.sha256,
        );
        self.client.put(&key, Kind::Index, self.lines.as_bytes())?;
        self.lines.clear();
        self.indexes.push(index);
        if (self.indexes.len() + 8) * INDEX_REF_LIMIT > MANIFEST_LIMIT {
            let why = "the stream has too many blocks: use a larger --blocksize";
            return Err(self.client.error(Exit::Usage, Some(&key), why));
        }
        Ok(())
    }

    fn check_size(&self) -> Result<()> {
        let (got, least) = (self.bytes, self.options.min_size);
        let why = match self.options.size {
            Some(size) if got != size => format!("the stream has {got} bytes, not {size}"),
            _ if got == 0 && least > 0 => "the stream is empty (--min-size 0 allows it)".into(),
            _ if got < least => format!("the stream has {got} bytes, fewer than {least}"),
            _ => return Ok(()),
        };
        let what = self.what();
        Err(Error::new(
            Exit::Data,
            what,
            format!("{why}: not committed"),
        ))
    }

    fn manifest(&mut self) -> Manifest {
        Manifest {
            name: self.record.name.clone(),
            upload: self.record.upload.clone(),
            created: self.record.created,
            blocksize: self.record.blocksize,
            indexes: std::mem::take(&mut self.indexes),
        }
    }

    /// Leave off. A record without a block is of no use to anybody.
    fn abandon(&mut self, e: Error) -> Error {
        let name = &self.record.name;
        if self.blocks == 0 && self.stored.is_none() {
            sys::ignore_stop();
            self.client.be_brief();
            let key = self.keys.record(name, &self.record.upload);
            // Unless it was taken over. The first error is the one that matters.
            let ours = record::check(self.client, self.keys, self.record, "");
            let _ = ours.and_then(|()| self.client.delete(&key, Kind::Record));
        }
        stopped(self.client, name, e, (self.bytes, self.blocks))
    }
}

fn what(client: &Client, name: &Name) -> String {
    format!("upload: {}/{}", client.bucket(), name.printable())
}

/// An error as it is, or, of a signal, a line that says how far we got.
fn stopped(client: &Client, name: &Name, e: Error, (bytes, blocks): (u64, u64)) -> Error {
    let Exit::Signal(_) = e.exit() else {
        return e;
    };
    let far = format!("{bytes} bytes in {blocks} blocks stored, nothing committed");
    Error::new(e.exit(), what(client, name), format!("{}: {far}", e.why()))
}

/// Why reading a block ended.
enum ReadError {
    Io(io::Error),
    Stopped(Error),
}

impl From<io::Error> for ReadError {
    fn from(e: io::Error) -> ReadError {
        ReadError::Io(e)
    }
}
