//! Operations: what somebody asked of the whole cluster, one at a time, each with a number and an end.
//!
//! ```text
//!   signal, `Primary`, control socket ──► begin ──► Supervisor ──► … ──► Over ──► done, or failed with its words
//!                                           │ one runs: refused to who waits for an answer,
//!                                           ▼           remembered (once) for a signal
//!                                        pending
//! ```

use std::collections::VecDeque;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::oneshot;

use super::Primary;
use crate::supervisor::Input;
use crate::{Error, Event};

/// Operations that are remembered after their end, for who asks late.
const REMEMBERED: usize = 16;

/// What can be asked of the whole cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Replace every worker by one that has new settings, new first.
    Reload,
    /// Go on with the program file as it is on disk now.
    Upgrade,
    /// Go back to the program before the last upgrade.
    Rollback,
    /// Have this many places.
    Scale(usize),
}

impl Wish {
    /// As events and the control socket name it.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Wish::Reload => "reload",
            Wish::Upgrade => UPGRADE,
            Wish::Rollback => ROLLBACK,
            Wish::Scale(_) => "scale",
        }
    }
}

/// The two operations that go on in another image.
pub(super) const UPGRADE: &str = "upgrade";
pub(super) const ROLLBACK: &str = "rollback";

/// How an operation stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Progress {
    /// It is under way.
    Running,
    /// It did what was asked.
    Done,
    /// It did not; the old workers serve on.
    Failed(String),
}

/// An operation.
#[derive(Debug)]
pub(crate) struct Operation {
    pub(crate) number: u64,
    pub(crate) kind: &'static str,
    pub(crate) progress: Progress,
    /// When it began, in milliseconds since 1970.
    pub(crate) began_ms: u64,
    pub(crate) ended_ms: Option<u64>,
    /// Who waits for its end.
    waiting: Vec<oneshot::Sender<Result<(), Error>>>,
}

impl Operation {
    /// One that begins now.
    pub(super) fn new(number: u64, kind: &'static str) -> Operation {
        let (began_ms, ended_ms, waiting) = (unix_ms(), None, Vec::new());
        Operation { number, kind, progress: Progress::Running, began_ms, ended_ms, waiting }
    }
}

/// The operations of a cluster.
#[derive(Debug, Default)]
pub(super) struct Operations {
    /// The last ones; the newest is the last.
    recent: VecDeque<Operation>,
    /// Signals that came during an operation.
    pending: Pending,
}

/// However many signals of a kind: one operation, when the present one is over.
#[derive(Debug, Default)]
struct Pending {
    upgrade: bool,
    reload: bool,
    /// Places more or less.
    scale: isize,
}

impl Operations {
    /// The operation that runs.
    pub(super) fn running(&self) -> Option<&Operation> {
        self.recent.back().filter(|operation| operation.progress == Progress::Running)
    }

    /// The last operations, the newest last.
    #[cfg(feature = "control")]
    pub(super) fn recent(&self) -> impl Iterator<Item = &Operation> {
        self.recent.iter()
    }

    /// Goes on with one that another image of this process began.
    pub(super) fn resume(&mut self, operation: Operation) {
        if self.recent.len() == REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back(operation);
    }

    fn start(&mut self, kind: &'static str, waiting: Option<oneshot::Sender<Result<(), Error>>>) -> u64 {
        let number = self.recent.back().map_or(0, |operation| operation.number) + 1;
        let mut operation = Operation::new(number, kind);
        operation.waiting.extend(waiting);
        self.resume(operation);
        number
    }
}

impl Primary {
    /// Begins what somebody wishes, and says as which number; `waiting` hears of the end.
    ///
    /// Errors: another operation runs, or the cluster stops; then nothing has begun.
    pub(super) fn begin(
        &mut self,
        wish: Wish,
        waiting: Option<oneshot::Sender<Result<(), Error>>>,
    ) -> Result<u64, Error> {
        let refusal = match self.operations.running() {
            _ if self.stop_requests > 0 => Some("the cluster stops".to_owned()),
            _ if self.attendant.is_some() && matches!(wish, Wish::Upgrade | Wish::Rollback) => Some(
                "the workers are programs, which a reload replaces; what supervises them is replaced by a restart"
                    .to_owned(),
            ),
            Some(running) => Some(format!("{} (operation {}) is under way", running.kind, running.number)),
            None => None,
        };
        if let Some(why) = refusal {
            let refused = || Error::Operation { kind: wish.kind(), why: why.clone() };
            if let Some(waiting) = waiting {
                let _ = waiting.send(Err(refused()));
            }
            return Err(refused());
        }
        let number = self.operations.start(wish.kind(), waiting);
        self.tell_of_operation();
        self.emit(Event::Began { operation: number, kind: wish.kind() });
        let begun = match wish {
            Wish::Reload => self.reload(number),
            Wish::Upgrade | Wish::Rollback => self.check_image(wish),
            Wish::Scale(0) => Err(Error::Operation { kind: wish.kind(), why: "a cluster has at least 1 place".into() }),
            Wish::Scale(workers) => {
                self.feed_supervisor(Input::Scale { operation: number, workers });
                Ok(())
            }
        };
        if let Err(error) = begun {
            self.over(number, Err(words(error)));
        }
        Ok(number)
    }

