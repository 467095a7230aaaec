//! Proof that a stream is the one that was written: seals over its manifest,
//! which names every index, as they name every block.
//!
//! A seal is an HMAC, or a signature by ssh-keygen(1). Who is given a key
//! demands a seal by it: a stream without one, or with another's, is refused
//! (65) before anything of it is used. Key files are read once, at the
//! beginning (78). A key must never reach a message or a manifest; its id,
//! which does, tells nothing of it. Costs one pass over the manifest and
//! nothing for each byte of the stream.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::error::{Error, Exit, Result};
use crate::os::files;
use crate::pipe::Stopped;
use crate::protection::Protection;
use crate::protection::seal::{KeyId, SEALS_LIMIT, Seal};
use crate::protection::ssh::{self, Checked, Signers};

/// The least and the most bytes of an HMAC key.
const LEAST_KEY: usize = 16;
const MOST_KEY: u64 = 64 << 10;

/// What a key's id is the HMAC of: no manifest begins so.
const KEY_ID: &[u8] = b"s3pipe key id";

/// What a key is tried on, before a stream is sent that it is to seal.
const TRIAL: &str = "s3pipe trial\n";

/// A key for HMACs.
struct HmacKey(Vec<u8>);

impl HmacKey {
    /// All bytes of a file, and what is to be said of that file. 78 if it
    /// cannot be read, or has too few bytes for a key or too many.
    fn read(path: &str) -> Result<(HmacKey, Option<String>)> {
        let contents = files::read(path, MOST_KEY)?;
        let length = contents.bytes.len();
        if length < LEAST_KEY {
            let why = format!("an HMAC key has at least {LEAST_KEY} bytes, this {length}");
            return Err(Error::new(Exit::Config, path, why));
        }
        Ok((HmacKey(contents.bytes), contents.exposed))
    }

    fn over(&self, text: &[u8]) -> Hmac<Sha256> {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        mac.update(text);
        mac
    }

    /// An id by which keys can be told apart, and which tells nothing of them.
    fn id(&self) -> KeyId {
        let id: [u8; 32] = self.over(KEY_ID).finalize().into_bytes().into();
        std::array::from_fn(|at| id[at])
    }

    fn seal(&self, text: &[u8]) -> Seal {
        Seal::Hmac {
            key: self.id(),
            mac: self.over(text).finalize().into_bytes().into(),
        }
    }

    /// Whether this is the HMAC of the text. Takes the same time if it is not.
    fn verifies(&self, text: &[u8], mac: &[u8; 32]) -> bool {
        self.over(text).verify_slice(mac).is_ok()
    }
}

/// The keys that seals are made and checked with. Without any, nothing is
/// sealed and nothing is demanded.
#[derive(Default)]
pub struct Keyring {
    hmac: Option<HmacKey>,
    sign_key: Option<String>,
    signers: Option<Signers>,
}

/// Why a seal was not accepted.
#[derive(Debug)]
pub enum Unproved {
    /// The stream does not have the seal that is demanded, for this reason.
    Refused(String),
    /// It could not be looked at.
    Failed(Error),
}

impl From<Error> for Unproved {
    fn from(e: Error) -> Unproved {
        Unproved::Failed(e)
    }
}

impl Keyring {
    /// The keys that these settings name. `warn` is told what the user should
    /// hear of their files. 64 if the settings do not fit together, 78 if a file
    /// cannot be used.
    pub fn new(settings: &Protection, warn: impl Fn(&str)) -> Result<Keyring> {
        let signers = match (&settings.allowed_signers, &settings.signer) {
            (Some(file), Some(signer)) => Some(Signers::new(file, signer)?),
            (None, None) => None,
            (Some(_), None) => return Err(incomplete("--allowed-signers", "--signer")),
            (None, Some(_)) => return Err(incomplete("--signer", "--allowed-signers")),
        };
        let hmac = match &settings.hmac_keyfile {
            None => None,
            Some(path) => {
                let (key, warning) = HmacKey::read(path)?;
                warning.iter().for_each(|w| warn(w));
                Some(key)
            }
        };
        Ok(Keyring {
            hmac,
            sign_key: settings.sign_key.clone(),
            signers,
        })
    }

