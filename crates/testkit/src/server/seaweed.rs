//! SeaweedFS: `weed server`, which is master, volume server, filer and S3 gateway in one process.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;

use super::{Program, Server, StartError};
use crate::port::PortLease;
use crate::process::{Launch, Ready};
use crate::tool;

pub(super) static PROGRAM: Program = Program { name: "seaweed", launch };

fn launch(directory: &Path, ip: Ipv4Addr) -> Result<Launch, StartError> {
    let leases = PortLease::take_array::<8>()?;
    let [s3, s3_grpc, master, master_grpc, volume, volume_grpc, filer, filer_grpc] =
        leases.each_ref().map(PortLease::number);
    let path = directory.display();
    let arguments = [
        "server".to_owned(),
        "-filer".to_owned(),
        "-s3".to_owned(),
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
        // Volumes are files that grow as they are written; a bucket takes a few of them.
        "-volume.max=2000".to_owned(),
        "-master.volumeSizeLimitMB=64".to_owned(),
        // Of its own accord (and always as `weed mini`) it turns every volume read-only once 1% of the disk is left, which
        // on a large disk is more than all tests write.
        "-volume.minFreeSpace=64MiB".to_owned(),
        "-volume.preStopSeconds=0".to_owned(),
        // One master, which need not wait for others to elect it.
        "-master.peers=none".to_owned(),
        // Nothing that only a person or another machine would use.
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
