//! The loop that launches a run's workers: what happened goes into the machine, what it says is done by a launcher.

use std::sync::Arc;

use s3bl_core::cause::with_causes;
use s3bl_core::id::WorkerId;
use s3bl_core::launch::{Effect, Event, Launch, LaunchSettings, MemberId};
use s3bl_port::launcher::Launcher;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::clock::Clock;

/// Calls of a launcher that are under way at once: services of clouds admit few of them a second.
const CALLS_MAX: usize = 4;

/// What a master tells of its workers to whoever launches them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sign {
    /// A worker spoke.
    Heard(WorkerId),
    /// The run comes to its end, and workers leave by themselves.
    Closing,
}

/// How many workers a master may expect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expectation {
    /// How many.
    pub workers: u32,
    /// Why there are not more, if it went badly.
    pub trouble: Option<String>,
}

/// A master's way to whoever launches its workers. When it is dropped the run is over.
#[derive(Debug)]
pub struct CrewDoor {
    /// What it tells.
    pub signs: mpsc::UnboundedSender<Sign>,
    /// What it hears.
    pub expectations: mpsc::UnboundedReceiver<Expectation>,
}

/// Launches the workers of one run, and sees them off.
pub struct LaunchRole {
    launcher: Arc<dyn Launcher>,
    machine: Launch,
    signs: mpsc::UnboundedReceiver<Sign>,
    expectations: mpsc::UnboundedSender<Expectation>,
    clock: Clock,
    calls: JoinSet<Event>,
    /// Effects that wait for room among the calls.
    waiting: Vec<Effect>,
    /// Whether the master is gone.
    is_alone: bool,
    left: Option<Vec<MemberId>>,
}

/// What is left when the last worker was seen off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaunchOutcome {
    /// Members that are there, or may be.
    pub left: Vec<MemberId>,
    /// Why the launcher did last not do what it was told.
    pub trouble: Option<String>,
}

impl LaunchRole {
    /// Makes the role, and the door by which a master finds it.
    pub fn new(launcher: Arc<dyn Launcher>, settings: LaunchSettings) -> (Self, CrewDoor) {
        let (tell, signs) = mpsc::unbounded_channel();
        let (expectations, heard) = mpsc::unbounded_channel();
        let role = Self {
            launcher,
            machine: Launch::new(settings),
            signs,
            expectations,
            clock: Clock::start(),
            calls: JoinSet::new(),
            waiting: Vec::new(),
            is_alone: false,
            left: None,
        };
        (role, CrewDoor { signs: tell, expectations: heard })
    }

    /// Launches until the run is over, and then ends everything.
    pub async fn run(mut self) -> LaunchOutcome {
        self.feed(Event::Begin);
        loop {
            self.start_calls();
            if let Some(left) = self.left.take() {
                let trouble = self.machine.trouble().map(str::to_owned);
                return LaunchOutcome { left, trouble };
            }
            let event = self.next_event().await;
            self.feed(event);
        }
    }

    fn feed(&mut self, event: Event) {
        // What a call came to has been told by whoever made it.
        let is_own_finding = matches!(event, Event::Looked(_) | Event::TimedOut);
        let before = self.machine.trouble().map(str::to_owned);
        self.machine.handle(self.clock.now(), event);
        let trouble = self.machine.trouble().filter(|_| is_own_finding);
        if let Some(trouble) = trouble.filter(|trouble| Some(*trouble) != before.as_deref()) {
            tracing::warn!(trouble, "a worker's member is given up");
        }
        while let Some(effect) = self.machine.poll_effect() {
            match effect {
                Effect::Expect { workers, trouble } => {
                    tracing::warn!(workers, trouble, "another number of workers can come");
                    // A master that does not listen any more expects nobody.
                    let _ = self.expectations.send(Expectation { workers, trouble });
                }
                Effect::Over { left } => self.left = Some(left),
                Effect::Look | Effect::Launch(_) | Effect::Terminate(_) => {
                    self.waiting.push(effect);
                }
            }
        }
    }

    async fn next_event(&mut self) -> Event {
        let due = self.machine.poll_timeout().map(|due| self.clock.instant_of(due));
        let wait = async {
            match due {
                Some(due) => sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(called) = self.calls.join_next() => match called {
                Ok(event) => event,
                Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                Err(_) => Event::TimedOut,
            },
            sign = self.signs.recv(), if !self.is_alone => match sign {
                Some(Sign::Heard(worker)) => Event::Heard(worker),
                Some(Sign::Closing) => Event::Closing,
                None => {
                    self.is_alone = true;
                    Event::Finish
                }
            },
            () = wait => Event::TimedOut,
        }
    }

    /// Starts as many calls as there is room for, in their order.
    fn start_calls(&mut self) {
        while self.calls.len() < CALLS_MAX && !self.waiting.is_empty() {
            let launcher = Arc::clone(&self.launcher);
            let effect = self.waiting.remove(0);
            self.calls.spawn(async move { call(launcher.as_ref(), effect).await });
        }
    }
}

async fn call(launcher: &dyn Launcher, effect: Effect) -> Event {
    match effect {
        Effect::Look => match launcher.look().await {
            Ok(sightings) => Event::Looked(sightings),
            Err(error) => {
                tracing::warn!(error = with_causes(&error), "what was launched cannot be seen");
                Event::NotLooked { trouble: with_causes(&error), may_pass: error.may_pass }
            }
        },
        Effect::Launch(seat) => {
            let begun = Instant::now();
            match launcher.launch(seat).await {
                Ok(member) => {
                    let seconds = begun.elapsed().as_secs_f64();
                    tracing::info!(%seat, member = %member.id, seconds, "a worker was launched");
                    Event::Launched { seat, member }
                }
                Err(error) => {
                    let trouble = with_causes(&error);
                    tracing::warn!(%seat, error = trouble, "a worker cannot be launched");
                    Event::NotLaunched { seat, trouble, may_pass: error.may_pass }
                }
            }
        }
        Effect::Terminate(members) => match launcher.terminate(&members).await {
            Ok(()) => {
                tracing::info!(?members, "workers' members were told to go");
                Event::Terminated(members)
            }
            Err(error) => {
                let trouble = with_causes(&error);
                tracing::warn!(?members, error = trouble, "members cannot be told to go");
                Event::NotTerminated { members, trouble, may_pass: error.may_pass }
            }
        },
        Effect::Expect { .. } | Effect::Over { .. } => Event::TimedOut,
    }
}
