//! Servers that lie: whatever comes, s3pipe ends, with one line and the right
//! status, in bounded memory, and with nothing on stdout that is not true.
//! This file has the answers that are XML; below it are HTTP and the streams.

mod liar;
mod streams;
mod wire;

use liar::{Liar, listing, response};
use std::io::Write;

const MIB: usize = 1 << 20;

fn contents(key: &str) -> String {
    format!("<Contents><Key>{key}</Key><Size>1</Size></Contents>")
}

/// Answers to `list` that are no listings; all are 69.
fn bad_listings() -> Vec<(&'static str, Vec<u8>)> {
    let good = contents("s3pipe/manifest/n");
    let text = |inner: &str| listing(inner).into_bytes();
    let entity = |dtd: &str| format!("<!DOCTYPE x [{dtd}]>{}", listing("&a;"));
    let laughs = {
        let next = |n: u32| format!("<!ENTITY a{n} \"{}\">", format!("&a{};", n + 1).repeat(10));
        let entities: String = (0..9).map(next).collect();
        format!(
            "<!DOCTYPE x [{entities}<!ENTITY a9 \"ha\">]>{}",
            listing("&a0;")
        )
    };
    let utf8 = listing(&good);
    let utf16 = utf8.encode_utf16().flat_map(u16::to_le_bytes);
    vec![
        ("empty", Vec::new()),
        ("blank", b" \r\n".to_vec()),
        ("17 MiB", text(&(good.clone() + &" ".repeat(17 * MIB)))),
        ("an entity", entity("<!ENTITY a \"b\">").into()),
        (
            "a file",
            entity("<!ENTITY a SYSTEM \"file:///etc/passwd\">").into(),
        ),
        ("laughs", laughs.into()),
        ("many elements", text(&"<Contents/>".repeat(200_000))),
        ("many texts", text(&"<a>b</a>".repeat(200_000))),
        (
            "deep",
            text(&("<a>".repeat(150_000) + &"</a>".repeat(150_000))),
        ),
        ("cut off", listing(&good).into_bytes()[..40].to_vec()),
        ("html", b"<html><body>Sign in</body></html>".to_vec()),
        ("json", b"{\"Contents\": []}".to_vec()),
        ("binary", (0..=255).collect()),
        ("zeros", vec![0; MIB]),
        ("UTF-16", utf16.collect()),
        ("bad UTF-8", text(&good).into_iter().chain([0xff]).collect()),
        ("no key", text("<Contents><Size>1</Size></Contents>")),
        ("a size", text(&good.replace('1', "-1"))),
        (
            "a large size",
            text(&good.replace('1', "18446744073709551616")),
        ),
        (
            "bad escapes",
            text(&format!(
                "<EncodingType>url</EncodingType>{}",
                contents("%zz")
            )),
        ),
        ("other keys", text(&contents("s3pipe/block/n"))),
        ("shorter keys", text(&contents("s3pipe/manifest"))),
        (
            "an advance that is none",
            text(&format!("<IsTruncated>true</IsTruncated>{good}")),
        ),
        (
            "a token for the same page",
            text(&format!(
                "<IsTruncated>true</IsTruncated>\
                 <NextContinuationToken>t</NextContinuationToken>{good}"
            )),
        ),
        (
            "more to come after nothing",
            text("<IsTruncated>true</IsTruncated>"),
        ),
        (
            "an error in a success",
            b"<Error><Code>InternalError</Code></Error>".to_vec(),
        ),
    ]
}

#[test]
fn bad_listings_are_refused() {
    let liar = Liar::start();
    assert_eq!(liar.run(&["list"]).ok().text(), "n\n");
    for (name, body) in bad_listings() {
        println!("{name}");
        liar.answer("GET /test?", response("200 OK", "", body));
        let outcome = liar.fails(&["list"], 69, "s3pipe: list: test");
        assert!(outcome.stdout.is_empty(), "{outcome}");
    }
}

/// Attributes are not what a listing consists of; a parser that compares each
/// with all others, or keeps them all, must not be fed with them for long.
#[test]
fn attributes_without_number() {
    let liar = Liar::start();
    for number in [100_000, 1_500_000] {
        println!("{number}");
        let attributes: String = (0..number).map(|n| format!(" a{n:x}=\"\"")).collect();
        let body = format!("<ListBucketResult{attributes}/>");
        assert!(body.len() < 17 * MIB);
        liar.answer("GET /test?", response("200 OK", "", body));
        liar.fails(&["list"], 69, "s3pipe: list: test");
    }
}

