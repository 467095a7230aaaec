//! The blocks of a committed stream, one after the other: fetched, verified
//! and, where there is somewhere to write them, written in their order.
//!
//! One process does so block by block; or workers fetch several at a time and
//! take turns at writing, and this one only says whose turn it is. Not a byte
//! is written of a block that was not verified whole, nor of one before which
//! another failed. Memory is one block a process and one index.

use std::collections::VecDeque;
use std::ops::Range;

use crate::error::{Error, Result};
use crate::os::Block;
use crate::pipe::Pipe;
use crate::pipe::copy;
use crate::s3::Client;
use crate::stream::block;
use crate::stream::index::{each_index, lost};
use crate::stream::manifest::{BlockRef, Manifest};
use crate::stream::store::Store;
use crate::workers::coordinator::{Coordinator, Jobs, failure};
use crate::workers::message::{Order, Report};
use crate::workers::task::Transfer;

/// A stream being read.
pub struct Fetching<'a> {
    manifest: &'a Manifest,
    sink: Option<&'a mut Pipe>,
    /// Bytes written so far.
    written: u64,
    how: How,
    /// What workers have been given and is not settled yet, in order.
    given: VecDeque<Given>,
    /// It cannot go on with these.
    broken: bool,
}

enum How {
    Alone(Block),
    Workers(Box<Coordinator>),
}

impl How {
    fn alone(manifest: &Manifest) -> How {
        How::Alone(Block::new(largest(manifest) as usize))
    }
}

/// The size of the largest block, in bytes.
fn largest(manifest: &Manifest) -> u64 {
    manifest.blocksize.min(manifest.bytes())
}

/// A block that a worker has been given.
struct Given {
    block: BlockRef,
    /// What is wanted of it.
    part: Range<usize>,
    worker: usize,
    state: State,
}

enum State {
    Fetching,
    Verified,
    Writing,
    /// `early`: it would have been tried again if something had been underway.
    Failed {
        early: bool,
        error: Error,
    },
}

/// Told of each block in order: that it was fetched (and written), or why not.
/// The meter has counted it by then. An error ends the reading.
pub type Settle<'s> = dyn FnMut(&mut Client, Result<()>) -> Result<()> + 's;

