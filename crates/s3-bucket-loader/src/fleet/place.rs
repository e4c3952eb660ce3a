//! Where a master and its workers meet: a transport, its address, and the name of a channel.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use s3bl_adapters::channel::aws::{AwsChannel, AwsSettings};
use s3bl_adapters::channel::nats::{NatsChannel, NatsSettings};
use s3bl_adapters::channel::socket::SocketChannel;
use s3bl_core::ledger::RunHeader;
use s3bl_port::channel::{Channel, ChannelError, ChannelErrorKind};
use serde::{Deserialize, Serialize};

use super::{LaunchPlan, nats_url};
use crate::args::{BucketArgs, ChannelArgs, Transport};
use crate::failure::CommandFailure;

/// The server of NATS where none is named.
const NATS_URL: &str = "nats://127.0.0.1:4222";

/// Where the members of one run meet; kept in the run's folder, so that `resume` and `cleanup` need no flags.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Place {
    /// The name of the channel.
    pub channel: String,
    /// What carries the messages.
    pub transport: TransportPlace,
    /// How long a delivery is leased.
    pub lease: Duration,
    /// How long a start waits for workers.
    pub worker_wait: Duration,
    /// How often they report.
    pub summary_every: Duration,
    /// Most requests per second of all together.
    pub requests_max: Option<u32>,
    /// How many of them are waited for.
    pub workers: u32,
    /// With how many the run starts all the same.
    pub workers_min: u32,
    /// Who starts them, if the master does.
    pub launch: Option<LaunchPlan>,
    /// The file with the join key, absolute, if one was named: `resume` reads it again.
    pub join_key_file: Option<PathBuf>,
}

/// What carries the messages, and where it is.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum TransportPlace {
    /// SQS and SNS.
    Aws {
        /// The region; found as for the bucket when absent.
        region: Option<String>,
        /// The profile of the AWS configuration.
        profile: Option<String>,
    },
    /// NATS.
    Nats {
        /// Servers, with commas between them.
        url: String,
        /// The credentials file.
        credentials: Option<PathBuf>,
        /// Certificates of the server's authority.
        ca: Option<PathBuf>,
        /// Replicas of the streams.
        replicas: u8,
    },
    /// A Unix socket of the master's.
    Socket {
        /// Its file.
        path: PathBuf,
    },
}

/// How often processes of the master's machine report: it costs nothing.
const PROCESSES_SUMMARY_EVERY: Duration = Duration::from_millis(500);
/// How long they are waited for: they have no machine to boot.
const PROCESSES_WAIT: Duration = Duration::from_mins(1);

impl Place {
    /// Reads what was typed. `name` is the channel's where none was typed.
    pub(crate) fn new(
        args: &ChannelArgs,
        bucket: &BucketArgs,
        name: Option<&str>,
        lease: Duration,
    ) -> Result<Self, CommandFailure> {
        let channel =
            args.channel.as_deref().or(name).or_else(|| args.name()).ok_or_else(|| {
                CommandFailure::usage(anyhow!("no channel is named"))
                    .advise("say --channel NAME, as the master printed it")
            })?;
        let typed = args.transport.or(match (&args.nats_url, &args.socket) {
            (Some(_), _) => Some(Transport::Nats),
            (None, Some(_)) => Some(Transport::Socket),
            (None, None) => None,
        });
        let transport = match (typed, &args.socket) {
            (Some(Transport::Aws), _) => TransportPlace::Aws {
                region: bucket.region.clone(),
                profile: bucket.profile.clone(),
            },
            (Some(Transport::Nats), _) => TransportPlace::Nats {
                url: args.nats_url.clone().unwrap_or_else(|| NATS_URL.to_owned()),
                credentials: args.nats_credentials.clone(),
                ca: args.nats_ca.clone(),
                replicas: args.nats_replicas,
            },
            (Some(Transport::Socket), Some(path)) => TransportPlace::Socket { path: path.clone() },
            (Some(Transport::Socket), None) => {
                let error = anyhow!("--transport socket without --socket");
                return Err(CommandFailure::usage(error)
                    .advise("say --socket PATH, a file in a folder of this machine"));
            }
            (None, _) => {
                let error = anyhow!("no transport is named");
                return Err(CommandFailure::usage(error).advise(
                    "say --transport aws (SQS and SNS), --transport nats --nats-url URL, or --socket PATH for workers on \
                     this machine only",
                ));
            }
        };
        Ok(Self {
            channel: channel.to_owned(),
            transport,
            lease,
            worker_wait: Duration::from_mins(10),
            summary_every: Duration::from_secs(5),
            requests_max: None,
            workers: 1,
            workers_min: 1,
            launch: None,
            join_key_file: None,
        })
    }

