//! One request and its reply on one connection.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, Sleep};

use super::failure::{Failure, Reach};
use super::payload::Payload;
use super::stream::{Stream, Traffic};
use crate::config::Timeouts;
use crate::counters::Meter;
use crate::error::ErrorKind;

/// An open connection with nothing in flight.
pub(crate) struct Connection {
    sender: http1::SendRequest<Payload>,
    driver: http1::Connection<TokioIo<Stream>, Payload>,
    traffic: Arc<Traffic>,
}

impl Connection {
    pub(super) fn new(
        (sender, driver): (
            http1::SendRequest<Payload>,
            http1::Connection<TokioIo<Stream>, Payload>,
        ),
        traffic: Arc<Traffic>,
    ) -> Self {
        Self { sender, driver, traffic }
    }

    /// Looks once at the socket; returns whether the connection can take a request now.
    ///
    /// With a waker that wakes nobody: an idle connection has no task, and what happens to it is
    /// found at the next look.
    pub(super) fn is_usable(&mut self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        let is_open = Pin::new(&mut self.driver).poll(&mut context).is_pending();
        is_open && self.sender.is_ready()
    }
}

/// A reply whose head is there, and the connection that its body comes on.
pub(crate) struct Exchange {
    pub(crate) connection: Box<Connection>,
    pub(crate) reply: Response<Incoming>,
    /// Counts when it goes.
    _progress: Progress,
}

/// How far one request has come on its connection; tells the meter at its end, however it ends.
struct Progress {
    traffic: Arc<Traffic>,
    written_before: u64,
    read_before: u64,
    body_len: u64,
    meter: Meter,
}

impl Progress {
    fn written(&self) -> u64 {
        self.traffic.written() - self.written_before
    }

    fn read(&self) -> u64 {
        self.traffic.read() - self.read_before
    }

    fn reach(&self) -> Reach {
        if self.read() > 0 {
            Reach::Answering
        } else if self.written() == 0 {
            Reach::Unsent
        } else if self.written() < self.body_len {
            Reach::Partial
        } else {
            Reach::Sent
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.meter.add(self.written(), self.read());
    }
}

/// Sends `request` and waits for the head of the reply.
pub(crate) async fn exchange(
    mut connection: Box<Connection>,
    request: Request<Payload>,
    timeouts: Timeouts,
    meter: Meter,
) -> Result<Exchange, Failure> {
    let traffic = Arc::clone(&connection.traffic);
    let progress = Progress {
        written_before: traffic.written(),
        read_before: traffic.read(),
        body_len: request.body().len(),
        traffic: Arc::clone(&traffic),
        meter,
    };
    // Reading does not count: a head that trickles in has no more time than one that does not come.
    let mut silence = Silence::new(traffic.written(), timeouts.idle.min(timeouts.response));
    let mut timer = pin!(silence.timer());
    let mut reply = pin!(connection.sender.try_send_request(request));
    let outcome = poll_fn(|context| {
        let is_over = Pin::new(&mut connection.driver).poll(context).is_ready();
        match reply.as_mut().poll(context) {
            Poll::Ready(Ok(reply)) => return Poll::Ready(Ok(reply)),
            Poll::Ready(Err(error)) => return Poll::Ready(Err(broken(error.into_error()))),
            Poll::Pending if is_over => return Poll::Ready(Err(closed())),
            Poll::Pending => {}
        }
        let limit = match progress.reach() {
            Reach::Unsent | Reach::Partial => timeouts.idle,
            Reach::Sent | Reach::Answering => timeouts.response,
        };
        if silence.poll_over(timer.as_mut(), context, traffic.written(), limit) {
            return Poll::Ready(Err(timed_out("no reply in time")));
        }
        Poll::Pending
    })
    .await;
    match outcome {
        Ok(reply) => Ok(Exchange { connection, reply, _progress: progress }),
        Err(failure) => Err(Failure { reach: progress.reach(), ..failure }),
    }
}

/// Waits for the next piece of the reply's body; `None` at its end.
pub(crate) async fn next_chunk(
    exchange: &mut Exchange,
    idle: Duration,
) -> Result<Option<Bytes>, Failure> {
    let Exchange { connection, reply, .. } = exchange;
    if reply.body().is_end_stream() {
        return Ok(None);
    }
    let traffic = Arc::clone(&connection.traffic);
    let mut silence = Silence::new(traffic.read(), idle);
    let mut timer = pin!(silence.timer());
    poll_fn(|context| {
        // The body first: asking for a piece is what makes the driver read one.
        if let Poll::Ready(piece) = poll_piece(reply.body_mut(), context) {
            return Poll::Ready(piece);
        }
        let is_over = Pin::new(&mut connection.driver).poll(context).is_ready();
        match poll_piece(reply.body_mut(), context) {
            Poll::Ready(piece) => return Poll::Ready(piece),
            Poll::Pending if is_over => return Poll::Ready(Err(closed())),
            Poll::Pending => {}
        }
        if silence.poll_over(timer.as_mut(), context, traffic.read(), idle) {
            return Poll::Ready(Err(timed_out("the reply stalled")));
        }
        Poll::Pending
    })
    .await
    .map_err(|failure: Failure| Failure { reach: Reach::Answering, ..failure })
}

fn poll_piece(
    body: &mut Incoming,
    context: &mut Context<'_>,
) -> Poll<Result<Option<Bytes>, Failure>> {
    loop {
        match ready!(Pin::new(&mut *body).poll_frame(context)) {
            Some(Ok(frame)) => {
                // A frame that is no data is a trailer; none of them is read here.
                if let Ok(data) = frame.into_data() {
                    return Poll::Ready(Ok(Some(data)));
                }
            }
            Some(Err(error)) => return Poll::Ready(Err(broken(error))),
            None => return Poll::Ready(Ok(None)),
        }
    }
}

/// Watches for a time in which no byte moves.
struct Silence {
    /// The connection's counter when a byte last moved.
    seen: u64,
    /// When that was.
    since: Instant,
    /// How often to look.
    step: Duration,
}

impl Silence {
    fn new(moved: u64, step: Duration) -> Self {
        Self { seen: moved, since: Instant::now(), step }
    }

    fn timer(&self) -> Sleep {
        tokio::time::sleep_until(self.since + self.step)
    }

    /// Returns whether no byte has moved for `limit`; if not, wakes the task when it is time to
    /// look again.
    fn poll_over(
        &mut self,
        mut timer: Pin<&mut Sleep>,
        context: &mut Context<'_>,
        moved: u64,
        limit: Duration,
    ) -> bool {
        if moved != self.seen {
            self.seen = moved;
            self.since = Instant::now();
        }
        while timer.as_mut().poll(context).is_ready() {
            let (now, end) = (Instant::now(), self.since + limit);
            if end <= now {
                return true;
            }
            timer.as_mut().reset(end.min(now + self.step));
        }
        false
    }
}

fn broken(error: hyper::Error) -> Failure {
    let (kind, message) = if error.is_parse() {
        (ErrorKind::NotS3, "the reply is not HTTP")
    } else {
        (ErrorKind::Interrupted, "the connection broke")
    };
    Failure::before_sending(kind, message).with_source(error)
}

fn closed() -> Failure {
    Failure::before_sending(ErrorKind::Interrupted, "the connection was closed")
}

fn timed_out(message: &'static str) -> Failure {
    Failure::before_sending(ErrorKind::Timeout, message)
}
