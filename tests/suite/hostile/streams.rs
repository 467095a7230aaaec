//! Lies about a stream itself: its manifest, index and blocks. What is not
//! proved is not written; a true block that comes before a lie may be.

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::MIB;
use super::liar::{Liar, response, say};

const MANIFEST: &str = "GET /test/s3pipe/manifest/n";
const INDEX: &str = "GET /test/s3pipe/index/";
const SECOND: &str = "/0000000001.";
const DOWNLOAD: [&str; 3] = ["download", "-s", "n"];

fn ok(body: impl AsRef<[u8]>) -> Vec<u8> {
    response("200 OK", "", body)
}

#[test]
fn manifests() {
    let liar = Liar::start();
    let outcome = liar.run(&DOWNLOAD).ok();
    assert_eq!(outcome.stdout, liar.data);
    let truth = String::from_utf8(liar.object("manifest/").to_vec()).expect("text");
    let with = |from: &str, to: &str| {
        assert!(truth.contains(from), "{from}: {truth}");
        truth.replace(from, to).into_bytes()
    };
    let cases = [
        ("17 MiB", (truth.clone() + &"x\n".repeat(9 * MIB)).into()),
        ("empty", Vec::new()),
        ("binary", (0..=255).collect()),
        ("html", b"<html>Sign in</html>".to_vec()),
        ("cut off", truth.as_bytes()[..truth.len() - 1].to_vec()),
        ("without its end", with("end ", "and ")),
        ("another version", with("manifest 2", "manifest 3")),
        (
            "a version of escapes",
            with("manifest 2", "manifest \u{9b}2J"),
        ),
        ("another stream's", with("stream n", "stream m")),
        ("encrypted", with("encryption none", "encryption rot13")),
        ("another hash", with("hash sha256", "hash md5")),
        (
            "large blocks",
            with("blocksize 65536", "blocksize 4294967296"),
        ),
        ("no blocks", with("blocksize 65536", "blocksize 0")),
        ("longer", with(" 66536 ", " 66537 ")),
        ("much longer", with(" 66536 ", " 18446744073709551615 ")),
        ("twice", [truth.as_bytes(), truth.as_bytes()].concat()),
        ("CRLF", with("\n", "\r\n")),
    ];
    for (name, body) in cases {
        println!("{name}");
        liar.store("/s3pipe/manifest/n", ok(&body));
        liar.fails(&DOWNLOAD, 65, "s3pipe/manifest/n: ");
        liar.store("/s3pipe/manifest/n", ok(&body));
        liar.fails(&["info", "-s", "n"], 65, "s3pipe/manifest/n: ");
    }
}

#[test]
fn endless_objects() {
    let liar = Liar::start();
    for part in [MANIFEST, INDEX, SECOND] {
        println!("{part}");
        liar.tell(move |request, stream| {
            if !request.contains(part) {
                return false;
            }
            let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
            let piece = [&b"10000\r\n"[..], &[b'x'; 0x10000], b"\r\n"].concat();
            let mut fine = stream.write_all(head).is_ok();
            while fine {
                fine = stream.write_all(&piece).is_ok();
            }
            true
        });
        // HEAD shows an index and a block of the right length.
        let status = if part == MANIFEST { 65 } else { 69 };
        liar.fails(&DOWNLOAD, status, "s3pipe: download: test/s3pipe/");
    }
}

#[test]
fn indexes() {
    let liar = Liar::start();
    let truth = liar.object("index/").to_vec();
    let mut flipped = truth.clone();
    flipped[3] ^= 1;
    let cases = [
        ("large", b"x".repeat(MIB)),
        ("empty", Vec::new()),
        ("flipped", flipped),
        ("twice", truth.repeat(2)),
        ("cut off", truth[..truth.len() - 1].to_vec()),
    ];
    for (name, body) in cases {
        println!("{name}");
        liar.store("/s3pipe/index/", ok(body));
        let outcome = liar.fails(&DOWNLOAD, 65, "s3pipe/index/n/");
        assert!(outcome.stdout.is_empty(), "{outcome}");
    }
    let missing = "<Error><Code>NoSuchKey</Code></Error>";
    liar.answer(INDEX, response("404 Not Found", "", missing));
    liar.fails(&DOWNLOAD, 65, "missing from a committed stream");
    // Not in S3's words: the index may be there.
    liar.answer(INDEX, response("404 Not Found", "", ""));
    liar.fails(&DOWNLOAD, 69, "404");
}

/// Answers to the GET of the second block.
fn bad_blocks(truth: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut flipped = truth.to_vec();
    flipped[truth.len() / 2] ^= 1;
    let longer = [truth, b"x"].concat();
    vec![
        ("flipped", ok(flipped)),
        ("empty", ok("")),
        ("longer", ok(&longer)),
        ("much longer", ok(vec![b'x'; 8 * MIB])),
        ("shorter", ok(&truth[1..])),
    ]
}

