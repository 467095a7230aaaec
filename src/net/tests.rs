//! With a server that says more than it should.

use super::*;
use crate::net::connection::LAST;
use crate::testing::Free;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::mpsc;
use std::thread;

fn client(tls: bool) -> Http {
    let certificate = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/support/tls/certificate.pem"
    );
    Http::new(Setup {
        tls,
        ca_file: Some(certificate),
        timeout: Duration::from_secs(60),
        flow: Arc::new(Free),
    })
    .unwrap()
}

fn get(url: &str) -> HttpRequest<'_> {
    HttpRequest {
        method: "GET",
        url,
        headers: &[],
        body: Payload::None,
        large: true,
        patience: None,
    }
}

/// Two requests to a server that answers each with this: their bodies, and how
/// many connections it took.
fn two_requests(answer: &'static str) -> (Vec<Vec<u8>>, usize) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let served = thread::spawn(move || {
        let (mut connections, mut answered) = (0, 0);
        while answered < 2 {
            let mut stream = BufReader::new(listener.accept().unwrap().0);
            connections += 1;
            let mut line = String::new();
            while answered < 2 && stream.read_line(&mut line).is_ok_and(|n| n > 0) {
                if line == "\r\n" {
                    stream.get_mut().write_all(answer.as_bytes()).unwrap();
                    answered += 1;
                }
                line.clear();
            }
        }
        connections
    });
    let mut http = client(false);
    let request = get(&url);
    let mut bodies = Vec::new();
    for _ in 0..2 {
        let mut answer = http.send(&request).unwrap();
        bodies.push(answer.read_bounded(100).unwrap());
    }
    drop(http);
    (bodies, served.join().unwrap())
}

/// What comes after the body belongs to no answer that was asked for, and who
/// sent it is not to be asked again.
#[test]
fn more_than_was_announced() {
    let body = vec![b"body".to_vec(); 2];
    let good = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody";
    assert_eq!(two_requests(good), (body.clone(), 1));
    let more = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbodyHTTP/1.1 200 OK\r\n";
    assert_eq!(two_requests(more), (body, 2));
}

/// More than fits into the buffers of two systems, so that a server's answer
/// after half of it comes before the last piece is sent.
const LARGE: usize = 64 << 20;

const DONE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

trait Duplex: Read + Write {}
impl<T: Read + Write> Duplex for T {}

fn read(stream: &mut dyn Duplex, bytes: usize) {
    let read = io::copy(&mut stream.take(bytes as u64), &mut io::sink());
    assert_eq!(read.unwrap(), bytes as u64);
}

fn read_head(stream: &mut dyn Duplex) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
}

/// The answer to a PUT of so many bytes, of which the server gets the body to
/// read; with TLS or without.
fn put(length: usize, tls: bool, serve: impl FnOnce(&mut dyn Duplex) + Send + 'static) -> Answer {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let scheme = if tls { "https" } else { "http" };
    let url = format!("{scheme}://{}/", listener.local_addr().unwrap());
    let (_, config) = crate::net::tls::tests::configs(&rustls::version::TLS13, false);
    let served = thread::spawn(move || {
        let mut plain = listener.accept().unwrap().0;
        let mut session = rustls::ServerConnection::new(config).unwrap();
        let mut secure;
        let stream: &mut dyn Duplex = match tls {
            true => {
                secure = rustls::Stream::new(&mut session, &mut plain);
                &mut secure
            }
            false => &mut plain,
        };
        read_head(stream);
        serve(stream);
        let _ = stream.flush();
    });
    let block = Arc::new(Block::new(length));
    let answer = client(tls).send(&HttpRequest {
        method: "PUT",
        body: Payload::Block(&block, length),
        ..get(&url)
    });
    served.join().unwrap();
    answer.unwrap()
}

