//! The loop: what happened goes into the machine, what it says is done, in the order in which it says it.
//!
//! Long because one value owns all that the loop touches, and its methods are the answers to what the machine says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use s3bl_core::cause::with_causes;
use s3bl_core::id::{TaskId, WorkerId};
use s3bl_core::ledger::{FindingPhase, Reconciliation, Record, Recovered, RunHeader, WorkerTally};
use s3bl_core::master::{Effect, Ending, Event, Master, MasterSettings, Phase};
use s3bl_core::task::{Class, Failure};
use s3bl_core::wire::{ResultBody, ResultMessage, WireFinding, WorkerReport, encode};
use s3bl_port::control::MasterControl;
use s3bl_port::ledger::{Ledger, LedgerError, PlannedSet};
use s3bl_port::queue::{Queue, Receipt};
use s3bl_port::source::{CrawlPlan, Source};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::sleep_until;

use super::crawl::{self, CrawlMessage, CrawlSwitches};
use super::keeper::{Gone, Keeper};
use super::pump::{self, Incoming};
use super::trouble::{Door, Patience, Troubles};
use crate::clock::Clock;
use crate::launch::{CrewDoor, Expectation, Sign};
use crate::view::{Base, RunView};

mod dispatch;

/// The doors that a master needs.
pub struct MasterDoors {
    /// Where the files are.
    pub source: Arc<dyn Source>,
    /// The batches, towards the workers.
    pub tasks: Arc<dyn Queue>,
    /// The results, from the workers.
    pub results: Arc<dyn Queue>,
    /// The run document and the reports.
    pub control: Arc<dyn MasterControl>,
    /// The ledger, with its header written.
    pub ledger: Box<dyn Ledger>,
    /// Whoever launches the workers, if anybody does.
    pub crew: Option<CrewDoor>,
}

/// A master that leads one run.
pub struct MasterRole {
    doors: MasterDoors,
    settings: MasterSettings,
    crawl_threads: usize,
    view: Arc<RunView>,
}

/// What is left when a run is over.
pub struct MasterOutcome {
    /// How it ended.
    pub ending: Ending,
    /// Whether its sums hold.
    pub reconciliation: Reconciliation,
    /// What each worker did.
    pub workers: Vec<(WorkerId, WorkerTally)>,
    /// Requests to queues and topics: this master's by kind, and as `workers` the sum of theirs.
    pub channel: BTreeMap<String, u64>,
    /// The ledger.
    pub ledger: Box<dyn Ledger>,
}

