//! [`Partition`]: one partition, as long as it is ours. [`Board`]: all of them.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::{Event, Place};
use crate::kafka::BROKER;
use crate::kafka::window::{Arrival, Record, Window};
use crate::{Error, Message};

/// Whether a partition is still ours, for those who hold deliveries of it, and how many they are.
#[derive(Debug, Default)]
pub(super) struct Hold {
    /// Nothing more is given out.
    leaving: AtomicBool,
    /// It is somebody else's.
    lost: AtomicBool,
    /// Deliveries that were neither settled nor dropped.
    alive: AtomicUsize,
    /// Those of them that nobody has taken out of the stream yet.
    queued: AtomicUsize,
}

impl Hold {
    fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    /// Takes a delivery out of the stream. `false`: it is for the next holder of the partition.
    pub(super) fn take(&self) -> bool {
        self.queued.fetch_sub(1, Ordering::AcqRel);
        !self.leaving.load(Ordering::Acquire) && !self.is_lost()
    }

    /// Deliveries in somebody's hands.
    fn in_hands(&self) -> usize {
        self.alive.load(Ordering::Acquire).saturating_sub(self.queued.load(Ordering::Acquire))
    }
}

/// One delivery that is neither settled nor dropped.
pub(super) struct Alive(Arc<Hold>);

impl Alive {
    /// For a delivery that goes into the stream.
    pub(super) fn queued(hold: &Arc<Hold>) -> Alive {
        hold.alive.fetch_add(1, Ordering::AcqRel);
        hold.queued.fetch_add(1, Ordering::AcqRel);
        Alive(Arc::clone(hold))
    }

