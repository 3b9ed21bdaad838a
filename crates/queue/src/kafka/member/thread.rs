//! The member's thread.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::{Message as _, Offset, TopicPartitionList};
use tokio::sync::mpsc as hand;

use super::committer::Committer;
use super::context::{Inbox, MemberContext, lock, offsets};
use super::partition::{Alive, Begun, Board, Came, Partition, Uncommitted, Unrecorded, Waiting};
use super::settle::{Hands, dead_letter};
use super::{Event, Handed, Link, MOST_STAYING, Place};
use crate::kafka::record::{self, Carried};
use crate::kafka::retry::Keeper;
use crate::kafka::settings::CALL_DEADLINE;
use crate::kafka::shared::Running;
use crate::kafka::window::Window;
use crate::kafka::{BROKER, errors};
use crate::{ConsumeOptions, Delivery, Error, UnixMillis};

/// At least so often it looks whether somebody has waited too long; all else wakes it.
const LONGEST_SLEEP: Duration = Duration::from_millis(250);
/// So many messages are taken from one partition before the next one has its turn.
const TURN: usize = 32;
/// librdkafka does not say whether its queue is empty or only had something for itself: it is asked so often before we believe it.
const ASKED: usize = 4;
/// How long to wait for the word of the last holder of a partition, before other things are looked after.
const ASK_DEADLINE: Duration = Duration::from_secs(1);
const FIRST_BACKOFF: Duration = Duration::from_millis(50);
const LONGEST_BACKOFF: Duration = Duration::from_secs(2);
/// A topic from which nothing comes is looked for so often.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// One that is not found is looked for again: brokers tell each other of a new one in that time.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// How often what is settled is removed from the topic.
const CUT_INTERVAL: Duration = Duration::from_secs(20);
/// How long a member that leaves waits for its last commit.
const LEAVE_DEADLINE: Duration = Duration::from_secs(2);
/// A poisonous message that cannot be sent to its dead-letter topic is tried again after this.
const BURY_AGAIN: Duration = Duration::from_secs(1);

type Out = hand::UnboundedSender<Result<Handed, Error>>;

struct Member {
    link: Arc<Link>,
    board: Arc<Mutex<Board>>,
    inbox: Arc<Inbox>,
    consumer: Arc<BaseConsumer<MemberContext>>,
    /// By partition, with the life that it belongs to.
    queues: BTreeMap<i32, (u64, PartitionQueue<MemberContext>)>,
    committer: Committer,
    /// A commit is under way.
    is_committing: bool,
    commit_after: Option<Instant>,
    backoff: Duration,
    waker: Arc<Waker>,
    /// Gone when no more shall be handed out.
    out: Option<Out>,
    is_resting: bool,
    prefetch: usize,
    /// Whose turn it is.
    turn: usize,
    looked: Instant,
    look_at: Instant,
    /// The topic was not found.
    is_missing: bool,
    cut_at: Instant,
}

/// Wakes the thread once, however often librdkafka calls.
struct Waker {
    inbox: mpsc::Sender<Event>,
    called: AtomicBool,
}

impl Waker {
    fn wake(&self) {
        if !self.called.swap(true, Ordering::AcqRel) {
            // A thread that has ended needs no waking.
            let _ = self.inbox.send(Event::Wake);
        }
    }
}

/// Whether the thread goes on.
enum Step {
    On,
    Leave,
}

