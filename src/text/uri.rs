//! Percent-encoding as S3 signs it.
//!
//! A server encodes what it decoded once more to check a signature, so the
//! encoding here is S3's own: everything outside RFC 3986's unreserved set
//! (`A-Z a-z 0-9 - . _ ~`) becomes `%XX` in upper case. Text in, text out: no
//! path is ever normalised. Encoding cannot fail; what is not a valid
//! encoding decodes to `None`.

use crate::text::hex::{digit, value};

/// Encodes everything but unreserved characters, `/` too (RFC 3986, 2.3).
pub fn encode(text: &str) -> String {
    encode_except(text, None)
}

/// Encodes a key as the path of a request: as [`encode`], but `/` is kept.
pub fn encode_path(key: &str) -> String {
    encode_except(key, Some(b'/'))
}

/// Joins names and values, neither of them encoded yet, into a query string,
/// in SigV4's canonical order: by encoded name, then by encoded value. The
/// same text is signed and sent. A name without a value is written `name=`.
pub fn encode_query(pairs: &[(&str, &str)]) -> String {
    let mut encoded: Vec<(String, String)> = pairs
        .iter()
        .map(|(name, value)| (encode(name), encode(value)))
        .collect();
    // As pairs: in joined text '=' would sort after '-', '.' and the digits.
    encoded.sort();
    let joined: Vec<String> = encoded.iter().map(|(n, v)| format!("{n}={v}")).collect();
    joined.join("&")
}

/// Undoes any percent-encoding, in upper or lower case; with `plus_is_space`
/// a `+` is a blank, as in HTML forms. `None` where a `%` is not followed by
/// two hexadecimal digits, or where the result is not UTF-8.
pub fn decode(text: &str, plus_is_space: bool) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => value(bytes.next()?)? << 4 | value(bytes.next()?)?,
            b'+' if plus_is_space => b' ',
            other => other,
        });
    }
    String::from_utf8(decoded).ok()
}

fn encode_except(text: &str, kept: Option<u8>) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        let unreserved = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if unreserved || kept == Some(byte) {
            encoded.push(char::from(byte));
        } else {
            let hex = [digit(byte >> 4), digit(byte & 15)];
            encoded.push('%');
            encoded.extend(hex.map(|c| c.to_ascii_uppercase()));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_and_decoded() {
        assert_eq!(encode("AZaz09-._~"), "AZaz09-._~");
        assert_eq!(encode("test$file.text"), "test%24file.text");
        assert_eq!(encode("a b+c%/é\0"), "a%20b%2Bc%25%2F%C3%A9%00");
        assert_eq!(encode_path("a b//../é"), "a%20b//../%C3%A9");
        let ascii: String = (0..128u8).map(char::from).collect();
        for text in [ascii.as_str(), "", "日本語/∞ 𝄞", "%%41+"] {
            assert_eq!(decode(&encode(text), false).as_deref(), Some(text));
            assert_eq!(decode(&encode_path(text), true).as_deref(), Some(text));
        }
    }

    #[test]
    fn decoded_as_servers_write() {
        assert_eq!(decode("a+b%2fc%2F%7E", true).as_deref(), Some("a b/c/~"));
        assert_eq!(decode("a+b", false).as_deref(), Some("a+b"));
        assert_eq!(decode("é", false).as_deref(), Some("é"));
        for bad in ["%", "%4", "a%4", "%+4", "%4g", "%é", "%-1", "%ff", "%C3"] {
            assert_eq!(decode(bad, false), None, "{bad}");
        }
    }

    #[test]
    fn query_in_canonical_order() {
        assert_eq!(encode_query(&[]), "");
        assert_eq!(encode_query(&[("acl", "")]), "acl=");
        let pairs = [("prefix", "a/b c"), ("max-keys", "2"), ("delimiter", "/")];
        let text = "delimiter=%2F&max-keys=2&prefix=a%2Fb%20c";
        assert_eq!(encode_query(&pairs), text);
        // By name first ('-' sorts before '='), by value next, encoded ('%'
        // sorts before the letters, whatever it stands for).
        let pairs = [("a-b", "0"), ("a", "z"), ("a", "é"), ("a", "")];
        assert_eq!(encode_query(&pairs), "a=&a=%C3%A9&a=z&a-b=0");
    }
}
