//! Who starts a fleet's workers: what was typed of it, kept with the run, and the launcher that is made of it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use s3bl_adapters::launcher::ec2::settings::{Disk, Ec2Settings, Spot};
use s3bl_adapters::launcher::process::{ProcessLauncher, ProcessSettings};
use s3bl_core::id::RunId;
use s3bl_core::launch::LaunchSettings;
use s3bl_core::ledger::RunHeader;
use s3bl_core::settings::{Destination, RunSettings};
use s3bl_port::launcher::{LaunchError, Launcher};
use serde::{Deserialize, Serialize};

use super::key::{INPUT, JoinKey};
use super::{Place, user_data};
use crate::args::{Ec2Args, LaunchArgs, LauncherChoice, ShutdownBehavior, SpotChoice};
use crate::failure::CommandFailure;

/// How often processes are looked after.
const LOOK_AT_PROCESSES: Duration = Duration::from_millis(500);
/// How often instances are looked after: DescribeInstances is throttled for a whole account.
const LOOK_AT_INSTANCES: Duration = Duration::from_secs(15);
/// Most bytes of user data (<https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-add-user-data.html>).
const USER_DATA_BYTES_MAX: usize = 16 * 1024;

/// Who starts the workers of a run; kept in the run's folder with its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LaunchPlan {
    /// What is started.
    pub kind: LaunchKind,
    /// Members that may be launched in place of others.
    pub replacements: u32,
    /// More words for each worker.
    pub worker_options: Vec<String>,
    /// How long all of it is kept when the run is over.
    pub kept: Option<Duration>,
}

/// What is started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LaunchKind {
    /// Processes of this machine.
    Process,
    /// EC2 instances.
    Ec2 {
        /// What they are like.
        settings: Box<Ec2Settings>,
        /// Where they get the program and the join key from, if the user data are ours to make.
        boot: Option<user_data::Boot>,
        /// The region; found as for the bucket when absent.
        region: Option<String>,
        /// The profile of the AWS configuration.
        profile: Option<String>,
    },
}

/// A launcher, and how it is used.
#[derive(Clone)]
pub(crate) struct Launching {
    /// What starts them.
    pub launcher: Arc<dyn Launcher>,
    /// How many, and how long they are waited for.
    pub settings: LaunchSettings,
    /// How long all of it is kept when the run is over.
    pub kept: Option<Duration>,
}

impl LaunchPlan {
    /// Reads what was typed; `None` where nobody is to launch anything.
    pub(crate) fn of(
        args: &LaunchArgs,
        region: Option<&String>,
        profile: Option<&String>,
    ) -> Result<Option<Self>, CommandFailure> {
        let kind = match args.launcher {
            LauncherChoice::None => return nothing_for_nobody(args).map(|()| None),
            LauncherChoice::Process => LaunchKind::Process,
            LauncherChoice::Ec2 => LaunchKind::Ec2 {
                settings: Box::new(ec2_settings(&args.ec2)?),
                boot: boot(&args.ec2)?,
                region: region.cloned(),
                profile: profile.cloned(),
            },
        };
        let typed = args.worker_options.as_deref().unwrap_or_default();
        let worker_options = shlex::split(typed).ok_or_else(|| {
            CommandFailure::usage(anyhow!("`--worker-options {typed}` has a quote without an end"))
        })?;
        let (replacements, kept) = (args.replace_workers, args.auto_shutdown);
        Ok(Some(Self { kind, replacements, worker_options, kept }))
    }

    /// Processes of this machine, each of which may be replaced once, on the average.
    pub(crate) fn of_processes(workers: u32, worker_options: Vec<String>) -> Self {
        Self { kind: LaunchKind::Process, replacements: workers, worker_options, kept: None }
    }

    /// Makes the launcher of a run. `key` is handed to processes only.
    pub(crate) async fn launching(
        &self,
        header: &RunHeader,
        place: &Place,
        key: &JoinKey,
        folder: &Path,
    ) -> Result<Launching, CommandFailure> {
        let run = &header.run;
        let options = self.options(&header.settings);
        let (launcher, look_every): (Arc<dyn Launcher>, _) = match &self.kind {
            LaunchKind::Process => {
                let launcher = self.processes(place, key, folder, options)?;
                (Arc::new(launcher), LOOK_AT_PROCESSES)
            }
            LaunchKind::Ec2 { settings, boot, region, profile } => {
                let mut settings = settings.as_ref().clone();
                if let Some(boot) = boot {
                    no_secret_in_user_data(place)?;
                    let script = boot.script(run, place, &options);
                    settings.user_data = Some(script.into_bytes());
                }
                check_user_data(settings.user_data.as_deref())?;
                let service = (region.as_deref(), profile.as_deref());
                (instances(run, Some(&place.channel), settings, service).await?, LOOK_AT_INSTANCES)
            }
        };
        let settings = LaunchSettings {
            slots: place.workers,
            register_max: place.worker_wait,
            replacements: self.replacements,
            look_every,
            ..LaunchSettings::default()
        };
        Ok(Launching { launcher, settings, kept: self.kept })
    }

