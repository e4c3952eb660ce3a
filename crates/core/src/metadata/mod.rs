//! Owner, mode and times as object metadata.
