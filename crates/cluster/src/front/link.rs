//! What primary and front say to each other. Both are the same image: an upgrade replaces the front.
//!
//! A message is one packet of at most 64 KiB. The primary never waits: what it has to say of the *state* (pages, workers,
//! status, operations, answers) is kept by its [`Feed`](super::feed::Feed) until the link takes it; *events* are dropped when
//! the front reads too slowly, and counted. Nothing here holds a secret: whoever may use the control socket may see it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::logs::Logs;
use crate::control::{HeapFigures, HeapProfile};
use crate::{Event, Place, WorkerId};

/// Name of the role.
pub(crate) const FRONT_ROLE: &str = "front";

/// Names of the descriptors that the front is given.
pub(crate) mod descriptor {
    /// The packet link to the primary.
    pub(crate) const LINK: &str = "link";
    /// The listening control socket; only if one was asked for.
    pub(crate) const CONTROL: &str = "control";
    /// The listening TCP socket of the read-only admin interface; only if one was asked for.
    pub(crate) const ADMIN: &str = "admin";
    /// The cluster page, read-only.
    pub(crate) const CLUSTER: &str = "cluster";
}

/// Most addresses of programs that are told.
pub(crate) const MOST_ADDRESSES: usize = 32;

/// Longest text of an event or of a failure, in bytes; the rest is cut.
pub(super) const MAX_TEXT: usize = 16 * 1024;

/// From the primary.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToFront {
    /// The first message.
    Welcome(Welcome),
    /// A page of the scoreboard; its read-only descriptor comes along.
    Page(u16),
    /// A worker was started. With logs, the read ends of its standard output and its standard error come along, in this order.
    Worker(WorkerId),
    /// This worker is ready when it writes a line with this text; answered by [`ToPrimary::LineSeen`].
    AwaitLine(WorkerId, String),
    /// A worker has ended; what it wrote is still in its pipes.
    Gone(WorkerId),
    /// Something has happened.
    Event(Note),
    /// A piece of the cluster as it is now.
    Status(Status),
    /// An operation has begun or ended.
    Operation(Operation),
    /// The answer to [`ToPrimary::Command`].
    Answer { request: u64, answer: Answer },
    /// Open the log file anew: somebody has moved it.
    ReopenLogs,
    /// The cluster has ended, or another front follows: write what is there and exit.
    Leave,
}

/// What a front has to know from the beginning.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Welcome {
    /// Path of the control socket, which the front removes if the primary is killed.
    pub(crate) control: Option<PathBuf>,
    /// What becomes of what the workers write.
    pub(crate) logs: Option<Logs>,
    /// Where the cluster listens.
    pub(crate) listeners: Vec<String>,
    /// What is active: sandbox, limits, listener mode…, each as a name and a word.
    pub(crate) active: Vec<(String, String)>,
    /// The version of the user's program, for the status; empty if it has none.
    pub(crate) program_version: String,
    /// What else its author says of it, for the status, each as a name and a text.
    pub(crate) about: Vec<(String, String)>,
}

/// An event, as words and the things that it speaks of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Note {
    /// Grows by one with each event of this primary; a gap means that some were dropped.
    pub(crate) number: u64,
    /// When, in milliseconds since 1970.
    pub(crate) at_ms: u64,
    /// Its name, such as `back-off`.
    pub(crate) kind: String,
    /// What a person reads.
    pub(crate) text: String,
    pub(crate) worker: Option<WorkerId>,
    pub(crate) place: Option<Place>,
    pub(crate) operation: Option<u64>,
}

impl Note {
    pub(crate) fn of(event: &Event, number: u64, at_ms: u64) -> Note {
        Note {
            number,
            at_ms,
            kind: event.kind().to_owned(),
            text: cut(event.to_string()),
            worker: event.worker(),
            place: event.place(),
            operation: event.operation(),
        }
    }
}

