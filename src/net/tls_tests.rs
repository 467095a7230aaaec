//! Sessions with rustls's own server, over no socket at all.

use super::*;
use crate::testing::Random;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig, ServerConnection, SupportedProtocolVersion};
use std::io::{Read, Write};
use std::mem;

/// For s3.test, among others, until 2126; it signs itself, and nothing else.
const CERTIFICATE: &[u8] = include_bytes!("../../tests/support/tls/certificate.pem");
/// Its key, a secret of nobody's.
const KEY: &[u8] = include_bytes!("../../tests/support/tls/key.pem");

/// A session and its other end, and how the bytes between them are treated.
struct Pair {
    session: Tls,
    server: ServerConnection,
    /// What the server has sent and the session not yet received.
    wire: Vec<u8>,
    /// What the session gets of it at once, at most.
    portion: usize,
    /// What the server has read.
    heard: Vec<u8>,
    /// Done to all that the server sends.
    harm: Harm,
}

type Harm = Box<dyn FnMut(&mut Vec<u8>)>;

/// For both ends; `trusted`, if the client is to trust the server. The server's
/// may give its keys away.
pub(crate) fn configs(
    version: &'static SupportedProtocolVersion,
    trusted: bool,
) -> (Arc<ClientConfig>, Arc<ServerConfig>) {
    let certificate = || CertificateDer::from_pem_slice(CERTIFICATE).unwrap();
    let mut roots = RootCertStore::empty();
    if trusted {
        roots.add(certificate()).unwrap();
    }
    let provider = Arc::new(ring::default_provider());
    let client = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let key = PrivateKeyDer::from_pem_slice(KEY).unwrap();
    let mut server = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate()], key)
        .unwrap();
    server.enable_secret_extraction = true;
    (Arc::new(client), Arc::new(server))
}

fn pair(version: &'static SupportedProtocolVersion, trusted: bool) -> Pair {
    let (client, server) = configs(version, trusted);
    let name = ServerName::try_from("s3.test").unwrap();
    Pair {
        session: Tls::new(client, name).unwrap(),
        server: ServerConnection::new(server).unwrap(),
        wire: Vec::new(),
        portion: usize::MAX,
        heard: Vec::new(),
        harm: Box::new(|_| ()),
    }
}

impl Pair {
    /// As [`Wire`](crate::net::wire::Wire) does, with the server in the socket's
    /// place. None where more input is awaited that will not come.
    fn drive(&mut self, mut want: Want) -> io::Result<Option<Step>> {
        loop {
            let step = self.session.step(&mut want);
            self.deliver();
            match step? {
                Step::Send => {}
                Step::Receive => {
                    let space = self.session.space();
                    let count = self.wire.len().min(self.portion).min(space.len());
                    if count == 0 {
                        return Ok(None);
                    }
                    space[..count].copy_from_slice(&self.wire[..count]);
                    self.wire.drain(..count);
                    self.session.received(count);
                }
                step => return Ok(Some(step)),
            }
        }
    }

    /// What the session has to send, to the server, and its answer back.
    fn deliver(&mut self) {
        let mut records = self.session.outgoing();
        while !records.is_empty() && self.server.read_tls(&mut records).is_ok() {
            let _ = self.server.process_new_packets();
            let _ = self.server.reader().read_to_end(&mut self.heard);
        }
        self.session.sent();
        self.flush();
    }

    fn flush(&mut self) {
        let mut sent = Vec::new();
        while self.server.wants_write() {
            self.server.write_tls(&mut sent).unwrap();
        }
        (self.harm)(&mut sent);
        self.wire.append(&mut sent);
    }

    fn answer(&mut self, plain: &[u8]) {
        self.server.writer().write_all(plain).unwrap();
        self.flush();
    }

    /// So many bytes, read with so much space at a time.
    fn read(&mut self, length: usize, space: usize) -> Vec<u8> {
        let mut plain = vec![0; length];
        let mut at = 0;
        while at < length {
            let end = length.min(at + space);
            match self.drive(Want::Read(&mut plain[at..end])).unwrap() {
                Some(Step::Done(count)) => at += count,
                step => panic!("{step:?} after {at} bytes"),
            }
        }
        plain
    }
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i * 7 + i / 251) as u8).collect()
}

#[test]
fn both_ways_in_portions_of_any_size() {
    for version in [&TLS12, &TLS13] {
        for (portion, space) in [(1, 1), (7, 100), (5000, 16 << 10), (usize::MAX, 1 << 20)] {
            let mut pair = pair(version, true);
            pair.portion = portion;
            assert_eq!(pair.drive(Want::Nothing).unwrap(), Some(Step::Done(0)));
            for length in [1, 16 << 10, 40_000] {
                let data = pattern(length);
                let sent = pair.drive(Want::Send(&data)).unwrap();
                assert_eq!(sent, Some(Step::Done(length)));
                assert!(mem::take(&mut pair.heard) == data);
                pair.answer(&data);
                assert!(!pair.session.is_idle() || !pair.wire.is_empty());
                assert!(pair.read(length, space) == data);
                assert!(pair.session.is_idle() && pair.wire.is_empty());
            }
        }
    }
}

