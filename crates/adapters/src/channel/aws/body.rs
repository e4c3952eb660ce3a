//! How bytes become the text that SQS and SNS carry: a letter for their kind, then base64.
//!
//! Both services take a subset of Unicode only, so nothing but ASCII travels here. A run document is preceded, below
//! the base64, by `publisher` (u32) and `sequence` (u64), big endian, because a topic keeps no order.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

/// Most characters of one message, and of all messages of one request. SQS and SNS carry 256 KiB everywhere; more is
/// an option of each queue. The rest is room for what the services may count beside the text.
/// Source: Amazon SQS Developer Guide, "Message quotas"; Amazon SNS, "Large message payloads" (read 2026-11).
pub(super) const CHARACTERS_MAX: usize = 256 * 1024 - 1024;

/// Most bytes that fit into one message: base64 makes 4 characters of 3 bytes.
pub(super) const BYTES_MAX: usize = CHARACTERS_MAX / 4 * 3 - 3;

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Task,
    Result,
    Report,
    Document,
}

impl Kind {
    fn letter(self) -> char {
        match self {
            Self::Task => 't',
            Self::Result => 'r',
            Self::Report => 'w',
            Self::Document => 'd',
        }
    }
}

/// Writes a message.
pub(super) fn encode(kind: Kind, bytes: &[u8]) -> String {
    let mut text = String::with_capacity(1 + bytes.len().div_ceil(3) * 4);
    text.push(kind.letter());
    STANDARD.encode_string(bytes, &mut text);
    text
}

/// Reads a message of this kind; `None` if it is none.
pub(super) fn decode(kind: Kind, text: &str) -> Option<Bytes> {
    let base64 = text.strip_prefix(kind.letter())?;
    STANDARD.decode(base64).ok().map(Bytes::from)
}

/// A run document with its place among those that one master published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Numbered {
    /// Drawn by lot when a master begins to publish.
    pub(super) publisher: u32,
    /// Counts its documents.
    pub(super) sequence: u64,
    pub(super) document: Bytes,
}

impl Numbered {
    pub(super) fn encode(&self) -> String {
        let mut bytes = BytesMut::with_capacity(12 + self.document.len());
        bytes.put_u32(self.publisher);
        bytes.put_u64(self.sequence);
        bytes.extend_from_slice(&self.document);
        encode(Kind::Document, &bytes)
    }

    pub(super) fn decode(text: &str) -> Option<Self> {
        let mut bytes = decode(Kind::Document, text)?;
        if bytes.len() < 12 {
            return None;
        }
        Some(Self { publisher: bytes.get_u32(), sequence: bytes.get_u64(), document: bytes })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_largest_message_fits_into_a_request() {
        let largest = encode(Kind::Result, &vec![0xFF; BYTES_MAX]);
        assert!(largest.len() <= CHARACTERS_MAX, "{}", largest.len());
        // A batch, the seal around it and the head of a piece.
        const { assert!(BYTES_MAX >= s3bl_core::limit::MESSAGE_BYTES_MAX + 128) };
    }

    #[test]
    fn the_texts_are_frozen() {
        assert_eq!(encode(Kind::Task, b"batch"), "tYmF0Y2g=");
        assert_eq!(encode(Kind::Result, b""), "r");
        assert_eq!(encode(Kind::Report, &[0, 255]), "wAP8=");
        let document = Numbered { publisher: 1, sequence: 2, document: Bytes::from_static(b"run") };
        assert_eq!(document.encode(), "dAAAAAQAAAAAAAAACcnVu");
    }

    #[test]
    fn a_document_that_is_cut_is_refused() {
        assert_eq!(Numbered::decode(&encode(Kind::Document, &[0; 11])), None);
        assert!(Numbered::decode(&encode(Kind::Document, &[0; 12])).is_some());
    }

    proptest! {
        #[test]
        fn bytes_come_back_by_their_kind_only(bytes: Vec<u8>) {
            let text = encode(Kind::Result, &bytes);
            prop_assert!(text.bytes().all(|byte| byte.is_ascii_graphic()));
            prop_assert_eq!(decode(Kind::Result, &text), Some(Bytes::from(bytes)));
            prop_assert_eq!(decode(Kind::Report, &text), None);
        }

        #[test]
        fn no_text_breaks_the_reader(text: String) {
            for kind in [Kind::Task, Kind::Result, Kind::Report, Kind::Document] {
                decode(kind, &text);
            }
            Numbered::decode(&text);
        }
    }
}
