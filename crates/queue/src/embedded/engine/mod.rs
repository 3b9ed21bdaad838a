//! The engine of an embedded queue: the whole model over SQLite. No sockets, no threads; the time is given.
//!
//! ```text
//!   apply(request) ──► memory: lines (windows), leases, waits      commit() ──► COMMIT (one fsync for all that came meanwhile)
//!                 └──► SQLite: the open transaction                        ├──► answers of what was applied
//!                                                                          ├──► ends and changes to those who wait for them
//!                                                                          └──► leases and deliveries: claims write nothing
//! ```
//!
//! A job costs one INSERT when it is submitted and one UPDATE when it has ended. A lease is in memory, and in the file only if it lives
//! longer than 250 ms, so that a job that takes the machine down is counted. What memory holds of a backlog is the heads of its lines.
//!
//! **If something cannot be written** (a full disk), all that was applied since the last commit is undone, in the file and in memory,
//! and its requests get the error; what was confirmed stands, leases go on, and the next batch is tried anew.
//!
//! | file | holds |
//! |---|---|
//! | `store/` | the file: format, SQL per table, faults |
//! | `item`, `line` | a job or message in memory; a line with its window, limits, counts |
//! | `apply`, `commit`, `undo` | a request; the end of a batch, good or bad |
//! | `submit`, `messages`, `flow` | what comes in |
//! | `claim`, `lease`, `deliver` | what is given out, and comes back |
//! | `finish`, `end`, `settle` | how it ended |
//! | `due`, `schedule` | what happens by itself: times, deadlines, expiry, schedules |
//! | `reclaim` | the first seconds of a life |
//! | `waits`, `status`, `progress`, `stats`, `sweep` | what is asked about all that |
//! | `limits` | pauses, and limits of kinds |

mod apply;
mod claim;
mod commit;
mod deliver;
mod due;
mod end;
mod finish;
mod flow;
mod item;
mod lease;
mod limits;
mod line;
mod messages;
mod now;
mod progress;
mod reclaim;
mod schedule;
mod settings;
mod settle;
mod stats;
mod status;
mod store;
mod submit;
mod sweep;
#[cfg(test)]
mod tests;
mod undo;
mod waits;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, VecDeque};
use std::path::Path;
use std::time::Duration;

pub use now::{ClientId, Now};
pub use settings::Settings;
pub use store::Checkpointer;

use self::deliver::{ConsumerKey, ConsumerState};
use self::item::{Hold, Item, LineId, Seq};
use self::lease::Revoking;
use self::line::{Line, QueueState};
use self::progress::LastWords;
use self::reclaim::Reclaim;
use self::store::Store;
use self::sweep::Sweep;
use self::waits::Waits;
use super::words::{Reply, Request, ToClient};
use crate::job::Schedule;
use crate::{Error, JobEnd, JobId, Token, UnixMillis};

/// The model of one folder.
#[derive(Debug)]
pub struct Engine {
    store: Store,
    settings: Settings,
    epoch: u64,
    /// The first life whose leases may not be in the file.
    granted: u64,
    /// Whether `granted` is this life already, in the file.
    has_granted: bool,
    last: Now,
    random: u64,
    versions: u64,
    next_seq: Seq,

    queues: Vec<QueueState>,
    queue_names: HashMap<String, u32>,
    lines: Vec<Line>,
    /// Queues and lines that the file has after the next commit, and that it has now.
    named: Named,
    confirmed: Named,
    /// Lines in which something may be.
    busy: BTreeSet<LineId>,
    items: HashMap<Seq, Item>,
    ids: HashMap<JobId, Seq>,
    /// Bytes of payloads in memory.
    cached: usize,
    /// Rows in windows.
    windowed: usize,

    clients: BTreeMap<ClientId, Client>,
    runners: HashMap<JobId, Runner>,
    consumers: BTreeMap<ConsumerKey, ConsumerState>,
    /// Consumers of a line, the one whose turn it is first.
    turns: HashMap<LineId, VecDeque<ConsumerKey>>,
    revoking: Revoking,
    waits: Waits,
    last_words: LastWords,
    reclaim: Reclaim,
    schedules: BTreeMap<String, Schedule>,
    /// Children of flows that have ended, as far as they were asked for.
    flows: HashMap<Seq, BTreeSet<u32>>,
    sweeps: VecDeque<Sweep>,

