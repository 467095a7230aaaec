//! The blocks of a committed stream, one after the other: fetched, verified
//! and, where there is somewhere to write them, written in their order.
//!
//! This process does so block by block; or workers fetch several at a time, and take
//! turns at writing, which are given out here. Not a byte is written of a block that
//! was not verified whole, nor of one that follows a failed one. Memory is one block
//! a process and one index.

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

/// Fetches the blocks of one stream.
pub struct Fetcher<'a> {
    manifest: &'a Manifest,
    /// Where to write them; None to verify them only.
    sink: Option<&'a mut Pipe>,
    /// Bytes written so far.
    written: u64,
    mode: Mode,
    /// Blocks that were given to workers and are not finished, in order.
    pending: VecDeque<Pending>,
    /// A block failed, so that the ones after it must not be finished.
    failed: bool,
}

enum Mode {
    /// In this process, with a block of memory.
    Alone(Block),
    /// By workers.
    Workers(Box<Coordinator>),
}

impl Mode {
    fn alone(manifest: &Manifest) -> Mode {
        Mode::Alone(Block::new(largest(manifest) as usize))
    }
}

/// The size of the largest block, in bytes.
fn largest(manifest: &Manifest) -> u64 {
    manifest.blocksize.min(manifest.bytes())
}

/// A block that was given to a worker.
struct Pending {
    block: BlockRef,
    /// The bytes of it that are wanted.
    part: Range<usize>,
    worker: usize,
    state: BlockState,
}

enum BlockState {
    Fetching,
    Verified,
    Writing,
    /// For `early`, see `workers::message`.
    Failed {
        early: bool,
        error: Error,
    },
}

/// Called for each block in order: it was fetched (and written), or why not. The
/// meter has counted it by then. If it returns an error, the reading ends.
pub type OnBlock<'s> = dyn FnMut(&mut Client, Result<()>) -> Result<()> + 's;

