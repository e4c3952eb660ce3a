//! A directory on a disk or on a share.
//!
//! The master's side walks the tree (`crawl`, `walk`, `descent`, `share`, `listing`, `outbox`) or reads a `list` of
//! what to load instead, the workers' side
//! reads files (`read`), sparse ones by their `holes`, and, where asked, extended attributes (`xattr`). Both open nothing but through `confine`, which keeps them beneath the root whatever becomes
//! of the tree meanwhile. `facts` is what the system says of a file, `directory` the door.
//!
//! # What the walk promises
//!
//! Each name that a directory lists is either emitted, or excluded by the filter, or reported with a finding and
//! counted as unreadable. A file that is there from the beginning to the end of the walk is met exactly once; one
//! that comes or goes meanwhile is met at most once (where file systems keep that promise themselves).
//!
//! Memory does not grow with the number of files: of a directory at most 64 Ki names are held at a time, and of the
//! directories on the way down those names that are still to be visited. Descriptors are bounded likewise.

mod confine;
mod crawl;
mod descent;
mod directory;
mod facts;
mod holes;
mod list;
mod listing;

mod read;
mod share;
mod walk;
mod xattr;

pub(crate) use confine::{Root, patiently};
pub use directory::DirectorySource;
pub(crate) use facts::posix_facts;
pub(crate) use xattr::read as read_xattrs;
