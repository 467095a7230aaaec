//! The XML that S3 speaks: error bodies, listings, bulk deletes; pure.
//!
//! Answers are foreign text: their size is bounded by the reader, DTDs and so
//! entity tricks are refused by the parser, and the number of nodes is limited
//! here. Element names are matched without their namespace, since
//! servers differ in it.

use roxmltree::{Document, Node, ParsingOptions};

use super::fault::ErrorResponse;
use crate::text::uri;

/// The largest listing or bulk-delete answer that is read, in bytes: a
/// thousand keys of 1024 bytes, encoded, come to 4 MiB.
pub const LISTING_LIMIT: usize = 16 << 20;

/// The largest error body that is read, in bytes.
pub const ERROR_LIMIT: usize = 64 << 10;

/// The largest number of elements in an answer: a thousand keys have a dozen.
const NODES: u32 = 100_000;

/// The longest tag, attributes included, in bytes.
const TAG_LIMIT: usize = 4096;

/// One page of ListObjectsV2.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Keys and sizes, in the order of the answer.
    pub objects: Vec<Object>,
    /// Whether there is more.
    pub truncated: bool,
    /// Where to go on.
    pub token: Option<String>,
}

/// An object in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its key, decoded.
    pub key: String,
    /// Its size in bytes.
    pub size: u64,
    /// When it was last written, as the server has it (RFC 3339).
    pub modified: String,
}

/// Read an error body: code, message and region. None if it is none.
pub fn error(body: &[u8]) -> Option<ErrorResponse> {
    let text = text(body).filter(|text| text.trim_start().starts_with('<'))?;
    let doc = parse(text)?;
    let root = doc.root_element();
    // Some servers wrap it, as SQS and old EC2 do.
    let error = match root.tag_name().name() {
        "Error" => root,
        _ => child(root, "Error")?,
    };
    let get = |name| value(error, name).map(str::to_string);
    Some(ErrorResponse {
        code: get("Code").filter(|code| is_code(code))?,
        message: get("Message").unwrap_or_default(),
        region: get("Region").filter(|r| is_region(r)),
        ..ErrorResponse::default()
    })
}

fn is_code(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    (1..=100).contains(&text.len()) && text.bytes().all(plain)
}

/// A name that may stand in a host name and in a credential scope.
pub fn is_region(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    !text.is_empty() && text.len() <= 64 && text.bytes().all(plain)
}

/// Read a page of the listing of `prefix`. None if it is none.
pub fn page(body: &[u8], prefix: &str) -> Option<Page> {
    let doc = parse(text(body)?)?;
    let root = doc.root_element();
    if root.tag_name().name() != "ListBucketResult" {
        return None;
    }
    let encoded = value(root, "EncodingType") == Some("url");
    let decode = |key: &str| {
        if encoded {
            decode(key, prefix)
        } else {
            Some(key.to_string())
        }
    };
    let mut page = Page {
        truncated: value(root, "IsTruncated").is_some_and(|v| v.trim() == "true"),
        token: value(root, "NextContinuationToken")
            .filter(|token| !token.is_empty())
            .map(str::to_string),
        ..Page::default()
    };
    for contents in children(root, "Contents") {
        page.objects.push(Object {
            key: decode(value(contents, "Key")?)?,
            size: value(contents, "Size")?.trim().parse().ok()?,
            modified: value(contents, "LastModified").unwrap_or("").to_string(),
        });
    }
    Some(page)
}

/// Decode a key. A plus is itself, but rclone writes one for a blank, and s3s
/// says that it encodes and does not: what begins as asked for is right.
fn decode(key: &str, prefix: &str) -> Option<String> {
    let readings = [
        uri::decode(key, false),
        uri::decode(key, true),
        Some(key.to_string()),
    ];
    let fits = |key: &String| key.starts_with(prefix);
    let mut readings = readings.into_iter().flatten();
    readings.find(fits).or_else(|| uri::decode(key, false))
}

