//! The thread that shows a run.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use s3bl_core::master::Phase;
use s3bl_core::unit::Rate;
use s3bl_roles::view::RunView;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::line::line;
use super::meter::{Meter, Sight};
use super::screen::Screen;

/// Between two looks at the run.
const LOOK_EVERY: Duration = Duration::from_millis(125);
/// Between two lines of the same phase.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// How long a terminal that takes no more text (Ctrl-S) may hold up the end of a run.
const FAREWELL_MAX: Duration = Duration::from_secs(2);

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProgressStyle {
    /// A block that is redrawn in place, on a terminal.
    Live,
    /// A line at each change of phase and every ten seconds.
    Lines,
    /// Not at all.
    Silent,
}

impl ProgressStyle {
    /// Chooses by what was asked for and by where stderr goes.
    pub fn detect(is_quiet: bool, is_unwanted: bool, is_stderr_terminal: bool) -> Self {
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self::choose(is_quiet, is_unwanted, is_stderr_terminal && !is_dumb)
    }

    pub(super) fn choose(is_quiet: bool, is_unwanted: bool, is_redrawable: bool) -> Self {
        match (is_quiet || is_unwanted, is_redrawable) {
            (true, _) => Self::Silent,
            (false, true) => Self::Live,
            (false, false) => Self::Lines,
        }
    }
}

/// Progress that is being shown. It ends with [`Progress::finish`]; dropped, it ends as well, but nobody waits for it.
#[derive(Debug)]
pub struct Progress(Option<Shower>);

#[derive(Debug)]
struct Shower {
    /// Dropping it tells the thread to end.
    stop: mpsc::SyncSender<()>,
    ended: oneshot::Receiver<()>,
    thread: JoinHandle<()>,
}

impl Progress {
    /// Shows a run on stderr from now on.
    pub fn start(view: Arc<RunView>, style: ProgressStyle) -> Self {
        Self::start_limited(view, style, None)
    }

    /// Shows a run whose bandwidth is limited, in bytes per second, so that the limit is named when it is what holds
    /// the run up.
    pub fn start_limited(
        view: Arc<RunView>,
        style: ProgressStyle,
        bandwidth: Option<Rate>,
    ) -> Self {
        if style == ProgressStyle::Silent {
            return Self(None);
        }
        let (stop, stopped) = mpsc::sync_channel(0);
        let (ending, ended) = oneshot::channel();
        let thread = thread::Builder::new().name("progress".to_owned()).spawn(move || {
            let mut face = Face::new(style);
            let mut meter =
                Meter::new(bandwidth, thread::available_parallelism().map_or(1, usize::from));
            watch(&view, &mut meter, &mut face, &stopped);
            drop(face);
            // Nobody waits if the run's end was not waited for.
            let _ = ending.send(());
        });
        match thread {
            Ok(thread) => Self(Some(Shower { stop, ended, thread })),
            Err(error) => {
                tracing::warn!(%error, "progress cannot be shown");
                Self(None)
            }
        }
    }

    /// Stops and waits until the terminal is clean.
    pub async fn finish(self) {
        let Some(Shower { stop, ended, thread }) = self.0 else {
            return;
        };
        drop(stop);
        if timeout(FAREWELL_MAX, ended).await.is_err() {
            tracing::debug!("the terminal takes no text: progress is left behind");
            return;
        }
        if thread.join().is_err() {
            tracing::warn!("the thread that shows progress broke down");
        }
    }
}

/// Looks and shows until told to stop.
fn watch(view: &RunView, meter: &mut Meter, face: &mut Face, stopped: &mpsc::Receiver<()>) {
    let start = Instant::now();
    loop {
        let now = start.elapsed();
        face.show(now, &meter.look(now, cpu_time(), view.snapshot()));
        match stopped.recv_timeout(LOOK_EVERY) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// What this process has used of all processors.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = Duration::from_secs(u64::try_from(time.tv_sec).unwrap_or(0));
    seconds + Duration::from_nanos(u64::try_from(time.tv_nsec).unwrap_or(0))
}

enum Face {
    Live(Screen),
    Lines(Lines<io::Stderr>),
}

impl Face {
    fn new(style: ProgressStyle) -> Self {
        match style {
            ProgressStyle::Live => Self::Live(Screen::stderr()),
            ProgressStyle::Lines | ProgressStyle::Silent => Self::Lines(Lines::new(io::stderr())),
        }
    }

    fn show(&mut self, now: Duration, sight: &Sight) {
        match self {
            Self::Live(screen) => screen.show(sight),
            Self::Lines(lines) => lines.show(now, sight),
        }
    }
}

/// Lines at each change of phase and every ten seconds.
pub(super) struct Lines<W> {
    out: W,
    phase: Option<Phase>,
    last: Duration,
}

impl<W: Write> Lines<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out, phase: None, last: Duration::ZERO }
    }

    /// Writes a line if it is time.
    pub(super) fn show(&mut self, now: Duration, sight: &Sight) {
        let phase = sight.snapshot.phase;
        if phase == self.phase && now.saturating_sub(self.last) < LINE_EVERY {
            return;
        }
        (self.phase, self.last) = (phase, now);
        // Whoever closed stderr does not listen; the run goes on.
        let _ = writeln!(self.out, "{}", line(sight));
    }
}
