//! The programs at the other end of the stream: `upload -- command` and
//! `download -- command`, and a filter between them and us.
//!
//! Behind a plain pipe nobody can tell a finished producer from a killed one;
//! here its exit status decides. Programs are started without a shell, joined
//! as a shell would join them; their stderr is untouched, and they never
//! outlive us: they are ended if we fail first, and reaped in any case.

pub mod copy;
mod program;

use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};

use crate::error::{Error, Exit, Result, os_reason};
use crate::os;
use crate::pipe::copy::Broken;
use crate::pipe::program::{End, Program};

pub use crate::pipe::program::{Stopped, run};

/// Our end of the stream: a standard descriptor, or a pipe to a program.
pub struct Pipe {
    // Dropped in this order. A filter must be told to end before it sees an
    // end of its input, which it would complain of; a command notices that its
    // pipe is closed before it is told.
    filter: Option<Program>,
    stream: os::Stream,
    command: Option<Program>,
    /// What messages call that which the stream comes from or goes to.
    name: String,
}

impl Pipe {
    /// What to upload: the output of a command, or stdin if there is none;
    /// what a filter makes of it, if there is a filter. 65 if the command
    /// cannot be started, 78 if the filter cannot.
    pub fn source(command: &[String], filter: &[String]) -> Result<Pipe> {
        if command.is_empty() && filter.is_empty() {
            Ok(Pipe::standard(os::stdin(), "stdin"))
        } else {
            Pipe::to_programs(command, filter, End::Producer)
        }
    }

    /// Where to download to: the input of a command, or stdout if there is
    /// none, through a filter if there is one. Fails as [`Pipe::source`] does.
    pub fn sink(command: &[String], filter: &[String]) -> Result<Pipe> {
        if command.is_empty() && filter.is_empty() {
            Ok(Pipe::standard(os::stdout(), "stdout"))
        } else {
            Pipe::to_programs(command, filter, End::Consumer)
        }
    }

    fn standard(stream: os::Stream, name: &str) -> Pipe {
        Pipe {
            filter: None,
            stream,
            command: None,
            name: name.into(),
        }
    }

    /// The filter is started first: if it cannot be, nothing else was started.
    fn to_programs(command: &[String], filter: &[String], end: End) -> Result<Pipe> {
        if filter.is_empty() {
            let mut command = Program::command(command, end, Stdio::piped())?;
            return Ok(Pipe {
                filter: None,
                stream: command.take_stream(end)?,
                name: command.name.clone(),
                command: Some(command),
            });
        }
        let beyond = if command.is_empty() {
            Stdio::inherit()
        } else {
            Stdio::piped()
        };
        let mut filter = Program::filter(filter, end, beyond)?;
        let stream = filter.take_stream(end)?;
        let command = match filter.take_beyond(end) {
            None => None,
            Some(pipe) => Some(Program::command(command, end, pipe.into())?),
        };
        Ok(Pipe {
            stream,
            name: filter.name.clone(),
            filter: Some(filter),
            command,
        })
    }

    /// A transfer that ended early, as an error.
    pub fn failure(&mut self, broken: Broken) -> Error {
        match broken {
            Broken::Io(e) => self.error(&e),
            Broken::Stopped(e) => e,
        }
    }

    /// A duplicate of our end, for a worker that takes turns at it; 74 if there
    /// can be none.
    pub fn share(&self) -> Result<OwnedFd> {
        let shared = self.stream.share();
        shared.map_err(|e| Error::new(Exit::Io, &self.name, os_reason(&e)))
    }

    /// Our end, to be read or written.
    pub fn stream(&mut self) -> &mut os::Stream {
        &mut self.stream
    }

    /// A failed read or write, by the name of what it happened to (74). A
    /// program that closed its end and failed has the last word (65).
    pub fn error(&mut self, e: &std::io::Error) -> Error {
        let broken = e.kind() == ErrorKind::BrokenPipe;
        let failed = match (&mut self.filter, &mut self.command) {
            (Some(filter), command) if broken => filter.wait_briefly().and_then(|status| {
                let verdict = filter.judge(status);
                verdict.map_err(|e| blame(status, e, command)).err()
            }),
            (None, Some(command)) if broken => command
                .wait_briefly()
                .and_then(|status| command.judge(status).err()),
            _ => None,
        };
        failed.unwrap_or_else(|| Error::new(Exit::Io, &self.name, os_reason(e)))
    }

    /// Close our end, and wait for the programs to end by themselves.
    /// 74 if closing fails, 65 if a program does. `stopped` is a [`Stopped`].
    pub fn finish(self, mut stopped: impl FnMut() -> Result<()>) -> Result<()> {
        let (name, mut command) = (self.name, self.command);
        let closed = self.stream.close();
        let closed = closed.map_err(|e| Error::new(Exit::Io, &name, os_reason(&e)));
        if let Some(mut filter) = self.filter {
            let status = filter.wait(&mut stopped)?;
            let verdict = filter.judge(status);
            verdict.map_err(|e| blame(status, e, &mut command))?;
        }
        match command {
            Some(mut command) => {
                let status = command.wait(&mut stopped)?;
                command.judge(status).and(closed)
            }
            None => closed,
        }
    }
}

/// Who is to blame for a filter's failure: the filter itself, unless it died of
/// SIGPIPE, since what it writes to was closed. Then it is whoever closed that.
fn blame(status: ExitStatus, failure: Error, command: &mut Option<Program>) -> Error {
    if status.signal() != Some(os::SIGPIPE) {
        return failure;
    }
    let name = command.as_ref().map_or("stdout", |command| &command.name);
    let broken = Error::new(Exit::Io, name, "Broken pipe");
    match command {
        None => broken,
        Some(command) => match command.wait_briefly() {
            Some(status) => command.judge(status).err().unwrap_or(broken),
            None => broken,
        },
    }
}