    /// When something is due by the wall clock, at the earliest.
    due_at: Option<u64>,
    keys_due_at: Option<u64>,
    /// Short waits by the monotonic clock, which does not jump: when, which, at which version.
    timers: BinaryHeap<Reverse<(Duration, Seq, u64)>>,
    /// Leases in the order in which they were begun: those that live longer are written.
    young: VecDeque<(Duration, Seq, Token)>,
    leases_checked_at: Option<Duration>,
    details_due_at: Option<Duration>,
    /// Results that are kept, in all queues.
    results: u64,
    /// Whether a client has gone whose leases are not back yet.
    has_orphans: bool,
    /// Holders that have gone, to be told to the file.
    left: Vec<JobId>,
    /// Ready ones whose deadline was found to have passed.
    late: Vec<Seq>,
    /// What happens by itself waits until then: it has failed.
    resting_until: Option<Duration>,
    /// Memory could not be brought in line with the file after a batch that failed: nothing is taken until it can.
    broken: Option<Error>,

    batch: Batch,
}

/// A client that is connected.
#[derive(Debug)]
struct Client {
    handle: JobId,
    is_holder: bool,
}

/// A runner, for people.
#[derive(Debug)]
struct Runner {
    client: ClientId,
    name: String,
    queues: Vec<LineId>,
}

/// How many have names in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Named {
    queues: usize,
    lines: usize,
}

/// What was done since the last commit.
#[derive(Debug, Default)]
struct Batch {
    /// Answers that are true after the commit.
    answers: Vec<(ClientId, u64, Result<Reply, Error>)>,
    /// What those who wait for a job are told.
    news: Vec<(JobId, News)>,
    /// Leases that ended: they go on if the batch fails.
    ended_leases: Vec<(Seq, Hold)>,
    /// Leases of jobs that were cancelled: their holders are told after the commit.
    revoked: Vec<Hold>,
    /// Consumers whose queue was deleted: they are told.
    without_queue: Vec<(ClientId, ToClient)>,
    /// Why it cannot be committed.
    failed: Option<Error>,
}

/// What happened to a job for which somebody waits.
#[derive(Debug, Clone)]
enum News {
    Changed,
    Ended(JobEnd),
    /// It was thrown away.
    Gone,
}

impl Engine {
    /// Opens the store in this folder, or makes it. The caller holds the folder's lock. [`Error::Store`] if the file cannot be used.
    pub fn open(folder: &Path, settings: &Settings, now: Now) -> Result<Engine, Error> {
        reclaim::open(Store::open(folder)?, settings.clone(), now)
    }

    /// The life of the store: grows with each opening.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Applies a request within the open transaction. Its answer comes from [`commit`](Engine::commit).
    pub fn apply(&mut self, client: ClientId, ask: u64, request: Request, now: Now) {
        self.last = now;
        let reply = match self.broken.as_ref().or(self.batch.failed.as_ref()) {
            Some(error) => Err(error.clone()),
            None => self.handle(client, ask, request, now),
        };
        if let Err(error @ Error::Store { .. }) = &reply {
            self.batch.failed.get_or_insert_with(|| error.clone());
        }
        if let Some(reply) = reply.transpose() {
            self.batch.answers.push((client, ask, reply));
        }
    }

    /// For a thread beside the engine's: brings the log over into the file while commits go on. To be dropped before [`close`](Engine::close).
    pub fn checkpointer(&self) -> Result<Checkpointer, Error> {
        self.store.checkpointer()
    }

    /// A clean end: everything is in the one file, and the next opening waits for nobody.
    pub fn close(mut self, now: Now) -> Result<(), Error> {
        self.commit(now);
        self.flush(now)?;
        self.store.set_meta(store::Meta::Clean, 1)?;
        if self.items.values().all(|item| item.hold.is_none()) {
            // The next life need not wait for anybody.
            self.store.remove_holders()?;
        }
        self.store.commit()?;
        self.store.checkpoint(store::Checkpoint::Whole)
    }

    /// A number that grows with each change, over all lives.
    fn next_version(&mut self) -> u64 {
        self.versions += 1;
        self.epoch << 40 | self.versions
    }

    /// A random number (xorshift64*, Marsaglia 2003): for jitter, not for secrets.
    fn random(&mut self) -> u32 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        (self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32
    }

    fn line(&mut self, id: LineId) -> &mut Line {
        &mut self.lines[id.0 as usize]
    }

    fn queue_of(&mut self, line: LineId) -> &mut QueueState {
        let queue = self.lines[line.0 as usize].queue;
        &mut self.queues[queue as usize]
    }

    /// Something is due at this moment.
    fn is_due_at(&mut self, due: Option<u64>) {
        self.due_at = match (self.due_at, due) {
            (Some(known), Some(due)) => Some(known.min(due)),
            (known, due) => known.or(due),
        };
    }
}

/// The monotonic clock this much later; it does not run over.
fn later(now: Now, wait: Duration) -> Duration {
    now.since_start.saturating_add(wait)
}

/// The earlier of two moments, of which either may never come.
fn earlier(one: Option<UnixMillis>, other: Option<UnixMillis>) -> Option<UnixMillis> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
