//! Lies below S3: heads that are none, lengths that cannot be, places to go
//! to instead, and time that is taken.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use super::liar::{Liar, listing, response, say};
use crate::proxy::{Answer, Fault, Match, Proxy};
use crate::support::{Outcome, Scratch, Server, s3pipe};

/// Answers that are no HTTP, or none that can be read.
fn bad_heads() -> Vec<(&'static str, Vec<u8>)> {
    let body = listing("");
    let with = |headers: &str| response("200 OK", headers, &body);
    let lengths = |lines: &str| format!("HTTP/1.1 200 OK\r\n{lines}\r\n{body}").into_bytes();
    let many: String = (0..1000).map(|n| format!("X-{n}: y\r\n")).collect();
    vec![
        ("nothing", Vec::new()),
        ("blank lines", b"\r\n\r\n\r\n".to_vec()),
        ("a header only", b"Content-Length: 0\r\n\r\n".to_vec()),
        ("HTTP/0.9", body.clone().into()),
        ("garbage", (0..=255u8).cycle().take(100_000).collect()),
        ("another protocol", b"SSH-2.0-OpenSSH_9.9\r\n".to_vec()),
        ("TLS", b"\x15\x03\x03\x00\x02\x02\x28".to_vec()),
        ("HTTP/2", b"\x00\x00\x00\x04\x00\x00\x00\x00\x00".to_vec()),
        ("no number", b"HTTP/1.1 OK\r\n\r\n".to_vec()),
        ("two digits", b"HTTP/1.1 20 OK\r\n\r\n".to_vec()),
        ("999", response("999 What", "", "")),
        ("1000", response("1000 What", "", "")),
        ("cut off", b"HTTP/1.1 200 OK\r\nContent-Le".to_vec()),
        ("large", with(&format!("X: {}\r\n", "y".repeat(100 << 10)))),
        ("endless", with(&format!("X: {}\r\n", "y".repeat(20 << 20)))),
        ("1000 headers", with(&many)),
        ("a name with a blank", with("X Y: z\r\n")),
        ("a NUL", with("X: \0\r\n")),
        ("2^64", lengths("Content-Length: 18446744073709551616\r\n")),
        ("2^63", lengths("Content-Length: 9223372036854775808\r\n")),
        ("negative", lengths("Content-Length: -1\r\n")),
        ("no length", lengths("Content-Length: x\r\n")),
        (
            "two lengths",
            lengths("Content-Length: 5\r\nContent-Length: 39\r\n"),
        ),
        ("a bad chunk", lengths("Transfer-Encoding: chunked\r\n")),
    ]
}

#[test]
fn heads() {
    let liar = Liar::start();
    for (name, bytes) in bad_heads() {
        println!("{name}");
        liar.answer("GET", bytes.clone());
        liar.fails(&["list"], 69, "s3pipe: list: test: ");
    }
}

/// The same for an answer whose body would go straight into its block.
#[test]
fn heads_of_blocks() {
    let liar = Liar::start();
    for (name, bytes) in bad_heads() {
        println!("{name}");
        liar.answer("/0000000001.", bytes.clone());
        let mut outcome = liar.run(&["--retry=2", "--timeout=5s", "download", "-s", "n"]);
        assert!(matches!(outcome.status, 65 | 69), "{outcome}");
        outcome = outcome.fails_cleanly();
        assert!(outcome.stdout == liar.first_block(), "{outcome}");
    }
}

trait Clean {
    fn fails_cleanly(self) -> Self;
}

impl Clean for Outcome {
    /// Whatever the status: one line without control characters.
    fn fails_cleanly(self) -> Outcome {
        let status = self.status;
        let outcome = self.fails(status, "s3pipe: ");
        let line = outcome.stderr.trim_end_matches('\n');
        assert!(!line.chars().any(char::is_control), "{line:?}");
        outcome
    }
}

