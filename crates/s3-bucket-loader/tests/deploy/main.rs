//! What `deploy/` and the documentation tell people to type, put before the program's own parser; and the files of `deploy/`, read
//! by the tools that will read them.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod commands;
mod files;
mod pages;
