//! The operations, a file each or a family.

pub(crate) mod attributes;
pub(crate) mod bucket;
pub(crate) mod check;
pub(crate) mod copy;
pub(crate) mod delete;
pub(crate) mod get;
pub(crate) mod head;
pub(crate) mod list;
pub(crate) mod multipart;
pub(crate) mod multipart_list;
pub(crate) mod put;
