//! How long what is waited for, and a service that closes connections that have
//! been idle.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use super::*;
use crate::progress::Wanted;
use crate::s3::{Addressing, HeadObject, Headers, Put, Sizes};
use crate::sign::Version;

/// Answers the first request on each connection, and reads the second one before
/// it closes. Says which they were.
fn server() -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (say, came) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            for answered in [true, false] {
                let (mut line, mut length) = (String::new(), 0);
                if stream.read_line(&mut line).unwrap_or(0) == 0 {
                    break;
                }
                let method = line.split(' ').next().unwrap().to_string();
                while line != "\r\n" {
                    line.clear();
                    stream.read_line(&mut line).unwrap();
                    let value = line.to_ascii_lowercase();
                    if let Some(value) = value.strip_prefix("content-length: ") {
                        length = value.trim().parse().unwrap();
                    }
                }
                stream.read_exact(&mut vec![0; length]).unwrap();
                if say.send(method).is_err() {
                    return;
                }
                if answered {
                    let answer = b"HTTP/1.1 200 OK\r\nETag: \"x\"\r\nContent-Length: 0\r\n\r\n";
                    stream.get_mut().write_all(answer).unwrap();
                }
            }
        }
    });
    (url, came)
}

/// A client that repeats nothing.
fn client(url: &str, patience: Option<Duration>) -> Client {
    let settings = Settings {
        endpoint: Some(url.into()),
        addressing: Addressing::Path,
        region: "eu-central-1".into(),
        bucket: "b".into(),
        signature: Version::V4,
        credentials: Credentials {
            id: "id".into(),
            secret: "secret".into(),
            token: None,
        },
        renewable: true,
        headers: Headers::default(),
        limits: Limits {
            patience,
            retry: Some(0),
            timeout: Duration::from_millis(1500),
        },
        ca_file: None,
        known: Known::default(),
    };
    let progress = Arc::new(Progress::new(Wanted::default(), false));
    let reload = Box::new(|| Err(Error::new(Exit::Denied, "credentials", "none")));
    Client::new("test", settings, reload, progress).unwrap()
}

/// One with a connection that has been idle.
fn idle(url: &str) -> Client {
    let mut client = client(url, None);
    let seen = client.run(&mut HeadObject::at("k", Kind::Record));
    seen.map_err(|f| f.error).unwrap();
    // For a second, a closed connection says that something is wrong.
    thread::sleep(Duration::from_millis(1100));
    client
}

/// What was sent may have been carried out: whoever makes one attempt at a time
/// wants to look first.
#[test]
fn one_attempt_is_one_request() {
    let (url, came) = server();
    let mut client = idle(&url);
    let (mut put, mut trial) = (Put::new("k", Kind::Record, b"text"), Trial::default());
    let Err(Halt::Passing(fault)) = client.step(&mut put, &mut trial) else {
        panic!("an answer");
    };
    assert!(matches!(fault, Fault::Stale { .. }), "{fault:?}");
    assert_eq!(came.try_iter().collect::<Vec<_>>(), ["HEAD", "PUT"]);
    // It is no sign of trouble, and counts as none.
    let paused = client.pause(&mut trial, &fault, Some("k"));
    paused.map_err(|f| f.error).unwrap();
    client.step(&mut put, &mut trial).unwrap();
}

#[test]
fn what_may_be_repeated_is_repeated_at_once() {
    let (url, came) = server();
    let mut client = idle(&url);
    let put = client.run(&mut Put::new("k", Kind::Block, b"data"));
    put.map_err(|f| f.error).unwrap();
    assert_eq!(came.try_iter().collect::<Vec<_>>(), ["HEAD", "PUT", "PUT"]);
}

/// Damage is believed after a minute; a page ends a run after one only while
/// nothing is at stake; all else is waited out. Less where patience is less.
#[test]
fn how_long_faults_may_last() {
    let wrong = Fault::wrong(Exit::Data, "wrong SHA-256", Sizes::default());
    let page = Fault::foreign(Exit::Data, "a page");
    let broken = Fault::broken("reset");
    let (second, minute) = (Duration::from_secs(1), Duration::from_secs(60));
    let day = minute * 60 * 24;
    for (patience, short) in [
        (Some(day), Some(minute)),
        (None, Some(minute)),
        (Some(second), Some(second)),
    ] {
        for underway in [false, true] {
            let mut client = client("http://127.0.0.1:9", patience);
            client.set_answered();
            client.set_underway(underway);
            assert_eq!(client.patience_with(&wrong), short);
            let of_page = if underway { patience } else { short };
            assert_eq!(client.patience_with(&page), of_page);
            assert_eq!(client.patience_with(&broken), patience);
        }
    }
}