/// Starts the thread.
pub(super) fn start(
    link: Arc<Link>,
    events: mpsc::Receiver<Event>,
    out: Out,
    options: ConsumeOptions,
    kept: (Running, Arc<Keeper>),
) -> Result<(), Error> {
    let topic = link.queue.as_str();
    let board = Arc::new(Mutex::new(Board::default()));
    let config = link.shared.settings.member(&link.shared.settings.group(&link.queue));
    let wrong = |error: KafkaError| errors::of_topic(&error, topic, 0);
    let inbox = Arc::new(Inbox::new(events));
    let context = MemberContext::new(topic, &board, &inbox);
    let mut consumer = BaseConsumer::from_config_and_context(&config, context).map_err(wrong)?;
    let waker = Arc::new(Waker { inbox: link.inbox.clone(), called: AtomicBool::new(false) });
    let bell = Arc::clone(&waker);
    consumer.set_nonempty_callback(move || bell.wake());
    consumer.subscribe(&[topic]).map_err(wrong)?;
    let consumer = Arc::new(consumer);
    let mut member = Member {
        committer: Committer::start(Arc::clone(&consumer), link.inbox.clone())?,
        link,
        board,
        inbox,
        consumer,
        queues: BTreeMap::new(),
        is_committing: false,
        commit_after: None,
        backoff: FIRST_BACKOFF,
        waker,
        out: Some(out),
        is_resting: false,
        prefetch: usize::try_from(options.prefetch).unwrap_or(usize::MAX).max(1),
        turn: 0,
        looked: Instant::now(),
        look_at: Instant::now() + LOOK_INTERVAL,
        is_missing: false,
        cut_at: Instant::now() + CUT_INTERVAL,
    };
    std::thread::Builder::new()
        .name("kafka-member".to_owned())
        .spawn(move || {
            while let Step::On = member.step() {}
            member.leave();
            drop(kept);
        })
        .map_err(|error| Error::unavailable(BROKER, format_args!("cannot start a thread: {error}")))?;
    Ok(())
}

impl Member {
    /// Sleeps until something happens, then does all that there is to do.
    fn step(&mut self) -> Step {
        let mut event = self.inbox.next(self.sleep());
        self.waker.called.store(false, Ordering::Release);
        while let Some(happened) = event {
            if let Err(reason) = self.take_event(happened) {
                return self.end(reason);
            }
            event = self.inbox.next(Duration::ZERO);
        }
        if let Err(error) = self.poll() {
            return self.end(Some(error));
        }
        let now = Instant::now();
        if let Err(error) = self.look_for_topic(now) {
            return self.end(Some(error));
        }
        self.learn();
        self.ripen(now);
        if let Err(error) = self.fill() {
            return self.end(Some(error));
        }
        self.begin();
        self.commit(now);
        self.expire(now);
        self.cut(now);
        if self.out.as_ref().is_some_and(Out::is_closed) { Step::Leave } else { Step::On }
    }

    fn end(&self, reason: Option<Error>) -> Step {
        if let (Some(error), Some(out)) = (reason, &self.out) {
            // A consumer that was dropped does not want to know.
            let _ = out.send(Err(error));
        }
        Step::Leave
    }

    fn sleep(&self) -> Duration {
        let board = lock(&self.board);
        let firsts = board.partitions.values().filter_map(|partition| partition.later.first_key_value());
        let due = firsts.map(|((due, _), _)| *due).chain(self.commit_after).min();
        let unknown = if board.unknown.is_empty() { LONGEST_SLEEP } else { FIRST_BACKOFF };
        due.map_or(unknown, |due| due.saturating_duration_since(Instant::now()).min(unknown))
    }

    /// `Err` ends the consumer, with what it is told.
    fn take_event(&mut self, event: Event) -> Result<(), Option<Error>> {
        let mut board = lock(&self.board);
        let Some(event) = board.settle(event) else { return Ok(()) };
        match event {
            Event::Wake | Event::Settled { .. } | Event::Again { .. } => {}
            Event::Rest => self.is_resting = true,
            Event::Stop => return Err(None),
            Event::Buried { place, message, begun, result } => {
                let Some(partition) = board.find(place) else { return Ok(()) };
                match result {
                    Ok(()) => {
                        partition.window.settle(place.offset);
                        partition.in_hands = partition.in_hands.saturating_sub(1);
                        partition.dirty = true;
                    }
                    Err(error) => {
                        let id = message.id;
                        tracing::warn!(queue = %self.link.queue, "the dead message {id} could not be put away: {error}; tried again in {BURY_AGAIN:?}");
                        partition.put_back(place.offset, *message, begun, BURY_AGAIN);
                    }
                }
            }
            Event::Committed(Ok(())) => {
                self.is_committing = false;
                self.backoff = FIRST_BACKOFF;
                for (&number, partition) in &mut board.partitions {
                    confirm(&self.link, self.out.as_ref(), number, partition);
                }
            }
            Event::Committed(Err(error)) => {
                self.is_committing = false;
                if let Error::Refused { .. } = error {
                    return Err(Some(error));
                }
                tracing::debug!(queue = %self.link.queue, "not committed: {error}; tried again in {:?}", self.backoff);
                self.commit_after = Some(Instant::now() + self.backoff);
                self.backoff = (self.backoff * 2).min(LONGEST_BACKOFF);
                board.partitions.values_mut().for_each(Partition::unsend);
            }
        }
        Ok(())
    }

