//! The workshops behind the doors: a file a vendor.
