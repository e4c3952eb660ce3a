//! `demo`: a load that anyone can watch, into an S3 server within this program.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Parser as _;
use s3bl_core::id::RunId;
use s3bl_s3::{HeadObject, ListObjectsV2};

use super::Stage;
use super::load::{begin, exit_of, give_report};
use crate::args::{Cli, Command, DemoArgs};
use crate::demo::{EmbeddedServer, ServerOptions, StoreLocation, write_sample};
use crate::exit::Exit;
use crate::face::report::RunPlace;
use crate::failure::CommandFailure;
use crate::wiring::{FixedKeys, open_bucket};
use crate::{settings, talk};

const BUCKET: &str = "demo-bucket";
const PREFIX: &str = "sample";
/// Objects that are shown afterwards.
const SHOWN: usize = 3;

/// `demo [DIR]`.
pub(crate) async fn demo(stage: &Stage, args: &DemoArgs) -> Result<Exit, CommandFailure> {
    let scratch = tempfile::tempdir().context("make a folder for the demonstration")?;
    let source = match &args.source {
        Some(named) => PathBuf::from(named),
        None => make_sample(stage, scratch.path())?,
    };
    let options = ServerOptions {
        port: args.port,
        location: StoreLocation::Directory(scratch.path().join("objects")),
        credentials: None,
        buckets: vec![BUCKET.to_owned()],
    };
    // The server gets threads of its own, so that it is as far from the loader as a real one.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("demo-server")
        .enable_all()
        .build()
        .context("start the server's threads")?;
    let server = runtime
        .spawn(EmbeddedServer::start(options))
        .await
        .context("start the server within this program")?
        .context("start the server within this program")?;
    let led = load_into(stage, &source, &server).await;
    let (exit, endpoint) = led?;
    if args.stay {
        talk::say("the server stays up; press Ctrl-C to end it");
        tokio::signal::ctrl_c().await.context("wait for Ctrl-C")?;
    } else if !stage.talk.quiet {
        talk::say(&format!(
            "\nto look around yourself: s3-bucket-loader demo --stay (it was at {endpoint})"
        ));
    }
    let stopped = runtime.spawn(server.stop()).await;
    runtime.shutdown_background();
    stopped.context("stop the server within this program")?;
    Ok(exit)
}

fn make_sample(stage: &Stage, scratch: &Path) -> Result<PathBuf, CommandFailure> {
    let root = scratch.join("sample");
    std::fs::create_dir(&root).context("make the sample's folder")?;
    let summary = write_sample(&root, 1).context("make the sample tree")?;
    if !stage.talk.quiet {
        talk::say(&format!(
            "a sample tree: {} files, {} directories, {} links, {}",
            summary.files,
            summary.directories,
            summary.symlinks,
            s3bl_core::unit::ByteCount(summary.bytes)
        ));
    }
    Ok(root)
}

async fn load_into(
    stage: &Stage,
    source: &Path,
    server: &EmbeddedServer,
) -> Result<(Exit, String), CommandFailure> {
    let endpoint = server.endpoint_url();
    let (access_key, secret_key) = server.credentials();
    let keys = FixedKeys { access_key: access_key.to_owned(), secret_key: secret_key.to_owned() };
    let destination = format!("s3://{BUCKET}/{PREFIX}");
    // The demonstration is a load like any other: the same words, read by the same reader.
    let words = [
        "s3-bucket-loader".as_ref(),
        "load".as_ref(),
        source.as_os_str(),
        destination.as_ref(),
        "--endpoint-url".as_ref(),
        endpoint.as_ref(),
        "--region".as_ref(),
        "us-east-1".as_ref(),
    ];
    let cli = Cli::try_parse_from(words).map_err(CommandFailure::usage)?;
    let Command::Load(load) = cli.command else {
        unreachable!("the words begin with `load`");
    };
    let settings = settings::of_job(&load.job)?;
    let led = begin(stage, settings.clone(), 1, Some(&keys)).await?;
    give_report(stage, &led);
    if !stage.talk.quiet && !stage.talk.json {
        show_objects(&settings, &keys).await?;
        talk::give(&look_around(&endpoint, &keys, &stage.home.place(&led.run), &led.run));
    }
    Ok((exit_of(led.report.exit_code), endpoint))
}

/// Shows a few objects as the server holds them.
async fn show_objects(
    settings: &s3bl_core::settings::RunSettings,
    keys: &FixedKeys,
) -> Result<(), CommandFailure> {
    let place = settings.destination.bucket().context("the sample goes to a bucket")?;
    let bucket = open_bucket(place, Some(keys)).await?;
    let prefix = format!("{PREFIX}/");
    let list = ListObjectsV2::new(&bucket.name, &prefix);
    let page = bucket.client.list_objects_v2(&list).await.context("list what was written")?;
    talk::give("\nas the server holds them:\n");
    for entry in page.entries.iter().filter(|entry| entry.size > 0).take(SHOWN) {
        let head = HeadObject::new(&bucket.name, &entry.key);
        let found = bucket.client.head_object(&head).await.context("look at an object")?;
        let crc = found.crc64nvme.map(|crc| s3bl_core::checksum::Crc64Nvme(crc).to_base64());
        let value = |name: &str| {
            let found = found.metadata.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).unwrap_or_default()
        };
        talk::give(&format!(
            "  {:?} {} bytes, CRC64NVME {}, mode {}, uid {}, mtime {}\n",
            entry.key,
            found.size,
            crc.unwrap_or_default(),
            value("mode"),
            value("uid"),
            value("mtime"),
        ));
    }
    Ok(())
}

fn look_around(endpoint: &str, keys: &FixedKeys, place: &RunPlace, run: &RunId) -> String {
    let (report, status) = (place.command(&format!("report {run}")), place.command("status"));
    format!(
        "\nlook at the run:\n  {report}\n  {status}\n\nwhile the server is up \
         (demo --stay):\n  export AWS_ACCESS_KEY_ID={} AWS_SECRET_ACCESS_KEY={} AWS_REGION=us-east-1\n  aws --endpoint-url {endpoint} s3 \
         ls --recursive s3://{BUCKET}/{PREFIX}/\n",
        keys.access_key, keys.secret_key
    )
}
