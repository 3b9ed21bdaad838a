//! [`Line`]: what waits of one kind in one queue, in order. In memory is its head only, a window over the index in the file.
//!
//! ```text
//!   rank ──►   [ window, at most 2 × WINDOW, in memory ] edge │ everything behind it is in the file only
//!                │ take() from here                           │ read when the window is empty
//! ```
//!
//! All ready rows up to the edge are in memory, in the window or leased; none behind it is. So a row that becomes ready goes into the
//! window if it belongs before the edge, and otherwise nothing has to be done.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use super::item::{LineId, Seq, State};
use crate::job::KindLimits;
use crate::{Error, QueueOptions};

/// Rows that are read at once, and that stay in memory of a line that has grown to twice as many.
pub(super) const WINDOW: usize = 1024;

/// Before all rows.
const NOTHING: (i64, Seq) = (i64::MIN, Seq::MIN);

/// Behind all rows.
const EVERYTHING: (i64, Seq) = (i64::MAX, Seq::MAX);

/// What waits of one kind in one queue.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) id: LineId,
    pub(super) queue: u32,
    /// `None`: the messages of the queue.
    pub(super) kind: Option<String>,
    pub(super) is_paused: bool,
    pub(super) limits: Option<KindLimits>,
    pub(super) bucket: Option<Bucket>,
    /// How many of it are leased.
    pub(super) leased: u32,
    window: BTreeSet<(i64, Seq)>,
    edge: (i64, Seq),
}

/// What became of a row that is ready.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Placed {
    /// It is in the window.
    InMemory,
    /// It is behind the edge.
    InFile,
}

impl Line {
    /// A line that the file does not know: nothing is in it.
    pub(super) fn new(id: LineId, queue: u32, kind: Option<String>) -> Line {
        Line {
            id,
            queue,
            kind,
            is_paused: false,
            limits: None,
            bucket: None,
            leased: 0,
            window: BTreeSet::new(),
            edge: EVERYTHING,
        }
    }

    /// Forgets what is in memory of it: it is read again when it is needed.
    pub(super) fn forget(&mut self) -> impl Iterator<Item = Seq> + use<> {
        self.edge = NOTHING;
        std::mem::take(&mut self.window).into_iter().map(|(_, seq)| seq)
    }

    /// Nothing of it is in the file that is not in memory.
    pub(super) fn is_whole(&self) -> bool {
        self.edge == EVERYTHING
    }

    /// Where the file goes on.
    pub(super) fn edge(&self) -> (i64, Seq) {
        self.edge
    }

    /// So far it was read; to its end if `is_last`.
    pub(super) fn read_up_to(&mut self, last: Option<(i64, Seq)>, asked: usize, read: usize) {
        match last {
            Some(last) if read >= asked => self.edge = last,
            _ => self.edge = EVERYTHING,
        }
    }

    /// A row becomes ready.
    pub(super) fn place(&mut self, at: (i64, Seq)) -> Placed {
        if at > self.edge {
            return Placed::InFile;
        }
        self.window.insert(at);
        Placed::InMemory
    }

    /// A row becomes ready while what is in the file must wait: the window alone is served. `forget` ends that.
    pub(super) fn place_alone(&mut self, at: (i64, Seq)) -> Placed {
        if self.window.len() >= WINDOW {
            return Placed::InFile;
        }
        self.window.insert(at);
        Placed::InMemory
    }

    /// What is too much for memory: these leave it.
    pub(super) fn trim(&mut self, most: usize) -> Vec<Seq> {
        let mut left = Vec::new();
        while self.window.len() > most
            && let Some((_, seq)) = self.window.pop_last()
        {
            left.push(seq);
        }
        if !left.is_empty() {
            self.edge = self.window.last().copied().unwrap_or(NOTHING);
        }
        left
    }

    pub(super) fn len(&self) -> usize {
        self.window.len()
    }

    /// The first of the window.
    pub(super) fn first(&self) -> Option<(i64, Seq)> {
        self.window.first().copied()
    }

    /// All of the window.
    pub(super) fn window(&self) -> impl Iterator<Item = Seq> + '_ {
        self.window.iter().map(|(_, seq)| *seq)
    }

    /// A row leaves the window.
    pub(super) fn remove(&mut self, at: (i64, Seq)) {
        self.window.remove(&at);
    }

    /// Whether limits and pause of the line allow one more to begin.
    pub(super) fn may_begin(&mut self, now: Duration) -> bool {
        let most = self.limits.as_ref().and_then(|limits| limits.concurrency);
        !self.is_paused
            && most.is_none_or(|most| self.leased < most)
            && self.bucket.as_mut().is_none_or(|bucket| bucket.until_next(now).is_zero())
    }

    /// One begins.
    pub(super) fn begun(&mut self) {
        self.leased += 1;
        if let Some(bucket) = &mut self.bucket {
            bucket.take();
        }
    }
}

