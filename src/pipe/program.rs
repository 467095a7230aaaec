//! One program that we have started: its pipes, its end, and what that says.

use std::os::fd::OwnedFd;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::error::{Error, Exit, Result, os_reason};
use crate::os;

/// How long a program may take to end that was told to.
const GRACE: Duration = Duration::from_secs(5);

/// A running program, which is told to end when it is dropped.
pub(super) struct Program {
    child: os::Child,
    /// What messages call it.
    pub(super) name: String,
}

/// Which end of the stream a program is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Its stdout is the stream.
    Producer,
    /// Its stdin is the stream.
    Consumer,
}

/// Asked after each signal while a program is waited for: an error if there is a
/// reason to stop, which ends the waiting, and the program as well.
pub type Stopped<'a> = dyn FnMut() -> Result<()> + 'a;

/// Run a program to its end, whatever that is, and return its status. 78 if it
/// cannot be started.
pub fn run(mut program: Command, name: &str, stopped: &mut Stopped) -> Result<ExitStatus> {
    os::end_with_us(&mut program);
    Program::start(program, name.into(), Exit::Config)?.wait(stopped)
}

impl Program {
    /// The user's command, at this end of the stream: `stream` is what it writes
    /// to, or reads from. Its other standard descriptor stays what ours is. 65 if
    /// it cannot be started.
    pub(super) fn command(argv: &[String], end: End, stream: Stdio) -> Result<Program> {
        let program = command_line(argv, end, stream, Stdio::inherit());
        Program::start(program, format!("command '{}'", argv[0]), Exit::Data)
    }

    /// A filter between us and `beyond`, which is what it reads from at the
    /// producer's end, and writes to at the consumer's. 78 if it cannot be
    /// started.
    pub(super) fn filter(argv: &[String], end: End, beyond: Stdio) -> Result<Program> {
        let mut program = command_line(argv, end, Stdio::piped(), beyond);
        // It is ours, and may wait for input that never comes.
        os::end_with_us(&mut program);
        Program::start(program, argv[0].clone(), Exit::Config)
    }

    fn start(mut program: Command, name: String, exit: Exit) -> Result<Program> {
        os::permit_cores(&mut program);
        let started = os::Child::start(&mut program).map_err(|e| {
            let why = format!("not started: {}", os_reason(&e));
            Error::new(exit, &name, why)
        });
        Ok(Program {
            child: started?,
            name,
        })
    }

    /// Our end of the pipe to it, which can be taken once.
    pub(super) fn take_stream(&mut self, end: End) -> Result<os::Stream> {
        let pipe = match end {
            End::Producer => self.child.take_stdout(),
            End::Consumer => self.child.take_stdin(),
        };
        pipe.map(os::Stream::from)
            .ok_or_else(|| self.error("no pipe".into()))
    }

    /// The pipe at a filter's other end, if it has one there.
    pub(super) fn take_beyond(&mut self, end: End) -> Option<OwnedFd> {
        match end {
            End::Producer => self.child.take_stdin(),
            End::Consumer => self.child.take_stdout(),
        }
    }

    /// Wait for its end.
    pub(super) fn wait(&mut self, stopped: &mut Stopped) -> Result<ExitStatus> {
        loop {
            let ended = self.child.ended();
            // A terminal sends its signals to the program as well: that we were told
            // to stop is what must be said then, not how the program ended.
            stopped()?;
            match ended {
                Ok(Some(status)) => return Ok(status),
                Ok(None) => self.child.wait_for_signal_or_end(),
                Err(e) => return Err(self.error(os_reason(&e))),
            }
        }
    }

    /// Its status, if it ends by itself within the time of grace.
    pub(super) fn wait_briefly(&mut self) -> Option<ExitStatus> {
        self.child.ends_within(GRACE)
    }

    /// An error (65) if a program that ended so has failed.
    pub(super) fn judge(&self, status: ExitStatus) -> Result<()> {
        if status.success() {
            Ok(())
        } else {
            Err(self.error(os::ending(status)))
        }
    }

    fn error(&self, why: String) -> Error {
        Error::new(Exit::Data, &self.name, why)
    }
}

/// These words as a command whose descriptor for the stream is `stream`, and
/// the other one `beyond`.
fn command_line(argv: &[String], end: End, stream: Stdio, beyond: Stdio) -> Command {
    let mut program = Command::new(&argv[0]);
    program.args(&argv[1..]);
    match end {
        End::Producer => program.stdout(stream).stdin(beyond),
        End::Consumer => program.stdin(stream).stdout(beyond),
    };
    program
}

impl Drop for Program {
    /// Tell it to end; what does not is killed.
    fn drop(&mut self) {
        self.child.terminate();
        self.child.ends_within(GRACE);
    }
}