    /// Serves librdkafka: partitions come and go inside of this.
    fn poll(&mut self) -> Result<(), Error> {
        let consumer = Arc::clone(&self.consumer);
        let mut asked = 0;
        while asked < ASKED {
            match consumer.poll(Duration::ZERO) {
                None => asked += 1,
                // Of a partition whose own queue was not set up yet.
                Some(Ok(message)) => self.take(&message),
                Some(Err(error)) => self.complain(&error)?,
            }
        }
        Ok(())
    }

    /// Looks whether the topic is still there, when nothing comes from it: librdkafka does not tell.
    fn look_for_topic(&mut self, now: Instant) -> Result<(), Error> {
        if now < self.look_at {
            return Ok(());
        }
        let topic = self.link.queue.as_str();
        let is_there = match self.consumer.fetch_metadata(Some(topic), ASK_DEADLINE) {
            Ok(metadata) => metadata.topics().iter().any(|found| !found.partitions().is_empty()),
            // Nobody knows.
            Err(_) => true,
        };
        if !is_there && self.is_missing {
            return Err(Error::NoSuchQueue { queue: topic.to_owned() });
        }
        self.is_missing = !is_there;
        self.look_at = now + if is_there { LOOK_INTERVAL } else { ASK_AGAIN };
        Ok(())
    }

