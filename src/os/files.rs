//! Small files, read whole: settings, keys, certificates.
//!
//! Each is read to a limit, so that a wrong name (`/dev/zero`, the stream
//! itself) costs neither memory nor time. A file that holds a secret is nobody
//! else's to read: what is to be said of one that others can read is found out
//! here as well, from the descriptor that it is read from.

#![forbid(unsafe_code)]

use std::fs::{File, Metadata};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::error::{Error, Exit, Result, os_reason};

/// A file that was read.
pub struct Contents {
    /// All that was in it.
    pub bytes: Vec<u8>,
    /// It is a regular file, not a pipe, a terminal or the like.
    pub regular: bool,
    /// What to tell the user if this file holds a secret: that others can read
    /// it. None if they cannot.
    pub exposed: Option<String>,
}

/// Read a file of at most `limit` bytes, or a pipe to its end. 78 if it cannot
/// be read, or is larger.
pub fn read(path: impl AsRef<Path>, limit: u64) -> Result<Contents> {
    let path = path.as_ref();
    bounded(path, limit).map_err(|e| unusable(path, &e))
}

/// As [`read`]; None if there is no such file.
pub fn read_if_there(path: impl AsRef<Path>, limit: u64) -> Result<Option<Contents>> {
    let path = path.as_ref();
    match bounded(path, limit) {
        Ok(contents) => Ok(Some(contents)),
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(e) => Err(unusable(path, &e)),
    }
}

fn bounded(path: &Path, limit: u64) -> io::Result<Contents> {
    let file = File::open(path)?;
    let about = file.metadata()?;
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        let why = format!("larger than {} KiB", limit / 1024);
        return Err(io::Error::other(why));
    }
    Ok(Contents {
        bytes,
        regular: about.is_file(),
        exposed: exposed(path, &about),
    })
}

fn unusable(path: &Path, e: &io::Error) -> Error {
    Error::new(Exit::Config, path.display(), os_reason(e))
}

/// A pipe, a terminal and the like are nobody's to read.
fn exposed(path: &Path, about: &Metadata) -> Option<String> {
    let mode = about.permissions().mode() & 0o7777;
    let path = path.display();
    (about.is_file() && mode & 0o044 != 0)
        .then(|| format!("{path}: others can read it (mode {mode:04o}): chmod 600 {path}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Write;
    use std::os::fd::AsRawFd;

    #[test]
    fn no_more_than_the_limit() {
        let path = std::env::temp_dir().join(format!("s3pipe-files-{}", std::process::id()));
        fs::write(&path, vec![b'x'; 2048]).unwrap();
        assert_eq!(read(&path, 2048).unwrap().bytes.len(), 2048);
        let e = read(&path, 2047).err().unwrap();
        assert_eq!((e.exit(), e.why()), (Exit::Config, "larger than 1 KiB"));
        assert!(read_if_there(&path, 2047).is_err());
        fs::remove_file(&path).unwrap();
        // One without an end.
        assert!(read("/dev/zero", 1 << 20).is_err());
    }

    #[test]
    fn who_else_can_read_it() {
        let path = std::env::temp_dir().join(format!("s3pipe-modes-{}", std::process::id()));
        fs::write(&path, "x").unwrap();
        for (mode, others) in [(0o600, false), (0o711, false), (0o640, true), (0o604, true)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let contents = read(&path, 1).unwrap();
            assert!(contents.regular);
            let shown = path.display();
            let warning =
                format!("{shown}: others can read it (mode {mode:04o}): chmod 600 {shown}");
            assert_eq!(contents.exposed, others.then_some(warning));
        }
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn what_is_not_there_and_what_is_no_file() {
        let none = "/dev/null/x";
        assert!(read_if_there(none, 1).unwrap().is_none());
        assert!(read_if_there("/nonexistent/x", 1).unwrap().is_none());
        let e = read(none, 1).err().unwrap();
        assert_eq!(e.to_string(), "/dev/null/x: Not a directory");
        assert!(read_if_there("/", 1).is_err());
        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(b"piped").unwrap();
        drop(writer);
        let piped = read(format!("/dev/fd/{}", reader.as_raw_fd()), 5).unwrap();
        assert_eq!(piped.bytes, b"piped");
        assert!(!piped.regular && piped.exposed.is_none());
    }
}
