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
use crate::commit::{self, Head, READINGS};
use crate::error::{Error, Exit, Result, os_reason};
use crate::key::{Keys, Name, Sha256 as Sha, UploadId};
use crate::manifest::{
    BlockRef, IndexRef, MANIFEST_LIMIT, Manifest, RECORD_LIMIT, Record, index_line,
};
use crate::s3::{Client, Kind};
use crate::sys;

/// What the user asked for.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Bytes of every block but the last.
    pub blocksize: u64,
    /// Blocks per index.
    pub index_blocks: u64,
    /// Replace a stream of that name.
    pub force: bool,
    /// The shortest stream that is committed, in bytes.
    pub min_size: u64,
    /// The only length that is committed, in bytes.
    pub size: Option<u64>,
}

impl Options {
    /// Those of a command line.
    pub fn new(options: &cli::Options, index_blocks: u64) -> Options {
        Options {
            blocksize: options.blocksize,
            index_blocks,
            force: options.force,
            min_size: options.min_size,
            size: options.size,
        }
    }
}

/// An upload under way.
struct Upload<'a> {
    client: &'a mut Client,
    keys: &'a Keys,
    name: &'a Name,
    id: UploadId,
    options: Options,
    indexes: Vec<IndexRef>,
    /// The lines of the index that is being filled, and what they list.
    lines: String,
    pending: IndexRef,
    bytes: u64,
    blocks: u64,
}

/// Store all of `input` as the stream `name`, and commit it.
pub fn upload(
    client: &mut Client,
    keys: &Keys,
    name: &Name,
    options: Options,
    input: &mut sys::Stream,
) -> Result<()> {
    let seen = look(client, keys, name, options.force)?;
    let now = client.now();
    let record = Record {
        name: name.clone(),
        upload: UploadId::new(now, random()?),
        created: now,
        blocksize: options.blocksize,
        nonce: random()?,
    };
    announce(client, keys, &record)?;
    if let Some(size) = options.size {
        client.progress().set_size(size);
    }
    let mut upload = Upload {
        client,
        keys,
        name,
        id: record.upload.clone(),
        options,
        indexes: Vec::new(),
        lines: String::new(),
        pending: nothing(),
        bytes: 0,
        blocks: 0,
    };
    let sent = upload.send(input).and_then(|()| upload.check_size());
    if let Err(e) = sent {
        return Err(upload.abandon(&record, e));
    }
    let manifest = upload.manifest(&record);
    let far = (manifest.bytes(), manifest.blocks());
    still_ours(client, keys, &record, "nothing was committed")
        .and_then(|()| commit::commit(client, keys, &manifest, seen.clone()))
        .map_err(|e| stopped(client, name, e, far))?;
    still_ours(client, keys, &record, "run s3pipe verify")?;
    client.progress().finish();
    tidy(client, keys, &record, seen);
    Ok(())
}

fn random<const N: usize>() -> Result<[u8; N]> {
    sys::random().map_err(|e| Error::new(Exit::Internal, "/dev/urandom", os_reason(&e)))
}

fn nothing() -> IndexRef {
    IndexRef {
        blocks: 0,
        bytes: 0,
        sha256: [0; 32],
    }
}

/// The look before the upload: 73 if the stream is there and is to stay.
fn look(client: &mut Client, keys: &Keys, name: &Name, force: bool) -> Result<Head> {
    match commit::look(client, keys, name) {
        Ok(Head::Present(..)) if !force => {
            let why = "this stream exists already (-f replaces it)";
            Err(client.error(Exit::Exists, Some(&keys.manifest(name)), why))
        }
        result => result,
    }
}

/// Write the record of this upload, and see that we may read it: both must be
/// allowed for the commit, and now is the time to find out.
fn announce(client: &mut Client, keys: &Keys, record: &Record) -> Result<()> {
    let key = keys.record(&record.name, &record.upload);
    client.put(&key, Kind::Record, record.to_text().as_bytes())?;
    still_ours(client, keys, record, "nothing was committed")
}

/// 75 if the record is gone or another process has taken the upload over.
fn still_ours(client: &mut Client, keys: &Keys, record: &Record, then: &str) -> Result<()> {
    let key = keys.record(&record.name, &record.upload);
    let mut why = "";
    for _ in 0..READINGS {
        match client.get(&key, Kind::Record, RECORD_LIMIT)? {
            Some(small) if small.body == record.to_text().as_bytes() => return Ok(()),
            Some(_) => why = "another process has taken this upload over",
            None => why = "this upload was cleaned away under us",
        }
    }
    Err(client.error(Exit::Changed, Some(&key), format!("{why}: {then}")))
}

