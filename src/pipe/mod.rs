//! The programs at the other end of the stream: `upload -- command` and
//! `download -- command`, and a filter between them and us.
//!
//! Behind a plain pipe nobody can tell a finished producer from a killed one;
//! here its exit status decides. Programs are started without a shell, joined
//! as a shell would join them; their stderr is untouched, and they never
//! outlive us: they are ended if we fail first, and reaped in any case.

pub mod copy;

use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::error::{Error, Exit, Result, os_reason};
use crate::os;
use crate::pipe::copy::Broken;

/// How long a program that was told to end may take.
const GRACE: Duration = Duration::from_secs(5);

/// A running program.
struct Program {
    child: Child,
    name: String,
}

/// Which end of the stream a program is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Its stdout is the stream.
    Producer,
    /// Its stdin is the stream.
    Consumer,
}

/// Our end of the stream: a standard descriptor, or a pipe to a program.
pub struct Pipe {
    // Dropped in this order. A filter must be told to end before it sees an
    // end of its input, which it would complain of; a command notices that its
    // pipe is closed before it is told.
    filter: Option<Program>,
    stream: os::Stream,
    command: Option<Program>,
    /// What the stream comes from or goes to.
    name: String,
}

impl Pipe {
    /// What to upload: the output of a command, or stdin if there is none;
    /// what a filter makes of it, if there is a filter. 65 if the command
    /// cannot be started, 78 if the filter cannot.
    pub fn source(command: &[String], filter: &[String]) -> Result<Pipe> {
        match command.is_empty() && filter.is_empty() {
            true => Ok(Pipe::standard(os::stdin(), "stdin")),
            false => Pipe::to_programs(command, filter, End::Producer),
        }
    }

