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

/// An honest task, and what it will say.
pub(crate) type Sibling = (Submission<String>, String);

/// Ten honest tasks: short, less short, and with more to carry than fits into a message.
pub(crate) fn siblings<L: Level>(pool: &ProcessPool) -> Vec<Sibling> {
    (0..10)
        .map(|n| {
            let text = "All work and no play. ".repeat(5000);
            let (what, said) = match n % 4 {
                0 => (Mischief::Work(2000), DONE.to_owned()),
                3 => (Mischief::Recite(text.clone()), text),
                _ => (Mischief::Work(20), DONE.to_owned()),
            };
            (pool.submit(task::<L>(what)), said)
        })
        .collect()
}

/// Every honest task has its result.
pub(crate) fn all_done(siblings: Vec<Sibling>) {
    assert_eq!(harmed(siblings), 0, "siblings of a culprit were harmed");
}

/// How many of these honest tasks crashed. All others have their result.
fn harmed(siblings: Vec<Sibling>) -> usize {
    let crashes = siblings.into_iter().filter_map(|(sibling, said)| match end_of(sibling) {
        Ok(result) => {
            assert!(result == said, "a sibling of a culprit said something else");
            None
        }
        Err(TaskError::Crashed(crash)) => Some(crash),
        Err(error) => panic!("a sibling of a culprit ended with {error:?}"),
    });
    crashes.inspect(|crash| println!("  a sibling was harmed: {crash}")).count()
}

/// How a culprit ended with ten siblings before it and ten behind it. They are unharmed, the pool works afterwards, and of
/// all of it nothing is left.
pub(crate) fn among_siblings<L: Level>(what: Mischief) -> Result<String, TaskError> {
    let (end, harmed) = scene::<L>(what, LONG);
    assert_eq!(harmed, 0, "siblings of a culprit were harmed");
    end
}

/// The same with a short deadline for the culprit.
pub(crate) fn among_siblings_in_haste<L: Level>(what: Mischief) -> Result<String, TaskError> {
    let (end, harmed) = scene::<L>(what, RUN_DEADLINE);
    assert_eq!(harmed, 0, "siblings of a culprit were harmed");
    end
}

/// The same for a culprit that breaks what its process needs, and returns as if nothing had happened: the process may fail
/// the next task there, one and no more.
pub(crate) fn among_siblings_one_of_which_may_suffer<L: Level>(what: Mischief) -> Result<String, TaskError> {
    let (end, harmed) = scene::<L>(what, RUN_DEADLINE);
    assert!(harmed <= 1, "{harmed} siblings of one culprit were harmed");
    end
}

fn scene<L: Level>(what: Mischief, deadline: Duration) -> (Result<String, TaskError>, usize) {
    let pool = pool();
    let before = siblings::<L>(&pool);
    let options = SubmitOptions::new().deadline_from_start(deadline);
    let culprit = pool.submit_with(task::<L>(what), options);
    let mut all = siblings::<L>(&pool);
    let end = end_of(culprit);
    all.extend(before);
    all.extend(siblings::<L>(&pool));
    let harmed = harmed(all) + harmed(siblings::<L>(&pool));
    drop(pool);
    nothing_is_left();
    (end, harmed)
}
