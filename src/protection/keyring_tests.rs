//! What seals must prove, and what they must refuse.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::*;
use crate::protection::seal::Signature;
use crate::stream::manifest::{IndexRef, Manifest};
use crate::stream::name::{Name, UploadId};
use crate::text::time::Utc;

/// A folder for the keys of a test, gone when dropped.
struct KeyFiles(PathBuf);

impl KeyFiles {
    fn new() -> KeyFiles {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("s3pipe-seal-{}-{n}", std::process::id());
        let keys = KeyFiles(std::env::temp_dir().join(name));
        fs::create_dir_all(&keys.0).unwrap();
        keys
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_string()
    }

    fn file(&self, name: &str, content: &str) -> String {
        fs::write(self.path(name), content).unwrap();
        self.path(name)
    }

    /// A new key, of which the public half is returned.
    fn ssh(&self, name: &str) -> String {
        let mut program = Command::new("ssh-keygen");
        program.args([
            "-q",
            "-t",
            "ed25519",
            "-N",
            "",
            "-C",
            "",
            "-f",
            &self.path(name),
        ]);
        let done = program.status();
        assert!(done.expect("ssh-keygen (tests/packages)").success());
        fs::read_to_string(self.path(&format!("{name}.pub"))).unwrap()
    }

    fn hmac(&self, key: &str) -> Keyring {
        ring(&Protection {
            hmac_keyfile: Some(self.file("hmac", key)),
            ..Protection::default()
        })
    }
}

