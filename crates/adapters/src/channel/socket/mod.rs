//! A channel over a Unix socket: its queues are memory of the master's process, its workers other processes of the machine.
//!
//! `door` is the file by which they meet, `frame` what is said, `server` the master's side, `link` and `end` a worker's.
//! It needs no broker, and ends with its master: what was on its queues is lost then, and sent again by the next master
//! of the run. What a worker holds comes back the moment that its connection ends, not only when the lease does.

mod door;
mod end;
mod frame;
mod link;
mod server;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use s3bl_core::id::{RunId, WorkerId};
use s3bl_port::channel::{Channel, ChannelError, ChannelErrorKind, MasterEnd, WorkerEnd};
use tokio::sync::Mutex;

use self::door::{Door, Hold, Owner};
use self::link::{Dial, Link};
use self::server::Server;
use super::inproc::InprocChannel;

/// A channel over a Unix socket.
#[derive(Debug)]
pub struct SocketChannel {
    door: Door,
    lease: Duration,
    led: Mutex<Option<Led>>,
}

/// A channel that this process leads.
#[derive(Debug)]
struct Led {
    run: RunId,
    queues: Arc<InprocChannel>,
    /// Answers as long as it exists.
    _server: Server,
    hold: Hold,
}

impl SocketChannel {
    /// Names a channel by the path of its socket; a delivery is leased for `lease` there.
    ///
    /// # Errors
    ///
    /// [`ChannelErrorKind::Invalid`] if the path names no file in a folder that exists.
    pub fn new(path: PathBuf, lease: Duration) -> Result<Self, ChannelError> {
        Ok(Self { door: Door::new(path)?, lease, led: Mutex::default() })
    }
}

#[async_trait]
impl Channel for SocketChannel {
    /// What a master left that was killed is taken over, by whatever run: no message outlived it.
    async fn lead(&self, run: &RunId) -> Result<MasterEnd, ChannelError> {
        let mut led = self.led.lock().await;
        if let Some(led) = led.as_ref() {
            return led.queues.lead(run).await;
        }
        let hold = self.door.hold(run)?;
        let listener = self.door.listen(&hold)?;
        let queues = Arc::new(InprocChannel::new(self.lease));
        let end = queues.lead(run).await?;
        let server = Server::start(listener, Arc::clone(&queues));
        *led = Some(Led { run: run.clone(), queues, _server: server, hold });
        Ok(end)
    }

    async fn join(&self, worker: &WorkerId) -> Result<Option<WorkerEnd>, ChannelError> {
        match Link::dial(&self.door, worker).await {
            Ok(Dial::Joined(link)) => Ok(Some(end::of_worker(link))),
            Ok(Dial::NobodyThere) => Ok(None),
            Err(fault) => Err(ChannelError {
                kind: fault.kind(),
                message: format!("reach the master at the socket {}", self.door),
                source: Some(fault.into()),
            }),
        }
    }

    async fn owner(&self) -> Result<Option<RunId>, ChannelError> {
        match self.door.owner()? {
            Owner::Nobody => Ok(None),
            Owner::Alive(run) | Owner::Gone(run) => Ok(Some(run)),
        }
    }

    /// Fails with [`ChannelErrorKind::Occupied`] if another process leads the run: the channel ends with that.
    async fn remove(&self, run: &RunId) -> Result<Vec<String>, ChannelError> {
        let mut slot = self.led.lock().await;
        let hold = match slot.take_if(|led| led.run == *run) {
            Some(Led { hold, .. }) => hold,
            None => match self.door.owner()? {
                Owner::Gone(left) if left == *run => self.door.hold(run)?,
                Owner::Alive(leading) if leading == *run && slot.is_none() => {
                    return Err(ChannelError {
                        kind: ChannelErrorKind::Occupied,
                        message: format!("the master of run {run} still listens at {}", self.door),
                        source: None,
                    });
                }
                Owner::Nobody | Owner::Alive(_) | Owner::Gone(_) => return Ok(Vec::new()),
            },
        };
        self.door.remove(hold)?;
        Ok(vec![self.door.to_string()])
    }
}
