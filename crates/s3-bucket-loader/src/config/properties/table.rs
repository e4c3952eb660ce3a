//! Every property of the original, at both of its commits, and what it is here.
//!
//! The names and their effects are those of github.com/bitsofinfo/s3-bucket-loader: its seed commit and its head of 2016.

/// Where the original had a property.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Since {
    /// At the seed commit and later.
    Seed,
    /// Later only.
    Later,
}

/// Which of the original's processes read a property.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reader {
    /// The master.
    Master,
    /// Each worker.
    Worker,
    /// Both.
    Both,
}

/// One property.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Property {
    /// Its name in the file.
    pub(crate) name: &'static str,
    /// Since when.
    pub(crate) since: Since,
    /// Read by whom.
    pub(crate) reader: Reader,
    /// The flags that it becomes, without their dashes; none if it has no meaning any more.
    pub(crate) flags: &'static [&'static str],
    /// What becomes of it, for people.
    pub(crate) becomes: &'static str,
}

const fn row(
    name: &'static str,
    since: Since,
    reader: Reader,
    flags: &'static [&'static str],
    becomes: &'static str,
) -> Property {
    Property { name, since, reader, flags, becomes }
}

use Reader::{Both, Master, Worker};
use Since::{Later, Seed};

/// All properties, in the order in which the original's sample has them.
pub(crate) const PROPERTIES: &[Property] = &[
    row(
        "aws.sns.control.topic.name",
        Seed,
        Both,
        &["channel", "transport"],
        "the name of the channel, over SQS and SNS; master and worker must have the same, and no suffix is added",
    ),
    row(
        "aws.sqs.queue.name",
        Seed,
        Both,
        &[],
        "nothing: the queues have names made from the channel's",
    ),
    row(
        "aws.access.key",
        Seed,
        Both,
        &[],
        "`AWS_ACCESS_KEY_ID` of this process alone; better leave it out and use a profile or a role",
    ),
    row(
        "aws.secret.key",
        Seed,
        Both,
        &[],
        "`AWS_SECRET_ACCESS_KEY` of this process alone; better leave it out and use a profile or a role",
    ),
    row("aws.account.principal.id", Seed, Both, &[], "nothing: the original did not use it either"),
    row(
        "aws.user.arn",
        Seed,
        Both,
        &[],
        "nothing: each worker's queue admits the run's topic alone",
    ),
    row(
        "tocGenerator.class",
        Seed,
        Master,
        &[],
        "what the source is: `DirectoryCrawler` a directory, `TOCManifestBasedGenerator` a list, `S3BucketObjectLister` a bucket",
    ),
    row("tocGenerator.source.dir", Seed, Master, &[], "`SRC`"),
    row(
        "tocGenerator.lastModifiedAtGreaterThanFilter",
        Later,
        Master,
        &["newer-than"],
        "the same: files changed on that day or later",
    ),
    row(
        "tocGenerator.toc.manifest.file",
        Later,
        Master,
        &["files-from", "files-from-format"],
        "the list, read as the original did",
    ),
    row("tocGenerator.source.s3.bucketName", Later, Master, &[], "`SRC`, as `s3://NAME`"),
    row(
        "master.workers.total",
        Seed,
        Master,
        &["workers", "min-workers"],
        "the same: the run starts when so many workers are there",
    ),
    row(
        "master.tocqueue.dispatch.threads",
        Seed,
        Master,
        &[],
        "nothing: entries travel in batches",
    ),
    row(
        "master.failfast.on.worker.current.summary.error",
        Seed,
        Master,
        &["fail-fast"],
        "the same",
    ),
    row("master.workers.ec2.managed", Seed, Master, &["launcher"], "`ec2`"),
    row("master.workers.ec2.ami.id", Seed, Master, &["ec2-image"], "the same"),
    row("master.workers.ec2.instanceType", Seed, Master, &["ec2-instance-type"], "the same"),
    row("master.workers.ec2.keyName", Seed, Master, &["ec2-key-name"], "the same"),
    row("master.workers.ec2.securityGroupId", Seed, Master, &["ec2-security-group"], "the same"),
    row("master.workers.ec2.subnetId", Seed, Master, &["ec2-subnet"], "the same"),
    row(
        "master.workers.ec2.shutdownBehavior",
        Seed,
        Master,
        &["ec2-shutdown-behavior"],
        "the same",
    ),
    row(
        "master.workers.ec2.userDataFile",
        Seed,
        Master,
        &["ec2-user-data"],
        "the same, byte for byte",
    ),
    row(
        "master.workers.ec2.minutes.to.wait.for.worker.init",
        Later,
        Master,
        &["worker-wait"],
        "the same",
    ),
    row("master.workers.ec2.disk.deviceName", Later, Master, &["ec2-disk-device"], "the same"),
    row("master.workers.ec2.disk.volumeType", Later, Master, &["ec2-disk-type"], "the same"),
    row(
        "master.workers.ec2.disk.size.gigabytes",
        Later,
        Master,
        &["ec2-disk-gigabytes"],
        "the same",
    ),
    row(
        "master.auto.shutdown.after.n.minutes",
        Later,
        Master,
        &["auto-shutdown"],
        "the same, in every end state and not after an error alone",
    ),
    row("master.source.host.ec2.instanceId", Later, Master, &["source-host-instance"], "the same"),
    row(
        "master.source.host.ec2.stopOnMasterShutdown",
        Later,
        Master,
        &["source-host-stop"],
        "the same",
    ),
    row(
        "master.source.host.post.start.cmd",
        Later,
        Master,
        &["source-host-start-command"],
        "the same",
    ),
    row(
        "master.source.host.pre.stop.cmd",
        Later,
        Master,
        &["source-host-stop-command"],
        "the same",
    ),
    row("master.s3.log.bucket", Later, Master, &["log-upload"], "the same, as `s3://NAME`"),
    row(
        "master.s3.log.worker.files",
        Later,
        Master,
        &[],
        "nothing: a worker uploads the log of the run, to the place in its own configuration",
    ),
    row(
        "master.s3.log.master.files",
        Later,
        Master,
        &[],
        "nothing: the master uploads the files of the run's folder",
    ),
    row(
        "master.workers.error.report.logfile",
        Later,
        Master,
        &[],
        "nothing: `report.json` and `failures.ndjson` lie in the run's folder",
    ),
    row(
        "worker.toc.consumer.threads.num",
        Seed,
        Worker,
        &["concurrency"],
        "files that are copied at once into a directory; to a bucket, the number of requests in flight finds its own level",
    ),
    row(
        "worker.toc.consumer.threads.min.requests.before.idle",
        Later,
        Worker,
        &[],
        "nothing: a worker is idle when the master says that all is written",
    ),
    row("worker.initialize.cmd", Seed, Worker, &["initialize-command"], "the same"),
    row(
        "worker.initialize.cmd.env",
        Seed,
        Worker,
        &["initialize-command"],
        "`env -i K=V ...` before the command, for it replaced the whole environment",
    ),
    row("worker.destroy.cmd", Seed, Worker, &["destroy-command"], "the same"),
    row(
        "worker.destroy.cmd.env",
        Seed,
        Worker,
        &["destroy-command"],
        "as for `worker.initialize.cmd.env`",
    ),
    row(
        "worker.pre.validate.cmd",
        Later,
        Worker,
        &["pre-validate-command"],
        "the same; `%worker.initialize.cmd%` and `;` as documented, and a single command is run, too",
    ),
    row(
        "worker.pre.validate.cmd.env",
        Later,
        Worker,
        &["pre-validate-command"],
        "as for `worker.initialize.cmd.env`",
    ),
    row(
        "worker.write.complete.monitor.class",
        Seed,
        Worker,
        &["destination-monitor"],
        "`yas3fs`, for a directory",
    ),
    row(
        "worker.write.complete.monitor.yas3fs.checkEveryMS",
        Seed,
        Worker,
        &[],
        "nothing: the log is followed as it grows",
    ),
    row(
        "worker.write.complete.monitor.yas3fs.logFilePath",
        Seed,
        Worker,
        &["monitor-log"],
        "the same, for a directory",
    ),
    row(
        "worker.write.backoff.monitor.class",
        Later,
        Worker,
        &["destination-monitor"],
        "`yas3fs`, for a directory: one monitor does what three did",
    ),
    row(
        "worker.write.backoff.monitor.yas3fs.backoffWhenMultipartUploads",
        Later,
        Worker,
        &["monitor-multipart-max"],
        "the same, for a directory",
    ),
    row(
        "worker.write.backoff.monitor.yas3fs.backoffWhenTotalHTTPSConns",
        Later,
        Worker,
        &[],
        "nothing: connections of all programs were counted, those to queues included",
    ),
    row(
        "worker.write.backoff.monitor.yas3fs.backoffWhenTotalS3Uploads",
        Later,
        Worker,
        &["monitor-queued-max"],
        "the same, for a directory",
    ),
    row(
        "worker.write.backoff.monitor.yas3fs.checkEveryMS",
        Later,
        Worker,
        &[],
        "nothing: the log is followed as it grows",
    ),
    row(
        "worker.write.backoff.monitor.yas3fs.logFilePath",
        Later,
        Worker,
        &["monitor-log"],
        "the same, for a directory",
    ),
    row(
        "worker.write.error.monitor.class",
        Later,
        Worker,
        &["destination-monitor"],
        "`yas3fs`, for a directory",
    ),
    row(
        "worker.write.error.monitor.yas3fs.checkEveryMS",
        Later,
        Worker,
        &[],
        "nothing: the log is followed as it grows",
    ),
    row(
        "worker.write.error.monitor.yas3fs.logFilePath",
        Later,
        Worker,
        &["monitor-log"],
        "the same, for a directory",
    ),
    row(
        "tocPayloadHandler.write.class",
        Seed,
        Worker,
        &["copier"],
        "`RSyncInvokingTOCPayloadHandler` is rsync, `FileCopyTOCPayloadHandler` rsync or cp, `S3KeyCopyingTOCPayloadHandler` a load from bucket to bucket",
    ),
    row(
        "tocPayloadHandler.validate.class",
        Seed,
        Worker,
        &[],
        "nothing: there was only `ValidatingTOCPayloadHandler`",
    ),
    row(
        "tocPayloadHandler.source.dir.root",
        Seed,
        Worker,
        &["source"],
        "`--source` of a worker; `SRC` of `load` where `tocGenerator.source.dir` is missing",
    ),
    row(
        "tocPayloadHandler.target.dir.root",
        Seed,
        Worker,
        &[],
        "`DEST`, where files do not go straight to the bucket",
    ),
    row(
        "tocPayloadHandler.write.retries",
        Later,
        Worker,
        &["copier-attempts"],
        "the same, and not squared",
    ),
    row("tocPayloadHandler.write.retries.sleep.ms", Later, Worker, &["copier-pause"], "the same"),
    row(
        "tocPayloadHandler.write.use.rsync",
        Later,
        Worker,
        &["copier"],
        "`rsync` if true, else `cp`",
    ),
    row("tocPayloadHandler.write.rsync.options", Later, Worker, &["copier-options"], "the same"),
    row(
        "tocPayloadHandler.write.rsync.tolerable.error.regex",
        Later,
        Worker,
        &["copier-tolerate"],
        "the same, matched with all that rsync said; the file must be right all the same",
    ),
    row("tocPayloadHandler.write.chown", Later, Worker, &["chown"], "the same, as numbers"),
    row(
        "tocPayloadHandler.write.chown.dirsOnly",
        Later,
        Worker,
        &["chown"],
        "`D` before the owner",
    ),
    row("tocPayloadHandler.write.chmod", Later, Worker, &["chmod"], "the same"),
    row("tocPayloadHandler.write.chmod.dirsOnly", Later, Worker, &["chmod"], "`D` before the mode"),
    row(
        "tocPayloadHandler.write.post.success.validate.local.dir",
        Later,
        Worker,
        &[],
        "nothing: each file is read back and compared when it is written",
    ),
    row(
        "tocPayloadHandler.write.post.success.validate.logfile",
        Later,
        Worker,
        &[],
        "nothing: what is not right is a failure, in `failures.ndjson`",
    ),
    row(
        "tocPayloadHandler.write.post.success.validate.skipDirectories",
        Later,
        Worker,
        &[],
        "nothing, for the same reason",
    ),
    row(
        "tocPayloadHandler.write.s3keyCopy.sourceS3BucketName",
        Later,
        Worker,
        &[],
        "`SRC`, as `s3://NAME`",
    ),
    row(
        "tocPayloadHandler.write.s3keyCopy.targetS3BucketName",
        Later,
        Worker,
        &[],
        "`DEST`, as `s3://NAME`",
    ),
    row(
        "tocPayloadHandler.write.s3keyCopy.storageClass",
        Later,
        Worker,
        &["storage-class"],
        "the same",
    ),
    row(
        "tocPayloadHandler.write.s3keyCopy.enableServerSideEncryption",
        Later,
        Worker,
        &["sse"],
        "`AES256` if true",
    ),
    row(
        "tocPayloadHandler.validate.mode",
        Later,
        Worker,
        &["validate-at"],
        "for a directory: `validateEverywhere` is `both`, `validateLocallyOnly` `destination`, `validateS3Only` `bucket`, `validateLocallyThenS3OnFailure` `destination-then-bucket`",
    ),
    row(
        "tocPayloadHandler.validate.s3.bucketName",
        Later,
        Worker,
        &["validate-bucket"],
        "`DEST`, as `s3://NAME`: files go straight there; for a directory the bucket behind it",
    ),
];

/// The property of a name.
pub(crate) fn property(name: &str) -> Option<&'static Property> {
    PROPERTIES.iter().find(|property| property.name == name)
}
