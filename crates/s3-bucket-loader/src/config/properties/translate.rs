//! From properties to flags.

use super::file::PropertiesFile;

/// For whom a file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// `load` and `plan`: master and workers in one process.
    Alone,
    /// `master`.
    Master,
    /// `worker`.
    Worker,
}

/// A flag that a property has become.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    /// Its name without dashes.
    pub(crate) flag: &'static str,
    /// Its value.
    pub(crate) value: toml::Value,
    /// The property that it comes from.
    pub(crate) property: &'static str,
    /// The line of that.
    pub(crate) line: usize,
}

/// What a file comes to.
#[derive(Debug, Default)]
pub(crate) struct Translation {
    /// Flags, in the order of the table.
    pub(crate) settings: Vec<Setting>,
    /// `SRC`.
    pub(crate) source: Option<String>,
    /// `DEST`.
    pub(crate) destination: Option<String>,
    /// Static credentials: the key's name and the secret.
    pub(crate) keys: Option<(String, String)>,
    /// What is wrong, by line.
    pub(crate) faults: Vec<(usize, String)>,
    /// What is worth knowing, by line.
    pub(crate) notes: Vec<(usize, String)>,
}

/// Translates a file for a role. `typed` is the destination that was typed, which decides what else has a meaning.
pub(crate) fn translate(bytes: &[u8], role: Role, typed: Option<&str>) -> Translation {
    let file = PropertiesFile::parse(bytes);
    let mut translator = Translator { file, role, done: Translation::default() };
    translator.places(typed);
    translator.channel();
    translator.credentials();
    translator.source();
    translator.master();
    translator.cluster();
    translator.commands();
    if translator.is_directory() {
        translator.copier();
        translator.monitors();
    } else {
        translator.tell_what_a_bucket_needs_not();
    }
    translator.rights();
    let Translator { file, mut done, .. } = translator;
    (done.faults, done.notes) = file.into_words();
    done
}

pub(super) struct Translator {
    pub(super) file: PropertiesFile,
    pub(super) role: Role,
    pub(super) done: Translation,
}

/// Properties of which nothing is left, with the reason.
const WITHOUT_MEANING: [(&str, &str); 3] = [
    ("master.tocqueue.dispatch.threads", "has no meaning any more: entries travel in batches"),
    ("aws.account.principal.id", "has no meaning: the original did not use it either"),
    ("aws.user.arn", "has no meaning any more: each worker's queue admits the run's topic alone"),
];

impl Translator {
    pub(super) fn set(
        &mut self,
        flag: &'static str,
        property: &'static str,
        value: impl Into<toml::Value>,
    ) {
        let line = self.file.line(property);
        self.done.settings.push(Setting { flag, value: value.into(), property, line });
    }

    /// A property that is a flag as it is.
    pub(super) fn same(&mut self, property: &'static str, flag: &'static str) {
        if let Some(text) = self.file.text(property) {
            self.set(flag, property, text);
        }
    }

    fn is_worker(&self) -> bool {
        self.role == Role::Worker
    }

    fn is_directory(&self) -> bool {
        self.done.destination.as_ref().is_some_and(|it| !it.contains("://"))
    }

    /// Source and destination.
    fn places(&mut self, typed: Option<&str>) {
        let handler = self.file.class(
            "tocPayloadHandler.write.class",
            &[
                ("RSyncInvokingTOCPayloadHandler", "rsync"),
                ("FileCopyTOCPayloadHandler", "file"),
                ("S3KeyCopyingTOCPayloadHandler", "keys"),
            ],
        );
        let mode = self.mode();
        let bucket = self.file.text("tocPayloadHandler.validate.s3.bucketName");
        let bucket = bucket.map(|name| format!("s3://{name}"));
        let directory = self.file.text("tocPayloadHandler.target.dir.root");
        let copied = self.file.text("tocPayloadHandler.write.s3keyCopy.targetS3BucketName");
        self.done.destination = match typed {
            Some(typed) => Some(typed.to_owned()),
            None if handler == Some("keys") => copied.map(|name| format!("s3://{name}")),
            None if mode == Some("destination") => directory.or(bucket),
            None => {
                if bucket.is_some() && directory.is_some() {
                    self.file.note(
                        "tocPayloadHandler.target.dir.root",
                        "is not written to: files go straight to the bucket; name it as DEST to write through it",
                    );
                }
                bucket.or(directory)
            }
        };
        if self.done.destination.is_none() && !self.is_worker() {
            self.file.fault(
                "tocPayloadHandler.validate.s3.bucketName",
                "is missing, and so is tocPayloadHandler.target.dir.root: one of them says where files go",
            );
        }
        if handler == Some("keys") && typed.is_none() {
            self.same("tocPayloadHandler.write.s3keyCopy.storageClass", "storage-class");
            let property = "tocPayloadHandler.write.s3keyCopy.enableServerSideEncryption";
            if self.file.is_true(property) {
                self.set("sse", property, "AES256");
            }
        }
        self.storage_class();
    }

