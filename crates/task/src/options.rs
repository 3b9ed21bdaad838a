//! [`SubmitOptions`]: on which terms a task is submitted.

use std::time::Duration;

use phalanx_thread::Priority;

/// Priority, deadlines, key. The default asks for nothing: [`Priority::DEFAULT`], no deadline, no key.
///
/// ```
/// use phalanx_task::{Priority, SubmitOptions};
/// use std::time::Duration;
///
/// let options = SubmitOptions::new()
///     .priority(Priority::HIGHEST)
///     .deadline_from_submit(Duration::from_secs(10))
///     .deadline_from_start(Duration::from_secs(2));
/// assert_eq!(options, options.clone());
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SubmitOptions {
    /// Who goes first.
    pub priority: Priority,
    /// How long after it was submitted it must be done.
    pub from_submit: Option<Duration>,
    /// How long after it began it must be done.
    pub from_start: Option<Duration>,
    /// A name for this very piece of work.
    pub idempotency_key: Option<String>,
    /// How long it will probably run.
    pub cost: Option<Duration>,
}

impl SubmitOptions {
    /// The default.
    pub fn new() -> SubmitOptions {
        SubmitOptions::default()
    }

    /// Who goes first.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// The task must be done this long after it was submitted. One that still waits then never runs.
    pub fn deadline_from_submit(mut self, time: Duration) -> Self {
        self.from_submit = Some(time);
        self
    }

    /// The task must be done this long after it began to run. On a thread it is told so and the caller is answered; in a
    /// process it is killed.
    pub fn deadline_from_start(mut self, time: Duration) -> Self {
        self.from_start = Some(time);
        self
    }

    /// A name for this very piece of work. As long as a task with the same key has not ended, another one is
    /// [refused](crate::Refusal::Duplicate).
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.idempotency_key = Some(key.into());
        self
    }

    /// How long it will probably run, alone on a core. Goes before [`Task::cost`](crate::Task::cost).
    pub fn cost(mut self, estimate: Duration) -> Self {
        self.cost = Some(estimate);
        self
    }
}
