//! From a bucket's name to a client: region, endpoint, credentials, and whether the bucket is there.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aws_types::SdkConfig;
use s3bl_core::retry::RetryClass;
use s3bl_s3::{
    Client, Config, ConfigError, Credentials, Endpoint, EndpointError, Error, ErrorKind, HeadBucket,
};

use super::classify::meaning;
use super::reach::Reach;
use crate::aws;

/// What the user said of the service.
#[derive(Clone, Default)]
pub struct ConnectSettings {
    /// Bucket name.
    pub bucket: String,
    /// The service's URL; by default what the AWS configuration names, else AWS.
    pub endpoint_url: Option<String>,
    /// Region; by default what the AWS configuration names, else asked for.
    pub region: Option<String>,
    /// Profile of the AWS configuration.
    pub profile: Option<String>,
    /// A fixed pair of access keys, instead of those that the AWS configuration names.
    pub keys: Option<(String, String)>,
}

/// A bucket that is known to be there.
#[derive(Debug, Clone)]
pub struct Bucket {
    /// A client for it.
    pub client: Client,
    /// Its name.
    pub name: String,
    /// The service's URL, for people.
    pub endpoint: String,
    /// Its region.
    pub region: String,
    /// What all who ask it know of it.
    pub(crate) reach: Arc<Reach>,
}

/// Why there is no way to a bucket.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The endpoint is no URL.
    #[error("the endpoint URL is wrong")]
    Endpoint(#[from] EndpointError),
    /// The client cannot be made.
    #[error("the S3 client cannot be set up")]
    Config(#[from] ConfigError),
    /// The bucket does not exist.
    #[error("there is no bucket `{bucket}` at {endpoint}")]
    NoSuchBucket {
        /// The bucket.
        bucket: String,
        /// The service.
        endpoint: String,
    },
    /// The bucket lives elsewhere, and the region was prescribed.
    #[error(
        "the bucket `{bucket}` is in region {actual}, not in {asked}: say `--region {actual}`, or leave it out"
    )]
    WrongRegion {
        /// The bucket.
        bucket: String,
        /// Where it is.
        actual: String,
        /// Where it was looked for.
        asked: String,
    },
    /// The service did not answer as it must.
    #[error("the bucket `{bucket}` at {endpoint} cannot be reached")]
    Unreachable {
        /// The bucket.
        bucket: String,
        /// The service.
        endpoint: String,
        /// What it said.
        #[source]
        source: Box<Error>,
    },
}

/// Region that requests are signed for when nobody names one: custom services take any.
const REGION_DEFAULT: &str = "us-east-1";

/// Finds region, endpoint and credentials as the AWS tools do, and asks the service for the bucket.
///
/// The bucket's own region wins over a configured one, but not over one that the user prescribed.
pub async fn connect(settings: &ConnectSettings) -> Result<Bucket, ConnectError> {
    // A bundle that cannot be used is refused below, by the client that reads it for itself.
    let bundle = aws::ca_bundle().unwrap_or_default();
    let sdk = aws::load(settings.region.as_deref(), settings.profile.as_deref(), bundle).await;
    let configured = settings.region.clone().or_else(|| sdk.region().map(ToString::to_string));
    let region = configured.unwrap_or_else(|| REGION_DEFAULT.to_owned());
    let found = open(settings, &sdk, &region)?;
    match ask(&found).await {
        Err(Located::Elsewhere(actual)) if settings.region.is_none() => {
            let found = open(settings, &sdk, &actual)?;
            ask(&found).await.map_err(|located| located.into_error(&found)).map(|()| found)
        }
        Err(located) => Err(located.into_error(&found)),
        Ok(()) => Ok(found),
    }
}

fn open(settings: &ConnectSettings, sdk: &SdkConfig, region: &str) -> Result<Bucket, ConnectError> {
    let credentials = match (&settings.keys, sdk.credentials_provider()) {
        (Some((access_key, secret_key)), _) => Credentials::fixed(access_key, secret_key, None),
        (None, Some(provider)) => Credentials::provider(provider),
        (None, None) => Credentials::anonymous(),
    };
    let mut config = Config::new(region, credentials);
    let url = settings.endpoint_url.clone().or_else(|| aws::endpoint_url(sdk, "S3"));
    if let Some(url) = &url {
        config = config.with_endpoint(Endpoint::parse(url)?);
    }
    config.ca_bundle = std::env::var_os("AWS_CA_BUNDLE").map(PathBuf::from);
    let endpoint = url.unwrap_or_else(|| format!("https://{}", config.endpoint.host()));
    let client = Client::new(config)?;
    let (name, region, reach) = (settings.bucket.clone(), region.to_owned(), Arc::default());
    Ok(Bucket { client, name, endpoint, region, reach })
}

/// What asking for a bucket came to, when it is not simply there.
enum Located {
    Elsewhere(String),
    Failed(Error),
}

/// Attempts at the first question: a service that is starting up gets a moment.
const ASK_ATTEMPTS: u32 = 4;
/// Pause after the first, longer after each.
const ASK_PAUSE: Duration = Duration::from_millis(250);

async fn ask(bucket: &Bucket) -> Result<(), Located> {
    let mut attempt = 1;
    loop {
        let Err(error) = bucket.client.head_bucket(&HeadBucket { bucket: &bucket.name }).await
        else {
            return Ok(());
        };
        if let ErrorKind::WrongRegion { region: Some(region) } = &error.kind {
            return Err(Located::Elsewhere(region.clone()));
        }
        // Whoever may write and not list is told 403 here; the probe will show what is allowed.
        if error.kind == ErrorKind::AccessDenied {
            return Ok(());
        }
        if attempt >= ASK_ATTEMPTS || meaning(&error.kind).retry == RetryClass::Never {
            return Err(Located::Failed(error));
        }
        tokio::time::sleep(ASK_PAUSE * attempt).await;
        attempt += 1;
    }
}

impl Located {
    fn into_error(self, asked: &Bucket) -> ConnectError {
        let (bucket, endpoint) = (asked.name.clone(), asked.endpoint.clone());
        match self {
            Self::Elsewhere(actual) => {
                ConnectError::WrongRegion { bucket, actual, asked: asked.region.clone() }
            }
            Self::Failed(error)
                if matches!(error.kind, ErrorKind::NoSuchBucket | ErrorKind::NoSuchKey) =>
            {
                ConnectError::NoSuchBucket { bucket, endpoint }
            }
            Self::Failed(error) => {
                ConnectError::Unreachable { bucket, endpoint, source: Box::new(error) }
            }
        }
    }
}
