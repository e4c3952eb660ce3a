//! The server: a listening socket, its connections, and their end.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

use super::auth::Credentials;
use super::drain::answer;
use super::protocol::Protocol;
use super::store::{OpenError, Store, StoreError};

/// How long [`EmbeddedServer::stop`] lets requests run on.
const DRAIN_DEADLINE: Duration = Duration::from_secs(5);

/// How long to wait when the process has no file descriptor left for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Where the server keeps its objects.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum StoreLocation {
    /// In memory: gone with the server.
    #[default]
    Memory,
    /// In a directory, which is created when it is missing; a later server finds everything there.
    Directory(PathBuf),
}

/// What a server is started with. The default: any free port, in memory, random credentials, no bucket.
#[derive(Debug, Clone, Default)]
pub struct ServerOptions {
    /// The port on 127.0.0.1; 0 takes any that is free.
    pub port: u16,
    /// Where objects are kept.
    pub location: StoreLocation,
    /// Access key and secret key; `None` makes random ones.
    pub credentials: Option<(String, String)>,
    /// Buckets that exist from the start, in addition to those that the store holds already.
    pub buckets: Vec<String>,
}

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The store's directory cannot be used.
    #[error("cannot open the store")]
    Store(#[from] OpenError),
    /// A bucket of [`ServerOptions::buckets`] cannot be made.
    #[error("cannot create the bucket `{bucket}`")]
    Bucket {
        /// Its name.
        bucket: String,
        /// What the rules of S3 or the store say.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The port cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The system gives no random bytes.
    #[error("cannot make random credentials")]
    Random {
        /// What the system says.
        source: io::Error,
    },
}

/// An S3 server within this process, on 127.0.0.1.
///
/// Dropping it ends it at once; [`EmbeddedServer::stop`] lets the requests that go on finish first.
#[derive(Debug)]
pub struct EmbeddedServer {
    address: SocketAddr,
    credentials: Credentials,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl EmbeddedServer {
    /// Opens the store, creates the buckets and starts to listen. Needs a tokio runtime, on which it lives.
    ///
    /// # Errors
    ///
    /// Any [`ServerError`]; nothing is left running then.
    pub async fn start(options: ServerOptions) -> Result<Self, ServerError> {
        let credentials = match options.credentials {
            Some((access_key, secret_key)) => Credentials { access_key, secret_key },
            None => Credentials::random().map_err(|source| ServerError::Random { source })?,
        };
        let store = match &options.location {
            StoreLocation::Memory => Store::in_memory(),
            StoreLocation::Directory(directory) => Store::open(directory)?,
        };
        options.buckets.iter().try_for_each(|bucket| ensure_bucket(&store, bucket))?;
        let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, options.port));
        let (listener, address) = listen(wanted)
            .await
            .map_err(|source| ServerError::Listen { address: wanted, source })?;

        let mut builder = S3ServiceBuilder::new(Protocol::new(Arc::new(store)));
        builder.set_auth(credentials.clone());
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(serve(listener, builder.build(), stopped));
        Ok(Self { address, credentials, stop: Some(stop), task })
    }

    /// The URL for `--endpoint-url`, without a slash at its end. Buckets are addressed by path.
    #[must_use]
    pub fn endpoint_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The access key and the secret key.
    #[must_use]
    pub fn credentials(&self) -> (&str, &str) {
        (&self.credentials.access_key, &self.credentials.secret_key)
    }

    /// Takes no more connections, lets the requests that go on finish for at most five seconds, and ends.
    ///
    /// The store is closed when this returns: another server may open its directory.
    pub async fn stop(mut self) {
        // The task is gone already when this finds no receiver.
        let _gone = self.stop.take().map(|stop| stop.send(()));
        if let Err(error) = (&mut self.task).await {
            tracing::warn!(%error, "the embedded server has ended early");
        }
    }
}

impl Drop for EmbeddedServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn ensure_bucket(store: &Store, bucket: &str) -> Result<(), ServerError> {
    let source: Box<dyn std::error::Error + Send + Sync> = if s3s::path::check_bucket_name(bucket) {
        match store.create_bucket(bucket) {
            Ok(()) | Err(StoreError::BucketExists { .. }) => return Ok(()),
            Err(error) => error.into(),
        }
    } else {
        "not a bucket name: 3 to 63 lower-case letters, digits, dots and hyphens".into()
    };
    Err(ServerError::Bucket { bucket: bucket.to_owned(), source })
}

async fn listen(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Accepts connections until it is told to stop, then drains them. Owns their tasks: aborting this ends them.
async fn serve(listener: TcpListener, service: S3Service, mut stopped: oneshot::Receiver<()>) {
    let mut connections = JoinSet::new();
    let graceful = GracefulShutdown::new();
    loop {
        tokio::select! {
            _ = &mut stopped => break,
            Some(_ended) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve_connection(stream, service.clone(), graceful.watcher()));
                }
                Err(error) => {
                    tracing::warn!(%error, "the embedded server cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    if tokio::time::timeout(DRAIN_DEADLINE, graceful.shutdown()).await.is_err() {
        tracing::warn!(open = connections.len(), "the embedded server cuts connections off");
    }
    connections.shutdown().await;
}

async fn serve_connection(
    stream: TcpStream,
    service: S3Service,
    watcher: hyper_util::server::graceful::Watcher,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "the embedded server cannot set TCP_NODELAY");
    }
    // Hyper's default closes a connection that idles for half a minute, under the feet of a client that pools it.
    let connection = http1::Builder::new().header_read_timeout(None).serve_connection(
        TokioIo::new(stream),
        service_fn(|request| answer(service.clone(), request)),
    );
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%error, "a connection to the embedded server has broken off");
    }
}
