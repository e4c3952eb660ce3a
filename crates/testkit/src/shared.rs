//! One server for many tests: per test run under `cargo nextest`, per test process otherwise.
//!
//! nextest runs every test in a process of its own, so a server in a `static` would be one server a test. All the
//! processes of a run know its `NEXTEST_RUN_ID`, though. The first that asks for a server starts it, under a file
//! lock, and makes it live as long as nextest, its parent; the others find its port in a file. A run that needs no
//! server starts none.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::sync::{LazyLock, Mutex, PoisonError};

use crate::process::{self, Lifetime, Process};
use crate::server::{Program, StartError};

/// Returns the port of the server that `program`'s tests share, started by whoever asks first.
pub(crate) fn port_of(program: &Program) -> Result<u16, StartError> {
    match std::env::var("NEXTEST_RUN_ID") {
        Ok(run) => port_in_run(program, &run),
        Err(_) => port_in_process(program),
    }
}

fn port_in_run(program: &Program, run: &str) -> Result<u16, StartError> {
    let run = std::env::temp_dir().join(format!("s3bl-testkit-run-{run}"));
    fs::create_dir_all(&run)?;
    let lock = File::create(run.join(format!("{}.lock", program.name)))?;
    lock.lock()?;
    let port_file = run.join(format!("{}.port", program.name));
    let directory = run.join(program.name);
    if port_file.exists() {
        return running_port(program, &port_file, &directory);
    }
    let nextest = i32::try_from(std::os::unix::process::parent_id())
        .expect("process ids are below 2^22 on Linux and 2^31 elsewhere");
    let server = program.start_in(&directory, &run, Lifetime::Of { pid: nextest })?;
    fs::write(port_file, server.address().port().to_string())?;
    Ok(server.address().port())
}

fn running_port(program: &Program, port: &Path, directory: &Path) -> Result<u16, StartError> {
    let gone = || StartError::Gone { program: program.name, log: process::log_tail(directory) };
    let port: u16 = fs::read_to_string(port)?.parse().map_err(|_| gone())?;
    match TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
        Ok(_) => Ok(port),
        Err(_) => Err(gone()),
    }
}

/// A `static` is never dropped, but the end of the process ends the servers all the same (see `process`).
static OWNED: LazyLock<Mutex<BTreeMap<&'static str, Process>>> = LazyLock::new(Mutex::default);

fn port_in_process(program: &Program) -> Result<u16, StartError> {
    // A panic while the lock was held can only have come before the insertion.
    let mut owned = OWNED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(server) = owned.get(program.name) {
        return Ok(server.address().port());
    }
    let server = program.start(Ipv4Addr::LOCALHOST)?;
    let port = server.address().port();
    owned.insert(program.name, server);
    Ok(port)
}
