//! Serves one client connection: request after request, each with its fault.

use std::io::{self, BufReader, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use super::http::{Body, Change, Copier, Head};
use super::rule::{Fault, Reply};
use super::{Seen, Shared};

/// No single read or write lasts longer; a test's own deadline comes first.
const SOCKET_WAIT_MAX: Duration = Duration::from_secs(120);
const STALL_MAX: Duration = Duration::from_secs(600);

type Reader = BufReader<StreamRef>;

/// Serves the connection until one side closes it or a fault does.
pub(super) fn serve(shared: &Shared, client: Arc<TcpStream>, number: usize) {
    // Otherwise the client has gone already.
    let Ok(mut connection) = Connection::new(shared, client, number) else { return };
    // An error is a peer that closed: that is a client's right, and what faults do.
    while let Ok(Next::Request) = connection.serve_request() {}
}

/// Whether the connection goes on after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Request,
    Close,
}

struct Connection<'a> {
    shared: &'a Shared,
    number: usize,
    client: Reader,
}

impl<'a> Connection<'a> {
    fn new(shared: &'a Shared, client: Arc<TcpStream>, number: usize) -> io::Result<Self> {
        Ok(Self { shared, number, client: reader(client)? })
    }

    fn serve_request(&mut self) -> io::Result<Next> {
        let Some(mut head) = Head::read(&mut self.client)? else { return Ok(Next::Close) };
        let (index, fault) = self.note(&head);
        if fault == Some(Fault::Reset) {
            return self.reset();
        }
        if let Some(Fault::AnswerEarly(reply)) = &fault {
            self.answer(reply, &head)?;
            return Ok(Next::Close);
        }
        if head.header("expect").is_some() {
            head.remove("expect");
            self.client.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        if let Some(Fault::Answer(reply)) = &fault {
            self.swallow_request(&head)?;
            self.answer(reply, &head)?;
            return Ok(next_after(&head));
        }
        if fault == Some(Fault::Stall) {
            self.swallow_request(&head)?;
            self.shared.pause(STALL_MAX);
            return Ok(Next::Close);
        }
        if let Some(Fault::DelayRequest(duration)) = &fault {
            self.shared.pause(*duration);
        }
        // A connection for each request, so that none fails for having been idle too long.
        let server = TcpStream::connect(self.shared.upstream)?;
        let mut server = reader(self.shared.register(server))?;
        if self.forward_request(&mut server, &head, fault.as_ref())? == Next::Close {
            return self.reset();
        }
        self.forward_reply(&mut server, &head, fault.as_ref(), index)
    }

    /// Records the request and returns its index in the record and the fault that a rule has for it.
    fn note(&self, head: &Head) -> (usize, Option<Fault>) {
        let mut state = self.shared.state();
        let fault = state.rules.iter_mut().find_map(|rule| rule.claim(head));
        state.seen.push(Seen {
            connection: self.number,
            method: head.method().to_owned(),
            target: head.target().to_owned(),
            fault: fault.clone(),
            status: None,
        });
        (state.seen.len() - 1, fault)
    }

    /// Passes the request on; says to close if the fault cut it.
    fn forward_request(
        &mut self,
        server: &mut Reader,
        head: &Head,
        fault: Option<&Fault>,
    ) -> io::Result<Next> {
        let change = fault.map(Fault::request_change).unwrap_or_default();
        server.get_mut().write_all(&head.to_bytes())?;
        let sent =
            Copier::new(&mut self.client, server.get_mut(), change).copy(head.request_body());
        if change.cut_after.is_some() {
            return Ok(Next::Close);
        }
        // A server may answer and close before it has read the whole body: its answer still counts.
        match sent {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Next::Request),
            Err(error) => Err(error),
            Ok(()) => Ok(Next::Request),
        }
    }

    fn forward_reply(
        &mut self,
        server: &mut Reader,
        request: &Head,
        fault: Option<&Fault>,
        index: usize,
    ) -> io::Result<Next> {
        let to_head_request = request.method() == "HEAD";
        let reply = loop {
            let Some(head) = Head::read(server)? else { return Ok(Next::Close) };
            // Interim answers are for this connection, not for the client's.
            if !(100..=199).contains(&head.status()) {
                break head;
            }
        };
        self.shared.state().seen[index].status = Some(reply.status());
        let body = reply.reply_body(to_head_request);
        if let Some(Fault::DropReply | Fault::AnswerAfterForward(_)) = fault {
            // Read to its end, so that the server has surely done its work.
            Copier::new(server, &mut io::sink(), Change::default()).copy(body)?;
            let Some(Fault::AnswerAfterForward(made_up)) = fault else { return Ok(Next::Close) };
            self.answer(made_up, request)?;
            return Ok(next_after(request));
        }
        if let Some(Fault::DelayReply(duration)) = fault {
            self.shared.pause(*duration);
        }
        let change = fault.map(Fault::reply_change).unwrap_or_default();
        let client = self.client.get_mut();
        client.write_all(&reply.to_bytes())?;
        Copier::new(server, client, change).copy(body)?;
        let ends = change.cut_after.is_some() || body == Body::UntilClose || reply.closes();
        Ok(if ends { Next::Close } else { next_after(request) })
    }

    fn swallow_request(&mut self, head: &Head) -> io::Result<()> {
        Copier::new(&mut self.client, &mut io::sink(), Change::default()).copy(head.request_body())
    }

    fn answer(&mut self, reply: &Reply, request: &Head) -> io::Result<()> {
        self.client.get_mut().write_all(&reply.to_bytes(request.method() == "HEAD"))
    }

    /// Makes the close a reset: what was not delivered yet is lost, and the client sees an error, not an end.
    fn reset(&self) -> io::Result<Next> {
        rustix::net::sockopt::set_socket_linger(&*self.client.get_ref().0, Some(Duration::ZERO))?;
        Ok(Next::Close)
    }
}

fn next_after(request: &Head) -> Next {
    if request.closes() { Next::Close } else { Next::Request }
}

fn reader(stream: Arc<TcpStream>) -> io::Result<Reader> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(SOCKET_WAIT_MAX))?;
    stream.set_write_timeout(Some(SOCKET_WAIT_MAX))?;
    Ok(BufReader::with_capacity(1 << 16, StreamRef(stream)))
}

/// A stream that is read and written through a shared reference, so that the proxy can close it from outside.
struct StreamRef(Arc<TcpStream>);

impl io::Read for StreamRef {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self.0).read(buffer)
    }
}

impl Write for StreamRef {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        (&*self.0).write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
