//! The record of an upload, whose nonce says which process it belongs to.
//!
//! The record is written before the first block and removed after the commit.
//! Its nonce is read again right before and after the commit: an upload whose record
//! was removed by clean, or taken over by another process, is not committed.

use crate::error::{Error, Exit, Result, os_reason};
use crate::os;
use crate::s3::{Client, Condition, Get, Got, Halt, Kind, Put, READINGS, Trial, backoff};
use crate::stream::manifest::{RECORD_LIMIT, Record};
use crate::stream::name::{Name, UploadId};
use crate::stream::store::Store;

/// How often the condition of a PUT may be refused although it holds: the ETag is
/// sent with quotes and without, twice each, since one answer could be a mistake.
const REFUSALS: u32 = 3;

/// A new upload of a stream.
///
/// The record of an id is sent once: if it were repeated, and somebody had removed
/// the first one in between, this upload would not notice the removal. If it is not
/// there after an attempt that proved nothing, another id is taken.
pub fn create(store: &mut Store, name: &Name, blocksize: u64) -> Result<Record> {
    let (mut trial, mut unseen) = (Trial::default(), 0);
    loop {
        let now = store.client.now();
        let record = Record {
            name: name.clone(),
            upload: UploadId::new(now, random()?),
            created: now,
            blocksize,
            nonce: random()?,
        };
        match try_to_create(store, &record, &mut trial) {
            Ok(true) => return Ok(record),
            Ok(false) => {}
            // The service says that it was stored, but does not show it.
            Err(e) if e.exit() == Exit::Changed && unseen < REFUSALS => unseen += 1,
            Err(e) => {
                store.client.be_brief();
                // The first error is the one that matters.
                let _ = store.delete_record(name, &record.upload);
                return Err(e);
            }
        }
    }
}

/// Send this record once. False where another one must be tried.
fn try_to_create(store: &mut Store, record: &Record, trial: &mut Trial) -> Result<bool> {
    let (text, key) = (
        record.to_text(),
        store.keys.record(&record.name, &record.upload),
    );
    let mut put = Put::new(&key, Kind::Record, text.as_bytes());
    let fault = match store.client.step(&mut put, trial) {
        Ok(()) => return see(store, record).map(|()| true),
        Err(Halt::Final(failure)) => return Err(failure.error),
        Err(Halt::Passing(fault)) => fault,
    };
    let found = store.client.get(get(&key, &record.name, &record.upload))?;
    if let Some(got) = found.filter(|got| got.value == *record) {
        if proves(store, record, &got, put.lacked_etag)? {
            return Ok(true);
        }
        // Another id is taken: this record is of no use.
        let _ = store.client.delete(&key, Kind::Record);
    }
    store.client.pause(trial, &fault, Some(&key))?;
    Ok(false)
}

/// Write a record in place of the one that was `seen`.
fn replace(store: &mut Store, record: &Record, seen: &Got<Record>) -> Result<()> {
    let (text, key) = (
        record.to_text(),
        store.keys.record(&record.name, &record.upload),
    );
    let mut put = Put::new(&key, Kind::Record, text.as_bytes());
    if let Some(etag) = seen.etag.as_deref() {
        put.condition = Condition::Unchanged(etag);
    }
    let (mut trial, mut refusals) = (Trial::default(), 0);
    loop {
        let failure = match store.client.step(&mut put, &mut trial) {
            // It says that it was stored, and does not show it.
            Ok(()) if refusals < REFUSALS && is_there(&mut store.client, &key, record, seen)? => {
                refusals += 1;
                continue;
            }
            Ok(()) => break,
            Err(Halt::Passing(fault)) => {
                match store.client.get(get(&key, &record.name, &record.upload))? {
                    Some(got) if got.value == *record => {
                        if proves(store, record, &got, put.lacked_etag)? {
                            return Ok(());
                        }
                    }
                    Some(got) if got.value == seen.value => {}
                    // It was changed, or removed: what follows says so.
                    _ => break,
                }
                store.client.pause(&mut trial, &fault, Some(&key))?;
                continue;
            }
            Err(Halt::Final(failure)) => failure,
        };
        match failure.status() {
            // A store without conditions: the nonce still tells two owners apart.
            Some(501) if put.condition != Condition::None => put.condition = Condition::None,
            // What was named is there still: it is a mistake, or the service
            // compares ETags in its own way, with or without their quotes.
            Some(412) if is_there(&mut store.client, &key, record, seen)? => {
                refusals += 1;
                if refusals > REFUSALS {
                    let why = "the service refuses a condition that holds";
                    return Err(failure.error.also(why));
                }
                store.client.toggle_etag_quotes();
            }
            Some(412) => break,
            _ if failure.no_such_key() => {
                refusals += 1;
                if refusals > REFUSALS || !is_there(&mut store.client, &key, record, seen)? {
                    break;
                }
            }
            _ => return Err(failure.error),
        }
    }
    see(store, record)
}

