//! The sink's view of HTTP/1.1 messages: requests taken apart, answers put
//! together; text only, no connection. It takes what s3pipe and the floor send
//! and is no general parser: a request that it cannot read is `None`, and ends
//! the connection.

use std::sync::Arc;

/// What matters of a request's head.
pub struct Request {
    pub method: String,
    /// The object's key, decoded; empty for the bucket itself.
    pub key: String,
    pub query: String,
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
    /// That many bytes of the pattern.
    Pattern(usize),
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

    /// An error as S3 words it.
    pub fn error(status: &'static str, code: &str) -> Answer {
        let text = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <Error><Code>{code}</Code><Message>{status}</Message></Error>"
        );
        Answer::new(status, &text).with("content-type: application/xml")
    }

    /// The same with one more header line.
    pub fn with(mut self, field: &str) -> Answer {
        self.fields.push_str(field);
        self.fields.push_str("\r\n");
        self
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

    /// A parameter of the query, decoded.
    pub fn parameter(&self, name: &str) -> Option<String> {
        self.query
            .split('&')
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .find(|(n, _)| *n == name)
            .map(|(_, value)| decode(value))
    }

    /// Whether the object is one that the sink does not keep.
    pub fn is_block(&self) -> bool {
        self.key.split('/').any(|segment| segment == "block")
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
