//! Whom TLS trusts: the certificates of authorities, the system's or the user's.

#![forbid(unsafe_code)]

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::error::{Error, Exit, Result};
use crate::os::files;

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

/// No file of certificates is larger, in bytes: the bundles of systems have less
/// than one MiB.
const PEM_LIMIT: u64 = 16 << 20;

/// What TLS clients need to know: to trust the certificates in this file, or
/// the system's. 78 if they cannot be loaded.
pub fn tls_config(ca_file: Option<&str>) -> Result<Arc<ClientConfig>> {
    let roots = match ca_file {
        Some(path) => {
            let found = authorities_in(path)?;
            if found.is_empty() {
                return Err(Error::new(Exit::Config, path, "no certificate in it"));
            }
            found
        }
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

/// Those certificates of a PEM file that can be parsed; 78 if it cannot be read.
fn authorities_in(path: impl AsRef<Path>) -> Result<RootCertStore> {
    let pem = files::read(path, PEM_LIMIT)?.bytes;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_has_an_end() {
        let e = tls_config(Some("/dev/zero")).unwrap_err();
        assert_eq!(e.exit(), Exit::Config);
        assert_eq!(e.to_string(), "/dev/zero: larger than 16384 KiB");
        let e = tls_config(Some("/dev/null")).unwrap_err();
        assert_eq!(e.to_string(), "/dev/null: no certificate in it");
    }
}
