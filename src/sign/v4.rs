//! AWS Signature Version 4 for the service `s3`, in the Authorization header,
//! with the whole payload's hash ("Signature Calculations for the
//! Authorization Header: Transferring Payload in a Single Chunk", S3 API
//! Reference).
//!
//! S3 differs from other services: the path is signed as it is sent, neither
//! encoded twice nor normalised. Cannot fail.

#![forbid(unsafe_code)]

use super::{Credentials, Request, canonical_headers, header};
use crate::text::time::Utc;
use crate::text::{hex, uri};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// See [`super::sign`].
pub(super) fn sign(
    request: &Request,
    credentials: &Credentials,
    region: &str,
    now: Utc,
) -> Vec<(String, String)> {
    let mut added = vec![
        header("x-amz-date", now.basic()),
        header("x-amz-content-sha256", request.payload_sha256),
    ];
    if let Some(token) = &credentials.token {
        added.push(header("x-amz-security-token", token));
    }
    let (canonical, signed_headers) = canonical_request(request, &added);
    let scope = format!("{}/{region}/s3/aws4_request", now.date());
    let hash = hex::encode(&Sha256::digest(canonical));
    let text = format!("{ALGORITHM}\n{}\n{scope}\n{hash}", now.basic());
    let key = signing_key(&credentials.secret, &now.date(), region);
    let signature = hex::encode(&mac(&key, &text));
    let id = &credentials.id;
    added.push(header(
        "authorization",
        format!(
            "{ALGORITHM} Credential={id}/{scope}, SignedHeaders={signed_headers}, \
             Signature={signature}"
        ),
    ));
    added
}

/// The canonical request, and the names of the headers that it covers.
fn canonical_request(request: &Request, added: &[(String, String)]) -> (String, String) {
    let host = [header("host", request.host)];
    let all = request.headers.iter().chain(added).chain(&host);
    let headers = canonical_headers(all, fold);
    let names: Vec<&str> = headers.keys().map(String::as_str).collect();
    let names = names.join(";");
    let lines: String = headers.iter().map(|(n, v)| format!("{n}:{v}\n")).collect();
    let canonical = format!(
        "{}\n{}\n{}\n{lines}\n{names}\n{}",
        request.method,
        request.path,
        uri::encode_query(request.query),
        request.payload_sha256,
    );
    (canonical, names)
}

/// The specification's Trimall: no blanks at the ends, single ones within.
fn fold(value: &str) -> String {
    let words: Vec<&str> = value.split_ascii_whitespace().collect();
    words.join(" ")
}

fn signing_key(secret: &str, date: &str, region: &str) -> Vec<u8> {
    let start = format!("AWS4{secret}").into_bytes();
    let scope = [date, region, "s3", "aws4_request"];
    scope.iter().fold(start, |key, part| mac(&key, part))
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{example, headers};
    use super::*;

    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn request<'a>(method: &'a str, path: &'a str) -> Request<'a> {
        Request {
            method,
            host: "examplebucket.s3.amazonaws.com",
            path,
            query: &[],
            headers: &[],
            payload_sha256: EMPTY,
            bucket_in_host: Some("examplebucket"),
        }
    }

    /// Compares with the S3 API Reference, "Examples: Signature Calculations":
    /// the canonical request's hash and the signature.
    fn published(request: &Request, names: &str, hash: &str, signature: &str) {
        let now = Utc::parse_basic("20130524T000000Z").unwrap();
        let mut added = sign(request, &example(), "us-east-1", now);
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, \
             SignedHeaders={names}, Signature={signature}"
        );
        assert_eq!(added.pop(), Some(header("authorization", authorization)));
        let rest = [
            header("x-amz-date", "20130524T000000Z"),
            header("x-amz-content-sha256", request.payload_sha256),
        ];
        assert_eq!(added, rest);
        let (canonical, _) = canonical_request(request, &added);
        assert_eq!(hex::encode(&Sha256::digest(canonical)), hash);
    }

    #[test]
    fn published_get_object() {
        let request = Request {
            headers: &headers(&[("Range", "bytes=0-9")]),
            ..request("GET", "/test.txt")
        };
        published(
            &request,
            "host;range;x-amz-content-sha256;x-amz-date",
            "7344ae5b7ee6c3e7e6b0fe0640412a37625d1fbfff95c48bbb2dc43964946972",
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        );
    }

    #[test]
    fn published_put_object() {
        let path = uri::encode_path("/test$file.text");
        let request = Request {
            headers: &headers(&[
                ("Date", "Fri, 24 May 2013 00:00:00 GMT"),
                ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
            ]),
            payload_sha256: &hex::encode(&Sha256::digest("Welcome to Amazon S3.")),
            ..request("PUT", &path)
        };
        published(
            &request,
            "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
            "9e0e90d9c76de8fa5b200d8c849cd5b8dc7a3be3951ddb7f6a76b4158342019d",
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        );
    }

    #[test]
    fn published_bucket_requests() {
        let names = "host;x-amz-content-sha256;x-amz-date";
        let lifecycle = Request {
            query: &[("lifecycle", "")],
            ..request("GET", "/")
        };
        published(
            &lifecycle,
            names,
            "9766c798316ff2757b517bc739a67f6213b4ab36dd5da2f94eaebf79c77395ca",
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        );
        let list = Request {
            query: &[("prefix", "J"), ("max-keys", "2")],
            ..request("GET", "/")
        };
        published(
            &list,
            names,
            "df57d21db20da04d7fa30298dd4488ba3a2b47ca3a489c74750e0f1e7df1b9b7",
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        );
    }

    #[test]
    fn blanks_are_folded() {
        assert_eq!(fold("  a  b\t \tc "), "a b c");
        assert_eq!(fold(" "), "");
    }
}
