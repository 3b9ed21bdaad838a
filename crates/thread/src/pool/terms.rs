//! The terms on which a job is submitted, and the way into the queue.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::line::{KeyInUse, NEVER, Nanos, Priority, Refusal, cost_of, nanos};
use crate::pool::cancellation::Cancellation;
use crate::pool::context::JobContext;
use crate::pool::core::Core;
use crate::pool::error::JobError;
use crate::pool::job::{Awaited, Cell, End, Job, Ticket};
use crate::pool::state::Call;
use crate::pool::submission::Submission;

#[derive(Debug, Clone, Default)]
pub(crate) struct Terms {
    pub(crate) cost: Option<Duration>,
    pub(crate) from_submit: Option<Duration>,
    pub(crate) from_start: Option<Duration>,
    pub(crate) priority: Priority,
    pub(crate) cancelled_by: Option<Cancellation>,
}

impl Terms {
    pub(crate) fn cost(&self) -> Option<u64> {
        self.cost.map(cost_of)
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled_by.as_ref().is_some_and(Cancellation::is_cancelled)
    }

    fn ticket(&self, submitted: Nanos) -> Ticket {
        let due = self.from_submit.map_or(NEVER, |time| submitted.saturating_add(nanos(time)));
        let time_from_start = self.from_start.map_or(NEVER, nanos);
        Ticket::new(self.priority, self.cost.is_some(), submitted, due, time_from_start)
    }

    /// A job on these terms, not in the queue yet.
    pub(crate) fn draw_up<F, T>(&self, core: &Arc<Core>, now: Instant, work: F) -> Arc<Cell<F, T>>
    where
        F: FnOnce(&JobContext) -> T + Send + 'static,
        T: Send + 'static,
    {
        Cell::new(self.ticket(core.at(now)), core.clone(), work, None)
    }

    /// What is left to do for a job that is in the queue now.
    pub(crate) fn has_been_taken(&self, core: &Arc<Core>, job: &Job, call: Call) {
        core.answer(call);
        core.keeper.note(job.0.ticket().due, core);
        self.watch(job);
    }

    /// From now on its cancellation ends the job.
    pub(crate) fn watch(&self, job: &Job) {
        if let Some(cancellation) = &self.cancelled_by {
            cancellation.watch(job);
        }
    }

    /// Submits a job unless one of the same key has not ended.
    pub(crate) fn spawn_once<T, F>(&self, core: &Arc<Core>, key: &str, work: F) -> Submission<T>
    where
        F: FnOnce(&JobContext) -> T + Send + 'static,
        T: Send + 'static,
    {
        match core.keys.take(key) {
            Some(key) => self.spawn(core, Some(key), work),
            None => {
                core.counters.count(End::Refused);
                Submission::failed(Refusal::Duplicate.into())
            }
        }
    }

    /// Submits a job; `key` is in use until it has ended.
    pub(crate) fn spawn<T, F>(&self, core: &Arc<Core>, key: Option<KeyInUse>, work: F) -> Submission<T>
    where
        F: FnOnce(&JobContext) -> T + Send + 'static,
        T: Send + 'static,
    {
        if self.is_cancelled() {
            core.counters.count(End::Cancelled);
            return Submission::failed(JobError::Cancelled);
        }
        let now = Instant::now();
        let cell = Cell::<F, T>::new(self.ticket(core.at(now)), core.clone(), work, key);
        let job = Job(cell.clone());
        match core.dispatcher.push(&job, self.cost(), now) {
            Ok(call) => self.has_been_taken(core, &job, call),
            Err(error) => {
                core.counters.count(End::Refused);
                return Submission::failed(error);
            }
        }
        Submission::taken(cell)
    }

    pub(crate) fn spawn_many<T, F>(&self, core: &Arc<Core>, works: impl IntoIterator<Item = F>) -> Vec<Submission<T>>
    where
        F: FnOnce(&JobContext) -> T + Send + 'static,
        T: Send + 'static,
    {
        let now = Instant::now();
        // Foreign code makes the closures; it must not run under the lock.
        let cells: Vec<Arc<Cell<F, T>>> = works.into_iter().map(|work| self.draw_up(core, now, work)).collect();
        let jobs: Vec<_> = cells.iter().map(|cell| Job(cell.clone())).collect();
        let (results, calls) = core.dispatcher.push_many(&jobs, self.cost(), now);
        calls.into_iter().for_each(|call| core.answer(call));
        let submissions = cells.into_iter().zip(jobs).zip(results).map(|((cell, job), result)| match result {
            Ok(()) => {
                self.has_been_taken(core, &job, Call::Nobody);
                let awaited: Arc<dyn Awaited<T>> = cell;
                Submission::taken(awaited)
            }
            Err(error) => {
                core.counters.count(End::Refused);
                Submission::failed(error)
            }
        });
        submissions.collect()
    }
}
