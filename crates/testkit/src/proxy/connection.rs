//! Serves one client connection: request after request, each with its fault.

use std::io::{self, BufReader, Read as _, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use super::http::{Body, Change, Copier, Head};
use super::query;
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
        let call = self.read_call(&head)?;
        let (index, fault) = self.note(&head, call.as_deref());
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
            self.swallow_request(&head, call.is_some())?;
            self.answer(reply, &head)?;
            return Ok(next_after(&head));
        }
        if fault == Some(Fault::Stall) {
            self.swallow_request(&head, call.is_some())?;
            self.shared.pause(STALL_MAX);
            return Ok(Next::Close);
        }
        if let Some(Fault::DelayRequest(duration)) = &fault {
            self.shared.pause(*duration);
        }
        // A connection for each request, so that none fails for having been idle too long.
        let server = TcpStream::connect(self.shared.upstream)?;
        let mut server = reader(self.shared.register(server))?;
        let call = call.as_deref();
        if self.forward_request(&mut server, &head, call, fault.as_ref())? == Next::Close {
            return self.reset();
        }
        self.forward_reply(&mut server, &head, fault.as_ref(), index)
    }

    /// Reads the body of a call by a form or by JSON.
    fn read_call(&mut self, head: &Head) -> io::Result<Option<Vec<u8>>> {
        let Some(length) = query::length(head) else { return Ok(None) };
        let mut body = vec![0; length];
        self.client.read_exact(&mut body)?;
        Ok(Some(body))
    }

    /// Records the request and returns its index in the record and the fault that a rule has for it.
    fn note(&self, head: &Head, call: Option<&[u8]>) -> (usize, Option<Fault>) {
        let mut state = self.shared.state();
        let body = call.unwrap_or_default();
        let fault = state.rules.iter_mut().find_map(|rule| rule.claim(head, body));
        state.seen.push(Seen {
            connection: self.number,
            method: head.method().to_owned(),
            target: head.target().to_owned(),
            fault: fault.clone(),
            status: None,
            head: head.clone(),
            body: body.to_vec(),
            answer: Vec::new(),
        });
        (state.seen.len() - 1, fault)
    }

    /// Passes the request on; says to close if the fault cut it.
    fn forward_request(
        &mut self,
        server: &mut Reader,
        head: &Head,
        call: Option<&[u8]>,
        fault: Option<&Fault>,
    ) -> io::Result<Next> {
        let change = fault.map(Fault::request_change).unwrap_or_default();
        server.get_mut().write_all(&head.to_bytes())?;
        let body = head.request_body();
        let sent = match call {
            Some(mut call) => Copier::new(&mut call, server.get_mut(), change).copy(body),
            None => Copier::new(&mut self.client, server.get_mut(), change).copy(body),
        };
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
        if query::length(request).is_some() {
            return self.forward_answer(server, (request, reply), body, fault, index);
        }
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

    /// Passes on what a call was answered, of which a note is kept.
    fn forward_answer(
        &mut self,
        server: &mut Reader,
        (request, mut reply): (&Head, Head),
        body: Body,
        fault: Option<&Fault>,
        index: usize,
    ) -> io::Result<Next> {
        let mut answer = Vec::new();
        match body {
            Body::Length(_) | Body::UntilClose => {
                Copier::new(server, &mut answer, Change::default()).copy(body)?;
            }
            // No server of the kit answers calls so; their framing would be taken for what they say.
            Body::Chunked => return Err(io::Error::other("an answer to a call comes in chunks")),
        }
        self.shared.state().seen[index].answer.clone_from(&answer);
        match fault {
            Some(Fault::DropReply) => return Ok(Next::Close),
            Some(Fault::AnswerAfterForward(made_up)) => {
                self.answer(made_up, request)?;
                return Ok(next_after(request));
            }
            Some(Fault::DelayReply(duration)) => self.shared.pause(*duration),
            Some(Fault::RewriteReply { after, old, new }) => {
                answer = rewritten(&answer, after, old, new);
                reply.set_length(answer.len());
            }
            Some(_) | None => {}
        }
        let change = fault.map(Fault::reply_change).unwrap_or_default();
        let client = self.client.get_mut();
        client.write_all(&reply.to_bytes())?;
        let length = answer.len() as u64;
        Copier::new(&mut answer.as_slice(), client, change).copy(Body::Length(length))?;
        let ends = change.cut_after.is_some() || body == Body::UntilClose || reply.closes();
        Ok(if ends { Next::Close } else { next_after(request) })
    }

    /// Reads what is left of a request: nothing of a call, which was read before.
    fn swallow_request(&mut self, head: &Head, is_read: bool) -> io::Result<()> {
        if is_read {
            return Ok(());
        }
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

/// The first `old` after the first `after` as `new`; without one of both as it was.
fn rewritten(answer: &[u8], after: &str, old: &str, new: &str) -> Vec<u8> {
    let text = String::from_utf8_lossy(answer);
    let found = text.find(after).and_then(|at| Some(at + text[at..].find(old)?));
    match found {
        Some(at) => [&text[..at], new, &text[at + old.len()..]].concat().into_bytes(),
        None => answer.to_vec(),
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