/// The body of a DeleteObjects request.
pub fn delete_request(keys: &[String]) -> String {
    let mut body = String::from("<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    for key in keys {
        body.push_str(&format!("<Object><Key>{}</Key></Object>", escape(key)));
    }
    body.push_str("</Delete>");
    body
}

/// The answer to DeleteObjects: the keys that it says are gone. None if it is
/// no such answer. What failed is not listed: whoever asked tries it alone.
pub fn delete_result(body: &[u8]) -> Option<Vec<String>> {
    let doc = parse(text(body)?)?;
    let root = doc.root_element();
    if root.tag_name().name() != "DeleteResult" {
        return None;
    }
    let key = |node| value(node, "Key").map(str::to_string);
    Some(children(root, "Deleted").filter_map(key).collect())
}

/// The body of a CreateBucket request for a region.
pub fn create_bucket(region: &str) -> String {
    format!(
        "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
         <LocationConstraint>{}</LocationConstraint></CreateBucketConfiguration>",
        escape(region)
    )
}

/// Control characters cannot stand in XML 1.0 unless they are white space;
/// written as references they are at least the server's to judge.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() => out.push_str(&format!("&#{};", c as u32)),
            c => out.push(c),
        }
    }
    out
}

fn text(body: &[u8]) -> Option<&str> {
    std::str::from_utf8(body).ok()
}

fn parse(text: &str) -> Option<Document<'_>> {
    if !is_modest(text) {
        return None;
    }
    let options = ParsingOptions {
        nodes_limit: NODES,
        ..ParsingOptions::default()
    };
    Document::parse_with_options(text.trim_start(), options).ok()
}

/// The parser reserves memory for every `<`, and compares every attribute of
/// an element with every other: answers that S3 never gives could cost much.
/// Comments and the like, which may hold anything, are not S3's either.
fn is_modest(text: &str) -> bool {
    let (mut tags, mut length) = (0, 0);
    let (mut inside, mut quote) = (false, None);
    for pair in text.as_bytes().windows(2) {
        match (inside, quote, pair[0]) {
            (false, _, b'<') => {
                (inside, length, tags) = (true, 0, tags + 1);
                if pair[1] == b'!' {
                    return false;
                }
            }
            (true, None, b'>') => inside = false,
            (true, None, q @ (b'"' | b'\'')) => quote = Some(q),
            (true, Some(q), b) if q == b => quote = None,
            _ => {}
        }
        length += 1;
        if tags > NODES || (inside && length > TAG_LIMIT) {
            return false;
        }
    }
    true
}

fn children<'a, 'd: 'a>(
    node: Node<'a, 'd>,
    name: &'a str,
) -> impl Iterator<Item = Node<'a, 'd>> + 'a {
    node.children()
        .filter(move |n| n.is_element() && n.tag_name().name() == name)
}

fn child<'a, 'd: 'a>(node: Node<'a, 'd>, name: &'a str) -> Option<Node<'a, 'd>> {
    children(node, name).next()
}

