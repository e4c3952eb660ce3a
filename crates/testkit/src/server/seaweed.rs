//! SeaweedFS: `weed mini`, which is master, volume server, filer and S3 gateway in one process.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;

use super::{Program, Server, StartError};
use crate::port::PortLease;
use crate::process::{Launch, Ready};
use crate::tool;

pub(super) static PROGRAM: Program = Program { name: "seaweed", launch };

fn launch(directory: &Path, ip: Ipv4Addr) -> Result<Launch, StartError> {
    let leases = PortLease::take_array::<10>()?;
    let [
        s3,
        s3_grpc,
        master,
        master_grpc,
        volume,
        volume_grpc,
        filer,
        filer_grpc,
        admin,
        admin_grpc,
    ] = leases.each_ref().map(PortLease::number);
    let path = directory.display();
    let arguments = [
        "mini".to_owned(),
        format!("-dir={path}"),
        format!("-ip={ip}"),
        format!("-ip.bind={ip}"),
        format!("-s3.port={s3}"),
        format!("-s3.port.grpc={s3_grpc}"),
        format!("-master.port={master}"),
        format!("-master.port.grpc={master_grpc}"),
        format!("-volume.port={volume}"),
        format!("-volume.port.grpc={volume_grpc}"),
        format!("-filer.port={filer}"),
        format!("-filer.port.grpc={filer_grpc}"),
        format!("-filer.localSocket={path}/filer.sock"),
        format!("-s3.localSocket={path}/s3.sock"),
        format!("-admin.port={admin}"),
        format!("-admin.port.grpc={admin_grpc}"),
        // Volumes are files that grow as they are written; a bucket takes a few of them.
        "-volume.max=2000".to_owned(),
        "-master.volumeSizeLimitMB=64".to_owned(),
        // Nothing that only a person or another machine would use.
        "-admin.ui=false".to_owned(),
        "-webdav=false".to_owned(),
        "-s3.port.iceberg=0".to_owned(),
        "-s3.port.lance=0".to_owned(),
        "-master.telemetry=false".to_owned(),
    ];
    Ok(Launch {
        program: tool::installed("weed")?,
        arguments: arguments.into_iter().map(Into::into).collect(),
        environment: vec![
            ("AWS_ACCESS_KEY_ID", Server::ACCESS_KEY.into()),
            ("AWS_SECRET_ACCESS_KEY", Server::SECRET_KEY.into()),
        ],
        address: SocketAddrV4::new(ip, s3),
        ready: Ready::Answers { port: s3, path: "/healthz" },
        leases: leases.into(),
    })
}
