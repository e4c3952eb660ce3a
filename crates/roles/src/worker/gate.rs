//! What has to be done once before the first object is checked.

use std::fmt;
use std::sync::Arc;

use s3bl_core::task::Failure;
use tokio::sync::OnceCell;

type Work = dyn Fn() -> Result<(), Failure> + Send + Sync;

/// A gate before the pass VALIDATE, which all lanes of all workers in a process pass together.
#[derive(Default)]
pub struct Gate {
    work: Option<Arc<Work>>,
    done: OnceCell<Result<(), Failure>>,
}

impl Gate {
    /// A gate that nobody waits at.
    pub fn open() -> Arc<Self> {
        Arc::default()
    }

    /// A gate that opens when `work` is done, which may block. What it fails with, the run fails with.
    pub fn after(work: impl Fn() -> Result<(), Failure> + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { work: Some(Arc::new(work)), done: OnceCell::new() })
    }

    /// Waits until the work is done, by whoever came first.
    pub(super) async fn pass(&self) -> Result<(), Failure> {
        let Some(work) = &self.work else { return Ok(()) };
        let done = self.done.get_or_init(|| async {
            let work = Arc::clone(work);
            match tokio::task::spawn_blocking(move || work()).await {
                Ok(done) => done,
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            }
        });
        done.await.clone()
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Gate").field("done", &self.done).finish_non_exhaustive()
    }
}
