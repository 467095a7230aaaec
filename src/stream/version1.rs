//! Streams that the Java s3pipe wrote (format version 1): read, never written.
//!
//! `stream.<base64 of name>.info` says that there is a stream, and
//! `stream.<base64>.block.<n>`, from 0, hold it, at the bucket's root whatever
//! the prefix. There is no end mark and there are no hashes: a gap is refused,
//! an ETag that is an MD5 is checked, and that the stream is complete cannot
//! be proved, which is said each time.

use std::io::Read;
use std::ops::Range;
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use md5::{Digest, Md5};

use crate::error::{Exit, Result};
use crate::net::Answer;
use crate::s3::{Call, Client, Fault, Kind, Operation, Presence, Sizes, refused_after_all};
use crate::stream::name::Name;
use crate::text::hex;
use crate::text::time::Utc;

/// The largest block that is read, in bytes; one is held in memory.
const BLOCK_LIMIT: u64 = 1 << 30;

/// How much is read, in bytes, of what should be empty.
const BODY_LIMIT: usize = 4096;

/// A stream of version 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version1 {
    /// Its name, from its key.
    pub name: Name,
    /// When it was written, if it says so.
    pub created: Option<Utc>,
    /// The sizes of its blocks, in bytes, in order.
    pub blocks: Vec<u64>,
}

/// The key of the object that says that there is a stream of this name.
pub fn info_key(name: &Name) -> String {
    format!("stream.{}.info", BASE64.encode(name.text()))
}

fn block_prefix(name: &Name) -> String {
    format!("stream.{}.block.", BASE64.encode(name.text()))
}

/// GetObject of a stream's info object, which is empty: its creation time. HEAD
/// would do, but a 404 without a body does not say whose it is.
struct GetInfo<'a>(&'a str);

// Kind::Other: the user's headers for objects, such as a customer's key, are
// not for what the Java program stored.
impl Operation for GetInfo<'_> {
    type Out = Option<Utc>;

    fn call(&self) -> Call<'_> {
        Call::new("GET", Some(self.0), Kind::Other)
    }

    fn take(&mut self, mut answer: Answer) -> std::result::Result<Option<Utc>, Fault> {
        let body = answer.read_bounded(BODY_LIMIT).map_err(Fault::broken)?;
        refused_after_all(&body)?;
        let came = Some(answer.length().unwrap_or(body.len() as u64));
        let (exit, want) = (Exit::Data, Some(0));
        // An empty object without its metadata may be one; an empty answer that is
        // about no object is none.
        let named = ["x-amz-meta-version", "etag"];
        let is_object = named.iter().any(|name| answer.header(name).is_some());
        if answer.status != 200 || !body.is_empty() || !is_object {
            let why = format!("not a stream of version 1: status {}", answer.status);
            return Err(Fault::Foreign { why, exit, came });
        }
        match answer.header("x-amz-meta-version") {
            None | Some("1") => {}
            Some(_) => {
                let why = "not a stream of version 1";
                return Err(Fault::wrong(exit, why, Sizes { came, want }));
            }
        }
        let milliseconds = answer.header("x-amz-meta-ctime");
        let time = milliseconds.and_then(|ms| ms.trim().parse::<i64>().ok());
        Ok(time.map(|ms| Utc(ms.div_euclid(1000))))
    }
}

/// Whether there is a stream of this name; None if that may not be read.
pub fn exists(client: &mut Client, name: &Name) -> Result<Option<bool>> {
    match client.run(&mut GetInfo(&info_key(name))) {
        Ok(_) => Ok(Some(true)),
        Err(f) if f.no_such_key() => Ok(Some(false)),
        Err(f) if f.is_denied() => Ok(None),
        Err(f) => Err(f.error),
    }
}

