//! Requests to a stand-in of such a place.

use std::io::Write;
use std::net::TcpListener;
use std::thread;

use super::super::testing::Place;
use super::*;

const SHORT: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_secs(30);

#[test]
fn origins() {
    for (url, host, shown) in [
        ("http://127.0.0.1:1/a?b", "127.0.0.1", "http://127.0.0.1:1"),
        ("http://LocalHost", "localhost", "http://LocalHost"),
        ("https://[::1]:2/", "[::1]", "https://[::1]:2"),
        ("HTTP://a/hush", "a", "http://a"),
    ] {
        let origin = origin(url).unwrap();
        assert_eq!((&*origin.host, &*origin.shown), (host, shown), "{url}");
    }
    for url in [
        "",
        "/a",
        "a",
        "ftp://a/",
        "http://",
        "http://u@a/",
        "http://127.0.0.1@evil/",
        "http://u:p@a/",
        "http://a b/",
        "file:///etc/passwd",
    ] {
        assert!(origin(url).is_none(), "{url}");
    }
}

#[test]
fn an_empty_put_and_a_get_on_one_connection() {
    let place = Place::start(vec![(200, "one"), (404, "")]);
    let mut nearby = Nearby::new(LONG, LONG);
    let reply = nearby.send("PUT", &place.url("/a?b"), &[("x-y", "z")]);
    let reply = reply.unwrap();
    assert_eq!((reply.status, &*reply.body), (200, &b"one"[..]));
    let reply = nearby.send("GET", &place.url("/c"), &[]).unwrap();
    assert_eq!((reply.status, &*reply.body), (404, &b""[..]));
    let seen = place.seen();
    assert!(seen[0].starts_with("PUT /a?b HTTP/1.1\r\n"), "{seen:?}");
    assert!(seen[0].contains("\r\nx-y: z\r\n"), "{seen:?}");
    assert!(seen[0].contains("\r\ncontent-length: 0\r\n"), "{seen:?}");
    assert!(seen[1].starts_with("GET /c HTTP/1.1\r\n"), "{seen:?}");
    assert!(!seen[1].contains("content-length"), "{seen:?}");
}

#[test]
fn what_is_read_is_bounded_and_no_redirect_followed() {
    let long = "x".repeat(LIMIT * 3);
    let place = Place::start(vec![(200, &long), (302, "")]);
    let mut nearby = Nearby::new(LONG, LONG);
    let reply = nearby.send("GET", &place.url("/"), &[]).unwrap();
    assert_eq!(reply.body.len(), LIMIT + 1);
    let reply = nearby.send("GET", &place.url("/"), &[]).unwrap();
    assert_eq!((reply.status, place.seen().len()), (302, 2));
}

#[test]
fn no_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hush", listener.local_addr().unwrap());
    let get = |limit, url: &str| Nearby::new(LONG, limit).send("GET", url, &[]).err();
    // It takes the connection, and never answers.
    assert_eq!(get(SHORT, &url).as_deref(), Some("no answer"));
    let why = get(LONG, "http://127.0.0.1:9/hush").unwrap();
    assert!(why.contains("refused") && !why.contains("hush"), "{why}");
    for url in ["http://127.0.0.1/ hush", "hush", "/hush", "http:///hush"] {
        let why = get(LONG, url).unwrap();
        assert_eq!(why, "the request cannot be made", "{url}");
    }
    let headers = [("a", "hu\nsh")];
    let why = Nearby::new(LONG, LONG).send("GET", &url, &headers).err();
    assert_eq!(why.as_deref(), Some("the request cannot be made"));
}

/// Neither one of which a byte comes now and then, nor one that breaks off.
#[test]
fn an_answer_that_does_not_end() {
    for (length, bytes) in [
        ("Content-Length: 60000", usize::MAX),
        ("Content-Length: 9", 1),
    ]
    .into_iter()
    .chain([("Transfer-Encoding: chunked", 0)])
    {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let serve = thread::spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            write!(stream, "HTTP/1.1 200 OK\r\n{length}\r\n\r\n").unwrap();
            let mut sent = 0;
            while sent < bytes && stream.write_all(b"x").is_ok() {
                thread::sleep(SHORT / 4);
                sent += 1;
            }
            // Until it is given up.
            let _ = stream.read_to_end(&mut Vec::new());
        });
        let why = Nearby::new(LONG, SHORT).send("GET", &url, &[]).err();
        assert_eq!(why.as_deref(), Some("no answer"), "{length}");
        serve.join().unwrap();
    }
}
