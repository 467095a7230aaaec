//! Signatures by ssh-keygen(1), which is part of OpenSSH and of FreeBSD.
//!
//! It is told everything in files of a folder that nobody else can enter, and
//! that is removed whatever happens; no pipe can block. What it says of a
//! failure goes into our message, on one line. Agents and hardware keys are
//! its business: it may ask for a passphrase on the terminal.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::error::{Error, Exit, Result, os_reason};
use crate::os;
use crate::pipe::{self, Stopped};
use crate::protection::seal::{NAMESPACE, Signature};
use crate::text::hex;

const PROGRAM: &str = "ssh-keygen";

/// How much is read of what it writes: more than any signature has.
const OUTPUT_LIMIT: usize = 64 << 10;

/// The signer that is demanded, and the file of the keys that may sign.
#[derive(Clone, Debug)]
pub struct Signers {
    file: String,
    signer: String,
}

/// What came of checking a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checked {
    /// It is by the signer that is demanded.
    Good,
    /// It is not, for this reason.
    Bad(String),
}

/// Sign a text with the key in this file, or with the agent's key of which
/// this is the public half. 78 if that cannot be done.
pub fn sign(key: &str, text: &[u8], stopped: &mut Stopped) -> Result<Signature> {
    let scratch = Scratch::new()?;
    let args = ["-q", "-Y", "sign", "-n", NAMESPACE, "-f", key];
    let (good, out) = scratch.ssh_keygen(args.map(OsString::from).to_vec(), text, stopped)?;
    let signature = Signature::from_armour(&out).filter(|_| good);
    signature.ok_or_else(|| {
        let why = format!("cannot sign with it: {PROGRAM}: {}", reason(&out));
        Error::new(Exit::Config, key, why)
    })
}

impl Signers {
    /// This one, by the keys that the file lists for it (see ALLOWED SIGNERS
    /// in ssh-keygen(1)). 78 if the file cannot be read.
    pub fn new(file: &str, signer: &str) -> Result<Signers> {
        File::open(file).map_err(|e| Error::new(Exit::Config, file, os_reason(&e)))?;
        Ok(Signers {
            file: file.into(),
            signer: signer.into(),
        })
    }

    /// Who must have signed.
    pub fn signer(&self) -> &str {
        &self.signer
    }

    /// Whether this signature of this text is by the signer. Fails (78) where
    /// that cannot be found out.
    pub fn check(
        &self,
        signature: &Signature,
        text: &[u8],
        stopped: &mut Stopped,
    ) -> Result<Checked> {
        let scratch = Scratch::new()?;
        let file = scratch.write("signature", signature.to_armour().as_bytes())?;
        let mut args: Vec<OsString> = ["-q", "-Y", "verify", "-n", NAMESPACE, "-f", &self.file]
            .map(OsString::from)
            .to_vec();
        args.extend(["-I".into(), self.signer.clone().into(), "-s".into()]);
        args.push(file.into());
        match scratch.ssh_keygen(args, text, stopped)? {
            (true, _) => Ok(Checked::Good),
            (false, out) => Ok(Checked::Bad(format!("{PROGRAM}: {}", reason(&out)))),
        }
    }
}

/// The most telling line of its output: it names the cause first, and then
/// what came of that.
fn reason(out: &str) -> &str {
    let mut lines = out.lines();
    // Some warnings stand in a frame of '@', which says nothing.
    let line = lines.find(|line| line.contains(char::is_alphanumeric));
    line.unwrap_or("failed without a word")
}

/// A folder for ssh-keygen's files, gone when dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Scratch> {
        let random: [u8; 8] =
            os::random().map_err(|e| Error::new(Exit::Internal, "/dev/urandom", os_reason(&e)))?;
        let path = std::env::temp_dir().join(format!("s3pipe-{}", hex::encode(&random)));
        let made = DirBuilder::new().mode(0o700).create(&path);
        made.map_err(|e| failed(&path, &e))?;
        Ok(Scratch(path))
    }

    fn create(&self, name: &str) -> Result<(PathBuf, File)> {
        let path = self.0.join(name);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let file = options.open(&path).map_err(|e| failed(&path, &e))?;
        Ok((path, file))
    }

    fn write(&self, name: &str, content: &[u8]) -> Result<PathBuf> {
        let (path, mut file) = self.create(name)?;
        file.write_all(content).map_err(|e| failed(&path, &e))?;
        Ok(path)
    }

    /// Run ssh-keygen with this input: whether it succeeded, and all that it wrote.
    fn ssh_keygen(
        &self,
        args: Vec<OsString>,
        input: &[u8],
        stopped: &mut Stopped,
    ) -> Result<(bool, String)> {
        let input = self.write("input", input)?;
        let stdin = File::open(&input).map_err(|e| failed(&input, &e))?;
        let (path, stdout) = self.create("output")?;
        let stderr = stdout.try_clone().map_err(|e| failed(&path, &e))?;
        let mut program = Command::new(PROGRAM);
        program.args(args).stdin(stdin);
        program.stdout(stdout).stderr(Stdio::from(stderr));
        let status = pipe::run(program, PROGRAM, stopped)?;
        let mut out = fs::read(&path).map_err(|e| failed(&path, &e))?;
        out.truncate(OUTPUT_LIMIT);
        Ok((status.success(), String::from_utf8_lossy(&out).into_owned()))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn failed(path: &std::path::Path, e: &io::Error) -> Error {
    Error::new(Exit::Config, path.display(), os_reason(e))
}
