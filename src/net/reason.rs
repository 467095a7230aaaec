//! What an error of a connection says: in words for a message, of the server whose
//! handshake failed, and whether it is a time-out.

use std::io;

use crate::error::os_reason;

fn tls_cause(e: &io::Error) -> Option<&rustls::Error> {
    e.get_ref()?.downcast_ref()
}

/// What a failed handshake says of the server.
pub(super) enum Handshake {
    /// Nothing: it was broken off, or fails for what may pass.
    Broken,
    /// Something came that cannot be read, or is not signed as it should be: no
    /// TLS is spoken there, or it was changed on the way.
    Garbled,
    /// Its certificate is one that is not accepted.
    Refused,
}

/// One that the other end broke off is none to be blamed for: servers do that
/// when they have too much to do.
pub(super) fn handshake(e: &io::Error) -> Handshake {
    use rustls::{CertificateError as C, Error as E};
    match tls_cause(e) {
        Some(_) if e.kind() != io::ErrorKind::Other => Handshake::Broken,
        Some(E::InvalidCertificate(c)) => match c {
            C::BadEncoding
            | C::BadSignature
            | C::UnhandledCriticalExtension
            | C::UnsupportedSignatureAlgorithmContext { .. }
            | C::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => Handshake::Garbled,
            C::Other(e) if !is_authority(e) => Handshake::Garbled,
            _ => Handshake::Refused,
        },
        Some(E::InvalidMessage(_) | E::PeerIncompatible(_)) => Handshake::Garbled,
        _ => Handshake::Broken,
    }
}

/// A certificate that is an authority's own.
fn is_authority(e: &rustls::OtherError) -> bool {
    e.to_string().contains("CaUsedAsEndEntity")
}

fn tls_reason(e: &rustls::Error, handshake: bool) -> String {
    use rustls::{AlertDescription as A, CertificateError as C, Error as E};
    match e {
        E::InvalidCertificate(C::UnknownIssuer) => {
            "the server's certificate is signed by nobody trusted here (see --ca-file)".into()
        }
        E::InvalidCertificate(C::NotValidYet | C::NotValidYetContext { .. }) => {
            "the server's certificate is not valid yet: is this machine's clock right?".into()
        }
        E::InvalidCertificate(C::Expired | C::ExpiredContext { .. }) => {
            "the server's certificate has expired (or this machine's clock is wrong)".into()
        }
        E::InvalidCertificate(C::NotValidForName | C::NotValidForNameContext { .. }) => {
            "the server's certificate is for another name".into()
        }
        E::InvalidCertificate(C::Other(e)) if is_authority(e) => {
            "the server's certificate is an authority's own (CA:TRUE), and not for servers".into()
        }
        E::InvalidMessage(_) if handshake => {
            "no TLS is spoken there (is the endpoint, or the proxy, an http:// one?)".into()
        }
        E::InvalidMessage(_) | E::DecryptError => {
            "TLS: what the server sent was changed on the way".into()
        }
        E::AlertReceived(A::BadRecordMac) => "TLS: what we sent was changed on the way".into(),
        e => format!("TLS: {e}"),
    }
}

/// Whether this is a time limit of ureq's.
fn ureq_time_out(e: &io::Error) -> bool {
    let inner = e.get_ref().and_then(|e| e.downcast_ref());
    matches!(inner, Some(ureq::Error::Timeout(_)))
}

/// Whether something took too long, be it by ureq's limit or by a socket's.
pub(super) fn is_time_out(e: &io::Error) -> bool {
    e.kind() == io::ErrorKind::TimedOut || ureq_time_out(e)
}

/// The system's words, without the number that std puts behind them.
pub(super) fn io_reason(e: &io::Error) -> String {
    if let Some(cause) = tls_cause(e) {
        return tls_reason(cause, e.kind() == io::ErrorKind::Other);
    }
    if ureq_time_out(e) {
        return "the connection stood still for too long".into();
    }
    match e.kind() {
        io::ErrorKind::UnexpectedEof => "the connection was closed before the answer".into(),
        _ => os_reason(e),
    }
}
