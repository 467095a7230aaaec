//! The workers of a transfer, as their coordinator sees them.
//!
//! Workers are copies of this program, started when there is a block for them
//! and not before. The coordinator hands out jobs, and waits in one poll(2) for
//! what they report; signals, the meter, a pause asked for by the service and
//! fresh credentials are seen to meanwhile. No data of the stream passes through
//! here. A worker that ends too early, or reports nothing for too long, ends the
//! run; one that cannot be started does not; and when the run ends, in whatever
//! way, no worker is left.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use crate::error::{Error, Exit, Result, os_reason};
use crate::os;
use crate::pipe::Pipe;
use crate::progress::{Wanted, limit};
use crate::s3::Client;
use crate::stream::store::Store;
use crate::workers::message::{Order, Report};
use crate::workers::process::{Activity, WorkerProcess, try_tell};
use crate::workers::task::{Task, Transfer};

/// How long the coordinator waits for reports before it looks at all else: with a
/// meter to be redrawn, and without.
const TICK: Duration = Duration::from_millis(250);
const LONG_TICK: Duration = Duration::from_secs(1);

/// A busy worker may be silent for so many times `--timeout`, and in any case for
/// the least time.
const SILENCE: u32 = 5;
const LEAST_SILENCE: Duration = Duration::from_secs(10);

/// How long workers that were told to leave may take: a signal that comes just
/// before a call blocks ends it a second later (see `os`).
const GRACE: Duration = Duration::from_secs(3);

/// What the user said of workers.
#[derive(Clone, Copy)]
pub struct Jobs {
    /// How many there may be; 1 is none.
    pub most: usize,
    /// What to show, and how many bytes a second all of them together may move.
    pub wanted: Wanted,
}

/// The workers of a transfer.
pub struct Coordinator {
    /// What they are told, with all that the client has found out since.
    task: Task,
    jobs: Jobs,
    /// The stream that they take turns at; none if they only read from the
    /// service.
    stream: Option<OwnedFd>,
    workers: Vec<WorkerProcess>,
    /// What they reported, by worker, and nobody has taken yet.
    reports: VecDeque<(usize, Report)>,
    /// How often the credentials have changed; the last ones are in the task.
    version: u64,
    /// When reports were last waited for.
    waited: Instant,
    /// How long a busy worker may be silent.
    silence: Duration,
}

impl Coordinator {
    /// Up to so many workers, none of them started yet, that take turns at this
    /// stream.
    pub fn new(
        store: &Store,
        jobs: Jobs,
        transfer: Transfer,
        stream: Option<OwnedFd>,
    ) -> Coordinator {
        let settings = store.client.settings().clone();
        Coordinator {
            silence: (settings.limits.timeout * SILENCE).max(LEAST_SILENCE),
            task: Task {
                command: store.client.command().to_string(),
                quiet: jobs.wanted.quiet,
                verbose: jobs.wanted.verbose,
                settings,
                prefix: store.keys.prefix().to_string(),
                transfer,
                coordinator: std::process::id(),
            },
            jobs,
            stream,
            workers: Vec::new(),
            reports: VecDeque::new(),
            version: 0,
            waited: Instant::now(),
        }
    }

    /// A worker without a job, started if need be. None if all have one, and no
    /// more can be started.
    pub fn idle(&mut self, client: &Client) -> Option<usize> {
        if let Some(at) = self
            .workers
            .iter()
            .position(|w| w.activity == Activity::Idle)
        {
            return Some(at);
        }
        let count = self.workers.len();
        if count == self.jobs.most {
            return None;
        }
        match self.start(client) {
            Ok(worker) => self.workers.push(worker),
            Err(e) => {
                // The system allows no more processes or descriptors: go on with
                // the workers that there are.
                let jobs = std::mem::replace(&mut self.jobs.most, count);
                let (name, why) = (name(count), os_reason(&e));
                let left = format!("going on with {count} of {jobs} workers");
                let text = format!("{name}: not started: {why}: {left}");
                client.progress().warn(&text);
                return None;
            }
        }
        Some(count)
    }

    /// Whether there is no worker at all, and none can be started.
    pub fn is_empty(&self) -> bool {
        self.jobs.most == 0
    }

    fn start(&mut self, client: &Client) -> io::Result<WorkerProcess> {
        self.note_credentials(client);
        self.task.settings = client.settings().clone();
        let stream = self.stream.as_ref();
        let (worker, sender) = WorkerProcess::start(&self.task.command, stream, self.version)?;
        client.progress().when_slowed(move |time| {
            try_tell(&sender, &Order::Hold(time));
        });
        worker.tell(&Order::Begin(Box::new(self.task.clone())));
        // A pause that the others were told of before this one was started.
        if let Some(time) = client.progress().held() {
            worker.tell(&Order::Hold(time));
        }
        Ok(worker)
    }

