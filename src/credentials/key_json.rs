//! What programs and services answer when they are asked for an access key:
//! a JSON object.
//!
//! Everything about it is bounded before it is parsed, its length and how
//! deeply it is nested, since the parser recurses. It is never shown, nor are
//! the parser's errors, which quote it. It fails with 78 and names the place
//! and the field.
//!
//! Source: the AWS SDKs and Tools Reference Guide, 'Process credential
//! provider', 'Container credential provider' and 'IMDS credential provider'.

use std::collections::HashMap;

use tinyjson::JsonValue;

use super::{assemble, timestamp};
use crate::error::{Error, Exit, Result};
use crate::sign::Credentials;
use crate::text::time::Utc;

/// No answer is longer, in bytes: a token has a few KiB.
pub(super) const LIMIT: usize = 64 * 1024;

/// How deeply objects and arrays may be nested; what AWS sends is one object.
const DEPTH: usize = 16;

/// The fields of an answer, and who gave it.
pub(super) struct KeyJson<'a> {
    place: &'a str,
    fields: HashMap<String, JsonValue>,
}

impl<'a> KeyJson<'a> {
    /// Reads the answer that `place` gave.
    pub(super) fn parse(place: &'a str, bytes: &[u8]) -> Result<KeyJson<'a>> {
        let refuse = |why: &str| Error::new(Exit::Config, place, why);
        if bytes.len() > LIMIT {
            let why = format!("its answer is longer than {} KiB", LIMIT / 1024);
            return Err(refuse(&why));
        }
        let text = std::str::from_utf8(bytes).ok();
        let value = text
            .filter(|text| is_shallow(text))
            .and_then(|text| text.parse::<JsonValue>().ok());
        match value {
            Some(JsonValue::Object(fields)) => Ok(KeyJson { place, fields }),
            _ => Err(refuse("its answer is no JSON object")),
        }
    }

    fn refuse(&self, why: String) -> Error {
        Error::new(Exit::Config, self.place, why)
    }

    /// Whether a field is the number 1.
    pub(super) fn is_one(&self, field: &str) -> bool {
        matches!(self.fields.get(field), Some(JsonValue::Number(n)) if *n == 1.0)
    }

    /// A text; null or empty is as absent.
    pub(super) fn text(&self, field: &str) -> Result<Option<String>> {
        match self.fields.get(field) {
            None | Some(JsonValue::Null) => Ok(None),
            Some(JsonValue::String(text)) => Ok(Some(text.clone()).filter(|t| !t.is_empty())),
            Some(_) => Err(self.refuse(format!("{field} in its answer is no text"))),
        }
    }

    fn need(&self, field: &str) -> Result<String> {
        let text = self.text(field)?;
        text.ok_or_else(|| self.refuse(format!("{field} is missing from its answer")))
    }

    /// The access key, and when it expires if it does. `token` is what the
    /// field with the session token is called.
    pub(super) fn credentials(&self, token: &str) -> Result<(Credentials, Option<Utc>)> {
        let names = ["AccessKeyId", "SecretAccessKey", token];
        let credentials = Credentials {
            id: self.need(names[0])?,
            secret: self.need(names[1])?,
            token: self.text(token)?,
        };
        let credentials = assemble(self.place, names, credentials)?;
        let expires = match self.text("Expiration")? {
            Some(text) => Some(timestamp(self.place, "Expiration", &text)?),
            None => None,
        };
        Ok((credentials, expires))
    }
}

/// Whether nothing is nested deeper than [`DEPTH`]. Brackets in strings do
/// not count; in what is no JSON they may be counted wrongly, but never too
/// few before the parser stops.
fn is_shallow(text: &str) -> bool {
    let (mut depth, mut quoted, mut escaped) = (0usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => depth += 1,
            b']' | b'}' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH {
            return false;
        }
    }
    true
}

#[cfg(test)]
#[path = "key_json_tests.rs"]
mod tests;
