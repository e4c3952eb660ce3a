//! Workers as processes of this machine.
//!
//! A worker reads the join key as the first line of its standard input, so that it stands in no command line and in no
//! environment, and leaves when that input ends: when it is told to, and when the master is killed.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use s3bl_core::launch::{Condition, Member, MemberId, Seat, Sighting};
use s3bl_port::launcher::{LaunchError, Launcher};
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// How long a worker may take to leave: it finishes what it has begun, and hands back the rest.
const LEAVE_MAX: Duration = Duration::from_secs(20);

/// Of what a worker that is gone said, so many bytes and lines are quoted.
const LAST_BYTES: usize = 400;
const LAST_LINES: usize = 3;

/// What is started.
#[derive(Debug, Clone)]
pub struct ProcessSettings {
    /// The program.
    pub program: PathBuf,
    /// Its arguments; a worker's name is added as `--name NAME`.
    pub arguments: Vec<OsString>,
    /// Variables of their environment beside the master's own.
    pub environment: Vec<(OsString, OsString)>,
    /// The join key.
    pub key: String,
    /// A folder that exists: what each worker writes to its standard error stands there in a file named after the worker.
    pub folder: PathBuf,
}

/// Starts processes of this machine. They do not outlive it.
#[derive(Debug)]
pub struct ProcessLauncher {
    settings: ProcessSettings,
    started: Mutex<Vec<Started>>,
}

#[derive(Debug)]
struct Started {
    seat: Seat,
    member: Member,
    /// `None` while somebody waits for its end, and after that.
    child: Option<Child>,
    is_gone: bool,
    /// How it ended, if by itself.
    words: Option<String>,
}

impl ProcessLauncher {
    /// Makes a launcher that has started nothing.
    pub fn new(settings: ProcessSettings) -> Self {
        Self { settings, started: Mutex::default() }
    }

