//! The machine that has the source, where it is an instance that is started for a run: started, made use of by commands of
//! the master's own, and stopped.

use std::time::Duration;

use crate::args::{BucketArgs, SourceHostArgs};
use crate::exit::Exit;
use crate::failure::CommandFailure;
use crate::hook::Commands;
use crate::talk;

/// What is done about the source host, before a run and after it.
#[derive(Debug)]
#[cfg_attr(not(feature = "ec2"), expect(dead_code, reason = "nothing is asked of EC2"))]
pub(crate) struct SourceHostCare {
    instance: Option<String>,
    wait: Duration,
    start: Commands,
    stop: Commands,
    is_stopped_at_end: bool,
    region: Option<String>,
    profile: Option<String>,
    is_quiet: bool,
}

impl SourceHostCare {
    /// Reads what was typed.
    pub(crate) fn new(
        args: &SourceHostArgs,
        bucket: &BucketArgs,
        is_quiet: bool,
    ) -> Result<Self, CommandFailure> {
        let limit = args.source_host_command_timeout;
        let commands =
            |name, flag: &str, typed: &[String]| Commands::new(name, flag, typed, limit, is_quiet);
        let (start, stop) = (&args.source_host_start_command, &args.source_host_stop_command);
        Ok(Self {
            instance: args.source_host_instance.clone(),
            wait: args.source_host_wait,
            start: commands("source-host-start", "--source-host-start-command", start)?,
            stop: commands("source-host-stop", "--source-host-stop-command", stop)?,
            is_stopped_at_end: args.source_host_stop,
            region: bucket.region.clone(),
            profile: bucket.profile.clone(),
            is_quiet,
        })
    }

    /// Does the work while the source host runs. What was started for it is ended however the work ends.
    pub(crate) async fn around(
        &self,
        work: impl Future<Output = Result<Exit, CommandFailure>>,
    ) -> Result<Exit, CommandFailure> {
        let begun = match self.begin().await {
            Ok(()) => work.await,
            Err(failure) => Err(failure),
        };
        match self.end().await {
            Ok(()) => begun,
            Err(failure) => {
                // What came of the work matters more; that something is left matters more than that all is well.
                talk::say(&failure.to_string());
                match begun {
                    Ok(Exit::Clean | Exit::Skipped) => Ok(Exit::Leftover),
                    other => other,
                }
            }
        }
    }

    async fn begin(&self) -> Result<(), CommandFailure> {
        if let Some(instance) = &self.instance {
            let was_started = self.start_host(instance).await?;
            if !self.is_quiet {
                let how = if was_started { "was started" } else { "runs already" };
                talk::say(&format!("source host {instance}: {how}"));
            }
        }
        self.start.run_all().await.map_err(|message| {
            CommandFailure::could_not_run(anyhow::anyhow!("{message}"))
                .advise("mend what it says, or change --source-host-start-command")
        })
    }

    async fn end(&self) -> Result<(), CommandFailure> {
        let unmounted = self.stop.run_all().await;
        if let Some(instance) = self.instance.as_ref().filter(|_| self.is_stopped_at_end) {
            self.stop_host(instance).await?;
            if !self.is_quiet {
                talk::say(&format!("source host {instance}: is told to stop"));
            }
        }
        unmounted.map_err(|message| {
            CommandFailure::could_not_run(anyhow::anyhow!("{message}"))
                .advise("do by hand what --source-host-stop-command was to do")
        })
    }
}

#[cfg(feature = "ec2")]
impl SourceHostCare {
    /// Says whether the host had to be started.
    async fn start_host(&self, instance: &str) -> Result<bool, CommandFailure> {
        let host = self.host(instance).await?;
        host.start(self.wait).await.map_err(CommandFailure::could_not_run)
    }

    async fn stop_host(&self, instance: &str) -> Result<(), CommandFailure> {
        self.host(instance).await?.stop().await.map_err(CommandFailure::could_not_run)
    }

    async fn host(
        &self,
        instance: &str,
    ) -> Result<s3bl_adapters::launcher::ec2::SourceHost, CommandFailure> {
        let (region, profile) = (self.region.as_deref(), self.profile.as_deref());
        let connected =
            s3bl_adapters::launcher::ec2::SourceHost::connect(instance, region, profile);
        connected.await.map_err(CommandFailure::could_not_run)
    }
}

#[cfg(not(feature = "ec2"))]
impl SourceHostCare {
    async fn start_host(&self, _: &str) -> Result<bool, CommandFailure> {
        Err(crate::fleet::without_ec2())
    }

    async fn stop_host(&self, _: &str) -> Result<(), CommandFailure> {
        Err(crate::fleet::without_ec2())
    }
}
