//! [`Tally`]: what became of every request, and which failures a kill explains.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::outcome::{Failure, Outcome};

/// Failures that are shown.
const SHOWN: usize = 12;
/// The kernel has closed all connections of a killed process by then, on a busy machine too.
const UNTIL_IT_SHOWS: Duration = Duration::from_secs(2);

/// Whose end may break what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Killed {
    /// The connections that it had accepted.
    Worker,
    /// The one task that it did.
    JobProcess,
    /// Nothing that a client sees, but that the queue is not there for a moment, which is 503.
    Owner,
    /// Nothing that a client sees.
    Front,
}

/// What a request came to.
#[derive(Debug)]
pub(crate) enum Ended {
    /// As promised: the right answer, or for what is bad the right refusal.
    Right,
    /// 503 with `Retry-After`.
    Busy,
    Failed(Failure),
}

/// Counts of all clients together.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    inner: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    by_deed: BTreeMap<&'static str, u64>,
    requests: u64,
    busy: u64,
    excused: u64,
    failed: u64,
    failures: Vec<String>,
    kills: Vec<(Instant, Instant, Killed)>,
}

/// The sums, to be told.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sums {
    pub(crate) by_deed: BTreeMap<&'static str, u64>,
    pub(crate) requests: u64,
    pub(crate) busy: u64,
    pub(crate) excused: u64,
    pub(crate) failed: u64,
    pub(crate) failures: Vec<String>,
}

impl Tally {
    /// A kill that was sent between these two moments.
    pub(crate) fn killed(&self, from: Instant, until: Instant, whom: Killed) {
        self.counts().kills.push((from, until, whom));
    }

    /// What became of `requests` requests of one deed, which began then.
    pub(crate) fn note(&self, deed: &'static str, requests: u64, began: Instant, ended: Ended) {
        let mut counts = self.counts();
        counts.requests += requests;
        *counts.by_deed.entry(deed).or_default() += 1;
        match ended {
            Ended::Right => {}
            Ended::Busy => counts.busy += 1,
            Ended::Failed(failure) => {
                let now = Instant::now();
                let excused = counts.kills.iter().any(|(from, until, whom)| {
                    *from <= now && began <= *until + UNTIL_IT_SHOWS && explains(*whom, &failure)
                });
                if excused {
                    counts.excused += 1;
                    return;
                }
                counts.failed += 1;
                if counts.failures.len() < SHOWN {
                    let after = now.duration_since(began).as_millis();
                    counts.failures.push(format!(
                        "{deed}: {} after {after} ms: {}",
                        failure.outcome.name(),
                        failure.seen
                    ));
                }
            }
        }
    }

    pub(crate) fn sums(&self) -> Sums {
        let counts = self.counts();
        Sums {
            by_deed: counts.by_deed.clone(),
            requests: counts.requests,
            busy: counts.busy,
            excused: counts.excused,
            failed: counts.failed,
            failures: counts.failures.clone(),
        }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the end of such a process may have had this failure as its effect.
fn explains(whom: Killed, failure: &Failure) -> bool {
    let broken = matches!(failure.outcome, Outcome::ResetBeforeSend | Outcome::ResetAfterSend | Outcome::CutOff);
    match whom {
        Killed::Worker => broken,
        Killed::JobProcess => failure.outcome == Outcome::WrongAnswer && failure.seen.contains("crashed-decoder"),
        Killed::Owner | Killed::Front => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_kill_of_a_worker_excuses_a_broken_connection_and_only_while_it_was_open() {
        let broken = || Ended::Failed(Failure::new(Outcome::CutOff, "the end"));
        let tally = Tally::default();
        let began = Instant::now();
        tally.note("a", 1, began, broken());
        tally.killed(Instant::now(), Instant::now(), Killed::Front);
        tally.note("a", 1, began, broken());
        tally.killed(Instant::now(), Instant::now(), Killed::Worker);
        tally.note("a", 1, began, broken());
        tally.note("a", 1, began, Ended::Failed(Failure::new(Outcome::WrongAnswer, "500")));
        tally.note("a", 1, Instant::now() + UNTIL_IT_SHOWS * 2, broken());
        let sums = tally.sums();
        assert_eq!((sums.requests, sums.excused, sums.failed), (5, 1, 4));
    }
}