/// The cluster as it is now: a whole, never a difference, so that a lost one costs nothing once the next is there. A large
/// cluster takes several messages; the last says so.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Status {
    pub(crate) places: Vec<PlaceStatus>,
    pub(crate) workers: Vec<WorkerStatus>,
    /// At most [`MOST_COMPANIONS`](crate::companion::MOST_COMPANIONS).
    pub(crate) companions: Vec<CompanionStatus>,
    /// Where programs listen by themselves, as they or who speaks for them said it; cut to [`MOST_ADDRESSES`].
    pub(crate) addresses: Vec<String>,
    /// Whether this message completes the picture. Set by the [`Feed`](super::feed::Feed).
    pub(crate) complete: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PlaceStatus {
    pub(crate) place: Place,
    /// One word: `serving`, `booting`, `waiting`, `broken`, `given-up`…
    pub(crate) state: String,
    /// Workers that this place had after its first.
    pub(crate) restarts: u64,
    /// Deaths before ready, one after the other.
    pub(crate) failures: u32,
    /// If no worker is there: until the next try.
    pub(crate) next_try_ms: Option<u64>,
    /// What its last failed worker said.
    pub(crate) error: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct WorkerStatus {
    pub(crate) worker: WorkerId,
    pub(crate) place: Place,
    pub(crate) pid: u32,
    /// Its page of the scoreboard.
    pub(crate) page: u16,
    /// One word: `booting`, `held`, `serving`, `hung`, `draining`, `dying`.
    pub(crate) state: String,
    pub(crate) generation: u32,
    /// When it was started, in milliseconds since 1970.
    pub(crate) started_ms: u64,
}

/// A process beside the workers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct CompanionStatus {
    pub(crate) name: String,
    /// `None` while it does not run.
    pub(crate) pid: Option<u32>,
    /// How often it was started again.
    pub(crate) restarts: u64,
    /// When it was started, in milliseconds since 1970.
    pub(crate) started_ms: Option<u64>,
    /// How the one before ended.
    pub(crate) ended: Option<String>,
}

/// A reload, an upgrade… and how it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Operation {
    pub(crate) number: u64,
    /// `reload`, `upgrade`, `rollback`, `scale`, `recycle`.
    pub(crate) kind: String,
    pub(crate) state: OperationState,
    /// When it began, in milliseconds since 1970.
    pub(crate) began_ms: u64,
    /// When it ended.
    pub(crate) ended_ms: Option<u64>,
}

/// How an operation stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum OperationState {
    Running,
    Done,
    /// Why it failed.
    Failed(String),
}

/// From the front.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToPrimary {
    /// Somebody who may wants this; answered by [`ToFront::Answer`] with the same number, at once.
    Command { request: u64, command: Command },
    /// So many more lines of the workers were dropped.
    LinesDropped(u64),
    /// The worker has written the line that was awaited.
    LineSeen(WorkerId),
}

/// What can be asked of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Command {
    /// Replace every worker.
    Reload,
    /// Go on with the program file as it is now.
    Upgrade,
    /// Go back to the program before the last upgrade.
    Rollback,
    /// From now on this many places; at least 1.
    Scale(u32),
    /// Finish what is under way and stop.
    Stop,
    /// Stop at once.
    StopNow,
    /// Send a worker the signal of this number.
    Kill { worker: WorkerId, signal: i32 },
    /// Have a worker's heap looked at; the file for it comes along. Answered when the worker has.
    HeapProfile { worker: WorkerId, wish: HeapProfile },
}

/// What the primary says to a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// It has begun as operation of this number, told of by [`ToFront::Operation`] before this answer.
    Began(u64),
    /// It is done.
    Done,
    /// It is not possible now, for this reason.
    Refused(String),
    /// There is no such worker.
    NoSuchWorker,
    /// The profile is in the file, or sampling was switched.
    HeapProfiled(HeapFigures),
}

/// At most [`MAX_TEXT`] bytes of a text.
pub(super) fn cut(text: String) -> String {
    cut_to(text, MAX_TEXT)
}

/// At most so many bytes of a text, and a sign that there were more.
pub(super) fn cut_to(mut text: String, most: usize) -> String {
    if text.len() > most {
        let end = (0..=most).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}
