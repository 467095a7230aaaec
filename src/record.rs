//! Whose an upload is: the record that says so, and its nonce.
//!
//! The record is written before the first block and removed after the commit.
//! Its nonce is read again on both sides of the commit: an upload whose record
//! was cleaned away, or taken over by another process, is not committed.

use crate::commit::READINGS;
use crate::error::{Error, Exit, Result, os_reason};
use crate::key::{Keys, Name, UploadId};
use crate::manifest::{RECORD_LIMIT, Record};
use crate::s3::{Client, Condition, Kind, Put};
use crate::sys;

/// A new upload of a stream.
pub fn create(client: &mut Client, keys: &Keys, name: &Name, blocksize: u64) -> Result<Record> {
    let now = client.now();
    let record = Record {
        name: name.clone(),
        upload: UploadId::new(now, random()?),
        created: now,
        blocksize,
        nonce: random()?,
    };
    let written = write(client, keys, &record, Condition::None);
    written.inspect_err(|_| {
        client.be_brief();
        // The first error is the one that matters.
        let _ = client.delete(&keys.record(name, &record.upload), Kind::Record);
    })?;
    Ok(record)
}

/// Write a record, and see that we may read it: both must be allowed for the
/// commit, and now is the time to find out.
fn write(client: &mut Client, keys: &Keys, record: &Record, condition: Condition) -> Result<()> {
    let key = keys.record(&record.name, &record.upload);
    let text = record.to_text();
    let mut put = Put::new(&key, Kind::Record, text.as_bytes());
    put.condition = condition;
    match client.run(&mut put) {
        // A store without conditions: the nonce still tells two owners apart.
        Err(f) if f.status() == Some(501) && put.condition != Condition::None => {
            put.condition = Condition::None;
            client.run(&mut put)?;
        }
        // It was changed, or removed: what follows says so.
        Err(f) if f.status() == Some(412) || f.no_such_key() => {}
        result => result?,
    }
    check(client, keys, record, "nothing was committed")
}

/// The newest upload of this stream that was never committed, taken over from
/// whoever wrote it. None if there is none. 64 if its block size is not the one
/// that is asked for.
pub fn take_over(
    client: &mut Client,
    keys: &Keys,
    name: &Name,
    committed: Option<&UploadId>,
    blocksize: Option<u64>,
) -> Result<Option<Record>> {
    let prefix = keys.records(name);
    let mut newest: Option<UploadId> = None;
    let listed = client.list(&prefix, |object| {
        let id = UploadId::parse(&object.key[prefix.len()..]);
        newest = newest.take().max(id.filter(|id| Some(id) != committed));
        Ok(())
    });
    listed.map_err(|e| match e.exit() {
        Exit::Denied => e.also("--resume must be allowed to list the bucket"),
        _ => e,
    })?;
    let Some(id) = newest else {
        return Ok(None);
    };
    let key = keys.record(name, &id);
    let Some(small) = client.get(&key, Kind::Record, RECORD_LIMIT)? else {
        return Ok(None);
    };
    let mut record = Record::parse(&small.body)
        .ok()
        .filter(|r| r.name == *name && r.upload == id)
        .ok_or_else(|| client.error(Exit::Data, Some(&key), "bad upload record"))?;
    if blocksize.is_some_and(|size| size != record.blocksize) {
        let size = record.blocksize;
        let why = format!("the upload to resume has blocks of {size} bytes");
        return Err(Error::new(Exit::Usage, "--blocksize", why));
    }
    record.nonce = random()?;
    let condition = match &small.etag {
        Some(etag) => Condition::Unchanged(etag),
        None => Condition::None,
    };
    write(client, keys, &record, condition)?;
    Ok(Some(record))
}

/// 75 if the record is gone, or another process has taken the upload over.
pub fn check(client: &mut Client, keys: &Keys, record: &Record, then: &str) -> Result<()> {
    let key = keys.record(&record.name, &record.upload);
    let mut why = "";
    for _ in 0..READINGS {
        match client.get(&key, Kind::Record, RECORD_LIMIT)? {
            Some(small) if small.body == record.to_text().as_bytes() => return Ok(()),
            Some(_) => why = "another process has taken this upload over",
            None => why = "this upload was cleaned away under us",
        }
    }
    Err(client.error(Exit::Changed, Some(&key), format!("{why}: {then}")))
}

fn random<const N: usize>() -> Result<[u8; N]> {
    sys::random().map_err(|e| Error::new(Exit::Internal, "/dev/urandom", os_reason(&e)))
}
