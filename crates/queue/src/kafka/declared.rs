//! [`Declared`]: what was declared of a queue. Kafka keeps no properties of our own with a topic, so they are records of the
//! compacted topic `phalanx.queues`: the key is the queue, the value lines of text.

use std::time::Duration;

use super::look::read;
use super::record::Carried;
use super::shared::Shared;
use super::topics::{Purpose, dead};
use crate::{Error, Message, QueueName, QueueOptions};

const TABLE: &str = "phalanx.queues";
/// Topics of one partition keep their records in order. (A broker that makes topics by itself may make more; the first one is used.)
const PARTITION: i32 = 0;
const READ_DEADLINE: Duration = Duration::from_secs(10);
const MAX_DELIVERIES: &str = "max-deliveries";
const DEAD_LETTER: &str = "dead-letter";
const MADE: &str = "made";

/// What a consumer has to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Declared {
    /// Deliveries before a message is dead.
    pub(super) max_deliveries: u32,
    /// Where dead ones go.
    pub(super) dead_letter: Option<QueueName>,
    /// The topic was made by us for this: what was consumed may be removed from it.
    pub(super) made: bool,
}

impl Declared {
    /// Of a topic of somebody else: nothing of it is thrown away, so what is dead goes to a topic of its own.
    pub(super) fn foreign(queue: &QueueName) -> Result<Declared, Error> {
        let defaults = QueueOptions::new(queue.as_str())?;
        let dead_letter = Some(QueueName::new(dead(queue))?);
        Ok(Declared { max_deliveries: defaults.max_deliveries, dead_letter, made: false })
    }

    /// As these options say.
    pub(super) fn new(options: &QueueOptions, made: bool) -> Declared {
        Declared { max_deliveries: options.max_deliveries, dead_letter: options.dead_letter.clone(), made }
    }

    /// What is on record about a queue. Asks the brokers, and waits for them.
    pub(super) fn find(shared: &Shared, queue: &QueueName) -> Result<Option<Declared>, Error> {
        match shared.topics.partitions(TABLE) {
            Ok(_) => {}
            Err(Error::NoSuchQueue { .. }) => return Ok(None),
            Err(error) => return Err(error),
        }
        let mut last = None;
        read(shared, TABLE, &[(PARTITION, rdkafka::Offset::Beginning)], READ_DEADLINE, |record| {
            if record.key.as_deref() == Some(queue.as_str().as_bytes()) {
                last = Some(record.body);
            }
            true
        })?;
        Ok(last.and_then(|text| parse(&String::from_utf8_lossy(&text))))
    }

    /// Puts it on record.
    pub(super) async fn keep(&self, shared: &Shared, queue: &QueueName) -> Result<(), Error> {
        shared.topics.make(&[(TABLE.to_owned(), 1, Purpose::Table)]).await?;
        let dead_letter = self.dead_letter.as_ref().map(QueueName::as_str).unwrap_or_default();
        let text = format!(
            "{MAX_DELIVERIES}={}\n{DEAD_LETTER}={dead_letter}\n{MADE}={}\n",
            self.max_deliveries,
            if self.made { "yes" } else { "no" }
        );
        write(shared, queue, text).await
    }

    /// Strikes it off the record.
    pub(super) async fn strike(shared: &Shared, queue: &QueueName) -> Result<(), Error> {
        write(shared, queue, String::new()).await
    }
}

async fn write(shared: &Shared, queue: &QueueName, text: String) -> Result<(), Error> {
    let message = Message::new(text).key(queue.as_str());
    let mut record = super::producer::Record::new(TABLE, &message, Carried::default());
    record.partition = Some(PARTITION);
    shared.producer.send_records(std::iter::once(record)).await
}

fn parse(text: &str) -> Option<Declared> {
    let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    let dead_letter = match value(DEAD_LETTER)? {
        "" => None,
        name => Some(QueueName::new(name).ok()?),
    };
    let made = value(MADE)? == "yes";
    Some(Declared { max_deliveries: value(MAX_DELIVERIES)?.parse().ok()?, dead_letter, made })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_and_a_damaged_one_says_nothing() {
        let declared = parse("max-deliveries=3\ndead-letter=bad\nmade=yes\nof-a-newer-program=1\n").unwrap();
        assert_eq!((declared.max_deliveries, declared.made), (3, true));
        assert_eq!(declared.dead_letter.unwrap().as_str(), "bad");
        assert_eq!(parse("max-deliveries=3\ndead-letter=\nmade=no").unwrap().dead_letter, None);
        assert!(parse("").is_none());
        assert!(parse("max-deliveries=x\ndead-letter=\nmade=no").is_none());
    }
}
