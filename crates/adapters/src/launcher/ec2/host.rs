//! The machine that has the source, as an instance that is started for a run and stopped after it.

use std::time::Duration;

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::InstanceStateName;
use s3bl_port::launcher::LaunchError;
use tokio::time::{Instant, sleep};

use super::connect::client;
use super::fault::{Call, Fault, own};

/// Pause between two looks at a host that starts.
const LOOK_EVERY: Duration = Duration::from_secs(2);

const START: Call = Call { name: "StartInstances", permission: "`ec2:StartInstances`" };
const STOP: Call = Call { name: "StopInstances", permission: "`ec2:StopInstances`" };
const DESCRIBE: Call = Call { name: "DescribeInstances", permission: "`ec2:DescribeInstances`" };

/// Why a source host is not there, or cannot be stopped.
pub type HostError = LaunchError;

/// An instance that has the source.
#[derive(Debug)]
pub struct SourceHost {
    client: Client,
    instance: String,
}

impl SourceHost {
    /// Reads the AWS configuration. No request is sent yet.
    ///
    /// # Errors
    ///
    /// No region is named, or the certificates of `AWS_CA_BUNDLE` cannot be read.
    pub async fn connect(
        instance: &str,
        region: Option<&str>,
        profile: Option<&str>,
    ) -> Result<Self, HostError> {
        Ok(Self { client: client(region, profile).await?, instance: instance.to_owned() })
    }

    /// Starts the host if it does not run, and waits until it does. Says whether it had to be started.
    ///
    /// # Errors
    ///
    /// EC2 refuses, or the host does not run within `wait`.
    pub async fn start(&self, wait: Duration) -> Result<bool, HostError> {
        let deadline = Instant::now() + wait;
        let was_running = self.state().await? == InstanceStateName::Running;
        let mut is_started = was_running;
        loop {
            let state = self.state().await?;
            if state == InstanceStateName::Running {
                return Ok(!was_running);
            }
            if [InstanceStateName::Terminated, InstanceStateName::ShuttingDown].contains(&state) {
                let message = format!("the source host {} is terminated", self.instance);
                return Err(own(&message, None));
            }
            // One that stops just now can be started when it has stopped.
            if state == InstanceStateName::Stopped && !is_started {
                let request = self.client.start_instances().instance_ids(&self.instance);
                let what = format!("start the source host {}", self.instance);
                let started = request.send().await;
                started.map_err(|error| Fault::of(START, &what, error).error)?;
                is_started = true;
            }
            if Instant::now() >= deadline {
                let (host, waited) = (&self.instance, wait.as_secs());
                let message = format!("the source host {host} does not run after {waited} s");
                return Err(own(&message, None));
            }
            sleep(LOOK_EVERY.min(wait)).await;
        }
    }

    /// Stops the host. One that is stopped already is left alone.
    ///
    /// # Errors
    ///
    /// EC2 refuses.
    pub async fn stop(&self) -> Result<(), HostError> {
        let request = self.client.stop_instances().instance_ids(&self.instance);
        let what = format!("stop the source host {}", self.instance);
        request.send().await.map(drop).map_err(|error| Fault::of(STOP, &what, error).error)
    }

    async fn state(&self) -> Result<InstanceStateName, HostError> {
        let request = self.client.describe_instances().instance_ids(&self.instance);
        let what = format!("look for the source host {}", self.instance);
        let reply = request.send().await;
        let reply = reply.map_err(|error| Fault::of(DESCRIBE, &what, error).error)?;
        let instances = reply.reservations().iter().flat_map(|it| it.instances());
        let state = instances.filter_map(|instance| instance.state()?.name().cloned()).next();
        state.ok_or_else(|| own(&format!("{what}: EC2 does not say how it is"), None))
    }
}