/// A limit of rate: holds so many, and fills evenly.
#[derive(Debug, Clone)]
pub(super) struct Bucket {
    holds: f64,
    per_second: f64,
    filled: f64,
    at: Duration,
}

impl Bucket {
    /// A full one, or an empty one: after a restart nobody knows what was begun just before.
    pub(super) fn new(limits: &KindLimits, now: Duration, filled: Fill) -> Option<Bucket> {
        let (most, time) = limits.rate?;
        let holds = f64::from(most.max(1));
        let per_second = holds / time.as_secs_f64().max(1e-6);
        let filled = if filled == Fill::Full { holds } else { 0.0 };
        Some(Bucket { holds, per_second, filled, at: now })
    }

    /// How long until one may begin.
    pub(super) fn until_next(&mut self, now: Duration) -> Duration {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        self.filled = (self.filled + passed * self.per_second).min(self.holds);
        self.at = now.max(self.at);
        // A millionth: what is lost by adding fractions.
        if self.filled >= 1.0 - 1e-6 {
            Duration::ZERO
        } else {
            Duration::from_secs_f64(((1.0 - self.filled) / self.per_second).min(1e9))
        }
    }

    fn take(&mut self) {
        self.filled = (self.filled - 1.0).max(0.0);
    }
}

/// What is in a [`Bucket`] at first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fill {
    Full,
    Empty,
}

/// A queue: a name, and what is counted of it.
#[derive(Debug)]
pub(super) struct QueueState {
    pub(super) id: u32,
    pub(super) name: String,
    pub(super) declared: Option<QueueOptions>,
    pub(super) is_paused: bool,
    /// As it is in the file after the next commit.
    pub(super) contents: Contents,
    /// Whether that differs from what the file says now.
    pub(super) is_changed: bool,
    /// Ready ones that are in somebody's hands.
    pub(super) leased: u64,
    pub(super) leased_bytes: u64,
    pub(super) kinds: HashMap<String, LineId>,
    pub(super) messages: Option<LineId>,
    pub(super) drain: Drain,
}

/// What is in a queue, leased ones among the ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Contents {
    pub(super) ready: u64,
    pub(super) scheduled: u64,
    pub(super) waiting_children: u64,
    pub(super) done: u64,
    pub(super) dead: u64,
    pub(super) cancelled: u64,
    pub(super) bytes: u64,
}

impl Contents {
    fn of(&mut self, state: State) -> Option<&mut u64> {
        match state {
            State::Ready => Some(&mut self.ready),
            State::Scheduled => Some(&mut self.scheduled),
            State::WaitingChildren => Some(&mut self.waiting_children),
            State::Done => Some(&mut self.done),
            State::Dead => Some(&mut self.dead),
            State::Cancelled => Some(&mut self.cancelled),
            State::Settled => None,
        }
    }

    /// A row goes from one state to another, from nowhere or to nowhere.
    pub(super) fn moved(&mut self, from: Option<State>, to: Option<State>, bytes: u64) {
        if let Some(count) = from.and_then(|from| self.of(from)) {
            *count = count.saturating_sub(1);
        }
        if let Some(count) = to.and_then(|to| self.of(to)) {
            *count += 1;
        }
        let is_live = |state: Option<State>| state.is_some_and(|state| !state.is_end());
        match (is_live(from), is_live(to)) {
            (false, true) => self.bytes += bytes,
            (true, false) => self.bytes = self.bytes.saturating_sub(bytes),
            _ => {}
        }
    }
}

impl QueueState {
    pub(super) fn new(id: u32, name: String) -> QueueState {
        QueueState {
            id,
            name,
            declared: None,
            is_paused: false,
            contents: Contents::default(),
            is_changed: false,
            leased: 0,
            leased_bytes: 0,
            kinds: HashMap::new(),
            messages: None,
            drain: Drain::default(),
        }
    }

    /// Jobs and messages that wait.
    pub(super) fn waiting(&self) -> u64 {
        let Contents { ready, scheduled, waiting_children, .. } = self.contents;
        (ready + scheduled + waiting_children).saturating_sub(self.leased)
    }