    /// Where the processes of one run meet, whose master launches them.
    pub(crate) fn of_processes(
        header: &RunHeader,
        folder: &Path,
        launch: LaunchPlan,
        workers: u32,
    ) -> Self {
        Self {
            channel: header.run.to_string(),
            transport: TransportPlace::Socket { path: folder.join("channel.socket") },
            lease: header.settings.batch.lease,
            worker_wait: PROCESSES_WAIT,
            summary_every: PROCESSES_SUMMARY_EVERY,
            requests_max: None,
            workers,
            workers_min: 1,
            launch: Some(launch),
            join_key_file: None,
        }
    }

    /// Keeps the place in a run's folder, but no secret of its address.
    pub(crate) fn keep(&self, folder: &Path) -> Result<(), CommandFailure> {
        let path = file_in(folder);
        let mut kept = self.clone();
        if let TransportPlace::Nats { url, .. } = &mut kept.transport {
            *url = nats_url::masked(url);
        }
        let text = serde_json::to_string_pretty(&kept).map_err(CommandFailure::could_not_run)?;
        let write = || {
            let mut file = File::create(&path)?;
            file.write_all((text + "\n").as_bytes())?;
            file.sync_all()?;
            File::open(folder)?.sync_all()
        };
        write()
            .with_context(|| format!("write `{}`", path.display()))
            .map_err(CommandFailure::could_not_run)
    }

