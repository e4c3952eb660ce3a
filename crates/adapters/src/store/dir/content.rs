//! What an entry holds, while it is read.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use rustix::fd::{AsFd as _, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use s3bl_core::path::ObjectKey;
use s3bl_core::toc::EntryKind;
use s3bl_port::store::{ObjectReader, StoreError};

use super::inode::{examine, facts};
use super::place::{Target, trouble};

/// Bytes that are read in one step.
const STEP_BYTES: usize = 256 * 1024;

/// What an entry holds, while it is read.
pub(super) enum Content {
    File(Arc<OwnedFd>, u64),
    Bytes(Option<Bytes>),
}

impl Content {
    /// Opens an entry; `None` if it is not there. A directory and a special file hold nothing.
    pub(super) fn open(target: &Target, key: &ObjectKey) -> Result<Option<Self>, StoreError> {
        let path = target.path(key)?;
        let opened = target.find(&path).and_then(|spot| {
            let found = facts(&examine(spot.parent.as_fd(), &spot.name)?);
            match found.kind() {
                EntryKind::Symlink => {
                    let name = spot.name.as_slice();
                    let target = rustix::fs::readlinkat(&spot.parent, name, Vec::new())?;
                    Ok(Self::Bytes(Some(target.into_bytes().into())))
                }
                EntryKind::File => {
                    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                    let name = spot.name.as_slice();
                    let file = rustix::fs::openat(&spot.parent, name, flags, Mode::empty())?;
                    Ok(Self::File(Arc::new(file), 0))
                }
                EntryKind::Directory | EntryKind::Special => Ok(Self::Bytes(None)),
            }
        });
        match opened {
            Ok(content) => Ok(Some(content)),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(error) => Err(trouble("read", error)),
        }
    }
}

#[async_trait]
impl ObjectReader for Content {
    async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        match self {
            Self::Bytes(bytes) => Ok(bytes.take().filter(|bytes| !bytes.is_empty())),
            Self::File(file, offset) => {
                let (owned, at) = (Arc::clone(file), *offset);
                let read = tokio::task::spawn_blocking(move || {
                    let mut buffer = vec![0; STEP_BYTES];
                    let read = rustix::io::pread(&*owned, &mut buffer, at)?;
                    buffer.truncate(read);
                    Ok(buffer)
                });
                let read = match read.await {
                    Ok(read) => read.map_err(|error: Errno| trouble("read", error))?,
                    Err(error) => std::panic::resume_unwind(error.into_panic()),
                };
                *offset += read.len() as u64;
                Ok((!read.is_empty()).then(|| read.into()))
            }
        }
    }
}
