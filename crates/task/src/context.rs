//! [`TaskContext`]: what a running task is told, and what it may say.

use std::fmt;
use std::time::Instant;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Attempt, Phase, Progress, Refusal, TaskError, TaskId};

/// Given to every task while it runs.
///
/// A thread cannot be stopped from outside: a task that runs for long asks [`is_cancelled`](TaskContext::is_cancelled) or
/// [`check`](TaskContext::check) now and then. In a process it should do so too, for the process is killed otherwise, and a new
/// one takes a millisecond.
pub struct TaskContext {
    task: &'static str,
    id: TaskId,
    attempt: u32,
    host: Box<dyn Host>,
}

/// The place where a task runs, as its context knows it. Implemented by executors.
pub trait Host: Send + Sync {
    /// Whether nobody wants the result any more, or it is too late.
    fn is_cancelled(&self) -> bool;
    /// When the task has to be done.
    fn deadline(&self) -> Option<Instant>;
    /// The task says how far it has come.
    fn progress(&self, progress: Progress);
    /// Calls what blocks, without a permit for a core meanwhile.
    fn wait(&self, blocking: &mut dyn FnMut());
    /// The task keeps this for an attempt after this one. Without a queue there is none.
    fn checkpoint(&self, details: Vec<u8>) {
        drop(details);
    }
    /// What an earlier attempt has kept.
    fn earlier(&self) -> Option<Vec<u8>> {
        None
    }
}

impl TaskContext {
    /// For executors: what a task of this name is told at `host`, at its `attempt` (1 is the first).
    pub fn new(task: &'static str, id: TaskId, attempt: u32, host: impl Host + 'static) -> TaskContext {
        TaskContext { task, id, attempt, host: Box::new(host) }
    }

    /// Name of the task.
    pub fn task(&self) -> &'static str {
        self.task
    }

    /// Number of the submission.
    pub fn id(&self) -> TaskId {
        self.id
    }

    /// Which attempt this is: 1 is the first. Pools never try again by themselves; queues do.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Whether to stop: the caller is gone, a deadline passed, or the executor was given up. What the task returns after
    /// that is dropped. Costs about 30 ns.
    pub fn is_cancelled(&self) -> bool {
        self.host.is_cancelled()
    }

    /// An error if the task shall stop: `cx.check()?` in a loop.
    pub fn check(&self) -> Result<(), TaskError> {
        if !self.is_cancelled() {
            return Ok(());
        }
        let is_late = self.deadline().is_some_and(|deadline| Instant::now() >= deadline);
        Err(if is_late { TaskError::TimedOut(Phase::Run) } else { TaskError::Cancelled })
    }

    /// When the task has to be done: the earlier of its two deadlines, if it has any.
    pub fn deadline(&self) -> Option<Instant> {
        self.host.deadline()
    }

    /// Says how far the task has come, in units of its own; a `total` of 0 is unknown. Cheap enough for every step: what
    /// nobody had time to read is overwritten.
    pub fn progress(&self, done: u64, total: u64) {
        self.host.progress(Progress { done, total });
    }

    /// Keeps where the task is: if this attempt fails or crashes, the next one finds it by [`resume`](TaskContext::resume). A queue
    /// stores it within a second; on a pool without a queue nothing comes of it. Each call
    /// replaces what was kept before.
    ///
    /// Errors: [`Refusal::TooBig`] if it has more than 64 KiB, and it cannot be serialised.
    ///
    /// ```
    /// # use phalanx_task::{TaskContext, TaskError};
    /// fn sum_of(parts: u64, cx: &TaskContext) -> Result<u64, TaskError> {
    ///     let (first, mut sum) = cx.resume::<(u64, u64)>().unwrap_or((0, 0));
    ///     for part in first..parts {
    ///         sum += part;
    ///         cx.checkpoint(&(part + 1, sum))?;
    ///     }
    ///     Ok(sum)
    /// }
    /// ```
    pub fn checkpoint<T: Serialize>(&self, state: &T) -> Result<(), TaskError> {
        let details = postcard::to_stdvec(state).map_err(TaskError::failed)?;
        let (bytes, limit) = (details.len() as u64, Attempt::LONGEST_DETAILS as u64);
        if bytes > limit {
            return Err(Refusal::TooBig { bytes, limit }.into());
        }
        self.host.checkpoint(details);
        Ok(())
    }

    /// What an earlier attempt has [kept](TaskContext::checkpoint) last; `None` if there was none, it kept nothing, or it was of another
    /// type.
    pub fn resume<T: DeserializeOwned>(&self) -> Option<T> {
        postcard::from_bytes(&self.host.earlier()?).ok()
    }

    /// Lends the task a value that belongs to its thread: made by `Default` the first time, reused by later tasks of the
    /// same thread (or process) with the same type. For buffers that are dear to make.
    ///
    /// A value whose user panicked is thrown away. Inside, a second call with the same type gets a fresh value.
    pub fn with_scratch<S: Default + 'static, R>(&self, job: impl FnOnce(&mut S) -> R) -> R {
        phalanx_thread::with_scratch(job)
    }

    /// Runs something that blocks (a read, a lock, another task's result) without holding a core's permit meanwhile.
    pub fn wait<R>(&self, blocking: impl FnOnce() -> R) -> R {
        let (mut blocking, mut result) = (Some(blocking), None);
        self.host.wait(&mut || {
            if let Some(blocking) = blocking.take() {
                result = Some(blocking());
            }
        });
        match (result, blocking) {
            (Some(result), _) => result,
            // A host that does not call it has no reason to; the task shall not suffer.
            (None, Some(blocking)) => blocking(),
            (None, None) => unreachable!("what was called has given its result"),
        }
    }
}

impl fmt::Debug for TaskContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskContext")
            .field("task", &self.task)
            .field("id", &self.id)
            .field("attempt", &self.attempt)
            .field("cancelled", &self.is_cancelled())
            .finish()
    }
}
