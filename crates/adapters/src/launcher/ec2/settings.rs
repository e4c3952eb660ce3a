//! What instances are like.

use serde::{Deserialize, Serialize};

/// What `RunInstances` is told.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Ec2Settings {
    /// The image, `ami-...`; that of the launch template when absent.
    pub image: Option<String>,
    /// The type, as `c7gn.large`; that of the launch template when absent.
    pub instance_type: Option<String>,
    /// The key pair for SSH.
    pub key_name: Option<String>,
    /// Security groups, `sg-...`.
    pub security_groups: Vec<String>,
    /// Subnets, `subnet-...`; slots take them in turn.
    pub subnets: Vec<String>,
    /// The instance profile, by name or ARN.
    pub instance_profile: Option<String>,
    /// A launch template, `lt-...` or its name, with `:VERSION` if other than the default.
    pub launch_template: Option<String>,
    /// What an instance runs when it starts, at most 16 KiB
    /// (<https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-add-user-data.html>).
    pub user_data: Option<Vec<u8>>,
    /// Whether an instance that powers itself off is terminated; it is stopped otherwise.
    pub terminates_on_shutdown: bool,
    /// A disk beside the image's.
    pub disk: Option<Disk>,
    /// Whether spot capacity is asked for.
    pub spot: Spot,
}

/// A disk of an instance, removed with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// The device, as `/dev/sdf`.
    pub device: String,
    /// The volume's type, as `gp3`.
    pub volume_type: Option<String>,
    /// Its size.
    pub gigabytes: Option<i32>,
}

/// Whether spot capacity is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Spot {
    /// On demand only.
    #[default]
    Never,
    /// Spot; on demand where there is none.
    Prefer,
    /// Spot only.
    Only,
}