/// Look a stream up. None if there is none. 65 if a block is missing.
pub fn open(client: &mut Client, name: &Name) -> Result<Option<Version1>> {
    let key = info_key(name);
    let created = match client.run(&mut GetInfo(&key)) {
        Ok(created) => created,
        // Where that may not be read, there are no streams of version 1 of this user's.
        Err(f) if f.no_such_key() || f.is_denied() => return Ok(None),
        Err(f) => return Err(f.error),
    };
    let blocks = blocks(client, name)?;
    Ok(Some(Version1 {
        name: name.clone(),
        created,
        blocks,
    }))
}

/// The sizes of a stream's blocks, in order. What comes behind the last one that
/// is listed, or is lacking before others, is looked at: a listing may be late.
fn blocks(client: &mut Client, name: &Name) -> Result<Vec<u64>> {
    let prefix = block_prefix(name);
    let (start, mut attempt) = (Instant::now(), 0);
    loop {
        let numbered = listed(client, &prefix)?;
        let mut pairs = (0..).zip(&numbered);
        let gap = pairs.find(|(expected, (number, _))| expected != number);
        let end = gap.map_or(numbered.len() as u64, |(expected, _)| expected);
        let next = format!("{prefix}{end}");
        if !is_there(client, &next)? {
            let gap = gap.is_some().then_some(end);
            return check_blocks(&numbered, gap)
                .map_err(|why| client.error(Exit::Data, Some(&info_key(name)), why));
        }
        let why = "it is there, but the service does not list it";
        client.look_again(start, attempt, Some(&next), why)?;
        attempt += 1;
    }
}

/// The numbers and sizes of the blocks that are listed, sorted by number.
fn listed(client: &mut Client, prefix: &str) -> Result<Vec<(u64, u64)>> {
    let mut numbered = Vec::new();
    client.list(prefix, |object| {
        numbered.extend(block_number(&object.key[prefix.len()..]).map(|n| (n, object.size)));
        Ok(())
    })?;
    numbered.sort_unstable();
    // A service may list a block twice.
    numbered.dedup_by_key(|(number, _)| *number);
    Ok(numbered)
}

/// Whether an object is there. Where that may not be asked, the listing is believed.
fn is_there(client: &mut Client, key: &str) -> Result<bool> {
    match client.see(key, Kind::Other, None) {
        Err(e) if e.exit() == Exit::Denied => Ok(false),
        seen => Ok(seen? != Presence::Missing),
    }
}

fn check_blocks(
    numbered: &[(u64, u64)],
    gap: Option<u64>,
) -> std::result::Result<Vec<u64>, String> {
    if let Some(gap) = gap {
        return Err(format!("block {gap} is missing, and later ones are there"));
    }
    for (number, size) in numbered {
        if *size > BLOCK_LIMIT {
            return Err(format!("block {number} is larger than {BLOCK_LIMIT} bytes"));
        }
    }
    Ok(numbered.iter().map(|(_, size)| *size).collect())
}

/// A block's number: decimal, as Java writes it.
fn block_number(text: &str) -> Option<u64> {
    let number = text.parse::<u64>().ok()?;
    (number.to_string() == text).then_some(number)
}

/// The names of all streams of version 1; none for who may not list them.
pub fn names(client: &mut Client) -> Result<Vec<Name>> {
    let mut names = Vec::new();
    let listed = client.list("stream.", |object| {
        let encoded = object.key.strip_prefix("stream.");
        let encoded = encoded.and_then(|rest| rest.strip_suffix(".info"));
        let bytes = encoded.and_then(|text| BASE64.decode(text).ok());
        let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
        names.extend(text.and_then(|text| Name::new(&text).ok()));
        Ok(())
    });
    match listed {
        Err(e) if e.why().starts_with("403 AccessDenied") => Ok(Vec::new()),
        result => result.map(|()| names),
    }
}

/// Remove the blocks of a stream that is none any more. Before each thousand,
/// `may` is asked, whose error ends it.
pub fn delete_blocks(
    client: &mut Client,
    name: &Name,
    may: &mut dyn FnMut(&mut Client) -> Result<()>,
) -> Result<()> {
    client.delete_prefix(&block_prefix(name), Kind::Block, may)
}