    /// Asks whether what the plan says could be done, without doing it: by right, and its outcome.
    pub(crate) async fn try_out(
        &self,
        run: &RunId,
        place: &Place,
    ) -> Result<Tried, CommandFailure> {
        match &self.kind {
            LaunchKind::Process => Ok(Vec::new()),
            LaunchKind::Ec2 { settings, boot, region, profile } => {
                let mut settings = settings.as_ref().clone();
                if let Some(boot) = boot {
                    let script = boot.script(run, place, &self.worker_options);
                    settings.user_data = Some(script.into_bytes());
                }
                let service = (region.as_deref(), profile.as_deref());
                try_instances(run, &place.channel, settings, service).await
            }
        }
    }

    /// The launcher that finds what a run left behind; `None` where nothing outlives its master.
    pub(crate) async fn finder(
        &self,
        run: &RunId,
    ) -> Result<Option<Arc<dyn Launcher>>, CommandFailure> {
        match &self.kind {
            LaunchKind::Process => Ok(None),
            LaunchKind::Ec2 { region, profile, .. } => {
                find_instances(run, region.as_deref(), profile.as_deref()).await.map(Some)
            }
        }
    }

    /// What is said to each worker beside its place. To a directory no worker writes that was not told so by its own flags.
    fn options(&self, settings: &RunSettings) -> Vec<String> {
        let destination = match &settings.destination {
            Destination::Directory(_) => Some(settings.destination.url()),
            Destination::Bucket(_) => None,
        };
        // Processes inherit the environment of their master, where it may say what is for all of them together.
        let concurrency = match self.kind {
            LaunchKind::Process => settings.transfer.concurrency.map(|it| it.to_string()),
            LaunchKind::Ec2 { .. } => None,
        };
        let told = |flag: &str| self.worker_options.iter().any(|word| word.starts_with(flag));
        let own = [("--destination", destination), ("--concurrency", concurrency)];
        let own = own.into_iter().filter(|(flag, _)| !told(flag));
        let words = own.filter_map(|(flag, value)| Some([flag.to_owned(), value?])).flatten();
        words.chain(self.worker_options.iter().cloned()).collect()
    }

    fn processes(
        &self,
        place: &Place,
        key: &JoinKey,
        folder: &Path,
        options: Vec<String>,
    ) -> Result<ProcessLauncher, CommandFailure> {
        let program = std::env::current_exe().context("find this program")?;
        let folder = folder.join("workers");
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("make the folder `{}`", folder.display()))?;
        let mut words = vec!["worker".to_owned()];
        words.extend(place.worker_words());
        words.extend(["--join-key-file".to_owned(), INPUT.to_owned()]);
        words.extend(options);
        let secret = place.secret();
        Ok(ProcessLauncher::new(ProcessSettings {
            program,
            environment: secret
                .map(|(name, value)| (name.into(), value.into()))
                .into_iter()
                .collect(),
            arguments: words.into_iter().map(Into::into).collect(),
            key: key.reveal().to_owned(),
            folder,
        }))
    }
}

/// Flags that only a launcher needs are a mistake where there is none.
fn nothing_for_nobody(args: &LaunchArgs) -> Result<(), CommandFailure> {
    let ec2 = &args.ec2;
    let named = [
        ("--ec2-image", ec2.ec2_image.is_some()),
        ("--ec2-launch-template", ec2.ec2_launch_template.is_some()),
        ("--ec2-user-data", ec2.ec2_user_data.is_some()),
        ("--worker-options", args.worker_options.is_some()),
        ("--replace-workers", args.replace_workers > 0),
        ("--auto-shutdown", args.auto_shutdown.is_some()),
    ];
    match named.iter().find(|(_, is_named)| *is_named) {
        Some((flag, _)) => {
            let error = anyhow!("{flag} is for workers that are launched, and nobody launches any");
            Err(CommandFailure::usage(error).advise("say --launcher process or --launcher ec2"))
        }
        None => Ok(()),
    }
}

