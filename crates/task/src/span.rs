//! The span of a task: every line that is logged while it runs says which one it was.

use tracing::Span;

use crate::TaskId;

/// The span "task" of one attempt, a child of the span in which the caller is now. Without a subscriber it costs a few
/// nanoseconds and is nothing. A thread is inside of it while it runs the task; the owner of job processes keeps it until the
/// result is there, and the job process has one of its own.
pub(crate) fn named(name: &'static str, id: TaskId, attempt: u32) -> Span {
    tracing::info_span!("task", name, id = id.get(), attempt)
}
