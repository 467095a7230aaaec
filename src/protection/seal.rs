//! Seals as they stand in a manifest, one a line behind its end. Pure text.
//!
//! Each names its algorithm and its key, and covers every byte above its own
//! line. There is one way to write a seal; what differs is refused. That a
//! seal is well formed says nothing of who made it.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD as BASE64, STANDARD_NO_PAD as BASE64_NO_PAD};
use sha2::{Digest, Sha256};

use crate::text::hex;

/// The namespace of signatures: one that was made for anything else is none.
pub const NAMESPACE: &str = "s3pipe";

/// The most that all seals take in a manifest, in bytes.
pub const SEALS_LIMIT: usize = 8 << 10;

/// The id of an HMAC key.
pub type KeyId = [u8; 8];

/// A seal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seal {
    /// HMAC-SHA256 (RFC 2104), by a key that whoever checks it must have.
    Hmac {
        /// Which key: see `HmacKey::id`.
        key: KeyId,
        /// The code.
        mac: [u8; 32],
    },
    /// A signature by ssh-keygen(1).
    Ssh(Signature),
}

/// A signature in the format of OpenSSH's PROTOCOL.sshsig.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    blob: Vec<u8>,
    /// The public key's fingerprint, as `ssh-keygen -l` prints it.
    key: String,
}

impl Seal {
    /// Its line in a manifest, with the line feed.
    pub fn line(&self) -> String {
        match self {
            Seal::Hmac { key, mac } => {
                format!(
                    "seal hmac-sha256 {} {}\n",
                    hex::encode(key),
                    hex::encode(mac)
                )
            }
            Seal::Ssh(signature) => {
                let blob = BASE64.encode(&signature.blob);
                format!("seal ssh {} {blob}\n", signature.key)
            }
        }
    }

    /// Read a line, without the `seal ` at its beginning.
    pub fn parse(text: &str) -> Option<Seal> {
        let mut fields = text.split(' ');
        let (algorithm, key, value) = (fields.next()?, fields.next()?, fields.next()?);
        let seal = match algorithm {
            "hmac-sha256" => Seal::Hmac {
                key: hex::decode_array(key)?,
                mac: hex::decode_array(value)?,
            },
            "ssh" => Seal::Ssh(Signature::new(BASE64.decode(value).ok()?)?),
            _ => return None,
        };
        // Capitals, blanks and another key's id end here.
        (seal.line().strip_prefix("seal ")?.trim_end() == text).then_some(seal)
    }

    /// Its algorithm and key, as people are shown them.
    pub fn name(&self) -> String {
        match self {
            Seal::Hmac { key, .. } => format!("hmac-sha256 {}", hex::encode(key)),
            Seal::Ssh(signature) => format!("ssh {}", signature.key),
        }
    }

    /// Its place in a manifest, which has one seal of each kind at most, in this
    /// order.
    pub fn rank(&self) -> u8 {
        match self {
            Seal::Hmac { .. } => 1,
            Seal::Ssh(_) => 2,
        }
    }
}

impl Signature {
    /// One for our namespace; None if it is for another, or no signature.
    pub fn new(blob: Vec<u8>) -> Option<Signature> {
        let mut rest = blob.strip_prefix(b"SSHSIG\0\0\0\x01")?;
        let key = string(&mut rest)?;
        let namespace = string(&mut rest)?;
        let reserved = string(&mut rest)?;
        let (_hash, _signature) = (string(&mut rest)?, string(&mut rest)?);
        let ours = namespace == NAMESPACE.as_bytes();
        if !ours || !reserved.is_empty() || !rest.is_empty() || key.is_empty() {
            return None;
        }
        let key = format!("SHA256:{}", BASE64_NO_PAD.encode(Sha256::digest(key)));
        Some(Signature { blob, key })
    }

    /// From the armoured form, which ssh-keygen(1) writes and reads.
    pub fn from_armour(text: &str) -> Option<Signature> {
        let text = text.trim().strip_prefix("-----BEGIN SSH SIGNATURE-----")?;
        let text = text.strip_suffix("-----END SSH SIGNATURE-----")?;
        let text: String = text.split_ascii_whitespace().collect();
        Signature::new(BASE64.decode(text).ok()?)
    }