#[test]
fn a_whole_piece_at_once() {
    for version in [&TLS12, &TLS13] {
        let mut pair = pair(version, true);
        let data = pattern(PIECE);
        assert_eq!(pair.drive(Want::Nothing).unwrap(), Some(Step::Done(0)));
        let sent = pair.drive(Want::Send(&data)).unwrap();
        assert_eq!(sent, Some(Step::Done(PIECE)));
        assert!(pair.heard == data);
    }
}

/// What a server sends before it was asked for an answer is kept for then.
#[test]
fn an_early_answer() {
    let mut pair = pair(&TLS13, true);
    assert_eq!(pair.drive(Want::Nothing).unwrap(), Some(Step::Done(0)));
    pair.answer(b"early");
    pair.answer(b"bird");
    assert_eq!(pair.read(1, 1), b"e");
    assert!(!pair.session.is_idle());
    assert_eq!(
        pair.drive(Want::Send(b"late")).unwrap(),
        Some(Step::Done(4))
    );
    assert_eq!(pair.heard, b"late");
    assert_eq!(pair.read(8, 100), b"arlybird");
    assert!(pair.session.is_idle());
}

/// A server may change its keys, and ask for new ones of ours.
#[test]
fn keys_that_change() {
    let mut pair = pair(&TLS13, true);
    assert_eq!(pair.drive(Want::Nothing).unwrap(), Some(Step::Done(0)));
    for _ in 0..3 {
        pair.server.refresh_traffic_keys().unwrap();
        pair.answer(b"answer");
        assert_eq!(pair.read(6, 100), b"answer");
        let sent = pair.drive(Want::Send(b"request")).unwrap();
        assert_eq!(sent, Some(Step::Done(7)));
        assert_eq!(mem::take(&mut pair.heard), b"request");
    }
}

#[test]
fn an_end_that_was_announced() {
    for version in [&TLS12, &TLS13] {
        let mut pair = pair(version, true);
        assert_eq!(pair.drive(Want::Nothing).unwrap(), Some(Step::Done(0)));
        pair.answer(b"all");
        pair.server.send_close_notify();
        pair.flush();
        assert_eq!(pair.read(3, 100), b"all");
        assert!(!pair.session.is_idle());
        for _ in 0..2 {
            let end = pair.drive(Want::Read(&mut [0; 9])).unwrap();
            assert_eq!(end, Some(Step::Closed));
        }
        assert!(!pair.session.is_idle());
    }
}

#[test]
fn a_stranger_is_told() {
    for version in [&TLS12, &TLS13] {
        let mut pair = pair(version, false);
        let e = pair.drive(Want::Nothing).unwrap_err();
        assert_eq!(e.kind(), io::ErrorKind::Other);
        let inner = e.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>());
        assert!(
            matches!(inner, Some(rustls::Error::InvalidCertificate(_))),
            "{e}"
        );
        let told = pair.server.process_new_packets().unwrap_err();
        assert!(
            matches!(told, rustls::Error::AlertReceived(_)),
            "{told:?}, {version:?}"
        );
    }
}

/// A record that was changed on the way is no handshake that failed.
#[test]
fn a_damaged_record() {
    for version in [&TLS12, &TLS13] {
        let mut pair = pair(version, true);
        assert_eq!(pair.drive(Want::Nothing).unwrap(), Some(Step::Done(0)));
        pair.answer(b"answer");
        let last = pair.wire.len() - 1;
        pair.wire[last] ^= 1;
        let e = pair.drive(Want::Read(&mut [0; 9])).unwrap_err();
        assert_eq!(e.kind(), io::ErrorKind::InvalidData);
        let e = pair.drive(Want::Read(&mut [0; 9])).unwrap_err();
        assert_eq!(e.kind(), io::ErrorKind::InvalidData);
    }
}

/// Whatever of the server's bytes changes, is lost or added: an error, or the
/// end of what can be read, and never other bytes than it sent.
#[test]
fn damage() {
    let mut random = Random(11);
    let data = pattern(3000);
    let mut failures = 0;
    for round in 0..600 {
        let mut pair = pair([&TLS12, &TLS13][round % 2], true);
        pair.portion = [usize::MAX, 100][round / 2 % 2];
        let (mut at, byte) = (random.below(5000), random.below(255) as u8 + 1);
        let kind = random.below(3);
        pair.harm = Box::new(move |sent| {
            match kind {
                _ if at >= sent.len() => (),
                0 => sent[at] ^= byte,
                1 => sent.truncate(at),
                _ => sent.insert(at, byte),
            }
            at = at.wrapping_sub(sent.len());
        });
        let got = exchange(&mut pair, &data);
        match got {
            Ok(got) => assert!(data.starts_with(&got), "round {round}"),
            Err(_) => failures += 1,
        }
    }
    assert!(failures > 200, "{failures}");
}

/// One request, and as much of the answer as comes.
fn exchange(pair: &mut Pair, data: &[u8]) -> io::Result<Vec<u8>> {
    let mut got = Vec::new();
    if pair.drive(Want::Nothing)? != Some(Step::Done(0)) {
        return Ok(got);
    }
    pair.drive(Want::Send(b"request"))?;
    if pair.server.writer().write_all(data).is_ok() {
        pair.flush();
    }
    let mut space = [0; 1000];
    while let Some(Step::Done(count)) = pair.drive(Want::Read(&mut space))? {
        got.extend_from_slice(&space[..count]);
    }
    Ok(got)
}
