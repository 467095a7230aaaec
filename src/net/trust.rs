//! Whom TLS trusts: the certificates of authorities, the system's or the user's.

#![forbid(unsafe_code)]

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::error::{Error, Exit, Result, os_reason};

/// Where systems keep the certificates that they trust, in one file.
const CA_FILES: [&str; 5] = [
    "/etc/ssl/cert.pem",
    "/usr/local/etc/ssl/cert.pem",
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/usr/local/share/certs/ca-root-nss.crt",
];

/// Where they keep them one by one.
const CA_DIRECTORY: &str = "/etc/ssl/certs";

/// What TLS clients need to know: to trust the certificates in this file, or
/// the system's. 78 if they cannot be loaded.
pub fn tls_config(ca_file: Option<&str>) -> Result<Arc<ClientConfig>> {
    let roots = match ca_file {
        Some(path) => authorities_in(path)
            .and_then(|found| {
                if found.is_empty() {
                    Err(io::Error::other("no certificate in it"))
                } else {
                    Ok(found)
                }
            })
            .map_err(|e| Error::new(Exit::Config, path, os_reason(&e)))?,
        None => system_authorities().ok_or_else(|| {
            let why = "no trusted certificates found on this system; name a PEM file";
            Error::new(Exit::Config, "--ca-file", why)
        })?,
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::new(Exit::Internal, "TLS", e.to_string()))?;
    let config = builder.with_root_certificates(roots).with_no_client_auth();
    Ok(Arc::new(config))
}

/// Those of a PEM file that can be read.
fn authorities_in(path: impl AsRef<Path>) -> io::Result<RootCertStore> {
    let pem = std::fs::read(path)?;
    let mut found = RootCertStore::empty();
    found.add_parsable_certificates(CertificateDer::pem_slice_iter(&pem).flatten());
    Ok(found)
}

/// Those of the system's bundle, or of all files of its directory.
fn system_authorities() -> Option<RootCertStore> {
    let bundles = CA_FILES.iter().filter_map(|path| authorities_in(path).ok());
    if let Some(found) = bundles.into_iter().find(|found| !found.is_empty()) {
        return Some(found);
    }
    let mut found = RootCertStore::empty();
    for file in std::fs::read_dir(CA_DIRECTORY).ok()?.flatten() {
        if let Ok(more) = authorities_in(file.path()) {
            found.extend(more.roots);
        }
    }
    (!found.is_empty()).then_some(found)
}