fn ec2_settings(args: &Ec2Args) -> Result<Ec2Settings, CommandFailure> {
    let lacks = |flag: &str| {
        let error = anyhow!("--launcher ec2 needs {flag}");
        CommandFailure::usage(error).advise("say it, or name an --ec2-launch-template that says it")
    };
    if args.ec2_launch_template.is_none() {
        args.ec2_image.as_ref().ok_or_else(|| lacks("--ec2-image"))?;
        args.ec2_instance_type.as_ref().ok_or_else(|| lacks("--ec2-instance-type"))?;
    }
    let user_data = match &args.ec2_user_data {
        Some(path) => Some(
            std::fs::read(path)
                .with_context(|| format!("read the user data `{}`", path.display()))
                .map_err(CommandFailure::usage)?,
        ),
        None => None,
    };
    check_user_data(user_data.as_deref())?;
    Ok(Ec2Settings {
        image: args.ec2_image.clone(),
        instance_type: args.ec2_instance_type.clone(),
        key_name: args.ec2_key_name.clone(),
        security_groups: args.ec2_security_group.clone(),
        subnets: args.ec2_subnet.clone(),
        instance_profile: args.ec2_instance_profile.clone(),
        launch_template: args.ec2_launch_template.clone(),
        user_data,
        terminates_on_shutdown: args.ec2_shutdown_behavior == ShutdownBehavior::Terminate,
        disk: args.ec2_disk_device.as_ref().map(|device| Disk {
            device: device.clone(),
            volume_type: args.ec2_disk_type.clone(),
            gigabytes: args.ec2_disk_gigabytes,
        }),
        spot: match args.ec2_spot {
            SpotChoice::Never => Spot::Never,
            SpotChoice::Prefer => Spot::Prefer,
            SpotChoice::Only => Spot::Only,
        },
    })
}

/// Where instances get what they need, if nobody brings user data of their own.
fn boot(args: &Ec2Args) -> Result<Option<user_data::Boot>, CommandFailure> {
    if args.ec2_user_data.is_some() {
        return Ok(None);
    }
    let place = args.ec2_join_key.as_deref().ok_or_else(|| {
        CommandFailure::usage(anyhow!("nobody says where instances get the join key from")).advise(
            "say --ec2-join-key ssm:NAME or s3://bucket/key and put the key there, or bring --ec2-user-data FILE",
        )
    })?;
    user_data::Boot::new(place, args.ec2_program.as_deref()).map(Some)
}

/// Whoever may look at an instance sees its user data.
fn no_secret_in_user_data(place: &Place) -> Result<(), CommandFailure> {
    if place.secret().is_none() {
        return Ok(());
    }
    let error = anyhow!("the address of NATS has a password, which user data would show to many");
    Err(CommandFailure::usage(error)
        .advise("name a --nats-credentials FILE that the image has, or bring --ec2-user-data FILE"))
}

fn check_user_data(data: Option<&[u8]>) -> Result<(), CommandFailure> {
    let bytes = data.map_or(0, <[u8]>::len);
    if bytes <= USER_DATA_BYTES_MAX {
        return Ok(());
    }
    let error = anyhow!("the user data have {bytes} bytes, and EC2 takes {USER_DATA_BYTES_MAX}");
    Err(CommandFailure::usage(error)
        .advise("let them fetch what is large, from a bucket for example"))
}

/// The launcher that finds the instances of a run, and ends them.
pub(crate) async fn find_instances(
    run: &RunId,
    region: Option<&str>,
    profile: Option<&str>,
) -> Result<Arc<dyn Launcher>, CommandFailure> {
    instances(run, None, Ec2Settings::default(), (region, profile)).await
}

#[cfg(feature = "ec2")]
async fn instances(
    run: &RunId,
    channel: Option<&str>,
    settings: Ec2Settings,
    (region, profile): (Option<&str>, Option<&str>),
) -> Result<Arc<dyn Launcher>, CommandFailure> {
    let connected =
        s3bl_adapters::launcher::ec2::Ec2Launcher::connect(run, channel, settings, region, profile);
    let launcher = connected.await.map_err(CommandFailure::could_not_run)?;
    Ok(Arc::new(launcher))
}

/// What came of each right that was asked about.
type Tried = Vec<(&'static str, Result<(), LaunchError>)>;

#[cfg(feature = "ec2")]
async fn try_instances(
    run: &RunId,
    channel: &str,
    settings: Ec2Settings,
    (region, profile): (Option<&str>, Option<&str>),
) -> Result<Tried, CommandFailure> {
    let channel = Some(channel);
    let connected =
        s3bl_adapters::launcher::ec2::Ec2Launcher::connect(run, channel, settings, region, profile);
    Ok(connected.await.map_err(CommandFailure::could_not_run)?.try_out().await)
}

#[cfg(not(feature = "ec2"))]
async fn try_instances(
    _: &RunId,
    _: &str,
    _: Ec2Settings,
    _: (Option<&str>, Option<&str>),
) -> Result<Tried, CommandFailure> {
    Err(without_ec2())
}

#[cfg(not(feature = "ec2"))]
async fn instances(
    _: &RunId,
    _: Option<&str>,
    _: Ec2Settings,
    _: (Option<&str>, Option<&str>),
) -> Result<Arc<dyn Launcher>, CommandFailure> {
    Err(without_ec2())
}

/// What a program says to requests for instances that was built without them.
#[cfg(not(feature = "ec2"))]
pub(crate) fn without_ec2() -> CommandFailure {
    let error = anyhow!("this program was built without EC2");
    CommandFailure::usage(error).advise("build it with the feature `ec2`, which is a default")
}