#[test]
fn an_endless_listing() {
    let liar = Liar::start();
    liar.tell(|_, stream| {
        let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                     12\r\n<ListBucketResult>\r\n";
        let piece = b"10\r\n<a>aaaaaaaaa</a>\r\n".repeat(4096);
        let mut fine = stream.write_all(head).is_ok();
        while fine {
            fine = stream.write_all(&piece).is_ok();
        }
        true
    });
    liar.fails(&["list"], 69, "is not a listing");
}

/// Names in a listing are another's text.
#[test]
fn listed_names_do_not_drive_the_terminal() {
    let liar = Liar::start();
    let keys = ["_1B_5B2J", "a_0Ab", "..", "_C2_9B", "a/b", "A%0A", ""];
    let body = keys.map(|key| contents(&format!("s3pipe/manifest/{key}")));
    liar.answer(
        "manifest%2F",
        response("200 OK", "", listing(&body.concat())),
    );
    let outcome = liar.run(&["list"]).ok();
    assert_eq!(outcome.text(), "\\x1b[2J\na\\x0ab\n\\xc2\\x9b\n");
}

/// Bodies of a 403, and what must not be lost of the first, or shown.
#[test]
fn bodies_of_errors() {
    let liar = Liar::start();
    let error = |code: &str, message: &str| {
        format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>").into_bytes()
    };
    let long = "x".repeat(60_000);
    let cases = [
        (
            "plain",
            error("AccessDenied", "No."),
            "403 AccessDenied: No",
        ),
        ("1 MiB", error("AccessDenied", &"x".repeat(MIB)), "403"),
        ("a long message", error("AccessDenied", &long), "403 Acc"),
        ("empty", Vec::new(), "403"),
        ("html", b"<html>\n<h1>No</h1>\n</html>".to_vec(), "403"),
        ("text", b"Go away\n".to_vec(), "403: Go away"),
        ("lines", b"Go\r\ns3pipe: away\n\n".to_vec(), "403: Go"),
        ("escapes", b"\x1b[2J\x1b]0;x\x07No\x08\n".to_vec(), "403"),
        ("C1", error("AccessDenied", "\u{9b}2J\u{85}No"), "403 Acc"),
        ("C1 text", "\u{9b}2J No".into(), "403"),
        (
            "references",
            error("AccessDenied", "&#27;[2J&#10;No"),
            "403",
        ),
        ("in the code", error("Access\nDenied\u{9b}", "No"), "403"),
        ("binary", (0..=255).collect(), "403"),
        ("zeros", vec![0; MIB], "403"),
        ("a DTD", b"<!DOCTYPE a><Error/>".to_vec(), "403"),
    ];
    for (name, body, text) in cases {
        println!("{name}");
        let whole = response("403 No", "", &body);
        liar.answer("GET", whole);
        liar.fails(&["list"], 77, &format!("s3pipe: list: test: {text}"));
        let mut chunked = b"HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        for piece in body.chunks(1000) {
            chunked.extend(format!("{:x}\r\n", piece.len()).bytes());
            chunked.extend([piece, b"\r\n"].concat());
        }
        liar.answer("GET", [&chunked[..], b"0\r\n\r\n"].concat());
        liar.fails(&["list"], 77, &format!("s3pipe: list: test: {text}"));
        // Cut off in the middle, the status alone is left.
        chunked.truncate(60);
        liar.answer("GET", chunked);
        liar.fails(&["list"], 77, "s3pipe: list: test: 403");
    }
}

/// A code is as foreign as a message, and no longer than one when shown.
#[test]
fn a_code_without_end() {
    let liar = Liar::start();
    let code = "x".repeat(60_000);
    let body = format!("<Error><Code>{code}</Code><Message>No</Message></Error>");
    liar.answer("GET", response("403 No", "", body));
    liar.fails(&["list"], 77, "s3pipe: list: test: 403");
}

/// The lines that -v adds are as clean as the last one.
#[test]
fn what_a_server_says_is_clean_in_every_line() {
    let liar = Liar::start();
    let message = "<Error><Code>AccessDenied</Code>\
                   <Message>No\u{9b}2J\ns3pipe: forged</Message></Error>";
    for body in [message.as_bytes(), b"\x1b[2J\ns3pipe: forged"] {
        liar.answer("GET", response("403 No", "", body));
        let outcome = liar.run(&["list", "-v", "--patience", "1s"]);
        assert!(matches!(outcome.status, 69 | 77), "{outcome}");
        for line in outcome.stderr.lines() {
            assert!(!line.chars().any(char::is_control), "{line:?}");
            assert!(!line.starts_with("s3pipe: forged"), "{line}");
        }
    }
}
