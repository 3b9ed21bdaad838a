//! The forwarder: brings messages back from the retry topics of a queue when their time has come.
//!
//! ```text
//!   nack(1 h) ─► orders.retry.10m ─(10 min later)─► orders.retry.10m ─► … ─► .1m ─► .10s ─► orders ─(the last seconds)─► a consumer
//! ```
//!
//! All records of one retry topic stay equally long, so the first one is always the next. Each consuming handle has a forwarder; as members
//! of one group they share the work. A record is committed when its successor is confirmed: after a crash both may come.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError, Weak, mpsc};
use std::time::{Duration, Instant};

use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{BorrowedMessage, OwnedHeaders};
use rdkafka::statistics::Statistics;
use rdkafka::{ClientContext, Message as _, Offset, TopicPartitionList};

use super::producer::Record;
use super::record;
use super::shared::Shared;
use super::topics::{RUNGS, Rung};
use super::{BROKER, context, errors};
use crate::{Error, QueueName, UnixMillis};

/// How often it looks for retry topics that were made meanwhile.
const LOOK_AGAIN: Duration = Duration::from_secs(15);
/// How exact it is.
const TICK: Duration = Duration::from_millis(100);
/// Records that are held at a time, for each partition.
const MOST_HELD: usize = 1000;
/// How often what was sent on is removed from its topic.
const CUT_INTERVAL: Duration = Duration::from_secs(60);
/// After an error.
const BACKOFF: Duration = Duration::from_secs(1);

/// The forwarders' group.
pub(super) fn group(group: &str) -> String {
    format!("{group}.retry")
}

/// Records that wait in our hands, by topic and partition.
type Held = BTreeMap<(String, i32), VecDeque<Waiting>>;

struct Waiting {
    offset: i64,
    leaves: UnixMillis,
    due: UnixMillis,
    key: Option<Vec<u8>>,
    body: Vec<u8>,
    headers: OwnedHeaders,
}

struct Forwarding(Arc<Mutex<Held>>);

struct Forwarder {
    shared: Arc<Shared>,
    queue: QueueName,
    consumer: BaseConsumer<Forwarding>,
    held: Arc<Mutex<Held>>,
    subscribed: usize,
    look: Instant,
    /// When what was sent on was last removed from each topic.
    cut: Mutex<BTreeMap<String, Instant>>,
}

/// Keeps the forwarder of a queue going. It ends when all of these are gone.
pub(super) struct Keeper(mpsc::Sender<()>);

/// The forwarder of this handle for a queue: the one that there is, or a new one.
pub(super) fn share(shared: &Arc<Shared>, queue: &QueueName) -> Result<Arc<Keeper>, Error> {
    let mut keepers = shared.forwarders.lock().unwrap_or_else(PoisonError::into_inner);
    keepers.retain(|_, keeper| keeper.strong_count() > 0);
    if let Some(keeper) = keepers.get(queue).and_then(Weak::upgrade) {
        return Ok(keeper);
    }
    let keeper = Arc::new(Keeper(start(shared, queue)?));
    keepers.insert(queue.clone(), Arc::downgrade(&keeper));
    Ok(keeper)
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // A forwarder that has ended needs no stopping.
        let _ = self.0.send(());
    }
}

fn start(shared: &Arc<Shared>, queue: &QueueName) -> Result<mpsc::Sender<()>, Error> {
    let mut config = shared.settings.member(&group(&shared.settings.group(queue)));
    // They wait at the broker, not here.
    config.set("queued.min.messages", "100").set("queued.max.messages.kbytes", "1024");
    let held = Arc::<Mutex<Held>>::default();
    let consumer = BaseConsumer::from_config_and_context(&config, Forwarding(Arc::clone(&held)));
    let consumer = consumer.map_err(|error| errors::of(&error))?;
    let (stop, stopped) = mpsc::channel::<()>();
    let stopper = stop.clone();
    let running = shared.begin(move || stopper.send(()).unwrap_or_default())?;
    let (shared, queue) = (Arc::clone(shared), queue.clone());
    let mut forwarder =
        Forwarder { shared, queue, consumer, held, subscribed: 0, look: Instant::now(), cut: Mutex::default() };
    std::thread::Builder::new()
        .name("kafka-retry".to_owned())
        .spawn(move || {
            while let Err(mpsc::TryRecvError::Empty) = stopped.try_recv() {
                forwarder.step();
            }
            forwarder.consumer.unsubscribe();
            drop(forwarder);
            drop(running);
        })
        .map_err(|error| Error::unavailable(BROKER, format_args!("cannot start a thread: {error}")))?;
    Ok(stop)
}

impl Forwarder {
    fn step(&mut self) {
        if self.subscribed < RUNGS.len() && Instant::now() >= self.look {
            self.subscribe();
        }
        match self.consumer.poll(TICK) {
            Some(Ok(record)) => self.take(&record),
            Some(Err(error)) => tracing::debug!(queue = %self.queue, "retry topics: {error}"),
            None => {}
        }
        if let Err(error) = self.forward() {
            tracing::warn!(queue = %self.queue, "retries are late: {error}; tried again in {BACKOFF:?}");
            std::thread::sleep(BACKOFF);
        }
    }

