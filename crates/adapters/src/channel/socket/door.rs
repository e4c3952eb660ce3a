//! The socket's file, and a file beside it that says whose the channel is. Whoever has the lock of that file leads.

use std::fmt;
use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use s3bl_core::id::RunId;
use s3bl_port::channel::{ChannelError, ChannelErrorKind};
use tokio::net::{UnixListener, UnixStream};

/// Where a channel is met.
#[derive(Debug, Clone)]
pub(super) struct Door {
    folder: PathBuf,
    name: String,
}

/// The right to lead a channel, as long as it is kept: also `kill -9` gives it back.
#[derive(Debug)]
pub(super) struct Hold {
    /// Locked.
    _file: File,
}

/// A name of the socket that is short enough, as long as this is kept.
struct Address {
    path: PathBuf,
    _folder: OwnedFd,
}

/// Whose a channel is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// Nobody's.
    Nobody,
    /// A run's that is being led.
    Alive(RunId),
    /// A run's whose master is gone without a farewell.
    Gone(RunId),
}

impl Door {
    /// Names the socket.
    ///
    /// # Errors
    ///
    /// [`ChannelErrorKind::Invalid`] if the path names no file in a folder that exists.
    pub(super) fn new(path: PathBuf) -> Result<Self, ChannelError> {
        let name = path.file_name().and_then(|name| name.to_str()).map(str::to_owned);
        let folder = path.parent().map(|folder| match folder {
            here if here == Path::new("") => PathBuf::from("."),
            folder => folder.to_owned(),
        });
        match (folder, name) {
            (Some(folder), Some(name)) if folder.is_dir() => Ok(Self { folder, name }),
            _ => Err(ChannelError {
                kind: ChannelErrorKind::Invalid,
                message: format!("`{}` names no socket in a folder that exists", path.display()),
                source: None,
            }),
        }
    }

    fn socket(&self) -> PathBuf {
        self.folder.join(&self.name)
    }

    fn sign(&self) -> PathBuf {
        self.folder.join(format!("{}.lock", self.name))
    }

    /// Takes the channel for a run.
    ///
    /// # Errors
    ///
    /// [`ChannelErrorKind::Occupied`] if a process leads it, with the name of its run.
    pub(super) fn hold(&self, run: &RunId) -> Result<Hold, ChannelError> {
        loop {
            let held =
                self.try_hold(run).map_err(|error| self.failure("take the channel", error))?;
            if let Some(hold) = held {
                return Ok(hold);
            }
            // Without a master somebody looks whose it is, which takes no time.
            if let Owner::Alive(owner) = self.owner()? {
                return Err(ChannelError {
                    kind: ChannelErrorKind::Occupied,
                    message: format!("the channel at {self} belongs to run {owner}"),
                    source: None,
                });
            }
        }
    }