#[test]
fn interim_answers_without_end() {
    let liar = Liar::start();
    liar.tell(|_, stream| {
        while stream
            .write_all(&b"HTTP/1.1 100 Continue\r\n\r\n".repeat(99))
            .is_ok()
        {}
        true
    });
    for (args, text) in [
        (&["list"][..], "s3pipe: list: test: "),
        (&["upload", "-s", "new"], "s3pipe: upload: test/s3pipe/"),
    ] {
        let all = [&["--timeout=1s", "--retry=1"], args].concat();
        liar.run(&all).fails(69, text);
    }
}

/// What stands between the pieces of a body and behind its last one has an end,
/// however it comes; so the request is made again, as often as it may be.
#[test]
fn trailers_without_end() {
    let liar = Liar::start();
    let chunked = |body: &[u8]| {
        let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let size = format!("{:x}\r\n", body.len());
        [head, size.as_bytes(), body, b"\r\n"].concat()
    };
    let list = chunked(listing("").as_bytes());
    let manifest = chunked(liar.object("manifest/"));
    for (name, first, again) in [
        ("trailers", "0\r\n", "X: y\r\n"),
        ("a trailer", "0\r\nX: ", "y"),
        ("a size", "", "0"),
        ("an extension", "5;x=", "y"),
    ] {
        let (list, manifest) = (list.clone(), manifest.clone());
        println!("{name}");
        liar.tell(move |request, stream| {
            let whole = if request.contains("?") {
                &list
            } else {
                &manifest
            };
            let lies = request.contains("manifest");
            lies && {
                let mut fine = stream.write_all(whole).is_ok();
                fine = fine && stream.write_all(first.as_bytes()).is_ok();
                while fine {
                    fine = stream.write_all(again.repeat(999).as_bytes()).is_ok();
                }
                true
            }
        });
        liar.fails(&["list"], 69, "s3pipe: list: test: ");
        let outcome = liar.fails(&["download", "-s", "n"], 69, "/manifest/n: ");
        assert!(outcome.stdout.is_empty(), "{outcome}");
    }
}

/// Bytes behind an answer are not the answer to the next request.
#[test]
fn an_answer_that_nobody_asked_for() {
    let liar = Liar::start();
    let manifest = liar.object("manifest/").to_vec();
    let forged = response("404 Not Found", "", "<Error><Code>NoSuchKey</Code></Error>");
    let both = [response("200 OK", "", manifest), forged].concat();
    liar.tell(move |request, stream| {
        let lies = request.starts_with("GET /test/s3pipe/manifest/");
        lies && {
            // The connection stays open for the next request, if one comes.
            let _ = say(stream, &both) && stream.read(&mut [0]).is_ok();
            true
        }
    });
    let outcome = liar
        .run(&["--timeout=5s", "--retry=2", "download", "-s", "n"])
        .ok();
    assert_eq!(outcome.stdout, liar.data);
}

#[test]
fn redirects_are_not_followed() {
    let liar = Liar::start();
    let nobody = "127.0.0.1:9".parse().expect("an address");
    let other = Proxy::start(nobody);
    other.always(Match::any(), Fault::Status(Answer::access_denied()));
    let (url, host) = (other.url(), other.addr());
    for status in ["301 Moved", "302 Found", "307 Temporary", "308 Moved"] {
        for (headers, region) in [
            (format!("Location: {url}/test\r\n"), ""),
            (format!("Location: //{host}/test\r\n"), ""),
            ("x-amz-bucket-region: evil.example/\r\n".into(), ""),
            ("x-amz-bucket-region: \r\n".into(), ""),
            (String::new(), "<Region>evil.example/x</Region>"),
            (String::new(), "<Region>a@evil.example</Region>"),
        ] {
            println!("{status} {headers} {region}");
            let body = format!(
                "<Error><Code>PermanentRedirect</Code><Endpoint>{host}</Endpoint>{region}</Error>"
            );
            liar.answer("", response(status, &headers, body));
            liar.fails(&["list"], 78, "s3pipe: list: test: 30");
            assert_eq!(liar.requests().len(), 1);
        }
    }
    // A region that could be one changes the signature, not the host; there
    // and back for ever is not what it does.
    let turn = AtomicUsize::new(0);
    liar.tell(move |_, stream| {
        let turn = turn.fetch_add(1, Ordering::Relaxed);
        let headers = format!("Location: {url}/\r\nx-amz-bucket-region: r-{turn}\r\n");
        let answer = response("301 Moved", &headers, "");
        say(stream, &answer)
    });
    liar.fails(&["list"], 78, "s3pipe: list: test: 301");
    assert!(liar.requests().len() < 10, "{:?}", liar.requests());
    assert_eq!(other.connections(), 0);
}