    pub(super) fn is_lost(&self) -> bool {
        self.0.is_lost()
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.alive.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A message that may be begun: now, or at its time.
pub(super) struct Waiting {
    pub(super) offset: i64,
    pub(super) message: Message,
    /// How often it was begun before it came to this place.
    pub(super) before: u32,
}

/// Settled records that may lie in a partition until they are removed.
const WORTH_CUTTING: i64 = 1000;
/// Begun so often by former holders, a message is suspected to have killed them.
const SURVIVED: u32 = 2;
/// How far a holder may go before the next commit. After its death so many are begun only when that is on record, which costs little:
/// a commit for each batch.
const RESERVE: i64 = 10_000;

/// A message that was begun.
pub(super) struct Begun {
    pub(super) offset: i64,
    pub(super) message: Message,
    /// How often, this time included.
    pub(super) begun: u32,
}

/// Somebody waits until this is on record.
pub(super) struct Unrecorded {
    pub(super) offset: i64,
    pub(super) since: Instant,
    /// A commit that says it was sent to the broker, and was not confirmed: it may be on record all the same.
    pub(super) tried: bool,
    pub(super) done: oneshot::Sender<Result<(), Error>>,
}

impl Unrecorded {
    /// Whoever waits is told; nobody is told that it is not on record who cannot know.
    fn tell(self, outcome: &Result<(), Error>) {
        let outcome = match outcome {
            Err(Error::Stale) if self.tried => Err(Error::unavailable(
                BROKER,
                "the partition was lost before a commit was confirmed; it may be on record, or come again",
            )),
            outcome => outcome.clone(),
        };
        // Whoever settled it may have gone away.
        let _ = self.done.send(outcome);
    }
}

/// What waits for a commit.
#[derive(Default)]
pub(super) struct Uncommitted {
    /// To be handed out then.
    pub(super) begun: Vec<Begun>,
    pub(super) settled: Vec<Unrecorded>,
}

/// A partition that is ours.
pub(super) struct Partition {
    pub(super) life: u64,
    pub(super) held: Arc<Hold>,
    pub(super) window: Window,
    last: Option<i64>,
    /// To be begun as soon as there is room.
    pub(super) waiting: VecDeque<Waiting>,
    /// Those that were begun by several holders, and outlived them. One of them may kill us too: they are begun one at a time, so
    /// that it takes no others with it into the dead letters.
    pub(super) survivors: VecDeque<Waiting>,
    /// The one that was begun last.
    survivor: Option<i64>,
    /// To be begun later.
    pub(super) later: BTreeMap<(Instant, i64), Waiting>,
    /// Goes with the next commit.
    pub(super) going: Uncommitted,
    /// Went with the one that is under way.
    pub(super) sent: Uncommitted,
    pub(super) in_hands: usize,
    /// The last ones that went into the stream, in their order: at least all that are still in it.
    pub(super) handed: VecDeque<i64>,
    /// All before this may be begun at once: that is on record.
    reserved: i64,
    /// The same, when the commit that is under way is confirmed.
    reserving: i64,
    /// All before this were settled, and that is on record.
    settled_until: i64,
    settling_until: i64,
    /// The same, when what was settled was last removed from the topic.
    cut_at: i64,
    /// The window has changed since the last commit.
    pub(super) dirty: bool,
}

/// Whether a message that came is to be worked on.
pub(super) enum Came {
    /// It is.
    Open,
    /// It is not: it was settled.
    Settled,
    /// The topic begins anew (it was deleted, or cut by a broker that lost records): nothing that we knew of it holds.
    Anew,
}

impl Partition {
    pub(super) fn new(life: u64, window: Window) -> Partition {
        Partition {
            life,
            held: Arc::default(),
            window,
            last: None,
            waiting: VecDeque::new(),
            survivors: VecDeque::new(),
            survivor: None,
            later: BTreeMap::new(),
            going: Uncommitted::default(),
            sent: Uncommitted::default(),
            in_hands: 0,
            handed: VecDeque::new(),
            settled_until: 0,
            settling_until: 0,
            cut_at: 0,
            reserved: 0,
            reserving: 0,
            dirty: false,
        }
    }

    /// A message came from the brokers.
    pub(super) fn came(&mut self, offset: i64) -> Came {
        if self.last.is_some_and(|last| offset <= last) {
            return Came::Anew;
        }
        self.last = Some(offset);
        match self.window.arrive(offset) {
            Arrival::Open(_) => Came::Open,
            Arrival::Settled => {
                // The mark may have moved over records that are gone.
                self.dirty = true;
                Came::Settled
            }
        }
    }

    /// A message that may be begun at once, as far as it is concerned.
    pub(super) fn queue(&mut self, waiting: Waiting) {
        let queue = if self.window.times(waiting.offset) >= SURVIVED { &mut self.survivors } else { &mut self.waiting };
        queue.push_back(waiting);
    }

    /// The next one to begin.
    pub(super) fn next(&mut self) -> Option<Waiting> {
        if self.survivor.is_none_or(|offset| !self.window.is_unsettled(offset))
            && let Some(survivor) = self.survivors.pop_front()
        {
            self.survivor = Some(survivor.offset);
            return Some(survivor);
        }
        self.waiting.pop_front()
    }

    /// Those that may be begun as soon as there is room.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len() + self.survivors.len()
    }

    /// What takes room: begun, or in somebody's hands.
    pub(super) fn taken(&self) -> usize {
        self.going.begun.len() + self.sent.begun.len() + self.in_hands
    }

    /// Begins a message. It is given back if it may be handed out at once; else it waits for the next commit.
    pub(super) fn begin(&mut self, waiting: Waiting) -> Option<Begun> {
        let Waiting { offset, message, before } = waiting;
        let is_first = before == 0 && self.window.times(offset) == 0 && !self.window.is_suspect(offset);
        // None overtakes one that waits.
        let is_free = is_first && offset < self.reserved && self.going.begun.is_empty() && self.sent.begun.is_empty();
        let begun = before.saturating_add(self.window.begin(offset));
        self.dirty = true;
        let begun = Begun { offset, message, begun };
        if is_free {
            return Some(begun);
        }
        self.going.begun.push(begun);
        None
    }

    /// Back among those that wait, now or later.
    pub(super) fn put_back(&mut self, offset: i64, message: Message, begun: u32, wait: Duration) {
        self.in_hands = self.in_hands.saturating_sub(1);
        self.survivor = self.survivor.filter(|survivor| *survivor != offset);
        let waiting = Waiting { offset, message, before: begun.saturating_sub(self.window.times(offset)) };
        if wait.is_zero() {
            self.waiting.push_back(waiting);
        } else {
            self.later.insert((Instant::now() + wait, offset), waiting);
        }
    }

    /// Nothing of it is given out any more.
    pub(super) fn close(&self) {
        self.held.leaving.store(true, Ordering::Release);
    }

    /// Whether somebody has deliveries of it in hands.
    pub(super) fn is_in_hands(&self) -> bool {
        self.held.in_hands() > 0
    }

    /// What the next commit says of it; what it covers waits for that commit from now on.
    pub(super) fn send(&mut self) -> Record {
        self.reserving = self.window.end() + RESERVE;
        let record = self.window.record(self.reserving);
        self.settling_until = record.mark;
        let covered = |offset: i64| offset < record.covers;
        self.sent.begun.extend(self.going.begun.extract_if(.., |begun| covered(begun.offset)));
        let settled = self.going.settled.extract_if(.., |settled| covered(settled.offset));
        self.sent.settled.extend(settled.map(|settled| Unrecorded { tried: true, ..settled }));
        self.dirty = false;
        record
    }

    /// The commit is confirmed; what waited for it.
    pub(super) fn sent(&mut self) -> Uncommitted {
        self.reserved = self.reserving;
        self.settled_until = self.settling_until;
        std::mem::take(&mut self.sent)
    }

    /// Up to where records may be removed from the topic, if that is worth a request.
    pub(super) fn cut(&mut self) -> Option<i64> {
        let is_worth_it = self.settled_until - self.cut_at >= WORTH_CUTTING;
        is_worth_it.then(|| self.cut_at = self.settled_until)?;
        Some(self.cut_at)
    }

    /// The commit was not confirmed: all goes with the next one.
    pub(super) fn unsend(&mut self) {
        let Uncommitted { begun, settled } = std::mem::take(&mut self.sent);
        self.going.begun.splice(..0, begun);
        self.going.settled.splice(..0, settled);
        self.dirty = true;
    }

    /// What was taken out of the stream need not be remembered: the oldest are taken first.
    pub(super) fn forget_taken(&mut self) {
        let taken = self.handed.len().saturating_sub(self.held.queued.load(Ordering::Acquire));
        self.handed.drain(..taken);
    }

    /// It goes to another member, or back to its group: what was begun and not handed out was not begun after all.
    pub(super) fn give_up(&mut self) -> Option<Record> {
        self.close();
        self.forget_taken();
        let begun = self.going.begun.drain(..).chain(self.sent.begun.drain(..)).map(|begun| begun.offset);
        for offset in begun.chain(self.handed.drain(..)) {
            self.window.undo(offset);
            self.dirty = true;
        }
        let is_waited_for = !self.going.settled.is_empty() || !self.sent.settled.is_empty();
        (self.dirty || is_waited_for || self.reserved > 0).then(|| self.window.record(0))
    }

    /// It is gone: whoever waits for a record is told.
    pub(super) fn lose(&mut self, outcome: &Result<(), Error>) {
        self.held.lost.store(true, Ordering::Release);
        for settled in self.going.settled.drain(..).chain(self.sent.settled.drain(..)) {
            settled.tell(outcome);
        }
    }
}

/// All partitions that are ours.
#[derive(Default)]
pub(super) struct Board {
    pub(super) partitions: BTreeMap<i32, Partition>,
    /// Given to us; it is not yet known how the last holder left them.
    pub(super) unknown: Vec<i32>,
    lives: u64,
}

impl Board {
    /// Begins to hold a partition.
    pub(super) fn hold(&mut self, partition: i32, window: Window) -> &mut Partition {
        self.lives += 1;
        let held = Partition::new(self.lives, window);
        match self.partitions.entry(partition) {
            Entry::Vacant(place) => place.insert(held),
            Entry::Occupied(place) => {
                let place = place.into_mut();
                *place = held;
                place
            }
        }
    }