/// Why a master cannot go on. What it did so far is in its ledger.
#[derive(Debug, thiserror::Error)]
pub enum MasterError {
    /// The ledger cannot be read or written.
    #[error("the run stops, because it cannot keep its ledger")]
    Ledger(#[from] LedgerError),
    /// The system gave no thread.
    #[error("the system gives no thread for the {what}")]
    Thread {
        /// What the thread was for.
        what: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl MasterRole {
    /// Makes a master of the run that the ledger holds.
    pub fn new(
        doors: MasterDoors,
        settings: MasterSettings,
        crawl_threads: usize,
        view: Arc<RunView>,
    ) -> Self {
        Self { doors, settings, crawl_threads, view }
    }

    /// Leads the run to its end. `interrupts` says each time that a person asks it to stop.
    pub async fn run(
        self,
        interrupts: &mut mpsc::Receiver<()>,
    ) -> Result<MasterOutcome, MasterError> {
        let Self { doors, settings, crawl_threads, view } = self;
        let MasterDoors { source, tasks, results, control, mut ledger, crew } = doors;
        let header = ledger.header()?;
        let (recovered, planned) = recover(ledger.as_mut())?;
        let base = Base { write: recovered.write.clone(), validate: recovered.validate.clone() };
        let keeper = Keeper::start(ledger)
            .map_err(|source| MasterError::Thread { what: "ledger", source })?;
        let troubles: Arc<Troubles> = Arc::default();
        let (heard, worker_wait) = (Arc::clone(&troubles), settings.worker_wait);
        let (pumps, mut incoming) =
            pump::start(Arc::clone(&control), Arc::clone(&results), heard, worker_wait);
        let patience = Patience::new(worker_wait);
        let machine = Master::new(header.run.clone(), header.settings.clone(), settings, recovered);
        let mut driver = Driver {
            header,
            clock: Clock::start(),
            machine,
            source,
            tasks,
            results,
            control,
            troubles,
            patience,
            keeper,
            crawl_threads,
            crawl: None,
            planned,
            switches: Arc::default(),
            view,
            base,
            receipts: BTreeMap::new(),
            last_receipt: 0,
            errands: JoinSet::new(),
            crew,
            ending: None,
        };
        let ended = driver.drive(&mut incoming, interrupts).await;
        driver.finish_errands().await;
        drop(pumps);
        driver.switches.is_stopped.store(true, Ordering::Relaxed);
        driver.crawl = None;
        let channel = driver.channel_requests();
        let ledger = driver.keeper.close().await?;
        let ending = ended?;
        Ok(MasterOutcome {
            ending,
            channel,
            reconciliation: driver.machine.reconciliation(),
            workers: driver
                .machine
                .worker_tallies()
                .iter()
                .map(|(id, t)| (id.clone(), *t))
                .collect(),
            ledger,
        })
    }
}

/// Reads how far the run was. A crawl that never came to its end starts over.
fn recover(
    ledger: &mut dyn Ledger,
) -> Result<(Recovered, Option<Box<dyn PlannedSet>>), LedgerError> {
    let recovered = ledger.recover()?;
    if recovered.toc.is_some() || recovered.epoch == 0 {
        return Ok((recovered, None));
    }
    ledger.append(&[Record::CrawlRestarted])?;
    let planned = ledger.already_planned()?;
    Ok((ledger.recover()?, Some(planned)))
}

struct Driver {
    header: RunHeader,
    clock: Clock,
    machine: Master,
    source: Arc<dyn Source>,
    tasks: Arc<dyn Queue>,
    results: Arc<dyn Queue>,
    control: Arc<dyn MasterControl>,
    troubles: Arc<Troubles>,
    patience: Patience,
    keeper: Keeper,
    crawl_threads: usize,
    crawl: Option<mpsc::Receiver<CrawlMessage>>,
    /// What earlier crawls planned, until the next one takes it.
    planned: Option<Box<dyn PlannedSet>>,
    switches: Arc<CrawlSwitches>,
    view: Arc<RunView>,
    base: Base,
    receipts: BTreeMap<u64, Receipt>,
    last_receipt: u64,
    /// What is being said to the queues, while the loop goes on.
    errands: JoinSet<Errand>,
    crew: Option<CrewDoor>,
    ending: Option<Ending>,
}

/// What became of something that was said to a queue.
enum Errand {
    /// The queue refused a batch.
    NotSent(TaskId),
    /// Nothing that changes anything.
    Done,
}

/// Errands under way at which the loop waits for one to end.
const ERRANDS_MAX: usize = 64;
/// Pause before a batch is sent again that the queue refused.
const PAUSE: Duration = Duration::from_secs(1);
/// How long the end waits for what is being said.
const LAST_ERRANDS: Duration = Duration::from_secs(10);

impl Driver {
    async fn drive(
        &mut self,
        incoming: &mut mpsc::Receiver<Incoming>,
        interrupts: &mut mpsc::Receiver<()>,
    ) -> Result<Ending, MasterError> {
        self.feed(Event::Begin);
        loop {
            self.act().await?;
            if let Some(ending) = self.ending.take() {
                return Ok(self.patience.explain(ending, &self.troubles));
            }
            if let Some(event) = self.patience.is_over(&self.troubles) {
                self.feed(event);
            }
            let event = self.next_event(incoming, interrupts).await?;
            self.feed(event);
        }
    }

    fn feed(&mut self, event: Event) {
        if let (Event::Reported(report), Some(crew)) = (&event, &self.crew) {
            tell(crew, Sign::Heard(report.worker.clone()));
        }
        let phase = self.machine.standing().phase;
        self.machine.handle(self.clock.now(), event);
        let standing = self.machine.standing();
        if standing.phase != phase {
            tracing::info!(phase = standing.phase.as_str(), "the run enters a phase");
            if let (Phase::Shutdown, Some(crew)) = (standing.phase, &self.crew) {
                tell(crew, Sign::Closing);
            }
        }
        self.view.update(&standing, &self.base);
        let hunger = i64::try_from(self.machine.hunger()).unwrap_or(i64::MAX);
        self.switches.hunger.store(hunger, Ordering::Relaxed);
    }

    async fn next_event(
        &mut self,
        incoming: &mut mpsc::Receiver<Incoming>,
        interrupts: &mut mpsc::Receiver<()>,
    ) -> Result<Event, MasterError> {
        let due = self.machine.poll_timeout().map(|(due, _)| self.clock.instant_of(due));
        let due = due.unwrap_or_else(tokio::time::Instant::now);
        let has_room = self.machine.has_room();
        let event = tokio::select! {
            biased;
            Some(()) = interrupts.recv() => Event::Interrupted,
            durable = self.keeper.durable() => match durable {
                Ok(through) => Event::Durable { through },
                Err(Gone) => return Err(self.ledger_gone()),
            },
            Some(incoming) = incoming.recv() => match incoming {
                Incoming::Report(report) => {
                    self.note_farewell(&report);
                    Event::Reported(report)
                }
                Incoming::Result { message, receipt } => self.delivered(*message, receipt).await?,
            },
            Some(errand) = self.errands.join_next() => event_of(errand),
            expectation = next_expectation(&mut self.crew) => Event::Expect {
                workers: usize::try_from(expectation.workers).unwrap_or(usize::MAX),
                trouble: expectation.trouble,
            },
            message = next_crawl_message(&mut self.crawl), if has_room => self.crawled(message),
            () = sleep_until(due) => Event::TimedOut,
        };
        Ok(event)
    }

    /// Passes on why a worker leaves before the run is over: others do its work.
    fn note_farewell(&self, report: &WorkerReport) {
        if let Some(why) = report.farewell.as_deref().filter(|_| report.run == self.header.run) {
            tracing::warn!(worker = report.worker.as_str(), why, "a worker leaves");
        }
    }

    /// The keeper's thread ended; [`Keeper::close`] has the reason, so this one is never shown.
    fn ledger_gone(&self) -> MasterError {
        MasterError::Ledger(LedgerError::Damaged {
            what: "the ledger's thread has ended".to_owned(),
        })
    }

    fn crawled(&mut self, message: Option<CrawlMessage>) -> Event {
        match message {
            Some(CrawlMessage::Batch(planned)) => Event::Crawled(planned),
            Some(CrawlMessage::Finding(finding)) => Event::WalkFound(finding),
            Some(CrawlMessage::Ended(ended)) => {
                self.crawl = None;
                match ended {
                    Ok(totals) => Event::CrawlEnded(totals),
                    Err(failure) => Event::CrawlFailed(failure),
                }
            }
            None => {
                self.crawl = None;
                let message = "the walk broke down before its end; see the log";
                Event::CrawlFailed(Failure::new(Class::WorkerFault, message, 1))
            }
        }
    }

    async fn delivered(
        &mut self,
        message: ResultMessage,
        receipt: Receipt,
    ) -> Result<Event, MasterError> {
        self.last_receipt += 1;
        let number = self.last_receipt;
        self.receipts.insert(number, receipt);
        let ResultMessage { run, task, attempt, worker, body } = message;
        if run != self.header.run {
            tracing::warn!(%run, "a result of another run is refused");
            self.acknowledge(number).await;
            return Ok(Event::TimedOut);
        }
        let body = self.without_dead_upload(body).await?;
        let (wire_findings, phase): (&[WireFinding], _) = match &body {
            ResultBody::Written { findings, .. } => (findings, FindingPhase::Write),
            ResultBody::Validated { findings, .. } => (findings, FindingPhase::Validate),
            ResultBody::UploadBegun(_)
            | ResultBody::UploadEnded(_)
            | ResultBody::Unable { .. }
            | ResultBody::UploadPlanned(_)
            | ResultBody::PartsStored { .. } => (&[], FindingPhase::Write),
        };
        // A batch that nobody waits for may be void: the ledger does not have it any more.
        let batch = self.machine.batch_of(task).filter(|_| self.machine.awaits(task));
        let findings = match batch {
            Some(batch) => self.name_findings(batch, wire_findings).await?,
            None => Vec::new(),
        };
        for finding in &findings {
            tracing::debug!(
                phase = phase.as_str(),
                class = finding.failure.class.as_str(),
                path = %finding.path,
                message = finding.failure.message,
                "an entry did not come out well"
            );
        }
        let body = Box::new(body);
        Ok(Event::Delivered { task, attempt, worker, body, receipt: number, findings })
    }

    /// The plan of an upload may come late, to a later master: when an earlier one had ended it already, because the run
    /// stopped. Its parts would be sent for nothing.
    async fn without_dead_upload(&self, body: ResultBody) -> Result<ResultBody, MasterError> {
        let ResultBody::UploadPlanned(plan) = body else {
            return Ok(body);
        };
        let mark = plan.mark.clone();
        if self.read(move |ledger| ledger.has_ended(&mark)).await? {
            return Ok(ResultBody::UploadEnded(plan.mark));
        }
        Ok(ResultBody::UploadPlanned(plan))
    }

    /// Does everything that the machine says.
    async fn act(&mut self) -> Result<(), MasterError> {
        while let Some(effect) = self.machine.poll_effect() {
            match effect {
                Effect::Publish(document) => {
                    match self.control.publish(encode(document.as_ref())).await {
                        Ok(()) => self.troubles.is_well(Door::Control),
                        Err(error) => {
                            self.troubles.note(Door::Control, &error);
                            tracing::warn!(
                                error = with_causes(&error),
                                "the run document cannot be published; it is said again"
                            );
                        }
                    }
                }
                Effect::StartCrawl => self.start_crawl()?,
                Effect::StopCrawl => self.switches.is_stopped.store(true, Ordering::Relaxed),
                Effect::Append { number, record } => {
                    if self.keeper.append(number, record).await.is_err() {
                        return Err(self.ledger_gone());
                    }
                }
                Effect::Send { pass, task, attempt } => {
                    self.send_batch(pass, task, attempt).await?;
                }
                Effect::SendStep { task, attempt, batch, plan, range } => {
                    self.send_step((task, attempt), batch, plan, range).await?;
                }
                Effect::Acknowledge { receipt } => self.acknowledge(receipt).await,
                Effect::PurgeTasks => {
                    self.finish_errands().await;
                    if let Err(error) = self.tasks.purge().await {
                        tracing::warn!(
                            error = with_causes(&error),
                            "waiting batches cannot be withdrawn"
                        );
                    }
                }
                Effect::End(ending) => self.ending = Some(ending),
            }
        }
        Ok(())
    }

    async fn acknowledge(&mut self, number: u64) {
        let Some(receipt) = self.receipts.remove(&number) else {
            return;
        };
        self.make_room().await;
        let results = Arc::clone(&self.results);
        self.errands.spawn(async move {
            if let Err(error) = results.acknowledge(&receipt).await {
                tracing::warn!(%error, "a result cannot be acknowledged; it comes again and is not counted");
            }
            Errand::Done
        });
    }

    fn channel_requests(&self) -> BTreeMap<String, u64> {
        let mut sums = BTreeMap::new();
        let all = [self.tasks.requests(), self.results.requests(), self.control.requests()];
        for (kind, count) in all.into_iter().flatten().filter(|(_, count)| *count > 0) {
            *sums.entry(kind.to_owned()).or_default() += count;
        }
        let members = self.machine.standing().fleet.members();
        let workers = members.map(|(_, member)| member.progress.channel_requests).sum();
        if workers > 0 {
            sums.insert("workers".to_owned(), workers);
        }
        sums
    }

    async fn make_room(&mut self) {
        while self.errands.len() >= ERRANDS_MAX
            && let Some(errand) = self.errands.join_next().await
        {
            let event = event_of(errand);
            self.feed(event);
        }
    }

    /// Waits until the queues have heard what was said to them, within bounds.
    async fn finish_errands(&mut self) {
        let deadline = tokio::time::Instant::now() + LAST_ERRANDS;
        while let Ok(Some(errand)) =
            tokio::time::timeout_at(deadline, self.errands.join_next()).await
        {
            let event = event_of(errand);
            self.feed(event);
        }
    }

    fn start_crawl(&mut self) -> Result<(), MasterError> {
        let plan = CrawlPlan {
            selection: self.header.settings.select.clone(),
            batch: self.header.settings.batch,
            threads: self.crawl_threads,
        };
        let source = Arc::clone(&self.source);
        let switches = Arc::clone(&self.switches);
        let view = Arc::clone(&self.view);
        let messages = crawl::start(source, plan, switches, view, self.planned.take())
            .map_err(|source| MasterError::Thread { what: "crawl", source })?;
        self.crawl = Some(messages);
        Ok(())
    }
}

fn event_of(errand: Result<Errand, JoinError>) -> Event {
    match errand {
        Ok(Errand::NotSent(task)) => Event::NotSent { task },
        Ok(Errand::Done) => Event::TimedOut,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Event::TimedOut,
    }
}

/// Tells whoever launches the workers; one that is gone need not hear.
fn tell(crew: &CrewDoor, sign: Sign) {
    let _ = crew.signs.send(sign);
}

async fn next_expectation(crew: &mut Option<CrewDoor>) -> Expectation {
    let expectation = match crew {
        Some(crew) => crew.expectations.recv().await,
        None => None,
    };
    match expectation {
        Some(expectation) => expectation,
        None => std::future::pending().await,
    }
}

async fn next_crawl_message(
    crawl: &mut Option<mpsc::Receiver<CrawlMessage>>,
) -> Option<CrawlMessage> {
    match crawl {
        Some(messages) => messages.recv().await,
        None => std::future::pending().await,
    }
}
