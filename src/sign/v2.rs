//! AWS Signature Version 2 for S3, in the Authorization header ("Signing and
//! authenticating REST requests", S3 User Guide).
//!
//! HMAC-SHA1 over the method, three headers, the x-amz-* headers and the
//! resource; the payload is covered only by a Content-MD5 that the caller
//! sends. For stores that know nothing newer: AWS itself refuses it for
//! buckets made since June 2020. Cannot fail.

#![forbid(unsafe_code)]

use super::{Credentials, Request, canonical_headers, header};
use crate::text::time::Utc;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

/// The query parameters that are part of the resource.
const SUBRESOURCES: [&str; 24] = [
    "acl",
    "cors",
    "delete",
    "lifecycle",
    "location",
    "logging",
    "notification",
    "partNumber",
    "policy",
    "requestPayment",
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
    "response-content-language",
    "response-content-type",
    "response-expires",
    "tagging",
    "torrent",
    "uploadId",
    "uploads",
    "versionId",
    "versioning",
    "versions",
    "website",
];

/// See [`super::sign`].
pub(super) fn sign(
    request: &Request,
    credentials: &Credentials,
    now: Utc,
) -> Vec<(String, String)> {
    let mut added = Vec::new();
    let is_date = |n: &str| n.eq_ignore_ascii_case("date") || n.eq_ignore_ascii_case("x-amz-date");
    if !request.headers.iter().any(|(name, _)| is_date(name)) {
        added.push(header("date", now.http()));
    }
    if let Some(token) = &credentials.token {
        added.push(header("x-amz-security-token", token));
    }
    let signature = signature(&credentials.secret, &string_to_sign(request, &added));
    let value = format!("AWS {}:{signature}", credentials.id);
    added.push(header("authorization", value));
    added
}

fn string_to_sign(request: &Request, added: &[(String, String)]) -> String {
    let trim = |value: &str| value.trim_ascii().to_owned();
    let headers = canonical_headers(request.headers.iter().chain(added), trim);
    let positional = |name: &str| headers.get(name).map_or("", String::as_str);
    // A server that sees x-amz-date signs no Date.
    let date = match headers.get("x-amz-date") {
        Some(_) => "",
        None => positional("date"),
    };
    let amz = headers
        .iter()
        .filter(|(name, _)| name.starts_with("x-amz-"));
    let amz: String = amz.map(|(n, v)| format!("{n}:{v}\n")).collect();
    format!(
        "{}\n{}\n{}\n{date}\n{amz}{}",
        request.method,
        positional("content-md5"),
        positional("content-type"),
        resource(request),
    )
}

/// The path as sent, after the bucket where only the host names it, and the
/// sub-resources in order, their values not encoded.
fn resource(request: &Request) -> String {
    let bucket = request.bucket_in_host.map(|b| format!("/{b}"));
    let path = format!("{}{}", bucket.unwrap_or_default(), request.path);
    let mut parts: Vec<(&str, &str)> = request.query.to_vec();
    parts.retain(|(name, _)| SUBRESOURCES.contains(name));
    parts.sort_unstable();
    if parts.is_empty() {
        return path;
    }
    // "Its value if it has one": sent as `acl=`, signed as `acl`.
    let part = |&(name, value): &(&str, &str)| match value {
        "" => name.to_owned(),
        _ => format!("{name}={value}"),
    };
    let parts: Vec<String> = parts.iter().map(part).collect();
    format!("{path}?{}", parts.join("&"))
}

