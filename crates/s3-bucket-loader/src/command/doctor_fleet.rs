//! `doctor --role`: what a fleet needs beside the bucket, tried and not guessed: a channel, and instances.

use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use s3bl_core::cause::with_causes;
use s3bl_core::id::WorkerId;
use s3bl_port::channel::{Channel, ChannelError, MasterEnd};
use s3bl_port::queue::QueueError;

use super::doctor::{Finding, bad, good, lack};
use crate::args::{DoctorArgs, DoctorRole};
use crate::failure::CommandFailure;
use crate::fleet::{LaunchPlan, Place};
use crate::home;

/// How long a message that is not there is waited for.
const LISTEN: Duration = Duration::from_secs(1);
/// The lease of a channel that is made to be removed again.
const LEASE: Duration = Duration::from_mins(1);

/// Tries what a master or a worker needs. What is made for it is removed again.
pub(super) async fn look_at_fleet(
    args: &DoctorArgs,
    role: DoctorRole,
    findings: &mut Vec<Finding>,
) -> Result<(), CommandFailure> {
    let run = home::new_run();
    let place = Place::new(&args.channel, &args.bucket, Some(run.as_str()), LEASE)?;
    let bucket = &args.bucket;
    let plan = LaunchPlan::of(&args.launch, bucket.region.as_ref(), bucket.profile.as_ref())?;
    match place.open().await {
        Ok(channel) => match role {
            DoctorRole::Master => as_master(channel.as_ref(), &place, findings).await,
            DoctorRole::Worker => as_worker(channel.as_ref(), &place, findings).await?,
        },
        Err(failure) => {
            findings.push(bad("channel", format!("{:#}", failure.error), failure.advice));
        }
    }
    if let Some(plan) = plan {
        for (what, tried) in plan.try_out(&run, &place).await? {
            findings.push(match tried {
                Ok(()) => good("ec2", format!("{what}: allowed")),
                Err(error) => bad("ec2", with_causes(&error), allow()),
            });
        }
    }
    Ok(())
}

/// Makes a channel, uses it as a master does, and removes it.
async fn as_master(channel: &dyn Channel, place: &Place, findings: &mut Vec<Finding>) {
    let name = &place.channel;
    let owner = match channel.owner().await {
        Ok(owner) => owner,
        Err(error) => return findings.push(of_channel("channel", Err(error))),
    };
    if let Some(run) = owner {
        let what = format!("{name} belongs to run {run}: what makes one was not tried");
        let advice = "ask again when that run is over, or with another --channel";
        return findings.push(lack("channel", what, advice));
    }
    let run = home::new_run();
    match channel.lead(&run).await {
        Ok(end) => {
            findings.push(good("channel", format!("{name} can be made")));
            use_as_master(&end, findings).await;
        }
        Err(error) => findings.push(of_channel("channel", Err(error))),
    }
    // What was made of it before something failed, too.
    findings.push(of_channel("cleanup", channel.remove(&run).await.map(drop)));
}

async fn use_as_master(end: &MasterEnd, findings: &mut Vec<Finding>) {
    let word = || Bytes::from_static(b"s3-bucket-loader doctor");
    findings.push(of_use("batches", "can be sent", end.tasks.send(word()).await));
    findings.push(of_use("withdrawal", "batches can be withdrawn", end.tasks.purge().await));
    findings.push(of_use("documents", "can be published", end.control.publish(word()).await));
    let results = end.results.receive(1, LISTEN).await.map(drop);
    findings.push(of_use("results", "can be received", results));
}

/// Joins the channel of a master that is there, and leaves it.
async fn as_worker(
    channel: &dyn Channel,
    place: &Place,
    findings: &mut Vec<Finding>,
) -> Result<(), CommandFailure> {
    let name = &place.channel;
    let chance: String = std::iter::repeat_with(fastrand::lowercase).take(6).collect();
    let worker = WorkerId::new(format!("doctor-{chance}")).context("name this worker")?;
    let end = match channel.join(&worker).await {
        Ok(Some(end)) => end,
        Ok(None) => {
            let what = format!("no master has made {name} yet: what a worker may do was not tried");
            let advice = "start the master, which waits for its workers, and ask again";
            findings.push(bad("channel", what, Some(advice.to_owned())));
            return Ok(());
        }
        Err(error) => {
            findings.push(of_channel("channel", Err(error)));
            return Ok(());
        }
    };
    findings.push(good("channel", format!("{name} can be joined")));
    let heard = end.control.receive(LISTEN).await.map(drop);
    findings.push(of_use("documents", "can be received", heard));
    findings.push(of_use(
        "cleanup",
        "what a worker makes can be removed",
        end.control.leave().await,
    ));
    Ok(())
}

fn of_channel(check: &'static str, tried: Result<(), ChannelError>) -> Finding {
    match tried {
        Ok(()) => good(check, "what was made can be removed"),
        Err(error) => bad(check, with_causes(&error), allow()),
    }
}

fn of_use(check: &'static str, what: &str, tried: Result<(), QueueError>) -> Finding {
    match tried {
        Ok(()) => good(check, what),
        Err(error) => bad(check, with_causes(&error), allow()),
    }
}

fn allow() -> Option<String> {
    Some("allow what is named above to this user or role".to_owned())
}
