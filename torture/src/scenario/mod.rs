//! The scenarios: each a promise of one sentence, and what tries to break it.

mod control;
mod cost;
mod crash_loop;
mod front;
mod hostile;
mod kill_primary;
mod kill_workers;
mod reload;
mod resources;
mod signal_storm;
mod soak;
mod stopped;
mod upgrade;

use std::path::PathBuf;
use std::time::Duration;

use crate::random::Random;
use crate::report::Report;

/// A promise, and what tries to break it.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) promise: &'static str,
    pub(crate) run: fn(&mut Context, &mut Report),
}

/// In the order in which they run.
pub(crate) const ALL: &[Scenario] = &[
    reload::SCENARIO,
    upgrade::SCENARIO,
    kill_workers::SCENARIO,
    kill_primary::SCENARIO,
    stopped::SCENARIO,
    crash_loop::SCENARIO,
    signal_storm::SCENARIO,
    resources::SCENARIO,
    hostile::SCENARIO,
    front::SCENARIO,
    control::SCENARIO,
    cost::SCENARIO,
    soak::SCENARIO,
];

/// How long a run may last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// A few seconds a scenario, for every change.
    Short,
    /// The length that the published table has; scenarios that repeat something last this long.
    Full(Duration),
}

/// What a scenario has at hand.
pub(crate) struct Context {
    pub(crate) random: Random,
    pub(crate) pace: Pace,
    /// The victim's program.
    pub(crate) victim: PathBuf,
    /// The binary whose `ctl` asks it.
    pub(crate) phalanx: PathBuf,
}

impl Context {
    /// `short` in a short run, `full` in a full one.
    pub(crate) fn either<T>(&self, short: T, full: T) -> T {
        match self.pace {
            Pace::Short => short,
            Pace::Full(_) => full,
        }
    }

    /// How long something that repeats goes on; `short` in a short run.
    pub(crate) fn lasts(&self, short: Duration) -> Duration {
        match self.pace {
            Pace::Short => short,
            Pace::Full(length) => length,
        }
    }
}
