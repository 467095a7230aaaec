//! `credential_process`: a program that prints an access key, and the way by
//! which single sign-on, roles and password managers are served.
//!
//! It is started without a shell, with its own words and nothing of ours: its
//! stdin is empty, so that it cannot eat the stream, and its stderr is ours,
//! so that it can complain or ask. It has a minute (somebody may have to
//! touch a key), is killed if it takes longer or we are told to stop, and is
//! reaped in any case; its own children are its own affair. Its words may hold
//! secrets and are never shown; nor is what it printed. It fails with 78 where
//! the command or its answer cannot be used, and with 77 where it gave none.
//!
//! Source: the AWS SDKs and Tools Reference Guide, 'Process credential
//! provider'.

use std::io::{self, ErrorKind, PipeReader, Read};
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::key_json::{KeyJson, LIMIT};
use super::{shell_words, stopped};
use crate::error::{Error, Exit, Result, os_reason};
use crate::os;
use crate::sign::Credentials;
use crate::text::time::Utc;

/// How long it may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long between two looks at a program that is silent.
const PAUSE: Duration = Duration::from_millis(20);

/// The key that a program prints, which this profile names, and when the key
/// expires.
pub(super) fn ask(profile: &str, command: &str) -> Result<(Credentials, Option<Utc>)> {
    let place = format!("profile {profile}: credential_process");
    let refuse = |why| Error::new(Exit::Config, &place, why);
    let words = shell_words::split(command).ok_or_else(|| refuse("a quote in it is not closed"))?;
    let output = run(&place, &words, PATIENCE)?;
    let answer = KeyJson::parse(&place, &output)?;
    if !answer.is_one("Version") {
        return Err(refuse("its answer is not of version 1"));
    }
    answer.credentials("SessionToken")
}

/// A running program, which is killed when it is dropped.
struct Helper {
    child: os::Child,
    /// Its output, until that has ended.
    output: Option<PipeReader>,
}

/// Runs a program to its end, and returns its output, which is cut off where it is
/// longer than any answer.
fn run(place: &str, words: &[String], patience: Duration) -> Result<Vec<u8>> {
    let failed = |why: String| Error::new(Exit::Denied, place, why);
    let mut program = start(words).map_err(|e| {
        let why = format!("it cannot be started: {}", os_reason(&e));
        Error::new(Exit::Config, place, why)
    })?;
    let end = Instant::now() + patience;
    let mut bytes = Vec::new();
    loop {
        // In this order, so that nothing is missed. Its output may stay open
        // beyond its end, in a process that it left behind.
        let status = program.child.ended();
        let status = status.map_err(|e| failed(os_reason(&e)))?;
        let read = program.read(&mut bytes);
        read.map_err(|e| failed(os_reason(&e)))?;
        // A terminal's ^C is for the program as well, and may have ended it.
        stopped(place)?;
        match status {
            _ if bytes.len() > LIMIT => return Ok(bytes),
            Some(status) if status.success() => return Ok(bytes),
            Some(status) => return Err(failed(format!("it {}", os::ending(status)))),
            None => {}
        }
        if Instant::now() >= end {
            let why = format!("it took longer than {} s", patience.as_secs());
            return Err(failed(why));
        }
        program.wait();
    }
}

/// Starts a program with these words.
fn start(words: &[String]) -> io::Result<Helper> {
    let Some((name, arguments)) = words.split_first() else {
        return Err(io::Error::other("it is empty"));
    };
    let (reader, writer) = io::pipe()?;
    let mut command = Command::new(name);
    command.args(arguments).stdin(Stdio::null()).stdout(writer);
    os::permit_cores(&mut command);
    Ok(Helper {
        child: os::Child::start(&mut command)?,
        output: Some(reader),
    })
}

impl Helper {
    /// Reads what is there, without waiting for more, until it is too much.
    fn read(&mut self, bytes: &mut Vec<u8>) -> io::Result<()> {
        let mut part = [0; 4096];
        while let Some(output) = &mut self.output
            && bytes.len() <= LIMIT
            && os::wait_for_input(&[output.as_fd()], Duration::ZERO)[0]
        {
            match output.read(&mut part) {
                Ok(0) => self.output = None,
                Ok(n) => bytes.extend_from_slice(&part[..n]),
                Err(e) if e.kind() == ErrorKind::Interrupted => return Ok(()),
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Waits until it says something, a signal comes, or it is time to see whether
    /// it has ended.
    fn wait(&self) {
        match &self.output {
            Some(output) => drop(os::wait_for_input(&[output.as_fd()], PAUSE)),
            None => os::pause(PAUSE),
        }
    }
}

#[cfg(test)]
#[path = "process_tests.rs"]
mod tests;
