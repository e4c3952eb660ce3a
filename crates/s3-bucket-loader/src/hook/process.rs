//! One command: started in a group of its own, heard, and ended when its time is over.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use crate::face::words::printable;
use crate::talk;

/// How long a command that was asked to end may take for it.
const ENDING: Duration = Duration::from_secs(5);
/// How long the output of a command that has ended is waited for: what it left running may hold it open.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Bytes of one line of output that are kept.
const LINE_BYTES_MAX: u64 = 4096;

/// Secrets that are this program's own.
const KEPT_BACK: [&str; 1] = ["S3BL_JOIN_KEY"];

/// How a command ended.
pub(super) enum Finished {
    /// With exit code 0.
    Well,
    /// Otherwise, in words.
    Badly(String),
}

/// Runs a command and waits for it, at most for `limit`. Each line that it writes goes to the log.
pub(super) fn run(
    name: &'static str,
    words: &[String],
    facts: &[(&'static str, OsString)],
    limit: Duration,
    is_quiet: bool,
) -> io::Result<Finished> {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).envs(facts.iter().map(|(name, value)| (name, value)));
    for secret in KEPT_BACK {
        command.env_remove(secret);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // So that all that it started can be ended with it, and Ctrl-C is for us to deal with.
    let mut child = command.process_group(0).spawn()?;
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let (heard, ends) = mpsc::channel();
    let outputs: [Option<Box<dyn Read + Send>>; 2] = [
        child.stdout.take().map(|it| Box::new(it) as Box<dyn Read + Send>),
        child.stderr.take().map(|it| Box::new(it) as Box<dyn Read + Send>),
    ];
    for output in outputs.into_iter().flatten() {
        let heard = heard.clone();
        std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            listen(name, output, is_quiet);
            // Nobody waits any more if the command has left something that went on talking.
            let _ = heard.send(());
        })?;
    }
    let (ended, end) = mpsc::channel();
    std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        // The receiver waits for this until it comes.
        let _ = ended.send(child.wait());
    })?;
    let (status, is_late) = await_end(&end, group, limit)?;
    for _ in 0..2 {
        if ends.recv_timeout(LAST_WORDS).is_err() {
            break;
        }
    }
    Ok(judge(status, is_late.then_some(limit)))
}

/// Waits for the end, and sees to it when the time is over. Says whether it was.
fn await_end(
    end: &mpsc::Receiver<io::Result<ExitStatus>>,
    group: Option<Pid>,
    limit: Duration,
) -> io::Result<(ExitStatus, bool)> {
    let mut is_late = false;
    for (wait, signal) in [(limit, Signal::TERM), (ENDING, Signal::KILL)] {
        match end.recv_timeout(wait) {
            Ok(status) => return status.map(|status| (status, is_late)),
            Err(RecvTimeoutError::Timeout) => {
                is_late = true;
                if let Some(group) = group {
                    // One that has just ended needs no signal.
                    let _ = kill_process_group(group, signal);
                }
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    let last = end.recv().map_err(|_| io::Error::other("nobody waits for it any more"))?;
    last.map(|status| (status, true))
}

fn judge(status: ExitStatus, late: Option<Duration>) -> Finished {
    if let Some(limit) = late {
        return Finished::Badly(format!("did not end within {} s", limit.as_secs_f64()));
    }
    match (status.code(), status.signal()) {
        (Some(0), _) => Finished::Well,
        (Some(code), _) => Finished::Badly(format!("ended with exit code {code}")),
        (None, Some(signal)) => Finished::Badly(format!("was ended by signal {signal}")),
        (None, None) => Finished::Badly("ended, and nobody knows how".to_owned()),
    }
}

/// Passes on what a command says, line by line.
fn listen(name: &'static str, output: impl Read, is_quiet: bool) {
    let mut reader = BufReader::new(output);
    let mut line = Vec::new();
    loop {
        line.clear();
        match reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line) {
            Ok(0) => return,
            Ok(_) => {
                let text = String::from_utf8_lossy(&line);
                let text = text.trim_end_matches('\n');
                tracing::info!(command = name, output = text, "a command of this worker says");
                if !is_quiet {
                    talk::say(&format!("{name}: {}", printable(text)));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                tracing::warn!(%error, command = name, "the output of a command cannot be read");
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, limit: Duration) -> String {
        let words = ["/bin/sh", "-c", script].map(str::to_owned);
        match run("test", &words, &[("S3BL_RUN", "r".into())], limit, true).unwrap() {
            Finished::Well => "well".to_owned(),
            Finished::Badly(how) => how,
        }
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_command_is_told_facts_and_judged_by_its_exit_code() {
        assert_eq!(sh("test \"$S3BL_RUN\" = r", LONG), "well");
        assert_eq!(sh("exit 7", LONG), "ended with exit code 7");
        assert_eq!(sh("kill -KILL $$", LONG), "was ended by signal 9");
    }

    #[test]
    fn a_command_that_does_not_end_is_ended_with_all_that_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let script = format!("sleep 1000 & echo $! > {}; wait", file.display());
        assert_eq!(sh(&script, Duration::from_millis(500)), "did not end within 0.5 s");
        let pid = std::fs::read_to_string(file).unwrap();
        let state = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
        // Gone, or a zombie that nobody has buried yet.
        assert!(state.as_ref().map_or(true, |it| it.contains(") Z ")), "{state:?}");
    }

    #[test]
    fn what_a_command_leaves_running_is_not_waited_for() {
        let begun = std::time::Instant::now();
        assert_eq!(sh("sleep 30 & exit 0", LONG), "well");
        assert!(begun.elapsed() < Duration::from_secs(25));
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error_of_its_own() {
        let words = ["/no/such/program".to_owned()];
        assert!(run("test", &words, &[], LONG, true).is_err());
    }
}
