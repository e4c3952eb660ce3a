//! Requests are read to their end, also those that are refused.
//!
//! Hyper closes a connection whose request was answered before its body was read. A client that is still sending may
//! then miss the answer, and one that pools connections meets a closed one at its next request. Real stores read on;
//! so does this one.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use s3s::service::S3Service;
use s3s::{Body, HttpError};

/// How long a refused request may go on sending.
const DRAIN_DEADLINE: Duration = Duration::from_secs(10);

/// Answers a request by `service`; a refusal is given when the request has been read.
pub(super) async fn answer(
    service: S3Service,
    request: Request<Incoming>,
) -> Result<Response<Body>, HttpError> {
    if request.body().is_end_stream() {
        return service.call(request.map(Body::from)).await;
    }
    let (head, body) = request.into_parts();
    let shared = Shared(Arc::new(Mutex::new(body)));
    let request = Request::from_parts(head, Body::http_body(shared.clone()));
    let response = service.call(request).await?;
    if response.status().is_client_error() || response.status().is_server_error() {
        // A client that breaks off or takes too long gets its answer and a closed connection.
        let _read_to_the_end = tokio::time::timeout(DRAIN_DEADLINE, shared.drain()).await;
    }
    Ok(response)
}

/// A body that is left when the one who was to read it is gone.
#[derive(Clone)]
struct Shared(Arc<Mutex<Incoming>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Incoming> {
        self.0.lock().expect("hyper's body does not panic")
    }

    async fn drain(mut self) {
        while let Some(Ok(_frame)) = self.frame().await {}
    }
}

impl hyper::body::Body for Shared {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut *self.lock()).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.lock().is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.lock().size_hint()
    }
}