    fn complain(&mut self, error: &KafkaError) -> Result<(), Error> {
        match (error, error.rdkafka_error_code()) {
            (_, Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic)) => {
                self.look_at = Instant::now();
            }
            (KafkaError::MessageConsumptionFatal(_), _) => {
                return Err(Error::Refused { broker: BROKER.to_owned(), reason: error.to_string() });
            }
            _ => {
                if let error @ Error::Refused { .. } = errors::of(error) {
                    return Err(error);
                }
                // It connects again by itself.
                tracing::debug!(queue = %self.link.queue, "{error}");
            }
        }
        Ok(())
    }

    /// Asks how the last holders of new partitions left them, and opens these.
    fn learn(&mut self) {
        let unknown = std::mem::take(&mut lock(&self.board).unknown);
        let lives: BTreeMap<i32, u64> =
            lock(&self.board).partitions.iter().map(|(number, partition)| (*number, partition.life)).collect();
        self.queues.retain(|number, (life, _)| lives.get(number) == Some(life));
        if unknown.is_empty() {
            return;
        }
        let topic = self.link.queue.as_str();
        let mut list = TopicPartitionList::new();
        for partition in &unknown {
            list.add_partition(topic, *partition);
        }
        let left = match self.consumer.committed_offsets(list.clone(), ASK_DEADLINE) {
            Ok(left) if left.elements().iter().all(|place| place.error().is_ok()) => left,
            Ok(_) | Err(_) => {
                lock(&self.board).unknown.extend(unknown);
                return;
            }
        };
        for place in left.elements() {
            let window = match place.offset() {
                Offset::Offset(mark) => Window::restore(mark, place.metadata()),
                // Nobody ever committed: the first message that comes is the first of all.
                _ => Window::new(0),
            };
            let life = lock(&self.board).hold(place.partition(), window).life;
            if let Some(mut queue) = self.consumer.split_partition_queue(topic, place.partition()) {
                let bell = Arc::clone(&self.waker);
                queue.set_nonempty_callback(move || bell.wake());
                self.queues.insert(place.partition(), (life, queue));
            }
        }
        if let Err(error) = self.consumer.resume(&list) {
            tracing::warn!(queue = %self.link.queue, "new partitions could not be resumed: {error}");
        }
    }

    /// What was to come later, and whose time has come.
    fn ripen(&mut self, now: Instant) {
        let mut board = lock(&self.board);
        for partition in board.partitions.values_mut() {
            while let Some(entry) = partition.later.first_entry()
                && entry.key().0 <= now
            {
                partition.waiting.push_back(entry.remove());
            }
        }
        self.link.staying.store(board.staying(), Ordering::Relaxed);
    }

    /// Takes messages from the brokers, as many as there is room for.
    fn fill(&mut self) -> Result<(), Error> {
        let queues = std::mem::take(&mut self.queues);
        let turns: Vec<&PartitionQueue<MemberContext>> = queues.values().map(|(_, queue)| queue).collect();
        let (mut idle, mut has_come, mut complaints) = (0, false, Vec::new());
        while idle < turns.len() {
            let room = self.room();
            if room == 0 {
                break;
            }
            self.turn = (self.turn + 1) % turns.len();
            let mut took = 0;
            while took < room.min(TURN) {
                match turns[self.turn].poll(Duration::ZERO) {
                    Some(Ok(message)) => {
                        self.take(&message);
                        has_come = true;
                    }
                    Some(Err(error)) => complaints.push(error),
                    None => break,
                }
                took += 1;
            }
            idle = if took == 0 { idle + 1 } else { 0 };
        }
        self.queues = queues;
        if has_come {
            self.look_at = Instant::now() + LOOK_INTERVAL;
        }
        complaints.iter().try_for_each(|error| self.complain(error))
    }

    /// Ends the stream when all that was begun is in it.
    fn rest(&mut self) {
        let is_pending = |partition: &Partition| !partition.going.begun.is_empty() || !partition.sent.begun.is_empty();
        if self.is_resting && !lock(&self.board).partitions.values().any(is_pending) {
            self.out = None;
        }
    }

    fn room(&self) -> usize {
        if self.is_resting {
            return 0;
        }
        let board = lock(&self.board);
        let waiting: usize = board.partitions.values().map(Partition::waiting).sum();
        if board.staying() >= MOST_STAYING { 0 } else { self.prefetch.saturating_sub(board.taken() + waiting) }
    }

    fn take(&self, record: &BorrowedMessage<'_>) {
        let (number, offset) = (record.partition(), record.offset());
        let mut board = lock(&self.board);
        let Some(mut partition) = board.partitions.get_mut(&number) else { return };
        let mut came = partition.came(offset);
        if let Came::Anew = came {
            tracing::warn!(queue = %self.link.queue, partition = number, "the topic begins anew at {offset}");
            partition = board.renew(number, offset);
            came = partition.came(offset);
        }
        let Came::Open = came else { return };
        let (message, carried) = record::message(record);
        let waiting = Waiting { offset, message, before: carried.attempts };
        let wait = carried.due.map(|due| due.since(UnixMillis::now())).unwrap_or_default();
        if wait.is_zero() {
            partition.queue(waiting);
        } else {
            partition.later.insert((Instant::now() + wait, offset), waiting);
        }
    }

    /// Begins as many as there is room for; what was begun too often is dead.
    fn begin(&mut self) {
        if self.is_resting {
            return self.rest();
        }
        let mut board = lock(&self.board);
        let mut room = self.prefetch.saturating_sub(board.taken());
        for (&number, partition) in &mut board.partitions {
            while room > 0
                && let Some(waiting) = partition.next()
            {
                room -= 1;
                if let Some(begun) = partition.begin(waiting) {
                    hand_out(&self.link, self.out.as_ref(), number, partition, begun);
                    continue;
                }
                let most = self.link.declared.max_deliveries;
                if let Some(poison) = partition.going.begun.pop_if(|last| last.begun > most) {
                    let place = Place { partition: number, life: partition.life, offset: poison.offset };
                    bury(&self.link, place, partition, poison);
                }
            }
            partition.forget_taken();
        }
    }

    fn commit(&mut self, now: Instant) {
        if self.is_committing || self.commit_after.is_some_and(|after| now < after) {
            return;
        }
        self.commit_after = None;
        let mut board = lock(&self.board);
        let dirty = board.partitions.iter_mut().filter(|(_, partition)| partition.dirty);
        let records: Vec<_> = dirty.map(|(number, partition)| (*number, partition.send())).collect();
        if records.is_empty() {
            return;
        }
        match offsets(self.link.queue.as_str(), &records) {
            Ok(list) => {
                self.committer.commit(list);
                self.is_committing = true;
            }
            // An offset that cannot be: none of ours.
            Err(error) => tracing::error!(queue = %self.link.queue, "offsets cannot be committed: {error}"),
        }
    }

    /// Whoever has waited too long for a record is told.
    fn expire(&mut self, now: Instant) {
        if now.duration_since(self.looked) < LONGEST_SLEEP {
            return;
        }
        self.looked = now;
        let mut board = lock(&self.board);
        for partition in board.partitions.values_mut() {
            for uncommitted in [&mut partition.going, &mut partition.sent] {
                let late = |settled: &mut Unrecorded| now.duration_since(settled.since) > CALL_DEADLINE;
                for settled in uncommitted.settled.extract_if(.., late) {
                    // Whoever settled it may have gone away.
                    let _ = settled.done.send(Err(Error::unavailable(BROKER, "no commit was confirmed for 30 s")));
                }
            }
        }
    }

    /// Removes what is settled from a topic that was made for nothing else: Kafka would keep it for ever.
    fn cut(&mut self, now: Instant) {
        if now < self.cut_at || !self.link.declared.made {
            return;
        }
        self.cut_at = now + CUT_INTERVAL;
        let ends: Vec<(i32, Offset)> = lock(&self.board)
            .partitions
            .iter_mut()
            .filter_map(|(number, partition)| Some((*number, Offset::Offset(partition.cut()?))))
            .collect();
        if ends.is_empty() {
            return;
        }
        let (shared, topic) = (Arc::clone(&self.link.shared), self.link.queue.as_str().to_owned());
        self.link.shared.io().spawn(async move {
            let keeper = Arc::clone(&shared);
            let cut = shared.aside_async(async move { keeper.topics.cut(&topic, &ends).await });
            if let Err(error) = cut.await {
                tracing::debug!("what is settled was not removed: {error}");
            }
        });
    }

    /// Leaves the group: others get the partitions at once.
    fn leave(self) {
        self.inbox.close();
        self.consumer.unsubscribe();
        let deadline = Instant::now() + LEAVE_DEADLINE;
        while !lock(&self.board).partitions.is_empty() && Instant::now() < deadline {
            let _ = self.consumer.poll(FIRST_BACKOFF);
        }
        for partition in lock(&self.board).partitions.values_mut() {
            partition.lose(&Err(Error::unavailable(BROKER, "the last commit was not confirmed")));
        }
        // These hold the consumer, whose own end may take as long as a broker that is gone: all of it happens here, where nobody waits.
    }
}

