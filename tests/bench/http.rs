//! The sink's view of HTTP/1.1 messages: requests taken apart, answers put
//! together; text only, no connection. It takes what s3pipe, the floor and the
//! peers send and is no general parser: a request that it cannot read is
//! `None`, and ends the connection.

use std::ops::Range;
use std::sync::Arc;

/// What matters of a request's head.
pub struct Request {
    pub method: String,
    /// The object's key, decoded; empty for the bucket itself.
    pub key: String,
    query: String,
    fields: Vec<(String, String)>,
}

/// An answer: the status line's end, further header lines, the body.
pub struct Answer {
    pub status: &'static str,
    pub fields: String,
    pub body: Body,
}

pub enum Body {
    /// These bytes.
    Bytes(Arc<[u8]>),
    /// That part of the endlessly repeated pattern.
    Pattern(Range<u64>),
}

impl Answer {
    /// `status` is the number and the phrase.
    pub fn new(status: &'static str, body: &str) -> Answer {
        Answer {
            status,
            fields: String::new(),
            body: Body::Bytes(body.as_bytes().into()),
        }
    }

    /// A document, which `text` is but for its first line.
    pub fn xml(status: &'static str, text: &str) -> Answer {
        let text = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{text}");
        Answer::new(status, &text).with("content-type: application/xml")
    }

    /// An error as S3 words it.
    pub fn error(status: &'static str, code: &str) -> Answer {
        let text = format!("<Error><Code>{code}</Code><Message>{status}</Message></Error>");
        Answer::xml(status, &text)
    }

    /// The same with one more header line.
    pub fn with(mut self, field: &str) -> Answer {
        self.fields.push_str(field);
        self.fields.push_str("\r\n");
        self
    }
}

impl Body {
    /// In bytes.
    pub fn len(&self) -> u64 {
        match self {
            Body::Bytes(bytes) => bytes.len() as u64,
            Body::Pattern(part) => part.end - part.start,
        }
    }
}

impl Request {
    /// From the text before the empty line.
    pub fn parse(head: &str) -> Option<Request> {
        let mut lines = head.lines();
        let mut words = lines.next()?.split(' ');
        let (method, target) = (words.next()?, words.next()?);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        // The first segment is the bucket: there is only one.
        let key = path.strip_prefix('/')?.split_once('/').map_or("", |p| p.1);
        let fields = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_string()))
            .collect();
        Some(Request {
            method: method.to_string(),
            key: decode(key),
            query: query.to_string(),
            fields,
        })
    }

    /// A header field's value; `name` in lower case.
    pub fn field(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(n, _)| n == name)?;
        Some(&found.1)
    }

    /// A header field that is a number.
    pub fn number(&self, name: &str) -> Option<u64> {
        self.field(name)?.parse().ok()
    }

    /// A parameter of the query, decoded; empty if it has no value.
    pub fn parameter(&self, name: &str) -> Option<String> {
        self.query
            .split('&')
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .find(|(n, _)| *n == name)
            .map(|(_, value)| decode(value))
    }

    /// Whether the body comes in chunks, its length unknown beforehand.
    pub fn is_chunked(&self) -> bool {
        self.field("transfer-encoding")
            .is_some_and(|value| value.eq_ignore_ascii_case("chunked"))
    }

    /// Whether the body is framed once more, with signatures or a checksum in
    /// between, as AWS's own libraries do.
    pub fn is_framed(&self) -> bool {
        self.field("x-amz-content-sha256")
            .is_some_and(|value| value.starts_with("STREAMING-"))
    }

    /// Whether the object is one that the sink does not keep.
    pub fn is_discarded(&self) -> bool {
        self.key.starts_with("peer/") || self.key.split('/').any(|segment| segment == "block")
    }

    /// Whether the client has sent a sum by which a server could tell that the
    /// body arrived as it was meant.
    pub fn is_checked(&self) -> bool {
        let sum = |(name, _): &(String, String)| {
            name == "content-md5" || name == "x-amz-trailer" || name.starts_with("x-amz-checksum-")
        };
        let signed = self.field("x-amz-content-sha256");
        signed.is_some_and(|value| value.len() == 64) || self.fields.iter().any(sum)
    }

    /// The bytes asked for of `length`: what a Range field of one range says,
    /// cut to the object's length. `None` if there is no such field.
    pub fn range(&self, length: u64) -> Option<Range<u64>> {
        let (first, last) = self
            .field("range")?
            .strip_prefix("bytes=")?
            .split_once('-')?;
        let first: u64 = first.parse().ok()?;
        let end = last.parse().map_or(length, |last: u64| last + 1);
        Some(first..end.min(length))
    }
}

/// Undoes percent-encoding; what is not encoded stays as it is.
fn decode(text: &str) -> String {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or("").as_bytes().to_vec();
    for part in parts {
        let code = part.get(..2).and_then(|h| u8::from_str_radix(h, 16).ok());
        match code {
            Some(byte) => {
                bytes.push(byte);
                bytes.extend_from_slice(&part.as_bytes()[2..]);
            }
            None => {
                bytes.push(b'%');
                bytes.extend_from_slice(part.as_bytes());
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
