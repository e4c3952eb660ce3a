//! The log: everything into the run's folder, warnings to the conversation.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer as _;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry, fmt};

use crate::args::LogFormat;
use crate::face;

/// The protocol of the server within this program logs each refusal, an ordinary 404 too, as an error.
const EMBEDDED_SERVER_OFF: &str = "s3s=off";

/// The credential chain warns of each place where it finds nothing, and tells the access key that it finds in a profile; what
/// it comes to is said by the error.
const CREDENTIALS_QUIET: &str = "aws_config=error";

/// To whoever asks for everything it tells the access key of each call.
const KEY_IDS_OFF: &str = "aws_smithy_runtime::client::orchestrator::endpoints=info";

/// The file that a log goes to, once the run has a folder.
#[derive(Debug, Clone, Default)]
pub(crate) struct RunLog(Arc<Mutex<Place>>);

#[derive(Debug, Default)]
struct Place {
    file: Option<File>,
    folder: Option<PathBuf>,
}

impl RunLog {
    /// Starts the log. `S3BL_LOG` sets what goes to stderr (`debug`, `s3bl_roles=debug`, ...; default warnings).
    pub(crate) fn start(format: LogFormat, is_quiet: bool) -> Self {
        let log = Self::default();
        let default = if is_quiet { LevelFilter::ERROR } else { LevelFilter::WARN };
        let filter = EnvFilter::builder()
            .with_default_directive(default.into())
            .with_env_var("S3BL_LOG")
            .from_env_lossy()
            .add_directive(CREDENTIALS_QUIET.parse().expect("the directive is well formed"))
            .add_directive(KEY_IDS_OFF.parse().expect("the directive is well formed"))
            .add_directive(EMBEDDED_SERVER_OFF.parse().expect("the directive is well formed"));
        let stderr: Box<dyn tracing_subscriber::Layer<Registry> + Send + Sync> = match format {
            LogFormat::Json => Box::new(
                fmt::layer().json().with_writer(face::progress::stderr).with_filter(filter),
            ),
            LogFormat::Text => Box::new(
                fmt::layer()
                    .with_writer(face::progress::stderr)
                    .with_target(false)
                    .with_ansi(false)
                    .without_time()
                    .with_filter(filter),
            ),
        };
        let file = fmt::layer()
            .json()
            .with_writer(log.clone())
            .with_filter(EnvFilter::new(format!("info,{CREDENTIALS_QUIET},{EMBEDDED_SERVER_OFF}")));
        // A second start within one process (tests) keeps the first subscriber.
        let _ = tracing_subscriber::registry().with(stderr).with(file).try_init();
        log
    }

    /// Sends the log to `log.ndjson` in a run's folder from now on.
    pub(crate) fn open(&self, folder: &Path) -> io::Result<()> {
        let file = File::options().create(true).append(true).open(folder.join("log.ndjson"))?;
        *self.place() = Place { file: Some(file), folder: Some(folder.to_owned()) };
        Ok(())
    }

    /// Sends the log to a file that belongs to no run.
    pub(crate) fn keep_in(&self, file: File) {
        *self.place() = Place { file: Some(file), folder: None };
    }

    /// The folder of the run, once it has one.
    pub(crate) fn folder(&self) -> Option<PathBuf> {
        self.place().folder.clone()
    }

    fn place(&self) -> MutexGuard<'_, Place> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'a> MakeWriter<'a> for RunLog {
    type Writer = Self;
    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Write for RunLog {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.place().file.as_mut() {
            Some(file) => file.write(bytes),
            None => Ok(bytes.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.place().file.as_mut() {
            Some(file) => file.flush(),
            None => Ok(()),
        }
    }
}