    /// Give an idle worker a job.
    pub fn order(&mut self, at: usize, order: &Order) {
        let worker = &mut self.workers[at];
        worker.silent = Duration::ZERO;
        worker.activity = match order {
            Order::Read { .. } | Order::StoreAgain | Order::Get { .. } => Activity::Transfer,
            _ => Activity::Write,
        };
        // Bytes that are written now were counted when they were fetched.
        if worker.activity == Activity::Transfer {
            worker.moving = 0;
        }
        self.share_rate();
        if self.workers[at].version != self.version {
            self.send_credentials(at);
        }
        self.workers[at].tell(order);
    }

    /// A worker's order is carried out; from now on the caller counts the bytes that
    /// it moved.
    pub fn set_idle(&mut self, at: usize, client: &Client) {
        (self.workers[at].activity, self.workers[at].moving) = (Activity::Idle, 0);
        self.share_rate();
        self.show(client);
    }

    /// A worker's transfer is over, and it holds the block until it is told what to
    /// do with it.
    pub fn set_holding(&mut self, at: usize) {
        self.workers[at].activity = Activity::Hold;
        self.share_rate();
    }

    /// Divide `--limit-rate` among the workers that transfer something. Those that
    /// must slow down are told first, so that the sum never exceeds it.
    fn share_rate(&mut self) {
        let Some(rate) = self.jobs.wanted.rate else {
            return;
        };
        let busy = self
            .workers
            .iter()
            .filter(|w| w.activity == Activity::Transfer)
            .count();
        let share = Some(limit::share(rate, busy));
        let mut differ: Vec<&mut WorkerProcess> = self
            .workers
            .iter_mut()
            .filter(|w| w.activity == Activity::Transfer && w.rate != share)
            .collect();
        differ.sort_by_key(|w| w.rate.is_none_or(|rate| Some(rate) < share));
        for worker in differ {
            if try_tell(&worker.channel, &Order::Rate(share)) {
                worker.rate = share;
            }
        }
    }

    /// The next report that concerns an order, and the worker that it is from; None
    /// if none comes for a while. An error is a request to stop, or a worker that
    /// has ended.
    pub fn next(&mut self, client: &mut Client) -> Result<Option<(usize, Report)>> {
        client.progress().check()?;
        if self.reports.is_empty() {
            let time = if client.progress().is_shown() {
                TICK
            } else {
                LONG_TICK
            };
            self.receive_all(client, time);
            self.check_silence()?;
            client.refresh_credentials();
            self.note_credentials(client);
            client.progress().check()?;
        }
        let next = self.reports.pop_front();
        let lost = |w: &WorkerProcess| w.gone && w.activity != Activity::Closed;
        match self.workers.iter().position(lost) {
            Some(at) if next.is_none() => {
                let why = self.workers[at].how_it_ended(GRACE);
                Err(Error::new(Exit::Internal, name(at), why))
            }
            _ => Ok(next),
        }
    }

    /// Wait once for reports; those that concern no order are handled at once.
    fn receive_all(&mut self, client: &mut Client, time: Duration) {
        let there: Vec<usize> = (0..self.workers.len())
            .filter(|at| !self.workers[*at].gone)
            .collect();
        let channels: Vec<_> = there
            .iter()
            .map(|at| self.workers[*at].channel.as_fd())
            .collect();
        let ready = os::wait_for_input(&channels, time);
        for at in there.into_iter().zip(ready).filter(|(_, ready)| *ready) {
            self.receive(at.0, client);
        }
        self.show(client);
    }

    /// Tell the meter how many bytes of unfinished blocks have been moved.
    fn show(&self, client: &Client) {
        let moving = self.workers.iter().map(|w| w.moving).sum();
        client.progress().set_moving(moving);
    }

