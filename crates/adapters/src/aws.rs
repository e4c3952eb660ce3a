//! The AWS configuration, found as every AWS tool finds it: region, profile, credentials, endpoints, proxies.
//!
//! The S3 store takes region, credentials and endpoint from it; the SQS and SNS clients of a channel take all of it.

mod clock;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use aws_config::BehaviorVersion;
use aws_credential_types::Credentials;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_http_client::{Builder, ConnectorBuilder};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_types::SdkConfig;
use aws_types::region::Region;
use aws_types::service_config::ServiceConfigKey;
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

pub use clock::ClockOff;

/// The file that `AWS_CA_BUNDLE` names cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("`{}`, which AWS_CA_BUNDLE names, is not a file of certificates in PEM", path.display())]
pub(crate) struct CaBundleError {
    path: PathBuf,
    #[source]
    source: Box<dyn std::error::Error + Send + Sync>,
}

/// Keys that stand in a configuration file of this program; the whole process has one such file.
static FILE_KEYS: OnceLock<(String, String)> = OnceLock::new();

/// Takes these keys wherever neither the environment nor a profile names others. The first call counts.
pub fn use_keys(access: &str, secret: &str) {
    // A second call within one process (tests) keeps the first keys.
    let _ = FILE_KEYS.set((access.to_owned(), secret.to_owned()));
}

fn is_set(name: &&str) -> bool {
    std::env::var_os(name).is_some_and(|value| !value.is_empty())
}

/// Reads the environment and the profile; `region` and `profile` win over both. `bundle` is what [`ca_bundle`] gave.
pub(crate) async fn load(
    region: Option<&str>,
    profile: Option<&str>,
    bundle: Option<Vec<u8>>,
) -> SdkConfig {
    let mut loader = aws_config::defaults(BehaviorVersion::latest());
    loader = loader.http_client(http_client(bundle));
    if let Some(profile) = profile {
        loader = loader.profile_name(profile);
    }
    let is_named = profile.is_some() || ["AWS_ACCESS_KEY_ID", "AWS_PROFILE"].iter().any(is_set);
    if let (Some((access, secret)), false) = (FILE_KEYS.get(), is_named) {
        let source = "the configuration file";
        let keys = Credentials::new(access, secret, None, None, source);
        loader = loader.credentials_provider(keys);
    }
    if let Some(region) = region {
        loader = loader.region(Region::new(region.to_owned()));
    }
    loader.load().await
}

/// Reads the certificates that `AWS_CA_BUNDLE` names, and checks them, because the client that takes them panics at
/// what is no certificate.
pub(crate) fn ca_bundle() -> Result<Option<Vec<u8>>, CaBundleError> {
    let Some(path) = std::env::var_os("AWS_CA_BUNDLE").map(PathBuf::from) else {
        return Ok(None);
    };
    read_bundle(&path).map(Some).map_err(|source| CaBundleError { path, source })
}

fn read_bundle(path: &Path) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
    let bytes = std::fs::read(path)?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&bytes) {
        roots.add(certificate?)?;
    }
    if roots.is_empty() {
        return Err("it holds no certificate".into());
    }
    Ok(bytes)
}

/// Returns the endpoint of a service that the environment or the profile names: that of the service first, then the
/// common one. `service` is the name that AWS gives it there, as `S3`.
pub(crate) fn endpoint_url(sdk: &SdkConfig, service: &'static str) -> Option<String> {
    let key = ServiceConfigKey::builder()
        .service_id(service)
        .env("AWS_ENDPOINT_URL")
        .profile("endpoint_url")
        .build()
        .expect("all three parts of the key are given");
    let own = sdk.service_config().and_then(|config| config.load_config(key));
    own.or_else(|| sdk.endpoint_url().map(str::to_owned))
}

/// Makes the client behind credential providers, SQS and SNS: the SDK's own, with the provider of TLS that the data
/// plane has, and with a company's certificates beside the system's.
pub(crate) fn http_client(bundle: Option<Vec<u8>>) -> SharedHttpClient {
    let mut roots = TrustStore::default();
    if let Some(bundle) = bundle {
        roots = roots.with_pem_certificate(bundle);
    }
    let tls = TlsContext::builder()
        .with_trust_store(roots)
        .build()
        .expect("nothing in this context can be refused");
    // The one constructor that keeps connections between requests and still lets a proxy be named; the SDK makes its
    // default client by it.
    Builder::new().build_with_connector_fn(move |settings, components| {
        let mut connector = ConnectorBuilder::default()
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .tls_context(tls.clone());
        connector.set_connector_settings(settings.cloned());
        connector.set_sleep_impl(components.and_then(|components| components.sleep_impl()));
        connector.set_proxy_config(Some(ProxyConfig::from_env()));
        connector.build()
    })
}
