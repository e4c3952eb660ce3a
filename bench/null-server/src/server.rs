//! The listening socket, the threads behind it, and the end.

use std::io::{self, Write as _};
use std::net::{Ipv4Addr, TcpStream as Socket};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

use crate::args::Args;
use crate::connection::serve;
use crate::service::Service;

/// Accepted sockets that may wait for a thread.
const HANDOVER_MAX: usize = 1024;

/// Connections that may wait to be accepted: what servers written in Go leave to Linux, whose default is this. A shorter
/// queue drops the first packet of a connection, which comes again a second later and is nobody's cost but the server's.
const CONNECTIONS_WAITING: u32 = 4096;

/// Why the server cannot run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServerError {
    #[error("cannot serve on 127.0.0.1")]
    Io(#[from] io::Error),
    #[error("cannot read `{path}`")]
    Pem { path: PathBuf, source: rustls_pki_types::pem::Error },
    #[error("certificate and key do not fit")]
    Tls(#[from] rustls::Error),
    #[error("cannot write the statistics to `{path}`")]
    Stats { path: PathBuf, source: io::Error },
}

/// Serves until SIGTERM or SIGINT, then writes the statistics.
pub(crate) fn run(args: &Args) -> Result<(), ServerError> {
    let service = Arc::new(Service::new(args));
    let tls = args.tls.as_deref().map(acceptor).transpose()?;
    let threads = (0..args.threads.max(1))
        .map(|index| spawn_thread(index, &service, tls.as_ref()))
        .collect::<io::Result<Vec<_>>>()?;
    runtime()?.block_on(accept(args.port, &threads))?;
    match &args.stats_file {
        None => Ok(()),
        Some(path) => write_stats(path, &service)
            .map_err(|source| ServerError::Stats { path: path.clone(), source }),
    }
}

/// Accepts connections and deals them out in turn until a signal asks to end.
async fn accept(port: u16, threads: &[mpsc::Sender<Socket>]) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind((Ipv4Addr::LOCALHOST, port).into())?;
    let listener = socket.listen(CONNECTIONS_WAITING)?;
    announce(&listener)?;
    let mut turns = threads.iter().cycle();
    loop {
        tokio::select! {
            () = ended(&mut terminate) => return Ok(()),
            () = ended(&mut interrupt) => return Ok(()),
            accepted = listener.accept() => {
                let socket = accepted?.0.into_std()?;
                let thread = turns.next().expect("there is at least one thread");
                thread.send(socket).await.map_err(io::Error::other)?;
            }
        }
    }
}

async fn ended(signal: &mut Signal) {
    signal.recv().await;
}

fn announce(listener: &TcpListener) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "listening on {}", listener.local_addr()?)?;
    stdout.flush()
}

/// A thread with a runtime of its own: connections never move, and nothing is stolen.
fn spawn_thread(
    index: usize,
    service: &Arc<Service>,
    tls: Option<&TlsAcceptor>,
) -> io::Result<mpsc::Sender<Socket>> {
    let (sender, mut sockets) = mpsc::channel(HANDOVER_MAX);
    let (service, tls, runtime) = (Arc::clone(service), tls.cloned(), runtime()?);
    let serve_all = async move {
        while let Some(socket) = sockets.recv().await {
            tokio::spawn(serve_one(socket, tls.clone(), Arc::clone(&service)));
        }
    };
    std::thread::Builder::new()
        .name(format!("serve-{index}"))
        .spawn(move || runtime.block_on(serve_all))?;
    Ok(sender)
}

async fn serve_one(socket: Socket, tls: Option<TlsAcceptor>, service: Arc<Service>) {
    service.tally.connected();
    let served = match TcpStream::from_std(socket) {
        Ok(socket) => serve(socket, tls, Arc::clone(&service)).await.is_ok(),
        Err(_) => false,
    };
    if !served {
        service.tally.connection_failed();
    }
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

fn acceptor(files: &[PathBuf]) -> Result<TlsAcceptor, ServerError> {
    let [certificate, key] = files else { unreachable!("clap asks for exactly two files") };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|source| ServerError::Pem { path: certificate.clone(), source })?;
    let key = PrivateKeyDer::from_pem_file(key)
        .map_err(|source| ServerError::Pem { path: key.clone(), source })?;
    // Named, because a build beside other programs may leave rustls with two to choose from.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn write_stats(path: &Path, service: &Service) -> io::Result<()> {
    let json = serde_json::to_string_pretty(&service.snapshot())?;
    std::fs::write(path, json + "\n")
}
