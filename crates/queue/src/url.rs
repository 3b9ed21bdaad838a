//! [`QueueUrl`]: which broker, where, and with which state store.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::Error;

/// A parsed URL:
///
/// | URL | broker |
/// |---|---|
/// | `embedded:./data` | SQLite in an owner process, in this folder |
/// | `amqp://user:password@host:5672/vhost`, `amqps://…` | RabbitMQ |
/// | `kafka://host:9092,host2:9092`, `kafkas://…` (TLS) | Kafka |
/// | `postgres://user:password@host/database` | PostgreSQL |
///
/// After a `?`: `state=postgres://…` (RabbitMQ, Kafka: the full job model; last of all, for it may have a `?` of its own), `blobs=FOLDER` or
/// `blobs=s3://bucket/prefix` (large payloads; default: `FOLDER/blobs` of an embedded queue, else none), for the latter `s3_endpoint=URL` and
/// `s3_region=REGION`, and what the broker itself understands.
#[derive(Clone, PartialEq, Eq)]
pub struct QueueUrl {
    /// Which broker.
    pub place: Place,
    /// The URL of the state store beside it.
    pub state: Option<String>,
    /// Where large payloads go.
    pub blobs: Option<String>,
    /// The settings of that place (`s3_…`), in their order.
    pub blob_settings: Vec<(String, String)>,
    /// The other settings, in their order.
    pub settings: Vec<(String, String)>,
}

/// Which broker.
#[derive(Clone, PartialEq, Eq)]
pub enum Place {
    /// A folder of this machine.
    Embedded(PathBuf),
    /// RabbitMQ: the URL without our settings.
    Amqp(String),
    /// Kafka: the bootstrap servers, user and password, and whether with TLS.
    Kafka {
        /// `host:port,host:port`.
        servers: String,
        /// User name and password, percent-decoded.
        login: Option<(String, String)>,
        /// With TLS.
        tls: bool,
    },
    /// PostgreSQL: the URL without our settings.
    Postgres(String),
}

impl QueueUrl {
    /// The value of a setting.
    pub fn setting(&self, name: &str) -> Option<&str> {
        self.settings.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

impl FromStr for QueueUrl {
    type Err = Error;

    fn from_str(url: &str) -> Result<QueueUrl, Error> {
        let wrong = |reason: &str| Error::BadUrl { url: without_password(url), reason: reason.to_owned() };
        let (scheme, rest) = url.split_once(':').ok_or_else(|| wrong("it has no scheme"))?;
        let (address, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (query, state) = match query.find("state=").filter(|at| *at == 0 || query.as_bytes()[at - 1] == b'&') {
            Some(at) => (query[..at].trim_end_matches('&'), Some(query[at + "state=".len()..].to_owned())),
            None => (query, None),
        };
        let (mut blobs, mut blob_settings, mut settings) = (None, Vec::new(), Vec::new());
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("blobs", value)) => blobs = Some(decoded(value).ok_or_else(|| wrong("a bad % in blobs"))?),
                Some((key, value)) => {
                    let value = decoded(value).ok_or_else(|| wrong("a bad % in a setting"))?;
                    let of = if key.starts_with("s3_") { &mut blob_settings } else { &mut settings };
                    of.push((key.to_owned(), value));
                }
                None => return Err(wrong("a setting has no value")),
            }
        }
        let place = match scheme {
            "embedded" => match address.trim_start_matches("//") {
                "" => return Err(wrong("it names no folder")),
                folder => Place::Embedded(PathBuf::from(folder)),
            },
            "amqp" | "amqps" => Place::Amqp(format!("{scheme}:{address}")),
            "postgres" | "postgresql" => Place::Postgres(format!("{scheme}:{address}")),
            "kafka" | "kafkas" => {
                let address = address.strip_prefix("//").ok_or_else(|| wrong("kafka: needs //"))?.trim_end_matches('/');
                let (login, servers) = match address.rsplit_once('@') {
                    Some((login, servers)) => {
                        let (user, password) = login.split_once(':').ok_or_else(|| wrong("a user without password"))?;
                        let both = decoded(user).zip(decoded(password));
                        (Some(both.ok_or_else(|| wrong("a bad % in user or password"))?), servers)
                    }
                    None => (None, address),
                };
                if servers.is_empty() {
                    return Err(wrong("it names no server"));
                }
                Place::Kafka { servers: servers.to_owned(), login, tls: scheme == "kafkas" }
            }
            _ => return Err(wrong("an unknown scheme")),
        };
        if state.is_some() && !matches!(place, Place::Amqp(_) | Place::Kafka { .. }) {
            return Err(wrong("this broker keeps its own state"));
        }
        Ok(QueueUrl { place, state, blobs, blob_settings, settings })
    }
}