    /// Where to download to: the input of a command, or stdout if there is
    /// none, through a filter if there is one. Fails as [`Pipe::source`] does.
    pub fn sink(command: &[String], filter: &[String]) -> Result<Pipe> {
        match command.is_empty() && filter.is_empty() {
            true => Ok(Pipe::standard(os::stdout(), "stdout")),
            false => Pipe::to_programs(command, filter, End::Consumer),
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

    /// The filter is started first: where it is missing, nothing else was.
    fn to_programs(command: &[String], filter: &[String], end: End) -> Result<Pipe> {
        if filter.is_empty() {
            let mut command = Program::command(command, end, Stdio::piped())?;
            return Ok(Pipe {
                filter: None,
                stream: command.near(end)?,
                name: command.name.clone(),
                command: Some(command),
            });
        }
        let beyond = match command.is_empty() {
            true => Stdio::inherit(),
            false => Stdio::piped(),
        };
        let mut program = joined(filter, end, [Stdio::piped(), beyond]);
        // It is ours, and may wait for input that never comes.
        os::end_with_us(&mut program);
        let mut filter = Program::start(program, filter[0].clone(), Exit::Config)?;
        let stream = filter.near(end)?;
        let command = match filter.far(end) {
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

    /// The descriptor once more, for a worker that takes turns at it (74).
    pub fn share(&self) -> Result<OwnedFd> {
        let shared = self.stream.share();
        shared.map_err(|e| Error::new(Exit::Io, &self.name, os_reason(&e)))
    }

    /// The descriptor.
    pub fn stream(&mut self) -> &mut os::Stream {
        &mut self.stream
    }

    /// A failed read or write, by the name of what it happened to (74). A
    /// program that closed its end and failed has the last word (65).
    pub fn error(&mut self, e: &std::io::Error) -> Error {
        let broken = e.kind() == ErrorKind::BrokenPipe;
        let failed = match (&mut self.filter, &mut self.command) {
            (Some(filter), command) if broken => filter.ends().and_then(|status| {
                let verdict = filter.judge(status);
                verdict.map_err(|e| blame(status, e, command)).err()
            }),
            (None, Some(command)) if broken => command
                .ends()
                .and_then(|status| command.judge(status).err()),
            _ => None,
        };
        failed.unwrap_or_else(|| Error::new(Exit::Io, &self.name, os_reason(e)))
    }

    /// Close the descriptor, and wait for the programs to end by themselves.
    /// 74 if closing fails, 65 if a program does. `stopped` is asked after
    /// each signal, and may end the waiting.
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

/// Who is to blame for a filter's failure: itself, unless it died of what it
/// writes to having been closed.
fn blame(status: ExitStatus, failure: Error, command: &mut Option<Program>) -> Error {
    if status.signal() != Some(os::SIGPIPE) {
        return failure;
    }
    let name = command.as_ref().map_or("stdout", |command| &command.name);
    let broken = Error::new(Exit::Io, name, "Broken pipe");
    match command {
        None => broken,
        Some(command) => match command.ends() {
            Some(status) => command.judge(status).err().unwrap_or(broken),
            None => broken,
        },
    }
}

/// A program whose end near us, and the one far from us, are these.
fn joined(argv: &[String], end: End, [near, far]: [Stdio; 2]) -> Command {
    let mut program = Command::new(&argv[0]);
    program.args(&argv[1..]);
    match end {
        End::Producer => program.stdout(near).stdin(far),
        End::Consumer => program.stdin(near).stdout(far),
    };
    program
}

/// Run a program to its end, whatever that is, and return its status. 78 if it
/// cannot be started. `stopped` is asked as by [`Pipe::finish`].
pub fn run(
    mut program: Command,
    name: &str,
    mut stopped: impl FnMut() -> Result<()>,
) -> Result<ExitStatus> {
    os::end_with_us(&mut program);
    Program::start(program, name.into(), Exit::Config)?.wait(&mut stopped)
}

impl Program {
    fn start(mut program: Command, name: String, exit: Exit) -> Result<Program> {
        os::permit_cores(&mut program);
        let started = program.spawn().map_err(|e| {
            let why = format!("not started: {}", os_reason(&e));
            Error::new(exit, &name, why)
        });
        Ok(Program {
            child: started?,
            name,
        })
    }

    /// The producer or consumer. Its other end stays what ours is.
    fn command(argv: &[String], end: End, near: Stdio) -> Result<Program> {
        let program = joined(argv, end, [near, Stdio::inherit()]);
        Program::start(program, format!("command '{}'", argv[0]), Exit::Data)
    }

    /// Our end of the pipe to it.
    fn near(&mut self, end: End) -> Result<os::Stream> {
        let pipe = match end {
            End::Producer => self.child.stdout.take().map(OwnedFd::from),
            End::Consumer => self.child.stdin.take().map(OwnedFd::from),
        };
        pipe.map(os::Stream::from)
            .ok_or_else(|| self.error("no pipe".into()))
    }

    /// A filter's other pipe, if it has one.
    fn far(&mut self, end: End) -> Option<OwnedFd> {
        match end {
            End::Producer => self.child.stdin.take().map(OwnedFd::from),
            End::Consumer => self.child.stdout.take().map(OwnedFd::from),
        }
    }

    /// Wait for its end.
    fn wait(&mut self, stopped: &mut dyn FnMut() -> Result<()>) -> Result<ExitStatus> {
        loop {
            let ended = self.child.try_wait();
            // A signal to all of us: that the program died of it is no news.
            stopped()?;
            match ended {
                Ok(Some(status)) => return Ok(status),
                Ok(None) => {}
                Err(e) => return Err(self.error(os_reason(&e))),
            }
            os::wait_for_end(self.child.id());
        }
    }

    /// Its status, if it ends within the time of grace.
    fn ends(&mut self) -> Option<ExitStatus> {
        let end = Instant::now() + GRACE;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Some(status),
                Ok(None) if Instant::now() < end => os::pause(Duration::from_millis(20)),
                _ => return None,
            }
        }
    }

    fn judge(&self, status: ExitStatus) -> Result<()> {
        match (status.code(), status.signal()) {
            (Some(0), _) => Ok(()),
            (Some(code), _) => Err(self.error(format!("failed with exit status {code}"))),
            (None, Some(signal)) => Err(self.error(format!("was killed by signal {signal}"))),
            (None, None) => Err(self.error("failed".into())),
        }
    }

    fn error(&self, why: String) -> Error {
        Error::new(Exit::Data, &self.name, why)
    }
}

impl Drop for Program {
    /// End it if it has not ended, and reap it.
    fn drop(&mut self) {
        if let Ok(Some(_)) = self.child.try_wait() {
            return;
        }
        os::terminate(self.child.id());
        if self.ends().is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
