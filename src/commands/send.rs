//! The blocks of an upload: from the stream to the store, and into indexes.
//!
//! This process reads and stores block after block; or workers do, which take turns
//! at the stream, and only the indexes are made here. Memory is one block a process
//! and the lines of one index, whatever the stream's length. Nothing here makes the
//! stream exist: a failure leaves blocks that no manifest names.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::error::{Error, Exit, Result};
use crate::os::Block;
use crate::pipe::Pipe;
use crate::pipe::copy;
use crate::protection::age::{self, Encryption};
use crate::s3::{Client, Kind};
use crate::stream::block;
use crate::stream::index_writer::{Index, IndexWriter};
use crate::stream::manifest::{BlockRef, Manifest, Record};
use crate::stream::name::Name;
use crate::stream::store::Store;
use crate::stream::stored::StoredBlocks;
use crate::text::hex::Hash;
use crate::workers::coordinator::{Coordinator, Jobs, failure};
use crate::workers::message::{Order, Report};
use crate::workers::task::Transfer;

/// Where the stream comes from, and what is made of it.
#[derive(Clone, Debug)]
pub struct Input {
    /// The program whose output is the stream, with its arguments; empty for stdin.
    pub command: Vec<String>,
    /// The program that encrypts it, with its arguments; empty for none.
    pub filter: Vec<String>,
    /// The only length of a stream that is committed, in bytes, before it is
    /// encrypted.
    pub size: Option<u64>,
    /// Blocks per index.
    pub index_blocks: u64,
}

impl Input {
    fn encryption(&self) -> Encryption {
        if self.filter.is_empty() {
            Encryption::None
        } else {
            Encryption::Age
        }
    }
}

/// Sends the blocks of one upload.
pub struct Sender<'a> {
    store: &'a mut Store,
    record: &'a Record,
    input: &'a Input,
    /// What an earlier run has stored already.
    stored: Option<StoredBlocks>,
    indexes: IndexWriter,
    /// Bytes that were read of the stream.
    read: u64,
    /// The length of the age header, in bytes, once it was seen.
    header: Option<u64>,
}

