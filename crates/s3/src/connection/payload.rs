//! A request's body: one piece of memory, sent at once or after `100 Continue`.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Sleep;

/// A server that has not said `100 Continue` by then gets the body nevertheless (RFC 9110, 10.1.1).
const CONTINUE_PATIENCE: Duration = Duration::from_secs(1);

/// The body of one request.
pub(crate) struct Payload {
    data: Option<Bytes>,
    gate: Option<Gate>,
}

/// Holds a body back until the server asks for it.
struct Gate {
    signal: Arc<Mutex<Signal>>,
    patience: Option<Pin<Box<Sleep>>>,
}

#[derive(Default)]
struct Signal {
    is_open: bool,
    waiting: Option<Waker>,
}

impl Payload {
    /// Wraps `data`; with `is_gated` it waits for [`arm`](Self::arm)'s signal.
    pub(crate) fn new(data: Bytes, is_gated: bool) -> Self {
        let gate = is_gated.then(|| Gate { signal: Arc::default(), patience: None });
        Self { data: (!data.is_empty()).then_some(data), gate }
    }

    /// Returns the bytes that are still to be sent.
    pub(crate) fn len(&self) -> u64 {
        self.data.as_ref().map_or(0, |data| u64::try_from(data.len()).unwrap_or(u64::MAX))
    }

    /// Lets the server's `100 Continue` open the gate of `request`'s body.
    pub(crate) fn arm(request: &mut Request<Self>) {
        let Some(gate) = &request.body().gate else { return };
        let signal = Arc::clone(&gate.signal);
        hyper::ext::on_informational(request, move |reply| {
            if reply.status() == http::StatusCode::CONTINUE {
                let mut signal = signal.lock().unwrap_or_else(PoisonError::into_inner);
                signal.is_open = true;
                if let Some(waker) = signal.waiting.take() {
                    waker.wake();
                }
            }
        });
    }
}

impl Gate {
    fn poll_open(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut signal = self.signal.lock().unwrap_or_else(PoisonError::into_inner);
        if signal.is_open {
            return Poll::Ready(());
        }
        signal.waiting = Some(context.waker().clone());
        drop(signal);
        self.patience
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(CONTINUE_PATIENCE)))
            .as_mut()
            .poll(context)
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(gate) = &mut self.gate {
            std::task::ready!(gate.poll_open(context));
            self.gate = None;
        }
        Poll::Ready(self.data.take().map(|data| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.len())
    }
}