    /// Finds the place of an earlier run; `None` if that was led within one process.
    pub(crate) fn find(folder: &Path) -> Result<Option<Self>, CommandFailure> {
        let path = file_in(folder);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                let error = anyhow::Error::new(error).context(format!("read `{}`", path.display()));
                return Err(CommandFailure::could_not_run(error));
            }
        };
        let mut place: Self = serde_json::from_str(&text)
            .with_context(|| format!("understand `{}`", path.display()))
            .map_err(CommandFailure::could_not_run)?;
        if let TransportPlace::Nats { url, .. } = &mut place.transport
            && nats_url::is_masked(url)
        {
            *url = with_secret(url)?;
        }
        Ok(Some(place))
    }

    /// Reaches the transport.
    pub(crate) async fn open(&self) -> Result<Arc<dyn Channel>, CommandFailure> {
        let channel = self.channel.clone();
        let opened: Result<Arc<dyn Channel>, ChannelError> = match &self.transport {
            TransportPlace::Aws { region, profile } => AwsChannel::connect(AwsSettings {
                channel,
                region: region.clone(),
                profile: profile.clone(),
                lease: self.lease,
            })
            .await
            .map(|channel| Arc::new(channel) as _),
            TransportPlace::Nats { url, credentials, ca, replicas } => {
                NatsChannel::connect(NatsSettings {
                    urls: url.split(',').map(|url| url.trim().to_owned()).collect(),
                    credentials_file: credentials.clone(),
                    ca_file: ca.clone(),
                    channel,
                    lease: self.lease,
                    replicas: usize::from(*replicas),
                    bytes_max: None,
                })
                .await
                .map(|channel| Arc::new(channel) as _)
            }
            TransportPlace::Socket { path } => {
                SocketChannel::new(path.clone(), self.lease).map(|channel| Arc::new(channel) as _)
            }
        };
        opened.map_err(channel_failure)
    }

    /// The flags with which a worker finds this place, as a line for a shell.
    pub(crate) fn worker_flags(&self) -> String {
        let mut words = self.worker_words();
        if let TransportPlace::Nats { url, .. } = &self.transport
            && nats_url::has_secret(url)
        {
            words.extend(["--nats-url".to_owned(), nats_url::masked(url)]);
        }
        shlex::try_join(words.iter().map(String::as_str)).unwrap_or_else(|_| words.join(" "))
    }

    /// What of this place stands in no command line: a variable of the environment.
    pub(crate) fn secret(&self) -> Option<(&'static str, &str)> {
        match &self.transport {
            TransportPlace::Nats { url, .. } if nats_url::has_secret(url) => {
                Some((nats_url::VARIABLE, url))
            }
            TransportPlace::Nats { .. }
            | TransportPlace::Aws { .. }
            | TransportPlace::Socket { .. } => None,
        }
    }

    /// The flags with which a worker finds this place, as words, but for [`Self::secret`].
    pub(crate) fn worker_words(&self) -> Vec<String> {
        let shown = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        let channel = ("channel", Some(self.channel.clone()));
        let flags = match &self.transport {
            TransportPlace::Aws { region, profile } => vec![
                ("transport", Some("aws".to_owned())),
                channel,
                ("region", region.clone()),
                ("profile", profile.clone()),
            ],
            TransportPlace::Nats { url, credentials, ca, .. } => vec![
                ("transport", Some("nats".to_owned())),
                ("nats-url", Some(url.clone()).filter(|url| !nats_url::has_secret(url))),
                channel,
                ("nats-credentials", shown(credentials)),
                ("nats-ca", shown(ca)),
            ],
            TransportPlace::Socket { path } => vec![
                ("transport", Some("socket".to_owned())),
                ("socket", Some(path.display().to_string())),
                channel,
            ],
        };
        let words = |(name, value): (&str, Option<String>)| Some([format!("--{name}"), value?]);
        flags.into_iter().filter_map(words).flatten().collect()
    }

    /// The region of the transport, if one was named.
    pub(crate) fn region(&self) -> Option<&str> {
        match &self.transport {
            TransportPlace::Aws { region, .. } => region.as_deref(),
            TransportPlace::Nats { .. } | TransportPlace::Socket { .. } => None,
        }
    }
}

/// The address of which this was kept, from the environment.
fn with_secret(kept: &str) -> Result<String, CommandFailure> {
    let variable = nats_url::VARIABLE;
    let given = std::env::var(variable).ok().filter(|given| nats_url::masked(given) == kept);
    given.ok_or_else(|| {
        let error = anyhow!("the run was over NATS at `{kept}`, and its password was not kept");
        CommandFailure::usage(error).advise(format!("set {variable} to the whole address"))
    })
}

fn file_in(folder: &Path) -> PathBuf {
    folder.join("fleet.json")
}

/// A channel that cannot be used.
pub(crate) fn channel_failure(error: ChannelError) -> CommandFailure {
    let advice = match error.kind {
        ChannelErrorKind::Occupied => {
            "name another --channel; or, if that run is over, remove it by `s3-bucket-loader cleanup`"
        }
        ChannelErrorKind::Unreachable => "check the address, the network and the region",
        ChannelErrorKind::Credentials => {
            "check the credentials of the transport, and the clock of this machine if it is named above"
        }
        ChannelErrorKind::Denied => "allow what is named above to this user or role",
        ChannelErrorKind::Invalid => return CommandFailure::usage(error),
        ChannelErrorKind::Other => "see what the transport said above",
    };
    CommandFailure::could_not_run(error).advise(advice)
}