/// See that a record that was written can be read: the commit needs both
/// permissions, and it is better to fail before anything is sent.
fn see(store: &mut Store, record: &Record) -> Result<()> {
    check(store, record, "nothing was committed")
}

/// Whether what was `shown` proves that our record is stored. An ETag does. If the
/// service has sent none so far, the answer to the PUT must have lacked an ETag and
/// nothing else (`lacked_etag`), and the record must be there at another look: then
/// this service sends no ETags, and a PUT is proved without one for the rest of the
/// run.
fn proves(
    store: &mut Store,
    record: &Record,
    shown: &Got<Record>,
    lacked_etag: bool,
) -> Result<bool> {
    let known = store.client.known();
    if shown.etag.is_some() || known.etags || known.no_etags {
        return Ok(true);
    }
    if !lacked_etag {
        return Ok(false);
    }
    see(store, record)?;
    if store.client.expect_no_etags() {
        let text = "this service sends no ETags: an empty answer is all that proves \
            that a block was stored";
        store.progress().warn(text);
    }
    Ok(true)
}

/// Whether the record that was `seen` is there still, under the same ETag.
fn is_there(client: &mut Client, key: &str, record: &Record, seen: &Got<Record>) -> Result<bool> {
    let now = client.get(get(key, &record.name, &record.upload))?;
    Ok(now.as_ref() == Some(seen))
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
    store: &mut Store,
    name: &Name,
    committed: Option<&UploadId>,
    blocksize: Option<u64>,
) -> Result<Option<Record>> {
    let prefix = store.keys.records(name);
    let mut newest: Option<UploadId> = None;
    let listed = store.client.list(&prefix, |object| {
        let id = UploadId::parse(&object.key[prefix.len()..]);
        // An upload older than the committed one was given up long ago, and clean may
        // remove it at any moment.
        let is_newer = |id: &UploadId| {
            committed.is_none_or(|committed| id != committed && id.time() >= committed.time())
        };
        newest = newest.take().max(id.filter(is_newer));
        Ok(())
    });
    listed.map_err(|e| match e.exit() {
        Exit::Denied => e.also("--resume must be allowed to list the bucket"),
        _ => e,
    })?;
    let Some(id) = newest else {
        return Ok(None);
    };
    let key = store.keys.record(name, &id);
    let Some(seen) = store.client.get(get(&key, name, &id))? else {
        return Ok(None);
    };
    let mut record = seen.value.clone();
    if blocksize.is_some_and(|size| size != record.blocksize) {
        let size = record.blocksize;
        let why = format!("the upload to resume has blocks of {size} bytes");
        return Err(Error::new(Exit::Usage, "--blocksize", why));
    }
    record.nonce = random()?;
    replace(store, &record, &seen)?;
    Ok(Some(record))
}

/// Check that our record is there, with our nonce. 75 if it is not, at several looks,
/// which `then` is added to: what follows from that.
pub fn check(store: &mut Store, record: &Record, then: &str) -> Result<()> {
    let key = store.keys.record(&record.name, &record.upload);
    let mut why = "";
    for reading in 1..=READINGS {
        match store.client.get(get(&key, &record.name, &record.upload))? {
            Some(got) if got.value == *record => return Ok(()),
            Some(_) => why = "another process has taken this upload over",
            None => why = "this upload was cleaned away under us",
        }
        if reading < READINGS {
            store.progress().wait(backoff(reading, os::chance(), None));
        }
    }
    let why = format!("{why}: {then}");
    Err(store.client.error(Exit::Changed, Some(&key), why))
}

fn random<const N: usize>() -> Result<[u8; N]> {
    os::random().map_err(|e| Error::new(Exit::Internal, "/dev/urandom", os_reason(&e)))
}
