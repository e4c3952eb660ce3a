//! What starts workers.

pub mod ec2;
pub mod process;