impl<'a> Fetcher<'a> {
    /// For this stream, to be written to `sink` if there is one. `bytes` is how many
    /// are wanted: there are no more workers than blocks.
    pub fn new(
        store: &Store,
        manifest: &'a Manifest,
        jobs: Jobs,
        bytes: u64,
        sink: Option<&'a mut Pipe>,
    ) -> Result<Fetcher<'a>> {
        let blocks = bytes.div_ceil(manifest.blocksize.max(1));
        let most = jobs.most.min(usize::try_from(blocks).unwrap_or(usize::MAX));
        let mode = if most > 1 {
            let transfer = Transfer {
                name: manifest.name.clone(),
                upload: manifest.upload.clone(),
                blocksize: largest(manifest),
                encryption: manifest.encryption,
            };
            let stream = sink.as_ref().map(|sink| sink.share()).transpose()?;
            let jobs = Jobs { most, ..jobs };
            Mode::Workers(Box::new(Coordinator::new(store, jobs, transfer, stream)))
        } else {
            Mode::alone(manifest)
        };
        Ok(Fetcher {
            manifest,
            sink,
            written: 0,
            mode,
            pending: VecDeque::new(),
            failed: false,
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
        on_block: &mut OnBlock,
    ) -> Result<()> {
        let manifest = self.manifest;
        each_index(store, manifest, wanted, |store, blocks| {
            for block in blocks {
                let start = block.number * manifest.blocksize;
                let part = wanted.start.max(start)..wanted.end.min(start + block.length);
                if !part.is_empty() {
                    let part = (part.start - start) as usize..(part.end - start) as usize;
                    let done = self.next(store, block, part, on_block);
                    done.inspect_err(|_| self.failed = true)?;
                }
            }
            Ok(())
        })
    }

    /// After the last read: finish what is pending, and end the workers. `so_far` is
    /// what reading came to; its error is returned.
    pub fn end(
        &mut self,
        store: &mut Store,
        so_far: Result<()>,
        on_block: &mut OnBlock,
    ) -> Result<()> {
        let settled = match so_far {
            Err(e) if self.failed => Err(e),
            // Blocks before an index that cannot be read can be finished.
            so_far => self.finish_all(store, on_block).and(so_far),
        };
        let Mode::Workers(workers) = &mut self.mode else {
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
        on_block: &mut OnBlock,
    ) -> Result<()> {
        if let Mode::Alone(_) = self.mode {
            let bytes = part.len() as u64;
            let done = self.fetch(store, &block, part);
            store.progress().set_moving(0);
            store.progress().block_done(bytes);
            return on_block(&mut store.client, done);
        }
        loop {
            let Mode::Workers(workers) = &mut self.mode else {
                return Ok(());
            };
            let worker = workers.idle(&store.client);
            if workers.is_empty() {
                self.mode = Mode::alone(self.manifest);
                return self.next(store, block, part, on_block);
            }
            if let Some(worker) = worker {
                let underway = store.client.is_underway();
                workers.order(worker, &Order::Get { block, underway });
                self.pending.push_back(Pending {
                    block,
                    part,
                    worker,
                    state: BlockState::Fetching,
                });
                return Ok(());
            }
            self.step(store, on_block)?;
        }
    }

    /// One block, in this process.
    fn fetch(&mut self, store: &mut Store, block: &BlockRef, part: Range<usize>) -> Result<()> {
        let Mode::Alone(buffer) = &mut self.mode else {
            return Ok(());
        };
        let (name, upload) = (&self.manifest.name, &self.manifest.upload);
        let key = store.keys.block(name, upload, block.number, &block.sha256);
        block::fetch(&mut store.client, &key, block, buffer.bytes_mut())
            .map_err(|f| lost(store, self.manifest, f.no_such_key(), f.error))?;
        let Some(sink) = &mut self.sink else {
            return Ok(());
        };
        // It counts as under way until it is written.
        store.progress().set_moving(part.len() as u64);
        let bytes = &buffer.bytes()[part];
        let check = || store.progress().check();
        let spilt = copy::spill(sink.stream(), bytes, &mut self.written, check);
        spilt.map_err(|broken| sink.failure(broken))
    }

    fn finish_all(&mut self, store: &mut Store, on_block: &mut OnBlock) -> Result<()> {
        while !self.pending.is_empty() {
            self.step(store, on_block)?;
        }
        Ok(())
    }

    /// Go on with the first pending block; or wait for a report of a worker.
    fn step(&mut self, store: &mut Store, on_block: &mut OnBlock) -> Result<()> {
        let Mode::Workers(workers) = &mut self.mode else {
            return Ok(());
        };
        if let Some(first) = self.pending.front_mut() {
            match first.state {
                BlockState::Verified if self.sink.is_some() => {
                    first.state = BlockState::Writing;
                    workers.order(first.worker, &Order::Write(first.part.clone()));
                }
                // Something has been underway since: it is worth another try.
                BlockState::Failed { early: true, .. } if store.client.is_underway() => {
                    let (block, underway) = (first.block, true);
                    first.state = BlockState::Fetching;
                    workers.order(first.worker, &Order::Get { block, underway });
                }
                BlockState::Verified => return self.finish_first(store, on_block),
                BlockState::Failed { .. } => {
                    count(workers, &store.client, first.worker, &first.part);
                    return self.finish_first(store, on_block);
                }
                BlockState::Fetching | BlockState::Writing => {}
            }
        }
        match workers.next(&mut store.client)? {
            Some((worker, report)) => self.note(store, worker, report, on_block),
            None => Ok(()),
        }
    }

    /// Handle a worker's report.
    fn note(
        &mut self,
        store: &mut Store,
        worker: usize,
        report: Report,
        on_block: &mut OnBlock,
    ) -> Result<()> {
        let Mode::Workers(workers) = &mut self.mode else {
            return Ok(());
        };
        let busy = self.pending.iter_mut();
        let pending = busy
            .filter(|p| matches!(p.state, BlockState::Fetching | BlockState::Writing))
            .find(|p| p.worker == worker);
        match (pending, report) {
            (Some(pending), Report::Got) => {
                pending.state = BlockState::Verified;
                if self.sink.is_some() {
                    workers.set_holding(worker);
                } else {
                    count(workers, &store.client, worker, &pending.part);
                }
            }
            (Some(pending), Report::Written(bytes)) => {
                self.written += bytes;
                // If it is less, a report of an error follows.
                if bytes == pending.part.len() as u64 {
                    count(workers, &store.client, worker, &pending.part);
                    return self.finish_first(store, on_block);
                }
            }
            (
                Some(pending),
                Report::Failed {
                    missing,
                    early,
                    error,
                },
            ) => {
                let error = lost(store, self.manifest, missing, error);
                pending.state = BlockState::Failed { early, error };
                workers.set_holding(worker);
            }
            (_, report) => return Err(failure(report, self.sink.as_deref_mut())),
        }
        Ok(())
    }

    /// The first pending block is finished: call `on_block`.
    fn finish_first(&mut self, store: &mut Store, on_block: &mut OnBlock) -> Result<()> {
        let Some(first) = self.pending.pop_front() else {
            return Ok(());
        };
        let result = match first.state {
            BlockState::Failed { error, .. } => Err(error),
            _ => Ok(()),
        };
        on_block(&mut store.client, result)
    }
}

/// A worker is done with its block, of which this part was wanted.
fn count(workers: &mut Coordinator, client: &Client, worker: usize, part: &Range<usize>) {
    workers.set_idle(worker, client);
    client.progress().block_done(part.len() as u64);
}