    /// Begins anew with a partition: deliveries of it are stale.
    pub(super) fn renew(&mut self, partition: i32, first: i64) -> &mut Partition {
        if let Some(mut old) = self.partitions.remove(&partition) {
            old.lose(&Err(Error::Stale));
        }
        self.hold(partition, Window::new(first))
    }

    /// The partition of a delivery, if it is still unsettled and ours.
    pub(super) fn find(&mut self, place: Place) -> Option<&mut Partition> {
        let partition = self.partitions.get_mut(&place.partition)?;
        (partition.life == place.life && partition.window.is_unsettled(place.offset)).then_some(partition)
    }

    /// A delivery came back. What is no word about one is given back.
    pub(super) fn settle(&mut self, event: Event) -> Option<Event> {
        match event {
            Event::Settled { place, alive, done } => {
                drop(alive);
                match self.find(place) {
                    Some(partition) => {
                        partition.window.settle(place.offset);
                        partition.in_hands = partition.in_hands.saturating_sub(1);
                        partition.going.settled.push(Unrecorded {
                            offset: place.offset,
                            since: Instant::now(),
                            tried: false,
                            done,
                        });
                        partition.dirty = true;
                    }
                    // Whoever settled it may have gone away.
                    None => done.send(Err(Error::Stale)).unwrap_or_default(),
                }
            }
            Event::Again { place, alive, message, begun, wait, done } => {
                drop(alive);
                let partition = self.find(place);
                let outcome = partition.is_some().then_some(()).ok_or(Error::Stale);
                if let Some(partition) = partition {
                    partition.put_back(place.offset, *message, begun, wait);
                }
                // As above.
                let _ = done.send(outcome);
            }
            other => return Some(other),
        }
        None
    }

