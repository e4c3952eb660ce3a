//! moto's server: AWS services in the memory of one Python process.

use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;

use super::{Program, StartError};
use crate::port::PortLease;
use crate::process::{Launch, Ready};
use crate::tool;

pub(super) static PROGRAM: Program = Program { name: "moto", launch };

fn launch(directory: &Path, ip: Ipv4Addr) -> Result<Launch, StartError> {
    let lease = PortLease::take()?;
    let port = lease.number();
    let script = directory.join("moto_server.py");
    fs::write(&script, include_str!("moto_server.py"))?;
    let arguments = [script.into(), "-H".into(), ip.to_string().into(), "-p".into()];
    Ok(Launch {
        program: tool::installed("python")?,
        arguments: arguments.into_iter().chain([port.to_string().into()]).collect(),
        environment: vec![("PYTHONUNBUFFERED", "1".into())],
        address: SocketAddrV4::new(ip, port),
        ready: Ready::Answers { port, path: "/moto-api/" },
        leases: vec![lease],
    })
}
