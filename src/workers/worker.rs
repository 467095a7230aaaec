//! A worker: one of several processes that take turns at the stream.
//!
//! It has one block of memory and one connection. It carries out the orders of its
//! coordinator, a block at a time: read one from stdin when it is its turn, and
//! store it; or fetch one, and write it to stdout when it is its turn. It prints
//! nothing, but reports to the coordinator. It never touches the stream out of turn,
//! and ends with its coordinator: by a signal, at the end of the channel, or at
//! SIGTERM.

use std::ops::Range;
use std::sync::{Arc, Mutex};

use sha2::{Digest, Sha256};

use crate::error::{Error, Exit, Result};
use crate::os;
use crate::os::Block;
use crate::pipe::copy::{self, Broken};
use crate::progress::limit::Limit;
use crate::progress::{Progress, Wanted};
use crate::protection::age::{self, Encryption};
use crate::s3::{Client, Failure};
use crate::stream::block;
use crate::stream::manifest::BlockRef;
use crate::stream::name::Keys;
use crate::stream::store::Store;
use crate::text::hex::Hash;
use crate::workers::channel::WorkerChannel;
use crate::workers::message::{Order, Report};
use crate::workers::process::{WORKER, reads_stream};
use crate::workers::task::{Task, Transfer};

/// What a worker works with.
struct Worker {
    channel: Arc<WorkerChannel>,
    store: Store,
    transfer: Transfer,
    stream: os::Stream,
    block: Arc<Block>,
    /// The block that was read, until it is stored.
    unstored: Option<BlockRef>,
    /// How many bytes of the block are fetched and verified.
    held: usize,
}

/// Why an order could not be carried out.
enum JobError {
    /// The stream failed.
    Stream(Broken),
    /// A request about an object failed.
    Object(Failure),
    /// Anything else.
    Other(Error),
}

/// Be a worker for this command until there is no more to do. 64 where there is no
/// coordinator; whatever else fails is reported to it.
pub fn run(command: &str) -> Result<()> {
    os::catch_signals_of_worker();
    let reads = reads_stream(command);
    let Some(channel) = os::channel(!reads) else {
        let why = "is what s3pipe starts its workers with (see -j in s3pipe(1))";
        return Err(Error::new(Exit::Usage, WORKER, why));
    };
    let limit = Arc::new(Mutex::new(Limit::new(None)));
    let channel = Arc::new(WorkerChannel::new(channel, limit.clone()));
    let stream = if reads { os::stdin() } else { os::stdout() };
    match Worker::new(channel.clone(), limit, stream) {
        Ok(Some(worker)) => worker.work(),
        Ok(None) => {}
        Err(error) => channel.report(&JobError::Other(error).report()),
    }
    Ok(())
}

/// The client that this task describes. Fresh credentials are the coordinator's
/// to find.
fn client(task: &Task, channel: &Arc<WorkerChannel>, limit: Arc<Mutex<Limit>>) -> Result<Client> {
    let wanted = Wanted {
        quiet: task.quiet,
        verbose: task.verbose,
        ..Wanted::default()
    };
    let progress = Progress::of_worker(wanted, channel.clone(), limit);
    let asking = channel.clone();
    let reload = Box::new(move || {
        asking.report(&Report::Expired);
        let fresh = asking.answer(|order| match order {
            Order::Credentials(fresh) => Some((fresh.clone(), None)),
            _ => None,
        });
        fresh.ok_or_else(|| Error::new(Exit::Denied, "credentials", "nobody to ask for them"))
    });
    let settings = task.settings.clone();
    let mut client = Client::new(&task.command, settings, reload, Arc::new(progress))?;
    client.set_answered();
    Ok(client)
}

impl Worker {
    /// A worker that was told its task; None if the coordinator has ended.
    fn new(
        channel: Arc<WorkerChannel>,
        limit: Arc<Mutex<Limit>>,
        stream: os::Stream,
    ) -> Result<Option<Worker>> {
        let task = match channel.next() {
            Some(Order::Begin(task)) => task,
            None if channel.has_ended() => return Ok(None),
            _ => {
                let why = "does not understand its coordinator: was s3pipe replaced just now?";
                return Err(Error::new(Exit::Internal, "worker", why));
            }
        };
        if !os::die_with(task.coordinator) {
            return Ok(None);
        }
        Ok(Some(Worker {
            store: Store {
                client: client(&task, &channel, limit)?,
                keys: Keys::new(&task.prefix),
            },
            channel,
            stream,
            block: Arc::new(Block::new(task.transfer.blocksize as usize)),
            transfer: task.transfer,
            unstored: None,
            held: 0,
        }))
    }