    /// The names of storage classes were Java's.
    fn storage_class(&mut self) {
        let property = "tocPayloadHandler.write.s3keyCopy.storageClass";
        let words = [
            ("Standard", "STANDARD"),
            ("ReducedRedundancy", "REDUCED_REDUNDANCY"),
            ("Glacier", "GLACIER"),
        ];
        let class = self.file.choice(property, &words);
        let settings = &mut self.done.settings;
        if let (Some(class), Some(set)) =
            (class, settings.iter_mut().find(|it| it.flag == "storage-class"))
        {
            set.value = class.into();
        }
    }

    pub(super) fn mode(&mut self) -> Option<&'static str> {
        self.file.choice(
            "tocPayloadHandler.validate.mode",
            &[
                ("validateEverywhere", "both"),
                ("validateLocallyOnly", "destination"),
                ("validateS3Only", "bucket"),
                ("validateLocallyThenS3OnFailure", "destination-then-bucket"),
            ],
        )
    }

    fn channel(&mut self) {
        let (topic, queue) = ("aws.sns.control.topic.name", "aws.sqs.queue.name");
        if self.role == Role::Alone {
            return;
        }
        let name = self.file.text(topic).map(|name| (topic, name));
        let name = name.or_else(|| self.file.text(queue).map(|name| (queue, name)));
        match name {
            Some((property, name)) => {
                self.set("transport", property, "aws");
                self.set("channel", property, name);
            }
            None => self.file.fault(topic, "is missing: master and workers meet under this name"),
        }
    }

    fn credentials(&mut self) {
        let (name, secret) = ("aws.access.key", "aws.secret.key");
        match (self.file.text(name), self.file.text(secret)) {
            (Some(access), Some(key)) => {
                self.file.note(
                    name,
                    "and `aws.secret.key` lie in a file: a profile or a role keeps them elsewhere",
                );
                self.done.keys = Some((access, key));
            }
            (Some(_), None) => self.file.fault(secret, "is missing beside `aws.access.key`"),
            (None, Some(_)) => self.file.fault(name, "is missing beside `aws.secret.key`"),
            (None, None) => {}
        }
        for (property, why) in WITHOUT_MEANING {
            if self.file.line(property) > 0 {
                self.file.note(property, why);
            }
        }
    }

    fn source(&mut self) {
        let (listed, root) = ("tocGenerator.source.dir", "tocPayloadHandler.source.dir.root");
        if self.is_worker() {
            self.same(root, "source");
            return;
        }
        let generator = self.file.class(
            "tocGenerator.class",
            &[
                ("DirectoryCrawler", "crawler"),
                ("TOCManifestBasedGenerator", "list"),
                ("S3BucketObjectLister", "bucket"),
            ],
        );
        if generator == Some("bucket") {
            let (name, copied) = (
                "tocGenerator.source.s3.bucketName",
                "tocPayloadHandler.write.s3keyCopy.sourceS3BucketName",
            );
            let bucket = self.file.text(name).or_else(|| self.file.text(copied));
            match bucket {
                Some(bucket) => self.done.source = Some(format!("s3://{bucket}")),
                None => self.file.fault(name, "is missing: it says which bucket is listed"),
            }
            return;
        }
        self.done.source = self.file.text(listed).or_else(|| self.file.text(root));
        if self.done.source.is_none() {
            self.file.fault(listed, "is missing: it says which directory is loaded");
        }
        let manifest = "tocGenerator.toc.manifest.file";
        match (generator, self.file.text(manifest)) {
            (Some("list"), Some(list)) => {
                self.set("files-from", manifest, list);
                self.set("files-from-format", manifest, "original");
            }
            (Some("list"), None) => {
                self.file.fault(manifest, "is missing: it says which files are loaded");
            }
            _ => {
                // The crawler left out what begins with a dot.
                self.set("hidden", "tocGenerator.class", "skip");
                self.same("tocGenerator.lastModifiedAtGreaterThanFilter", "newer-than");
            }
        }
    }

    fn master(&mut self) {
        if self.role != Role::Master {
            return;
        }
        let total = "master.workers.total";
        match self.file.number(total) {
            Some(0) => self.file.fault(total, "is 0, but a run needs a worker"),
            Some(number) => {
                let number = i64::try_from(number).unwrap_or(i64::MAX);
                self.set("workers", total, number);
                self.set("min-workers", total, number);
            }
            None if self.file.line(total) == 0 => {
                self.file.fault(total, "is missing: it says how many workers the start waits for");
            }
            None => {}
        }
        self.flag_if_true("master.failfast.on.worker.current.summary.error", "fail-fast");
        self.minutes("master.workers.ec2.minutes.to.wait.for.worker.init", "worker-wait");
        self.minutes("master.auto.shutdown.after.n.minutes", "auto-shutdown");
        if let Some(bucket) = self.file.text("master.s3.log.bucket") {
            self.set("log-upload", "master.s3.log.bucket", format!("s3://{bucket}"));
        }
        let report = "master.workers.error.report.logfile";
        if self.file.line(report) > 0 {
            self.file.note(
                report,
                "is not written: see report.json and failures.ndjson in the run's folder",
            );
        }
    }

    fn cluster(&mut self) {
        if self.role != Role::Master {
            return;
        }
        if self.file.is_true("master.workers.ec2.managed") {
            self.set("launcher", "master.workers.ec2.managed", "ec2");
            for (property, flag) in [
                ("master.workers.ec2.ami.id", "ec2-image"),
                ("master.workers.ec2.instanceType", "ec2-instance-type"),
                ("master.workers.ec2.keyName", "ec2-key-name"),
                ("master.workers.ec2.securityGroupId", "ec2-security-group"),
                ("master.workers.ec2.subnetId", "ec2-subnet"),
                ("master.workers.ec2.userDataFile", "ec2-user-data"),
            ] {
                if self.file.text(property).is_none() {
                    self.file
                        .fault(property, "is missing beside `master.workers.ec2.managed=true`");
                }
                self.same(property, flag);
            }
            let behaviour = "master.workers.ec2.shutdownBehavior";
            let words = [("Stop", "stop"), ("Terminate", "terminate")];
            if let Some(word) = self.file.choice(behaviour, &words) {
                self.set("ec2-shutdown-behavior", behaviour, word);
            }
            self.same("master.workers.ec2.disk.deviceName", "ec2-disk-device");
            let disk = "master.workers.ec2.disk.volumeType";
            let words = [("Standard", "standard"), ("Io1", "io1"), ("Gp2", "gp2")];
            if let Some(word) = self.file.choice(disk, &words) {
                self.set("ec2-disk-type", disk, word);
            }
            let size = "master.workers.ec2.disk.size.gigabytes";
            if let Some(number) = self.file.number(size) {
                self.set("ec2-disk-gigabytes", size, i64::try_from(number).unwrap_or(i64::MAX));
            }
        }
        self.same("master.source.host.ec2.instanceId", "source-host-instance");
        self.flag_if_true("master.source.host.ec2.stopOnMasterShutdown", "source-host-stop");
        self.same("master.source.host.post.start.cmd", "source-host-start-command");
        self.same("master.source.host.pre.stop.cmd", "source-host-stop-command");
    }

    fn rights(&mut self) {
        if self.is_worker() {
            return;
        }
        for (property, only, flag) in [
            ("tocPayloadHandler.write.chown", "tocPayloadHandler.write.chown.dirsOnly", "chown"),
            ("tocPayloadHandler.write.chmod", "tocPayloadHandler.write.chmod.dirsOnly", "chmod"),
        ] {
            let scope = if self.file.is_true(only) { "D" } else { "" };
            if let Some(text) = self.file.text(property) {
                self.set(flag, property, format!("{scope}{text}"));
            }
        }
    }

    fn flag_if_true(&mut self, property: &'static str, flag: &'static str) {
        if self.file.is_true(property) {
            self.set(flag, property, true);
        }
    }

    /// Minutes; 0 and less turn it off.
    fn minutes(&mut self, property: &'static str, flag: &'static str) {
        if self.file.text(property).is_some_and(|text| text.starts_with('-')) {
            return;
        }
        if let Some(number) = self.file.number(property).filter(|number| *number > 0) {
            self.set(flag, property, format!("{number}m"));
        }
    }
}
