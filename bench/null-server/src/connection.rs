//! One connection: reads requests, drops their bodies, writes replies, one write each.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::body::{Body, Reader};
use crate::chunked::Malformed;
use crate::fault::Kind;
use crate::head::{Head, HeadError};
use crate::operation::Operation;
use crate::reply::Reply;
use crate::service::{Fate, Service};

/// Enough for a head and a small object in one read.
const BUFFER_BYTES: usize = 16 << 10;
/// What the buffer grows to when a larger body comes: measured best of 64, 128 and 256 KiB, as it stays in
/// the caches (0.15, 0.17 and 0.20 CPU-s/GiB with `wrk` and PUTs of 512 KiB on 2 cores of an AMD EPYC).
const BUFFER_BYTES_LARGE: usize = 64 << 10;

/// Why a connection ended before the client closed it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectionError {
    #[error("cannot read or write")]
    Io(#[from] io::Error),
    #[error("cannot read the request")]
    Head(#[from] HeadError),
    #[error("the request head is longer than {BUFFER_BYTES_LARGE} bytes")]
    HeadTooLong,
    #[error("cannot read the body")]
    Body(#[from] Malformed),
}

/// Serves one client until it leaves.
pub(crate) async fn serve(
    socket: TcpStream,
    tls: Option<TlsAcceptor>,
    service: Arc<Service>,
) -> Result<(), ConnectionError> {
    socket.set_nodelay(true)?;
    let stream = match tls {
        None => Stream::Plain(socket),
        Some(acceptor) => Stream::Tls(Box::new(acceptor.accept(socket).await?)),
    };
    let mut connection = Connection { stream, buffer: Buffer::default(), out: Vec::new(), service };
    while connection.exchange().await? {}
    Ok(())
}

struct Connection {
    stream: Stream,
    buffer: Buffer,
    out: Vec<u8>,
    service: Arc<Service>,
}

impl Connection {
    /// One request and its reply; answers whether another may follow.
    async fn exchange(&mut self) -> Result<bool, ConnectionError> {
        let head = match self.read_head().await {
            Ok(Some(head)) => head,
            Ok(None) => return Ok(false),
            Err(ConnectionError::Head(error)) => {
                let reply = Reply::error(400, "InvalidURI", &error.to_string());
                self.send(&reply.closing(), 0).await?;
                return Err(error.into());
            }
            Err(error) => return Err(error),
        };
        let operation = Operation::of(&head);
        let (number, fate) = self.service.admit(operation);
        if head.wants_continue {
            self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        let body = match self.read_body(&head, operation).await {
            Ok(body) => body,
            Err(ConnectionError::Body(error)) => {
                let reply = Reply::error(400, "IncompleteBody", &error.to_string());
                self.send(&reply.closing(), number).await?;
                return Err(error.into());
            }
            Err(error) => return Err(error),
        };
        if operation != Operation::Stats && !self.service.latency.is_zero() {
            tokio::time::sleep(self.service.latency).await;
        }
        self.answer(&head, operation, fate, &body, number).await
    }

    async fn answer(
        &mut self,
        head: &Head,
        operation: Operation,
        fate: Fate,
        body: &Body,
        number: u64,
    ) -> Result<bool, ConnectionError> {
        let applied = match fate {
            Fate::Fault(kind) if !kind.is_applied() => None,
            Fate::SlowDown => None,
            Fate::Serve | Fate::Fault(_) => Some(self.service.apply(operation, head, body)),
        };
        let reply = match (fate, applied) {
            (Fate::SlowDown | Fate::Fault(Kind::SlowDown), _) => slow_down(),
            (Fate::Fault(Kind::InternalError), _) => internal_error(500),
            (Fate::Fault(Kind::ErrorBody), _) => internal_error(200),
            (Fate::Fault(Kind::Html), _) => Reply::html(),
            (Fate::Fault(Kind::ResetBefore | Kind::ResetAfterApply), _) => {
                self.stream.reset()?;
                return Ok(false);
            }
            (Fate::Fault(Kind::Stall), _) => return self.stall().await,
            (Fate::Fault(Kind::TruncatedReply), applied) => {
                return self.send_half(&applied.unwrap_or_else(slow_down), number).await;
            }
            (Fate::Serve, applied) => applied.unwrap_or_else(slow_down),
        };
        let is_head = matches!(operation, Operation::HeadObject | Operation::HeadBucket);
        let reply = if is_head { reply.without_body() } else { reply };
        let reply = if head.keeps_alive { reply } else { reply.closing() };
        self.send(&reply, number).await?;
        Ok(!reply.closes)
    }

    async fn read_head(&mut self) -> Result<Option<Head>, ConnectionError> {
        loop {
            let bytes = self.buffer.bytes();
            if !bytes.is_empty()
                && let Some((head, length)) = Head::parse(bytes)?
            {
                self.buffer.consume(length);
                return Ok(Some(head));
            }
            if self.buffer.is_full() {
                self.buffer.grow()?;
            }
            let count = match self.buffer.fill(&mut self.stream).await {
                // Most TLS clients leave without the farewell that rustls asks for.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => 0,
                read => read?,
            };
            if count == 0 {
                let is_clean = self.buffer.bytes().is_empty();
                return if is_clean { Ok(None) } else { Err(eof()) };
            }
        }
    }

    async fn read_body(
        &mut self,
        head: &Head,
        operation: Operation,
    ) -> Result<Body, ConnectionError> {
        let keeps_text = operation == Operation::CompleteMultipartUpload;
        let mut reader = Reader::new(head, self.service.with_md5, keeps_text);
        if reader.remaining().is_none_or(|left| left > BUFFER_BYTES as u64) {
            self.buffer.enlarge();
        }
        loop {
            let taken = reader.feed(self.buffer.bytes())?;
            self.buffer.consume(taken);
            if reader.is_complete() {
                return Ok(reader.finish()?);
            }
            if self.buffer.fill(&mut self.stream).await? == 0 {
                return Err(eof());
            }
        }
    }

    async fn send(&mut self, reply: &Reply, number: u64) -> Result<(), ConnectionError> {
        self.out.clear();
        reply.write_to(&mut self.out, number);
        self.stream.write_all(&self.out).await?;
        Ok(())
    }

    /// Sends the first half of a reply and closes.
    async fn send_half(&mut self, reply: &Reply, number: u64) -> Result<bool, ConnectionError> {
        self.out.clear();
        reply.write_to(&mut self.out, number);
        let half = self.out.len() / 2;
        self.stream.write_all(&self.out[..half]).await?;
        Ok(false)
    }

    /// Answers nothing until the client gives up.
    async fn stall(&mut self) -> Result<bool, ConnectionError> {
        loop {
            let unread = self.buffer.bytes().len();
            self.buffer.consume(unread);
            if self.buffer.fill(&mut self.stream).await? == 0 {
                return Ok(false);
            }
        }
    }
}

fn slow_down() -> Reply {
    Reply::error(503, "SlowDown", "Please reduce your request rate.")
}

fn internal_error(status: u16) -> Reply {
    Reply::error(status, "InternalError", "We encountered an internal error. Please try again.")
}

fn eof() -> ConnectionError {
    io::Error::from(io::ErrorKind::UnexpectedEof).into()
}

/// Bytes that were read and not yet used.
#[derive(Debug, Default)]
struct Buffer {
    storage: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buffer {
    fn bytes(&self) -> &[u8] {
        &self.storage[self.start..self.end]
    }

    fn consume(&mut self, count: usize) {
        self.start += count;
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    fn is_full(&self) -> bool {
        !self.storage.is_empty() && self.end - self.start == self.storage.len()
    }

    fn enlarge(&mut self) {
        if self.storage.len() < BUFFER_BYTES_LARGE {
            self.storage.resize(BUFFER_BYTES_LARGE, 0);
        }
    }

    /// Makes room for a head longer than the buffer, once.
    fn grow(&mut self) -> Result<(), ConnectionError> {
        if self.storage.len() >= BUFFER_BYTES_LARGE {
            return Err(ConnectionError::HeadTooLong);
        }
        self.enlarge();
        Ok(())
    }

    async fn fill(&mut self, stream: &mut Stream) -> io::Result<usize> {
        if self.storage.is_empty() {
            self.storage.resize(BUFFER_BYTES, 0);
        }
        if self.end == self.storage.len() {
            self.storage.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let count = stream.read(&mut self.storage[self.end..]).await?;
        self.end += count;
        Ok(count)
    }
}

/// Plain TCP or TLS over it.
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    async fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(into).await,
            Self::Tls(stream) => stream.read(into).await,
        }
    }

    async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.write_all(bytes).await,
            Self::Tls(stream) => {
                stream.write_all(bytes).await?;
                stream.flush().await
            }
        }
    }

    /// Makes the coming close a reset instead of an orderly end.
    fn reset(&self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.set_zero_linger(),
            Self::Tls(stream) => stream.get_ref().0.set_zero_linger(),
        }
    }
}
