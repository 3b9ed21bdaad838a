//! [`Item`]: a job or a message, as it is in memory while it stands at the head of its line or is leased.

use std::time::Duration;

use phalanx_task::Progress;
use serde::{Deserialize, Serialize};

use super::ClientId;
use crate::job::{NewJob, OnFailure, Unique};
use crate::{JobId, JobState, Message, RetryPolicy, Token, UnixMillis};

/// The number of a row: grows with each submission, and is never used again.
pub(super) type Seq = i64;

/// The number of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct LineId(pub(super) u32);

/// Where a row is in its life, as its number in the file. A leased one is still [`Ready`](State::Ready) there: leases are in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i64)]
pub(super) enum State {
    Ready = 0,
    Scheduled = 1,
    WaitingChildren = 2,
    Done = 3,
    Dead = 4,
    Cancelled = 5,
    /// A message that was settled: its id is remembered for a while.
    Settled = 6,
}

impl State {
    pub(super) fn from_number(number: i64) -> Option<State> {
        [
            State::Ready,
            State::Scheduled,
            State::WaitingChildren,
            State::Done,
            State::Dead,
            State::Cancelled,
            State::Settled,
        ]
        .into_iter()
        .find(|state| *state as i64 == number)
    }

    pub(super) fn is_end(self) -> bool {
        self as i64 >= State::Done as i64
    }

    /// For people. Messages have no state of their own.
    pub(super) fn shown(self) -> JobState {
        match self {
            State::Ready => JobState::Ready,
            State::Scheduled => JobState::Scheduled,
            State::WaitingChildren => JobState::WaitingChildren,
            State::Done | State::Settled => JobState::Done,
            State::Dead => JobState::Dead,
            State::Cancelled => JobState::Cancelled,
        }
    }
}

/// A job or a message.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) seq: Seq,
    pub(super) id: JobId,
    pub(super) line: LineId,
    pub(super) state: State,
    pub(super) rank: i64,
    /// When something happens to it by itself: its time comes, its deadline passes, what is kept of it is thrown away.
    pub(super) due: Option<u64>,
    /// The row of the job that gathers its result.
    pub(super) parent: Option<Seq>,
    pub(super) version: u64,
    pub(super) not_before: UnixMillis,
    pub(super) counts: Counts,
    pub(super) ended: Option<UnixMillis>,
    /// Bytes of its payload, as they count against the bound.
    pub(super) bytes: u64,
    pub(super) terms: Box<Terms>,
    pub(super) details: Option<Vec<u8>>,
    /// The payload, if it is kept in memory.
    pub(super) payload: Option<Vec<u8>>,
    /// Whoever has it now.
    pub(super) hold: Option<Hold>,
}

/// What is counted of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Counts {
    /// The life in which it was leased last, as far as that is written.
    pub(super) epoch: u64,
    /// Leases so far.
    pub(super) leases: u32,
    /// Leases so far that were not handed back uncounted; deliveries of a message.
    pub(super) attempts: u32,
    pub(super) errors: u32,
    pub(super) crashes: u32,
    /// Whether the last lease was ended by its holder's word.
    pub(super) is_settled: bool,
}

impl Counts {
    /// All over again, in this life. Leases go on counting, one is left out, and so all tokens so far are old.
    pub(super) fn refresh(&mut self, epoch: u64) {
        *self = Counts { epoch, leases: self.leases + 1, attempts: 0, errors: 0, crashes: 0, is_settled: true };
    }

    /// An attempt that is not in the file was begun: what was said of the one before it is not its end.
    pub(super) fn show(&mut self, token: &Token) {
        if (token.epoch, token.attempt) > (self.epoch, self.leases) {
            (self.epoch, self.leases) = (token.epoch, token.attempt);
            self.attempts += 1;
            self.is_settled = false;
        }
    }
}

/// What was agreed at submission and never changes. Stored by postcard: see `FORMAT`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Terms {
    pub(super) priority: u8,
    pub(super) submitted: UnixMillis,
    pub(super) deadline: Option<UnixMillis>,
    pub(super) run_limit: Option<Duration>,
    pub(super) retry: RetryPolicy,
    pub(super) keep: Duration,
    pub(super) unique: Option<Unique>,
    pub(super) family: Family,
}

/// Its place in a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Family {
    None,
    Child { parent: JobId, index: u32 },
    Parent { children: u32, on_failure: OnFailure },
}

impl Terms {
    pub(super) fn of_job(job: &NewJob, family: Family, now: UnixMillis) -> Terms {
        Terms {
            priority: job.priority.min(phalanx_task::Priority::HIGHEST.level()),
            submitted: now,
            deadline: job.deadline,
            run_limit: job.run_limit,
            retry: job.retry,
            keep: job.keep,
            unique: job.unique.clone(),
            family,
        }
    }

    pub(super) fn of_message(message: &Message, now: UnixMillis) -> Terms {
        Terms {
            priority: message.priority.min(phalanx_task::Priority::HIGHEST.level()),
            submitted: now,
            deadline: None,
            run_limit: None,
            retry: RetryPolicy::never(),
            keep: Duration::ZERO,
            unique: None,
            family: Family::None,
        }
    }
}

/// A lease, or a delivery. In memory only.
#[derive(Debug, Clone)]
pub(super) struct Hold {
    pub(super) token: Token,
    pub(super) client: ClientId,
    pub(super) by: Holder,
    /// When it ends by itself, by the monotonic clock; deliveries last as long as their connection.
    pub(super) until: Option<Duration>,
    /// Whether the file says that it may be leased.
    pub(super) is_written: bool,
    pub(super) progress: Option<Progress>,
    pub(super) has_new_details: bool,
}

/// Who holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holder {
    /// A runner of this id.
    Runner(JobId),
    /// A consumer of this number, of the client.
    Consumer(u64),
    /// It was claimed again after a restart, and its runner or consumer has not said its name yet.
    Unnamed,
}

impl Item {
    /// Where it stands in its line.
    pub(super) fn place(&self) -> (i64, Seq) {
        (self.rank, self.seq)
    }

    /// Whether this is the latest attempt at it, whose holder has not said how it went. `granted` is the first life whose leases
    /// may be unwritten.
    pub(super) fn is_latest(&self, token: &Token, granted: u64) -> bool {
        let written = (self.counts.epoch, self.counts.leases);
        let shown = (token.epoch, token.attempt);
        shown == written && !self.counts.is_settled || shown > written && token.epoch >= granted
    }

    /// Whether this attempt was the last, and its end is recorded.
    pub(super) fn is_recorded(&self, token: &Token) -> bool {
        self.counts.is_settled && (token.epoch, token.attempt) == (self.counts.epoch, self.counts.leases)
    }
}

/// The job in the token of a delivery: the row, and a part of the message's id, so that it fits no other.
pub(super) fn delivery_id(seq: Seq, message: &JobId) -> JobId {
    let mut bytes = [0_u8; 16];
    let [_, _, row @ ..] = seq.to_be_bytes();
    bytes[..6].copy_from_slice(&row);
    // No UUID has version 15: this is no job.
    bytes[6] = 0xf0;
    bytes[7..].copy_from_slice(&message.as_bytes()[7..]);
    JobId::from_bytes(bytes)
}

/// The row in the token of a delivery.
pub(super) fn delivered_row(id: &JobId) -> Option<Seq> {
    let bytes = id.as_bytes();
    let mut row = [0_u8; 8];
    row[2..].copy_from_slice(&bytes[..6]);
    (bytes[6] == 0xf0).then(|| Seq::from_be_bytes(row))
}
