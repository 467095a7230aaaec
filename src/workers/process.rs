//! One worker, as its coordinator sees it: the process, and the channel to it.

use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::os;
use crate::workers::message::{Lines, Order};

/// The option that makes a worker of this program; for no user.
pub const WORKER: &str = "--worker";

/// The command that these arguments ask for a worker of, if they do.
pub fn command_of(args: &[String]) -> Option<&str> {
    match args {
        [option, command] if option == WORKER => Some(command),
        _ => None,
    }
}

/// Whether workers of this command read the stream, from stdin; all others write
/// it, to stdout.
pub(super) fn reads_stream(command: &str) -> bool {
    command == "upload"
}

/// What a worker has been given to do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Duty {
    /// Nothing.
    None,
    /// Something that needs the network.
    Transfer,
    /// Something that needs only the stream.
    Write,
    /// To keep its block, and wait for what to do with it.
    Keep,
    /// It has closed the stream, and may go.
    Over,
}

/// A worker.
pub(super) struct Worker {
    pub(super) child: Child,
    pub(super) channel: UnixStream,
    pub(super) lines: Lines,
    pub(super) duty: Duty,
    /// How far it is with it, in bytes.
    pub(super) moving: u64,
    /// How long it has said nothing.
    pub(super) silent: Duration,
    /// It has said that it cannot say anything for a while.
    pub(super) excused: bool,
    /// The rate it was told.
    pub(super) rate: Option<u64>,
    /// Which credentials it has, by their count.
    pub(super) keys: u64,
    /// Its channel has ended.
    pub(super) gone: bool,
}

impl Worker {
    /// Start one for this command, at this end of the stream. Comes with the
    /// channel once more, to tell it something at any time.
    pub(super) fn start(
        command: &str,
        stream: Option<&OwnedFd>,
        keys: u64,
    ) -> io::Result<(Worker, UnixStream)> {
        let (channel, theirs) = UnixStream::pair()?;
        let ear = channel.try_clone()?;
        let theirs = Stdio::from(OwnedFd::from(theirs));
        let stream = match stream {
            Some(fd) => Stdio::from(fd.try_clone()?),
            None => Stdio::null(),
        };
        let (stdin, stdout) = if reads_stream(command) {
            (stream, theirs)
        } else {
            (theirs, stream)
        };
        let mut program = Command::new(os::myself()?);
        program.arg0("s3pipe").args([WORKER, command]);
        // The program goes out of scope here, and with it the worker's end of
        // the channel: while that is open, we would not see the worker go.
        let child = program.stdin(stdin).stdout(stdout).spawn()?;
        let worker = Worker {
            child,
            channel,
            lines: Lines::default(),
            duty: Duty::None,
            moving: 0,
            silent: Duration::ZERO,
            excused: false,
            rate: None,
            keys,
            gone: false,
        };
        Ok((worker, ear))
    }

    /// Tell it. It may be gone: that is seen when it is listened to.
    pub(super) fn tell(&self, order: &Order) {
        let _ = (&self.channel).write_all(order.to_line().as_bytes());
    }

    /// What it died of; it has `time` to do so.
    pub(super) fn obituary(&mut self, time: Duration) -> String {
        let end = Instant::now() + time;
        let status = loop {
            match self.child.try_wait() {
                Ok(None) if Instant::now() < end => os::pause(Duration::from_millis(10)),
                Ok(status) => break status,
                Err(_) => break None,
            }
        };
        match status.map(|s| (s.code(), s.signal())) {
            Some((_, Some(signal))) => format!("was killed by signal {signal}"),
            Some((Some(code), _)) => format!("ended with status {code}"),
            _ => "has closed its channel".into(),
        }
    }
}

/// Tell a worker if its channel has room for it. False if not.
pub(super) fn mention(mut channel: &UnixStream, order: &Order) -> bool {
    let room = os::can_write(channel.as_fd());
    if room {
        let _ = channel.write_all(order.to_line().as_bytes());
    }
    room
}