    pub(super) fn taken(&self) -> usize {
        self.partitions.values().map(Partition::taken).sum()
    }

    pub(super) fn staying(&self) -> usize {
        self.partitions.values().map(|partition| partition.later.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A partition with one message in somebody's hands, and the ack of it.
    fn acked() -> (Board, oneshot::Receiver<Result<(), Error>>) {
        let mut board = Board::default();
        let partition = board.hold(0, Window::new(0));
        partition.came(0);
        partition.begin(Waiting { offset: 0, message: Message::from("work"), before: 0 });
        let place = Place { partition: 0, life: partition.life, offset: 0 };
        let (done, told) = oneshot::channel();
        let alive = Alive::queued(&partition.held);
        board.settle(Event::Settled { place, alive, done });
        (board, told)
    }

    fn lose(board: &mut Board) {
        board.partitions.get_mut(&0).unwrap().lose(&Err(Error::Stale));
    }

    #[test]
    fn an_ack_that_was_never_sent_to_the_broker_is_stale_when_the_partition_is_lost() {
        let (mut board, mut told) = acked();
        lose(&mut board);
        assert_eq!(told.try_recv(), Ok(Err(Error::Stale)));
    }

    #[test]
    fn nobody_is_told_that_an_ack_is_not_on_record_when_a_commit_with_it_was_under_way() {
        for was_given_back in [false, true] {
            let (mut board, mut told) = acked();
            let partition = board.partitions.get_mut(&0).unwrap();
            partition.send();
            if was_given_back {
                partition.unsend();
            }
            lose(&mut board);
            let outcome = told.try_recv().unwrap();
            assert!(matches!(&outcome, Err(error) if error.is_passing()), "{outcome:?}");
        }
    }
}
