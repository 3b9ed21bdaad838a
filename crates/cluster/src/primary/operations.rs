//! Operations: what somebody asked of the whole cluster, one at a time, each with a number and an end.
//!
//! ```text
//!   signal, `Primary`, control socket ──► begin ──► Supervisor ──► … ──► Over ──► done, or failed with its words
//!                                           │ one runs: refused to who waits for an answer,
//!                                           ▼           remembered (once) for a signal
//!                                        pending
//! ```

use tokio::sync::oneshot;

use crate::supervisor::Input;
use crate::{Error, Event};

use super::Primary;

/// What can be asked of the whole cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Replace every worker by one that has new settings, new first.
    Reload,
    /// Have this many places.
    Scale(usize),
}

impl Wish {
    /// As events and the control socket name it.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Wish::Reload => "reload",
            Wish::Scale(_) => "scale",
        }
    }
}

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

/// The operation that runs, or ran last.
#[derive(Debug)]
pub(crate) struct Operation {
    pub(crate) number: u64,
    pub(crate) kind: &'static str,
    pub(crate) progress: Progress,
    /// Who waits for its end.
    waiting: Vec<oneshot::Sender<Result<(), Error>>>,
}

/// The operations of a cluster.
#[derive(Debug, Default)]
pub(super) struct Operations {
    last: Option<Operation>,
    /// Signals that came during an operation. However many: one reload, and one scaling to where they lead.
    pending: Pending,
}

#[derive(Debug, Default)]
struct Pending {
    reload: bool,
    scale: isize,
}

impl Operations {
    /// The operation that runs.
    pub(super) fn running(&self) -> Option<&Operation> {
        self.last.as_ref().filter(|operation| operation.progress == Progress::Running)
    }

    fn start(&mut self, kind: &'static str, waiting: Vec<oneshot::Sender<Result<(), Error>>>) -> u64 {
        let number = self.last.as_ref().map_or(0, |operation| operation.number) + 1;
        self.last = Some(Operation { number, kind, progress: Progress::Running, waiting });
        number
    }
}

impl Primary {
    /// Begins what somebody wishes; `reply` hears of the end. Refused while another operation runs.
    pub(super) fn begin(&mut self, wish: Wish, reply: Option<oneshot::Sender<Result<(), Error>>>) {
        if let Some(running) = self.operations.running() {
            let why = format!("{} (operation {}) is under way", running.kind, running.number);
            if let Some(reply) = reply {
                let _ = reply.send(Err(Error::Operation { kind: wish.kind(), why }));
            }
            return;
        }
        let operation = self.operations.start(wish.kind(), reply.into_iter().collect());
        self.emit(Event::Began { operation, kind: wish.kind() });
        match wish {
            Wish::Reload => match self.generations.begin() {
                Ok(generation) => self.feed_supervisor(Input::Reload { operation, generation }),
                Err(error) => self.over(operation, Err(error.to_string())),
            },
            Wish::Scale(workers) => self.feed_supervisor(Input::Scale { operation, workers }),
        }
    }

    /// SIGHUP: a reload now, or exactly one more when the present operation is over.
    pub(super) fn reload_once_more(&mut self) {
        match self.operations.running() {
            Some(_) => self.operations.pending.reload = true,
            None => self.begin(Wish::Reload, None),
        }
    }

    /// SIGTTIN, SIGTTOU: one place more or less, now or when the present operation is over.
    pub(super) fn scale_by(&mut self, change: isize) {
        let most = crate::id::MAX_SLOTS as isize;
        self.operations.pending.scale = (self.operations.pending.scale + change).clamp(-most, most);
        self.begin_pending();
    }

    /// The supervisor, or a check before it, says how an operation ended.
    pub(super) fn over(&mut self, number: u64, result: Result<(), String>) {
        let Some(operation) = self.operations.last.as_mut().filter(|operation| operation.number == number) else {
            return;
        };
        if operation.progress != Progress::Running {
            return;
        }
        let kind = operation.kind;
        operation.progress = match &result {
            Ok(()) => Progress::Done,
            Err(why) => Progress::Failed(why.clone()),
        };
        for reply in operation.waiting.drain(..) {
            let _ = reply.send(result.clone().map_err(|why| Error::Operation { kind, why }));
        }
        if result.is_ok() && kind == Wish::Reload.kind() {
            self.generations.settle();
        }
        let (generations, workers) = (&mut self.generations, &self.workers);
        generations.retain(|generation| workers.values().any(|running| running.birth.generation == generation));
        self.emit(Event::Ended { operation: number, kind, failure: result.err() });
    }

    /// What signals asked for while something else was under way.
    pub(super) fn begin_pending(&mut self) {
        if self.operations.running().is_some() || self.stop_requests > 0 {
            return;
        }
        if std::mem::take(&mut self.operations.pending.reload) {
            self.begin(Wish::Reload, None);
        } else if self.operations.pending.scale != 0 {
            let change = std::mem::take(&mut self.operations.pending.scale);
            let wanted = self.wanted().saturating_add_signed(change).clamp(1, crate::id::MAX_SLOTS);
            if wanted != self.wanted() {
                self.begin(Wish::Scale(wanted), None);
            }
        }
    }

    /// Places that are meant to be there.
    fn wanted(&self) -> usize {
        self.supervisor.live().len()
    }
}
