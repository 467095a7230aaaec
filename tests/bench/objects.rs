//! What the sink knows of its objects, and the operations on them.
//!
//! Of an object whose body is thrown away only the length is kept, and so much
//! of the pattern is served again; every other object (manifest, index, upload
//! record) is kept whole, with the conditions and errors of S3, so that
//! s3pipe's commit and its checks run as they would elsewhere. Nothing here
//! touches a connection, and what it does not know it refuses with 501.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use md5::Md5;
use sha2::Digest;

use crate::floor::hex;
use crate::http::{Answer, Body, Request};
use crate::multipart::Multipart;

/// No object changes its time; nothing in a bench asks for it.
const MODIFIED: &str = "2026-01-01T00:00:00.000Z";
const LAST_MODIFIED: &str = "last-modified: Thu, 01 Jan 2026 00:00:00 GMT";

/// An object.
#[derive(Clone)]
pub struct Object {
    etag: Arc<str>,
    length: u64,
    /// The content, unless it was thrown away.
    content: Option<Arc<[u8]>>,
}

impl Object {
    /// One that was thrown away, under the ETag that it had.
    pub fn discarded(etag: Arc<str>, length: u64) -> Object {
        Object {
            etag,
            length,
            content: None,
        }
    }

    /// One that is kept. Its ETag is its MD5, as on S3.
    pub fn kept(content: Vec<u8>) -> Object {
        Object {
            etag: hex(&Md5::digest(&content)).into(),
            length: content.len() as u64,
            content: Some(content.into()),
        }
    }
}

/// All objects, and the uploads that are to become some.
#[derive(Default)]
pub struct Objects {
    objects: Mutex<BTreeMap<String, Object>>,
    uploads: Mutex<Multipart>,
}

impl Objects {
    /// Answers a request that came with `body`, unless that is thrown away.
    pub fn answer(&self, request: &Request, body: &[u8]) -> Answer {
        let has = |name: &str| request.parameter(name).is_some();
        match (request.method.as_str(), request.key.is_empty()) {
            ("GET" | "HEAD", false) => self.get(request),
            ("GET", true) if has("location") => Answer::xml("200 OK", "<LocationConstraint/>"),
            ("GET", true) => self.list(request),
            ("HEAD", true) => Answer::new("200 OK", ""),
            ("DELETE", false) if has("uploadId") => lock(&self.uploads).abort(request),
            ("DELETE", false) => {
                lock(&self.objects).remove(&request.key);
                Answer::new("204 No Content", "")
            }
            ("POST", true) if has("delete") => self.delete(body),
            ("POST", false) if has("uploads") => lock(&self.uploads).create(request),
            ("POST", false) if has("uploadId") => self.complete(request, body),
            _ => Answer::error("501 Not Implemented", "NotImplemented"),
        }
    }

    /// Answers a PUT whose body of `length` bytes was thrown away.
    pub fn discarded(&self, request: &Request, length: u64) -> Answer {
        if request.parameter("uploadId").is_some() {
            return lock(&self.uploads).part(request, length);
        }
        // The client's word for the hash: clients check their own blocks. The
        // others get what is no MD5, and so is not checked.
        let etag = request.field("x-amz-content-sha256");
        let etag = etag
            .filter(|hash| hash.len() == 64)
            .unwrap_or("discarded-1");
        self.put(request, Object::discarded(etag.into(), length))
    }

    /// Stores `object`, if the request's conditions allow it.
    pub fn put(&self, request: &Request, object: Object) -> Answer {
        let mut objects = lock(&self.objects);
        let present = objects.get(&request.key);
        let wanted = request.field("if-match").map(|tag| tag.trim_matches('"'));
        if (request.field("if-none-match") == Some("*") && present.is_some())
            || (wanted.is_some() && wanted != present.map(|o| &*o.etag))
        {
            return Answer::error("412 Precondition Failed", "PreconditionFailed");
        }
        let field = format!("etag: \"{}\"", object.etag);
        objects.insert(request.key.clone(), object);
        Answer::new("200 OK", "").with(&field)
    }

    /// Puts these in, whatever was there.
    pub fn insert(&self, made: impl IntoIterator<Item = (String, Object)>) {
        lock(&self.objects).extend(made);
    }

    /// How many objects have keys that begin with `prefix`.
    pub fn count(&self, prefix: &str) -> usize {
        let objects = lock(&self.objects);
        let from = objects.range(prefix.to_string()..);
        from.take_while(|(key, _)| key.starts_with(prefix)).count()
    }

