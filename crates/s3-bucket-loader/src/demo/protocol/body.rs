//! Bodies on their way into and out of the store.
//!
//! Small ones are written and read right on the runtime's thread: the page cache takes them in microseconds, and a
//! hop to a blocking thread would cost more than the whole request. Large ones hop once a mebibyte.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use http::StatusCode;
use http_body_util::BodyExt as _;
use s3s::dto::StreamingBlob;
use s3s::{Body, S3Error, S3ErrorCode, S3Result};

use super::fault::named;
use crate::demo::store::{Algorithm, BlobWriter, ObjectReader, Store, Stored};

/// Up to here a body is handled on the runtime's thread.
const INLINE_BYTES: usize = 64 * 1024;

/// How much a hop to a blocking thread carries.
const HOP_BYTES: usize = 1024 * 1024;

/// Takes a request's body into the store, without an object that names it yet; the checksums of one or two
/// algorithms are computed on the way.
pub(super) async fn receive(
    store: &Arc<Store>,
    body: Option<StreamingBlob>,
    (algorithm, second): (Algorithm, Option<Algorithm>),
) -> S3Result<Stored> {
    let mut writer = store.writer(algorithm, second);
    let mut body = body.map_or_else(Body::empty, Body::from);
    let (mut pending, mut pending_bytes) = (Vec::new(), 0);
    while let Some(frame) = body.frame().await {
        let Ok(chunk) = frame.map_err(broken_body)?.into_data() else { continue };
        pending_bytes += chunk.len();
        pending.push(chunk);
        if pending_bytes >= HOP_BYTES {
            writer = write_on_blocking_thread(writer, std::mem::take(&mut pending)).await?;
            pending_bytes = 0;
        }
    }
    if pending_bytes > INLINE_BYTES {
        writer = write_on_blocking_thread(writer, pending).await?;
    } else {
        write(&mut writer, &pending)?;
    }
    writer.finish().map_err(S3Error::internal_error)
}

fn write(writer: &mut BlobWriter, chunks: &[Bytes]) -> S3Result<()> {
    chunks.iter().try_for_each(|chunk| writer.write(chunk)).map_err(S3Error::internal_error)
}

async fn write_on_blocking_thread(
    mut writer: BlobWriter,
    chunks: Vec<Bytes>,
) -> S3Result<BlobWriter> {
    let hop = tokio::task::spawn_blocking(move || write(&mut writer, &chunks).map(|()| writer));
    hop.await.map_err(S3Error::internal_error)?
}

/// Why a body ended early.
///
/// The layers of `s3s` that check a body's hash and its chunks' signatures keep their error types to themselves; the
/// variants' names are in their text.
fn broken_body(error: s3s::StdError) -> S3Error {
    let text = error.to_string();
    if text.contains("Sha256Mismatch") {
        return named("XAmzContentSHA256Mismatch", StatusCode::BAD_REQUEST, text);
    }
    let forged = text.contains("SignatureMismatch");
    let code =
        if forged { S3ErrorCode::SignatureDoesNotMatch } else { S3ErrorCode::IncompleteBody };
    let mut fault = S3Error::with_source(code, error);
    fault.set_message(text);
    fault
}

/// Makes an answer's body of what `reader` reads.
pub(super) fn send(mut reader: ObjectReader) -> S3Result<StreamingBlob> {
    let inline = usize::try_from(reader.remaining()).is_ok_and(|size| size <= INLINE_BYTES);
    if !inline {
        return Ok(StreamingBlob::wrap(stream::try_unfold(reader, next_chunk)));
    }
    let mut chunks = Vec::new();
    while let Some(chunk) = reader.next_chunk(INLINE_BYTES).map_err(S3Error::internal_error)? {
        chunks.push(chunk);
    }
    let body = match <[Bytes; 1]>::try_from(chunks) {
        Ok([only]) => only,
        Err(chunks) => chunks.concat().into(),
    };
    Ok(Body::from(body).into())
}

async fn next_chunk(mut reader: ObjectReader) -> io::Result<Option<(Bytes, ObjectReader)>> {
    let hop = tokio::task::spawn_blocking(move || {
        Ok(reader.next_chunk(HOP_BYTES)?.map(|chunk| (chunk, reader)))
    });
    hop.await.map_err(io::Error::other)?
}

/// Copies what `reader` reads into the store, without an object that names it yet.
pub(super) async fn copy(
    store: &Arc<Store>,
    mut reader: ObjectReader,
    algorithm: Algorithm,
) -> S3Result<Stored> {
    let mut writer = store.writer(algorithm, None);
    let hop = tokio::task::spawn_blocking(move || {
        while let Some(chunk) = reader.next_chunk(HOP_BYTES)? {
            writer.write(&chunk)?;
        }
        writer.finish()
    });
    hop.await.map_err(S3Error::internal_error)?.map_err(S3Error::internal_error)
}
