//! The JuiceFS gateway: MinIO's S3 front over a volume whose metadata is an SQLite file.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;

use super::{Program, Server, StartError};
use crate::port::PortLease;
use crate::process::{Launch, Ready};
use crate::tool;

pub(super) static PROGRAM: Program = Program { name: "juicefs", launch };

fn launch(directory: &Path, ip: Ipv4Addr) -> Result<Launch, StartError> {
    let program = tool::installed("juicefs")?;
    let path = directory.display();
    let metadata = format!("sqlite3://{path}/meta.db");
    if !directory.join("meta.db").exists() {
        let bucket = format!("--bucket={path}/data/");
        let arguments =
            ["format", "--storage=file", &bucket, "--trash-days=0", &metadata, "testkit"];
        tool::run(std::process::Command::new(&program).args(arguments).env("HOME", directory))?;
    }
    let leases = PortLease::take_array::<2>()?;
    let [port, metrics] = leases.each_ref().map(PortLease::number);
    let arguments = [
        "gateway".to_owned(),
        "--multi-buckets".to_owned(),
        "--keep-etag".to_owned(),
        "--object-meta".to_owned(),
        "--no-usage-report".to_owned(),
        "--no-bgjob".to_owned(),
        "--no-banner".to_owned(),
        format!("--cache-dir={path}/cache"),
        format!("--log={path}/gateway.log"),
        format!("--metrics={ip}:{metrics}"),
        metadata,
        format!("{ip}:{port}"),
    ];
    Ok(Launch {
        program,
        arguments: arguments.into_iter().map(Into::into).collect(),
        environment: vec![
            ("MINIO_ROOT_USER", Server::ACCESS_KEY.into()),
            ("MINIO_ROOT_PASSWORD", Server::SECRET_KEY.into()),
        ],
        address: SocketAddrV4::new(ip, port),
        ready: Ready::Answers { port, path: "/minio/health/live" },
        leases: leases.into(),
    })
}
