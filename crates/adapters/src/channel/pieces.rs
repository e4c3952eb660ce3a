//! Messages of any size over a queue with a limit: they go in pieces, and only one receiver may put them together.
//!
//! That is the queue of results, whose only receiver is the master. A piece is `message` (16 random bytes), `index` and
//! `count` (u16, big endian), then its bytes. The pieces of a message are acknowledged together, when it is; those of a
//! message that never becomes whole, because its sender died, come again and again until they are forgotten here and
//! the queue's own retention ends them. The master's sweep sends that batch again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use s3bl_port::queue::{Delivery, Queue, QueueError, Receipt};

const HEAD_BYTES: usize = 16 + 2 + 2;

/// Most unfinished messages that are remembered; the oldest is forgotten first, and comes again.
const UNFINISHED_MAX: usize = 64;

/// Most pieces of one message: 12 MB over SQS, more than any result may have.
const PIECES_MAX: usize = 64;

/// What stands between the receipts of a message's pieces.
const BETWEEN_RECEIPTS: char = '\n';

/// A queue that takes messages of any size.
pub struct PiecedQueue {
    inner: Arc<dyn Queue>,
    unfinished: Mutex<Unfinished>,
}

#[derive(Default)]
struct Unfinished {
    messages: BTreeMap<[u8; 16], Partial>,
    last_age: u64,
}

struct Partial {
    pieces: Vec<Option<Delivery>>,
    age: u64,
}

struct Piece {
    message: [u8; 16],
    index: usize,
    count: usize,
    delivery: Delivery,
}

impl PiecedQueue {
    /// Cuts what goes through `inner`.
    pub fn new(inner: Arc<dyn Queue>) -> Self {
        Self { inner, unfinished: Mutex::default() }
    }

    fn unfinished(&self) -> MutexGuard<'_, Unfinished> {
        self.unfinished.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads the head of a piece; `None` if it is none.
fn read(Delivery { mut body, receipt }: Delivery) -> Result<Piece, Receipt> {
    if body.len() < HEAD_BYTES {
        return Err(receipt);
    }
    let mut message = [0; 16];
    body.copy_to_slice(&mut message);
    let (index, count) = (usize::from(body.get_u16()), usize::from(body.get_u16()));
    if index >= count || count > PIECES_MAX {
        return Err(receipt);
    }
    Ok(Piece { message, index, count, delivery: Delivery { body, receipt } })
}

impl Unfinished {
    /// Takes a piece, and gives the message if it was the last one.
    fn take(&mut self, piece: Piece) -> Option<Delivery> {
        let Piece { message, index, count, delivery } = piece;
        if count == 1 {
            return Some(delivery);
        }
        self.last_age += 1;
        let age = self.last_age;
        let partial = self
            .messages
            .entry(message)
            .or_insert_with(|| Partial { pieces: vec![None; count], age });
        // A piece that comes again replaces the one at hand: its receipt is the one that counts.
        *partial.pieces.get_mut(index)? = Some(delivery);
        if partial.pieces.iter().all(Option::is_some) {
            let partial = self.messages.remove(&message)?;
            return Some(join(partial.pieces.into_iter().flatten()));
        }
        if self.messages.len() > UNFINISHED_MAX {
            let oldest = self.messages.iter().min_by_key(|(_, partial)| partial.age);
            let oldest = oldest.map(|(message, _)| *message);
            oldest.and_then(|message| self.messages.remove(&message));
        }
        None
    }
}

fn join(pieces: impl Iterator<Item = Delivery>) -> Delivery {
    let mut body = BytesMut::new();
    let mut receipts = Vec::new();
    for piece in pieces {
        body.extend_from_slice(&piece.body);
        receipts.push(piece.receipt.0);
    }
    let receipt = Receipt(receipts.join(&BETWEEN_RECEIPTS.to_string()));
    Delivery { body: body.freeze(), receipt }
}

fn receipts(joined: &Receipt) -> impl Iterator<Item = Receipt> {
    joined.0.split(BETWEEN_RECEIPTS).map(|receipt| Receipt(receipt.to_owned()))
}

#[async_trait]
impl Queue for PiecedQueue {
    async fn send(&self, body: Bytes) -> Result<(), QueueError> {
        let room = self.inner.body_max().saturating_sub(HEAD_BYTES).max(1);
        let count = body.len().div_ceil(room).max(1);
        if count > PIECES_MAX {
            return Err(QueueError {
                action: "cut a message into pieces",
                is_transient: false,
                source: format!("{} bytes are more than {PIECES_MAX} messages hold", body.len())
                    .into(),
            });
        }
        let message: u128 = fastrand::u128(..);
        for index in 0..count {
            let bytes = body.slice(index * room..body.len().min((index + 1) * room));
            let mut piece = BytesMut::with_capacity(HEAD_BYTES + bytes.len());
            piece.put_u128(message);
            piece.put_u16(u16::try_from(index).expect("there are at most 64 pieces"));
            piece.put_u16(u16::try_from(count).expect("there are at most 64 pieces"));
            piece.extend_from_slice(&bytes);
            self.inner.send(piece.freeze()).await?;
        }
        Ok(())
    }

