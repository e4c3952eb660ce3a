//! How a connection is made, and what is said when it cannot be.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use async_nats::{ConnectError, ConnectErrorKind, ConnectOptions, ServerAddr, ServerError};
use s3bl_port::channel::{ChannelError, ChannelErrorKind};
use tokio::sync::watch;
use tokio::time::timeout;

use super::link::{CALL_MAX, Link, Troubles, note};
use super::settings::NatsSettings;
use super::tls;

/// How long one address may take to let us in.
const HANDSHAKE_MAX: Duration = Duration::from_secs(5);
/// How long all addresses together may take.
const CONNECT_MAX: Duration = Duration::from_secs(30);
/// A server that does not answer two of these in a row is taken for dead.
const PING_EVERY: Duration = Duration::from_secs(10);
/// Messages that may wait for their reader, for each subscription; more are lost. Only reports can be so many.
const WAITING_MAX: usize = 4096;

/// Connects, and stays connected from then on.
pub(super) async fn open(settings: &NatsSettings) -> Result<Link, ChannelError> {
    let addresses = parse(&settings.urls)?;
    let servers: Arc<str> = show(&addresses).into();
    let (troubles, watched) = watch::channel(Troubles::default());
    let options = options(settings, &addresses, &servers, troubles).await?;
    let connecting = timeout(CONNECT_MAX, options.connect(addresses));
    let client = match connecting.await {
        Ok(Ok(client)) => client,
        Ok(Err(error)) => return Err(refusal(&servers, error)),
        Err(elapsed) => {
            let error = ConnectError::with_source(ConnectErrorKind::TimedOut, elapsed);
            return Err(refusal(&servers, error));
        }
    };
    Ok(Link::new(client, watched, servers))
}

fn parse(urls: &[String]) -> Result<Vec<ServerAddr>, ChannelError> {
    let kind = ChannelErrorKind::Invalid;
    if urls.is_empty() {
        let message = "no NATS server is named: give a URL like `nats://HOST:4222`".to_owned();
        return Err(ChannelError { kind, message, source: None });
    }
    let parse = |url: &String| {
        let address = url.parse::<ServerAddr>();
        let address = address.and_then(|address| match address.scheme() {
            "nats" | "tls" => Ok(address),
            other => Err(std::io::Error::other(format!("`{other}` is not spoken here"))),
        });
        address.map_err(|error| {
            // The text may hold a password; what stands behind the last `@` does not.
            let shown = url.rsplit('@').next().unwrap_or_default();
            let message =
                format!("`{shown}` is no NATS server: use `nats://HOST:PORT` or `tls://`");
            ChannelError { kind, message, source: Some(error.into()) }
        })
    };
    urls.iter().map(parse).collect()
}

/// The addresses without the passwords that they may hold.
fn show(addresses: &[ServerAddr]) -> String {
    let show = |address: &ServerAddr| {
        let host = address.host();
        let (open, close) = if host.contains(':') { ("[", "]") } else { ("", "") };
        format!("{}://{open}{host}{close}:{}", address.scheme(), address.port())
    };
    addresses.iter().map(show).collect::<Vec<_>>().join(", ")
}

async fn options(
    settings: &NatsSettings,
    addresses: &[ServerAddr],
    servers: &Arc<str>,
    troubles: watch::Sender<Troubles>,
) -> Result<ConnectOptions, ChannelError> {
    let (troubles, shown) = (Arc::new(troubles), Arc::clone(servers));
    let mut options = ConnectOptions::new()
        .name("s3-bucket-loader")
        .connection_timeout(HANDSHAKE_MAX)
        .request_timeout(Some(CALL_MAX))
        .ping_interval(PING_EVERY)
        .subscription_capacity(WAITING_MAX)
        .require_tls(settings.ca_file.is_some())
        .tls_client_config(tls::client_config(settings.ca_file.as_deref())?)
        .event_callback(move |event| {
            note(&troubles, &shown, &event);
            std::future::ready(())
        });
    // The client reads no user from a URL itself.
    if let Some((user, password)) = addresses.iter().find_map(user_of) {
        options = match password {
            Some(password) => options.user_and_password(user, password),
            None => options.token(user),
        };
    }
    let Some(path) = &settings.credentials_file else {
        return Ok(options);
    };
    options.credentials_file(path).await.map_err(|error| ChannelError {
        kind: ChannelErrorKind::Credentials,
        message: format!(
            "`{}` cannot be read as NATS credentials: give the `.creds` file that `nsc` wrote",
            path.display()
        ),
        source: Some(error.into()),
    })
}

fn user_of(address: &ServerAddr) -> Option<(String, Option<String>)> {
    let decode =
        |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
    Some((decode(address.username()?), address.password().map(decode)))
}

fn refusal(servers: &str, error: ConnectError) -> ChannelError {
    let (kind, advice) = match error.kind() {
        ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication => (
            ChannelErrorKind::Credentials,
            "the server refuses the user: check the credentials file, or the user and password in the URL",
        ),
        ConnectErrorKind::Dns => {
            (ChannelErrorKind::Unreachable, "the name does not resolve: check the address")
        }
        ConnectErrorKind::ServerParse => {
            (ChannelErrorKind::Invalid, "check the address: `nats://HOST:PORT` or `tls://`")
        }
        ConnectErrorKind::Tls
        | ConnectErrorKind::Io
        | ConnectErrorKind::TimedOut
        | ConnectErrorKind::MaxReconnects => advice_of_io(&error),
    };
    let message = format!("cannot connect to `{servers}`; {advice}");
    ChannelError { kind, message, source: Some(error.into()) }
}

/// The client calls three things an input or output error that a person does not.
fn advice_of_io(error: &ConnectError) -> (ChannelErrorKind, &'static str) {
    if has_cause::<rustls::Error>(error) || error.kind() == ConnectErrorKind::Tls {
        return (
            ChannelErrorKind::Other,
            "no TLS comes about: if the server's certificate is signed by an authority of your own, name its file",
        );
    }
    if has_cause::<ServerError>(error) {
        return (ChannelErrorKind::Other, "the server refuses the connection and says why");
    }
    (ChannelErrorKind::Unreachable, "nobody answers: check the address, and that the server runs")
}

/// Whether `error` or one of its causes is a `T`, also within an [`std::io::Error`], which hides what it was made from.
fn has_cause<T: Error + 'static>(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<T>() {
            return true;
        }
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if inner.is_some_and(|inner| has_cause::<T>(inner)) {
            return true;
        }
        next = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_shown_without_passwords() {
        let urls = ["nats://user:secret@one:4223", "tls://[::1]", "two"].map(str::to_owned);
        let shown = show(&parse(&urls).unwrap());
        assert_eq!(shown, "nats://one:4223, tls://[::1]:4222, nats://two:4222");
    }

    #[test]
    fn an_address_that_is_none_is_named_without_its_password() {
        let error = parse(&["http://user:secret@host".to_owned()]).unwrap_err();
        assert_eq!(error.kind, ChannelErrorKind::Invalid);
        assert!(error.message.contains("host") && !error.message.contains("secret"), "{error}");
        assert!(parse(&[]).unwrap_err().message.contains("nats://HOST:4222"));
    }

    #[test]
    fn users_passwords_and_tokens_are_read_from_urls() {
        let user = |url: &str| user_of(&url.parse().unwrap());
        assert_eq!(user("nats://host"), None);
        assert_eq!(user("nats://me:p%40ss@host"), Some(("me".into(), Some("p@ss".into()))));
        assert_eq!(user("nats://token@host"), Some(("token".into(), None)));
    }
}
