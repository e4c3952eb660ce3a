//! The configuration file of the original program of 2014: Java properties.
//!
//! `table` has every property with what it is here, `java` knows the rules of such files, `file` gathers what is wrong with one, `translate`
//! makes flags of it, with `worker` for what only workers read.

mod file;
mod java;
mod table;
mod translate;
mod worker;

pub(crate) use table::{PROPERTIES, Reader, Since};
pub(crate) use translate::{Role, Setting, Translation, translate};

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::CommandFactory as _;

    use super::*;
    use crate::args::Cli;

    /// Each property with a value that it can have.
    fn all() -> String {
        let special = [
            ("aws.sns.control.topic.name", "photos"),
            ("tocGenerator.class", "org.bitsofinfo.s3.toc.DirectoryCrawler"),
            ("tocPayloadHandler.write.class", "org.bitsofinfo.s3.worker.FileCopyTOCPayloadHandler"),
            ("tocPayloadHandler.validate.mode", "validateEverywhere"),
            ("tocPayloadHandler.write.s3keyCopy.storageClass", "Standard"),
            ("master.workers.ec2.shutdownBehavior", "Terminate"),
            ("master.workers.ec2.disk.volumeType", "Gp2"),
            ("worker.initialize.cmd.env", "A=1,B=two words"),
            ("worker.destroy.cmd.env", "C=3"),
            ("worker.pre.validate.cmd.env", "%worker.initialize.cmd.env%"),
            ("worker.pre.validate.cmd", "%worker.initialize.cmd%;umount /mnt"),
            ("worker.initialize.cmd", "mount /mnt"),
        ];
        let monitors =
            ["complete", "backoff", "error"].map(|it| format!("worker.write.{it}.monitor.class"));
        PROPERTIES.iter().fold(String::new(), |file, property| {
            let name = property.name;
            let special = special.iter().find(|(it, _)| *it == name).map(|(_, value)| *value);
            let value = special.unwrap_or_else(|| match name {
                _ if monitors.iter().any(|it| it == name) => {
                    "org.bitsofinfo.s3.yas3fs.Yas3fsS3UploadMonitor"
                }
                _ if name.ends_with("managed")
                    || name.contains("Only")
                    || name.contains("use.rsync") =>
                {
                    "true"
                }
                _ if name.contains("failfast")
                    || name.contains("stopOn")
                    || name.contains("enableS") =>
                {
                    "true"
                }
                _ => "7",
            });
            format!("{file}{name}={value}\n")
        })
    }

    #[test]
    fn every_property_with_flags_becomes_one_of_them_for_somebody() {
        let file = all();
        let keys = file.replace("FileCopyTOCPayloadHandler", "S3KeyCopyingTOCPayloadHandler");
        let list = file.replace("DirectoryCrawler", "TOCManifestBasedGenerator");
        let mut met: BTreeSet<(&str, &str)> = BTreeSet::new();
        for (file, typed) in
            [(&file, None), (&keys, None), (&list, None), (&file, Some("/mnt/target"))]
        {
            for role in [Role::Alone, Role::Master, Role::Worker] {
                let done = translate(file.as_bytes(), role, typed);
                assert_eq!(done.faults, [], "{role:?}");
                met.extend(done.settings.iter().map(|it| (it.property, it.flag)));
            }
        }
        for property in PROPERTIES {
            // Those that decide how another one is read.
            let is_helper = property.name.ends_with(".env") || property.name.ends_with("dirsOnly");
            let is_one_of_three = property.name.contains("backoff.monitor")
                || property.name.contains("error.monitor");
            if is_helper || is_one_of_three || property.name == "tocPayloadHandler.write.class" {
                continue;
            }
            for flag in property.flags {
                assert!(
                    met.contains(&(property.name, flag)),
                    "{} is never --{flag}",
                    property.name
                );
            }
        }
        let known: BTreeSet<&str> = PROPERTIES.iter().flat_map(|it| it.flags).copied().collect();
        let unknown: Vec<_> = met.iter().filter(|(_, flag)| !known.contains(flag)).collect();
        assert!(unknown.iter().all(|(_, flag)| *flag == "hidden"), "{unknown:?}");
    }

    #[test]
    fn flags_of_the_table_are_flags_of_the_program() {
        let root = Cli::command();
        let known: BTreeSet<&str> = root
            .get_subcommands()
            .flat_map(clap::Command::get_arguments)
            .filter_map(clap::Arg::get_long)
            .collect();
        let named: BTreeSet<&str> = PROPERTIES.iter().flat_map(|it| it.flags).copied().collect();
        let missing: Vec<&str> = named.difference(&known).copied().collect();
        assert_eq!(missing, [""; 0]);
    }

    #[test]
    fn commands_keep_their_environment_and_their_parts() {
        let done = translate(all().as_bytes(), Role::Worker, None);
        let of =
            |flag: &str| done.settings.iter().find(|it| it.flag == flag).unwrap().value.to_string();
        assert_eq!(of("initialize-command"), r#""env -i 'A=1' 'B=two words' mount /mnt""#);
        let both = of("pre-validate-command");
        assert!(both.contains("mount /mnt") && both.contains("umount /mnt"), "{both}");
        let single = translate(b"worker.pre.validate.cmd=umount /mnt", Role::Worker, None);
        assert!(single.settings.iter().any(|it| it.flag == "pre-validate-command"));
    }

    #[test]
    fn what_is_missing_and_misspelt_is_told_at_once() {
        let file = b"tocPayloadHandler.validate.mode=validateEverywere\nmaster.workers.total=0\n";
        let words = |role| {
            let faults = translate(file, role, None).faults;
            faults.into_iter().map(|(_, words)| words).collect::<Vec<_>>().join("\n")
        };
        let master = words(Role::Master);
        for said in [
            "did you mean `validateEverywhere`?",
            "`master.workers.total` is 0",
            "`tocGenerator.source.dir` is missing",
            "`aws.sns.control.topic.name` is missing",
            "`tocPayloadHandler.validate.s3.bucketName` is missing",
        ] {
            assert!(master.contains(said), "`{said}` is not in {master}");
        }
    }
}