impl Version1 {
    /// Bytes of the whole stream.
    pub fn bytes(&self) -> u64 {
        self.blocks.iter().sum()
    }

    /// Warn that a stream of version 1 has no mark at its end.
    pub fn warn(&self, client: &Client) {
        let name = self.name.printable();
        let text = format!("{name}: written by s3pipe 1: that it is complete cannot be proved");
        client.progress().warn(&text);
    }

    /// Fetch the blocks that hold bytes of `wanted`, one after the other, and
    /// hand what is wanted of each to `each`.
    pub fn read(
        &self,
        client: &mut Client,
        wanted: &Range<u64>,
        mut each: impl FnMut(&mut Client, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let prefix = block_prefix(&self.name);
        let mut start = 0;
        for (n, size) in self.blocks.iter().enumerate() {
            let part = wanted.start.max(start)..wanted.end.min(start + size);
            if !part.is_empty() {
                let key = format!("{prefix}{n}");
                let bytes = client.find(&mut GetOldBlock {
                    key: &key,
                    size: *size as usize,
                });
                let bytes = bytes.map_err(|f| {
                    if f.no_such_key() {
                        client.error(Exit::Changed, Some(&key), "gone while it was read")
                    } else {
                        f.error
                    }
                })?;
                let part = (part.start - start) as usize..(part.end - start) as usize;
                each(client, &bytes[part])?;
            }
            start += size;
        }
        Ok(())
    }
}

/// GetObject of a block.
struct GetOldBlock<'a> {
    key: &'a str,
    size: usize,
}

impl Operation for GetOldBlock<'_> {
    type Out = Vec<u8>;

    fn call(&self) -> Call<'_> {
        Call::new("GET", Some(self.key), Kind::Other)
    }

    fn take(&mut self, mut answer: Answer) -> std::result::Result<Vec<u8>, Fault> {
        let md5 = md5_of(&answer);
        let (came, want) = (answer.length(), Some(self.size as u64));
        if came.is_some() && came != want {
            let why = "its size is not the one listed";
            return Err(Fault::wrong(Exit::Data, why, Sizes { came, want }));
        }
        let mut bytes = Vec::with_capacity(self.size + 1);
        let mut body = (&mut answer).take(self.size as u64 + 1);
        body.read_to_end(&mut bytes).map_err(Fault::broken)?;
        if bytes.len() < self.size {
            return Err(Fault::broken("the answer broke off"));
        }
        if bytes.len() > self.size {
            let why = "its size is not the one listed";
            return Err(Fault::wrong(Exit::Data, why, Sizes { came: None, want }));
        }
        if md5.is_some_and(|md5| md5[..] != Md5::digest(&bytes)[..]) {
            let why = "the data does not match its ETag";
            return Err(Fault::wrong(Exit::Data, why, Sizes { came: want, want }));
        }
        Ok(bytes)
    }
}

/// The MD5 in an answer's ETag, if it is one: not of a multipart upload, nor
/// of an object that is encrypted with a key of KMS's or of the customer's.
fn md5_of(answer: &Answer) -> Option<Vec<u8>> {
    let sealed = answer.header("x-amz-server-side-encryption");
    let customer = answer.header("x-amz-server-side-encryption-customer-algorithm");
    if customer.is_some() || sealed.is_some_and(|how| how.starts_with("aws:kms")) {
        return None;
    }
    let md5 = hex::decode(answer.header("etag")?.trim_matches('"'))?;
    (md5.len() == 16).then_some(md5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_of_the_java_program() {
        let name = Name::new("bacula-/export").unwrap();
        assert_eq!(info_key(&name), "stream.YmFjdWxhLS9leHBvcnQ=.info");
        let odd = Name::new("\u{fb}\u{ff}?>").unwrap();
        assert_eq!(block_prefix(&odd), "stream.w7vDvz8+.block.");
        assert_eq!(block_number("10"), Some(10));
        for bad in ["", "01", "+1", "-1", "1x", "99999999999999999999999"] {
            assert_eq!(block_number(bad), None, "{bad}");
        }
    }
}