/// What the commit covered is on record: deliveries go out, and whoever waited is told.
fn confirm(link: &Arc<Link>, out: Option<&Out>, number: i32, partition: &mut Partition) {
    let Uncommitted { begun, settled } = partition.sent();
    for settled in settled {
        // Whoever settled it may have gone away.
        let _ = settled.done.send(Ok(()));
    }
    begun.into_iter().for_each(|begun| hand_out(link, out, number, partition, begun));
    partition.forget_taken();
}

fn hand_out(link: &Arc<Link>, out: Option<&Out>, number: i32, partition: &mut Partition, begun: Begun) {
    let Begun { offset, message, begun } = begun;
    let place = Place { partition: number, life: partition.life, offset };
    let held = Arc::clone(&partition.held);
    let hands = Hands { link: Arc::clone(link), place, alive: Alive::queued(&held), begun };
    let delivery = Delivery::new(message, begun, begun > 1 || partition.window.is_suspect(offset), hands);
    partition.in_hands += 1;
    partition.handed.push_back(offset);
    if let Some(out) = out {
        // A consumer that was dropped is noticed at the end of this step.
        let _ = out.send(Ok(Handed { delivery, held }));
    }
}

/// Sends a message that was begun too often to where dead ones go.
fn bury(link: &Arc<Link>, place: Place, partition: &mut Partition, poison: Begun) {
    let Begun { message, begun, .. } = poison;
    let (id, most) = (message.id, link.declared.max_deliveries);
    let Some(topic) = link.declared.dead_letter.clone() else {
        tracing::warn!(queue = %link.queue, "the message {id} was delivered {most} times and is gone: the queue has no dead-letter queue");
        partition.window.settle(place.offset);
        partition.dirty = true;
        return;
    };
    partition.in_hands += 1;
    let letter = dead_letter(link, message.clone(), &format!("delivered {most} times"));
    let (link, message) = (Arc::clone(link), Box::new(message));
    link.shared.io().clone().spawn(async move {
        let result = link.shared.put(topic.as_str(), &letter, Carried::default()).await;
        // A member that has left finds it again.
        let _ = link.inbox.send(Event::Buried { place, message, begun, result });
    });
}
