//! What the original's workers were told: their commands, and how files got into a directory.

use super::translate::{Role, Translator};

impl Translator {
    pub(super) fn commands(&mut self) {
        if self.role == Role::Master {
            return;
        }
        for (property, environment, flag) in [
            ("worker.initialize.cmd", "worker.initialize.cmd.env", "initialize-command"),
            ("worker.destroy.cmd", "worker.destroy.cmd.env", "destroy-command"),
        ] {
            let environment = self.file.text(environment);
            if let Some(command) = self.file.text(property) {
                let command = self.with_environment(property, &command, environment.as_deref());
                self.set(flag, property, command);
            }
        }
        let (property, environment) = ("worker.pre.validate.cmd", "worker.pre.validate.cmd.env");
        let initialize = |text: String, of: Option<String>, name: &str| match of {
            Some(of) => text.replacen(name, &of, 1),
            None => text,
        };
        let first = self.file.text("worker.initialize.cmd");
        let first_environment = self.file.text("worker.initialize.cmd.env");
        let environment = self
            .file
            .text(environment)
            .map(|text| initialize(text, first_environment, "%worker.initialize.cmd.env%"));
        let Some(commands) = self.file.text(property) else { return };
        let commands = initialize(commands, first, "%worker.initialize.cmd%");
        let commands: Vec<toml::Value> = commands
            .split(';')
            .map(str::trim)
            .filter(|command| !command.is_empty())
            .map(|command| self.with_environment(property, command, environment.as_deref()).into())
            .collect();
        self.set("pre-validate-command", property, commands);
    }

    /// A command with an environment of its own, which replaced all of it.
    fn with_environment(&mut self, property: &str, command: &str, text: Option<&str>) -> String {
        let Some(text) = text else { return command.to_owned() };
        let mut words = vec!["env".to_owned(), "-i".to_owned()];
        for pair in text.split(',').map(str::trim) {
            if !pair.contains('=') || pair.starts_with('=') {
                self.file.fault(
                    property,
                    format!("has `{pair}` in its environment, which is not NAME=VALUE"),
                );
                continue;
            }
            words.push(pair.to_owned());
        }
        match shlex::try_join(words.iter().map(String::as_str)) {
            Ok(words) => format!("{words} {command}"),
            Err(_) => {
                self.file.fault(property, "has a NUL byte in its environment");
                command.to_owned()
            }
        }
    }

    pub(super) fn copier(&mut self) {
        if self.role != Role::Alone {
            return;
        }
        let (class, use_rsync) =
            ("tocPayloadHandler.write.class", "tocPayloadHandler.write.use.rsync");
        let is_seed =
            self.file.text(class).is_some_and(|it| it.ends_with("RSyncInvokingTOCPayloadHandler"));
        let is_rsync = is_seed || self.file.is_true(use_rsync);
        self.set(
            "copier",
            if is_seed { class } else { use_rsync },
            if is_rsync { "rsync" } else { "cp" },
        );
        let options = "tocPayloadHandler.write.rsync.options";
        if is_rsync {
            let words = self.file.text(options).unwrap_or_else(|| "--inplace -avz".to_owned());
            self.set("copier-options", options, words);
            self.same("tocPayloadHandler.write.rsync.tolerable.error.regex", "copier-tolerate");
        }
        let retries = "tocPayloadHandler.write.retries";
        if let Some(number) = self.file.number(retries) {
            self.set("copier-attempts", retries, i64::try_from(number.max(1)).unwrap_or(i64::MAX));
        }
        let pause = "tocPayloadHandler.write.retries.sleep.ms";
        if let Some(number) = self.file.number(pause) {
            self.set("copier-pause", pause, format!("{number}ms"));
        }
        let threads = "worker.toc.consumer.threads.num";
        if let Some(number) = self.file.number(threads) {
            self.set("concurrency", threads, i64::try_from(number).unwrap_or(i64::MAX));
        }
        let bucket = "tocPayloadHandler.validate.s3.bucketName";
        if let Some(place) = self.mode().filter(|place| *place != "destination") {
            match self.file.text(bucket) {
                Some(name) => {
                    self.set("validate-at", "tocPayloadHandler.validate.mode", place);
                    self.set("validate-bucket", bucket, format!("s3://{name}"));
                }
                None => self
                    .file
                    .fault(bucket, "is missing: tocPayloadHandler.validate.mode looks into it"),
            }
        }
    }

    pub(super) fn monitors(&mut self) {
        if self.role != Role::Alone {
            return;
        }
        let mut is_watched = false;
        for (class, log) in [
            (
                "worker.write.complete.monitor.class",
                "worker.write.complete.monitor.yas3fs.logFilePath",
            ),
            (
                "worker.write.backoff.monitor.class",
                "worker.write.backoff.monitor.yas3fs.logFilePath",
            ),
            ("worker.write.error.monitor.class", "worker.write.error.monitor.yas3fs.logFilePath"),
        ] {
            let monitor = self.file.class(class, &[("Yas3fsS3UploadMonitor", "yas3fs")]);
            let path = self.file.text(log);
            let Some(monitor) = monitor else { continue };
            match path {
                Some(path) if !is_watched => {
                    is_watched = true;
                    self.set("destination-monitor", class, monitor);
                    self.set("monitor-log", log, path);
                }
                Some(_) => {}
                None => self.file.fault(log, format!("is missing beside `{class}`")),
            }
        }
        if !is_watched {
            return;
        }
        for (property, flag) in [
            (
                "worker.write.backoff.monitor.yas3fs.backoffWhenMultipartUploads",
                "monitor-multipart-max",
            ),
            ("worker.write.backoff.monitor.yas3fs.backoffWhenTotalS3Uploads", "monitor-queued-max"),
        ] {
            if let Some(number) = self.file.number(property) {
                self.set(flag, property, i64::try_from(number).unwrap_or(i64::MAX));
            }
        }
        let connections = "worker.write.backoff.monitor.yas3fs.backoffWhenTotalHTTPSConns";
        if self.file.line(connections) > 0 {
            self.file.note(
                connections,
                "has no meaning any more: it counted the connections of all programs",
            );
        }
    }

    /// Straight to a bucket, there is no program between that would have to be watched.
    pub(super) fn tell_what_a_bucket_needs_not(&mut self) {
        for property in [
            "tocPayloadHandler.write.use.rsync",
            "tocPayloadHandler.write.rsync.options",
            "worker.write.complete.monitor.class",
            "worker.write.backoff.monitor.class",
            "worker.write.error.monitor.class",
        ] {
            if self.file.line(property) > 0 {
                self.file.note(property, "has no meaning here: files go straight to the bucket");
            }
        }
        let threads = "worker.toc.consumer.threads.num";
        if self.file.line(threads) > 0 {
            self.file.note(
                threads,
                "is not needed: the number of requests in flight finds its own level",
            );
        }
    }
}