#[test]
fn a_wish_for_patience_that_nobody_has() {
    let liar = Liar::start();
    for wish in [
        "31536000",
        "99999999999999999999",
        "-1",
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "soon",
    ] {
        let headers = format!("Retry-After: {wish}\r\n");
        let error = "<Error><Code>SlowDown</Code></Error>";
        liar.answer("", response("503 Slow Down", &headers, error));
        let outcome = liar.run(&["--patience=1s", "list"]);
        outcome.fails(69, "503 SlowDown (gave up after");
    }
}

/// Holds a connection until the client closes it.
fn hold(stream: &mut TcpStream) -> bool {
    while matches!(stream.read(&mut [0; 64]), Ok(1..)) {}
    true
}

#[test]
fn silence() {
    let liar = Liar::start();
    let brief = ["--timeout=1s", "--patience=2s"];
    liar.tell(|_, stream| hold(stream));
    let outcome = liar.run(&[brief[0], brief[1], "list"]);
    outcome.fails(69, "no answer within 1 s");
    let manifest = liar.object("manifest/").to_vec();
    let half = response("200 OK", "", &manifest)[..100].to_vec();
    liar.tell(move |request, stream| {
        request.contains("/manifest/") && { say(stream, &half) && hold(stream) }
    });
    let outcome = liar.run(&[brief[0], brief[1], "download", "-s", "n"]);
    let outcome = outcome.fails(69, "s3pipe: download: test/s3pipe/manifest/n: ");
    assert!(outcome.stdout.is_empty(), "{outcome}");
}

/// Patience counts from the start of the first attempt that fails, and bounds
/// the wait for an answer, but for five seconds.
#[test]
fn patience_is_a_bound() {
    let liar = Liar::start();
    liar.tell(|_, stream| hold(stream));
    for (patience, args, text) in [
        (
            "5s",
            &["list"][..],
            "no answer within 5 s (gave up after 1 attempt in ",
        ),
        (
            "1s",
            &["download", "-s", "n"],
            "no answer within 5 s (gave up after 1 ",
        ),
        (
            "7s",
            &["upload", "-s", "new"],
            "no answer within 7 s (gave up after 1 ",
        ),
        (
            "0",
            &["--timeout=1s", "--retry=1", "list"],
            "gave up after 2 attempts in ",
        ),
    ] {
        let all = [&["--patience", patience], args].concat();
        liar.run(&all).fails(69, text);
    }
}

/// Slow is not dead: while bytes come, there is no stall.
#[test]
fn a_byte_now_and_then() {
    let liar = Liar::start();
    let answer = response("200 OK", "", liar.object("manifest/"));
    liar.tell(move |request, stream| {
        request.contains("/manifest/") && {
            let (slow, rest) = answer.split_at(20);
            for byte in slow {
                thread::sleep(Duration::from_millis(100));
                say(stream, &[*byte]);
            }
            say(stream, rest)
        }
    });
    let outcome = liar.run(&["--timeout=1s", "--retry=2", "download", "-s", "n"]);
    assert_eq!(outcome.ok().stdout, liar.data);
}

/// Where TLS is expected, anything else is no server.
#[test]
fn no_tls() {
    let scratch = Scratch::new();
    let server = Server::embedded_tls(&scratch);
    for bytes in [
        &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
        b"\x16\x03\x03\xff\xff",
        b"",
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let served = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            say(&mut stream, bytes);
            let _ = stream.shutdown(Shutdown::Write);
            hold(&mut stream)
        });
        let run = s3pipe(&server).args(["list", "--retry=0", "--timeout=5s"]);
        let run = run.option("--endpoint", &format!("https://127.0.0.1:{port}"));
        run.run().fails_cleanly().fails(69, "s3pipe: list: test: ");
        assert!(served.join().expect("a server"));
    }
}
