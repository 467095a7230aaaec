//! Whose an upload is: the record that says so, and its nonce.
//!
//! The record is written before the first block and removed after the commit.
//! Its nonce is read again on both sides of the commit: an upload whose record
//! was cleaned away, or taken over by another process, is not committed.

use crate::error::{Error, Exit, Result, os_reason};
use crate::key::{Keys, Name, UploadId};
use crate::manifest::{RECORD_LIMIT, Record};
use crate::s3::{Client, Condition, Get, Got, Halt, Kind, Put, READINGS, Trial, backoff};
use crate::sys;

/// A new upload of a stream.
///
/// The record of an id is sent once: a repeated one might be carried out after
/// somebody has removed the first, and its upload would not notice. Where it is
/// not there after an attempt without an answer, another id is taken.
pub fn create(client: &mut Client, keys: &Keys, name: &Name, blocksize: u64) -> Result<Record> {
    let mut trial = Trial::default();
    loop {
        let now = client.now();
        let record = Record {
            name: name.clone(),
            upload: UploadId::new(now, random()?),
            created: now,
            blocksize,
            nonce: random()?,
        };
        let (text, key) = (record.to_text(), keys.record(name, &record.upload));
        let mut put = Put::new(&key, Kind::Record, text.as_bytes());
        put.etag_optional = true;
        let sent = match client.step(&mut put, &mut trial) {
            Err(Halt::Final(failure)) => Err(failure.error),
            Ok(etag) => see(client, keys, &record, etag).map(|()| true),
            Err(Halt::Passing(fault)) => match client.get(get(&key, name, &record.upload))? {
                Some(got) if got.value == record => Ok(true),
                _ => client
                    .pause(&mut trial, &fault, Some(&key))
                    .map(|()| false)
                    .map_err(|f| f.error),
            },
        };
        match sent {
            Ok(true) => return Ok(record),
            Ok(false) => {}
            Err(e) => {
                client.be_brief();
                // The first error is the one that matters.
                let _ = client.delete(&key, Kind::Record);
                return Err(e);
            }
        }
    }
}

/// Write a record in place of the one that was `seen`.
fn replace(client: &mut Client, keys: &Keys, record: &Record, seen: &Got<Record>) -> Result<()> {
    let (text, key) = (record.to_text(), keys.record(&record.name, &record.upload));
    let mut put = Put::new(&key, Kind::Record, text.as_bytes());
    put.etag_optional = true;
    if let Some(etag) = seen.etag.as_deref() {
        put.condition = Condition::Unchanged(etag);
    }
    let mut tried_both = false;
    let etag = loop {
        match client.run(&mut put) {
            Ok(etag) => break etag,
            // A store without conditions: the nonce still tells two owners apart.
            Err(f) if f.status() == Some(501) && put.condition != Condition::None => {
                put.condition = Condition::None;
            }
            // What was named is there still: the service compares ETags in its
            // own way, with or without their quotes.
            Err(f) if f.status() == Some(412) && is_there(client, &key, record, seen)? => {
                if tried_both {
                    return Err(f.error.also("the service refuses a condition that holds"));
                }
                tried_both = true;
                client.toggle_etag_quotes();
            }
            // It was changed, or removed: what follows says so.
            Err(f) if f.status() == Some(412) || f.no_such_key() => break Some(String::new()),
            Err(f) => return Err(f.error),
        }
    };
    see(client, keys, record, etag)
}

/// See that we may read a record that was written: both must be allowed for the
/// commit, and now is the time to find out. It is also what proves that it was
/// stored, where the answer had no ETag.
fn see(client: &mut Client, keys: &Keys, record: &Record, etag: Option<String>) -> Result<()> {
    let shown = find(client, keys, record, "nothing was committed")?;
    if etag.is_none() && shown.is_none() && !client.known().no_etags {
        learn_no_etags(client, keys, record)?;
    }
    Ok(())
}

/// Whether the record that was `seen` is there still, under the same ETag.
fn is_there(client: &mut Client, key: &str, record: &Record, seen: &Got<Record>) -> Result<bool> {
    let now = client.get(get(key, &record.name, &record.upload))?;
    Ok(now.as_ref() == Some(seen))
}

/// Neither the answer to the PUT of a record nor the record itself had an ETag.
/// Where that is so once more, the service has none to give, and a PUT is proved
/// without one for the rest of the run.
fn learn_no_etags(client: &mut Client, keys: &Keys, record: &Record) -> Result<()> {
    let again = find(client, keys, record, "nothing was committed")?;
    if again.is_none() && client.expect_no_etags() {
        let text = "this service sends no ETags: an empty answer is all that proves \
            that a block was stored";
        client.progress().warn(text);
    }
    Ok(())
}

/// To read the record of this upload.
fn get<'a>(key: &'a str, name: &'a Name, upload: &'a UploadId) -> Get<'a, Record> {
    let parse = |body: &[u8]| {
        let found = Record::parse(body)?;
        if found.name == *name && found.upload == *upload {
            Ok(found)
        } else {
            Err("it belongs to another upload".to_string())
        }
    };
    Get::text(key, Kind::Record, RECORD_LIMIT, "upload record", parse)
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
        // One that is no newer than what is committed was given up long ago, and
        // may be removed any moment.
        newest = newest.take().max(id.filter(|id| Some(id) > committed));
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
    let Some(seen) = client.get(get(&key, name, &id))? else {
        return Ok(None);
    };
    let mut record = seen.value.clone();
    if blocksize.is_some_and(|size| size != record.blocksize) {
        let size = record.blocksize;
        let why = format!("the upload to resume has blocks of {size} bytes");
        return Err(Error::new(Exit::Usage, "--blocksize", why));
    }
    record.nonce = random()?;
    replace(client, keys, &record, &seen)?;
    Ok(Some(record))
}

/// 75 if the record is gone, or another process has taken the upload over.
pub fn check(client: &mut Client, keys: &Keys, record: &Record, then: &str) -> Result<()> {
    find(client, keys, record, then).map(|_| ())
}

/// See our record in the store, and give its ETag, if it has one. 75 if there is
/// another, or none, each time that it is looked at.
fn find(client: &mut Client, keys: &Keys, record: &Record, then: &str) -> Result<Option<String>> {
    let key = keys.record(&record.name, &record.upload);
    let mut why = "";
    for reading in 1..=READINGS {
        match client.get(get(&key, &record.name, &record.upload))? {
            Some(got) if got.value == *record => return Ok(got.etag),
            Some(_) => why = "another process has taken this upload over",
            None => why = "this upload was cleaned away under us",
        }
        if reading < READINGS {
            client
                .progress()
                .wait(backoff(reading, sys::chance(), None));
        }
    }
    Err(client.error(Exit::Changed, Some(&key), format!("{why}: {then}")))
}

fn random<const N: usize>() -> Result<[u8; N]> {
    sys::random().map_err(|e| Error::new(Exit::Internal, "/dev/urandom", os_reason(&e)))
}
