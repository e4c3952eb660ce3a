//! Whom to trust.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tokio_rustls::TlsConnector;

use crate::config::ConfigError;

/// Makes the TLS side of a client. Sessions are resumed between its connections.
pub(crate) fn connector(ca_bundle: Option<&Path>) -> Result<TlsConnector, ConfigError> {
    let roots = match ca_bundle {
        Some(path) => bundle_roots(path)?,
        None => system_roots()?,
    };
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|source| ConfigError::Tls { source })?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

fn bundle_roots(path: &Path) -> Result<RootCertStore, ConfigError> {
    let place = || format!("`{}`", path.display());
    let unreadable = |source| ConfigError::CaBundle { path: path.to_owned(), source };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(unreadable)? {
        let certificate = certificate.map_err(unreadable)?;
        roots.add(certificate).map_err(|source| ConfigError::BadRoot { place: place(), source })?;
    }
    if roots.is_empty() {
        return Err(ConfigError::NoRoots { place: place() });
    }
    Ok(roots)
}

/// Unlike a bundle that was named, the system's store may hold oddities; those are passed over.
fn system_roots() -> Result<RootCertStore, ConfigError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let reasons: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
        let place = format!("the system's store ({})", reasons.join("; "));
        return Err(ConfigError::NoRoots { place });
    }
    Ok(roots)
}
