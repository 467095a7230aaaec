//! Connections of the bench's own ends, plain or TLS, and the certificate that
//! they use.
//!
//! TLS is rustls with ring at both ends, as in s3pipe: so the floor encrypts
//! as s3pipe does. The certificate is made for one run of the bench by the
//! `openssl` command, is good for 127.0.0.1 and trusted by nobody else.

use std::fs;
use std::io::{self, IoSlice, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use crate::Outcome;
use crate::pattern::Aligned;
use crate::tls_floor::Client;

/// A connection, whatever is between it and the socket.
pub trait Wire: Read + Write + Send {}

impl<T: Read + Write + Send> Wire for T {}

/// Plaintext that is taken at once to be encrypted.
const TAKEN: usize = 1 << 20;

/// Bytes received at once: by itself rustls asks for 4 KiB at a time.
const AHEAD: usize = 64 << 10;

/// The certificate and its key, as files.
pub struct Certificate {
    pub chain: PathBuf,
    pub key: PathBuf,
}

impl Certificate {
    /// Makes one in `folder`. It is not an authority (webpki wants none at the
    /// end of a chain), and so stands for itself only.
    pub fn new(folder: &Path) -> Outcome<Certificate> {
        let request = folder.join("openssl.cnf");
        let made = Certificate {
            chain: folder.join("sink.pem"),
            key: folder.join("sink.key"),
        };
        let text = "[req]\ndistinguished_name = name\nx509_extensions = own\nprompt = no\n\
                    [name]\nCN = 127.0.0.1\n\
                    [own]\nbasicConstraints = critical, CA:FALSE\n\
                    extendedKeyUsage = serverAuth\nsubjectAltName = IP:127.0.0.1, DNS:localhost\n";
        fs::write(&request, text)?;
        let output = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt"])
            .args(["ec_paramgen_curve:prime256v1", "-sha256", "-nodes"])
            .args(["-days", "2", "-config"])
            .arg(&request)
            .arg("-keyout")
            .arg(&made.key)
            .arg("-out")
            .arg(&made.chain)
            .stdin(Stdio::null())
            .output()
            .map_err(|e| {
                format!("openssl: {e}: install openssl(1), or leave tls out of BENCH_TABLES")
            })?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr);
            return Err(format!("openssl: {}", text.trim()).into());
        }
        Ok(made)
    }
}

/// What a server needs to know.
pub fn server(chain: &Path, key: &Path) -> Outcome<Arc<ServerConfig>> {
    let provider = Arc::new(ring::default_provider());
    let chain = CertificateDer::pem_file_iter(chain)?.collect::<Result<_, _>>()?;
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(key)?)?;
    Ok(Arc::new(config))
}

/// The server's end of a new connection, with TLS if there is a `config`.
pub fn accept(stream: TcpStream, config: Option<Arc<ServerConfig>>) -> Outcome<Box<dyn Wire>> {
    stream.set_nodelay(true)?;
    Ok(match config {
        None => Box::new(stream),
        Some(config) => {
            let mut tls = ServerConnection::new(config)?;
            tls.set_buffer_limit(Some(TAKEN));
            Box::new(StreamOwned::new(tls, Ahead::new(stream)))
        }
    })
}

/// A connection to 127.0.0.1 on `port`: TLS if there is an `authority`, a file
/// of certificates to trust.
pub fn connect(port: u16, authority: Option<&Path>) -> Outcome<Box<dyn Wire>> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_nodelay(true)?;
    let Some(authority) = authority else {
        return Ok(Box::new(stream));
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(authority)? {
        roots.add(certificate?)?;
    }
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("127.0.0.1")?;
    Ok(Box::new(Client::new(Arc::new(config), name, stream)?))
}

/// The sink's socket, from which more is read than was asked for.
struct Ahead {
    socket: TcpStream,
    buffer: Aligned,
    start: usize,
    end: usize,
}

impl Ahead {
    fn new(socket: TcpStream) -> Ahead {
        Ahead {
            socket,
            buffer: Aligned::new(AHEAD),
            start: 0,
            end: 0,
        }
    }
}

impl Read for Ahead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.start == self.end {
            self.start = 0;
            self.end = self.socket.read(&mut self.buffer)?;
        }
        let count = buffer.len().min(self.end - self.start);
        buffer[..count].copy_from_slice(&self.buffer[self.start..self.start + count]);
        self.start += count;
        Ok(count)
    }
}

impl Write for Ahead {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.write(bytes)
    }

    // Records are written many at a time, and only so.
    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.socket.write_vectored(pieces)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