    /// `None` if another process has it.
    fn try_hold(&self, run: &RunId) -> io::Result<Option<Hold>> {
        loop {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false).mode(0o600);
            let mut file = options.open(self.sign())?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(error),
            }
            // Whoever had it may have removed it between our opening and our locking.
            let is_the_one = match std::fs::metadata(self.sign()) {
                Ok(there) => there.ino() == file.metadata()?.ino(),
                Err(error) if error.kind() == io::ErrorKind::NotFound => false,
                Err(error) => return Err(error),
            };
            if is_the_one {
                file.set_len(0)?;
                file.rewind()?;
                file.write_all(run.as_str().as_bytes())?;
                return Ok(Some(Hold { _file: file }));
            }
        }
    }

    /// Says whose the channel is.
    pub(super) fn owner(&self) -> Result<Owner, ChannelError> {
        self.look().map_err(|error| self.failure("see whose the channel is", error))
    }

    fn look(&self) -> io::Result<Owner> {
        let mut file = match File::open(self.sign()) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Owner::Nobody),
            Err(error) => return Err(error),
        };
        // A shared lock keeps no two that look from each other, and is gone with the file's handle.
        let is_led = match file.try_lock_shared() {
            Ok(()) => false,
            Err(TryLockError::WouldBlock) => true,
            Err(TryLockError::Error(error)) => return Err(error),
        };
        let mut name = String::new();
        file.read_to_string(&mut name)?;
        Ok(match (RunId::new(name), is_led) {
            (Ok(run), true) => Owner::Alive(run),
            (Ok(run), false) => Owner::Gone(run),
            // It is being made just now.
            (Err(_), _) => Owner::Nobody,
        })
    }

    /// Makes the socket, which nobody but this user may use.
    pub(super) fn listen(&self, _hold: &Hold) -> Result<UnixListener, ChannelError> {
        let listen = || {
            remove_if_there(&self.socket())?;
            let listener = UnixListener::bind(self.address()?.path)?;
            std::fs::set_permissions(self.socket(), Permissions::from_mode(0o600))?;
            Ok(listener)
        };
        listen().map_err(|error| self.failure("make the socket", error))
    }

    /// Connects with whoever listens; `None` if nobody does.
    pub(super) async fn connect(&self) -> io::Result<Option<UnixStream>> {
        let address = self.address()?;
        let is_nobody = |error: &io::Error| {
            matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
        };
        match UnixStream::connect(&address.path).await {
            Ok(stream) => Ok(Some(stream)),
            Err(error) if is_nobody(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Removes the channel's files.
    pub(super) fn remove(&self, hold: Hold) -> Result<(), ChannelError> {
        let removed = remove_if_there(&self.socket()).and_then(|()| remove_if_there(&self.sign()));
        drop(hold);
        removed.map_err(|error| self.failure("remove the socket", error))
    }

    /// Names the socket by its open folder: an address has 108 bytes (unix(7)), and a folder's path may have more.
    fn address(&self) -> io::Result<Address> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(&self.folder, flags, Mode::empty())?;
        let folders = Path::new("/proc/self/fd");
        let path = folders.join(folder.as_raw_fd().to_string()).join(&self.name);
        Ok(Address { path, _folder: folder })
    }

    fn failure(&self, what: &str, error: io::Error) -> ChannelError {
        let is_denied = error.kind() == io::ErrorKind::PermissionDenied;
        let kind = if is_denied { ChannelErrorKind::Denied } else { ChannelErrorKind::Other };
        ChannelError { kind, message: format!("{what} at {self}"), source: Some(error.into()) }
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

impl fmt::Display for Door {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.socket().display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(name: &str) -> RunId {
        RunId::new(name).unwrap()
    }

    #[test]
    fn one_leads_at_a_time_and_what_is_left_of_it_is_known_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let door = Door::new(folder.path().join("channel")).unwrap();
        assert_eq!(door.owner().unwrap(), Owner::Nobody);
        let hold = door.hold(&run("run-a")).unwrap();
        assert_eq!(door.owner().unwrap(), Owner::Alive(run("run-a")));
        let error = door.hold(&run("run-b")).unwrap_err();
        assert_eq!(error.kind, ChannelErrorKind::Occupied);
        assert!(error.message.ends_with("belongs to run run-a"), "{error}");
        // As a kill would.
        drop(hold);
        assert_eq!(door.owner().unwrap(), Owner::Gone(run("run-a")));
        let hold = door.hold(&run("b")).unwrap();
        assert_eq!(door.owner().unwrap(), Owner::Alive(run("b")));
        door.remove(hold).unwrap();
        assert_eq!(door.owner().unwrap(), Owner::Nobody);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_path_longer_than_an_address_is_met_and_a_dead_socket_is_nobody() {
        let base = tempfile::tempdir().unwrap();
        let folder = base.path().join("a-long-name-of-a-folder".repeat(8));
        std::fs::create_dir(&folder).unwrap();
        let door = Door::new(folder.join("channel")).unwrap();
        assert!(door.connect().await.unwrap().is_none());
        let hold = door.hold(&run("run-a")).unwrap();
        let listener = door.listen(&hold).unwrap();
        assert!(door.connect().await.unwrap().is_some());
        let mode = std::fs::metadata(folder.join("channel")).unwrap().mode();
        assert_eq!(mode & 0o777, 0o600);
        drop(listener);
        assert!(door.connect().await.unwrap().is_none(), "nobody listens");
        drop(door.listen(&hold).unwrap());
    }

    #[test]
    fn a_path_that_names_no_socket_is_a_mistake() {
        for path in ["/", "..", "/no/such/folder/channel"] {
            let error = Door::new(path.into()).unwrap_err();
            assert_eq!(error.kind, ChannelErrorKind::Invalid, "{path}");
        }
    }
}
