//! Where a part takes place: its broker, and for each measurement a queue that nobody has used yet.

use phalanx_brokers::{Durability, Kafka, PostgreSql, RabbitMq, Redis};
use tempfile::TempDir;

use super::contender::Contender;
use super::plan::Part;
use crate::peers::Absent;

/// The broker of a part, if it has one for all of its contenders; gone when this is.
pub(super) enum Broker {
    /// What each contender needs is started with it.
    None,
    RabbitMq(RabbitMq),
    Kafka(Kafka),
    PostgreSql(PostgreSql),
}

impl Broker {
    pub(super) fn start(part: Part) -> Result<Self, Absent> {
        match part {
            Part::Embedded => Ok(Self::None),
            Part::Rabbitmq => there(RabbitMq::start(), "RabbitMQ").map(Self::RabbitMq),
            Part::Kafka => there(Kafka::start(), "Kafka").map(Self::Kafka),
            Part::Postgres => there(PostgreSql::start(), "PostgreSQL").map(Self::PostgreSql),
        }
    }

    /// Its name and version.
    pub(super) fn version(&self) -> Option<String> {
        match self {
            Self::None => None,
            Self::RabbitMq(broker) => Some(format!("RabbitMQ {}", broker.version()?)),
            Self::Kafka(broker) => Some(format!("Kafka {}", broker.version())),
            Self::PostgreSql(broker) => Some(format!("PostgreSQL {}", broker.version()?)),
        }
    }
}

/// Where one measurement takes place.
pub(super) struct Venue {
    pub(super) url: String,
    pub(super) queue: String,
    _folder: Option<TempDir>,
    _redis: Option<Redis>,
}

impl Venue {
    /// For the measurement with this number.
    pub(super) fn of(contender: Contender, broker: &Broker, number: usize) -> Result<Self, Absent> {
        let queue = format!("bench-{number}");
        let at = |url| Self { url, queue: queue.clone(), _folder: None, _redis: None };
        match broker {
            Broker::RabbitMq(broker) => return Ok(at(broker.url())),
            Broker::Kafka(broker) => return Ok(at(broker.url())),
            Broker::PostgreSql(broker) => return Ok(at(broker.url())),
            Broker::None => {}
        }
        let redis = |durability| {
            let redis = there(Redis::start(durability), "Redis")?;
            Ok(Self { _redis: Some(redis), ..at(String::new()) }.with_redis_url())
        };
        match contender {
            Contender::BullmqAlways => redis(Durability::EachCommand),
            Contender::BullmqMemory => redis(Durability::Memory),
            _ => {
                let folder = folder()?;
                let path = folder.path().display();
                let url = if contender == Contender::BareOwner { path.to_string() } else { format!("embedded:{path}") };
                Ok(Self { _folder: Some(folder), ..at(url) })
            }
        }
    }

    fn with_redis_url(mut self) -> Self {
        self.url = self._redis.as_ref().map(Redis::url).unwrap_or_default();
        self
    }
}

/// On the disk on which everything here is durable.
pub(super) fn folder() -> Result<TempDir, Absent> {
    let made = tempfile::Builder::new().prefix("phalanx-bench-queue-").tempdir();
    made.map_err(|error| Absent(format!("no temporary folder: {error}")))
}

fn there<B>(started: Result<Option<B>, String>, name: &str) -> Result<B, Absent> {
    started.map_err(Absent)?.ok_or_else(|| Absent(format!("{name} is not installed")))
}