    fn get(&self, request: &Request) -> Answer {
        let Some(object) = lock(&self.objects).get(&request.key).cloned() else {
            return Answer::error("404 Not Found", "NoSuchKey");
        };
        let answer = |status, range: Option<std::ops::Range<u64>>| {
            let part = range.unwrap_or(0..object.length);
            let mut answer = Answer::new(status, "")
                .with(&format!("etag: \"{}\"", object.etag))
                .with("accept-ranges: bytes")
                .with(LAST_MODIFIED);
            answer.body = match &object.content {
                None => Body::Pattern(part),
                Some(content) => {
                    Body::Bytes(content[part.start as usize..part.end as usize].into())
                }
            };
            answer
        };
        match request.range(object.length) {
            None => answer("200 OK", None),
            Some(part) if part.start >= part.end => {
                Answer::error("416 Range Not Satisfiable", "InvalidRange")
            }
            Some(part) => {
                let (last, length) = (part.end - 1, object.length);
                let field = format!("content-range: bytes {}-{last}/{length}", part.start);
                answer("206 Partial Content", Some(part)).with(&field)
            }
        }
    }

    /// ListObjectsV2 and ListObjects, with prefix, max-keys and continuation;
    /// the keys in a bench hold nothing that XML would want escaped. Keys are
    /// not rolled up: below a prefix that is listed there is no delimiter.
    fn list(&self, request: &Request) -> Answer {
        let prefix = request.parameter("prefix").unwrap_or_default();
        let after = ["continuation-token", "start-after", "marker"];
        let after = after.iter().find_map(|name| request.parameter(name));
        let most = request.parameter("max-keys").and_then(|n| n.parse().ok());
        let most: usize = most.unwrap_or(1000).min(1000);
        let start = match after {
            Some(key) if key >= prefix => Bound::Excluded(key),
            _ => Bound::Included(prefix.clone()),
        };
        let delimiter = request.parameter("delimiter").filter(|d| !d.is_empty());
        let objects = lock(&self.objects);
        let mut found = objects
            .range((start, Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(&prefix))
            .peekable();
        let (mut contents, mut count, mut last) = (String::new(), 0, "");
        while let Some((key, object)) = found.next_if(|_| count < most) {
            if delimiter
                .as_ref()
                .is_some_and(|d| key[prefix.len()..].contains(d))
            {
                return Answer::error("501 Not Implemented", "NotImplemented");
            }
            contents += &format!(
                "<Contents><Key>{key}</Key><LastModified>{MODIFIED}</LastModified>\
                 <ETag>&quot;{}&quot;</ETag><Size>{}</Size></Contents>",
                object.etag, object.length
            );
            count += 1;
            last = key;
        }
        let more = count > 0 && found.peek().is_some();
        let next = match more {
            true => format!(
                "<NextContinuationToken>{last}</NextContinuationToken>\
                 <NextMarker>{last}</NextMarker>"
            ),
            false => String::new(),
        };
        let text = format!(
            "<ListBucketResult><Name>bench</Name><Prefix>{prefix}</Prefix>\
             <KeyCount>{count}</KeyCount><MaxKeys>{most}</MaxKeys>\
             <IsTruncated>{more}</IsTruncated>{next}{contents}</ListBucketResult>"
        );
        Answer::xml("200 OK", &text)
    }

    /// DeleteObjects.
    fn delete(&self, body: &[u8]) -> Answer {
        let text = String::from_utf8_lossy(body);
        let mut objects = lock(&self.objects);
        let mut deleted = String::new();
        for key in text.split("<Key>").skip(1) {
            let key = key.split('<').next().unwrap_or("");
            objects.remove(key);
            deleted += &format!("<Deleted><Key>{key}</Key></Deleted>");
        }
        Answer::xml("200 OK", &format!("<DeleteResult>{deleted}</DeleteResult>"))
    }

    fn complete(&self, request: &Request, body: &[u8]) -> Answer {
        let length = match lock(&self.uploads).complete(request, body) {
            Ok(length) => length,
            Err(answer) => return answer,
        };
        let etag = "discarded-2";
        self.put(request, Object::discarded(etag.into(), length));
        let key = &request.key;
        let text = format!(
            "<CompleteMultipartUploadResult><Bucket>bench</Bucket><Key>{key}</Key>\
             <ETag>&quot;{etag}&quot;</ETag></CompleteMultipartUploadResult>"
        );
        Answer::xml("200 OK", &text)
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    // A thread that died in between has left whole maps.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
