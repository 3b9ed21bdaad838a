//! [`MemberContext`]: what happens when partitions come and go.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext, Rebalance};
use rdkafka::error::KafkaError;
use rdkafka::statistics::Statistics;
use rdkafka::{ClientContext, Offset, TopicPartitionList};

use super::Event;
use super::partition::{Board, Partition};
use crate::Error;
use crate::kafka::window::Record;
use crate::kafka::{context, errors};

/// How long a partition that shall go to another member waits for the deliveries in somebody's hands. What is settled by then is not
/// done twice; the whole group waits meanwhile, for this partition.
const GRACE: Duration = Duration::from_secs(2);

/// A delivery that is dropped says nothing: it is looked for so often.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// What the thread is told. It is read in two places: where the thread sleeps, and where it waits for deliveries of a partition that leaves.
pub(super) struct Inbox {
    events: Mutex<mpsc::Receiver<Event>>,
    /// Came while something else was waited for.
    later: Mutex<VecDeque<Event>>,
    is_closed: AtomicBool,
}

impl Inbox {
    pub(super) fn new(events: mpsc::Receiver<Event>) -> Inbox {
        Inbox { events: Mutex::new(events), later: Mutex::default(), is_closed: AtomicBool::new(false) }
    }

    /// The next event, if one comes in this time.
    pub(super) fn next(&self, within: Duration) -> Option<Event> {
        if let Some(event) = lock(&self.later).pop_front() {
            return Some(event);
        }
        let events = lock(&self.events);
        if within.is_zero() { events.try_recv().ok() } else { events.recv_timeout(within).ok() }
    }

    /// The consumer is gone: nobody is waited for.
    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
    }
}

/// Called on the member's own thread, inside of `poll`.
pub(super) struct MemberContext {
    topic: String,
    board: Arc<Mutex<Board>>,
    inbox: Arc<Inbox>,
}

impl MemberContext {
    pub(super) fn new(topic: &str, board: &Arc<Mutex<Board>>, inbox: &Arc<Inbox>) -> MemberContext {
        MemberContext { topic: topic.to_owned(), board: Arc::clone(board), inbox: Arc::clone(inbox) }
    }

    /// Before partitions are taken from us: what is settled is said for the last time.
    fn give_up(&self, consumer: &BaseConsumer<Self>, partitions: &TopicPartitionList) {
        let leaving: Vec<i32> = partitions.elements().iter().map(|place| place.partition()).collect();
        let is_lost = consumer.assignment_lost();
        if !is_lost && !self.inbox.is_closed.load(Ordering::Acquire) {
            self.wait_for_hands(&leaving);
        }
        let mut board = lock(&self.board);
        board.unknown.retain(|partition| !leaving.contains(partition));
        let mut records = Vec::new();
        for partition in &leaving {
            let record = board.partitions.get_mut(partition).and_then(Partition::give_up);
            records.extend(record.map(|record| (*partition, record)));
        }
        let outcome = if records.is_empty() {
            Ok(())
        } else if is_lost {
            // Somebody else has them already, and our word does not count.
            Err(Error::Stale)
        } else {
            let list = offsets(&self.topic, &records);
            list.and_then(|list| consumer.commit(&list, CommitMode::Sync)).map_err(|error| errors::of(&error))
        };
        for partition in leaving {
            if let Some(mut partition) = board.partitions.remove(&partition) {
                partition.lose(&outcome);
            }
        }
    }

    /// Gives deliveries that are being worked on some time to be settled.
    fn wait_for_hands(&self, leaving: &[i32]) {
        let deadline = Instant::now() + GRACE;
        let mut others = VecDeque::new();
        let mut board = lock(&self.board);
        leaving.iter().filter_map(|partition| board.partitions.get(partition)).for_each(Partition::close);
        while leaving.iter().filter_map(|partition| board.partitions.get(partition)).any(Partition::is_in_hands)
            && let Some(left) = deadline.checked_duration_since(Instant::now())
        {
            let Some(event) = self.inbox.next(left.min(LOOK_AGAIN)) else { continue };
            let is_stop = matches!(event, Event::Stop);
            others.extend(board.settle(event));
            if is_stop {
                break;
            }
        }
        drop(board);
        let mut later = lock(&self.inbox.later);
        others.extend(later.drain(..));
        *later = others;
    }
}

/// The commit that says so.
pub(super) fn offsets(topic: &str, records: &[(i32, Record)]) -> Result<TopicPartitionList, KafkaError> {
    let mut list = TopicPartitionList::with_capacity(records.len());
    for (partition, record) in records {
        let mut place = list.add_partition(topic, *partition);
        place.set_offset(Offset::Offset(record.mark))?;
        if !record.text.is_empty() {
            place.set_metadata(&record.text);
        }
    }
    Ok(list)
}

pub(super) fn lock<T>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ClientContext for MemberContext {
    fn log(&self, level: RDKafkaLogLevel, topic: &str, text: &str) {
        context::log(level, topic, text);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "librdkafka", topic = %self.topic, "{error}: {reason}");
    }

    fn stats(&self, _: Statistics) {}
}

impl ConsumerContext for MemberContext {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Revoke(partitions) => self.give_up(consumer, partitions),
            Rebalance::Assign(_) => {}
            Rebalance::Error(error) => {
                tracing::warn!(topic = %self.topic, "the consumer group was not balanced: {error}")
            }
        }
    }

    fn post_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let Rebalance::Assign(partitions) = rebalance else { return };
        // Nothing is taken from them until it is known how their last holder left them.
        if let Err(error) = consumer.pause(partitions) {
            tracing::warn!(topic = %self.topic, "new partitions could not be paused: {error}");
        }
        lock(&self.board).unknown.extend(partitions.elements().iter().map(|place| place.partition()));
    }
}