impl<'a> Sender<'a> {
    /// For the upload of this record. `stored` is what there is of it already.
    pub fn new(
        store: &'a mut Store,
        record: &'a Record,
        input: &'a Input,
        stored: Option<StoredBlocks>,
    ) -> Sender<'a> {
        Sender {
            store,
            record,
            input,
            stored,
            indexes: IndexWriter::new(input.index_blocks),
            read: 0,
            header: None,
        }
    }

    /// Read blocks and store them until the end of the stream, and check that its
    /// producer has ended without an error.
    pub fn send(&mut self, jobs: Jobs) -> Result<()> {
        let mut source = Pipe::source(&self.input.command, &self.input.filter)?;
        source.stream().widen_pipe();
        // For a short file, starting a worker takes longer than reading it.
        let rest = source.stream().rest();
        let short = rest.is_some_and(|rest| rest < self.record.blocksize);
        if jobs.most == 1 || short {
            self.alone(&mut source)?;
        } else {
            self.with_workers(&mut source, jobs)?;
        }
        let stopped = || self.store.progress().check();
        source.finish(stopped).map_err(|e| match e.exit() {
            Exit::Data => e.also("nothing was committed"),
            _ => e,
        })?;
        if let Some(index) = self.indexes.last_index() {
            self.put_index(index)?;
        }
        let stored = self.stored().0;
        if stored == self.read {
            return Ok(());
        }
        let why = format!("{} bytes were read, and {stored} stored", self.read);
        let what = what(&self.store.client, &self.record.name);
        Err(Error::new(Exit::Internal, what, why))
    }

    /// Bytes and blocks that are stored.
    pub fn stored(&self) -> (u64, u64) {
        self.indexes.stored()
    }

    /// Bytes of the stream before it was encrypted, of those that are stored.
    pub fn plain(&self) -> u64 {
        self.plain_of(self.stored().0)
    }

    fn plain_of(&self, length: u64) -> u64 {
        match self.input.encryption() {
            Encryption::None => length,
            Encryption::Age => self.header.map_or(0, |h| age::plaintext(h, length)),
        }
    }

    /// The manifest of what was sent, without a seal.
    pub fn manifest(self) -> Manifest {
        Manifest {
            name: self.record.name.clone(),
            upload: self.record.upload.clone(),
            created: self.record.created,
            blocksize: self.record.blocksize,
            encryption: self.input.encryption(),
            indexes: self.indexes.indexes(),
            seals: Vec::new(),
        }
    }

    /// Read and store in this process, one block after the other.
    fn alone(&mut self, source: &mut Pipe) -> Result<()> {
        let size = self.record.blocksize;
        let mut block = Arc::new(Block::new(size as usize));
        loop {
            let (length, sha256) = self.read(source, &mut block)?;
            if self.stored().1 == 0 && length > 0 && self.input.encryption() == Encryption::Age {
                self.header = Some(age::header_of(&block.bytes()[..length])?);
            }
            self.read += length as u64;
            self.check_length(self.read)?;
            if length > 0 {
                self.store(&block, length, sha256)?;
            }
            if (length as u64) < size {
                return Ok(());
            }
        }
    }

    /// Fill the block, and hash it as it comes.
    fn read(&mut self, source: &mut Pipe, block: &mut Arc<Block>) -> Result<(usize, Hash)> {
        let mut hasher = Sha256::new();
        let free = Arc::get_mut(block)
            .ok_or_else(|| Error::new(Exit::Internal, "block", "still being sent"))?;
        let read = copy::fill(
            source.stream(),
            free.bytes_mut(),
            |piece| hasher.update(piece),
            || self.store.progress().check(),
        );
        let length = read.map_err(|broken| source.failure(broken))?;
        Ok((length, hasher.finalize().into()))
    }

    fn store(&mut self, bytes: &Arc<Block>, length: usize, sha256: Hash) -> Result<()> {
        let block = BlockRef {
            number: self.stored().1,
            length: length as u64,
            sha256,
        };
        if !self
            .stored_under(block.number)?
            .contains(&(block.length, sha256))
        {
            let (name, id) = (&self.record.name, &self.record.upload);
            let key = self.store.keys.block(name, id, block.number, &sha256);
            block::store(&mut self.store.client, &key, bytes, length, sha256)?;
        }
        self.done(block)
    }

    /// Have workers read and store.
    fn with_workers(&mut self, source: &mut Pipe, jobs: Jobs) -> Result<()> {
        let transfer = Transfer {
            name: self.record.name.clone(),
            upload: self.record.upload.clone(),
            blocksize: self.record.blocksize,
            encryption: self.input.encryption(),
        };
        let mut workers = Coordinator::new(self.store, jobs, transfer, Some(source.share()?));
        if workers.idle(&self.store.client).is_none() {
            return self.alone(source);
        }
        if let Err(e) = self.take_turns(&mut workers, source) {
            for (_, report) in workers.stop(&mut self.store.client) {
                if let Report::Stored(block) = report {
                    self.indexes.add(block);
                }
            }
            return Err(e);
        }
        match workers.finish(&mut self.store.client)? {
            None => Ok(()),
            Some(report) => Err(failure(report, Some(source))),
        }
    }

    /// One worker at a time reads the stream, while the others store.
    fn take_turns(&mut self, workers: &mut Coordinator, source: &mut Pipe) -> Result<()> {
        let (mut next, mut turn, mut ended) = (0, None, false);
        while !ended || !self.indexes.has_all_before(next) {
            let may_read = turn.is_none() && !ended && self.indexes.has_room_for(next);
            let worker = if may_read {
                workers.idle(&self.store.client)
            } else {
                None
            };
            if let Some(worker) = worker {
                let order = Order::Read {
                    number: next,
                    underway: self.store.client.is_underway(),
                    stored: self.stored_under(next)?,
                };
                workers.order(worker, &order);
                turn = Some(worker);
            }
            match workers.next(&mut self.store.client)? {
                None => {}
                Some((_, Report::Header(length))) => self.header = Some(length),
                Some((worker, Report::Read(length))) if turn == Some(worker) => {
                    turn = None;
                    self.read += length;
                    self.check_length(self.read)?;
                    ended = length < self.record.blocksize;
                    match length {
                        0 => workers.set_idle(worker, &self.store.client),
                        _ => next += 1,
                    }
                }
                Some((worker, Report::Stored(block))) => {
                    workers.set_idle(worker, &self.store.client);
                    self.done(block)?;
                }
                // It did not know that something has been stored since.
                Some((worker, Report::Failed { early: true, .. }))
                    if self.store.client.is_underway() =>
                {
                    workers.order(worker, &Order::StoreAgain);
                }
                Some((_, report)) => return Err(failure(report, Some(source))),
            }
        }
        Ok(())
    }

    /// 65 if more was read than `--size` allows.
    fn check_length(&self, read: u64) -> Result<()> {
        match self.input.size {
            Some(size) if self.plain_of(read) > size => {
                let why = "the stream is longer than --size says: not committed";
                Err(Error::new(
                    Exit::Data,
                    what(&self.store.client, &self.record.name),
                    why,
                ))
            }
            _ => Ok(()),
        }
    }

    /// Lengths, in bytes, and hashes of what is stored already under this number; to
    /// be called in order.
    fn stored_under(&mut self, number: u64) -> Result<Vec<(u64, Hash)>> {
        match &mut self.stored {
            Some(stored) => stored.under(&mut self.store.client, number),
            None => Ok(Vec::new()),
        }
    }

    /// A block is stored: list it, and store the indexes that are full.
    fn done(&mut self, block: BlockRef) -> Result<()> {
        self.store.client.set_underway(true);
        self.store.progress().block_done(block.length);
        self.indexes.add(block);
        while let Some(index) = self.indexes.next_index() {
            self.put_index(index)?;
        }
        Ok(())
    }

    fn put_index(&mut self, index: Index) -> Result<()> {
        let (name, upload) = (&self.record.name, &self.record.upload);
        let Store { client, keys } = &mut *self.store;
        let key = keys.index(name, upload, index.number, &index.entry.sha256);
        client.put(&key, Kind::Index, index.text.as_bytes())?;
        if self.indexes.is_full() {
            let why = "the stream has too many blocks: use a larger --blocksize";
            return Err(client.error(Exit::Usage, Some(&key), why));
        }
        Ok(())
    }
}

/// How messages name the upload.
pub fn what(client: &Client, name: &Name) -> String {
    format!("upload: {}/{}", client.bucket(), name.printable())
}
