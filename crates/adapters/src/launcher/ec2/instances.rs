//! Instances: launched, found by their tags, terminated.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::operation::run_instances::builders::RunInstancesFluentBuilder;
use aws_sdk_ec2::types::{
    BlockDeviceMapping, EbsBlockDevice, Filter, HttpTokensState, IamInstanceProfileSpecification,
    Instance, InstanceMarketOptionsRequest, InstanceMetadataOptionsRequest, InstanceStateName,
    InstanceType, LaunchTemplateSpecification, MarketType, ResourceType, ShutdownBehavior,
    SummaryStatus, Tag, TagSpecification, VolumeType,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use s3bl_core::id::RunId;
use s3bl_core::launch::{Condition, Member, MemberId, Seat, Sighting};
use s3bl_port::launcher::{LaunchError, Launcher};
use sha2::{Digest as _, Sha256};

use super::connect::client;
use super::fault::{Call, Fault, own};
use super::settings::{Disk, Ec2Settings, Spot};

/// The tag that says which run an instance is for.
const RUN_TAG: &str = "s3bl-run";
const CHANNEL_TAG: &str = "s3bl-channel";
const SEAT_TAG: &str = "s3bl-seat";
/// Instances in one TerminateInstances.
const TERMINATED_AT_ONCE: usize = 100;

const RUN: Call = Call {
    name: "RunInstances",
    permission: "`ec2:RunInstances` and `ec2:CreateTags` (and `iam:PassRole` for the profile's role)",
};
const DESCRIBE: Call = Call { name: "DescribeInstances", permission: "`ec2:DescribeInstances`" };
const STATUS: Call =
    Call { name: "DescribeInstanceStatus", permission: "`ec2:DescribeInstanceStatus`" };
const TERMINATE: Call = Call { name: "TerminateInstances", permission: "`ec2:TerminateInstances`" };

/// Launches instances for one run.
#[derive(Debug)]
pub struct Ec2Launcher {
    client: Client,
    run: String,
    channel: String,
    settings: Ec2Settings,
    /// How often there was no capacity for a seat: the next subnet may have some.
    declined: Mutex<BTreeMap<Seat, usize>>,
    /// Whether somebody was told that impaired instances are not seen.
    is_warned: AtomicBool,
}

impl Ec2Launcher {
    /// Reads the AWS configuration. No request is sent yet. `channel` is what instances are named after, by default the
    /// run.
    ///
    /// # Errors
    ///
    /// No region is named, or the certificates of `AWS_CA_BUNDLE` cannot be read.
    pub async fn connect(
        run: &RunId,
        channel: Option<&str>,
        settings: Ec2Settings,
        region: Option<&str>,
        profile: Option<&str>,
    ) -> Result<Self, LaunchError> {
        let client = client(region, profile).await?;
        let channel = channel.unwrap_or(run.as_str()).to_owned();
        let run = run.to_string();
        let (declined, is_warned) = (Mutex::default(), AtomicBool::new(false));
        Ok(Self { client, run, channel, settings, declined, is_warned })
    }

    /// Asks whether instances could be launched and found, without launching any: what it needs, and what came of it. Whether
    /// they could be terminated can only be asked of one that is there.
    pub async fn try_out(&self) -> Vec<(&'static str, Result<(), LaunchError>)> {
        let seat = Seat { slot: 1, launch: 1 };
        let request = self.request(seat, self.settings.spot != Spot::Never).dry_run(true);
        let launched = match request.send().await {
            Ok(_) => Ok(()),
            Err(error) => match Fault::of(RUN, "launch a worker", error) {
                // What EC2 says when it would have done it.
                fault if fault.code.as_deref() == Some("DryRunOperation") => Ok(()),
                fault => Err(fault.error),
            },
        };
        let status = self.client.describe_instance_status().max_results(5).send().await;
        let status = status
            .map(drop)
            .map_err(|error| Fault::of(STATUS, "see how instances are", error).error);
        let found = self.describe().await.map(drop).map_err(|fault| fault.error);
        vec![(RUN.permission, launched), (DESCRIBE.permission, found), (STATUS.permission, status)]
    }

    async fn run_one(&self, seat: Seat, is_spot: bool) -> Result<Instance, Fault> {
        let what = format!("launch worker {}", seat.slot);
        let reply = self.request(seat, is_spot).send().await;
        let reply = reply.map_err(|error| Fault::of(RUN, &what, error))?;
        reply.instances.unwrap_or_default().pop().ok_or_else(|| Fault {
            code: None,
            error: own(&format!("{what}: EC2's reply names no instance"), None),
        })
    }

    fn request(&self, seat: Seat, is_spot: bool) -> RunInstancesFluentBuilder {
        let settings = &self.settings;
        let subnet = self.subnet(seat);
        let tags = |kind| {
            // A time of its own would make a request that is repeated another one, which EC2 refuses: the run tells when it was.
            let name = format!("s3bl-{}-{seat}-{}", self.channel, self.run);
            let tags = [
                (RUN_TAG, self.run.clone()),
                (CHANNEL_TAG, self.channel.clone()),
                (SEAT_TAG, seat.to_string()),
                ("Name", name),
            ];
            let tags = tags.map(|(key, value)| Tag::builder().key(key).value(value).build());
            TagSpecification::builder().resource_type(kind).set_tags(Some(tags.into())).build()
        };
        let metadata =
            InstanceMetadataOptionsRequest::builder().http_tokens(HttpTokensState::Required);
        let spot = is_spot
            .then(|| InstanceMarketOptionsRequest::builder().market_type(MarketType::Spot).build());
        let behaviour = match settings.terminates_on_shutdown {
            true => ShutdownBehavior::Terminate,
            false => ShutdownBehavior::Stop,
        };
        let mut request = self
            .client
            .run_instances()
            .min_count(1)
            .max_count(1)
            .client_token(self.token(seat, subnet, is_spot))
            .set_image_id(settings.image.clone())
            .set_instance_type(settings.instance_type.as_deref().map(InstanceType::from))
            .set_key_name(settings.key_name.clone())
            .set_subnet_id(subnet.cloned())
            .set_iam_instance_profile(settings.instance_profile.as_deref().map(profile))
            .set_launch_template(settings.launch_template.as_deref().map(template))
            .set_user_data(settings.user_data.as_ref().map(|data| STANDARD.encode(data)))
            .set_instance_market_options(spot)
            .metadata_options(metadata.build())
            .tag_specifications(tags(ResourceType::Instance))
            .tag_specifications(tags(ResourceType::Volume));
        // A spot request of its own accord ends its instance; EC2 refuses to be told otherwise.
        if !is_spot {
            request = request.instance_initiated_shutdown_behavior(behaviour);
        }
        if !settings.security_groups.is_empty() {
            request = request.set_security_group_ids(Some(settings.security_groups.clone()));
        }
        if let Some(disk) = &settings.disk {
            request = request.block_device_mappings(mapping(disk));
        }
        request
    }

    /// Slots take the subnets in turn, and another where there was no capacity.
    fn subnet(&self, seat: Seat) -> Option<&String> {
        let subnets = &self.settings.subnets;
        let declined = self.declined.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = seat.slot as usize + declined.get(&seat).copied().unwrap_or(0);
        (!subnets.is_empty()).then(|| &subnets[turn % subnets.len()])
    }

    fn decline(&self, seat: Seat) {
        let mut declined = self.declined.lock().unwrap_or_else(PoisonError::into_inner);
        *declined.entry(seat).or_default() += 1;
    }

    /// At most 64 characters of ASCII; the same for the same request, and no other
    /// (<https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html>).
    fn token(&self, seat: Seat, subnet: Option<&String>, is_spot: bool) -> String {
        let subnet = subnet.map_or("", String::as_str);
        let text = format!("{}\0{seat}\0{subnet}\0{is_spot}", self.run);
        let digest = Sha256::digest(text.as_bytes());
        let digest: String = digest.iter().take(24).map(|byte| format!("{byte:02x}")).collect();
        format!("s3bl-{digest}")
    }

    async fn describe(&self) -> Result<Vec<Instance>, Fault> {
        let of_run = Filter::builder().name(format!("tag:{RUN_TAG}")).values(&self.run).build();
        let mut pages = self.client.describe_instances().filters(of_run).into_paginator().send();
        let mut instances = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| Fault::of(DESCRIBE, "find instances", error))?;
            let reservations = page.reservations.unwrap_or_default().into_iter();
            instances.extend(reservations.flat_map(|it| it.instances.unwrap_or_default()));
        }
        Ok(instances)
    }

    /// Those that EC2 finds impaired.
    async fn impaired(&self, instances: &[Instance]) -> Result<BTreeSet<String>, Fault> {
        let running: Vec<String> = instances
            .iter()
            .filter(|instance| state(instance) == Some(&InstanceStateName::Running))
            .filter_map(|instance| instance.instance_id.clone())
            .collect();
        let mut impaired = BTreeSet::new();
        // The most ids that one request may name.
        for ids in running.chunks(100) {
            let request =
                self.client.describe_instance_status().set_instance_ids(Some(ids.to_vec()));
            let reply = request.send().await;
            let reply = reply.map_err(|error| Fault::of(STATUS, "see how instances are", error))?;
            for status in reply.instance_statuses() {
                let summaries = [status.instance_status(), status.system_status()];
                let is_impaired = summaries
                    .into_iter()
                    .flatten()
                    .any(|summary| summary.status() == Some(&SummaryStatus::Impaired));
                impaired.extend(status.instance_id.clone().filter(|_| is_impaired));
            }
        }
        Ok(impaired)
    }

    async fn terminate_some(&self, ids: &[String]) -> Result<(), Fault> {
        let request = self.client.terminate_instances().set_instance_ids(Some(ids.to_vec()));
        let what = format!("terminate {}", ids.join(", "));
        request.send().await.map(drop).map_err(|error| Fault::of(TERMINATE, &what, error))
    }

    /// Terminates one after the other; why the last one could not be that could not. What may pass counts more.
    async fn terminate_each(&self, ids: &[String]) -> Option<LaunchError> {
        let mut refused: Option<LaunchError> = None;
        for id in ids {
            match self.terminate_some(std::slice::from_ref(id)).await {
                Err(fault) if !fault.is_missing() => {
                    let counts_more = refused.as_ref().is_some_and(|error| error.may_pass);
                    if !counts_more || fault.error.may_pass {
                        refused = Some(fault.error);
                    }
                }
                Ok(()) | Err(_) => {}
            }
        }
        refused
    }
}

