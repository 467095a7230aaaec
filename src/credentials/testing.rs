//! What the tests of the providers share: a home directory for each test.
//! Compiled for tests only.

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
