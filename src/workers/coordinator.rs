//! The workers of a transfer, as their coordinator sees them.
//!
//! Workers are copies of this program, started when there is a block for them
//! and not before. The coordinator hands out jobs, and waits in one poll(2) for
//! what they report; signals, the meter, a pause asked for by the service and
//! fresh credentials are seen to meanwhile. No data of the stream passes through
//! here. A worker that ends, or gives no sign of life, ends the run; one that
//! cannot be started does not; and when the run ends, in whatever way, no worker
//! is left.

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
use crate::workers::process::{Duty, Worker, mention};
use crate::workers::task::{Task, Transfer};

/// How long the coordinator sleeps where nothing happens: with a meter to be
/// redrawn, and without.
const NAP: Duration = Duration::from_millis(250);
const LONG_NAP: Duration = Duration::from_secs(1);

/// How many stall limits a busy worker may be silent, and the least time.
const SILENCE: u32 = 5;
const LEAST_SILENCE: Duration = Duration::from_secs(10);

/// How long workers that were told to leave may take: a signal that comes just
/// before a call blocks ends it a second later (see `sys`).
const GRACE: Duration = Duration::from_secs(3);

/// What the user said of workers.
#[derive(Clone, Copy)]
pub struct Jobs {
    /// How many there may be; 1 is none.
    pub most: usize,
    /// What to show, and how many bytes a second all of them together may move.
    pub wanted: Wanted,
}

/// All of them.
pub struct Team {
    /// What they are told, with all that the client has found out since.
    task: Task,
    jobs: Jobs,
    /// The stream that they take turns at; none if they only read from the
    /// service.
    stream: Option<OwnedFd>,
    crew: Vec<Worker>,
    /// What they reported, by worker, and nobody has taken yet.
    reports: VecDeque<(usize, Report)>,
    /// Counts the credentials that there have been; the last ones are in the
    /// task.
    keys: u64,
    /// When was last waited for reports.
    waited: Instant,
    silence: Duration,
}

impl Team {
    /// Up to so many workers, none of them started yet, that take turns at this
    /// stream.
    pub fn new(store: &Store, jobs: Jobs, transfer: Transfer, stream: Option<OwnedFd>) -> Team {
        let settings = store.client.settings().clone();
        Team {
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
            crew: Vec::new(),
            reports: VecDeque::new(),
            keys: 0,
            waited: Instant::now(),
        }
    }

