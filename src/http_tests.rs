//! With a server that says more than it should.

use super::*;
use crate::testing::Free;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::thread;

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
    let mut http = Http::new(Settings {
        tls: false,
        ca_file: None,
        stall: Duration::from_secs(60),
        flow: Arc::new(Free),
    })
    .unwrap();
    let request = Outgoing {
        method: "GET",
        url: &url,
        headers: &[],
        body: Payload::None,
        large: true,
    };
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
