//! The scene of each test here: a culprit among honest tasks, and what must be true afterwards.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use phalanx_task::{Builder, Executor, ProcessPool, Submission, SubmitOptions, TaskError};

use crate::household::{end_of, nothing_is_left};
use crate::mischief::{DONE, Level, Mischief};

/// Job processes of a pool here.
pub(crate) const PROCESSES: usize = 3;
/// Bytes that a job process here may take for its data: what it takes without end comes to its end soon.
const DATA_LIMIT: u64 = 256 << 20;
/// For what would run for ever.
pub(crate) const RUN_DEADLINE: Duration = Duration::from_millis(300);
/// For what ends by itself, even on a machine under load.
const LONG: Duration = Duration::from_secs(20);

/// Settings of a pool of three processes.
pub(crate) fn builder() -> Builder {
    ProcessPool::builder()
        .name("faults")
        .processes(PROCESSES)
        .data_limit(DATA_LIMIT)
        .max_wait(Duration::from_secs(60))
        .standing_wait(Duration::from_secs(60))
}

/// A pool of three processes.
pub(crate) fn pool() -> ProcessPool {
    builder().build().unwrap_or_else(|error| panic!("no pool: {error}"))
}

/// A task that no other one is equal to.
pub(crate) fn task<L: Level>(what: Mischief) -> L {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    L::task(what, NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// Ten honest tasks, short and less short.
pub(crate) fn siblings<L: Level>(pool: &ProcessPool) -> Vec<Submission<String>> {
    (0..10).map(|n| pool.submit(task::<L>(Mischief::Work(if n % 3 == 0 { 2000 } else { 20 })))).collect()
}

/// Every honest task has its result.
pub(crate) fn all_done(siblings: Vec<Submission<String>>) {
    for (number, sibling) in siblings.into_iter().enumerate() {
        assert_eq!(end_of(sibling).as_deref(), Ok(DONE), "sibling {number} of a culprit was harmed");
    }
}

/// How a culprit ended with ten siblings before it and ten behind it. They are unharmed, the pool works afterwards, and of
/// all of it nothing is left.
pub(crate) fn among_siblings<L: Level>(what: Mischief) -> Result<String, TaskError> {
    among_siblings_within::<L>(what, LONG)
}

/// The same with a deadline for the culprit.
pub(crate) fn among_siblings_within<L: Level>(what: Mischief, deadline: Duration) -> Result<String, TaskError> {
    let pool = pool();
    let before = siblings::<L>(&pool);
    let options = SubmitOptions::new().deadline_from_start(deadline);
    let culprit = pool.submit_with(task::<L>(what), options);
    let behind = siblings::<L>(&pool);
    let end = end_of(culprit);
    all_done(before);
    all_done(behind);
    all_done(siblings::<L>(&pool));
    drop(pool);
    nothing_is_left();
    end
}