fn profile(typed: &str) -> IamInstanceProfileSpecification {
    let builder = IamInstanceProfileSpecification::builder();
    match typed.starts_with("arn:") {
        true => builder.arn(typed).build(),
        false => builder.name(typed).build(),
    }
}

fn template(typed: &str) -> LaunchTemplateSpecification {
    let (name, version) = match typed.split_once(':') {
        Some((name, version)) => (name, Some(version.to_owned())),
        None => (typed, None),
    };
    let builder = LaunchTemplateSpecification::builder().set_version(version);
    match name.starts_with("lt-") {
        true => builder.launch_template_id(name).build(),
        false => builder.launch_template_name(name).build(),
    }
}

fn mapping(disk: &Disk) -> BlockDeviceMapping {
    let volume = EbsBlockDevice::builder()
        .delete_on_termination(true)
        .set_volume_type(disk.volume_type.as_deref().map(VolumeType::from))
        .set_volume_size(disk.gigabytes)
        .build();
    BlockDeviceMapping::builder().device_name(&disk.device).ebs(volume).build()
}

fn state(instance: &Instance) -> Option<&InstanceStateName> {
    instance.state().and_then(|state| state.name())
}

fn member(instance: &Instance) -> Option<Member> {
    let id = instance.instance_id.clone()?;
    let host = instance.private_dns_name().and_then(|name| name.split('.').next());
    let host = host.filter(|label| !label.is_empty()).map(str::to_owned);
    Some(Member { id: MemberId(id.clone()), worker: Some(id), host })
}

