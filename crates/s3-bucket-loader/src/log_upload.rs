//! The log and the reports of this process, brought to a bucket when it ends, however it ends.
//!
//! Where to is said by this process's own flags, environment or file, and never by a message. What goes wrong here is told,
//! and changes no exit code.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use s3bl_core::checksum::Crc64Nvme;
use s3bl_core::id::{RunId, WorkerId};
use s3bl_core::path::{KeyMap, ObjectKey, RelPath};
use s3bl_core::settings::BucketPlace;
use s3bl_core::toc::{EntryKind, PosixFacts};
use s3bl_core::unit::{ByteCount, FileTime};
use s3bl_port::store::{Body, NewObject, Store, UploadId, Whole};
use tokio::signal::unix::{SignalKind, signal};

use crate::args::{BucketArgs, LogUploadArgs, WorkerArgs};
use crate::command::Stage;
use crate::exit::Exit;
use crate::failure::CommandFailure;
use crate::{face, home, settings, talk, wiring};

/// Files of a run's folder that go along, if they are there.
const RUN_FILES: [&str; 3] = ["log.ndjson", "report.json", "failures.ndjson"];
/// What this process said to people, under this name.
const SAID: &str = "stderr.log";
/// How long the end waits for the bucket.
const UPLOAD_MAX: Duration = Duration::from_mins(1);
/// Bytes that are sent at once; a larger file goes in parts of this size, of which there may be 10,000.
const PART_BYTES: u64 = 8 * 1024 * 1024;

/// A place for the log, and a copy of what this process says to people.
#[derive(Debug)]
pub(crate) struct LogUpload {
    place: BucketPlace,
    said: File,
    is_quiet: bool,
}

/// Does a command that leads a run, and uploads its log as that of this role. The log is filed under the run; of a command that
/// ended before it had one, under a name like one.
pub(crate) async fn around(
    stage: &Stage,
    role: &str,
    (args, bucket): (&LogUploadArgs, &BucketArgs),
    work: impl Future<Output = Result<Exit, CommandFailure>>,
) -> Result<Exit, CommandFailure> {
    let Some(upload) = LogUpload::begin(args, bucket, stage.talk.quiet)? else {
        return work.await;
    };
    let ended = work.await;
    let folder = stage.log.folder();
    let run = folder.as_deref().and_then(Path::file_name);
    let run = match run {
        Some(run) => run.to_string_lossy().into_owned(),
        None => home::new_run().as_str().to_owned(),
    };
    let files = folder.as_deref().map(files_of).unwrap_or_default();
    upload.send((&run, role), files, &ended).await;
    ended
}

/// The files of a run that are there.
fn files_of(folder: &Path) -> Vec<(&'static str, File)> {
    let open = |name: &'static str| match File::open(folder.join(name)) {
        Ok(file) => Some((name, file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            tracing::warn!(%error, name, "a file of the run cannot be uploaded");
            None
        }
    };
    RUN_FILES.into_iter().filter_map(open).collect()
}

impl LogUpload {
    /// Reads where the log is to go, and keeps what is said from now on, in a file that nobody else sees and that ends with
    /// this process. `None` if no upload is asked for.
    pub(crate) fn begin(
        args: &LogUploadArgs,
        bucket: &BucketArgs,
        is_quiet: bool,
    ) -> Result<Option<Self>, CommandFailure> {
        let Some(typed) = &args.log_upload else {
            return Ok(None);
        };
        let place = settings::destination(typed, bucket).map_err(|failure| CommandFailure {
            error: failure.error.context("--log-upload names no place"),
            ..failure
        })?;
        let said = tempfile::tempfile().context("make a file for what --log-upload takes along")?;
        let copy = said.try_clone().context("share the file of --log-upload")?;
        face::progress::copy_to(copy);
        Ok(Some(Self { place, said, is_quiet }))
    }

