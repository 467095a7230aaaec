//! Over real sockets, with a server of rustls's at the other end.

use super::*;
use crate::net::socket::SharedFlow;
use crate::net::tls::tests::configs;
use crate::testing::Free;
use rustls::crypto::cipher::{OutboundChunks, OutboundPlainMessage};
use rustls::pki_types::ServerName;
use rustls::version::TLS13;
use rustls::{ConnectionTrafficSecrets as Secrets, ContentType, ProtocolVersion};
use rustls::{ServerConfig, ServerConnection};
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

const LIMIT: Option<Duration> = Some(Duration::from_secs(60));

/// A connection to a server that does this with its end.
fn connected(
    serve: impl FnOnce(TcpStream, Arc<ServerConfig>) + Send + 'static,
) -> (io::Result<Wire>, JoinHandle<()>) {
    let (client, server) = configs(&TLS13, true);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let served = thread::spawn(move || serve(listener.accept().unwrap().0, server));
    let flow: SharedFlow = Arc::new(Free);
    let socket = Socket::connect(&[addr], LIMIT, flow).unwrap();
    let session = Tls::new(client, ServerName::try_from("s3.test").unwrap()).unwrap();
    let end = Some(Instant::now() + Duration::from_secs(2));
    let wire = Wire::tls(Channel::Socket(socket), session, end);
    (wire, served)
}

/// The server's end once all that belongs to the handshake was sent.
fn handshake(stream: &mut TcpStream, config: Arc<ServerConfig>) -> ServerConnection {
    let mut tls = ServerConnection::new(config).unwrap();
    while tls.is_handshaking() || tls.wants_write() {
        tls.complete_io(stream).unwrap();
    }
    tls
}

/// Records that hold nothing, without an end, must not be read for ever, though
/// something moves all the time: rustls counts them.
#[test]
fn endless_empty_records() {
    let (wire, served) = connected(|mut stream, config| {
        let tls = handshake(&mut stream, config);
        let suite = tls.negotiated_cipher_suite().unwrap().tls13().unwrap();
        let (mut number, secrets) = tls.dangerous_extract_secrets().unwrap().tx;
        let (Secrets::Aes128Gcm { key, iv }
        | Secrets::Aes256Gcm { key, iv }
        | Secrets::Chacha20Poly1305 { key, iv }) = secrets
        else {
            panic!("unknown secrets");
        };
        let mut encrypter = suite.aead_alg.encrypter(key, iv);
        loop {
            let nothing = OutboundPlainMessage {
                typ: ContentType::ApplicationData,
                version: ProtocolVersion::TLSv1_2,
                payload: OutboundChunks::Single(b""),
            };
            let record = encrypter.encrypt(nothing, number).unwrap().encode();
            number += 1;
            // Until the client has had enough.
            if stream.write_all(&record).is_err() {
                return;
            }
        }
    });
    let mut wire = wire.unwrap();
    let e = wire.pull(&mut [0; 100], LIMIT, None).unwrap_err();
    assert_eq!(e.kind(), io::ErrorKind::InvalidData);
    assert!(!wire.is_idle());
    drop(wire);
    served.join().unwrap();
}

/// A handshake that comes in drips has a limit in all.
#[test]
fn a_handshake_that_takes_too_long() {
    let (wire, served) = connected(|mut stream, _| {
        // The head of a record that is never complete, a byte at a time.
        let head = [22, 3, 3, 64, 0, 2, 0, 63, 252, 3, 3];
        for byte in head.into_iter().chain([7; 10_000]) {
            if stream.write_all(&[byte]).is_err() {
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
    });
    assert_eq!(wire.err().unwrap().kind(), io::ErrorKind::TimedOut);
    served.join().unwrap();
}

/// An end that was not announced is no end of what there is to read.
#[test]
fn cut_off() {
    let (wire, served) = connected(|mut stream, config| {
        let mut tls = handshake(&mut stream, config);
        tls.writer().write_all(b"part").unwrap();
        tls.write_tls(&mut stream).unwrap();
    });
    let mut wire = wire.unwrap();
    let mut space = [0; 9];
    assert_eq!(wire.pull(&mut space, LIMIT, None).unwrap(), 4);
    assert_eq!(&space[..4], b"part");
    let e = wire.pull(&mut space, LIMIT, None).unwrap_err();
    assert_eq!(e.kind(), io::ErrorKind::UnexpectedEof);
    served.join().unwrap();
}

/// Nor may an answer come in drips without end: a session gives nothing to its
/// reader until it has a whole record.
#[test]
fn a_record_that_takes_too_long() {
    let (wire, served) = connected(|mut stream, config| {
        let mut tls = handshake(&mut stream, config);
        tls.writer().write_all(&[7; 16_000]).unwrap();
        let mut record = Vec::new();
        tls.write_tls(&mut record).unwrap();
        for byte in record {
            if stream.write_all(&[byte]).is_err() {
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
    });
    let mut wire = wire.unwrap();
    let end = Instant::now() + Duration::from_secs(1);
    let e = wire.pull(&mut [0; 100], LIMIT, Some(end)).unwrap_err();
    assert_eq!(e.kind(), io::ErrorKind::TimedOut);
    drop(wire);
    served.join().unwrap();
}

/// Until something can be read from the socket.
fn arrival(wire: &mut Wire) {
    while !wire.channel.has_input() {
        thread::yield_now();
    }
}

/// The tickets that a server sends after the handshake are no answer to a
/// request that it does not read.
#[test]
fn tickets_are_no_input() {
    let (sent, was_sent) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel();
    let (wire, served) = connected(move |mut stream, config| {
        let mut tls = handshake(&mut stream, config);
        sent.send(()).unwrap();
        may_go_on.recv().unwrap();
        tls.writer().write_all(b"answer").unwrap();
        tls.write_tls(&mut stream).unwrap();
        sent.send(()).unwrap();
        may_go_on.recv().unwrap();
    });
    let mut wire = wire.unwrap();
    was_sent.recv().unwrap();
    arrival(&mut wire);
    assert!(!wire.has_input());
    assert!(wire.is_idle());
    go_on.send(()).unwrap();
    was_sent.recv().unwrap();
    arrival(&mut wire);
    assert!(wire.has_input() && !wire.is_idle());
    let mut space = [0; 9];
    assert_eq!(wire.pull(&mut space, LIMIT, None).unwrap(), 6);
    assert_eq!(&space[..6], b"answer");
    go_on.send(()).unwrap();
    served.join().unwrap();
}