/// After the commit: what failed here is said, and changes nothing.
fn tidy(client: &mut Client, keys: &Keys, record: &Record, old: Head) {
    client.be_brief();
    let mut result = client.delete(&keys.record(&record.name, &record.upload), Kind::Record);
    if let Head::Present(manifest, _) = old {
        let removed = remove_upload(client, keys, &manifest.name, &manifest.upload);
        result = result.and(removed);
    }
    if let Err(e) = result {
        let text = format!("{e} (the stream is committed; this was left behind)");
        client.progress().warn(&text);
    }
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
    /// Read blocks and store them until the stream ends.
    fn send(&mut self, input: &mut sys::Stream) -> Result<()> {
        input.widen_pipe();
        let size = self.options.blocksize;
        let mut block = Arc::new(Block::new(size as usize));
        loop {
            let mut hasher = Sha256::new();
            let free = Arc::get_mut(&mut block)
                .ok_or_else(|| Error::new(Exit::Internal, "block", "still being sent"))?;
            let read = chunk::fill(
                input,
                free.bytes_mut(),
                |piece| hasher.update(piece),
                || self.client.progress().check().map_err(ReadError::Stopped),
            );
            let length = read.map_err(|e| match e {
                ReadError::Io(e) => Error::new(Exit::Io, "stdin", os_reason(&e)),
                ReadError::Stopped(e) => e,
            })?;
            if length > 0 {
                let sha256 = hasher.finalize().into();
                self.store(&block, length, sha256)?;
            }
            if (length as u64) < size {
                return self.flush_index();
            }
        }
    }

    fn store(&mut self, bytes: &Arc<Block>, length: usize, sha256: Sha) -> Result<()> {
        let block = BlockRef {
            number: self.blocks,
            length: length as u64,
            sha256,
        };
        let key = self.keys.block(self.name, &self.id, block.number, &sha256);
        block::store(self.client, &key, bytes, length, sha256)?;
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

    /// Store the lines gathered so far as an index object.
    fn flush_index(&mut self) -> Result<()> {
        if self.pending.blocks == 0 {
            return Ok(());
        }
        let mut index = std::mem::replace(&mut self.pending, nothing());
        index.sha256 = Sha256::digest(self.lines.as_bytes()).into();
        let number = self.indexes.len() as u64;
        let key = self.keys.index(self.name, &self.id, number, &index.sha256);
        self.client.put(&key, Kind::Index, self.lines.as_bytes())?;
        self.lines.clear();
        self.indexes.push(index);
        // A line has at most 100 bytes; the rest of a manifest has 1 KiB.
        if self.indexes.len() * 100 + 1024 > MANIFEST_LIMIT {
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
        let why = format!("{why}: not committed");
        Err(Error::new(Exit::Data, "stdin", why))
    }

    fn manifest(&mut self, record: &Record) -> Manifest {
        Manifest {
            name: record.name.clone(),
            upload: record.upload.clone(),
            created: record.created,
            blocksize: record.blocksize,
            indexes: std::mem::take(&mut self.indexes),
        }
    }

    /// Leave off. A record without a block is of no use to anybody.
    fn abandon(&mut self, record: &Record, e: Error) -> Error {
        if self.blocks == 0 {
            sys::ignore_stop();
            self.client.be_brief();
            let key = self.keys.record(&record.name, &record.upload);
            // The first error is the one that matters.
            let _ = self.client.delete(&key, Kind::Record);
        }
        stopped(self.client, self.name, e, (self.bytes, self.blocks))
    }
}

/// An error as it is, or, of a signal, a line that says how far we got.
fn stopped(client: &Client, name: &Name, e: Error, (bytes, blocks): (u64, u64)) -> Error {
    let Exit::Signal(_) = e.exit() else {
        return e;
    };
    let what = format!("upload: {}/{}", client.bucket(), name.printable());
    let far = format!("{bytes} bytes in {blocks} blocks stored, nothing committed");
    Error::new(e.exit(), what, format!("stopped by {}: {far}", e.why()))
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
