//! Looking at streams and removing them: list, info and delete.
//!
//! Output for the user is made whole in memory and written at the end, so
//! that a failure never leaves half a listing that looks like a whole one.

use std::io::Write;

use crate::cli::Options;
use crate::commands::session::Session;
use crate::error::{Error, Exit, Result, os_reason};
use crate::os;
use crate::protection::keyring::Keyring;
use crate::s3::Client;
use crate::stream::manifest::Manifest;
use crate::stream::name::Name;
use crate::stream::remove::{remove_damaged, remove_manifest, remove_stream, see_gone};
use crate::stream::store::Store;
use crate::stream::version1::{self, Version1};
use crate::stream::{self, StoredStream};
use crate::text::time::Utc;
use crate::text::units::human;

/// Print the names of all committed streams, sorted, one a line; with `-l`, creation
/// time, bytes and blocks before each, separated by tabs.
///
/// With `-l` the seals are checked that are demanded. A stream that cannot be read
/// has `?` there, and makes the result 65.
pub fn list(session: &mut Session, options: &Options) -> Result<()> {
    let mut out = String::new();
    let result = list_into(&mut session.store, options.long, &session.ring, &mut out);
    print(&out).and(result)
}

fn list_into(store: &mut Store, long: bool, ring: &Keyring, out: &mut String) -> Result<()> {
    let prefix = store.keys.manifests();
    let mut names = Vec::new();
    store.client.list(&prefix, |object| {
        // What is no stream's name was not made by s3pipe.
        names.extend(Name::decode(&object.key[prefix.len()..]));
        Ok(())
    })?;
    names.extend(version1::names(&mut store.client)?);
    names.sort();
    names.dedup();
    let mut result = Ok(());
    for name in names {
        if long {
            match stream::find_sealed(store, &name, ring) {
                Ok(Some(stream)) => out.push_str(&long_line(&stream)),
                // Deleted since it was listed.
                Ok(None) => continue,
                Err(e) if e.exit() == Exit::Data => {
                    out.push_str("?\t?\t?\t");
                    result = Err(e);
                }
                Err(e) => {
                    out.clear();
                    return Err(e);
                }
            }
        }
        out.push_str(&name.printable());
        out.push('\n');
    }
    result
}

fn long_line(stream: &StoredStream) -> String {
    let (created, bytes, blocks) = match stream {
        StoredStream::Version2(m) => (m.created.rfc3339(), m.bytes(), m.blocks()),
        StoredStream::Version1(old) => (old_time(old), old.bytes(), old.blocks.len() as u64),
    };
    format!("{created}\t{bytes}\t{blocks}\t")
}

fn old_time(old: &Version1) -> String {
    old.created.map_or("-".to_string(), Utc::rfc3339)
}

/// Print a summary of a stream, or its manifest as it is stored; its seals are
/// checked as far as they are demanded.
pub fn info(session: &mut Session, options: &Options) -> Result<()> {
    let name = &session.name()?;
    let stream = stream::open_sealed(&mut session.store, name, &session.ring)?;
    print(&match stream {
        StoredStream::Version2(manifest) if options.raw => manifest.to_text(),
        StoredStream::Version2(manifest) => summary(&manifest, &session.ring),
        StoredStream::Version1(_) if options.raw => {
            let why = "a stream of version 1 has no manifest";
            return Err(Error::new(Exit::Usage, "--raw", why));
        }
        StoredStream::Version1(old) => {
            old.warn(&session.store.client);
            table(&[
                ("stream", old.name.printable()),
                ("version", "1".into()),
                ("created", old_time(&old)),
                ("bytes", amount(old.bytes())),
                ("blocks", old.blocks.len().to_string()),
            ])
        }
    })
}

fn summary(m: &Manifest, ring: &Keyring) -> String {
    let mut lines = vec![
        ("stream", m.name.printable()),
        ("upload", m.upload.as_str().to_string()),
        ("created", m.created.rfc3339()),
        ("bytes", amount(m.bytes())),
        ("blocks", m.blocks().to_string()),
        ("blocksize", amount(m.blocksize)),
        ("indexes", m.indexes.len().to_string()),
        ("encryption", m.encryption.word().to_string()),
    ];
    for seal in &m.seals {
        lines.push(("seal", format!("{} ({})", seal.name(), ring.remark(seal))));
    }
    table(&lines)
}

fn amount(bytes: u64) -> String {
    format!("{bytes} ({})", human(bytes))
}

fn table(lines: &[(&str, String)]) -> String {
    let line = |(what, value): &(&str, String)| format!("{what:<12}{value}\n");
    lines.iter().map(line).collect()
}

/// Remove a stream: what makes it one before its blocks, so that nothing ever
/// names a block that is gone. 66 if there is none, unless `--force`.
pub fn delete(session: &mut Session, options: &Options) -> Result<()> {
    let name = &session.name()?;
    let (store, force) = (&mut session.store, options.force);
    match stream::open(store, name) {
        Ok(StoredStream::Version2(manifest)) => remove_stream(store, &manifest),
        Ok(StoredStream::Version1(_)) => delete_old(&mut store.client, name),
        Err(e) if force && e.exit() == Exit::Missing => Ok(()),
        Err(e) if force && e.exit() == Exit::Data => {
            remove_damaged(store, name)?;
            delete_old(&mut store.client, name)
        }
        Err(e) if e.exit() == Exit::Data => Err(e.also("delete -f removes it")),
        Err(e) => Err(e),
    }
}

/// The same for version 1.
fn delete_old(client: &mut Client, name: &Name) -> Result<()> {
    let key = version1::info_key(name);
    let gone = &mut |client: &mut Client| Ok(version1::exists(client, name)? != Some(true));
    remove_manifest(client, &key, gone)?;
    let may = &mut |client: &mut Client| see_gone(client, &key, gone);
    version1::delete_blocks(client, name, may)?;
    may(client)
}

/// Write text to stdout. 74 if that fails.
pub fn print(text: &str) -> Result<()> {
    let mut out = os::stdout();
    let written = out.write_all(text.as_bytes());
    written
        .and_then(|()| out.close())
        .map_err(|e| Error::new(Exit::Io, "stdout", os_reason(&e)))
}
