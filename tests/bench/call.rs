//! The command lines of all that is measured: of s3pipe, of the floor, and of
//! the peers (in `peers`).
//!
//! Each gets an environment of its own, so that nobody's settings, proxies or
//! credentials have a part in it, and an empty home.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Outcome;

/// A program that is about to be run, once or more.
#[derive(Clone)]
pub struct Call {
    program: OsString,
    arguments: Vec<OsString>,
    environment: Vec<(&'static str, OsString)>,
}

impl Call {
    /// Without arguments.
    pub fn new(program: impl AsRef<OsStr>) -> Call {
        Call {
            program: program.as_ref().into(),
            arguments: Vec::new(),
            environment: Vec::new(),
        }
    }

    /// This program again, to do the part that `words` name.
    pub fn again(words: &[&str]) -> Outcome<Call> {
        Ok(Call::new(env::current_exe()?).args(words))
    }

    /// With one more argument.
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Call {
        self.arguments.push(argument.as_ref().into());
        self
    }

    /// With more arguments.
    pub fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Call {
        let arguments = arguments.into_iter().map(|a| a.as_ref().to_os_string());
        self.arguments.extend(arguments);
        self
    }

    /// With a variable of its environment.
    pub fn env(mut self, name: &'static str, value: impl AsRef<OsStr>) -> Call {
        self.environment.push((name, value.as_ref().into()));
        self
    }

    /// The same, run by another program, as strace(1) runs one.
    pub fn under(self, program: &Path, arguments: &[&OsStr]) -> Call {
        let mut all: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        all.push(self.program);
        all.extend(self.arguments);
        Call {
            program: program.into(),
            arguments: all,
            environment: self.environment,
        }
    }

    /// Ready to be run: with this home, and the null device at both ends.
    pub fn command(&self, home: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .env_clear()
            .env("HOME", home)
            .env("PATH", env::var_os("PATH").unwrap_or_default())
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command
    }
}

/// Where requests go.
pub struct Endpoint {
    /// On 127.0.0.1.
    pub port: u16,
    /// A file with the certificate to trust, if TLS is to be spoken.
    pub authority: Option<PathBuf>,
}

impl Endpoint {
    /// As a URL, without a slash at the end.
    pub fn url(&self) -> String {
        let scheme = if self.authority.is_some() {
            "https"
        } else {
            "http"
        };
        format!("{scheme}://{}", self.host())
    }

    /// Address and port.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

/// s3pipe at this endpoint, with `-j` where it is told.
pub fn s3pipe(binary: &Path, endpoint: &Endpoint, jobs: Option<u32>) -> Call {
    let mut call = Call::new(binary)
        .args(["-q", "-b", "bench", "--region", "us-east-1", "--endpoint"])
        .arg(endpoint.url())
        .env("AWS_ACCESS_KEY_ID", "bench")
        .env("AWS_SECRET_ACCESS_KEY", "bench");
    if let Some(authority) = &endpoint.authority {
        call = call.arg("--ca-file").arg(authority);
    }
    if let Some(jobs) = jobs {
        call = call.arg("-j").arg(jobs.to_string());
    }
    call
}

/// The floor at this endpoint: `words` without the port.
pub fn floor(part: &str, endpoint: &Endpoint, words: &[&str]) -> Outcome<Call> {
    let port = endpoint.port.to_string();
    let call = Call::again(&[part, &port])?.args(words);
    Ok(match &endpoint.authority {
        Some(authority) => call.arg(authority),
        None => call,
    })
}

/// The first file of this name in the folders of PATH that may be run.
pub fn on_path(name: &str) -> Option<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| {
            let found = file.metadata();
            found.is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
        })
}