/// The seat of a tag; a slot that no run has where it is not ours.
fn seat(instance: &Instance) -> Seat {
    let tag = instance.tags().iter().find(|tag| tag.key() == Some(SEAT_TAG));
    let read = |text: &str| {
        let (slot, launch) = text.split_once('.')?;
        Some(Seat { slot: slot.parse().ok()?, launch: launch.parse().ok()? })
    };
    tag.and_then(|tag| read(tag.value()?)).unwrap_or(Seat { slot: 0, launch: 0 })
}

fn condition(instance: &Instance, impaired: &BTreeSet<String>) -> Condition {
    let is_impaired = instance.instance_id().is_some_and(|id| impaired.contains(id));
    match state(instance) {
        Some(InstanceStateName::Terminated | InstanceStateName::ShuttingDown) => Condition::Gone,
        // One that is stopped does not work, and is paid for by its disks.
        Some(InstanceStateName::Stopped | InstanceStateName::Stopping) => Condition::Impaired,
        _ if is_impaired => Condition::Impaired,
        _ => Condition::Well,
    }
}

#[async_trait]
impl Launcher for Ec2Launcher {
    async fn launch(&self, seat: Seat) -> Result<Member, LaunchError> {
        let wants_spot = self.settings.spot != Spot::Never;
        let mut launched = self.run_one(seat, wants_spot).await;
        if let Err(fault) = &launched
            && fault.is_capacity()
            && self.settings.spot == Spot::Prefer
        {
            tracing::warn!(%seat, error = %fault.error, "no spot capacity; asking on demand");
            launched = self.run_one(seat, false).await;
        }
        let instance = launched.map_err(|fault| {
            if fault.is_capacity() {
                self.decline(seat);
            }
            fault.error
        })?;
        member(&instance).ok_or_else(|| own("EC2 launched an instance without an id", None))
    }

