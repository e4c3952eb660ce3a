//! A bucket behind the S3 protocol.
//!
//! The master's side lists it (`crawl`, `queue`), the workers' side fetches objects (`object`) and, of large ones, ranges
//! of one version (`file`). `asking` is the small runtime behind both, since the port's calls block; `facts` reads owner,
//! mode and times off an object, `door` is the door.
//!
//! # What the listing promises
//!
//! Each key that the store lists is an entry, or excluded by the filter, or has a finding: a key that no path can be
//! (`a//b`, `../x`) is named there and counted as unreadable. Nothing relies on the order of a listing. A listing shows
//! neither owner nor mode, nor whether an object is a link: that is known when the object is read, and costs no request
//! of its own.
//!
//! What is read of an object is one version of it, told by its entity tag, and is compared with the checksum that the
//! store keeps of the whole (CRC64NVME), or with an entity tag that is an MD5.

mod asking;
mod crawl;
mod door;
mod facts;
mod file;
mod object;
mod queue;

pub use door::BucketSource;
