//! Notices of EC2 that this spot instance is taken away: the worker on it is asked to leave in time.

use std::time::Duration;

use jiff::Timestamp;
use s3bl_adapters::instance::{InstanceError, InstanceMetadata, Interruption};
use s3bl_roles::worker::Wish;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::args::{LeavingArgs, Rebalance, SpotNotices};

/// How often notices are looked for. AWS: "We recommend that you check for these interruption notices every 5 seconds",
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html> (2026-11).
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// What is kept of the time that a notice leaves: for giving back what is not finished, last words, commands and the log.
const RESERVE: Duration = Duration::from_secs(15);
/// The most that a notice leaves: it comes two minutes before (same page). A clock that is wrong changes nothing of that.
const NOTICE_MAX: Duration = Duration::from_mins(2);

/// Looks for notices until the returned set is dropped, if there is anything to look at.
pub(crate) async fn heed(args: &LeavingArgs, wishes: watch::Sender<Wish>) -> Option<JoinSet<()>> {
    let is_told = args.instance_id.is_some() && !is_disabled();
    let metadata = match args.spot_notices {
        SpotNotices::Off => return None,
        SpotNotices::Auto if !is_told => return None,
        SpotNotices::Auto | SpotNotices::On => InstanceMetadata::open(),
    };
    let found = metadata.instance_id().await;
    if let (SpotNotices::Auto, Err(error)) = (args.spot_notices, &found) {
        tracing::info!(%error, "no notices of EC2 are looked for");
        return None;
    }
    let takes_advice = args.rebalance == Rebalance::Leave;
    let mut watch = JoinSet::new();
    watch.spawn(async move { look(&metadata, &wishes, takes_advice).await });
    Some(watch)
}

/// Whether the AWS configuration forbids to ask.
fn is_disabled() -> bool {
    std::env::var("AWS_EC2_METADATA_DISABLED").is_ok_and(|value| value.eq_ignore_ascii_case("true"))
}

/// Looks again and again, until there is a notice.
async fn look(metadata: &InstanceMetadata, wishes: &watch::Sender<Wish>, mut takes_advice: bool) {
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut is_silent = false;
    loop {
        ticks.tick().await;
        match look_once(metadata, takes_advice).await {
            Ok(Some(Notice::Interruption(notice))) => return leave(&notice, wishes),
            Ok(Some(Notice::Rebalance)) => {
                takes_advice = false;
                let why = "EC2 recommends to rebalance: this spot instance is at an elevated risk";
                tracing::warn!("{why}; this worker finishes what it holds, and leaves");
                Wish::Drain { until: None, why: why.to_owned() }.ask(wishes);
                is_silent = false;
            }
            Ok(None) => is_silent = false,
            Err(error) if !std::mem::replace(&mut is_silent, true) => {
                tracing::warn!(%error, "a notice that this spot instance is taken away may be missed");
            }
            Err(_) => {}
        }
    }
}

/// What EC2 has to say.
enum Notice {
    Interruption(Interruption),
    Rebalance,
}

async fn look_once(
    metadata: &InstanceMetadata,
    takes_advice: bool,
) -> Result<Option<Notice>, InstanceError> {
    if let Some(interruption) = metadata.interruption().await? {
        return Ok(Some(Notice::Interruption(interruption)));
    }
    let is_advised = takes_advice && metadata.is_rebalance_recommended().await?;
    Ok(is_advised.then_some(Notice::Rebalance))
}

fn leave(notice: &Interruption, wishes: &watch::Sender<Wish>) {
    let why = format!("EC2 will {} this spot instance at {}", notice.action, notice.time);
    let left = time_left(notice, Timestamp::now());
    tracing::warn!(
        "{why:?}; this worker has {} s to finish what it holds, and leaves",
        left.as_secs()
    );
    Wish::Drain { until: Some(Instant::now() + left), why }.ask(wishes);
}

/// What a notice leaves for work.
fn time_left(notice: &Interruption, now: Timestamp) -> Duration {
    // A time that cannot be read is none that could be relied on; and hibernation begins at once (same page as above).
    let time = notice.time.parse::<Timestamp>().ok().filter(|_| notice.action != "hibernate");
    let left = time.map(|time| Duration::try_from(time.duration_since(now)).unwrap_or_default());
    left.unwrap_or_default().min(NOTICE_MAX).saturating_sub(RESERVE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(action: &str, time: &str) -> u64 {
        let notice = Interruption { action: action.to_owned(), time: time.to_owned() };
        time_left(&notice, "2026-11-23T08:20:00Z".parse().unwrap()).as_secs()
    }

    #[test]
    fn the_time_for_work_ends_before_that_of_the_notice_whatever_the_clock_says() {
        assert_eq!(left("terminate", "2026-11-23T08:22:00Z"), 105);
        assert_eq!(left("stop", "2026-11-23T08:20:30Z"), 15);
        assert_eq!(left("terminate", "2026-11-23T09:22:00Z"), 105);
        assert_eq!(left("terminate", "2026-11-23T07:22:00Z"), 0);
        assert_eq!(left("hibernate", "2026-11-23T08:22:00Z"), 0);
        assert_eq!(left("terminate", "soon"), 0);
    }
}
