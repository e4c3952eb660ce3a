//! Whom to trust.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use s3bl_port::channel::{ChannelError, ChannelErrorKind};

/// Makes the TLS side of the client. It is ours because the client's own takes the process's default provider of
/// cryptography, and there is none where two are compiled in.
pub(super) fn client_config(ca_file: Option<&Path>) -> Result<ClientConfig, ChannelError> {
    let roots = match ca_file {
        Some(path) => file_roots(path)?,
        None => system_roots(),
    };
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| invalid("TLS cannot be set up".to_owned(), error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}

fn file_roots(path: &Path) -> Result<RootCertStore, ChannelError> {
    let unusable = || format!("`{}` holds no certificates that can be trusted", path.display());
    let mut roots = RootCertStore::empty();
    let certificates =
        CertificateDer::pem_file_iter(path).map_err(|error| invalid(unusable(), error))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| invalid(unusable(), error))?;
        roots.add(certificate).map_err(|error| invalid(unusable(), error))?;
    }
    if roots.is_empty() {
        let kind = ChannelErrorKind::Invalid;
        return Err(ChannelError { kind, message: unusable(), source: None });
    }
    Ok(roots)
}

/// The system's store may hold oddities; those are passed over. An empty one matters only to who speaks TLS, and there
/// it is said by the handshake.
fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

fn invalid(
    message: String,
    error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> ChannelError {
    ChannelError { kind: ChannelErrorKind::Invalid, message, source: Some(error.into()) }
}