    /// Replaces every worker by one of a new generation, as (part of) this operation.
    pub(super) fn reload(&mut self, operation: u64) -> Result<(), Error> {
        let generation = self.generations.begin()?;
        self.feed_supervisor(Input::Reload { operation, generation });
        Ok(())
    }

    /// A signal wants something: now, or once when the present operation is over.
    pub(super) fn begin_by_signal(&mut self, wish: Wish) {
        let pending = &mut self.operations.pending;
        match wish {
            Wish::Upgrade => pending.upgrade = true,
            _ => pending.reload = true,
        }
        self.begin_pending();
    }

    /// SIGTTIN, SIGTTOU: one place more or less, now or when the present operation is over.
    pub(super) fn scale_by(&mut self, change: isize) {
        let most = crate::id::MAX_SLOTS as isize;
        self.operations.pending.scale = (self.operations.pending.scale + change).clamp(-most, most);
        self.begin_pending();
    }

    /// What signals asked for while something else was under way.
    pub(super) fn begin_pending(&mut self) {
        if self.operations.running().is_some() || self.stop_requests > 0 {
            return;
        }
        let wanted = self.supervisor.wanted();
        let pending = &mut self.operations.pending;
        let wish = if std::mem::take(&mut pending.upgrade) {
            // An upgrade ends with a reload.
            pending.reload = false;
            Wish::Upgrade
        } else if std::mem::take(&mut pending.reload) {
            Wish::Reload
        } else {
            let change = std::mem::take(&mut pending.scale);
            let scaled = wanted.saturating_add_signed(change).clamp(1, crate::id::MAX_SLOTS);
            if change == 0 || scaled == wanted {
                return;
            }
            Wish::Scale(scaled)
        };
        // Nobody waits for an answer; events tell of its fate.
        let _ = self.begin(wish, None);
    }

    /// The supervisor, or a check before it, says how an operation ended.
    pub(super) fn over(&mut self, number: u64, result: Result<(), String>) {
        let Some(operation) = self.operations.recent.back_mut() else { return };
        if operation.number != number || operation.progress != Progress::Running {
            return;
        }
        let kind = operation.kind;
        let result = match result {
            // What a new image cannot do, the old one goes on with. This returns only if the old one cannot be had.
            Err(why) if self.resumed_operation == Some(number) => Err(self.return_to_previous_image(why)),
            other => other,
        };
        if self.resumed_operation.take().is_some() {
            self.images.settle();
        }
        let Some(operation) = self.operations.recent.back_mut() else { return };
        operation.progress = match &result {
            Ok(()) => Progress::Done,
            Err(why) => Progress::Failed(why.clone()),
        };
        operation.ended_ms = Some(unix_ms());
        for waiting in operation.waiting.drain(..) {
            let _ = waiting.send(result.clone().map_err(|why| Error::Operation { kind, why }));
        }
        self.let_go_of_generations();
        self.tell_of_operation();
        self.emit(Event::Ended { operation: number, kind, failure: result.err() });
    }

    /// The generations that have no worker and will get none.
    pub(super) fn let_go_of_generations(&mut self) {
        let needed = self.supervisor.generations();
        self.generations.retain(|generation| needed.contains(&generation));
    }

    pub(super) fn tell_of_operation(&mut self) {
        if let (Some(front), Some(operation)) = (&mut self.front, self.operations.recent.back()) {
            front.operation(operation);
        }
    }
}

/// The reason alone, where the operation is named already.
fn words(error: Error) -> String {
    match error {
        Error::Operation { why, .. } => why,
        other => other.to_string(),
    }
}

fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
