//! Opening a connection: name, TCP, TLS, HTTP.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::exchange::Connection;
use super::failure::Failure;
use super::host::Host;
use super::stream::{Stream, Wire};
use crate::error::ErrorKind;

/// Opens a connection to `host` within `limit`.
pub(super) async fn open(host: &Host, limit: Duration) -> Result<Box<Connection>, Failure> {
    let late = |_| Failure::before_sending(ErrorKind::Connect, "no connection in time");
    timeout(limit, open_unbounded(host, limit)).await.map_err(late)?
}

async fn open_unbounded(host: &Host, limit: Duration) -> Result<Box<Connection>, Failure> {
    let wire = dial(host, limit).await?;
    let wire = match &host.tls {
        None => Wire::Plain(wire),
        Some((connector, name)) => {
            let encrypted =
                connector.connect(name.clone(), wire).await.map_err(handshake_failure)?;
            Wire::Tls(Box::new(encrypted))
        }
    };
    let (stream, traffic) = Stream::new(wire);
    let parts = http1::handshake(TokioIo::new(stream)).await.map_err(|error| {
        Failure::before_sending(ErrorKind::Connect, "the connection closed at once")
            .with_source(error)
    })?;
    Ok(Box::new(Connection::new(parts, traffic)))
}

/// Tries the host's addresses in turn; one that does not answer gets its share of the time only.
async fn dial(host: &Host, limit: Duration) -> Result<TcpStream, Failure> {
    let addresses = host.resolver.addresses().await.map_err(|error| {
        Failure::before_sending(ErrorKind::Connect, "the host's name cannot be resolved")
            .with_source(error)
    })?;
    let share = limit / u32::try_from(addresses.len()).unwrap_or(u32::MAX).clamp(1, 4);
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        match timeout(share, dial_one(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(Failure::before_sending(ErrorKind::Connect, "no connection").with_source(last))
}

async fn dial_one(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// A handshake fails for good when a certificate is refused or the other side speaks no TLS, and
/// for now when the connection broke.
fn handshake_failure(error: io::Error) -> Failure {
    let is_tls = error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>());
    let (kind, message) = if is_tls {
        (ErrorKind::Tls, "no trusted TLS session")
    } else {
        (ErrorKind::Connect, "the connection broke in the TLS handshake")
    };
    Failure::before_sending(kind, message).with_source(error)
}
