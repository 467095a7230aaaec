//! A certificate authority that lives as long as the server does.
//!
//! The authority's key never leaves the process: only its certificate is
//! written, for clients to trust. Nothing but a test may ever trust it.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;

/// Makes an authority and, signed by it, a certificate for localhost,
/// 127.0.0.1, ::1, DOMAIN and `*.DOMAIN`; writes `folder/ca.pem` whole or not
/// at all. Clients built on webpki take a wildcard only where DOMAIN has two
/// labels at least.
pub fn acceptor(folder: &Path, domain: Option<&str>) -> Result<TlsAcceptor, Box<dyn Error>> {
    let authority = CertifiedIssuer::self_signed(authority_params(), KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let certificate = server_params(domain)?.signed_by(&key, &authority)?;

    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        )?;

    fs::create_dir_all(folder)?;
    let new = folder.join("ca.pem.new");
    fs::write(&new, authority.pem())?;
    fs::rename(&new, folder.join("ca.pem"))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(DnType::CommonName, "s3pipe test authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn server_params(domain: Option<&str>) -> Result<CertificateParams, rcgen::Error> {
    let mut names = vec!["localhost".into(), "127.0.0.1".into(), "::1".into()];
    if let Some(domain) = domain {
        names.push(domain.into());
        names.push(format!("*.{domain}"));
    }
    let mut params = CertificateParams::new(names)?;
    params
        .distinguished_name
        .push(DnType::CommonName, "s3pipe test server");
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok(params)
}