    /// Carry out one order after the other.
    fn work(mut self) {
        while let Some(order) = self.channel.next() {
            // Calls that block return once a second, so that a report shows that the
            // worker does not hang.
            os::start_ticking();
            let done = match order {
                Order::Read {
                    number,
                    underway,
                    stored,
                } => {
                    self.store.client.set_underway(underway);
                    self.read(number, &stored)
                }
                Order::StoreAgain => {
                    self.store.client.set_underway(true);
                    self.store.client.reload_credentials();
                    self.store()
                }
                Order::Get { block, underway } => {
                    self.store.client.set_underway(underway);
                    self.get(&block)
                }
                Order::Write(part) => self.write(part),
                Order::Credentials(fresh) => {
                    self.store.client.set_credentials(fresh);
                    Ok(())
                }
                Order::Finish => return self.finish(),
                Order::Begin(_) | Order::Rate(_) | Order::Hold(_) => Ok(()),
            };
            os::stop_ticking();
            if let Err(error) = done {
                self.channel.report(&error.report());
            }
        }
        if let Err(error) = self.store.progress().check() {
            self.channel.report(&JobError::Other(error).report());
        }
    }

    /// Read a block, report that the next worker may read, and then store it.
    fn read(&mut self, number: u64, stored: &[(u64, Hash)]) -> std::result::Result<(), JobError> {
        let progress = self.store.progress();
        let free = Arc::get_mut(&mut self.block);
        let free = free.ok_or_else(|| JobError::fault("the block is still being sent"))?;
        // It is hashed afterwards, when the next worker reads already.
        let length = copy::fill(
            &mut self.stream,
            free.bytes_mut(),
            |_| (),
            || progress.check(),
        )?;
        if number == 0 && length > 0 && self.transfer.encryption == Encryption::Age {
            let header = age::header_of(&self.block.bytes()[..length]);
            self.channel
                .report(&Report::Header(header.map_err(JobError::Other)?));
        }
        self.channel.report(&Report::Read(length as u64));
        if length == 0 {
            return Ok(());
        }
        let sha256: Hash = Sha256::digest(&self.block.bytes()[..length]).into();
        let block = BlockRef {
            number,
            length: length as u64,
            sha256,
        };
        if stored.contains(&(block.length, sha256)) {
            self.channel.report(&Report::Stored(block));
            return Ok(());
        }
        self.unstored = Some(block);
        self.store()
    }

    /// Store the block that was read.
    fn store(&mut self) -> std::result::Result<(), JobError> {
        let block = self.unstored;
        let block = block.ok_or_else(|| JobError::fault("there is nothing to be stored"))?;
        let (name, upload) = (&self.transfer.name, &self.transfer.upload);
        let Store { client, keys } = &mut self.store;
        let key = keys.block(name, upload, block.number, &block.sha256);
        let length = block.length as usize;
        let stored = block::store(client, &key, &self.block, length, block.sha256);
        stored.map_err(JobError::Object)?;
        self.unstored = None;
        self.channel.report(&Report::Stored(block));
        Ok(())
    }

    /// Fetch and verify a block.
    fn get(&mut self, wanted: &BlockRef) -> std::result::Result<(), JobError> {
        self.held = 0;
        let free = Arc::get_mut(&mut self.block);
        let free = free.ok_or_else(|| JobError::fault("the block is still being sent"))?;
        if wanted.length > free.bytes().len() as u64 {
            return Err(JobError::fault("the block is too large"));
        }
        let Transfer { name, upload, .. } = &self.transfer;
        let Store { client, keys } = &mut self.store;
        let key = keys.block(name, upload, wanted.number, &wanted.sha256);
        block::fetch(client, &key, wanted, free.bytes_mut()).map_err(JobError::Object)?;
        self.held = wanted.length as usize;
        // It counts as under way until it is written.
        self.store.progress().set_moving(wanted.length);
        self.channel.report(&Report::Got);
        Ok(())
    }

    /// Write this part of the verified block.
    fn write(&mut self, part: Range<usize>) -> std::result::Result<(), JobError> {
        let held = &self.block.bytes()[..self.held];
        let bytes = held
            .get(part)
            .ok_or_else(|| JobError::fault("not what was fetched"))?;
        let mut written = 0;
        let progress = self.store.progress();
        let result = copy::spill(&mut self.stream, bytes, &mut written, || progress.check());
        // That a part was written counts even if the rest could not be.
        self.channel.report(&Report::Written(written));
        Ok(result?)
    }

    /// Close the stream: only that may tell that the disk is full.
    fn finish(self) {
        self.channel.report(&match self.stream.close() {
            Ok(()) => Report::Closed,
            Err(e) => Report::Io(os::errno(&e)),
        });
    }
}

impl JobError {
    fn fault(why: &str) -> JobError {
        JobError::Other(Error::new(Exit::Internal, "worker", why))
    }

    fn report(self) -> Report {
        match self {
            JobError::Stream(Broken::Io(e)) => Report::Io(os::errno(&e)),
            JobError::Object(failure) => Report::Failed {
                missing: failure.no_such_key(),
                early: failure.early,
                error: failure.error,
            },
            JobError::Stream(Broken::Stopped(error)) | JobError::Other(error) => {
                Report::failed(error)
            }
        }
    }
}

impl From<Broken> for JobError {
    fn from(broken: Broken) -> JobError {
        JobError::Stream(broken)
    }
}

impl From<Error> for JobError {
    fn from(error: Error) -> JobError {
        JobError::Other(error)
    }
}