    /// Whether a stream without a seal is refused.
    pub fn demands(&self) -> bool {
        self.hmac.is_some() || self.signers.is_some()
    }

    /// Try the keys before a stream is sent, as long as nothing is lost by a
    /// failure.
    pub fn rehearse(&self, stopped: &mut Stopped) -> Result<()> {
        let Some(key) = &self.sign_key else {
            return Ok(());
        };
        let signature = ssh::sign(key, TRIAL.as_bytes(), stopped)?;
        let Some(signers) = &self.signers else {
            return Ok(());
        };
        match signers.check(&signature, TRIAL.as_bytes(), stopped)? {
            Checked::Good => Ok(()),
            Checked::Bad(why) => {
                let why = format!("whoever checks this signature will refuse it: {why}");
                Err(Error::new(Exit::Config, key, why))
            }
        }
    }

    /// The seals of a manifest, each of which covers `body` and the seals
    /// before it.
    pub fn seal(&self, body: &str, stopped: &mut Stopped) -> Result<Vec<Seal>> {
        let mut seals = Vec::new();
        let mut text = body.to_string();
        if let Some(key) = &self.hmac {
            let seal = key.seal(text.as_bytes());
            text.push_str(&seal.line());
            seals.push(seal);
        }
        if let Some(key) = &self.sign_key {
            let seal = Seal::Ssh(ssh::sign(key, text.as_bytes(), stopped)?);
            text.push_str(&seal.line());
            seals.push(seal);
            if text.len() - body.len() > SEALS_LIMIT {
                let why = format!("its signatures are larger than {SEALS_LIMIT} bytes");
                return Err(Error::new(Exit::Config, key, why));
            }
        }
        Ok(seals)
    }

    /// Check the seals of a manifest as far as they are demanded.
    pub fn check(
        &self,
        body: &str,
        seals: &[Seal],
        stopped: &mut Stopped,
    ) -> std::result::Result<(), Unproved> {
        let refused = |why: String| Err(Unproved::Refused(why));
        let (mut hmac, mut signature) = (None, None);
        let mut text = body.to_string();
        for seal in seals {
            match seal {
                Seal::Hmac { key, mac } => hmac = Some((key, mac, text.len())),
                Seal::Ssh(s) => signature = Some((s, text.len())),
            }
            text.push_str(&seal.line());
        }
        if let Some(ours) = &self.hmac {
            match hmac {
                None => return refused("not sealed by HMAC, as --hmac-keyfile demands".into()),
                Some((key, mac, end)) => {
                    // The id is outside of what is sealed.
                    let good = ours.verifies(&text.as_bytes()[..end], mac);
                    if *key != ours.id() {
                        return refused("sealed by another HMAC key than ours".into());
                    }
                    if !good {
                        return refused("wrong HMAC: the manifest is not what was sealed".into());
                    }
                }
            }
        }
        if let Some(signers) = &self.signers {
            let Some((signature, end)) = signature else {
                return refused("not signed, as --allowed-signers demands".into());
            };
            let checked = signers.check(signature, &text.as_bytes()[..end], stopped)?;
            if let Checked::Bad(why) = checked {
                return refused(format!("bad signature: {why}"));
            }
        }
        Ok(())
    }

    /// What is shown beside a seal once [`Keyring::check`] has accepted it.
    pub fn remark(&self, seal: &Seal) -> String {
        match (seal, &self.hmac, &self.signers) {
            (Seal::Hmac { .. }, Some(_), _) => "good".into(),
            (Seal::Ssh(_), _, Some(signers)) => format!("good, by {}", signers.signer()),
            _ => "not checked".into(),
        }
    }
}

fn incomplete(there: &str, missing: &str) -> Error {
    Error::new(Exit::Usage, there, format!("needs {missing} beside it"))
}

#[cfg(test)]
#[path = "keyring_tests.rs"]
mod tests;
