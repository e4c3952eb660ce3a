//! Whatever starts workers: processes of this machine, instances of a cloud.

use async_trait::async_trait;
use s3bl_core::launch::{Member, MemberId, Seat, Sighting};

/// Starts members for one run, finds them again and ends them.
///
/// Everything that it starts carries the run's name, so that it is found by whoever knows that name, also by another
/// process than the one that started it, as far as it can outlive that.
#[async_trait]
pub trait Launcher: Send + Sync {
    /// Starts a member. Asked again for the same seat it starts no second one.
    async fn launch(&self, seat: Seat) -> Result<Member, LaunchError>;

    /// Finds everything that carries the run's name, what is gone included as far as it is remembered.
    async fn look(&self) -> Result<Vec<Sighting>, LaunchError>;

    /// Tells members to go. To tell one that is gone is no error.
    async fn terminate(&self, members: &[MemberId]) -> Result<(), LaunchError>;
}

/// Why a launcher does not do what it is told.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct LaunchError {
    /// What was tried, on what, and what is wrong; with the parameter or the permission that it is about.
    pub message: String,
    /// Whether another try may have more luck: no capacity just now, too many requests, no reply.
    pub may_pass: bool,
    /// What the system said.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}