    /// Whether so many more may wait.
    pub(super) fn has_room(
        &self,
        more: u64,
        bytes: u64,
        (most, most_bytes): (u64, u64),
        now: Duration,
    ) -> Result<(), Error> {
        let (most, most_bytes) =
            self.declared.as_ref().map_or((most, most_bytes), |options| (options.max_messages, options.max_bytes));
        let waiting = self.waiting();
        if waiting + more > most {
            let retry_after = self.drain.time_for(most / 100 + 1, now);
            return Err(Error::Full { queue: self.name.clone(), waiting, limit: most, retry_after });
        }
        let waiting_bytes = self.contents.bytes.saturating_sub(self.leased_bytes);
        if waiting_bytes + bytes > most_bytes {
            let retry_after = self.drain.time_for(waiting / 100 + 1, now);
            let queue = format!("{} (in bytes)", self.name);
            return Err(Error::Full { queue, waiting: waiting_bytes, limit: most_bytes, retry_after });
        }
        Ok(())
    }
}

/// How fast a queue empties: what left it in this half minute and in the one before.
#[derive(Debug, Default)]
pub(super) struct Drain {
    half: u64,
    now: u64,
    before: u64,
}

/// Half of the minute over which the rate is measured.
const HALF: Duration = Duration::from_secs(30);

impl Drain {
    /// One has ended.
    pub(super) fn ended(&mut self, now: Duration) {
        let half = now.as_secs() / HALF.as_secs();
        if half != self.half {
            self.before = if half == self.half + 1 { self.now } else { 0 };
            (self.half, self.now) = (half, 0);
        }
        self.now += 1;
    }

    /// How long until so many have left, at the rate of the last minute: 0.1 s to 60 s. `None` if nothing left.
    fn time_for(&self, many: u64, now: Duration) -> Option<Duration> {
        let half = now.as_secs() / HALF.as_secs();
        let (now_count, before) = match half.saturating_sub(self.half) {
            0 => (self.now, self.before),
            1 => (0, self.now),
            _ => (0, 0),
        };
        let measured = (now.as_secs_f64() % HALF.as_secs_f64()) + if before > 0 { HALF.as_secs_f64() } else { 0.0 };
        let rate = (now_count + before) as f64 / measured.max(1.0);
        (rate > 0.0).then(|| Duration::from_secs_f64((many as f64 / rate).clamp(0.1, 60.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_behind_the_edge_stays_in_the_file() {
        let mut line = Line::new(LineId(1), 1, None);
        for seq in 0..10 {
            assert_eq!(line.place((seq, seq)), Placed::InMemory);
        }
        assert_eq!(line.trim(4).len(), 6);
        assert_eq!(line.place((7, 11)), Placed::InFile);
        assert_eq!(line.place((2, 12)), Placed::InMemory);
        assert_eq!(line.first(), Some((0, 0)));
        assert_eq!(line.edge(), (3, 3));
    }

    #[test]
    fn a_bucket_fills_evenly_and_holds_its_number() {
        let queue = crate::QueueName::new("q").unwrap();
        let rate = Some((4, Duration::from_secs(2)));
        let limits = KindLimits { queue, kind: "k".to_owned(), concurrency: None, rate };
        let mut bucket = Bucket::new(&limits, Duration::ZERO, Fill::Full).unwrap();
        for _ in 0..4 {
            assert_eq!(bucket.until_next(Duration::ZERO), Duration::ZERO);
            bucket.take();
        }
        let wait = bucket.until_next(Duration::ZERO).as_secs_f64();
        assert!((wait - 0.5).abs() < 1e-6);
        assert_eq!(bucket.until_next(Duration::from_millis(500)), Duration::ZERO);
        assert_eq!(bucket.until_next(Duration::from_secs(500)), Duration::ZERO);
        assert!((bucket.filled - 4.0).abs() < 1e-6);
    }

    #[test]
    fn the_time_until_there_is_room_comes_from_the_last_minute() {
        let mut drain = Drain::default();
        assert_eq!(drain.time_for(1, Duration::from_secs(10)), None);
        for _ in 0..100 {
            drain.ended(Duration::from_secs(10));
        }
        assert_eq!(drain.time_for(10, Duration::from_secs(10)), Some(Duration::from_secs(1)));
        assert_eq!(drain.time_for(10, Duration::from_secs(100)), None);
    }
}
