//! Signatures of S3 requests: which headers prove who asks.
//!
//! Pure functions of the request, the credentials and the time: no clock, no
//! environment, no I/O. A signature covers the text that is sent, so nothing
//! here encodes, decodes or normalises a path. Signing cannot fail; only the
//! server can say that a signature is wrong. No secret ever leaves this
//! module but as a signature, and `Debug` shows none; the session token is
//! sent, so it is among the headers that come back.

#![forbid(unsafe_code)]

mod v2;
mod v4;

use crate::text::time::Utc;
use std::collections::BTreeMap;
use std::fmt;

/// Who asks: an access key and, for temporary ones, its session token.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The access key's id, which is public. It may hold a colon.
    pub id: String,
    /// The secret access key.
    pub secret: String,
    /// The session token of temporary credentials.
    pub token: Option<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// The way to sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// AWS Signature Version 4 (HMAC-SHA256), which also covers the payload.
    V4,
    /// AWS Signature Version 2 (HMAC-SHA1), for old S3-compatible stores.
    V2,
}

impl Version {
    /// The word for it on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Version::V4 => "v4",
            Version::V2 => "v2",
        }
    }

    /// From that word.
    pub fn parse(word: &str) -> Option<Version> {
        [Version::V4, Version::V2]
            .into_iter()
            .find(|v| v.word() == word)
    }
}

/// What is to be signed. It has no `Debug`: headers can hold customer keys.
pub struct Request<'a> {
    /// `GET`, `PUT` …, in upper case.
    pub method: &'a str,
    /// The Host header as sent, with its port if it has one.
    pub host: &'a str,
    /// The path, encoded exactly as sent; it starts with `/`.
    pub path: &'a str,
    /// Names and values of the query, not encoded. What is sent must be what
    /// [`crate::text::uri::encode_query`] makes of them.
    pub query: &'a [(&'a str, &'a str)],
    /// Further headers as sent, names in any case; none of those that
    /// [`sign`] adds, save for version 2's date. Version 4 signs them all,
    /// version 2 content-md5, content-type, date and x-amz-*.
    pub headers: &'a [(String, String)],
    /// The body's SHA-256 in lower-case hexadecimal (version 4 only).
    pub payload_sha256: &'a str,
    /// The bucket, where the host names it and the path does not
    /// (virtual-hosted style; version 2 signs it).
    pub bucket_in_host: Option<&'a str>,
}

/// The headers to add to a request so that it is signed: for version 4
/// x-amz-date, x-amz-content-sha256, x-amz-security-token if there is a
/// token, and authorization; for version 2 date (unless the request has a
/// date or x-amz-date of its own), the token, and authorization. Version 2
/// knows no region.
pub fn sign(
    version: Version,
    request: &Request,
    credentials: &Credentials,
    region: &str,
    now: Utc,
) -> Vec<(String, String)> {
    match version {
        Version::V4 => v4::sign(request, credentials, region, now),
        Version::V2 => v2::sign(request, credentials, now),
    }
}

/// Headers in canonical order: by name in lower case, the values of a name
/// made tidy and joined by commas in the order in which they are sent.
fn canonical_headers<'h>(
    headers: impl Iterator<Item = &'h (String, String)>,
    tidy: fn(&str) -> String,
) -> BTreeMap<String, String> {
    let mut canonical: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in headers {
        let value = tidy(value);
        canonical
            .entry(name.to_ascii_lowercase())
            .and_modify(|values| *values = format!("{values},{value}"))
            .or_insert(value);
    }
    canonical
}

