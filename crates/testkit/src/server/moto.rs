//! moto's server: AWS services in the memory of one Python process.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;

use super::{Program, StartError};
use crate::port::PortLease;
use crate::process::{Launch, Ready};
use crate::tool;

pub(super) static PROGRAM: Program = Program { name: "moto", launch };

fn launch(_directory: &Path, ip: Ipv4Addr) -> Result<Launch, StartError> {
    let lease = PortLease::take()?;
    let port = lease.number();
    Ok(Launch {
        program: tool::installed("moto_server")?,
        arguments: vec!["-H".into(), ip.to_string().into(), "-p".into(), port.to_string().into()],
        environment: vec![("PYTHONUNBUFFERED", "1".into())],
        address: SocketAddrV4::new(ip, port),
        ready: Ready::Answers { port, path: "/moto-api/" },
        leases: vec![lease],
    })
}