/// `%41` is `A`.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

/// A URL without its passwords, for messages to people.
pub fn without_password(url: &str) -> String {
    let mut shown = String::with_capacity(url.len());
    let mut rest = url;
    while let Some(start) = rest.find("://") {
        let (before, after) = rest.split_at(start + 3);
        shown.push_str(before);
        let end = after.find(['/', '?']).unwrap_or(after.len());
        let (authority, tail) = after.split_at(end);
        match authority.rsplit_once('@') {
            Some((login, host)) => {
                shown.push_str(login.split(':').next().unwrap_or_default());
                shown.push_str(":***@");
                shown.push_str(host);
            }
            None => shown.push_str(authority),
        }
        rest = tail;
    }
    shown.push_str(rest);
    shown
}

impl fmt::Debug for QueueUrl {
    /// Without passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match &self.place {
            Place::Embedded(folder) => format!("embedded:{}", folder.display()),
            Place::Amqp(url) | Place::Postgres(url) => without_password(url),
            Place::Kafka { servers, .. } => format!("kafka://{servers}"),
        };
        let state = self.state.as_deref().map(without_password);
        let blobs = self.blobs.as_deref().map(without_password);
        f.debug_struct("QueueUrl").field("place", &place).field("state", &state).field("blobs", &blobs).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_broker_is_found_by_its_scheme() {
        let place = |url: &str| url.parse::<QueueUrl>().map(|url| url.place);
        assert!(matches!(place("embedded:./data"), Ok(Place::Embedded(folder)) if folder.as_os_str() == "./data"));
        assert!(matches!(place("amqps://a:b@host/v?heartbeat=5"), Ok(Place::Amqp(url)) if url == "amqps://a:b@host/v"));
        assert!(matches!(
            place("kafka://u:p%40x@h1:1,h2:2"),
            Ok(Place::Kafka { servers, login: Some((_, password)), tls: false }) if servers == "h1:1,h2:2" && password == "p@x"
        ));
        assert!(matches!(place("http://x"), Err(Error::BadUrl { .. })));
        assert!(matches!(place("embedded:"), Err(Error::BadUrl { .. })));
    }

    #[test]
    fn the_state_store_is_the_rest_of_the_url_and_passwords_are_not_shown() {
        let url = "amqp://a:secret@h/?blobs=%2Ftmp&state=postgres://b:secret@h/d?x=1&y=2".parse::<QueueUrl>().unwrap();
        assert_eq!(url.state.as_deref(), Some("postgres://b:secret@h/d?x=1&y=2"));
        assert_eq!(url.blobs.as_deref(), Some("/tmp"));
        assert!(!format!("{url:?}").contains("secret"));
        let url = "embedded:x?blobs=s3://key:secret@b&s3_region=r&timeout=1".parse::<QueueUrl>().unwrap();
        assert!(!format!("{url:?}").contains("secret"));
        assert_eq!(url.blob_settings, [("s3_region".to_owned(), "r".to_owned())]);
        assert_eq!((url.settings.len(), url.setting("timeout")), (1, Some("1")));
        assert!("embedded:x?state=postgres://h".parse::<QueueUrl>().is_err());
    }
}