    /// In the armoured form.
    pub fn to_armour(&self) -> String {
        let text = BASE64.encode(&self.blob);
        let mut out = String::from("-----BEGIN SSH SIGNATURE-----\n");
        for line in text.as_bytes().chunks(70) {
            out.extend(line.iter().map(|b| char::from(*b)));
            out.push('\n');
        }
        out + "-----END SSH SIGNATURE-----\n"
    }

    /// The fingerprint of the key that it claims to be by.
    #[cfg(any(test, fuzzing))]
    pub fn key(&self) -> &str {
        &self.key
    }
}

/// The next string of the SSH protocol (RFC 4251, section 5): its length in
/// four bytes, and so many.
fn string<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, behind) = rest.split_first_chunk::<4>()?;
    let (found, behind) = behind.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    *rest = behind;
    Some(found)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::testing::Random;

    /// What is no signature but has the form of one.
    pub(crate) fn signature(namespace: &str, reserved: &str) -> Vec<u8> {
        let mut blob = b"SSHSIG\0\0\0\x01".to_vec();
        for field in ["a key", namespace, reserved, "sha512", "a signature"] {
            blob.extend((field.len() as u32).to_be_bytes());
            blob.extend(field.as_bytes());
        }
        blob
    }

    fn seals() -> [Seal; 2] {
        [
            Seal::Hmac {
                key: [0xab; 8],
                mac: [0xcd; 32],
            },
            Seal::Ssh(Signature::new(signature("s3pipe", "")).unwrap()),
        ]
    }

    #[test]
    fn seals_are_read_as_they_were_written() {
        for seal in seals() {
            let line = seal.line();
            let text = line.strip_prefix("seal ").unwrap().trim_end();
            assert_eq!(Seal::parse(text), Some(seal));
            for wrong in [
                format!("{text} x"),
                format!(" {text}"),
                text.replace(' ', "  "),
            ] {
                assert_eq!(Seal::parse(&wrong), None, "{wrong}");
            }
        }
        let hmac = seals()[0].line().to_ascii_uppercase();
        assert_eq!(Seal::parse(&hmac), None);
        assert_eq!(Seal::parse("rot13 a b"), None);
    }

    #[test]
    fn the_key_id_belongs_to_the_signature() {
        let line = seals()[1].line();
        let text = line.strip_prefix("seal ").unwrap().trim_end();
        let at = text.find("SHA256:").unwrap() + 9;
        let mut other = text.as_bytes().to_vec();
        other[at] ^= 1;
        assert_eq!(Seal::parse(std::str::from_utf8(&other).unwrap()), None);
    }

    #[test]
    fn signatures_for_something_else_are_none() {
        assert!(Signature::new(signature("git", "")).is_none());
        assert!(Signature::new(signature("s3pipe", "x")).is_none());
        let good = signature("s3pipe", "");
        for end in 0..good.len() {
            assert!(Signature::new(good[..end].to_vec()).is_none(), "{end}");
        }
        assert!(Signature::new([&good[..], b"x"].concat()).is_none());
    }

    #[test]
    fn armour_comes_off_and_on() {
        let blob = signature("s3pipe", "").repeat(1);
        let signature = Signature::new(blob).unwrap();
        let armour = signature.to_armour();
        assert!(armour.lines().all(|line| line.len() <= 70));
        assert_eq!(Signature::from_armour(&armour), Some(signature));
        assert_eq!(Signature::from_armour("nonsense"), None);
    }

    #[test]
    fn any_input_is_parsed_or_refused() {
        let mut random = Random(5);
        let lines = seals().map(|s| s.line()[5..].trim_end().to_string());
        for round in 0..20_000 {
            let input = random.input(&lines[round % 2], b"0aA =/+:\n");
            if let Ok(text) = std::str::from_utf8(&input)
                && let Some(seal) = Seal::parse(text)
            {
                assert_eq!(seal.line(), format!("seal {text}\n"));
            }
        }
    }
}
