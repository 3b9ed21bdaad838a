//! [`Entry`]: what the dispatcher and the hands of threads must know of a job.

use crate::line::{Key, Nanos, Priority};

pub(crate) trait Entry: Clone {
    fn priority(&self) -> Priority;
    /// When it is too late for it while it waits.
    fn due_in_queue(&self) -> Nanos;
    /// When it is too late for it on its thread, where it began at `started` or is about to begin.
    fn due_on_thread(&self, started: Option<Nanos>) -> Nanos;
    /// Whether it can ever be too late for it.
    fn has_deadline(&self) -> bool;
    /// It stands in the line now, and counts for so many nanoseconds. Called under the lock of the line, once.
    fn stands_at(&self, key: Key, cost: u64);
    /// Where it stands, or stood.
    fn key(&self) -> Key;
    /// Whether both are the same job.
    fn is(&self, other: &Self) -> bool;
}
