//! Bad input, end to end: every name and every kind of file that a Linux file system can hold, each with its one outcome.
//!
//! The tables in `names` and `kinds` are the documentation. What a list of entries can hold beside that is in `selection`, what
//! changes while it is read in `late`, `chaos` and the tests of the directory source.

mod kinds;
mod load_kinds;
mod load_names;
mod names;