/// The text of a child element; empty if it has none.
fn value<'a, 'd: 'a>(node: Node<'a, 'd>, name: &'a str) -> Option<&'a str> {
    child(node, name).map(|n| n.text().unwrap_or(""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Random;

    #[test]
    fn errors_of_several_servers() {
        let aws = br#"<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>AuthorizationHeaderMalformed</Code><Message>The region is wrong</Message><Region>eu-west-1</Region></Error>"#;
        let found = error(aws).unwrap();
        assert_eq!(found.code, "AuthorizationHeaderMalformed");
        assert_eq!(found.region.as_deref(), Some("eu-west-1"));
        let rgw = b"<Error><Code>NoSuchKey</Code><Message></Message></Error>";
        assert_eq!(error(rgw).unwrap().message, "");
        let wrapped = b"<ErrorResponse><Error><Code>X</Code></Error></ErrorResponse>";
        assert_eq!(error(wrapped).unwrap().code, "X");
        let evil = b"<Error><Code>X</Code><Region>evil.example/</Region></Error>";
        assert_eq!(error(evil).unwrap().region, None);
        for none in [
            "",
            "<html><body>Bad gateway</body></html>",
            "<Error",
            "plain",
            "<Error/>",
        ] {
            assert_eq!(error(none.as_bytes()), None, "{none}");
        }
    }

    #[test]
    fn listings_are_decoded_only_when_they_say_so() {
        let listing = |head: &str, key: &str| {
            format!(
                "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{head}\
                 <Contents><Key>{key}</Key><LastModified>2026-01-02T03:04:05.000Z</LastModified>\
                 <Size>5</Size></Contents></ListBucketResult>"
            )
        };
        let key = |text: String, prefix| {
            let page = page(text.as_bytes(), prefix).unwrap();
            page.objects[0].key.clone()
        };
        let url = "<EncodingType>url</EncodingType>";
        assert_eq!(key(listing(url, "a%2Fb+c%7E&apos;"), "a/b c"), "a/b c~'");
        assert_eq!(key(listing(url, "a%2Fb+c%7E&apos;"), "a/b"), "a/b+c~'");
        assert_eq!(key(listing(url, "a%2Fb"), "a%2F"), "a%2Fb");
        assert_eq!(key(listing("", "a%2Fb+c&amp;"), ""), "a%2Fb+c&");
        assert_eq!(page(listing(url, "%zz").as_bytes(), "a"), None);
        let more =
            "<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>";
        let got = page(listing(more, "k").as_bytes(), "").unwrap();
        assert!(got.truncated);
        assert_eq!(got.token.as_deref(), Some("t"));
        assert_eq!((got.objects[0].size, got.objects.len()), (5, 1));
    }

    #[test]
    fn hostile_answers_are_refused() {
        let laughs = "<!DOCTYPE x [<!ENTITY a \"aaaa\">]><Error><Code>&a;</Code></Error>";
        assert_eq!(error(laughs.as_bytes()), None);
        let many = "<Contents/>".repeat(NODES as usize + 1);
        assert_eq!(
            page(
                format!("<ListBucketResult>{many}</ListBucketResult>").as_bytes(),
                ""
            ),
            None
        );
        let deep = "<a>".repeat(50_000) + &"</a>".repeat(50_000);
        assert_eq!(page(deep.as_bytes(), ""), None);
        assert_eq!(error(b"<Error><Code>\xff</Code></Error>"), None);
    }

    #[test]
    fn bulk_delete_survives_odd_keys() {
        let body = delete_request(&["a<&>\"'\u{1}".into(), "ü".into()]);
        assert!(body.contains("<Key>a&lt;&amp;&gt;&quot;'&#1;</Key>"));
        let answer = b"<DeleteResult><Deleted><Key>a</Key></Deleted>\
            <Error><Key>b</Key><Code>AccessDenied</Code></Error></DeleteResult>";
        assert_eq!(delete_result(answer).unwrap(), ["a"]);
        assert_eq!(delete_result(b"<Deleted><Key>a</Key></Deleted>"), None);
    }

    /// Whatever a server sends, parsing ends, and without a panic.
    #[test]
    fn random_answers_do_not_panic() {
        let seeds = [
            "<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>\
             <Contents><Key>a%20</Key><Size>1</Size></Contents></ListBucketResult>",
            "<Error><Code>NoSuchKey</Code><Message>m</Message><Region>r</Region></Error>",
            "<DeleteResult><Deleted><Key>a</Key></Deleted><Error><Key>b</Key></Error></DeleteResult>",
        ];
        let mut random = Random(88_172_645_463_325_252);
        for round in 0..20_000 {
            let text = random.input(seeds[round % 3], b"<>&%/;\"\xff");
            let _ = (page(&text, "a"), error(&text), delete_result(&text));
        }
    }
}