    fn with_started<T>(&self, what: impl FnOnce(&mut Vec<Started>) -> T) -> T {
        what(&mut self.started.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn start(&self, name: &str) -> io::Result<Child> {
        let ProcessSettings { program, arguments, environment, key, .. } = &self.settings;
        let log = OpenOptions::new().create(true).append(true).open(self.log_of(name))?;
        let mut command = Command::new(program);
        command.args(arguments).arg("--name").arg(name).envs(environment.iter().cloned());
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log);
        // Ctrl-C is for the master to deal with: it tells the workers what is to be done.
        command.process_group(0).kill_on_drop(true);
        let mut child = command.spawn()?;
        let input = child.stdin.as_mut().ok_or_else(|| io::Error::other("it has no input"))?;
        input.write_all(format!("{key}\n").as_bytes()).await?;
        Ok(child)
    }

    fn log_of(&self, name: &str) -> PathBuf {
        self.settings.folder.join(format!("{name}.log"))
    }

    /// How a worker ended, and what it said last.
    fn last_words(&self, member: &MemberId, how: &str) -> String {
        let path = self.log_of(&member.0);
        // A log that cannot be read adds nothing.
        let said = std::fs::read(&path).unwrap_or_default();
        let said = String::from_utf8_lossy(&said[said.len().saturating_sub(LAST_BYTES)..]);
        let lines: Vec<&str> =
            said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let last = lines[lines.len().saturating_sub(LAST_LINES)..].join("; ");
        format!("{how}; `{}` ends with: {last}", path.display())
    }

    /// Waits until a worker whose input has ended is gone; one that takes too long is ended.
    async fn see_off(mut child: Child) -> io::Result<()> {
        drop(child.stdin.take());
        if timeout(LEAVE_MAX, child.wait()).await.is_err() {
            child.kill().await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Launcher for ProcessLauncher {
    async fn launch(&self, seat: Seat) -> Result<Member, LaunchError> {
        let known = self.with_started(|all| {
            all.iter().find(|started| started.seat == seat).map(|started| started.member.clone())
        });
        if let Some(member) = known {
            return Ok(member);
        }
        // A worker of an earlier master of the run may not have left yet.
        let chance: String = std::iter::repeat_with(fastrand::lowercase).take(4).collect();
        let name = format!("process-{}-{chance}", seat.slot);
        let child = self.start(&name).await.map_err(|error| LaunchError {
            message: format!("start `{}` as a worker", self.settings.program.display()),
            may_pass: matches!(
                error.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::OutOfMemory
            ),
            source: Some(error.into()),
        })?;
        let member = Member { id: MemberId(name.clone()), worker: Some(name), host: None };
        let started = Started {
            seat,
            member: member.clone(),
            child: Some(child),
            is_gone: false,
            words: None,
        };
        self.with_started(|all| all.push(started));
        Ok(member)
    }

    async fn look(&self) -> Result<Vec<Sighting>, LaunchError> {
        let see = |started: &mut Started| {
            if let Some(child) = &mut started.child
                && !started.is_gone
            {
                let how = match child.try_wait() {
                    Ok(None) => None,
                    Ok(Some(status)) => Some(status.to_string()),
                    // One whose state cannot be asked is nobody's child any more.
                    Err(error) => Some(error.to_string()),
                };
                started.is_gone = how.is_some();
                started.words = how.map(|how| self.last_words(&started.member.id, &how));
            }
            let condition = if started.is_gone { Condition::Gone } else { Condition::Well };
            let (member, words) = (started.member.clone(), started.words.clone());
            Sighting { member, seat: started.seat, condition, words }
        };
        Ok(self.with_started(|all| all.iter_mut().map(see).collect()))
    }

    async fn terminate(&self, members: &[MemberId]) -> Result<(), LaunchError> {
        let children: Vec<(MemberId, Child)> = self.with_started(|all| {
            let of_these = |started: &&mut Started| members.contains(&started.member.id);
            let take =
                |started: &mut Started| Some((started.member.id.clone(), started.child.take()?));
            all.iter_mut().filter(of_these).filter_map(take).collect()
        });
        let ends =
            children.into_iter().map(|(id, child)| async { (id, Self::see_off(child).await) });
        let mut failed = None;
        for (id, end) in futures_util::future::join_all(ends).await {
            match end {
                Ok(()) => self.with_started(|all| {
                    let ended = all.iter_mut().find(|started| started.member.id == id);
                    ended.expect("what was started is remembered").is_gone = true;
                }),
                Err(error) => {
                    failed = Some(LaunchError {
                        message: format!("end the process of worker {id}"),
                        may_pass: false,
                        source: Some(error.into()),
                    });
                }
            }
        }
        failed.map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launcher(script: &str) -> (tempfile::TempDir, ProcessLauncher) {
        let folder = tempfile::tempdir().unwrap();
        let launcher = ProcessLauncher::new(ProcessSettings {
            environment: Vec::new(),
            program: "/bin/sh".into(),
            arguments: ["-c", script].map(Into::into).into(),
            key: "the-join-key".to_owned(),
            folder: folder.path().to_owned(),
        });
        (folder, launcher)
    }

    const SEAT: Seat = Seat { slot: 3, launch: 1 };

    async fn conditions(launcher: &ProcessLauncher) -> Vec<Condition> {
        launcher.look().await.unwrap().iter().map(|sighting| sighting.condition).collect()
    }

    #[tokio::test]
    async fn a_worker_hears_the_key_by_its_input_and_leaves_when_that_ends() {
        let (folder, launcher) = launcher("read key; cat; echo \"$key $*\" >&2");
        let member = launcher.launch(SEAT).await.unwrap();
        assert_eq!(launcher.launch(SEAT).await.unwrap(), member, "no second one for the seat");
        assert_eq!(conditions(&launcher).await, [Condition::Well]);
        launcher.terminate(std::slice::from_ref(&member.id)).await.unwrap();
        assert_eq!(conditions(&launcher).await, [Condition::Gone]);
        let name = member.worker.unwrap();
        let said = std::fs::read_to_string(folder.path().join(format!("{name}.log"))).unwrap();
        // The first argument after the script is the shell's own name.
        assert_eq!(said, format!("the-join-key {name}\n"));
        launcher.terminate(&[member.id]).await.unwrap();
    }

    #[tokio::test]
    async fn a_worker_that_ends_by_itself_is_seen_gone() {
        let (_folder, launcher) = launcher("read key; echo why >&2; exit 7");
        let member = launcher.launch(SEAT).await.unwrap();
        while conditions(&launcher).await != [Condition::Gone] {
            tokio::task::yield_now().await;
        }
        let words = launcher.look().await.unwrap().remove(0).words.unwrap();
        assert!(words.starts_with("exit status: 7; `"), "{words}");
        assert!(words.ends_with("ends with: why"), "{words}");
        launcher.terminate(&[member.id]).await.unwrap();
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_named() {
        let (_folder, mut launcher) = launcher("");
        launcher.settings.program = "/no/such/program".into();
        let error = launcher.launch(SEAT).await.unwrap_err();
        assert_eq!(error.message, "start `/no/such/program` as a worker");
        assert!(!error.may_pass);
        assert_eq!(conditions(&launcher).await, []);
    }
}
