//! The address of a NATS server, which may hold a user and a password: they are shown nowhere, stand in no command line, and are
//! kept with no run.

/// Where a run that is gone on with gets an address from that was not kept in full.
pub(crate) const VARIABLE: &str = "S3BL_NATS_URL";

/// What stands where a user and a password stood, or a token.
const MASKS: [&str; 2] = ["USER:PASSWORD", "TOKEN"];

/// One address or several, with commas between them, without the secrets in them.
pub(crate) fn masked(urls: &str) -> String {
    urls.split(',').map(masked_one).collect::<Vec<_>>().join(",")
}

/// Whether secrets stand in it, or stood.
pub(crate) fn has_secret(urls: &str) -> bool {
    urls.contains('@')
}

/// Whether [`masked`] has been at work.
pub(crate) fn is_masked(urls: &str) -> bool {
    has_secret(urls) && masked(urls) == urls
}

fn masked_one(url: &str) -> String {
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), url),
    };
    // A password may hold an `@` that nobody has escaped; what stands behind the last one is none.
    let Some((user, host)) = rest.rsplit_once('@') else { return url.to_owned() };
    let mask = if user.contains(':') { MASKS[0] } else { MASKS[1] };
    format!("{scheme}{mask}@{host}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lose_their_secrets_and_nothing_else() {
        let masks = [
            ("nats://me:p@ss@one:4222,tls://[::1]", "nats://USER:PASSWORD@one:4222,tls://[::1]"),
            ("nats://token@one", "nats://TOKEN@one"),
            ("me:pass@one", "USER:PASSWORD@one"),
            ("nats://one", "nats://one"),
        ];
        for (url, shown) in masks {
            assert_eq!(masked(url), shown);
            assert_eq!(is_masked(shown), has_secret(url), "{url}");
            assert!(!is_masked(url), "{url}");
        }
    }
}
