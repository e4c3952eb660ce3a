//! One object that fits memory, in one request.

use std::sync::Arc;

use bytes::Bytes;
use s3bl_core::checksum::{Crc64Nvme, ETag, Md5Digest};
use s3bl_core::path::RelPath;
use s3bl_core::toc::{EntryKind, PosixFacts};
use s3bl_port::source::SourceError;
use s3bl_s3::{GetObject, HeadObjectOutput};

use super::asking::{Asker, trouble, unreadable};
use super::facts::{check_kind, check_target, facts_of};

/// How often bytes are fetched that are not those of the store's own checksum.
const FETCHES_MAX: u32 = 2;

/// An object that was fetched, which is what its checksum says.
pub(super) struct Fetched {
    pub(super) head: HeadObjectOutput,
    pub(super) facts: PosixFacts,
    pub(super) bytes: Bytes,
}

/// Fetches an object; `None` if it has not fewer than `room` bytes.
pub(super) async fn fetch(
    asker: Arc<Asker>,
    path: RelPath,
    kind: EntryKind,
    key: String,
    room: u64,
) -> Result<Option<Fetched>, SourceError> {
    let mut fetches = 1;
    loop {
        let Some((head, bytes)) = fetch_once(&asker, &path, &key, room).await? else {
            return Ok(None);
        };
        match (proven(&head, &bytes), fetches < FETCHES_MAX) {
            (Ok(()), _) => {
                let facts = facts_of(&head, kind, asker.metadata);
                check_kind(&path, &facts)?;
                if facts.kind() == EntryKind::Symlink {
                    check_target(&path, &bytes)?;
                }
                return Ok(Some(Fetched { head, facts, bytes }));
            }
            (Err(_), true) => fetches += 1,
            (Err(message), false) => return Err(unreadable("read", &path, message)),
        }
    }
}

async fn fetch_once(
    asker: &Asker,
    path: &RelPath,
    key: &str,
    room: u64,
) -> Result<Option<(HeadObjectOutput, Bytes)>, SourceError> {
    let get = GetObject::new(&asker.bucket, key);
    let sent = asker.attempts.send("get", 0, || async {
        let answer = asker.client.get_object(&get).await?;
        if answer.head.size >= room {
            return Ok(None);
        }
        let bytes = answer.body.collect().await?;
        Ok(Some((answer.head, bytes)))
    });
    Ok(sent.await.map_err(|given_up| trouble("read", path, given_up))?.answer)
}

/// Compares bytes with what the store says of them.
fn proven(head: &HeadObjectOutput, bytes: &[u8]) -> Result<(), String> {
    let size = bytes.len() as u64;
    if size != head.size {
        return Err(format!("{size} bytes came of an object of {}", head.size));
    }
    if let Some(stored) = head.crc64nvme.map(Crc64Nvme) {
        let found = Crc64Nvme::of(bytes);
        return if found == stored { Ok(()) } else { Err(other_sum(found, stored)) };
    }
    // Under a key of KMS the entity tag is of that form, and of something else.
    let is_kms = head.server_side_encryption.as_deref().is_some_and(|it| it.contains("kms"));
    match ETag::parse(&head.etag) {
        ETag::Md5(stored) if !is_kms && Md5Digest::of(bytes) != stored => {
            let found = ETag::Md5(Md5Digest::of(bytes));
            Err(format!(
                "the bytes have the MD5 {found}, and the object's entity tag is {}",
                head.etag
            ))
        }
        ETag::Md5(_) | ETag::Md5OfParts(..) | ETag::Opaque(_) => Ok(()),
    }
}

/// What is said where bytes are not those of the store's checksum.
pub(super) fn other_sum(found: Crc64Nvme, stored: Crc64Nvme) -> String {
    let (found, stored) = (found.to_base64(), stored.to_base64());
    format!("the bytes have the CRC64NVME {found}, and the store keeps {stored} of the object")
}