impl Drop for KeyFiles {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn ring(settings: &Protection) -> Keyring {
    Keyring::new(settings, |_| ()).unwrap()
}

fn manifest() -> Manifest {
    Manifest {
        name: Name::new("export/1").unwrap(),
        upload: UploadId::new(Utc(1_000_000_000), [7; 8]),
        created: Utc(1_000_000_000),
        blocksize: 65536,
        encryption: crate::protection::age::Encryption::Age,
        indexes: vec![IndexRef {
            blocks: 3,
            bytes: 131_073,
            sha256: [3; 32],
        }],
        seals: Vec::new(),
    }
}

fn sealed(ring: &Keyring) -> Manifest {
    let mut manifest = manifest();
    manifest.seals = ring.seal(&manifest.body(), &mut || Ok(())).unwrap();
    manifest
}

/// Why this manifest is refused by who holds these keys.
fn refusal(ring: &Keyring, object: &[u8]) -> Option<String> {
    let manifest = match Manifest::parse(object) {
        Ok(manifest) => manifest,
        Err(why) => return Some(why),
    };
    match ring.check(&manifest.body(), &manifest.seals, &mut || Ok(())) {
        Ok(()) => None,
        Err(Unproved::Refused(why)) => Some(why),
        Err(Unproved::Failed(e)) => panic!("{e}"),
    }
}

/// Every byte of a sealed manifest, and every bit of it for the HMAC.
fn no_byte_can_change(ring: &Keyring, bits: &[u8]) {
    let text = sealed(ring).to_text().into_bytes();
    assert_eq!(refusal(ring, &text), None);
    for at in 0..text.len() {
        for bit in bits {
            let mut changed = text.clone();
            changed[at] ^= bit;
            assert!(refusal(ring, &changed).is_some(), "byte {at}, bit {bit}");
        }
        let mut shorter = text.clone();
        shorter.remove(at);
        assert!(refusal(ring, &shorter).is_some(), "without byte {at}");
    }
}

#[test]
fn no_byte_can_change_under_an_hmac() {
    let keys = KeyFiles::new();
    let ring = keys.hmac("sixteen bytes...");
    no_byte_can_change(&ring, &[1, 2, 4, 8, 16, 32, 64, 128]);
}

#[test]
fn no_byte_can_change_under_a_signature() {
    let keys = KeyFiles::new();
    let public = keys.ssh("key");
    no_byte_can_change(
        &ring(&Protection {
            sign_key: Some(keys.path("key")),
            allowed_signers: Some(keys.file("allowed", &format!("host {public}"))),
            signer: Some("host".into()),
            ..Protection::default()
        }),
        &[1],
    );
}

#[test]
fn the_key_decides() {
    let keys = KeyFiles::new();
    let ours = keys.hmac("sixteen bytes...");
    let text = sealed(&ours).to_text();
    let theirs = keys.hmac("sixteen bytes..!");
    let why = refusal(&theirs, text.as_bytes()).unwrap();
    assert!(why.contains("another HMAC key"), "{why}");
    // Another's seal under our key's id.
    let forged = Seal::Hmac {
        key: theirs.hmac.as_ref().unwrap().id(),
        mac: [0; 32],
    };
    let mut manifest = manifest();
    manifest.seals = vec![forged];
    let why = refusal(&theirs, manifest.to_text().as_bytes()).unwrap();
    assert!(why.contains("wrong HMAC"), "{why}");
    // Removed altogether; but who demands nothing reads it.
    manifest.seals.clear();
    let bare = manifest.to_text();
    let why = refusal(&ours, bare.as_bytes()).unwrap();
    assert!(why.contains("not sealed"), "{why}");
    assert_eq!(refusal(&Keyring::default(), bare.as_bytes()), None);
    assert_eq!(refusal(&Keyring::default(), text.as_bytes()), None);
}

#[test]
fn key_files_have_enough_in_them() {
    let keys = KeyFiles::new();
    let open = |path: String| {
        let settings = Protection {
            hmac_keyfile: Some(path),
            ..Protection::default()
        };
        let said = std::cell::RefCell::new(String::new());
        let ring = Keyring::new(&settings, |w| said.borrow_mut().push_str(w));
        ring.map(|_| said.into_inner())
    };
    let warned = open(keys.file("k", "0123456789abcdef")).unwrap();
    assert!(warned.contains("chmod 600"), "{warned}");
    let only_ours = fs::Permissions::from_mode(0o600);
    fs::set_permissions(keys.path("k"), only_ours).unwrap();
    assert_eq!(open(keys.path("k")).unwrap(), "");
    for bad in [
        keys.file("short", "0123456789abcde"),
        keys.file("long", &"x".repeat(65_537)),
        keys.path("none"),
        keys.path(""),
    ] {
        let e = open(bad).unwrap_err();
        assert_eq!(e.exit(), Exit::Config);
        assert!(!e.to_string().contains("0123"), "{e}");
    }
}

#[test]
fn both_seals_at_once() {
    let keys = KeyFiles::new();
    let public = keys.ssh("key");
    let both = ring(&Protection {
        hmac_keyfile: Some(keys.file("hmac", "0123456789abcdef")),
        sign_key: Some(keys.path("key")),
        allowed_signers: Some(keys.file("allowed", &format!("host {public}"))),
        signer: Some("host".into()),
        ..Protection::default()
    });
    both.rehearse(&mut || Ok(())).unwrap();
    let mut manifest = sealed(&both);
    let text = manifest.to_text();
    assert_eq!(text.matches("\nseal ").count(), 2);
    assert_eq!(refusal(&both, text.as_bytes()), None);
    let remarks: Vec<String> = manifest.seals.iter().map(|s| both.remark(s)).collect();
    assert_eq!(remarks, ["good", "good, by host"]);
    // The signature covers the HMAC.
    let only_signed = ring(&Protection {
        allowed_signers: Some(keys.path("allowed")),
        signer: Some("host".into()),
        ..Protection::default()
    });
    assert_eq!(refusal(&only_signed, text.as_bytes()), None);
    let hmac = manifest.seals.remove(0);
    assert!(refusal(&only_signed, manifest.to_text().as_bytes()).is_some());
    assert!(refusal(&both, manifest.to_text().as_bytes()).is_some());
    manifest.seals.push(hmac);
    assert!(Manifest::parse(manifest.to_text().as_bytes()).is_err());
}

#[test]
fn who_may_sign() {
    let keys = KeyFiles::new();
    let (ours, theirs) = (keys.ssh("ours"), keys.ssh("theirs"));
    let by = |key: &str, allowed: &str, signer: &str| {
        ring(&Protection {
            sign_key: Some(keys.path(key)),
            allowed_signers: Some(keys.file("allowed", allowed)),
            signer: Some(signer.into()),
            ..Protection::default()
        })
    };
    let good = by("ours", &format!("host {ours}"), "host");
    let text = sealed(&good).to_text();
    assert_eq!(refusal(&good, text.as_bytes()), None);
    for (allowed, signer) in [
        (format!("host {theirs}"), "host"),
        (format!("other {ours}"), "host"),
        (format!("host namespaces=\"git\" {ours}"), "host"),
        (String::new(), "host"),
        ("nonsense".to_string(), "host"),
    ] {
        let ring = by("ours", &allowed, signer);
        let why = refusal(&ring, text.as_bytes()).unwrap();
        assert!(why.starts_with("bad signature: ssh-keygen: "), "{why}");
        let e = ring.rehearse(&mut || Ok(())).unwrap_err();
        assert_eq!(e.exit(), Exit::Config, "{allowed}");
    }
    let e = by("none", "", "host").rehearse(&mut || Ok(())).unwrap_err();
    assert!(
        e.to_string().contains("cannot sign with it: ssh-keygen: "),
        "{e}"
    );
    // By our key for another namespace, with ours written over that.
    let git = ["-q", "-Y", "sign", "-n", "gitgit", "-f", &keys.path("ours")];
    let mut program = Command::new("ssh-keygen");
    let body = fs::File::open(keys.file("body", &manifest().body())).unwrap();
    let signed = program.args(git).stdin(body).output().unwrap();
    let armour = String::from_utf8(signed.stdout).unwrap();
    let base64: String = armour.lines().filter(|l| !l.starts_with('-')).collect();
    let mut blob = BASE64.decode(base64).unwrap();
    assert_eq!(Signature::new(blob.clone()), None);
    let at = blob.windows(6).position(|part| part == b"gitgit").unwrap();
    blob[at..at + 6].copy_from_slice(b"s3pipe");
    let mut forged = manifest();
    forged.seals = vec![Seal::Ssh(Signature::new(blob).unwrap())];
    let why = refusal(&good, forged.to_text().as_bytes()).unwrap();
    assert!(why.starts_with("bad signature: ssh-keygen: "), "{why}");
    let half = Protection {
        signer: Some("host".into()),
        ..Protection::default()
    };
    let e = Keyring::new(&half, |_| ()).err().unwrap();
    assert_eq!(e.exit(), Exit::Usage);
}