    async fn receive(&self, count: usize, wait: Duration) -> Result<Vec<Delivery>, QueueError> {
        let mut whole = Vec::new();
        for delivery in self.inner.receive(count, wait).await? {
            match read(delivery) {
                Ok(piece) => whole.extend(self.unfinished().take(piece)),
                Err(receipt) => {
                    tracing::warn!("a message is refused: it is no piece of any");
                    self.inner.acknowledge(&receipt).await?;
                }
            }
        }
        Ok(whole)
    }

    async fn extend(&self, receipt: &Receipt) -> Result<(), QueueError> {
        for receipt in receipts(receipt) {
            self.inner.extend(&receipt).await?;
        }
        Ok(())
    }

    async fn acknowledge(&self, receipt: &Receipt) -> Result<(), QueueError> {
        for receipt in receipts(receipt) {
            self.inner.acknowledge(&receipt).await?;
        }
        Ok(())
    }

    async fn release(&self, receipt: &Receipt) -> Result<(), QueueError> {
        for receipt in receipts(receipt) {
            self.inner.release(&receipt).await?;
        }
        Ok(())
    }

    async fn purge(&self) -> Result<(), QueueError> {
        *self.unfinished() = Unfinished::default();
        self.inner.purge().await
    }

    fn body_max(&self) -> usize {
        self.inner.body_max().saturating_sub(HEAD_BYTES).saturating_mul(PIECES_MAX)
    }

    fn requests(&self) -> Vec<(&'static str, u64)> {
        self.inner.requests()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::inproc::InprocQueue;

    /// A queue within this process that takes 64 bytes at most.
    struct Narrow(InprocQueue);

    #[async_trait]
    impl Queue for Narrow {
        async fn send(&self, body: Bytes) -> Result<(), QueueError> {
            assert!(body.len() <= self.body_max(), "{} bytes", body.len());
            self.0.send(body).await
        }
        async fn receive(&self, count: usize, wait: Duration) -> Result<Vec<Delivery>, QueueError> {
            self.0.receive(count, wait).await
        }
        async fn extend(&self, receipt: &Receipt) -> Result<(), QueueError> {
            self.0.extend(receipt).await
        }
        async fn acknowledge(&self, receipt: &Receipt) -> Result<(), QueueError> {
            self.0.acknowledge(receipt).await
        }
        async fn release(&self, receipt: &Receipt) -> Result<(), QueueError> {
            self.0.release(receipt).await
        }
        async fn purge(&self) -> Result<(), QueueError> {
            self.0.purge().await
        }
        fn body_max(&self) -> usize {
            64
        }
        fn requests(&self) -> Vec<(&'static str, u64)> {
            Vec::new()
        }
    }

    fn queue(lease: Duration) -> PiecedQueue {
        PiecedQueue::new(Arc::new(Narrow(InprocQueue::new(lease))))
    }

    async fn receive(queue: &PiecedQueue) -> Vec<Delivery> {
        queue.receive(10, Duration::ZERO).await.unwrap()
    }

    #[tokio::test]
    async fn a_long_message_comes_whole_and_its_acknowledgement_ends_every_piece() {
        let queue = queue(Duration::ZERO);
        for length in [0, 1, 44, 45, 1000] {
            let body: Bytes = (0..length).map(|byte| byte as u8).collect();
            queue.send(body.clone()).await.unwrap();
            let mut whole = Vec::new();
            while whole.is_empty() {
                whole = receive(&queue).await;
            }
            assert_eq!(whole[0].body, body);
            queue.acknowledge(&whole[0].receipt).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_message_without_acknowledgement_comes_again_whole() {
        let queue = queue(Duration::ZERO);
        let body = Bytes::from(vec![7; 500]);
        queue.send(body.clone()).await.unwrap();
        for _ in 0..3 {
            let mut whole = Vec::new();
            while whole.is_empty() {
                whole = receive(&queue).await;
            }
            assert_eq!(whole[0].body, body);
        }
    }

    #[tokio::test]
    async fn what_is_no_piece_is_removed() {
        let narrow = Arc::new(Narrow(InprocQueue::new(Duration::from_secs(60))));
        let queue = PiecedQueue::new(Arc::clone(&narrow) as _);
        let lies = [[0xFF; 20].as_slice(), b"short", &[0; 20]];
        for lie in lies {
            narrow.send(Bytes::copy_from_slice(lie)).await.unwrap();
        }
        assert!(receive(&queue).await.is_empty());
        assert!(narrow.receive(10, Duration::ZERO).await.unwrap().is_empty());
    }
}
