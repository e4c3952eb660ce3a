//! What it means that EC2 did not do what it was asked.

use std::error::Error as StdError;

use aws_sdk_ec2::config::http::HttpResponse;
use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use s3bl_port::launcher::LaunchError;

use crate::aws::ClockOff;

/// A call that failed.
#[derive(Debug)]
pub(super) struct Fault {
    /// The code that EC2 gave, if it was EC2.
    pub(super) code: Option<String>,
    /// What it means for whoever asked.
    pub(super) error: LaunchError,
}

/// The code and message of what EC2 said.
#[derive(Debug, thiserror::Error)]
#[error("{code}: {message}")]
struct Said {
    code: String,
    message: String,
}

/// An error that was found here and not said by anybody.
pub(super) fn own(message: &str, source: Option<Box<dyn StdError + Send + Sync>>) -> LaunchError {
    LaunchError { message: message.to_owned(), may_pass: false, source }
}

/// What a call needs, by name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call {
    /// The name in the service's documentation.
    pub(super) name: &'static str,
    /// The IAM actions without which it is refused.
    /// Source: Service Authorization Reference, Amazon EC2 (read 2026-11).
    pub(super) permission: &'static str,
}

impl Fault {
    /// Reads what a call came to, after the SDK has tried it as often as it may.
    pub(super) fn of<E>(call: Call, what: &str, error: SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
    {
        let Call { name, permission } = call;
        let (said, clock) = match error {
            SdkError::ServiceError(said) => {
                let clock = ClockOff::seen(said.raw());
                (said.into_err(), clock)
            }
            // The enum is open to new kinds; no reply came in any of them.
            lost @ (SdkError::ConstructionFailure(_)
            | SdkError::TimeoutError(_)
            | SdkError::DispatchFailure(_)
            | SdkError::ResponseError(_)
            | _) => {
                let may_pass = !matches!(lost, SdkError::ConstructionFailure(_));
                let source: Box<dyn StdError + Send + Sync> = match lost.into_source() {
                    Ok(source) => source,
                    Err(error) => Box::new(error),
                };
                let message = format!(
                    "{what}: EC2 does not answer {name}, or there are no credentials for it"
                );
                let error = LaunchError { message, may_pass, source: Some(source) };
                return Self { code: None, error };
            }
        };
        let code = said.code().unwrap_or("no code").to_owned();
        let message = said.message().unwrap_or("no further words").to_owned();
        let words = match hint(&code) {
            Some(Hint::Flag(flag)) => format!("{what}: EC2 refuses {name}: check {flag}"),
            Some(Hint::Denied) => format!("{what}: the credentials do not allow {permission}"),
            Some(Hint::Credentials) => match clock {
                Some(clock) => format!("{what}: EC2 refuses the signature, and {clock}"),
                None => format!("{what}: there are no credentials that EC2 accepts"),
            },
            Some(Hint::Quota) => {
                format!(
                    "{what}: the account's quota is used up; ask for more, or for fewer workers"
                )
            }
            Some(Hint::Protected) => {
                format!("{what}: EC2 protects it; take its termination protection away")
            }
            Some(Hint::Capacity) => format!("{what}: EC2 has no capacity for it just now"),
            Some(Hint::Busy) => format!("{what}: EC2 has trouble with {name}"),
            None => format!("{what}: EC2 refuses {name}"),
        };
        let may_pass = matches!(hint(&code), Some(Hint::Capacity | Hint::Busy));
        let source = Some(Said { code: code.clone(), message }.into());
        Self { code: Some(code), error: LaunchError { message: words, may_pass, source } }
    }

    /// Whether there is no capacity of the kind that was asked for.
    pub(super) fn is_capacity(&self) -> bool {
        self.code.as_deref().and_then(hint) == Some(Hint::Capacity)
    }

    /// Whether it was about an instance that does not exist.
    pub(super) fn is_missing(&self) -> bool {
        self.code.as_deref() == Some("InvalidInstanceID.NotFound")
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hint {
    Flag(&'static str),
    Denied,
    Credentials,
    Quota,
    Protected,
    Capacity,
    Busy,
}

/// Source: Amazon EC2 API Reference, "Error codes for the Amazon EC2 API" (read 2026-11).
fn hint(code: &str) -> Option<Hint> {
    Some(match code {
        "UnauthorizedOperation" | "Blocked" | "OptInRequired" | "AccessDenied" => Hint::Denied,
        "AuthFailure"
        | "ExpiredToken"
        | "InvalidClientTokenId"
        | "RequestExpired"
        | "RequestTimeTooSkewed"
        | "SignatureDoesNotMatch" => Hint::Credentials,
        "OperationNotPermitted" => Hint::Protected,
        "InvalidAMIID.NotFound" | "InvalidAMIID.Malformed" | "InvalidAMIID.Unavailable" => {
            Hint::Flag("--ec2-image")
        }
        "InvalidInstanceType" | "Unsupported" => Hint::Flag("--ec2-instance-type"),
        "InvalidKeyPair.NotFound" => Hint::Flag("--ec2-key-name"),
        "InvalidGroup.NotFound"
        | "InvalidGroupId.Malformed"
        | "InvalidSecurityGroupID.NotFound" => Hint::Flag("--ec2-security-group"),
        "InvalidSubnetID.NotFound" | "InvalidSubnet" | "InsufficientFreeAddressesInSubnet" => {
            Hint::Flag("--ec2-subnet")
        }
        "InvalidLaunchTemplateId.NotFound"
        | "InvalidLaunchTemplateId.Malformed"
        | "InvalidLaunchTemplateId.VersionNotFound"
        | "InvalidLaunchTemplateName.NotFoundException" => Hint::Flag("--ec2-launch-template"),
        "InvalidIamInstanceProfile.NotFound" | "InvalidIamInstanceProfileArn.Malformed" => {
            Hint::Flag("--ec2-instance-profile")
        }
        "InvalidBlockDeviceMapping" => {
            Hint::Flag("--ec2-disk-device, --ec2-disk-type and --ec2-disk-gigabytes")
        }
        "InstanceLimitExceeded" | "VcpuLimitExceeded" => Hint::Quota,
        "InsufficientInstanceCapacity"
        | "InsufficientHostCapacity"
        | "UnfulfillableCapacity"
        | "MaxSpotInstanceCountExceeded"
        | "SpotMaxPriceTooLow" => Hint::Capacity,
        "EC2ThrottledException"
        | "RequestLimitExceeded"
        | "RequestThrottled"
        | "Throttling"
        | "ThrottlingException"
        | "InternalError"
        | "InternalFailure"
        | "ServerInternal"
        | "ServiceUnavailable"
        | "Unavailable" => Hint::Busy,
        _ => return None,
    })
}
