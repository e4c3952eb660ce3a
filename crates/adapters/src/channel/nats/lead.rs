//! Taking a channel, joining it, and clearing it away.

use std::sync::Arc;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::stream::Config;
use async_trait::async_trait;
use s3bl_core::id::{RunId, WorkerId};
use s3bl_port::channel::{Channel, ChannelError, ChannelErrorKind, MasterEnd, WorkerEnd};

use super::control::{NatsMaster, NatsWorker};
use super::link::Link;
use super::open;
use super::queue::NatsQueue;
use super::settings::NatsSettings;
use super::stream::{Standing, Stream, Streams};
use crate::channel::name;

/// A channel over one NATS server or cluster.
pub struct NatsChannel {
    link: Link,
    streams: Streams,
    settings: NatsSettings,
}

impl NatsChannel {
    /// Connects to the broker. Nothing is made there yet.
    ///
    /// # Errors
    ///
    /// The settings are not possible, nobody answers, or the credentials are refused.
    pub async fn connect(settings: NatsSettings) -> Result<Self, ChannelError> {
        name::check(&settings.channel)?;
        let link = open::open(&settings).await?;
        Ok(Self { link, streams: Streams::of(&settings.channel), settings })
    }

    async fn standing(&self, stream: &Stream) -> Result<Standing, ChannelError> {
        let standing = stream.standing(&self.link).await;
        standing
            .map_err(|fault| self.link.refuse(&format!("look at stream `{}`", stream.name), fault))
    }

    /// Fails unless `run` may have a stream of this standing.
    fn admit(&self, run: &RunId, stream: &Stream, standing: &Standing) -> Result<(), ChannelError> {
        let owner = match standing {
            Standing::Absent => return Ok(()),
            Standing::Of(owner) if owner == run => return Ok(()),
            Standing::Of(owner) => owner,
            Standing::Foreign => return Err(self.foreign(stream)),
        };
        let channel = &self.settings.channel;
        let message = format!(
            "channel `{channel}` belongs to run `{owner}`: wait for its end, choose another channel, or, if that run is gone, remove what it left by `s3-bucket-loader cleanup --channel {channel}`"
        );
        Err(ChannelError { kind: ChannelErrorKind::Occupied, message, source: None })
    }

    fn foreign(&self, stream: &Stream) -> ChannelError {
        let message = format!(
            "channel `{}` cannot be used, because stream `{}` was made by somebody else: choose another channel",
            self.settings.channel, stream.name
        );
        ChannelError { kind: ChannelErrorKind::Occupied, message, source: None }
    }

    async fn take(&self, run: &RunId, stream: &Stream, config: Config) -> Result<(), ChannelError> {
        let standing = stream.make(&self.link, &config).await;
        let standing = standing
            .map_err(|fault| self.link.refuse(&format!("make stream `{}`", stream.name), fault))?;
        self.admit(run, stream, &standing)
    }

    /// Takes a queue's stream if it is not there yet, and its consumer in any case: the lease may have changed.
    async fn take_queue(
        &self,
        run: &RunId,
        stream: &Stream,
        standing: &Standing,
    ) -> Result<Arc<NatsQueue>, ChannelError> {
        if *standing == Standing::Absent {
            self.take(run, stream, stream.queue_config(run, &self.settings)).await?;
        }
        let consumer = stream.make_consumer(&self.link, self.settings.lease).await;
        let consumer = consumer.map_err(|fault| {
            self.link.refuse(&format!("make the consumer of stream `{}`", stream.name), fault)
        })?;
        Ok(Arc::new(NatsQueue::new(self.link.clone(), stream.clone(), consumer)))
    }

    /// A queue as a worker finds it; `None` if it is being removed.
    async fn find_queue(&self, stream: &Stream) -> Result<Option<Arc<NatsQueue>>, ChannelError> {
        match stream.consumer(&self.link).await {
            Ok(consumer) => {
                Ok(Some(Arc::new(NatsQueue::new(self.link.clone(), stream.clone(), consumer))))
            }
            Err(fault)
                if fault.code() == Some(ErrorCode::STREAM_NOT_FOUND)
                    || fault.code() == Some(ErrorCode::CONSUMER_NOT_FOUND) =>
            {
                Ok(None)
            }
            Err(fault) => {
                let tried = format!("find the consumer of stream `{}`", stream.name);
                Err(self.link.refuse(&tried, fault))
            }
        }
    }
}

#[async_trait]
impl Channel for NatsChannel {
    async fn lead(&self, run: &RunId) -> Result<MasterEnd, ChannelError> {
        let Streams { toc, results, control, .. } = &self.streams;
        let mut standings = Vec::new();
        for stream in self.streams.in_order() {
            let standing = self.standing(stream).await?;
            self.admit(run, stream, &standing)?;
            standings.push(standing);
        }
        let listening = NatsMaster::listen(&self.link, &self.streams).await;
        let master = listening.map_err(|fault| self.link.refuse("listen for reports", fault))?;
        let tasks = self.take_queue(run, toc, &standings[0]).await?;
        let result_queue = self.take_queue(run, results, &standings[1]).await?;
        if standings[2] == Standing::Absent {
            self.take(run, control, control.newest_config(run, &self.settings)).await?;
        }
        Ok(MasterEnd { tasks, results: result_queue, control: Arc::new(master) })
    }

    async fn join(&self, _worker: &WorkerId) -> Result<Option<WorkerEnd>, ChannelError> {
        let Streams { toc, results, control, .. } = &self.streams;
        // It is made last and removed first.
        match self.standing(control).await? {
            Standing::Of(_) => {}
            Standing::Absent => return Ok(None),
            Standing::Foreign => return Err(self.foreign(control)),
        }
        let (Some(tasks), Some(results)) =
            (self.find_queue(toc).await?, self.find_queue(results).await?)
        else {
            return Ok(None);
        };
        let listening = NatsWorker::listen(&self.link, &self.streams).await;
        let worker = listening.map_err(|fault| self.link.refuse("listen for documents", fault))?;
        Ok(Some(WorkerEnd { tasks, results, control: Arc::new(worker) }))
    }

    async fn owner(&self) -> Result<Option<RunId>, ChannelError> {
        for stream in self.streams.in_order() {
            if let Standing::Of(run) = self.standing(stream).await? {
                return Ok(Some(run));
            }
        }
        Ok(None)
    }

    async fn remove(&self, run: &RunId) -> Result<Vec<String>, ChannelError> {
        let mut removed = Vec::new();
        for stream in self.streams.in_order().into_iter().rev() {
            if self.standing(stream).await? != Standing::Of(run.clone()) {
                continue;
            }
            let deleted = stream.delete(&self.link).await;
            let was_there = deleted.map_err(|fault| {
                self.link.refuse(&format!("remove stream `{}`", stream.name), fault)
            })?;
            if was_there {
                removed.push(stream.name.clone());
            }
        }
        Ok(removed)
    }
}