impl<'a> Fetching<'a> {
    /// Of this stream, into `sink` if there is one. `bytes` is how much of it
    /// is wanted: that says how many workers there is work for.
    pub fn new(
        store: &Store,
        manifest: &'a Manifest,
        jobs: Jobs,
        bytes: u64,
        sink: Option<&'a mut Pipe>,
    ) -> Result<Fetching<'a>> {
        let blocks = bytes.div_ceil(manifest.blocksize.max(1));
        let most = jobs.most.min(usize::try_from(blocks).unwrap_or(usize::MAX));
        let how = if most > 1 {
            let transfer = Transfer {
                name: manifest.name.clone(),
                upload: manifest.upload.clone(),
                blocksize: largest(manifest),
                encryption: manifest.encryption,
            };
            let stream = sink.as_ref().map(|sink| sink.share()).transpose()?;
            let jobs = Jobs { most, ..jobs };
            How::Workers(Box::new(Coordinator::new(store, jobs, transfer, stream)))
        } else {
            How::alone(manifest)
        };
        Ok(Fetching {
            manifest,
            sink,
            written: 0,
            how,
            given: VecDeque::new(),
            broken: false,
        })
    }

    /// Bytes written so far.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Read these bytes of the stream.
    pub fn read(
        &mut self,
        store: &mut Store,
        wanted: &Range<u64>,
        settle: &mut Settle,
    ) -> Result<()> {
        let manifest = self.manifest;
        each_index(store, manifest, wanted, |store, blocks| {
            for block in blocks {
                let start = block.number * manifest.blocksize;
                let part = wanted.start.max(start)..wanted.end.min(start + block.length);
                if !part.is_empty() {
                    let part = (part.start - start) as usize..(part.end - start) as usize;
                    let done = self.next(store, block, part, settle);
                    done.inspect_err(|_| self.broken = true)?;
                }
            }
            Ok(())
        })
    }

    /// All that was wanted was read, or `so_far` is why not: end the workers,
    /// and hand on the error.
    pub fn end(
        &mut self,
        store: &mut Store,
        so_far: Result<()>,
        settle: &mut Settle,
    ) -> Result<()> {
        let settled = match so_far {
            Err(e) if self.broken => Err(e),
            // What comes before an index that cannot be read is good.
            so_far => self.settle_all(store, settle).and(so_far),
        };
        let How::Workers(workers) = &mut self.how else {
            return settled;
        };
        if let Err(e) = settled {
            for (_, report) in workers.stop(&mut store.client) {
                if let Report::Written(bytes) = report {
                    self.written += bytes;
                }
            }
            return Err(e);
        }
        match workers.finish(&mut store.client)? {
            None => Ok(()),
            Some(report) => Err(failure(report, self.sink.as_deref_mut())),
        }
    }

    fn next(
        &mut self,
        store: &mut Store,
        block: BlockRef,
        part: Range<usize>,
        settle: &mut Settle,
    ) -> Result<()> {
        if let How::Alone(_) = self.how {
            let bytes = part.len() as u64;
            let done = self.fetch(store, &block, part);
            store.progress().set_moving(0);
            store.progress().block_done(bytes);
            return settle(&mut store.client, done);
        }
        loop {
            let How::Workers(workers) = &mut self.how else {
                return Ok(());
            };
            let worker = workers.idle(&store.client);
            if workers.is_empty() {
                self.how = How::alone(self.manifest);
                return self.next(store, block, part, settle);
            }
            if let Some(worker) = worker {
                let underway = store.client.is_underway();
                workers.order(worker, &Order::Get { block, underway });
                self.given.push_back(Given {
                    block,
                    part,
                    worker,
                    state: State::Fetching,
                });
                return Ok(());
            }
            self.step(store, settle)?;
        }
    }

    /// One block, in this process.
    fn fetch(&mut self, store: &mut Store, block: &BlockRef, part: Range<usize>) -> Result<()> {
        let How::Alone(buffer) = &mut self.how else {
            return Ok(());
        };
        let (name, upload) = (&self.manifest.name, &self.manifest.upload);
        let key = store.keys.block(name, upload, block.number, &block.sha256);
        block::fetch(&mut store.client, &key, block, buffer.bytes_mut())
            .map_err(|f| lost(store, self.manifest, f.no_such_key(), f.error))?;
        let Some(sink) = &mut self.sink else {
            return Ok(());
        };
        // Until it is written.
        store.progress().set_moving(part.len() as u64);
        let bytes = &buffer.bytes()[part];
        let check = || store.progress().check();
        let spilt = copy::spill(sink.stream(), bytes, &mut self.written, check);
        spilt.map_err(|broken| sink.failure(broken))
    }

    fn settle_all(&mut self, store: &mut Store, settle: &mut Settle) -> Result<()> {
        while !self.given.is_empty() {
            self.step(store, settle)?;
        }
        Ok(())
    }

    /// See to the block whose turn it is; or wait for what workers report.
    fn step(&mut self, store: &mut Store, settle: &mut Settle) -> Result<()> {
        let How::Workers(workers) = &mut self.how else {
            return Ok(());
        };
        let writes = self.sink.is_some();
        if let Some(head) = self.given.front_mut() {
            match head.state {
                State::Verified if writes => {
                    head.state = State::Writing;
                    workers.order(head.worker, &Order::Write(head.part.clone()));
                }
                // By now it is worth waiting for.
                State::Failed { early: true, .. } if store.client.is_underway() => {
                    let (block, underway) = (head.block, true);
                    head.state = State::Fetching;
                    workers.order(head.worker, &Order::Get { block, underway });
                }
                State::Verified => return self.settle(store, settle),
                State::Failed { .. } => {
                    count(workers, &store.client, head.worker, &head.part);
                    return self.settle(store, settle);
                }
                State::Fetching | State::Writing => {}
            }
        }
        let Some((worker, report)) = workers.next(&mut store.client)? else {
            return Ok(());
        };
        let given = self.given.iter_mut();
        let given = given
            .filter(|g| matches!(g.state, State::Fetching | State::Writing))
            .find(|g| g.worker == worker);
        match (given, report) {
            (Some(given), Report::Got) => {
                given.state = State::Verified;
                match writes {
                    true => workers.set_holding(worker),
                    false => count(workers, &store.client, worker, &given.part),
                }
            }
            (Some(given), Report::Written(bytes)) => {
                self.written += bytes;
                // Else an error follows.
                if bytes == given.part.len() as u64 {
                    count(workers, &store.client, worker, &given.part);
                    return self.settle(store, settle);
                }
            }
            (
                Some(given),
                Report::Failed {
                    missing,
                    early,
                    error,
                },
            ) => {
                let error = lost(store, self.manifest, missing, error);
                given.state = State::Failed { early, error };
                workers.set_holding(worker);
            }
            (_, report) => return Err(failure(report, self.sink.as_deref_mut())),
        }
        Ok(())
    }

    /// The first block is done with.
    fn settle(&mut self, store: &mut Store, settle: &mut Settle) -> Result<()> {
        let Some(head) = self.given.pop_front() else {
            return Ok(());
        };
        let result = match head.state {
            State::Failed { error, .. } => Err(error),
            _ => Ok(()),
        };
        settle(&mut store.client, result)
    }
}

/// A worker is done with this part of its block.
fn count(workers: &mut Coordinator, client: &Client, worker: usize, part: &Range<usize>) {
    workers.set_idle(worker, client);
    client.progress().block_done(part.len() as u64);
}
