//! What every executor promises, as tests: written once, run for each of them.
//!
//! ```text
//!   main ─ init_with(conformance::registry()) ─► run(&harness, "") ─► each case: build(&shape), submit, compare
//! ```
//!
//! A test program without a harness of its own (a job process must know its part before any thread starts):
//!
//! ```no_run
//! use phalanx_task::conformance::{self, Harness, Power, Shape};
//! use phalanx_thread::ThreadPool;
//!
//! struct Threads;
//!
//! impl Harness for Threads {
//!     type Executor = ThreadPool;
//!     fn build(&self, shape: &Shape) -> ThreadPool {
//!         let pool = ThreadPool::builder().threads(shape.servers).queue_limit(shape.queue_limit);
//!         pool.max_wait(shape.max_wait).standing_wait(shape.max_wait).build().expect("a pool")
//!     }
//!     fn has(&self, power: Power) -> bool {
//!         use Power::{EndsWithItsHandle, PredictsWaits, RefusesAtOnce, TakesTurns};
//!         matches!(power, EndsWithItsHandle | PredictsWaits | RefusesAtOnce | TakesTurns)
//!     }
//! }
//!
//! phalanx_task::init_with(conformance::registry()).expect("init");
//! assert!(conformance::run("thread", &Threads, "").failed.is_empty());
//! ```
//!
//! Tasks are told to begin and to end by what executors have anyway (progress, cancellation), so the cases run wherever
//! tasks do, also in a sandbox. Cases wait for events, and give up after [`GIVE_UP`] only when something is broken.

// Tests, though they are called from others.
#![allow(clippy::unwrap_used)]

mod blobs;
mod bound;
mod cancel;
mod context;
mod deadlines;
mod gate;
mod keys;
mod many;
mod order;
mod outcome;
mod progress;
mod runtimes;
mod tasks;

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use crate::{Executor, Registry};

/// Longer than anything here takes; reached only when something is broken.
pub const GIVE_UP: Duration = Duration::from_secs(60);

/// How an executor is made and what it can do.
pub trait Harness {
    /// What is tried.
    type Executor: Executor + Clone + Send + Sync + 'static;

    /// A new one, with nothing in it. It knows the tasks of [`registry`].
    fn build(&self, shape: &Shape) -> Self::Executor;

    /// Whether such executors promise this too.
    fn has(&self, power: Power) -> bool;

    /// How many tasks beyond the queue's limit may have left it without running yet.
    fn most_ahead(&self) -> usize {
        0
    }
}

/// What a case asks of its executor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Shape {
    /// How many tasks run at once.
    pub servers: usize,
    /// How many may wait.
    pub queue_limit: usize,
    /// How long a task may wait by prediction.
    pub max_wait: Duration,
    /// The largest input and the largest output, in bytes.
    pub max_bytes: u64,
}

/// What some executors promise, and others have no use for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Power {
    /// Tasks that nobody registered are refused.
    KnowsItsTasks,
    /// Inputs and outputs have a limit.
    BoundsBytes,
    /// A task that does not look is stopped all the same.
    Kills,
    /// When its last handle is dropped, it is over, with all that waits and runs.
    EndsWithItsHandle,
    /// A task that would wait for too long is refused.
    PredictsWaits,
    /// A full queue says so before `submit` returns. A queue in another process says so as soon as it can be asked.
    RefusesAtOnce,
    /// After so many starts the lowest priority has its turn. A queue that outlives its programs goes by the time that a task has waited.
    TakesTurns,
    /// A task that nobody here knows waits for who does: older and newer programs work side by side.
    KeepsStrangers,
}

/// How the cases went, by their names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Promises that were kept.
    pub passed: Vec<&'static str>,
    /// Promises that were broken.
    pub failed: Vec<&'static str>,
}

/// One promise, and the code that tries to break it.
struct Case<H> {
    name: &'static str,
    /// Only such executors promise it.
    needs: Option<Power>,
    run: fn(&H),
}

/// The tasks of the suite: what the program under test gives to [`init_with`](crate::init_with).
pub fn registry() -> Registry {
    tasks::registry()
}

/// Runs all cases whose names contain `wanted`, and prints a line for each.
pub fn run<H: Harness>(executor: &str, harness: &H, wanted: &str) -> Report {
    let areas = [
        outcome::cases(),
        context::cases(),
        deadlines::cases(),
        cancel::cases(),
        order::cases(),
        bound::cases(),
        progress::cases(),
        keys::cases(),
        blobs::cases(),
        many::cases(),
        runtimes::cases(),
    ];
    let mut report = Report::default();
    for Case { name, needs, run } in areas.into_iter().flatten().filter(|case| case.name.contains(wanted)) {
        if needs.is_some_and(|power| !harness.has(power)) {
            println!("test {executor}: {name} ... not promised");
            continue;
        }
        let begun = Instant::now();
        let kept = std::panic::catch_unwind(AssertUnwindSafe(|| run(harness))).is_ok();
        let word = if kept { "ok" } else { "FAILED" };
        println!("test {executor}: {name} ... {word} ({} ms)", begun.elapsed().as_millis());
        if kept { &mut report.passed } else { &mut report.failed }.push(name);
    }
    report
}

impl Shape {
    /// So many at once, and room for all that wait.
    pub fn servers(servers: usize) -> Shape {
        let max_wait = Duration::from_secs(100_000);
        Shape { servers, queue_limit: 20_000, max_wait, max_bytes: 512 << 20 }
    }
}

/// Lists the cases of a file; `if` names the power that a case needs.
macro_rules! cases {
    ($($function:ident $(if $power:ident)?),* $(,)?) => {
        pub(super) fn cases<H: $crate::conformance::Harness>() -> Vec<$crate::conformance::Case<H>> {
            vec![$($crate::conformance::Case {
                name: stringify!($function),
                needs: None$(.or(Some($crate::conformance::Power::$power)))?,
                run: $function::<H>,
            }),*]
        }
    };
}
use cases;
