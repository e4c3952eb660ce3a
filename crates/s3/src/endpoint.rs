//! Where the service is, and which host and path a bucket has there.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::config::Addressing;

/// The longest label of a host name (RFC 1035, 2.3.4).
const DNS_LABEL_BYTES_MAX: usize = 63;

/// The address of an S3 service: scheme, host, port and, rarely, a base path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    tls: bool,
    /// Without the brackets of an IPv6 address.
    host: String,
    port: u16,
    /// Either empty or `/like/this`.
    base_path: String,
}

/// Why a text is no endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// It is not a URL.
    #[error("`{text}` is not a URL")]
    NotUrl {
        /// The text.
        text: String,
    },
    /// It is a URL of another scheme, or of none.
    #[error("`{text}` does not start with http:// or https://")]
    Scheme {
        /// The text.
        text: String,
    },
    /// It carries a user, a password or a query, which an endpoint has not.
    #[error("`{host}` carries a user or a query; an endpoint is scheme, host, port and path")]
    Extra {
        /// The host part alone: the rest may be a secret.
        host: String,
    },
}

impl Endpoint {
    /// Returns the public endpoint of AWS in `region`.
    pub fn aws(region: &str) -> Self {
        let suffix = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        let host = format!("s3.{region}.{suffix}");
        Self { tls: true, host, port: 443, base_path: String::new() }
    }

    /// Reads `http://host[:port][/path]` or the same with https.
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        let not_url = || EndpointError::NotUrl { text: text.to_owned() };
        let uri: http::Uri = text.trim().parse().map_err(|_| not_url())?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            Some(_) | None => return Err(EndpointError::Scheme { text: text.to_owned() }),
        };
        let authority = uri.authority().ok_or_else(not_url)?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err(not_url());
        }
        if authority.as_str().contains('@') || uri.query().is_some() {
            return Err(EndpointError::Extra { host: host.to_owned() });
        }
        let port = match authority.as_str().strip_prefix(authority.host()) {
            Some("") => default_port(tls),
            Some(rest) => rest[1..].parse().ok().filter(|&port| port > 0).ok_or_else(not_url)?,
            None => return Err(not_url()),
        };
        let base_path = uri.path().trim_end_matches('/').to_owned();
        Ok(Self { tls, host: host.to_ascii_lowercase(), port, base_path })
    }

    /// Returns whether connections are encrypted.
    pub const fn is_tls(&self) -> bool {
        self.tls
    }

    /// Returns the host, without the brackets of an IPv6 address.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Returns whether this is one of AWS's own endpoints.
    pub fn is_aws(&self) -> bool {
        self.host.ends_with(".amazonaws.com") || self.host.ends_with(".amazonaws.com.cn")
    }

    pub(crate) fn base_path(&self) -> &str {
        &self.base_path
    }

    /// Returns the host that serves `bucket`, and whether the path must name the bucket.
    pub(crate) fn place(&self, bucket: &str, addressing: Addressing) -> Place {
        let in_host = match addressing {
            Addressing::Virtual => true,
            Addressing::Path => false,
            Addressing::Auto => self.is_aws() && is_host_label(bucket),
        };
        if in_host && self.host.parse::<IpAddr>().is_err() {
            Place { host: format!("{bucket}.{}", self.host), bucket_in_path: false }
        } else {
            Place { host: self.host.clone(), bucket_in_path: true }
        }
    }

    /// Returns the `Host` header for `host`: with the port unless it is the scheme's own.
    pub(crate) fn host_header(&self, host: &str) -> String {
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        if self.port == default_port(self.tls) { host } else { format!("{host}:{}", self.port) }
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(formatter, "{scheme}://{}{}", self.host_header(&self.host), self.base_path)
    }
}

/// The host that serves a bucket.
pub(crate) struct Place {
    pub(crate) host: String,
    pub(crate) bucket_in_path: bool,
}

const fn default_port(tls: bool) -> u16 {
    if tls { 443 } else { 80 }
}

/// Returns whether a wildcard certificate covers `bucket` as one label before the service's host:
/// no dots, no capitals.
fn is_host_label(bucket: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=DNS_LABEL_BYTES_MAX).contains(&bucket.len())
        && bucket.bytes().all(inner)
        && !bucket.starts_with('-')
        && !bucket.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host_of(endpoint: &str, bucket: &str, addressing: Addressing) -> (String, bool) {
        let place = Endpoint::parse(endpoint).unwrap().place(bucket, addressing);
        (place.host, place.bucket_in_path)
    }

    #[test]
    fn the_default_endpoint_is_the_region_s_own() {
        assert_eq!(Endpoint::aws("eu-west-3").to_string(), "https://s3.eu-west-3.amazonaws.com");
        assert_eq!(
            Endpoint::aws("cn-north-1").to_string(),
            "https://s3.cn-north-1.amazonaws.com.cn"
        );
    }

    #[test]
    fn an_endpoint_survives_a_round_trip_through_text() {
        for text in ["http://127.0.0.1:9000", "https://[::1]:8333", "https://x.test/storage/v1/s3"]
        {
            assert_eq!(Endpoint::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(
            Endpoint::parse("HTTP://LocalHost:80/").unwrap().to_string(),
            "http://localhost"
        );
    }

    #[test]
    fn texts_that_are_no_endpoints_are_refused() {
        for text in
            ["", "localhost:9000", "ftp://host", "http://", "/path", "http://h:0", "http://h:99999"]
        {
            assert!(Endpoint::parse(text).is_err(), "{text}");
        }
        let secret = Endpoint::parse("http://user:hunter2@host/").unwrap_err();
        assert!(!secret.to_string().contains("hunter2"));
    }

    #[test]
    fn auto_puts_the_bucket_in_the_host_only_on_aws_and_only_where_the_certificate_covers_it() {
        let aws = "https://s3.eu-west-1.amazonaws.com";
        let auto = Addressing::Auto;
        assert_eq!(host_of(aws, "data", auto), ("data.s3.eu-west-1.amazonaws.com".into(), false));
        assert_eq!(host_of(aws, "my.data", auto), ("s3.eu-west-1.amazonaws.com".into(), true));
        assert_eq!(host_of(aws, "Data", auto), ("s3.eu-west-1.amazonaws.com".into(), true));
        assert_eq!(host_of("http://minio:9000", "data", auto), ("minio".into(), true));
        assert_eq!(
            host_of("http://minio:9000", "data", Addressing::Virtual),
            ("data.minio".into(), false)
        );
        assert_eq!(
            host_of("http://127.0.0.1:1", "data", Addressing::Virtual),
            ("127.0.0.1".into(), true)
        );
    }

    #[test]
    fn the_host_header_names_the_port_unless_it_is_the_scheme_s_own() {
        let header = |text: &str| {
            let endpoint = Endpoint::parse(text).unwrap();
            endpoint.host_header(endpoint.host())
        };
        assert_eq!(header("http://h:80"), "h");
        assert_eq!(header("https://h:80"), "h:80");
        assert_eq!(header("http://[::1]:9000"), "[::1]:9000");
    }
}
