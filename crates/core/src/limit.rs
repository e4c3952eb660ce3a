//! Hard limits of the services that we talk to, each with its source.

use crate::unit::ByteCount;

/// Longest object key, in bytes of UTF-8.
/// Source: Amazon S3 User Guide, "Naming Amazon S3 objects" (read 2026-11).
pub const KEY_BYTES_MAX: usize = 1024;

/// Most bytes of user metadata of one object: the sum of the UTF-8 bytes of each key and value.
/// Source: Amazon S3 User Guide, "Working with object metadata" (read 2026-11).
pub const USER_METADATA_BYTES_MAX: usize = 2048;

/// Most parts of one multipart upload.
/// Source: Amazon S3 User Guide, "Amazon S3 multipart upload limits" (read 2026-11).
pub const PARTS_MAX: u32 = 10_000;

/// Smallest part, except the last. Source: as [`PARTS_MAX`].
pub const PART_BYTES_MIN: ByteCount = ByteCount::mebibytes(5);

/// Largest part and largest single PUT. Source: as [`PARTS_MAX`].
pub const PART_BYTES_MAX: ByteCount = ByteCount::mebibytes(5 * 1024);

/// Largest object, 10,000 parts of 5 GiB: 48.8 TiB.
/// Source: Amazon S3 User Guide, "Amazon S3 multipart upload limits" (read 2026-11).
pub const OBJECT_BYTES_MAX: ByteCount = ByteCount(PART_BYTES_MAX.0 * PARTS_MAX as u64);

/// Largest object that one CopyObject copies.
/// Source: Amazon S3 API Reference, CopyObject (read 2026-11).
pub const COPY_BYTES_MAX: ByteCount = ByteCount::mebibytes(5 * 1024);

/// Most keys that one LIST answers. Source: Amazon S3 API Reference, ListObjectsV2 (read 2026-11).
pub const LIST_KEYS_MAX: u16 = 1000;

/// How many HEAD requests cost as much as one LIST request: $0.005 to $0.0004 a thousand.
/// Source: Amazon S3 pricing, S3 Standard, us-east-1 (read 2026-11).
pub const HEADS_PER_LIST_PRICE: usize = 12;

/// Largest message that we put on a queue. SQS bills each 64 KiB and carries 256 KiB where an administrator
/// has not raised it; base64 and the envelope must fit below that.
/// Source: Amazon SQS Developer Guide, "Message quotas" (read 2026-11).
pub const MESSAGE_BYTES_MAX: usize = 190 * 1024;

/// Most bytes that one packed batch may inflate to; more is a forged or broken message.
pub const INFLATED_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Longest path that Linux passes to a system call. Source: `PATH_MAX`, linux/limits.h.
pub const PATH_BYTES_MAX: usize = 4096;

/// Longest name in a directory of Linux. Source: `NAME_MAX`, linux/limits.h.
pub const NAME_BYTES_MAX: usize = 255;

/// Most tags of one object, and most characters of a tag's key and of its value.
/// Source: Amazon S3 User Guide, "Categorizing your objects using tags" (read 2026-11).
pub const TAGS_MAX: usize = 10;
/// See [`TAGS_MAX`].
pub const TAG_KEY_CHARACTERS_MAX: usize = 128;
/// See [`TAGS_MAX`].
pub const TAG_VALUE_CHARACTERS_MAX: usize = 256;

/// Longest message of one finding, in bytes; longer ones are cut at a character.
pub const FINDING_MESSAGE_BYTES_MAX: usize = 400;
