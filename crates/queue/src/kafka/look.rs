//! What a queue holds, by the numbers that Kafka keeps: watermarks of the topic, and the windows of the group.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;
use rdkafka::{Message as _, Offset, TopicPartitionList};

use super::context::Context;
use super::record;
use super::settings::CALL_DEADLINE;
use super::shared::Shared;
use super::topics::RUNGS;
use super::window::{Arrival, Window};
use super::{BROKER, errors, retry};
use crate::{Error, Message, QueueName, QueueStats};

/// Group of those who only look: they never join it, and commit nothing.
const LOOKERS: &str = "phalanx.look";
const POLL: Duration = Duration::from_millis(100);
/// Of a whole look.
const LOOK_DEADLINE: Duration = Duration::from_secs(10);

/// A record that was read.
pub(super) struct Read {
    pub(super) partition: i32,
    pub(super) offset: i64,
    /// Milliseconds since 1970.
    sent: i64,
    pub(super) key: Option<Vec<u8>>,
    pub(super) body: Vec<u8>,
    pub(super) message: Message,
}

/// Reads from these offsets to the ends of the partitions, until `take` has enough.
pub(super) fn read(
    shared: &Shared,
    topic: &str,
    from: &[(i32, Offset)],
    within: Duration,
    mut take: impl FnMut(Read) -> bool,
) -> Result<(), Error> {
    let mut config = shared.settings.reader(LOOKERS);
    config.set("enable.partition.eof", "true");
    let reader: BaseConsumer<Context> = shared.topics.reader(&config)?;
    // Knowing who leads its partitions, it begins at once; else it would find out half a second later.
    reader.fetch_metadata(Some(topic), CALL_DEADLINE).map_err(|error| errors::of_topic(&error, topic, 0))?;
    let mut list = TopicPartitionList::new();
    for (partition, offset) in from {
        let added = list.add_partition_offset(topic, *partition, *offset);
        added.map_err(|error| errors::of_topic(&error, topic, 0))?;
    }
    reader.assign(&list).map_err(|error| errors::of_topic(&error, topic, 0))?;
    let mut unread = from.len();
    let deadline = Instant::now() + within;
    while unread > 0 {
        match reader.poll(POLL) {
            Some(Ok(record)) if take(detached(&record)) => {}
            Some(Ok(_)) => return Ok(()),
            Some(Err(KafkaError::PartitionEOF(_))) => unread -= 1,
            // It is tried again until the deadline.
            Some(Err(error)) => tracing::debug!("Kafka, topic {topic}: {error}"),
            None => {}
        }
        if Instant::now() > deadline {
            return Err(Error::unavailable(BROKER, format_args!("the topic {topic} was not read within {within:?}")));
        }
    }
    Ok(())
}

fn detached(record: &BorrowedMessage<'_>) -> Read {
    let (message, _) = record::message(record);
    Read {
        partition: record.partition(),
        offset: record.offset(),
        sent: record.timestamp().to_millis().unwrap_or(0),
        key: message.key.clone(),
        body: message.body.clone(),
        message,
    }
}

/// One partition, as its group has left it.
struct Standing {
    partition: i32,
    low: i64,
    high: i64,
    window: Window,
}

impl Standing {
    fn waiting(&self) -> u64 {
        let untouched = self.high - self.window.end().max(self.low);
        u64::try_from(untouched).unwrap_or(0) + u64::try_from(self.window.unsettled()).unwrap_or(0)
    }
}

fn standings(shared: &Shared, topic: &str, group: &str) -> Result<Vec<Standing>, Error> {
    let wrong = |error: KafkaError| errors::of_topic(&error, topic, 0);
    let partitions = shared.topics.partitions(topic)?;
    let reader = shared.topics.reader(&shared.settings.reader(group))?;
    let mut list = TopicPartitionList::new();
    for partition in partitions {
        list.add_partition(topic, partition);
    }
    let committed = reader.committed_offsets(list, CALL_DEADLINE).map_err(wrong)?;
    let mut standings = Vec::new();
    for place in committed.elements() {
        let (low, high) = reader.fetch_watermarks(topic, place.partition(), CALL_DEADLINE).map_err(wrong)?;
        let window = match place.offset() {
            // A mark before the first record that is left: the rest was removed.
            Offset::Offset(mark) if mark >= low => Window::restore(mark, place.metadata()),
            _ => Window::new(low),
        };
        standings.push(Standing { partition: place.partition(), low, high, window });
    }
    Ok(standings)
}

