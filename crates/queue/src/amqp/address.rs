//! [`Address`]: where RabbitMQ is, and how to get in.

use lapin::ConnectionProperties;
use lapin::tcp::{OwnedIdentity, OwnedTLSConfig};
use lapin::uri::AMQPUri;

use crate::{Error, Place, QueueUrl};

/// Seconds. RabbitMQ's documentation recommends 5 to 20; a peer that is silent for twice that long is gone.
const HEARTBEAT_SECONDS: u16 = 10;

/// What a [`Link`](super::link::Link) connects to.
#[derive(Clone)]
pub(super) struct Address {
    pub(super) uri: AMQPUri,
    pub(super) tls: OwnedTLSConfig,
    /// What RabbitMQ's own lists show.
    name: String,
}

impl Address {
    /// Settings: `heartbeat=SECONDS`, `name=TEXT`, `auth_mechanism=plain|external`, with `amqps` also `cacertfile=PEM`, and
    /// `certfile=PEM&keyfile=PEM` for a certificate of our own.
    pub(super) fn of(url: &QueueUrl) -> Result<Address, Error> {
        let wrong = |reason: String| Error::BadUrl { url: format!("{url:?}"), reason };
        let Place::Amqp(text) = &url.place else { return Err(wrong("it is not of RabbitMQ".to_owned())) };
        let mut uri: AMQPUri = text.parse().map_err(wrong)?;
        if let Some(host) = ipv6_host(text) {
            uri.authority.host = host.to_owned();
        }
        if uri.vhost.is_empty() {
            uri.vhost = "/".to_owned();
        }
        uri.query.heartbeat = Some(HEARTBEAT_SECONDS);
        let mut name = format!("phalanx {}", std::process::id());
        let (mut authority, mut certificate, mut key) = (None, None, None);
        let file =
            |path: &str| std::fs::read(path).map_err(|error| wrong(format!("the file {path} cannot be read: {error}")));
        for (setting, value) in &url.settings {
            match setting.as_str() {
                "heartbeat" => {
                    let seconds =
                        value.parse().map_err(|_| wrong(format!("heartbeat={value} is no number of seconds")))?;
                    uri.query.heartbeat = Some(seconds);
                }
                "name" => name.clone_from(value),
                "auth_mechanism" => uri.query.auth_mechanism = Some(value.parse().map_err(wrong)?),
                "cacertfile" => {
                    let pem = String::from_utf8(file(value)?);
                    authority = Some(pem.map_err(|_| wrong(format!("the file {value} is not in PEM")))?);
                }
                "certfile" => certificate = Some(file(value)?),
                "keyfile" => key = Some(file(value)?),
                _ => return Err(wrong(format!("RabbitMQ has no setting \"{setting}\""))),
            }
        }
        let identity = match (certificate, key) {
            (Some(pem), Some(key)) => Some(OwnedIdentity::PKCS8 { pem, key }),
            (None, None) => None,
            _ => return Err(wrong("certfile and keyfile need each other".to_owned())),
        };
        Ok(Address { uri, tls: OwnedTLSConfig { identity, cert_chain: authority }, name })
    }

    /// How one of our connections introduces itself.
    pub(super) fn properties(&self, purpose: &str) -> ConnectionProperties {
        ConnectionProperties::default().with_connection_name(format!("{} ({purpose})", self.name).into())
    }
}

/// `::1` of `amqp://user:password@[::1]:5672/`.
fn ipv6_host(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    Some(host.strip_prefix('[')?.split_once(']')?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(url: &str) -> Result<Address, Error> {
        Address::of(&url.parse()?)
    }

    #[test]
    fn an_empty_vhost_is_the_default_one_and_ipv6_hosts_are_kept() {
        let uri = address("amqp://a:b%40@[::1]:1234/?heartbeat=7").unwrap().uri;
        assert_eq!((uri.vhost.as_str(), uri.authority.host.as_str(), uri.authority.port), ("/", "::1", 1234));
        assert_eq!((uri.authority.userinfo.password.as_str(), uri.query.heartbeat), ("b@", Some(7)));
        assert_eq!(address("amqp://h/some%2fwhere").unwrap().uri.vhost, "some/where");
    }

    #[test]
    fn what_it_does_not_know_is_said_without_the_password() {
        for url in
            ["amqp://a:secret@h/?heartbeet=7", "amqp://a:secret@h/?heartbeat=x", "amqps://h/?cacertfile=/nowhere"]
        {
            let Err(error @ Error::BadUrl { .. }) = address(url) else { panic!("{url} was taken") };
            assert!(!error.to_string().contains("secret"));
        }
    }
}
