//! The program as its users run it: the real binary against real servers, judged by what other clients find.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod arrives;
mod catalogue;
mod chaos;
mod cleanup;
mod confined;
mod copier;
mod doctor;
mod drift;
mod faults;
mod fleet;
mod fleet_stage;
mod fleet_tree;
mod fleet_trouble;
mod from_bucket;
mod hard_links;
mod hooks;
mod input;
mod instances;
mod interrupted;
mod large;
mod late;
mod launched;
mod leaving;
mod log_upload;
mod monitored;
mod mounted;
mod namespaces;
mod objects;
mod output;
mod properties;
mod random;
mod readers;
mod refused;
mod restore;
mod rights;
mod selection;
mod several;
mod sparse;
mod special_links;
mod specials;
mod spot;
mod stage;
mod tampered;
mod to_directory;