    fn receive(&mut self, at: usize, client: &mut Client) {
        let worker = &mut self.workers[at];
        let mut buffer = [0; 8192];
        match worker.channel.read(&mut buffer) {
            Ok(n) if n > 0 => worker.lines.push(&buffer[..n]),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            _ => worker.gone = true,
        }
        worker.silent = Duration::ZERO;
        while let Some(line) = self.workers[at].lines.next_line() {
            let progress = client.progress();
            match Report::parse(&line) {
                None => self.workers[at].gone = true,
                Some(Report::Say(text)) => progress.say(&text),
                Some(Report::Remind(text)) => progress.remind(&text),
                Some(Report::Retried) => progress.retried(),
                // The headers of requests were counted, too.
                Some(Report::Moved(bytes)) => {
                    self.workers[at].moving = bytes.min(self.task.transfer.blocksize);
                }
                Some(Report::Slow(time)) => progress.slowed(time),
                Some(Report::Expired) => self.renew(at, client),
                Some(Report::Lookup(begins)) => self.workers[at].looks_up = begins,
                // It was asked to stop by somebody else, since we were not.
                Some(Report::Failed { error, .. }) if matches!(error.exit(), Exit::Signal(_)) => {
                    let error = Error::new(Exit::Internal, name(at), error.why());
                    self.reports.push_back((at, Report::failed(error)));
                }
                Some(report) => {
                    if matches!(report, Report::Failed { .. }) {
                        self.workers[at].moving = 0;
                    }
                    if report == Report::Closed {
                        self.workers[at].activity = Activity::Closed;
                    }
                    self.reports.push_back((at, report));
                }
            }
        }
    }

    /// If the client has other credentials by now, they are the workers', too. Each
    /// gets them with its next order, so that it is known what it has signed with.
    fn note_credentials(&mut self, client: &Client) {
        if *client.credentials() != self.task.settings.credentials {
            self.task.settings.credentials = client.credentials().clone();
            self.version += 1;
        }
    }

    /// The service does not accept a worker's credentials any more: send it newer
    /// ones, which are asked for unless there are some already.
    fn renew(&mut self, at: usize, client: &mut Client) {
        if self.workers[at].version == self.version {
            client.reload_credentials();
            self.note_credentials(client);
        }
        self.send_credentials(at);
    }

    fn send_credentials(&mut self, at: usize) {
        let fresh = self.task.settings.credentials.clone();
        self.workers[at].version = self.version;
        self.workers[at].tell(&Order::Credentials(fresh));
    }

    /// A busy worker reports something at least once a second, unless it has reported
    /// a name look-up, which nothing interrupts. Only the time counts in which a
    /// report could have been received: not that in which this process was stopped,
    /// or busy with a request of its own.
    fn check_silence(&mut self) -> Result<()> {
        let passed = self.waited.elapsed().min(2 * LONG_TICK);
        self.waited = Instant::now();
        for (at, worker) in self.workers.iter_mut().enumerate() {
            if matches!(worker.activity, Activity::Transfer | Activity::Write) && !worker.looks_up {
                worker.silent += passed;
            }
            if worker.silent > self.silence {
                let why = format!("no sign of life for {} s", self.silence.as_secs());
                return Err(Error::new(Exit::Internal, name(at), why));
            }
        }
        Ok(())
    }

    /// All blocks are done: have the workers close the stream and exit, and wait for
    /// that. Returns the report of a worker that could not close it.
    pub fn finish(&mut self, client: &mut Client) -> Result<Option<Report>> {
        for worker in &mut self.workers {
            // Closing the stream may take a while, but not for ever.
            (worker.activity, worker.silent) = (Activity::Write, Duration::ZERO);
            worker.tell(&Order::Finish);
        }
        let mut closed = 0;
        while closed < self.workers.len() {
            match self.next(client)? {
                Some((_, Report::Closed)) => closed += 1,
                Some((_, report)) => return Ok(Some(report)),
                None => {}
            }
        }
        self.await_exit(client);
        Ok(None)
    }

    /// Something went wrong: have the workers exit at once. Returns the reports that
    /// nobody has taken.
    pub fn stop(&mut self, client: &mut Client) -> Vec<(usize, Report)> {
        for worker in &mut self.workers {
            worker.child.terminate();
        }
        self.await_exit(client);
        client.progress().set_moving(0);
        self.reports.drain(..).collect()
    }

    /// Receive the last reports of workers that were told to exit. One that does not
    /// in time is killed when it is dropped, as every [`os::Child`] is.
    fn await_exit(&mut self, client: &mut Client) {
        let end = Instant::now() + GRACE;
        while self.workers.iter().any(|w| !w.gone) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            self.receive_all(client, left);
        }
    }
}

/// The error that a worker reports: of the stream, whose end here is `pipe`, or any
/// other.
pub fn failure(report: Report, pipe: Option<&mut Pipe>) -> Error {
    match (report, pipe) {
        (Report::Io(errno), Some(pipe)) => pipe.error(&io::Error::from_raw_os_error(errno)),
        (Report::Failed { error, .. }, _) => error,
        _ => Error::new(Exit::Internal, "worker", "reported what it was not asked"),
    }
}

/// A worker's name, for people: they count from 1.
fn name(at: usize) -> String {
    format!("worker {}", at + 1)
}
