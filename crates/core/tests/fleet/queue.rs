//! A queue with leases: at least once, to anyone, in no order.

use bytes::Bytes;

use super::chance::{Chance, Moment};

/// One delivery of a message.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    pub(crate) receipt: u64,
    pub(crate) body: Bytes,
}

/// The queue. What goes wrong around it is the world's affair.
#[derive(Debug)]
pub(crate) struct SimQueue {
    lease: Moment,
    messages: Vec<Message>,
    last_receipt: u64,
    /// Until when the queue is deleted: it takes messages and forgets them.
    pub(crate) deleted_until: Moment,
    /// Deliveries at once beyond which it gives nothing, without a word.
    pub(crate) in_flight_max: usize,
}

#[derive(Debug)]
struct Message {
    body: Bytes,
    visible: Moment,
    /// The receipt of its last delivery.
    receipt: Option<u64>,
    is_released: bool,
}

/// What a queue gave.
#[derive(Debug)]
pub(crate) enum Given {
    /// A message.
    Delivery { delivery: Delivery, is_expired: bool },
    /// Nothing, because too much is out.
    Capped,
    /// Nothing, because nothing is there.
    Nothing,
}

impl SimQueue {
    pub(crate) fn new(lease: Moment) -> Self {
        let in_flight_max = usize::MAX;
        Self { lease, messages: Vec::new(), last_receipt: 0, deleted_until: 0, in_flight_max }
    }

    /// Takes a message that can be seen from `visible` on.
    pub(crate) fn put(&mut self, body: Bytes, visible: Moment) {
        self.messages.push(Message { body, visible, receipt: None, is_released: false });
    }

    pub(crate) fn take(&mut self, now: Moment, chance: &mut Chance) -> Given {
        if now < self.deleted_until {
            return Given::Nothing;
        }
        let seen: Vec<usize> =
            (0..self.messages.len()).filter(|index| self.messages[*index].visible <= now).collect();
        if seen.is_empty() {
            return Given::Nothing;
        }
        let in_flight = |message: &&Message| message.receipt.is_some() && message.visible > now;
        if self.messages.iter().filter(in_flight).count() >= self.in_flight_max {
            return Given::Capped;
        }
        self.last_receipt += 1;
        let message = &mut self.messages[seen[chance.index(seen.len())]];
        let is_expired = message.receipt.is_some() && !message.is_released;
        message.visible = now + self.lease;
        message.receipt = Some(self.last_receipt);
        message.is_released = false;
        let delivery = Delivery { receipt: self.last_receipt, body: message.body.clone() };
        Given::Delivery { delivery, is_expired }
    }

    /// When the next message will be seen that cannot be seen now.
    pub(crate) fn next_visible(&self, now: Moment) -> Option<Moment> {
        self.messages.iter().map(|message| message.visible).filter(|visible| *visible > now).min()
    }

    pub(crate) fn extend(&mut self, receipt: u64, now: Moment) {
        let until = now + self.lease;
        if let Some(message) = self.message(receipt) {
            message.visible = until;
        }
    }

    pub(crate) fn release(&mut self, receipt: u64, now: Moment) {
        if let Some(message) = self.message(receipt) {
            message.visible = now;
            message.is_released = true;
        }
    }

    pub(crate) fn acknowledge(&mut self, receipt: u64) {
        self.messages.retain(|message| message.receipt != Some(receipt));
    }

    /// Removes what nobody has leased; some queues remove all.
    pub(crate) fn purge(&mut self, now: Moment, is_all: bool) {
        self.messages.retain(|message| !is_all && message.visible > now);
    }

    pub(crate) fn bodies(&self) -> impl Iterator<Item = &Bytes> {
        self.messages.iter().map(|message| &message.body)
    }

    fn message(&mut self, receipt: u64) -> Option<&mut Message> {
        self.messages.iter_mut().find(|message| message.receipt == Some(receipt))
    }
}
