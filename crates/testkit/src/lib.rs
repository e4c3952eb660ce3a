//! Starts and stops the real servers that tests run against; nothing that ships depends on it.
