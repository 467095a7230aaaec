//! Keys for age(1), ssh-keygen(1) and HMACs, made afresh for each test.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::Scratch;

/// A folder of keys.
pub struct Keys(PathBuf);

impl Keys {
    /// An empty one.
    pub fn new(scratch: &Scratch) -> Keys {
        let path = scratch.fresh("keys");
        fs::create_dir_all(&path).expect("a folder for keys");
        Keys(path)
    }

    /// The path of a file in it.
    pub fn path(&self, name: &str) -> String {
        let path = self.0.join(name);
        path.to_str().expect("a UTF-8 path").into()
    }

    /// Writes a file that nobody else can read; gives its path.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        fs::write(&path, content).expect("a key file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("its mode");
        path
    }

    /// A program of these lines of sh; gives its path.
    pub fn script(&self, name: &str, lines: &str) -> String {
        let path = self.file(name, format!("#!/bin/sh\n{lines}\n"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).expect("its mode");
        path
    }

    /// A new identity for age(1) in this file; gives its recipient.
    pub fn age(&self, name: &str) -> String {
        output("age-keygen", &["-o", &self.path(name)], &[]);
        let recipient = output("age-keygen", &["-y", &self.path(name)], &[]);
        let recipient = String::from_utf8(recipient).expect("text");
        recipient.trim().into()
    }

    /// A new SSH key (ed25519) in this file; gives its public half.
    pub fn ssh(&self, name: &str) -> String {
        let file = self.path(name);
        let args = ["-q", "-t", "ed25519", "-N", "", "-C", "", "-f", &file];
        output("ssh-keygen", &args, &[]);
        let public = fs::read_to_string(file + ".pub").expect("a public key");
        public.trim().into()
    }
}

/// What a program makes of its input. It must succeed.
#[track_caller]
pub fn output(program: &str, args: &[&str], input: &[u8]) -> Vec<u8> {
    let folder = Scratch::new();
    let input = fs::File::open(folder.file("input", input)).expect("its input");
    let mut command = Command::new(program);
    command.args(args).stdin(input).stderr(Stdio::piped());
    let out = command.output();
    let out = out.unwrap_or_else(|e| panic!("{program}: {e} (tests/packages knows it)"));
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{program} {args:?}: {said}");
    out.stdout
}
