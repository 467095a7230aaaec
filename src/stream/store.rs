//! A bucket as streams see it.

use std::fmt::Display;

use crate::error::{Error, Exit, Result};
use crate::progress::Progress;
use crate::s3::{Client, Kind};
use crate::stream::name::{Keys, Name, UploadId};

/// Where streams are stored: who speaks to the bucket, and how objects are
/// named there.
pub struct Store {
    /// Speaks to the bucket.
    pub client: Client,
    /// Names the objects.
    pub keys: Keys,
}

impl Store {
    /// Where messages go.
    pub fn progress(&self) -> &Progress {
        self.client.progress()
    }

    /// An error about a stream: it names the manifest.
    pub fn error(&self, exit: Exit, name: &Name, why: impl Display) -> Error {
        let key = self.keys.manifest(name);
        self.client.error(exit, Some(&key), why)
    }

    /// Delete the record of an upload, which says that it is under way.
    pub fn delete_record(&mut self, name: &Name, upload: &UploadId) -> Result<()> {
        let key = self.keys.record(name, upload);
        self.client.delete(&key, Kind::Record)
    }
}