    /// Subscribes to those that are there.
    fn subscribe(&mut self) {
        self.look = Instant::now() + LOOK_AGAIN;
        let topics: Vec<String> = RUNGS.iter().map(|rung| rung.topic(&self.queue)).collect();
        let there: Vec<&str> =
            topics.iter().map(String::as_str).filter(|topic| self.shared.topics.partitions(topic).is_ok()).collect();
        if there.len() > self.subscribed && self.consumer.subscribe(&there).is_ok() {
            self.subscribed = there.len();
        }
    }

    fn take(&self, record: &BorrowedMessage<'_>) {
        let stay = RUNGS
            .iter()
            .find(|rung| rung.topic(&self.queue) == record.topic())
            .map_or(Duration::ZERO, |rung| rung.stay);
        let came =
            UnixMillis(record.timestamp().to_millis().and_then(|millis| u64::try_from(millis).ok()).unwrap_or(0));
        let (_, carried) = record::message(record);
        let waiting = Waiting {
            offset: record.offset(),
            leaves: came.after(stay),
            due: carried.due.unwrap_or_default(),
            key: record.key().map(<[u8]>::to_vec),
            body: record.payload().unwrap_or_default().to_vec(),
            headers: record.headers().map(|headers| headers.detach()).unwrap_or_default(),
        };
        let is_early = waiting.leaves > UnixMillis::now();
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let queue = held.entry((record.topic().to_owned(), record.partition())).or_default();
        queue.push_back(waiting);
        if (is_early || queue.len() >= MOST_HELD)
            && let Err(error) = self.consumer.pause(&one(record.topic(), record.partition(), Offset::Invalid))
        {
            tracing::debug!(queue = %self.queue, "a retry topic could not be paused: {error}");
        }
    }

    /// Sends on what has stayed long enough, and commits that.
    fn forward(&self) -> Result<(), Error> {
        let now = UnixMillis::now();
        let ripe: Held = {
            let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            let ripe = held.iter_mut().filter_map(|(place, queue)| {
                let ripe = queue.iter().take_while(|waiting| waiting.leaves <= now).count();
                (ripe > 0).then(|| (place.clone(), queue.drain(..ripe).collect()))
            });
            ripe.collect()
        };
        for ((topic, partition), records) in ripe {
            let Some(next) = records.back().map(|last| last.offset + 1) else { continue };
            let wrong = |error: KafkaError| errors::of_topic(&error, &topic, 0);
            let sent = self.send(&records, now);
            let committed = sent.and_then(|()| {
                let list = one(&topic, partition, Offset::Offset(next));
                self.consumer.commit(&list, CommitMode::Sync).map_err(wrong)
            });
            if let Err(error) = committed {
                // They wait on, in front of those that came after them.
                let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
                let queue = held.entry((topic, partition)).or_default();
                records.into_iter().rev().for_each(|waiting| queue.push_front(waiting));
                return Err(error);
            }
            self.cut(&topic, partition, next);
            let is_empty = self
                .held
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .get(&(topic.clone(), partition))
                .is_none_or(VecDeque::is_empty);
            if is_empty {
                self.consumer.resume(&one(&topic, partition, Offset::Invalid)).map_err(wrong)?;
            }
        }
        Ok(())
    }

    /// Removes what was sent on: Kafka would keep it for ever.
    fn cut(&self, topic: &str, partition: i32, before: i64) {
        let mut cut = self.cut.lock().unwrap_or_else(PoisonError::into_inner);
        let last = cut.entry(topic.to_owned()).or_insert_with(Instant::now);
        if last.elapsed() < CUT_INTERVAL {
            return;
        }
        *last = Instant::now();
        let ends = [(partition, Offset::Offset(before))];
        if let Err(error) = self.shared.io().block_on(self.shared.topics.cut(topic, &ends)) {
            tracing::debug!(queue = %self.queue, "what was sent on was not removed: {error}");
        }
    }

    fn send(&self, records: &VecDeque<Waiting>, now: UnixMillis) -> Result<(), Error> {
        // To the next rung, or back into the queue, where the last part is waited for.
        let topics: Vec<String> = records
            .iter()
            .map(|waiting| match Rung::within(waiting.due.since(now)) {
                Some(rung) => rung.topic(&self.queue),
                None => self.queue.as_str().to_owned(),
            })
            .collect();
        let records = records.iter().zip(&topics).map(|(waiting, topic)| Record {
            topic,
            partition: None,
            key: waiting.key.as_deref(),
            body: &waiting.body,
            headers: waiting.headers.clone(),
        });
        self.shared.io().block_on(self.shared.producer.send_records(records))
    }
}

fn one(topic: &str, partition: i32, offset: Offset) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(1);
    let mut place = list.add_partition(topic, partition);
    // Offsets that came from Kafka are offsets that it takes.
    let _: KafkaResult<()> = place.set_offset(offset);
    list
}

impl ClientContext for Forwarding {
    fn log(&self, level: RDKafkaLogLevel, topic: &str, text: &str) {
        context::log(level, topic, text);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "librdkafka", "{error}: {reason}");
    }

    fn stats(&self, _: Statistics) {}
}

impl ConsumerContext for Forwarding {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Revoke(partitions) = rebalance {
            // They are not committed: whoever has them next gets these records.
            let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            for place in partitions.elements() {
                held.remove(&(place.topic().to_owned(), place.partition()));
            }
        }
    }
}
