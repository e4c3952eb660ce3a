//! What is said over the socket: calls of a worker, each with a number, and the master's answers with the same.
//!
//! A frame is its length as four bytes, the least first, and so many bytes of postcard. Both sides are processes of one
//! user, mostly of one program; what comes from another version is refused by its first word.

use std::io;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// What both sides have to speak. It changes with every change of [`Call`] or [`Answer`].
pub(super) const PROTOCOL: u32 = 1;

/// Most bytes of one message.
pub(super) const BODY_BYTES_MAX: usize = 1 << 20;
/// Most messages of one answer.
pub(super) const DELIVERIES_MAX: usize = 16;
/// Most bytes of a frame: an answer full of the largest messages, and what goes around them.
const FRAME_BYTES_MAX: usize = DELIVERIES_MAX * BODY_BYTES_MAX + (1 << 16);

/// One of a channel's two queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Which {
    /// From the master.
    Tasks,
    /// To the master.
    Results,
}

/// What a worker asks for.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Call {
    /// To be let in; the first of a connection.
    Join { protocol: u32, worker: String },
    /// To put a message on a queue.
    Send { queue: Which, body: Bytes },
    /// Messages of a queue.
    Receive { queue: Which, count: u32, wait_ms: u64 },
    /// A lease's full time again.
    Extend { queue: Which, receipt: String },
    /// The removal of a message.
    Acknowledge { queue: Which, receipt: String },
    /// That somebody else gets a message.
    Release { queue: Which, receipt: String },
    /// The removal of what nobody has leased.
    Purge { queue: Which },
    /// That the master hears this.
    Report { report: Bytes },
    /// The newest run document, if it is new.
    Document { wait_ms: u64 },
}

/// What the master answers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    /// It is done.
    Done,
    /// Of a queue: messages, each with its receipt.
    Deliveries { queue: Which, deliveries: Vec<(String, Bytes)> },
    /// The document.
    Document(Option<Bytes>),
    /// It cannot be done, and why.
    Refused(String),
}

/// Something with the number of its call.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Numbered<T> {
    /// Which call.
    pub number: u64,
    /// What is said.
    pub what: T,
}

/// Writes one frame.
pub(super) async fn write<T: Serialize>(
    stream: &mut (impl AsyncWrite + Unpin),
    frame: &T,
) -> io::Result<()> {
    let length = [0; 4].to_vec();
    let mut bytes = postcard::to_extend(frame, length).map_err(io::Error::other)?;
    let length = bytes.len() - 4;
    let length = u32::try_from(length).ok().filter(|_| length <= FRAME_BYTES_MAX);
    let length = length.ok_or_else(|| io::Error::other("a frame is too long to be sent"))?;
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    stream.write_all(&bytes).await
}

/// Reads one frame; `None` at the end.
pub(super) async fn read<T: DeserializeOwned>(
    stream: &mut (impl AsyncRead + Unpin),
) -> io::Result<Option<T>> {
    let length = match stream.read_u32_le().await {
        Ok(length) => length as usize,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    if length > FRAME_BYTES_MAX {
        let error = format!("a frame of {length} bytes is longer than any may be");
        return Err(io::Error::new(io::ErrorKind::InvalidData, error));
    }
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await?;
    let frame = postcard::from_bytes(&bytes);
    frame.map(Some).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_written_is_read_and_the_largest_answer_fits() {
        let body = Bytes::from(vec![7; BODY_BYTES_MAX]);
        let deliveries = vec![("4711".to_owned(), body); DELIVERIES_MAX];
        let what = Answer::Deliveries { queue: Which::Tasks, deliveries };
        let mut wire = Vec::new();
        write(&mut wire, &Numbered { number: 9, what }).await.unwrap();
        let mut rest = wire.as_slice();
        let answer: Numbered<Answer> = read(&mut rest).await.unwrap().unwrap();
        assert_eq!(answer.number, 9);
        let Answer::Deliveries { queue, deliveries } = answer.what else { panic!("{answer:?}") };
        assert_eq!((queue, deliveries.len()), (Which::Tasks, DELIVERIES_MAX));
        assert!(read::<Numbered<Answer>>(&mut rest).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn what_is_no_frame_is_refused_before_it_takes_memory() {
        let too_long = u32::MAX.to_le_bytes();
        let error = read::<Numbered<Call>>(&mut too_long.as_slice()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        let nonsense = [3, 0, 0, 0, 1, 255, 255];
        let error = read::<Numbered<Call>>(&mut nonsense.as_slice()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        let cut = [3, 0, 0, 0, 1];
        let error = read::<Numbered<Call>>(&mut cut.as_slice()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
