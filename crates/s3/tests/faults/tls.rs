//! TLS: whom the client trusts, and what it makes of others.

use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use s3bl_s3::{Applied, Client, Config, ConfigError, Credentials, Endpoint, ErrorKind};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

use crate::script::{Act, Server};
use crate::{STORED, config, put};

/// An authority that certifies `localhost` and 127.0.0.1, and a bundle that names it.
pub(crate) struct Authority {
    directory: TempDir,
    certificate: CertificateDer<'static>,
    key: Vec<u8>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut root = CertificateParams::default();
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = CertifiedIssuer::self_signed(root, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let leaf =
            CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        let certificate = leaf.signed_by(&key, &root).unwrap().der().clone();
        let directory = TempDir::new().unwrap();
        std::fs::write(directory.path().join("ca.pem"), root.pem()).unwrap();
        Self { directory, certificate, key: key.serialize_der() }
    }

    /// The bundle to trust.
    pub(crate) fn bundle(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    fn acceptor(&self) -> TlsAcceptor {
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(self.key.clone()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate.clone()], key)
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }

    /// Serves connections with one request each, and tells how each handshake went.
    async fn serve(&self) -> (Endpoint, mpsc::UnboundedReceiver<rustls::HandshakeKind>) {
        let (acceptor, listener) =
            (self.acceptor(), TcpListener::bind("127.0.0.1:0").await.unwrap());
        let endpoint = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let (sender, kinds) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                sender.send(stream.get_ref().1.handshake_kind().unwrap()).unwrap();
                let mut request = [0; 4096];
                assert!(stream.read(&mut request).await.unwrap() > 0);
                stream.write_all(STORED).await.unwrap();
                stream.shutdown().await.unwrap();
            }
        });
        (Endpoint::parse(&endpoint).unwrap(), kinds)
    }
}

fn client(endpoint: Endpoint, ca_bundle: Option<PathBuf>) -> Result<Client, ConfigError> {
    let config = Config::new("us-east-1", Credentials::anonymous()).with_endpoint(endpoint);
    Client::new(Config { ca_bundle, ..config })
}

#[tokio::test]
async fn a_certificate_of_the_bundle_is_trusted_and_the_session_resumed() {
    let authority = Authority::new();
    let (endpoint, mut kinds) = authority.serve().await;
    let client = client(endpoint, Some(authority.bundle())).unwrap();
    for expected in [rustls::HandshakeKind::Full, rustls::HandshakeKind::Resumed] {
        client.put_object(&put()).await.unwrap();
        assert_eq!(kinds.recv().await.unwrap(), expected);
    }
}

#[tokio::test]
async fn a_certificate_of_nobody_known_is_refused_for_good() {
    let (endpoint, _kinds) = Authority::new().serve().await;
    let stranger = Authority::new();
    let client = client(endpoint, Some(stranger.bundle())).unwrap();
    let error = client.put_object(&put()).await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::Tls, Applied::No));
}

#[tokio::test]
async fn a_server_without_tls_is_refused_for_good() {
    let authority = Authority::new();
    let nonsense = b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec();
    let server = Server::start(vec![vec![Act::Send(nonsense)]]).await;
    let endpoint = format!("https://{}", server.address()).parse().unwrap();
    let config = Config { endpoint, ca_bundle: Some(authority.bundle()), ..config(&server) };
    let error = Client::new(config).unwrap().put_object(&put()).await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::Tls, Applied::No));
}

#[tokio::test]
async fn a_server_that_hangs_up_in_the_handshake_is_a_failed_connection() {
    let authority = Authority::new();
    let server = Server::start(vec![vec![Act::Close]]).await;
    let endpoint = format!("https://{}", server.address()).parse().unwrap();
    let config = Config { endpoint, ca_bundle: Some(authority.bundle()), ..config(&server) };
    let error = Client::new(config).unwrap().put_object(&put()).await.unwrap_err();
    assert_eq!((error.kind, error.applied), (ErrorKind::Connect, Applied::No));
}

#[test]
fn a_bundle_that_is_missing_or_empty_is_refused_at_once() {
    let directory = TempDir::new().unwrap();
    let endpoint = Endpoint::aws("us-east-1");
    let missing = client(endpoint.clone(), Some(directory.path().join("none.pem")));
    assert!(matches!(missing, Err(ConfigError::CaBundle { .. })));
    let empty = directory.path().join("empty.pem");
    std::fs::write(&empty, "nothing here").unwrap();
    assert!(matches!(client(endpoint, Some(empty)), Err(ConfigError::NoRoots { .. })));
}

#[test]
fn the_system_s_roots_are_found() {
    client(Endpoint::aws("us-east-1"), None).unwrap();
}