    async fn look(&self) -> Result<Vec<Sighting>, LaunchError> {
        let instances = self.describe().await.map_err(|fault| fault.error)?;
        let impaired = self.impaired(&instances).await;
        let impaired = match impaired {
            Ok(impaired) => impaired,
            // One of them went while it was looked at.
            Err(fault) if fault.is_missing() => BTreeSet::new(),
            // What is there is known all the same, and what became of it.
            Err(fault) if !fault.error.may_pass => {
                if !self.is_warned.swap(true, Ordering::Relaxed) {
                    let error: &dyn std::error::Error = &fault.error;
                    tracing::warn!(error, "nobody sees whether instances are impaired");
                }
                BTreeSet::new()
            }
            Err(fault) => return Err(fault.error),
        };
        let sighting = |instance: &Instance| {
            let condition = condition(instance, &impaired);
            let reason = instance.state_reason().and_then(|reason| reason.message());
            let words = reason.filter(|_| condition != Condition::Well).map(str::to_owned);
            Some(Sighting { member: member(instance)?, seat: seat(instance), condition, words })
        };
        Ok(instances.iter().filter_map(sighting).collect())
    }

    async fn terminate(&self, members: &[MemberId]) -> Result<(), LaunchError> {
        let ids: Vec<String> = members.iter().map(|member| member.0.clone()).collect();
        let mut refused = None;
        for ids in ids.chunks(TERMINATED_AT_ONCE) {
            match self.terminate_some(ids).await {
                Ok(()) => {}
                Err(fault) if ids.len() == 1 || fault.error.may_pass => {
                    if !fault.is_missing() {
                        refused = Some(fault.error);
                    }
                }
                // EC2 terminates none of them when it does not know one, or protects one.
                Err(_) => refused = self.terminate_each(ids).await.or(refused),
            }
        }
        refused.map_or(Ok(()), Err)
    }
}
