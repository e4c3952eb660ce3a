//! A large object, read in ranges that are all of the version that was opened.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Buf as _, Bytes, BytesMut};
use s3bl_core::checksum::Crc64Nvme;
use s3bl_core::path::RelPath;
use s3bl_core::toc::PosixFacts;
use s3bl_port::source::{SourceError, SourceFile};
use s3bl_s3::{GetObject, ObjectBody};

use super::asking::{Asker, Asking, trouble, unreadable};
use super::object::other_sum;

/// Bytes of one request: the default size of a part, so that a part is fetched by one.
const RANGE_BYTES: u64 = 8 << 20;

/// Replies that may break off before a range is given up.
const BREAKS_MAX: u32 = 5;

/// An object that was opened.
pub(super) struct BucketFile {
    asking: Arc<Asking>,
    path: RelPath,
    key: String,
    etag: Arc<str>,
    facts: PosixFacts,
    /// What the store keeps of the whole.
    crc64nvme: Option<Crc64Nvme>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Replies that were read in part, by the offset of their next byte.
    streams: BTreeMap<u64, Stream>,
    /// Checksums of what was read, by its offset, with its length; what adjoins is joined.
    sums: BTreeMap<u64, (Crc64Nvme, u64)>,
}

/// A reply whose body is on its way.
struct Stream {
    body: ObjectBody,
    /// What came and was not asked for yet.
    rest: Bytes,
    /// Where the reply ends in the object.
    end: u64,
}

impl BucketFile {
    pub(super) fn new(
        asking: Arc<Asking>,
        path: RelPath,
        (key, etag): (String, &str),
        facts: PosixFacts,
        crc64nvme: Option<Crc64Nvme>,
    ) -> Self {
        let state = Mutex::default();
        Self { asking, path, key, etag: etag.into(), facts, crc64nvme, state }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The checksum of all that was read, if that is the whole.
    fn whole(&self) -> Option<Crc64Nvme> {
        let state = self.state();
        let (sum, length) = state.sums.get(&0)?;
        (*length == self.facts.size.0).then_some(*sum)
    }
}

impl State {
    /// Notes the checksum of bytes that were read.
    fn note(&mut self, offset: u64, sum: Crc64Nvme, length: u64) {
        let (mut start, mut joined) = (offset, (sum, length));
        let before = self.sums.range(..offset).next_back().map(|(start, run)| (*start, *run));
        if let Some((earlier, (run, run_length))) = before
            && earlier + run_length == offset
        {
            start = earlier;
            joined = (run.joined(sum, length), run_length + length);
        }
        if let Some((next, next_length)) = self.sums.remove(&(start + joined.1)) {
            joined = (joined.0.joined(next, next_length), joined.1 + next_length);
        }
        self.sums.insert(start, joined);
    }
}

impl SourceFile for BucketFile {
    fn facts(&self) -> &PosixFacts {
        &self.facts
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), SourceError> {
        let length = buffer.len() as u64;
        if offset.checked_add(length).is_none_or(|end| end > self.facts.size.0) {
            return Err(SourceError::changed("read", &self.path));
        }
        let stream = self.state().streams.remove(&offset);
        let range = Range {
            path: self.path.clone(),
            key: self.key.clone(),
            etag: Arc::clone(&self.etag),
            size: self.facts.size.0,
        };
        let (bytes, stream) = self
            .asking
            .wait(|asker| async move { range.read(&asker, stream, offset, length).await })?;
        buffer.copy_from_slice(&bytes);
        let mut state = self.state();
        if let Some(stream) = stream {
            state.streams.insert(offset + length, stream);
        }
        if self.crc64nvme.is_some() {
            state.note(offset, Crc64Nvme::of(buffer), length);
        }
        Ok(())
    }

    /// All ranges were of the entity tag that was opened, so the version is one. Here its checksum is compared, if this
    /// file was read to its end.
    fn verify_unchanged(&self) -> Result<(), SourceError> {
        match (self.whole(), self.crc64nvme) {
            (Some(found), Some(stored)) if found != stored => {
                Err(unreadable("read", &self.path, other_sum(found, stored)))
            }
            _ => Ok(()),
        }
    }
}

/// What is asked for of one version.
struct Range {
    path: RelPath,
    key: String,
    etag: Arc<str>,
    size: u64,
}

impl Range {
    /// Reads `length` bytes from `offset` on, from the stream that is there or from new ones; gives back what of the last
    /// reply is still to come.
    async fn read(
        self,
        asker: &Asker,
        mut stream: Option<Stream>,
        offset: u64,
        length: u64,
    ) -> Result<(Bytes, Option<Stream>), SourceError> {
        let mut bytes = BytesMut::with_capacity(usize::try_from(length).unwrap_or(0));
        let mut breaks = 0;
        while (bytes.len() as u64) < length {
            let at = offset + bytes.len() as u64;
            let mut open = match stream.take() {
                Some(open) => open,
                None => self.open(asker, at).await?,
            };
            let wanted = usize::try_from(length).unwrap_or(usize::MAX) - bytes.len();
            if !open.rest.is_empty() {
                let taken = wanted.min(open.rest.len());
                bytes.extend_from_slice(&open.rest[..taken]);
                open.rest.advance(taken);
                stream = Some(open);
                continue;
            }
            match open.body.chunk().await {
                Ok(Some(chunk)) => {
                    open.rest = chunk;
                    stream = Some(open);
                }
                // The range is at its end; the next one follows.
                Ok(None) if at == open.end => {}
                Ok(None) => {
                    let message = "the reply has fewer bytes than were asked for".to_owned();
                    return Err(unreadable("read", &self.path, message));
                }
                Err(error) if breaks < BREAKS_MAX => {
                    breaks += 1;
                    tracing::debug!(%error, breaks, "a range is fetched further by another request");
                }
                Err(error) => return Err(unreadable("read", &self.path, error.to_string())),
            }
        }
        let stream = stream.filter(|open| offset + length < open.end);
        Ok((bytes.freeze(), stream))
    }

    /// Asks for the bytes from `at` to the end of the range that it lies in.
    async fn open(&self, asker: &Asker, at: u64) -> Result<Stream, SourceError> {
        let end = ((at / RANGE_BYTES + 1) * RANGE_BYTES).min(self.size);
        let get = GetObject {
            range: Some(at..end),
            if_match: Some(&self.etag),
            with_checksum: false,
            ..GetObject::new(&asker.bucket, &self.key)
        };
        let sent = asker.attempts.send("get", 0, || asker.client.get_object(&get)).await;
        let answer = sent.map_err(|given_up| trouble("read", &self.path, given_up))?.answer;
        // A store that knows no conditions answers all the same.
        if *answer.head.etag != *self.etag {
            return Err(SourceError::changed("read", &self.path));
        }
        Ok(Stream { body: answer.body, rest: Bytes::new(), end })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_of_pieces_in_any_order_make_that_of_the_whole() {
        let bytes: Vec<u8> = (0..100_000u32).map(|it| (it * 7 % 251) as u8).collect();
        let mut state = State::default();
        for start in [50_000, 0, 90_000, 10_000, 70_000usize, 30_000] {
            let end = match start {
                0 => 10_000,
                90_000 => 100_000,
                start => start + 20_000,
            };
            state.note(start as u64, Crc64Nvme::of(&bytes[start..end]), (end - start) as u64);
        }
        assert_eq!(state.sums.len(), 1);
        assert_eq!(state.sums[&0], (Crc64Nvme::of(&bytes), 100_000));
    }
}