/// An answer proves something only if the server had all that it answers to.
#[test]
fn answers_to_half_a_body() {
    for tls in [false, true] {
        let early = put(LARGE, tls, |stream| {
            read(stream, LARGE / 2);
            stream.write_all(DONE).unwrap();
            read(stream, LARGE / 2);
        });
        assert!(early.status == 200 && !early.whole, "{tls}");
    }
    let closed = put(LARGE, false, |stream| {
        read(stream, LARGE / 2);
        stream.write_all(DONE).unwrap();
    });
    assert!(closed.status == 200 && !closed.whole);
}

#[test]
fn answers_to_a_whole_body() {
    for tls in [false, true] {
        for length in [1, LAST, LAST + 1, LARGE] {
            let whole = put(length, tls, move |stream| {
                read(stream, length);
                stream.write_all(DONE).unwrap();
            });
            assert!(whole.status == 200 && whole.whole, "{tls} {length}");
        }
        for interim in ["100 Continue", "103 Early Hints"] {
            let interim = put(LARGE, tls, move |stream| {
                write!(stream, "HTTP/1.1 {interim}\r\n\r\n").unwrap();
                read(stream, LARGE);
                stream.write_all(DONE).unwrap();
            });
            assert!(interim.status == 200 && interim.whole, "{tls}");
        }
    }
}

/// A connection that breaks while a long body goes out over it was not idle.
#[test]
fn a_break_in_the_midst_of_a_body_is_no_sign_of_idleness() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let served = thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        read_head(&mut stream);
        stream.write_all(DONE).unwrap();
        read_head(&mut stream);
        read(&mut stream, LARGE / 4);
        // Longer than a connection may be idle.
        thread::sleep(Duration::from_millis(1200));
        read(&mut stream, LARGE / 4);
    });
    let mut http = client(false);
    assert_eq!(http.send(&get(&url)).unwrap().status, 200);
    let body = vec![0; LARGE];
    let broken = http.send(&HttpRequest {
        method: "PUT",
        body: Payload::Bytes(&body),
        ..get(&url)
    });
    let broken = broken.err().unwrap();
    assert!(!broken.stale, "{broken}");
    served.join().unwrap();
}

/// What becomes of a request to a server that says this and then nothing more,
/// when patience is at its end.
fn impatient(scheme: &str, said: &'static [u8], length: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("{scheme}://{}/", listener.local_addr().unwrap());
    let (over, is_over) = mpsc::channel::<()>();
    let served = thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        stream.write_all(said).unwrap();
        // Until it is seen what came of it.
        let _ = is_over.recv();
    });
    let block = Arc::new(Block::new(length));
    let mut http = client(scheme == "https");
    let answer = http.send(&HttpRequest {
        method: if length > 0 { "PUT" } else { "GET" },
        body: match length {
            0 => Payload::None,
            length => Payload::Block(&block, length),
        },
        patience: Some(Duration::ZERO),
        ..get(&url)
    });
    let why = match answer {
        Ok(mut answer) => answer.read_bounded(100).unwrap_err().to_string(),
        Err(e) => e.why,
    };
    drop(over);
    served.join().unwrap();
    why
}

/// Whatever the stall limit is, patience bounds it, but for five seconds.
#[test]
fn nothing_outlasts_patience() {
    let half = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf";
    let chunk = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let cases: [(&str, &[u8], usize, &str); 5] = [
        ("https", b"", 0, "no connection: timed out"),
        ("http", b"", 0, "no answer within 5 s"),
        (
            "http",
            b"",
            LARGE,
            "nothing more of the request was taken for 5 s",
        ),
        ("http", half, 0, "timed out"),
        ("http", chunk, 0, "the connection stood still for too long"),
    ];
    // At the same time: each takes five seconds.
    let runs = cases.map(|(scheme, said, length, why)| {
        thread::spawn(move || (impatient(scheme, said, length), why))
    });
    for run in runs {
        let (found, why) = run.join().unwrap();
        assert_eq!(found, why);
    }
}
