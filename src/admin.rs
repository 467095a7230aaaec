//! Looking at streams and removing them: list, info, delete, and buckets.
//!
//! Output for the user is made whole in memory and written at the end, so
//! that a failure never leaves half a listing that looks like a whole one.

use std::io::Write;

use crate::commit::{self, Head};
use crate::error::{Error, Exit, Result, os_reason};
use crate::key::{Keys, Name};
use crate::manifest::Manifest;
use crate::progress::human;
use crate::s3::{Client, Kind};
use crate::sys;
use crate::upload::remove_upload;

/// The names of all committed streams, sorted, one a line; `long` puts
/// creation time, bytes and blocks before each, separated by tabs.
pub fn list(client: &mut Client, keys: &Keys, long: bool) -> Result<String> {
    let prefix = keys.manifests();
    let mut names = Vec::new();
    client.list(&prefix, |object| {
        // What is no stream's name was not made by s3pipe.
        names.extend(Name::decode(&object.key[prefix.len()..]));
        Ok(())
    })?;
    names.sort();
    let mut out = String::new();
    for name in names {
        if long {
            match commit::look(client, keys, &name)? {
                Head::Present(m, _) => out.push_str(&long_line(&m)),
                // Deleted since it was listed.
                Head::Absent => continue,
                Head::Unknown => {
                    let key = keys.manifest(&name);
                    return Err(client.error(Exit::Denied, Some(&key), "403 AccessDenied"));
                }
            }
        }
        out.push_str(&name.printable());
        out.push('\n');
    }
    Ok(out)
}

fn long_line(m: &Manifest) -> String {
    format!("{}\t{}\t{}\t", m.created.rfc3339(), m.bytes(), m.blocks())
}

/// A stream's manifest: in words, or as it is stored.
pub fn info(client: &mut Client, keys: &Keys, name: &Name, raw: bool) -> Result<String> {
    let m = commit::require(client, keys, name)?;
    if raw {
        return Ok(m.to_text());
    }
    let lines = [
        ("stream", name.printable()),
        ("upload", m.upload.as_str().to_string()),
        ("created", m.created.rfc3339()),
        ("bytes", format!("{} ({})", m.bytes(), human(m.bytes()))),
        ("blocks", m.blocks().to_string()),
        (
            "blocksize",
            format!("{} ({})", m.blocksize, human(m.blocksize)),
        ),
        ("indexes", m.indexes.len().to_string()),
        ("encryption", "none".to_string()),
    ];
    let lines = lines.map(|(what, value)| format!("{what:<12}{value}\n"));
    Ok(lines.concat())
}

/// Remove a stream: the manifest first, so that nothing ever names a block
/// that is gone. 66 if there is none, unless `force`.
pub fn delete(client: &mut Client, keys: &Keys, name: &Name, force: bool) -> Result<()> {
    let manifest = match commit::require(client, keys, name) {
        Err(e) if force && e.exit() == Exit::Missing => return Ok(()),
        result => result?,
    };
    client.delete(&keys.manifest(name), Kind::Manifest)?;
    match commit::look(client, keys, name)? {
        Head::Absent | Head::Unknown => {}
        Head::Present(now, _) if now.upload != manifest.upload => {
            // A new upload was committed: the old one's blocks may go.
        }
        Head::Present(..) => {
            let why = "the server says that it was deleted, but still shows it";
            return Err(client.error(Exit::Unavailable, Some(&keys.manifest(name)), why));
        }
    }
    remove_upload(client, keys, name, &manifest.upload)
}

/// Write text to stdout. 74 if that fails.
pub fn print(text: &str) -> Result<()> {
    let mut out = sys::stdout();
    let written = out.write_all(text.as_bytes());
    written
        .and_then(|()| out.close())
        .map_err(|e| Error::new(Exit::Io, "stdout", os_reason(&e)))
}
