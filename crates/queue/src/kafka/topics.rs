//! [`Topics`]: which topics there are, and the making of them.
//!
//! A queue `orders` is a topic of that name. Beside it stand, made with it or when they are first needed:
//!
//! | topic | holds |
//! |---|---|
//! | `orders.retry.10s`, `.1m`, `.10m` | what comes again later: see [`retry`](super::retry) |
//! | `orders.dead`, or the queue that was declared as its dead-letter queue | what is dead |
//! | `phalanx.queues` | what was declared of each queue: see [`declared`](super::declared) |
//! | `phalanx.replies` | answers: see [`replies`](super::replies) |

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

use super::context::Context;
use super::settings::{CALL_DEADLINE, MESSAGE_LIMIT, Settings};
use super::{BROKER, errors};
use crate::{Capability, Error, QueueName};

/// As many copies as the brokers make by default.
const DEFAULT_REPLICATION: i32 = -1;
/// Nothing is thrown away because of its age: what waits was confirmed. Kafka's default would be a week.
const FOR_EVER: &str = "-1";

/// What a topic is for decides how it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Messages that wait; gone when they were consumed, never before.
    Queue,
    /// The last word about each key.
    Table,
    /// Answers: worth nothing after an hour.
    Replies,
}

/// The topics of a cluster, as far as this handle knows.
#[derive(Debug)]
pub(super) struct Topics {
    settings: Settings,
    known: Mutex<HashSet<String>>,
}

impl Topics {
    pub(super) fn new(settings: &Settings) -> Topics {
        Topics { settings: settings.clone(), known: Mutex::new(HashSet::new()) }
    }

    /// Whether it was seen before: then nobody needs to ask.
    pub(super) fn is_known(&self, topic: &str) -> bool {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).contains(topic)
    }

    /// It is not there any more.
    pub(super) fn forget(&self, topic: &str) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(topic);
    }

    /// Its partitions; [`Error::NoSuchQueue`] if it is not there. Asks the brokers, and waits for them.
    pub(super) fn partitions(&self, topic: &str) -> Result<Vec<i32>, Error> {
        let reader: BaseConsumer<Context> = self.reader(&self.settings.plain())?;
        let metadata = reader.fetch_metadata(Some(topic), CALL_DEADLINE);
        let metadata = metadata.map_err(|error| errors::of_topic(&error, topic, 0))?;
        let found = metadata.topics().iter().find(|found| found.name() == topic && !found.partitions().is_empty());
        let Some(found) = found else {
            return Err(Error::NoSuchQueue { queue: topic.to_owned() });
        };
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(topic.to_owned());
        Ok(found.partitions().iter().map(|partition| partition.id()).collect())
    }

    /// A client for questions.
    pub(super) fn reader(&self, config: &rdkafka::ClientConfig) -> Result<BaseConsumer<Context>, Error> {
        BaseConsumer::from_config_and_context(config, Context::default()).map_err(|error| errors::of(&error))
    }

    /// Makes these, unless they are there. Those that are get no other properties. Asks the brokers, and blocks.
    pub(super) async fn make(&self, wanted: &[(String, i32, Purpose)]) -> Result<(), Error> {
        let mut missing = Vec::new();
        for topic in wanted {
            match self.partitions(&topic.0) {
                Ok(_) => {}
                Err(Error::NoSuchQueue { .. }) => missing.push(topic),
                Err(error) => return Err(error),
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let limit = MESSAGE_LIMIT.to_string();
        let topics: Vec<NewTopic<'_>> = missing
            .iter()
            .map(|(name, partitions, purpose)| {
                let topic = NewTopic::new(name, *partitions, TopicReplication::Fixed(DEFAULT_REPLICATION));
                match purpose {
                    Purpose::Queue => topic.set("retention.ms", FOR_EVER).set("max.message.bytes", &limit),
                    Purpose::Table => topic.set("cleanup.policy", "compact"),
                    Purpose::Replies => topic.set("retention.ms", "3600000").set("max.message.bytes", &limit),
                }
            })
            .collect();
        let results = self.admin()?.create_topics(&topics, &options()).await;
        for result in results.map_err(|error| errors::of(&error))? {
            match result {
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((name, code)) => return Err(errors::of_topic(&KafkaError::AdminOp(code), &name, 0)),
            }
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.extend(missing.iter().map(|(name, ..)| name.clone()));
        Ok(())
    }

    /// Removes those of these that are there.
    pub(super) async fn delete(&self, names: &[&str]) -> Result<(), Error> {
        names.iter().for_each(|name| self.forget(name));
        let results = self.admin()?.delete_topics(names, &options()).await;
        for result in results.map_err(|error| unsupported(&error, Capability::Purge))? {
            match result {
                Ok(_) | Err((_, RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic)) => {}
                Err((name, code)) => return Err(errors::of_topic(&KafkaError::AdminOp(code), &name, 0)),
            }
        }
        Ok(())
    }

    /// Removes all records of a topic before these offsets of its partitions.
    pub(super) async fn cut(&self, topic: &str, before: &[(i32, Offset)]) -> Result<(), Error> {
        let mut list = TopicPartitionList::new();
        for (partition, offset) in before {
            let added = list.add_partition_offset(topic, *partition, *offset);
            added.map_err(|error| errors::of_topic(&error, topic, 0))?;
        }
        let cut = self.admin()?.delete_records(&list, &options()).await;
        let cut = cut.map_err(|error| unsupported(&error, Capability::Purge))?;
        let failed = cut.elements().into_iter().find_map(|partition| partition.error().err());
        failed.map_or(Ok(()), |error| Err(errors::of_topic(&error, topic, 0)))
    }

    fn admin(&self) -> Result<AdminClient<Context>, Error> {
        AdminClient::from_config_and_context(&self.settings.plain(), Context::default())
            .map_err(|error| errors::of(&error))
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(CALL_DEADLINE)).operation_timeout(Some(CALL_DEADLINE))
}

fn unsupported(error: &KafkaError, capability: Capability) -> Error {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::UnsupportedFeature) => Error::unsupported(capability, BROKER),
        _ => errors::of(error),
    }
}

/// Where what is rejected goes, if nobody declared another place.
pub(super) fn dead(queue: &QueueName) -> String {
    format!("{queue}.dead")
}

/// One of the topics through which a message comes again later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rung {
    /// How long a record stays.
    pub(super) stay: Duration,
    suffix: &'static str,
}

/// From the shortest to the longest.
pub(super) const RUNGS: [Rung; 3] = [
    Rung { stay: Duration::from_secs(10), suffix: "10s" },
    Rung { stay: Duration::from_secs(60), suffix: "1m" },
    Rung { stay: Duration::from_secs(600), suffix: "10m" },
];

impl Rung {
    /// The topic of this rung.
    pub(super) fn topic(self, queue: &QueueName) -> String {
        format!("{queue}.retry.{}", self.suffix)
    }

    /// The longest that is not too long; the last part of a wait, shorter than all of them, is waited for by the consumer.
    pub(super) fn within(wait: Duration) -> Option<Rung> {
        RUNGS.iter().rev().find(|rung| rung.stay <= wait).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_made_of_the_longest_rungs_that_fit() {
        let stay = |seconds| Rung::within(Duration::from_secs(seconds)).map(|rung| rung.stay.as_secs());
        assert_eq!(
            [stay(9), stay(10), stay(59), stay(60), stay(3600)],
            [None, Some(10), Some(10), Some(60), Some(600)]
        );
    }
}