    /// A worker without a job, started if need be. None if all have one, and no
    /// more can be started.
    pub fn idle(&mut self, client: &Client) -> Option<usize> {
        if let Some(at) = self.crew.iter().position(|w| w.duty == Duty::None) {
            return Some(at);
        }
        let count = self.crew.len();
        if count == self.jobs.most {
            return None;
        }
        match self.hire(client) {
            Ok(worker) => self.crew.push(worker),
            Err(e) => {
                // Of processes or descriptors there are too many: those that we
                // have will do.
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

    fn hire(&mut self, client: &Client) -> io::Result<Worker> {
        self.note_keys(client);
        self.task.settings = client.settings().clone();
        let stream = self.stream.as_ref();
        let (worker, ear) = Worker::start(&self.task.command, stream, self.keys)?;
        client.progress().when_slowed(move |time| {
            mention(&ear, &Order::Hold(time));
        });
        worker.tell(&Order::Begin(Box::new(self.task.clone())));
        // What the others were told before it came.
        if let Some(time) = client.progress().held() {
            worker.tell(&Order::Hold(time));
        }
        Ok(worker)
    }

    /// Give an idle worker a job.
    pub fn order(&mut self, at: usize, order: &Order) {
        let worker = &mut self.crew[at];
        worker.silent = Duration::ZERO;
        worker.duty = match order {
            Order::Read { .. } | Order::Again | Order::Get { .. } => Duty::Transfer,
            _ => Duty::Write,
        };
        // What is written was counted as it came.
        if worker.duty == Duty::Transfer {
            worker.moving = 0;
        }
        self.share_rate();
        if self.crew[at].keys != self.keys {
            self.send_keys(at);
        }
        self.crew[at].tell(order);
    }

    /// A worker's job is done; what it moved is from now on the caller's to
    /// count.
    pub fn relieve(&mut self, at: usize, client: &Client) {
        (self.crew[at].duty, self.crew[at].moving) = (Duty::None, 0);
        self.share_rate();
        self.show(client);
    }

    /// A worker's transfer is over; it waits for what to do with the block.
    pub fn keep(&mut self, at: usize) {
        self.crew[at].duty = Duty::Keep;
        self.share_rate();
    }

    /// Divide the rate among those that have a job; who must slow down is told
    /// first.
    fn share_rate(&mut self) {
        let Some(rate) = self.jobs.wanted.rate else {
            return;
        };
        let busy = self
            .crew
            .iter()
            .filter(|w| w.duty == Duty::Transfer)
            .count();
        let share = Some(limit::share(rate, busy));
        let mut differ: Vec<&mut Worker> = self
            .crew
            .iter_mut()
            .filter(|w| w.duty == Duty::Transfer && w.rate != share)
            .collect();
        differ.sort_by_key(|w| w.rate.is_none_or(|rate| Some(rate) < share));
        for worker in differ {
            if mention(&worker.channel, &Order::Rate(share)) {
                worker.rate = share;
            }
        }
    }

    /// The next report about a job, and whose; None if there is none for a
    /// while. An error is a request to stop, or a worker that has gone.
    pub fn next(&mut self, client: &mut Client) -> Result<Option<(usize, Report)>> {
        client.progress().check()?;
        if self.reports.is_empty() {
            let nap = match client.progress().is_shown() {
                true => NAP,
                false => LONG_NAP,
            };
            self.listen(client, nap);
            self.mind_silence()?;
            client.refresh_credentials();
            self.note_keys(client);
            client.progress().check()?;
        }
        let next = self.reports.pop_front();
        let lost = |w: &Worker| w.gone && w.duty != Duty::Over;
        match self.crew.iter().position(lost) {
            Some(at) if next.is_none() => {
                let why = self.crew[at].obituary(GRACE);
                Err(Error::new(Exit::Internal, name(at), why))
            }
            _ => Ok(next),
        }
    }

    /// Wait once for reports, and see to those that are not about jobs.
    fn listen(&mut self, client: &mut Client, time: Duration) {
        let there: Vec<usize> = (0..self.crew.len())
            .filter(|at| !self.crew[*at].gone)
            .collect();
        let channels: Vec<_> = there
            .iter()
            .map(|at| self.crew[*at].channel.as_fd())
            .collect();
        let ready = os::wait_for_input(&channels, time);
        for at in there.into_iter().zip(ready).filter(|(_, ready)| *ready) {
            self.receive(at.0, client);
        }
        self.show(client);
    }

    /// What the meter is to know of blocks that are not done.
    fn show(&self, client: &Client) {
        let moving = self.crew.iter().map(|w| w.moving).sum();
        client.progress().set_moving(moving);
    }

    fn receive(&mut self, at: usize, client: &mut Client) {
        let worker = &mut self.crew[at];
        let mut buffer = [0; 8192];
        match worker.channel.read(&mut buffer) {
            Ok(n) if n > 0 => worker.lines.push(&buffer[..n]),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            _ => worker.gone = true,
        }
        worker.silent = Duration::ZERO;
        while let Some(line) = self.crew[at].lines.next_line() {
            let progress = client.progress();
            match Report::parse(&line) {
                None => self.crew[at].gone = true,
                Some(Report::Say(text)) => progress.say(&text),
                Some(Report::Remind(text)) => progress.remind(&text),
                Some(Report::Retried) => progress.retried(),
                // The heads of requests do not count.
                Some(Report::Moved(bytes)) => {
                    self.crew[at].moving = bytes.min(self.task.transfer.blocksize);
                }
                Some(Report::Slow(time)) => progress.slowed(time),
                Some(Report::Expired) => self.renew(at, client),
                Some(Report::Lookup(begins)) => self.crew[at].excused = begins,
                // Nobody has asked us to stop: somebody has killed it.
                Some(Report::Failed { error, .. }) if matches!(error.exit(), Exit::Signal(_)) => {
                    let error = Error::new(Exit::Internal, name(at), error.why());
                    self.reports.push_back((at, Report::failed(error)));
                }
                Some(report) => {
                    if matches!(report, Report::Failed { .. }) {
                        self.crew[at].moving = 0;
                    }
                    if report == Report::Closed {
                        self.crew[at].duty = Duty::Over;
                    }
                    self.reports.push_back((at, report));
                }
            }
        }
    }

    /// Credentials that the client has found since are the team's. A worker gets
    /// them with its next order, so that it is known what it has signed with.
    fn note_keys(&mut self, client: &Client) {
        if *client.credentials() != self.task.settings.credentials {
            self.task.settings.credentials = client.credentials().clone();
            self.keys += 1;
        }
    }

    /// A worker's credentials are not accepted any more. Others may have been
    /// found since it got them.
    fn renew(&mut self, at: usize, client: &mut Client) {
        if self.crew[at].keys == self.keys {
            client.reload_credentials();
            self.note_keys(client);
        }
        self.send_keys(at);
    }

    fn send_keys(&mut self, at: usize) {
        let fresh = self.task.settings.credentials.clone();
        self.crew[at].keys = self.keys;
        self.crew[at].tell(&Order::Credentials(fresh));
    }

    /// A worker that does something says at least once a second that it is alive,
    /// unless it has said that it cannot. Only the time counts in which we could
    /// have heard it: not that in which we were stopped, or busy with a request
    /// of our own.
    fn mind_silence(&mut self) -> Result<()> {
        let passed = self.waited.elapsed().min(2 * LONG_NAP);
        self.waited = Instant::now();
        for (at, worker) in self.crew.iter_mut().enumerate() {
            if matches!(worker.duty, Duty::Transfer | Duty::Write) && !worker.excused {
                worker.silent += passed;
            }
            if worker.silent > self.silence {
                let why = format!("no sign of life for {} s", self.silence.as_secs());
                return Err(Error::new(Exit::Internal, name(at), why));
            }
        }
        Ok(())
    }

    /// All is done: have the workers close the stream and leave, and wait for
    /// that. A report is of one that could not close it.
    pub fn finish(&mut self, client: &mut Client) -> Result<Option<Report>> {
        for worker in &mut self.crew {
            // Closing the stream may take a while, but not for ever.
            (worker.duty, worker.silent) = (Duty::Write, Duration::ZERO);
            worker.tell(&Order::Finish);
        }
        let mut closed = 0;
        while closed < self.crew.len() {
            match self.next(client)? {
                Some((_, Report::Closed)) => closed += 1,
                Some((_, report)) => return Ok(Some(report)),
                None => {}
            }
        }
        self.see_off(client);
        Ok(None)
    }

    /// Something went wrong: have the workers leave at once. What they had
    /// done and not yet reported comes back.
    pub fn dismiss(&mut self, client: &mut Client) -> Vec<(usize, Report)> {
        for worker in &mut self.crew {
            if let Ok(None) = worker.child.try_wait() {
                os::terminate(worker.child.id());
            }
        }
        self.see_off(client);
        client.progress().set_moving(0);
        self.reports.drain(..).collect()
    }

    /// Hear the workers out that were told to leave; who stays too long is
    /// killed in the end.
    fn see_off(&mut self, client: &mut Client) {
        let end = Instant::now() + GRACE;
        while self.crew.iter().any(|w| !w.gone) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            self.listen(client, left);
        }
    }
}

impl Drop for Team {
    /// No worker outlives its team.
    fn drop(&mut self) {
        for worker in &mut self.crew {
            if !matches!(worker.child.try_wait(), Ok(Some(_))) {
                let _ = worker.child.kill();
                let _ = worker.child.wait();
            }
        }
    }
}

/// What a worker could not do, as an error: with the stream, whose end is
/// `pipe`, or with anything else.
pub fn trouble(report: Report, pipe: Option<&mut Pipe>) -> Error {
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