/// Answers that are no part of any object, or whose HEAD tells no length: they
/// cannot be what is stored.
fn odd_blocks(truth: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let longer = [truth, b"x"].concat();
    let open = [b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", &longer[..]].concat();
    let much = [&open[..], &vec![b'x'; 8 * MIB]].concat();
    let mut chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    chunked.extend(format!("{:x}\r\n", longer.len()).bytes());
    chunked.extend([&longer[..], b"\r\n0\r\n\r\n"].concat());
    let range = |value: &str| {
        let header = format!("Content-Range: {value}\r\n");
        response("206 Partial Content", &header, truth)
    };
    vec![
        ("longer, of unknown length", open),
        ("much longer, of unknown length", much),
        ("longer, chunked", chunked),
        ("another place", range("bytes 5-1004/2000")),
        ("another size", range("bytes 0-999/2000")),
        ("a range of nothing", range("bytes */1000")),
        ("a range of nonsense", range("bytes x-y/z")),
        ("a large range", range("bytes 18446744073709551616-1/1000")),
        ("an empty range", range("")),
    ]
}

#[test]
fn blocks() {
    let liar = Liar::start();
    let truth = liar.object(SECOND).to_vec();
    assert_eq!(truth.len(), 1000);
    let bad = bad_blocks(&truth).into_iter().map(|bad| (bad, 65));
    let odd = odd_blocks(&truth).into_iter().map(|odd| (odd, 69));
    for ((name, answer), status) in bad.chain(odd) {
        println!("{name}");
        liar.store(SECOND, answer);
        let outcome = liar.fails(&DOWNLOAD, status, "/0000000001.");
        assert!(outcome.stdout == liar.first_block(), "{outcome}");
        let far = format!("{} bytes were written", liar.first_block().len());
        assert!(outcome.stderr.contains(&far), "{outcome}");
    }
    // What is right is believed, whatever its header says of a range's end.
    let header = "Content-Range: bytes 0-5/1000\r\n";
    liar.answer(SECOND, response("206 Partial Content", header, &truth));
    assert_eq!(liar.run(&DOWNLOAD).ok().stdout, liar.data);
}

/// A part, an error in the guise of the rest, a part again: the pieces that
/// are put together must be the block, or are thrown away.
#[test]
fn a_range_that_is_answered_by_another() {
    let liar = Liar::start();
    let truth = liar.object(SECOND).to_vec();
    let part = truth[..400].to_vec();
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n";
    let rests = [
        (
            "the wrong bytes",
            "bytes 400-999/1000",
            truth[..600].to_vec(),
        ),
        ("too few", "bytes 400-899/1000", truth[400..900].to_vec()),
        ("too many", "bytes 400-1399/1400", truth.clone()),
        ("the beginning", "bytes 0-599/1000", truth[..600].to_vec()),
    ];
    for (name, range, rest) in rests {
        println!("{name}");
        let whole = [head.as_bytes(), &part].concat();
        let header = format!("Content-Range: {range}\r\n");
        let rest = response("206 Partial Content", &header, rest);
        let turn = AtomicUsize::new(0);
        liar.tell(move |request, stream| {
            if !request.contains(SECOND) {
                return false;
            }
            let turn = turn.fetch_add(1, Ordering::Relaxed);
            say(stream, [&whole, &rest][turn % 2])
        });
        let args = ["--patience=3s", "--timeout=5s", "download", "-s", "n"];
        let outcome = liar.run(&args);
        let status = outcome.status;
        assert!(matches!(status, 65 | 69), "{outcome}");
        let outcome = outcome.fails(status, "/0000000001.");
        assert!(outcome.stdout == liar.first_block(), "{outcome}");
    }
}

/// A page to sign in at, a server that says yes to everything.
#[test]
fn servers_that_are_none() {
    let liar = Liar::start();
    let upload = ["upload", "-s", "new"];
    let stored = |liar: &Liar| liar.requests().iter().any(|r| r.contains("block"));
    for body in ["<html>Sign in</html>", "", "ok", "<Error/>"] {
        for status in ["200 OK", "204 No Content"] {
            println!("{status} {body}");
            let body = if status.starts_with("204") { "" } else { body };
            liar.answer("", response(status, "", body));
            liar.fails(&["list"], 69, "is not a listing");
            liar.fails(&DOWNLOAD, 65, "bad manifest");
            let why = "s3pipe/manifest/new: bad manifest";
            let outcome = liar.fails(&upload, 65, why);
            // There is nothing that -f could replace.
            assert!(!outcome.stderr.contains("-f"), "{outcome}");
            assert!(!stored(&liar), "{:?}", liar.requests());
        }
    }
    // Everything is taken, and nothing is kept.
    liar.answer("PUT", ok(""));
    let why = "does not prove that it was stored: it has no ETag";
    liar.fails(&upload, 69, why);
    assert!(!stored(&liar), "{:?}", liar.requests());
}
