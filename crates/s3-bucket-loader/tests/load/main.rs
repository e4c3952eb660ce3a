//! The program as its users run it: the real binary against real servers, judged by what other clients find.

mod arrives;
mod faults;
mod input;
mod interrupted;
mod output;
mod refused;
mod stage;
mod tampered;
