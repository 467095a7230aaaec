//! Encryption for a recipient, by age(1) as a filter process.
//!
//! No cryptography here: what age(1) is called with, and as much of its file
//! format (age-encryption.org/v1) as tells how long the plaintext is. What is
//! stored must be an age file: a program that lets the plaintext through, or a
//! stream of nothing, must not pass for one.

use crate::error::{Error, Exit, Result};

/// What `encryption` says in a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// The blocks are the stream.
    None,
    /// The blocks are an age file, which holds the stream.
    Age,
}

impl Encryption {
    /// The word for it in a manifest.
    pub fn word(self) -> &'static str {
        match self {
            Encryption::None => "none",
            Encryption::Age => "age",
        }
    }

    /// What a word in a manifest means.
    pub fn parse(word: &str) -> Option<Encryption> {
        let all = [Encryption::None, Encryption::Age];
        all.into_iter().find(|e| e.word() == word)
    }
}

/// age(1), and what it is to work with.
#[derive(Clone, Debug)]
pub struct Age {
    program: String,
    recipients: Vec<String>,
    identity: Option<String>,
}

impl Default for Age {
    fn default() -> Age {
        Age {
            program: "age".into(),
            recipients: Vec::new(),
            identity: None,
        }
    }
}

impl Age {
    /// With another program of the same command line, these recipients (`@`
    /// before the name of a file of them) and this file of identities. 64 if a
    /// recipient cannot be one.
    pub fn new(
        program: Option<String>,
        recipients: &[String],
        identity: Option<String>,
    ) -> Result<Age> {
        for recipient in recipients {
            check_recipient(recipient)?;
        }
        Ok(Age {
            program: program.unwrap_or_else(|| Age::default().program),
            recipients: recipients.to_vec(),
            identity,
        })
    }

    /// Whether uploads are encrypted.
    pub fn encrypts(&self) -> bool {
        !self.recipients.is_empty()
    }

    /// What encrypts stdin to stdout; empty if nothing is to be encrypted.
    pub fn encrypting(&self) -> Vec<String> {
        if !self.encrypts() {
            return Vec::new();
        }
        let mut argv = vec![self.program.clone(), "-e".into()];
        for recipient in &self.recipients {
            let (option, value) = match recipient.strip_prefix('@') {
                Some(file) => ("-R", file),
                None => ("-r", recipient.as_str()),
            };
            argv.extend([option.to_string(), value.to_string()]);
        }
        argv
    }

    /// What decrypts stdin to stdout; None without an identity.
    pub fn decrypting(&self) -> Option<Vec<String>> {
        let identity = self.identity.clone()?;
        Some(vec![
            self.program.clone(),
            "-d".into(),
            "-i".into(),
            identity,
        ])
    }
}

/// Refuses what age(1) would take for something else than a recipient, and a
/// secret key, since others can see the arguments of a program.
fn check_recipient(recipient: &str) -> Result<()> {
    let secret = recipient.get(..15).unwrap_or_default();
    let why = match recipient {
        _ if secret.eq_ignore_ascii_case("AGE-SECRET-KEY-") => {
            "this is a secret key: what is wanted is its recipient (age-keygen -y)"
        }
        "" | "@" => "is empty",
        r if r.starts_with('-') => "a recipient does not begin with a dash",
        r if r.contains(char::is_control) => "has a control character",
        _ => return Ok(()),
    };
    Err(Error::new(Exit::Usage, "--encrypt-to", why))
}

/// The first line of an age file.
const MAGIC: &[u8] = b"age-encryption.org/v1\n";

/// The nonce behind the header; the tag behind each chunk; a chunk. In bytes.
const NONCE: u64 = 16;
const TAG: u64 = 16;
const CHUNK: u64 = 64 << 10;

