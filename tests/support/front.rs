//! TLS in front of something that speaks without, for tests.
//!
//! A connection's data and its ends are passed on, both ways at once; one that
//! ends with an error is cut off. The
//! certificate is fixed, is good for 127.0.0.1, localhost and s3.test until
//! 2126, and vouches for itself; its key is a secret of nobody's.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::TLS12;
use rustls::{ALL_VERSIONS, ServerConfig, ServerConnection};

/// The certificate, as a file to be trusted.
pub fn certificate() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/tls/certificate.pem")
}

/// Listens on a free port of 127.0.0.1, for as long as the process lives, and
/// hands what comes in by TLS to `to`. Returns the address.
pub fn start(to: SocketAddr) -> SocketAddr {
    start_as(to, Manner::Quiet)
}

/// What is special about a front.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Nothing.
    Quiet,
    /// It says that it has new keys, after whatever it passes on.
    Keys,
    /// It speaks TLS 1.2, whose certificates go in the clear.
    Old,
}

/// The same in this manner.
pub fn start_as(to: SocketAddr, manner: Manner) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = listener.local_addr().expect("an address");
    let key = certificate().with_file_name("key.pem");
    let versions = match manner {
        Manner::Old => &[&TLS12],
        _ => ALL_VERSIONS,
    };
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_file(certificate()).expect("a certificate")],
            PrivateKeyDer::from_pem_file(key).expect("a key"),
        );
    let config = Arc::new(config.expect("a certificate and its key"));
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            match TcpStream::connect(to) {
                Ok(inner) => enter(client, inner, config.clone(), manner),
                Err(_) => cut(&client),
            }
        }
    });
    addr
}

/// A connection. Who writes to the client holds `out` from before its records
/// are made until they are written, so that they leave in order; `tls` is never
/// held while something waits.
struct Link {
    tls: Mutex<ServerConnection>,
    out: Mutex<()>,
    client: TcpStream,
    inner: TcpStream,
    manner: Manner,
}

fn enter(client: TcpStream, inner: TcpStream, config: Arc<ServerConfig>, manner: Manner) {
    let mut tls = ServerConnection::new(config).expect("a session");
    tls.set_buffer_limit(None);
    let _ = (client.set_nodelay(true), inner.set_nodelay(true));
    let link = Arc::new(Link {
        tls: Mutex::new(tls),
        out: Mutex::new(()),
        client,
        inner,
        manner,
    });
    let twin = link.clone();
    thread::spawn(move || twin.inwards().unwrap_or_else(|_| cut(&twin.inner)));
    thread::spawn(move || link.outwards().unwrap_or_else(|_| cut(&link.client)));
}

impl Link {
    /// From the client.
    fn inwards(&self) -> io::Result<()> {
        let mut records = vec![0; 64 << 10];
        let mut plain = Vec::new();
        loop {
            let count = (&self.client).read(&mut records)?;
            if count == 0 {
                return self.inner.shutdown(Shutdown::Write);
            }
            let mut rest = &records[..count];
            while !rest.is_empty() {
                let mut tls = self.tls.lock().expect("the session");
                tls.read_tls(&mut rest)?;
                let state = tls.process_new_packets();
                let _ = tls.reader().read_to_end(&mut plain);
                drop(tls);
                if state.is_err() {
                    // An alert.
                    let _ = self.send(&[]);
                }
                state.map_err(io::Error::other)?;
            }
            self.send(&[])?;
            (&self.inner).write_all(&plain)?;
            plain.clear();
        }
    }

    /// To the client.
    fn outwards(&self) -> io::Result<()> {
        let mut plain = vec![0; 64 << 10];
        loop {
            match (&self.inner).read(&mut plain)? {
                0 => {
                    self.tls.lock().expect("the session").send_close_notify();
                    self.send(&[])?;
                    return self.client.shutdown(Shutdown::Write);
                }
                count => self.send(&plain[..count])?,
            }
            if self.manner == Manner::Keys {
                let mut tls = self.tls.lock().expect("the session");
                tls.refresh_traffic_keys().map_err(io::Error::other)?;
                drop(tls);
                self.send(&[])?;
            }
        }
    }

    /// This, and what the session has to say.
    fn send(&self, plain: &[u8]) -> io::Result<()> {
        let _turn = self.out.lock().expect("the turn");
        let mut records = Vec::new();
        let mut tls = self.tls.lock().expect("the session");
        tls.writer().write_all(plain)?;
        while tls.wants_write() {
            tls.write_tls(&mut records)?;
        }
        drop(tls);
        (&self.client).write_all(&records)
    }
}

/// Cuts it off, without a word of TLS.
fn cut(stream: &TcpStream) {
    let _ = stream.shutdown(Shutdown::Both);
}
