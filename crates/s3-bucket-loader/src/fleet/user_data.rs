//! What an instance runs when it starts: it gets the program and the join key by its own role, and works until the run is
//! over; then it powers itself off.

use anyhow::anyhow;
use s3bl_core::id::RunId;
use serde::{Deserialize, Serialize};

use super::Place;
use crate::failure::CommandFailure;

/// Where an instance gets what it needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Boot {
    join_key: KeyPlace,
    /// `s3://bucket/key` or `https://...`; `None` where the image has the program.
    program: Option<String>,
}

/// Where the join key is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum KeyPlace {
    /// A parameter of Systems Manager, best a SecureString.
    Ssm(String),
    /// An object: `s3://bucket/key`.
    Object(String),
}

/// Where the program lies on an instance.
const PROGRAM: &str = "/usr/local/bin/s3-bucket-loader";

impl Boot {
    /// Reads what was typed.
    pub(crate) fn new(join_key: &str, program: Option<&str>) -> Result<Self, CommandFailure> {
        let key_place = match join_key.strip_prefix("ssm:") {
            Some(name) if !name.is_empty() => Some(KeyPlace::Ssm(name.to_owned())),
            Some(_) => None,
            None => join_key.starts_with("s3://").then(|| KeyPlace::Object(join_key.to_owned())),
        };
        let key_place = key_place.ok_or_else(|| {
            let error = anyhow!("`--ec2-join-key {join_key}` is no place of a join key");
            CommandFailure::usage(error).advise("say ssm:NAME or s3://bucket/key")
        })?;
        let is_place = |url: &&str| url.starts_with("s3://") || url.starts_with("https://");
        if let Some(typed) = program.filter(|url| !is_place(url)) {
            let error = anyhow!("`--ec2-program {typed}` is no place of a program");
            return Err(CommandFailure::usage(error).advise("say s3://bucket/key or https://..."));
        }
        Ok(Self { join_key: key_place, program: program.map(str::to_owned) })
    }

    /// The script. It needs bash, curl and the AWS CLI, as Amazon Linux has them, and uses systemd where it runs.
    pub(crate) fn script(&self, run: &RunId, place: &Place, options: &[String]) -> String {
        let quote = |word: &str| shlex::try_quote(word).map_or_else(|_| String::new(), Into::into);
        let region = place.region().map(|region| format!(" --region {}", quote(region)));
        let region = region.unwrap_or_default();
        let key = match &self.join_key {
            KeyPlace::Ssm(name) => format!(
                "aws ssm get-parameter{region} --with-decryption --query Parameter.Value --output text --name {}",
                quote(name)
            ),
            KeyPlace::Object(url) => {
                format!("aws s3 cp{region} --only-show-errors {} -", quote(url))
            }
        };
        let program = match self.program.as_deref() {
            Some(url) if url.starts_with("s3://") => {
                format!(
                    "aws s3 cp{region} --only-show-errors {} \"$program\"\nchmod 755 \"$program\"\n",
                    quote(url)
                )
            }
            Some(url) => {
                format!(
                    "curl --fail --silent --show-error --location --retry 5 --output \"$program\" {}\nchmod 755 \"$program\"\n",
                    quote(url)
                )
            }
            None => String::new(),
        };
        let words: Vec<String> =
            place.worker_words().iter().chain(options).map(|word| quote(word)).collect();
        let words = words.join(" ");
        TEMPLATE
            .replace("@RUN@", run.as_str())
            .replace("@PROGRAM@", PROGRAM)
            .replace("@GET_PROGRAM@\n", &program)
            .replace("@GET_KEY@", &key)
            .replace("@WORKER@", &words)
    }
}

/// Whatever fails, the instance powers itself off: nobody pays for one that does nothing.
const TEMPLATE: &str = r#"#!/bin/bash
# A worker of s3-bucket-loader, run @RUN@.
set -uo pipefail
program=@PROGRAM@
off() { echo "s3-bucket-loader: powering off" >&2; systemctl poweroff || poweroff || shutdown -h now; }
trap off EXIT
metadata="${AWS_EC2_METADATA_SERVICE_ENDPOINT:-http://169.254.169.254}"
token=$(curl --fail --silent --show-error --retry 5 --request PUT --header 'X-aws-ec2-metadata-token-ttl-seconds: 21600' "$metadata/latest/api/token") || exit 1
instance=$(curl --fail --silent --show-error --retry 5 --header "X-aws-ec2-metadata-token: $token" "$metadata/latest/meta-data/instance-id") || exit 1
set -e
@GET_PROGRAM@
umask 077
folder=$(mktemp -d)
@GET_KEY@ > "$folder/join.key"
umask 022
run=()
if [ -d /run/systemd/system ]; then
  run=(systemd-run --quiet --wait --collect --unit s3-bucket-loader-worker --property TimeoutStopSec=90)
fi
"${run[@]}" "$program" worker @WORKER@ --name "$instance" --instance-id "$instance" \
  --without-master 10m --join-key-file "$folder/join.key" --home "$folder" || true
"#;
