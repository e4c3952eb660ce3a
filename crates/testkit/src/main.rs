//! Starts one of the kit's servers for a person: `cargo run -p s3bl-testkit -- seaweed`.
//!
//! Prints the variables that a client needs, as shell lines, and keeps the server until standard input ends or
//! brings a line.

use std::io::{self, Write};
use std::process::ExitCode;

use s3bl_testkit::{Kind, Server, StartError};

fn main() -> ExitCode {
    let name = std::env::args().nth(1).unwrap_or_default();
    let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.name() == name) else {
        let names = Kind::ALL.map(Kind::name).join("|");
        return complain(&format!("usage: s3bl-testkit {names}"));
    };
    match serve(kind) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(&error.to_string()),
    }
}

fn serve(kind: Kind) -> Result<(), StartError> {
    let server = Server::start(kind)?;
    let mut stdout = io::stdout().lock();
    for (name, value) in server.environment() {
        writeln!(stdout, "export {name}={value}")?;
    }
    writeln!(stdout, "# process {}; Enter stops it", server.process_id().unwrap_or_default())?;
    stdout.flush()?;
    io::stdin().read_line(&mut String::new())?;
    Ok(())
}

fn complain(message: &str) -> ExitCode {
    // Nobody is left to be told when standard error is closed.
    let _ = writeln!(io::stderr(), "{message}");
    ExitCode::FAILURE
}