    /// Uploads files, and what was said, beneath `run/whose/`. A failure is a warning.
    pub(crate) async fn send(
        &self,
        (run, whose): (&str, &str),
        mut files: Vec<(&'static str, File)>,
        ended: &Result<Exit, CommandFailure>,
    ) {
        let sent = async {
            files.insert(0, (SAID, self.said_with(ended)?));
            self.within_bounds((run, whose), files).await
        };
        let folder = format!("{run}/{whose}/");
        let place = s3bl_core::settings::Destination::Bucket(self.place.clone()).url();
        let place = format!("{}/{folder}", place.trim_end_matches('/'));
        match sent.await {
            Ok(()) if self.is_quiet => {}
            Ok(()) => talk::say(&format!("log: {place}")),
            Err(failure) => {
                let words = failure.to_string();
                let words = words.strip_prefix("error: ").unwrap_or(&words);
                talk::say(&format!("warning: the log is not in {place}: {words}"));
            }
        }
    }

    /// What was said so far, and what this process will say last, after this: why it failed.
    fn said_with(&self, ended: &Result<Exit, CommandFailure>) -> Result<File, CommandFailure> {
        let mut said = self.said.try_clone().context("share the file of --log-upload")?;
        if let Err(failure) = ended {
            writeln!(said, "{failure}").context("keep the last words for --log-upload")?;
        }
        Ok(said)
    }

    /// Uploads for as long as the end may take, and nobody is tired of it.
    async fn within_bounds(
        &self,
        folder: (&str, &str),
        files: Vec<(&'static str, File)>,
    ) -> Result<(), CommandFailure> {
        let mut interrupt = signal(SignalKind::interrupt()).context("listen for Ctrl-C")?;
        let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
        tokio::select! {
            uploaded = self.upload(folder, files) => uploaded,
            Some(()) = interrupt.recv() => Err(anyhow!("interrupted").into()),
            Some(()) = terminate.recv() => Err(anyhow!("interrupted").into()),
            () = tokio::time::sleep(UPLOAD_MAX) => {
                Err(anyhow!("it was not done within {} s", UPLOAD_MAX.as_secs()).into())
            }
        }
    }

    async fn upload(
        &self,
        (run, whose): (&str, &str),
        files: Vec<(&'static str, File)>,
    ) -> Result<(), CommandFailure> {
        let store = wiring::open_log_store(&self.place).await?;
        let keys = KeyMap::new(&self.place.prefix);
        for (name, file) in files {
            let path = RelPath::new(format!("{run}/{whose}/{name}")).context("name the log")?;
            let key = keys.key(&path, EntryKind::File).context("name the log")?;
            let key = key.context("a file has a key")?;
            put(&store, &key, file).await.with_context(|| format!("upload {name}"))?;
        }
        Ok(())
    }
}

/// Puts a file as it is now: it may grow meanwhile, by what is said of this upload.
async fn put(store: &dyn Store, key: &ObjectKey, file: File) -> anyhow::Result<()> {
    let size = file.metadata().context("look at it")?.len();
    let facts = facts(size);
    let object = NewObject { key, kind: EntryKind::File, facts: &facts, xattrs: &[] };
    if size <= PART_BYTES {
        let (_, body) = read(file, 0, size).await?;
        store.put(object, body).await?;
        return Ok(());
    }
    let upload = store.begin_upload(object).await?;
    let sent = put_parts(store, (key, &upload), file, size).await;
    if sent.is_err() {
        store.abort_upload(key, &upload).await.context("abort the upload of the log")?;
    }
    sent
}

async fn put_parts(
    store: &dyn Store,
    (key, upload): (&ObjectKey, &UploadId),
    mut file: File,
    size: u64,
) -> anyhow::Result<()> {
    let mut parts = Vec::new();
    let mut whole = Whole { size: ByteCount(0), crc64nvme: Crc64Nvme::of(&[]) };
    while whole.size.0 < size {
        let bytes = PART_BYTES.min(size - whole.size.0);
        let body;
        (file, body) = read(file, whole.size.0, bytes).await?;
        let crc64nvme = whole.crc64nvme.joined(body.crc64nvme, bytes);
        let number = u32::try_from(parts.len() + 1).context("count the parts of the log")?;
        parts.push(store.put_part(key, upload, number, body).await?);
        whole = Whole { size: ByteCount(whole.size.0 + bytes), crc64nvme };
    }
    store.complete_upload(key, upload, &parts, whole).await?;
    Ok(())
}

/// Reads so many bytes from there on.
async fn read(file: File, offset: u64, bytes: u64) -> anyhow::Result<(File, Body)> {
    let reading = tokio::task::spawn_blocking(move || -> anyhow::Result<(File, Body)> {
        let mut buffer = vec![0; usize::try_from(bytes).context("read the log")?];
        file.read_exact_at(&mut buffer, offset).context("read the log")?;
        let crc64nvme = Crc64Nvme::of(&buffer);
        Ok((file, Body { bytes: buffer.into(), crc64nvme }))
    });
    reading.await.context("read the log")?
}

/// No metadata goes along; the size alone is looked at.
fn facts(size: u64) -> PosixFacts {
    let time = FileTime { seconds: 0, nanoseconds: 0 };
    PosixFacts {
        mode: 0o100_600,
        uid: 0,
        gid: 0,
        size: ByteCount(size),
        mtime: time,
        atime: time,
        ctime: time,
        inode: 0,
        links: 1,
        rdev: 0,
        link: 0,
    }
}

/// The log of a worker, which has no folder of its own.
#[derive(Debug)]
pub(crate) struct WorkerLog(Option<Kept>);

#[derive(Debug)]
struct Kept {
    upload: LogUpload,
    log: File,
    worker: String,
    channel: String,
}

impl WorkerLog {
    /// Keeps the log of a worker from now on, if it is to be uploaded.
    pub(crate) fn begin(
        stage: &Stage,
        args: &WorkerArgs,
        worker: &WorkerId,
    ) -> Result<Self, CommandFailure> {
        let upload = LogUpload::begin(&args.log_upload, &args.bucket, stage.talk.quiet)?;
        let Some(upload) = upload else {
            return Ok(Self(None));
        };
        let worker = worker.as_str().to_owned();
        if ["master", "load"].contains(&worker.as_str()) {
            let error = anyhow!("--name {worker} with --log-upload: the master's log lies there");
            return Err(CommandFailure::usage(error).advise("name this worker otherwise"));
        }
        let log = tempfile::tempfile().context("make a file for the log of --log-upload")?;
        stage.log.keep_in(log.try_clone().context("share the log of --log-upload")?);
        let channel = args.channel.name().unwrap_or("no-channel").to_owned();
        Ok(Self(Some(Kept { upload, log, worker, channel })))
    }

    /// Uploads it as it is now, beneath the run that the worker was last in, or the channel if it was in none.
    pub(crate) async fn upload(&self, run: Option<&RunId>, ended: &Result<Exit, CommandFailure>) {
        let Some(Kept { upload, log, worker, channel }) = &self.0 else {
            return;
        };
        let files = match log.try_clone() {
            Ok(log) => vec![("log.ndjson", log)],
            Err(error) => {
                tracing::warn!(%error, "the log cannot be uploaded");
                Vec::new()
            }
        };
        let folder = run.map_or(channel.as_str(), RunId::as_str);
        upload.send((folder, worker), files, ended).await;
    }
}
