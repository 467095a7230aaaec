//! What is to be encrypted and sealed, and with what: settings, from the
//! options or the key file. Plain data; nothing is opened here.

pub mod age;
pub mod keyring;
pub mod seal;
pub mod ssh;

/// Settings; what the user did not say is None or empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Protection {
    /// `--encrypt-to`: recipients.
    pub encrypt_to: Vec<String>,
    /// `--identity`: a file.
    pub identity: Option<String>,
    /// `--hmac-keyfile`: a file.
    pub hmac_keyfile: Option<String>,
    /// `--sign-key`: a file.
    pub sign_key: Option<String>,
    /// `--allowed-signers`: a file.
    pub allowed_signers: Option<String>,
    /// `--signer`: who must have signed.
    pub signer: Option<String>,
}

/// The names of these settings, which options and lines of a key file share.
pub const NAMES: [&str; 6] = [
    "encrypt-to",
    "identity",
    "hmac-keyfile",
    "sign-key",
    "allowed-signers",
    "signer",
];

impl Protection {
    /// These settings, and those of `other` where these are not set.
    pub fn or(&self, other: &Protection) -> Protection {
        let either = |ours: &Option<String>, theirs: &Option<String>| {
            ours.clone().or_else(|| theirs.clone())
        };
        Protection {
            encrypt_to: if self.encrypt_to.is_empty() {
                other.encrypt_to.clone()
            } else {
                self.encrypt_to.clone()
            },
            identity: either(&self.identity, &other.identity),
            hmac_keyfile: either(&self.hmac_keyfile, &other.hmac_keyfile),
            sign_key: either(&self.sign_key, &other.sign_key),
            allowed_signers: either(&self.allowed_signers, &other.allowed_signers),
            signer: either(&self.signer, &other.signer),
        }
    }

    /// Recipients in one line, as the key file has them.
    pub fn recipients(line: &str) -> Vec<String> {
        let each = line.split(',').map(str::trim);
        each.filter(|r| !r.is_empty()).map(String::from).collect()
    }
}