/// The length of the header of the age file that begins so. None if it is no
/// age file, or the header goes on.
pub fn header(beginning: &[u8]) -> Option<u64> {
    if !beginning.starts_with(MAGIC) {
        return None;
    }
    let mut end = 0;
    for line in beginning.split_inclusive(|b| *b == b'\n') {
        end += line.len();
        if line.starts_with(b"--- ") && line.ends_with(b"\n") {
            return Some(end as u64);
        }
    }
    None
}

/// As [`header`], of what is about to be stored as an age file. 65 if it is none.
pub fn header_of(beginning: &[u8]) -> Result<u64> {
    header(beginning).ok_or_else(|| {
        let why = "what it wrote does not begin with an age file's header: nothing was committed";
        Error::new(Exit::Data, "encryption", why)
    })
}

/// How many bytes of plaintext are in an age file of this length with such a
/// header; in a part of one, at least that many.
pub fn plaintext(header: u64, length: u64) -> u64 {
    let payload = length.saturating_sub(header).saturating_sub(NONCE);
    let (whole, rest) = (payload / (CHUNK + TAG), payload % (CHUNK + TAG));
    whole * CHUNK + rest.saturating_sub(TAG)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::process::Command;

    const RECIPIENT: &str = "age1873kyz2clgfr8qcz492k4dg45zsga0ts5y94yyctwu3cs0qapf0qqyqhvw";

    fn age(argv: &[String], input: &[u8]) -> Vec<u8> {
        let path = std::env::temp_dir().join(format!("s3pipe-age-{}", std::process::id()));
        fs::write(&path, input).unwrap();
        let mut age = Command::new(&argv[0]);
        age.args(&argv[1..]).stdin(fs::File::open(&path).unwrap());
        fs::remove_file(&path).unwrap();
        let out = age
            .output()
            .expect("age(1) (tests/packages knows where it is)");
        assert!(out.status.success());
        out.stdout
    }

    /// As age(1) itself has it, around the ends of chunks.
    #[test]
    fn the_plaintext_can_be_told_from_the_length() {
        let ssh =
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHxoL/1IQblSpfbxbQsSiehJX18nfz3h5BEygPQHfru4 x";
        let to = [RECIPIENT.to_string(), ssh.to_string()];
        for recipients in [&to[..1], &to[..]] {
            let argv = Age::new(None, recipients, None).unwrap().encrypting();
            for length in [0, 1, 65535, 65536, 65537, 131_072, 200_000] {
                let file = age(&argv, &vec![7; length]);
                let header = header(&file).expect("a header");
                assert_eq!(plaintext(header, file.len() as u64), length as u64);
            }
        }
    }

    #[test]
    fn a_part_is_never_taken_for_more() {
        let mut last = 0;
        for length in 0..300_000 {
            let now = plaintext(200, length);
            assert!(now == last || now == last + 1, "{length}");
            last = now;
        }
    }

    #[test]
    fn only_age_files_have_a_header() {
        let good = b"age-encryption.org/v1\n-> X25519 abc\nbody\n--- mac\nrest";
        assert_eq!(header(good), Some(good.len() as u64 - 4));
        for bad in [
            &b""[..],
            b"plain",
            &good[..40],
            b"age-encryption.org/v2\n--- m\n",
        ] {
            assert_eq!(header(bad), None);
        }
    }

    #[test]
    fn recipients_are_what_they_say() {
        let argv = |recipient: &str| {
            let age = Age::new(Some("rage".into()), &[recipient.into()], None)?;
            Ok::<_, Error>(age.encrypting())
        };
        assert_eq!(argv(RECIPIENT).unwrap(), ["rage", "-e", "-r", RECIPIENT]);
        assert_eq!(argv("@a b").unwrap(), ["rage", "-e", "-R", "a b"]);
        for bad in ["", "@", "-p", "a\nb", "age-secret-key-1hush"] {
            let e = argv(bad).unwrap_err();
            assert_eq!(e.exit(), Exit::Usage);
            assert!(!e.to_string().contains("hush"), "{e}");
        }
        let age = Age::default();
        assert!(!age.encrypts() && age.encrypting().is_empty() && age.decrypting().is_none());
    }
}