fn signature(secret: &str, text: &str) -> String {
    let mut mac =
        Hmac::<Sha1>::new_from_slice(secret.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(text.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{example, headers, value};
    use super::*;

    const PUPPY: &str = "/photos/puppy.jpg";

    /// Compares with the S3 User Guide, "Authentication examples".
    fn published(
        bucket_in_host: Option<&str>,
        (method, path, query): (&str, &str, &[(&str, &str)]),
        pairs: &[(&str, &str)],
        signature: &str,
    ) {
        let request = Request {
            method,
            host: "not signed",
            path,
            query,
            headers: &headers(pairs),
            payload_sha256: "not signed",
            bucket_in_host,
        };
        // Their dates end in "+0000", so they stand among the headers; the
        // only header to add is then the last.
        let added = sign(&request, &example(), Utc(0));
        let value = format!("AWS AKIAIOSFODNN7EXAMPLE:{signature}");
        assert_eq!(added, [header("authorization", value)]);
    }

    #[test]
    fn published_objects() {
        let bucket = Some("awsexamplebucket1");
        published(
            bucket,
            ("GET", PUPPY, &[]),
            &[("Date", "Tue, 27 Mar 2007 19:36:42 +0000")],
            "qgk2+6Sv9/oM7G3qLEjTH1a1l1g=",
        );
        published(
            bucket,
            ("PUT", PUPPY, &[]),
            &[
                ("Content-Type", "image/jpeg"),
                ("Content-Length", "94328"),
                ("Date", "Tue, 27 Mar 2007 21:15:45 +0000"),
            ],
            "iqRzw+ileNPu1fhspnRs8nOjjIA=",
        );
        published(
            None,
            ("GET", "/dictionary/fran%C3%A7ais/pr%c3%a9f%c3%a8re", &[]),
            &[("Date", "Wed, 28 Mar 2007 01:49:49 +0000")],
            "DNEZGsoieTZ92F3bUfSPQcbGmlM=",
        );
    }

    #[test]
    fn published_buckets() {
        let bucket = Some("awsexamplebucket1");
        let list = [
            ("prefix", "photos"),
            ("max-keys", "50"),
            ("marker", "puppy"),
        ];
        published(
            bucket,
            ("GET", "/", &list),
            &[("Date", "Tue, 27 Mar 2007 19:42:41 +0000")],
            "m0WP8eCtspQl5Ahe6L1SozdX9YA=",
        );
        published(
            bucket,
            ("GET", "/", &[("acl", "")]),
            &[("Date", "Tue, 27 Mar 2007 19:44:46 +0000")],
            "82ZHiFIjc+WbcwFKGUVEQspPn+0=",
        );
        published(
            None,
            ("GET", "/", &[]),
            &[("Date", "Wed, 28 Mar 2007 01:29:59 +0000")],
            "qGdzdERIC03wnaRNKh6OqZehG9s=",
        );
    }

    #[test]
    fn published_upload() {
        published(
            Some("static.awsexamplebucket1.net"),
            ("PUT", "/db-backup.dat.gz", &[]),
            &[
                ("User-Agent", "curl/7.15.5"),
                ("Date", "Tue, 27 Mar 2007 21:06:08 +0000"),
                ("x-amz-acl", "public-read"),
                ("content-type", "application/x-download"),
                ("Content-MD5", "4gJE4saaMU4BqNR0kLY+lw=="),
                ("X-Amz-Meta-ReviewedBy", "joe@awsexamplebucket1.net"),
                ("X-Amz-Meta-ReviewedBy", "jane@awsexamplebucket1.net"),
                ("X-Amz-Meta-FileChecksum", "0x02661779"),
                ("X-Amz-Meta-ChecksumAlgorithm", "crc32"),
                ("Content-Disposition", "attachment; filename=database.dat"),
                ("Content-Encoding", "gzip"),
                ("Content-Length", "5913339"),
            ],
            "dKZcB+bz2EPXgSdXZp9ozGeOM4I=",
        );
    }

    #[test]
    fn published_delete() {
        // The example shows x-amz-date in its request, but its signature is
        // that of a Date with this value, which is what its own string to
        // sign has.
        let path = "/awsexamplebucket1/photos/puppy.jpg";
        let date = "Tue, 27 Mar 2007 21:20:26 +0000";
        let signature = "XbyTlbQdu9Xw5o8P4iMwPktxQd8=";
        published(None, ("DELETE", path, &[]), &[("Date", date)], signature);
        // With x-amz-date, as the page's text and servers have it: an empty
        // line for the date. Computed with Python's hmac module.
        published(
            None,
            ("DELETE", path, &[]),
            &[
                ("Date", "Tue, 27 Mar 2007 21:20:27 +0000"),
                ("X-Amz-Date", date),
            ],
            "Ri1hpB1zpS9pGqR7y8kuNFCl4sE=",
        );
    }

    #[test]
    fn date_added_where_there_is_none() {
        let mut request = Request {
            method: "GET",
            host: "localhost",
            path: "/",
            query: &[],
            headers: &[],
            payload_sha256: "",
            bucket_in_host: None,
        };
        let now = Utc(784_111_777);
        let added = sign(&request, &example(), now);
        assert_eq!(value(&added, "date"), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
        let own = headers(&[("X-AMZ-Date", "Sun, 06 Nov 1994 08:49:37 GMT")]);
        request.headers = &own;
        assert_eq!(value(&sign(&request, &example(), now), "date"), None);
    }

    #[test]
    fn subresources_in_order() {
        assert!(SUBRESOURCES.is_sorted());
        let query = [
            ("versionId", "b c"),
            ("x-id", "1"),
            ("response-expires", "é&"),
            ("acl", ""),
        ];
        let request = Request {
            method: "GET",
            host: "localhost",
            path: "/k%20",
            query: &query,
            headers: &[],
            payload_sha256: "",
            bucket_in_host: Some("b"),
        };
        let expected = "/b/k%20?acl&response-expires=é&&versionId=b c";
        assert_eq!(resource(&request), expected);
    }
}
