//! A control channel within one process.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use s3bl_port::control::{MasterControl, WorkerControl};
use s3bl_port::queue::QueueError;
use tokio::sync::{Mutex, mpsc, watch};
use tokio::time::timeout;

/// Reports that may wait for the master. A worker whose report finds no room waits with it.
const REPORTS_MAX: usize = 256;

/// The master's end.
#[derive(Debug)]
pub struct InprocMaster {
    document: watch::Sender<Bytes>,
    reports: Mutex<mpsc::Receiver<Bytes>>,
    report_sender: mpsc::Sender<Bytes>,
}

/// A worker's end.
#[derive(Debug)]
pub struct InprocWorker {
    document: Mutex<watch::Receiver<Bytes>>,
    reports: mpsc::Sender<Bytes>,
}

impl Default for InprocMaster {
    fn default() -> Self {
        let (report_sender, reports) = mpsc::channel(REPORTS_MAX);
        Self { document: watch::Sender::default(), reports: Mutex::new(reports), report_sender }
    }
}

impl InprocMaster {
    /// Makes the end of one more worker.
    pub fn join(&self) -> InprocWorker {
        let mut document = self.document.subscribe();
        // What was published before the worker came is news to it.
        document.mark_changed();
        InprocWorker { document: Mutex::new(document), reports: self.report_sender.clone() }
    }
}

#[async_trait]
impl MasterControl for InprocMaster {
    async fn publish(&self, document: Bytes) -> Result<(), QueueError> {
        self.document.send_replace(document);
        Ok(())
    }

    async fn receive(&self, wait: Duration) -> Result<Vec<Bytes>, QueueError> {
        let mut receiver = self.reports.lock().await;
        let mut reports = Vec::new();
        // A timeout means that nobody spoke, which is an answer and no error.
        let _ = timeout(wait, receiver.recv_many(&mut reports, REPORTS_MAX)).await;
        Ok(reports)
    }

    fn requests(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }
}

#[async_trait]
impl WorkerControl for InprocWorker {
    async fn report(&self, report: Bytes) -> Result<(), QueueError> {
        // A master that is gone hears nothing; the worker notices by the documents that stop.
        let _ = self.reports.send(report).await;
        Ok(())
    }

    async fn receive(&self, wait: Duration) -> Result<Option<Bytes>, QueueError> {
        let mut document = self.document.lock().await;
        match timeout(wait, document.changed()).await {
            Ok(Ok(())) => {
                let newest = document.borrow_and_update().clone();
                Ok((!newest.is_empty()).then_some(newest))
            }
            // The master is gone: nothing comes any more, and waiting on is as good as any answer.
            Ok(Err(_)) => {
                tokio::time::sleep(wait).await;
                Ok(None)
            }
            Err(_) => Ok(None),
        }
    }

    async fn leave(&self) -> Result<(), QueueError> {
        Ok(())
    }

    fn requests(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }
}
