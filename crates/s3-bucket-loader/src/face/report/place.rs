//! Where a run's files are, and how a command finds the run.

use std::path::{Path, PathBuf};

use crate::face::words;

/// The folder of a run, and what a command must say to find it.
#[derive(Debug, Clone)]
pub struct RunPlace {
    folder: PathBuf,
    home: Option<PathBuf>,
    has_files: bool,
}

impl RunPlace {
    /// A folder that holds the files of its run, in the home that is found without being named.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), home: None, has_files: true }
    }

    /// The same in a home that every command has to name, if there is one here.
    #[must_use]
    pub fn in_home(self, home: Option<PathBuf>) -> Self {
        Self { home, ..self }
    }

    /// The same, as its files are now: a run that was killed has none.
    #[must_use]
    pub fn as_it_is(self) -> Self {
        let has_files = self.folder.join("report.html").is_file();
        Self { has_files, ..self }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether the reports are there.
    pub(super) fn has_files(&self) -> bool {
        self.has_files
    }

    /// A command of the program as one types it from anywhere: `command` is its name with its arguments. Printable.
    pub fn command(&self, command: &str) -> String {
        let home = match &self.home {
            None => String::new(),
            Some(home) => format!(" --home {}", words::quoted(&home.to_string_lossy())),
        };
        format!("s3-bucket-loader {command}{home}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_names_the_home_that_has_to_be_named() {
        let place = RunPlace::new("/runs/a");
        assert_eq!(place.command("resume a"), "s3-bucket-loader resume a");
        let place = place.in_home(Some("/my home".into()));
        assert_eq!(place.command("resume a"), "s3-bucket-loader resume a --home '/my home'");
    }

    #[test]
    fn a_folder_without_reports_has_none() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!RunPlace::new(folder.path()).as_it_is().has_files());
        std::fs::write(folder.path().join("report.html"), "").unwrap();
        assert!(RunPlace::new(folder.path()).as_it_is().has_files());
    }
}
