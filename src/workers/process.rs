//! One worker, as its coordinator sees it: the process, and the channel to it.

use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::os;
use crate::workers::message::{LineBuffer, Order};

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

/// What a worker is doing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Activity {
    /// It waits for an order.
    Idle,
    /// It reads and stores a block, or fetches one.
    Transfer,
    /// It writes to the stream, or closes it.
    Write,
    /// It has fetched or read a block, and waits for what to do with that.
    Hold,
    /// It has closed the stream, and exits.
    Closed,
}

/// A worker's process.
pub(super) struct WorkerProcess {
    pub(super) child: os::Child,
    pub(super) channel: UnixStream,
    pub(super) lines: LineBuffer,
    pub(super) activity: Activity,
    /// How many bytes of the present block it has moved.
    pub(super) moving: u64,
    /// How long it has reported nothing.
    pub(super) silent: Duration,
    /// It looks up a name, and cannot report anything until that is over.
    pub(super) looks_up: bool,
    /// The rate that it was told, in bytes a second.
    pub(super) rate: Option<u64>,
    /// How often the credentials had changed when it got its own.
    pub(super) version: u64,
    /// The other end of its channel is closed.
    pub(super) gone: bool,
}

impl WorkerProcess {
    /// Start one for this command, with this end of the stream and these credentials,
    /// by their version. Returns the channel a second time, too, for what is sent at
    /// any time.
    pub(super) fn start(
        command: &str,
        stream: Option<&OwnedFd>,
        version: u64,
    ) -> io::Result<(WorkerProcess, UnixStream)> {
        let (channel, theirs) = UnixStream::pair()?;
        let sender = channel.try_clone()?;
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
        let child = os::Child::start(program.stdin(stdin).stdout(stdout))?;
        let worker = WorkerProcess {
            child,
            channel,
            lines: LineBuffer::default(),
            activity: Activity::Idle,
            moving: 0,
            silent: Duration::ZERO,
            looks_up: false,
            rate: None,
            version,
            gone: false,
        };
        Ok((worker, sender))
    }

    /// Send an order. That the worker may have ended is noticed when it is read
    /// from.
    pub(super) fn tell(&self, order: &Order) {
        let _ = (&self.channel).write_all(order.to_line().as_bytes());
    }

    /// How the process ended, which it has `time` to do.
    pub(super) fn how_it_ended(&mut self, time: Duration) -> String {
        match self.child.ends_within(time).map(|s| (s.code(), s.signal())) {
            Some((_, Some(signal))) => format!("was killed by signal {signal}"),
            Some((Some(code), _)) => format!("ended with status {code}"),
            _ => "has closed its channel".into(),
        }
    }
}

/// Send an order if the channel has room for it; false if it has none.
pub(super) fn try_tell(mut channel: &UnixStream, order: &Order) -> bool {
    let room = os::can_write(channel.as_fd());
    if room {
        let _ = channel.write_all(order.to_line().as_bytes());
    }
    room
}
