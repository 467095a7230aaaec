//! What the tests of the providers share: a home directory for each test, and
//! input that is strange in the same way in every run. Compiled for tests only.

use super::*;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

/// A directory of its own for a test, gone when dropped.
pub(super) struct Dir(PathBuf);

impl Dir {
    pub(super) fn new() -> Dir {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("s3pipe-credentials-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(path.join(".aws")).unwrap();
        Dir(path)
    }

    pub(super) fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_string()
    }

    /// Writes a file that only its owner can read; returns its path.
    pub(super) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// Searches with this directory as HOME and as the machine's.
    pub(super) fn find(
        &self,
        keyfile: Option<&str>,
        profile: Option<&str>,
        env: &[(&str, &str)],
    ) -> Result<Found> {
        let home = self.path("");
        let look = |name: &str| {
            let pair = env.iter().find(|(n, _)| *n == name);
            let value = pair.map(|(_, v)| v.to_string());
            value.or_else(|| (name == "HOME").then(|| home.clone()))
        };
        let env = &look;
        let request = Request {
            keyfile,
            profile,
            env,
        };
        find_in(&request, &self.path("system"))
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Numbers that are the same in every run (xorshift64).
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }

    /// A good file with some bytes changed, or nothing but such bytes.
    pub(super) fn input(&mut self, good: &str, special: &[u8]) -> Vec<u8> {
        let mut bytes = match self.below(3) {
            0 => Vec::new(),
            _ => good.as_bytes().to_vec(),
        };
        for _ in 0..1 + self.below(60) {
            let at = self.below(bytes.len() + 1);
            let byte = match self.below(4) {
                0 => self.below(256) as u8,
                _ => special[self.below(special.len())],
            };
            match self.below(3) {
                0 if at < bytes.len() => drop(bytes.remove(at)),
                1 if at < bytes.len() => bytes[at] = byte,
                _ => bytes.insert(at, byte),
            }
        }
        bytes
    }
}
