//! Which names a channel may have: those that fit every transport.

use s3bl_port::channel::{ChannelError, ChannelErrorKind};

/// Longest name of a channel, in bytes.
const LENGTH_MAX: usize = 64;

/// Checks a name that a person gave.
///
/// # Errors
///
/// [`ChannelErrorKind::Invalid`] unless it is 1 to 64 of `A-Z a-z 0-9 - _`.
pub(crate) fn check(channel: &str) -> Result<(), ChannelError> {
    let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if (1..=LENGTH_MAX).contains(&channel.len()) && channel.bytes().all(is_legal) {
        return Ok(());
    }
    let shown: String = channel.chars().take(100).collect();
    let message = format!(
        "`{shown}` is no name for a channel: use 1 to {LENGTH_MAX} of a-z, A-Z, 0-9, `-`, `_`"
    );
    Err(ChannelError { kind: ChannelErrorKind::Invalid, message, source: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_fit_every_transport_are_taken_and_others_refused() {
        for good in ["a", "-", "Big_Load-7", &"x".repeat(64)] {
            assert!(check(good).is_ok(), "{good:?} was refused");
        }
        for bad in ["", "a b", "a.b", "a*", "é", "a/b", &"x".repeat(65)] {
            let error = check(bad).unwrap_err();
            assert_eq!(error.kind, ChannelErrorKind::Invalid, "{bad:?}");
        }
    }
}