fn header(name: &str, value: impl Into<String>) -> (String, String) {
    (name.to_owned(), value.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key pair of all the examples in the S3 documentation.
    pub fn example() -> Credentials {
        Credentials {
            id: "AKIAIOSFODNN7EXAMPLE".into(),
            secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into(),
            token: None,
        }
    }

    pub fn headers(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(n, v)| header(n, *v)).collect()
    }

    pub fn value<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
        let found = headers.iter().find(|(n, _)| n == name);
        found.map(|(_, v)| v.as_str())
    }

    #[test]
    fn debug_shows_no_secret() {
        let credentials = Credentials {
            token: Some("SESSIONTOKEN".into()),
            ..example()
        };
        for shown in [format!("{credentials:?}"), format!("{credentials:#?}")] {
            assert!(shown.contains("AKIAIOSFODNN7EXAMPLE"), "{shown}");
            assert!(!shown.contains("wJalr"), "{shown}");
            assert!(!shown.contains("SESSION"), "{shown}");
        }
    }

    #[test]
    fn headers_in_canonical_order() {
        let sent = headers(&[("X-B", " 2 "), ("x-a", "1"), ("x-b", "1")]);
        let canonical = canonical_headers(sent.iter(), |v| v.trim().to_owned());
        let expected = [("x-a", "1"), ("x-b", "2,1")];
        assert!(
            canonical
                .iter()
                .map(|(n, v)| (n.as_str(), v.as_str()))
                .eq(expected)
        );
    }

    /// The two signatures of a request, version 4's first.
    fn signatures(request: &Request, credentials: &Credentials, region: &str) -> [String; 2] {
        let now = Utc::parse_basic("20261122T123456Z").unwrap();
        [(Version::V4, "Signature="), (Version::V2, ":")].map(|(version, mark)| {
            let added = sign(version, request, credentials, region, now);
            let authorization = value(&added, "authorization").unwrap();
            authorization.split_once(mark).unwrap().1.to_owned()
        })
    }

    /// Computed with botocore 1.44.5 (S3SigV4Auth and HmacV1Auth): a GET
    /// from path-style bucket `bucket` at 127.0.0.1:9000.
    #[rustfmt::skip]
    const COMPUTED: [(&str, &str, &str, &str); 7] = [
        ("a b", "/bucket/a%20b",
         "4644d11b8b4cbee2fab38f2ea55829f0eadadb20f1f7499fe1a88807d25d5308",
         "gzGk4kUSXbxRRF+DaiIU1axx4CQ="),
        ("a+b", "/bucket/a%2Bb",
         "6a88512398d7cedddf89ee3ee0774d3395641b78e27ba8bff1767b7670e5db1b",
         "73/eV3IfzOsi29bCruyN6nvz6QI="),
        ("100%/%41", "/bucket/100%25/%2541",
         "b8a718385fefb8ed6842d4a14a40ee4880dc985605789295c30a099ca62f4da4",
         "t3irF19tUWl/2+NIxwPSWEuddx4="),
        ("Grüße/日本", "/bucket/Gr%C3%BC%C3%9Fe/%E6%97%A5%E6%9C%AC",
         "643f0900923283375960c50e84221472ad48e67bf2c55ad6751658143a68be5c",
         "gmWcH3usqeYU3hglBVK7Gxmj0qo="),
        ("../x/./y", "/bucket/../x/./y",
         "8800bec62d2f0978c2bc166615870f897f45de14ad2e3e1d8c73adb3c1a0c5b9",
         "D0mYZLex7p1TvPzCnCWZdtrwk5c="),
        ("a//b/", "/bucket/a//b/",
         "14bb070c0f51d54ff16f89a12859abee04cdbf47e86466712bcdbb5825bc641f",
         "2TmVx/RfqvNrsJZpSOjhZN2uggA="),
        ("~_-.!*'()&=;:@,$?#\"<>\\^`{|}",
         "/bucket/~_-.%21%2A%27%28%29%26%3D%3B%3A%40%2C%24%3F%23%22%3C%3E%5C%5E%60%7B%7C%7D",
         "d35bbe405839f1bcd1c164ac8caa08e7672ccc76287fb9c347d18dd3e8951c0c",
         "iuT0u81voZnScbOEKJ1zwXXyicM="),
    ];

    #[test]
    fn odd_keys_as_botocore_signs_them() {
        for (key, path, v4, v2) in COMPUTED {
            let encoded = format!("/bucket/{}", crate::text::uri::encode_path(key));
            assert_eq!(encoded, path);
            let request = Request {
                method: "GET",
                host: "127.0.0.1:9000",
                path,
                query: &[],
                headers: &[],
                payload_sha256: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                bucket_in_host: None,
            };
            let signatures = signatures(&request, &example(), "eu-central-1");
            assert_eq!(signatures, [v4, v2], "{key}");
        }
    }

    #[test]
    fn everything_at_once_as_botocore_signs_it() {
        let credentials = Credentials {
            token: Some("TOKEN/+=".into()),
            ..example()
        };
        let headers = headers(&[
            ("X-Amz-Meta-Note", "  two   words "),
            ("Content-Type", "text/plain; a=\"b  c\""),
            ("x-amz-meta-list", "b"),
            ("x-amz-meta-list", " a "),
            ("Content-MD5", "4gJE4saaMU4BqNR0kLY+lw=="),
        ]);
        let part = [
            ("uploadId", "x/y+z="),
            ("partNumber", "7"),
            ("response-content-type", "text/plain; é"),
            ("x-id", ""),
        ];
        let mut request = Request {
            method: "PUT",
            host: "bucket.s3.example:9000",
            path: "/a%20b",
            query: &[part.as_slice(), &[("X-id", "~")]].concat(),
            headers: &headers,
            // Of "payload".
            payload_sha256: "239f59ed55e737c77147cf55ad0c1b030b6d7ee748a7426952f9b852d5a935e5",
            bucket_in_host: Some("bucket"),
        };
        let [v4, _] = signatures(&request, &credentials, "garage");
        let expected = "030fc12be45ef6d3ce24461008feb3f5f938b61bbaee72c9f0ca29e9f0b256a2";
        assert_eq!(v4, expected);
        let query = [part.as_slice(), &[("uploads", "")]].concat();
        request.query = &query;
        let [_, v2] = signatures(&request, &credentials, "garage");
        assert_eq!(v2, "+ZpUq0LFmMfGd2wIU2U6N5Y/WO4=");
        for version in [Version::V4, Version::V2] {
            let added = sign(version, &request, &credentials, "garage", Utc(0));
            assert_eq!(value(&added, "x-amz-security-token"), Some("TOKEN/+="));
        }
    }
}
