//! Tests that need a second process start this binary again for one of these, which do nothing on their own.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use s3bl_adapters::ledger::sqlite::SqliteLedger;
use s3bl_port::ledger::Ledger;

use crate::sample::{Batch, Fate};

/// Names the ledger that a child works on.
const LEDGER: &str = "LEDGER_SQLITE_TEST_PATH";

/// The command that runs one of the functions below on a ledger; its words to the parent are lines on stdout.
pub(crate) fn command(program: &Path, function: &str, ledger: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .args(["--exact", &format!("child::{function}"), "--ignored", "--nocapture"])
        .env(LEDGER, ledger)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn ledger_path() -> PathBuf {
    std::env::var_os(LEDGER).expect("the parent names the ledger").into()
}

/// Says something to the parent at once.
fn say(line: &str) {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "\n{line}").unwrap();
    stdout.flush().unwrap();
}

/// The batch that the child appends under a number.
pub(crate) fn batch(number: u64) -> Batch {
    Batch::new(number, &[Fate::Validated, Fate::Failed, Fate::Validated])
}

#[test]
#[ignore = "started by the tests of durability"]
fn append_until_killed() {
    let mut ledger = SqliteLedger::open(ledger_path()).unwrap();
    let last = ledger.recover().unwrap().planned;
    for number in last + 1.. {
        let batch = batch(number);
        ledger.append(&[batch.plan_record(), batch.written(1, 1), batch.validated(1, 1)]).unwrap();
        say(&format!("durable {number}"));
    }
}

#[test]
#[ignore = "started by the tests of folders that cannot be written"]
fn look() {
    match SqliteLedger::open_read_only(ledger_path()) {
        Ok(ledger) => say(&format!("entries {}", ledger.recover().unwrap().planned_entries)),
        Err(error) => say(&format!(
            "refused {error}: {:?}",
            std::error::Error::source(&error).map(ToString::to_string)
        )),
    }
}
