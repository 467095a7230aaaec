//! The program at the other end of the stream: `upload -- command` and
//! `download -- command`.
//!
//! Behind a plain pipe nobody can tell a finished producer from a killed one;
//! here its exit status decides. It is started without a shell, its stderr is
//! untouched, and it never outlives us: it is ended if we fail first, and
//! reaped in any case.

use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::error::{Error, Exit, Result, os_reason};
use crate::sys;

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
    // Dropped in this order: a program notices that its pipe is closed before
    // it is told to end.
    stream: sys::Stream,
    program: Option<Program>,
    name: String,
}

impl Pipe {
    /// What to upload: the output of a command, or stdin if there is none.
    /// 65 if it cannot be started.
    pub fn source(argv: &[String]) -> Result<Pipe> {
        match argv.is_empty() {
            true => Ok(Pipe::standard(sys::stdin(), "stdin")),
            false => Program::start(argv, End::Producer),
        }
    }

    /// Where to download to: the input of a command, or stdout if there is
    /// none. 65 if it cannot be started.
    pub fn sink(argv: &[String]) -> Result<Pipe> {
        match argv.is_empty() {
            true => Ok(Pipe::standard(sys::stdout(), "stdout")),
            false => Program::start(argv, End::Consumer),
        }
    }

    fn standard(stream: sys::Stream, name: &str) -> Pipe {
        Pipe {
            stream,
            program: None,
            name: name.into(),
        }
    }

    /// The descriptor once more, for a worker that takes turns at it (74).
    pub fn share(&self) -> Result<OwnedFd> {
        let shared = self.stream.share();
        shared.map_err(|e| Error::new(Exit::Io, &self.name, os_reason(&e)))
    }

    /// The descriptor.
    pub fn stream(&mut self) -> &mut sys::Stream {
        &mut self.stream
    }

    /// A failed read or write, by the name of what it happened to (74). A
    /// program that closed its end and failed has the last word (65).
    pub fn error(&mut self, e: &std::io::Error) -> Error {
        let broken = e.kind() == ErrorKind::BrokenPipe;
        let status = self
            .program
            .as_mut()
            .filter(|_| broken)
            .and_then(Program::ends);
        if let (Some(status), Some(program)) = (status, &self.program)
            && let Err(failed) = program.judge(status)
        {
            return failed;
        }
        Error::new(Exit::Io, &self.name, os_reason(e))
    }

    /// Close the descriptor, and wait for the program to end by itself. 74 if
    /// closing fails, 65 if the program does. `stopped` is asked after each
    /// signal, and may end the waiting.
    pub fn finish(self, stopped: impl FnMut() -> Result<()>) -> Result<()> {
        let name = self.name;
        let closed = self.stream.close();
        let closed = closed.map_err(|e| Error::new(Exit::Io, &name, os_reason(&e)));
        match self.program {
            Some(program) => program.finish(stopped).and(closed),
            None => closed,
        }
    }
}

impl Program {
    fn start(argv: &[String], end: End) -> Result<Pipe> {
        let name = format!("command '{}'", argv[0]);
        let fail = |why: String| Error::new(Exit::Data, &name, why);
        let mut command = Command::new(&argv[0]);
        command.args(&argv[1..]);
        match end {
            End::Producer => command.stdout(Stdio::piped()),
            End::Consumer => command.stdin(Stdio::piped()),
        };
        let started = command.spawn();
        let mut child = started.map_err(|e| fail(format!("not started: {}", os_reason(&e))))?;
        let pipe: Option<OwnedFd> = match end {
            End::Producer => child.stdout.take().map(OwnedFd::from),
            End::Consumer => child.stdin.take().map(OwnedFd::from),
        };
        let pipe = pipe.ok_or_else(|| fail("no pipe".into()))?;
        Ok(Pipe {
            stream: sys::Stream::from(pipe),
            program: Some(Program {
                child,
                name: name.clone(),
            }),
            name,
        })
    }

    fn finish(mut self, mut stopped: impl FnMut() -> Result<()>) -> Result<()> {
        loop {
            let ended = self.child.try_wait();
            // A signal to all of us: that the program died of it is no news.
            stopped()?;
            match ended {
                Ok(Some(status)) => return self.judge(status),
                Ok(None) => {}
                Err(e) => return Err(self.error(os_reason(&e))),
            }
            sys::wait_for_end(self.child.id());
        }
    }

    /// Its status, if it ends within the time of grace.
    fn ends(&mut self) -> Option<ExitStatus> {
        let end = Instant::now() + GRACE;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Some(status),
                Ok(None) if Instant::now() < end => sys::pause(Duration::from_millis(20)),
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
        sys::terminate(self.child.id());
        if self.ends().is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