/// What a queue holds.
pub(super) fn stats(shared: &Shared, queue: &QueueName) -> Result<QueueStats, Error> {
    let group = shared.settings.group(queue);
    let standings = standings(shared, queue.as_str(), &group)?;
    let consumers = members(shared, &group);
    let waiting: u64 = standings.iter().map(Standing::waiting).sum();
    let begun: usize = standings.iter().map(|standing| standing.window.begun()).sum();
    // What was begun by a consumer that is gone waits again.
    let leased = if consumers > 0 { u64::try_from(begun).unwrap_or(0) } else { 0 };
    let scheduled =
        rungs(shared, queue, &group)?.iter().flat_map(|(_, standings)| standings).map(Standing::waiting).sum();
    Ok(QueueStats {
        queue: queue.as_str().to_owned(),
        ready: waiting.saturating_sub(leased),
        scheduled,
        leased,
        consumers,
        ..QueueStats::default()
    })
}

/// How many there are in a group; 0 if the broker does not tell.
fn members(shared: &Shared, group: &str) -> u64 {
    let reader = shared.topics.reader(&shared.settings.plain()).ok();
    let groups = reader.and_then(|reader| reader.fetch_group_list(Some(group), CALL_DEADLINE).ok());
    let members = groups.iter().flat_map(|list| list.groups()).map(|group| group.members().len()).sum::<usize>();
    u64::try_from(members).unwrap_or(0)
}

/// The retry topics that there are.
fn rungs(shared: &Shared, queue: &QueueName, group: &str) -> Result<Vec<(String, Vec<Standing>)>, Error> {
    let mut found = Vec::new();
    for rung in RUNGS {
        let topic = rung.topic(queue);
        match standings(shared, &topic, &retry::group(group)) {
            Ok(standings) => found.push((topic, standings)),
            Err(Error::NoSuchQueue { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// The oldest waiting messages, by the clocks of those who sent them.
pub(super) fn peek(shared: &Shared, queue: &QueueName, most: usize) -> Result<Vec<Message>, Error> {
    let topic = queue.as_str();
    let standings = standings(shared, topic, &shared.settings.group(queue))?;
    let mut from: Vec<(i32, Offset)> = Vec::new();
    let mut parts: BTreeMap<i32, (Window, usize)> = BTreeMap::new();
    for standing in standings.into_iter().filter(|standing| standing.waiting() > 0) {
        from.push((standing.partition, Offset::Offset(standing.window.mark().max(standing.low))));
        parts.insert(standing.partition, (standing.window, 0));
    }
    let mut oldest = Vec::new();
    if most > 0 && !from.is_empty() {
        read(shared, topic, &from, LOOK_DEADLINE, |record| {
            if let Some((window, seen)) = parts.get_mut(&record.partition)
                && *seen < most
                && window.arrive(record.offset) != Arrival::Settled
            {
                *seen += 1;
                oldest.push(record);
            }
            parts.values().any(|(_, seen)| *seen < most)
        })?;
    }
    oldest.sort_by_key(|record| (record.sent, record.partition, record.offset));
    oldest.truncate(most);
    Ok(oldest.into_iter().map(|record| record.message).collect())
}

/// What waits in one topic, and where it ends.
pub(super) struct Part {
    pub(super) topic: String,
    pub(super) messages: u64,
    pub(super) ends: Vec<(i32, Offset)>,
}

/// What a purge would remove, in the topic of the queue and in its retry topics.
pub(super) fn waiting(shared: &Shared, queue: &QueueName) -> Result<Vec<Part>, Error> {
    let group = shared.settings.group(queue);
    let mut topics = vec![(queue.as_str().to_owned(), standings(shared, queue.as_str(), &group)?)];
    topics.extend(rungs(shared, queue, &group)?);
    let part = |(topic, standings): (String, Vec<Standing>)| Part {
        topic,
        messages: standings.iter().map(Standing::waiting).sum(),
        ends: standings.iter().map(|standing| (standing.partition, Offset::Offset(standing.high))).collect(),
    };
    Ok(topics.into_iter().map(part).collect())
}
