//! [`Settings`]: what the URL says, in librdkafka's words.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;

use crate::url::{Place, QueueUrl};
use crate::{Error, QueueName};

/// A call whose confirmation does not come in this time has failed.
pub(super) const CALL_DEADLINE: Duration = Duration::from_secs(30);
/// A broker that does not answer in this time is not there.
pub(super) const CONNECT_DEADLINE: Duration = Duration::from_secs(10);
/// Largest record that is sent, with all that is around the body; topics that we make take it.
pub(super) const MESSAGE_LIMIT: u64 = 2 << 20;
/// A consumer that is silent for this long is dead to Kafka, and its partitions go to others. Kafka's brokers allow 6 s to 30 min by default.
const SESSION: Duration = Duration::from_secs(10);
/// Silence in between is normal for a third of that.
const HEARTBEATS_PER_SESSION: u128 = 3;
/// How long a record waits for others to go with it.
const LINGER_MS: &str = "1";
/// What librdkafka may fetch ahead for one consumer, in KiB; it is fetched again after a rebalance.
const FETCH_AHEAD_KIB: &str = "16384";
/// What may wait for being sent, in KiB.
const SEND_AHEAD_KIB: &str = "65536";

/// How to reach the brokers, and as whom.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    common: ClientConfig,
    session: Duration,
    group: Option<String>,
}

impl Settings {
    /// From a `kafka://` URL. [`Error::BadUrl`] for settings that nobody knows.
    pub(super) fn new(url: &QueueUrl) -> Result<Settings, Error> {
        let wrong = |reason: String| Error::BadUrl { url: format!("{url:?}"), reason };
        let Place::Kafka { servers, login, tls } = &url.place else {
            return Err(wrong("it is not one of Kafka".to_owned()));
        };
        let mut common = ClientConfig::new();
        common.set("bootstrap.servers", servers).set("client.id", "phalanx");
        // A broker that comes back is found soon: the defaults go up to 10 s.
        common.set("reconnect.backoff.ms", "50").set("reconnect.backoff.max.ms", "2000");
        let protocol = match (tls, login.is_some()) {
            (false, false) => "plaintext",
            (true, false) => "ssl",
            (false, true) => "sasl_plaintext",
            (true, true) => "sasl_ssl",
        };
        common.set("security.protocol", protocol);
        if let Some((user, password)) = login {
            common.set("sasl.username", user).set("sasl.password", password).set("sasl.mechanism", "PLAIN");
        }
        let mut settings = Settings { common, session: SESSION, group: None };
        for (key, value) in &url.settings {
            settings.take(key, value).map_err(wrong)?;
        }
        settings.common.set_log_level(RDKafkaLogLevel::Info);
        Ok(settings)
    }

    fn take(&mut self, key: &str, value: &str) -> Result<(), String> {
        match key {
            "mechanism" => drop(self.common.set("sasl.mechanism", value)),
            "ca" => drop(self.common.set("ssl.ca.location", value)),
            "group" => self.group = Some(value.to_owned()),
            "session_ms" => {
                let millis =
                    value.parse().map_err(|_| format!("session_ms={value} is not a number of milliseconds"))?;
                self.session = Duration::from_millis(millis);
            }
            // librdkafka's own settings all have a dot in their names.
            key if key.contains('.') => drop(self.common.set(key, value)),
            key => {
                return Err(format!(
                    "Kafka has no setting \"{key}\": mechanism, ca, group, session_ms, or one of librdkafka's (with a dot) are known"
                ));
            }
        }
        Ok(())
    }

    /// The consumer group of a queue.
    pub(super) fn group(&self, queue: &QueueName) -> String {
        self.group.clone().unwrap_or_else(|| format!("phalanx.{queue}"))
    }

    /// For questions and administration.
    pub(super) fn plain(&self) -> ClientConfig {
        self.common.clone()
    }

    /// For what is sent.
    pub(super) fn producer(&self) -> ClientConfig {
        let mut config = self.common.clone();
        let deadline = CALL_DEADLINE.as_millis().to_string();
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("linger.ms", LINGER_MS)
            .set("message.timeout.ms", deadline)
            .set("message.max.bytes", MESSAGE_LIMIT.to_string())
            .set("queue.buffering.max.kbytes", SEND_AHEAD_KIB);
        config
    }

    /// For a member of a group.
    pub(super) fn member(&self, group: &str) -> ClientConfig {
        let mut config = self.reader(group);
        config
            // A partition that stays with its member keeps its deliveries.
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", self.session.as_millis().to_string())
            .set("heartbeat.interval.ms", (self.session.as_millis() / HEARTBEATS_PER_SESSION).to_string())
            .set("queued.max.messages.kbytes", FETCH_AHEAD_KIB);
        config
    }

    /// For somebody who reads partitions without being a member.
    pub(super) fn reader(&self, group: &str) -> ClientConfig {
        let mut config = self.common.clone();
        config
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "earliest")
            .set("fetch.wait.max.ms", "100")
            .set("fetch.error.backoff.ms", "50");
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(url: &str) -> Result<Settings, Error> {
        Settings::new(&url.parse()?)
    }

    #[test]
    fn user_password_and_authority_come_from_the_url() {
        let settings =
            settings("kafkas://u:p@h:1?mechanism=SCRAM-SHA-256&ca=/x.pem&socket.keepalive.enable=true").unwrap();
        let config = settings.plain();
        assert_eq!(config.get("security.protocol"), Some("sasl_ssl"));
        assert_eq!(config.get("sasl.mechanism"), Some("SCRAM-SHA-256"));
        assert_eq!(config.get("ssl.ca.location"), Some("/x.pem"));
        assert_eq!(config.get("socket.keepalive.enable"), Some("true"));
        assert_eq!(config.get("sasl.username"), Some("u"));
    }

    #[test]
    fn a_group_is_named_after_its_queue_unless_the_url_names_it() {
        let queue = QueueName::new("orders").unwrap();
        assert_eq!(settings("kafka://h").unwrap().group(&queue), "phalanx.orders");
        assert_eq!(settings("kafka://h?group=g").unwrap().group(&queue), "g");
    }

    #[test]
    fn a_setting_that_nobody_knows_is_refused() {
        assert!(matches!(settings("kafka://h?grup=g"), Err(Error::BadUrl { reason, .. }) if reason.contains("grup")));
        assert!(matches!(settings("kafka://h?session_ms=x"), Err(Error::BadUrl { .. })));
    }
}
