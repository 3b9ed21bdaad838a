//! [`Tally`]: how often each outcome came, who answered, and the first failures in words.

use std::collections::BTreeMap;
use std::time::Duration;

use super::outcome::{Answer, Failure, Outcome};

/// Failures that are kept in words.
const KEPT_EXAMPLES: usize = 5;

/// Counts of outcomes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    counts: BTreeMap<Outcome, u64>,
    pub(crate) by_pid: BTreeMap<u32, u64>,
    pub(crate) by_generation: BTreeMap<u32, u64>,
    /// When, from the start of the load, and what.
    pub(crate) examples: Vec<(Duration, Failure)>,
}

impl Tally {
    pub(crate) fn count(&self, outcome: Outcome) -> u64 {
        self.counts.get(&outcome).copied().unwrap_or(0)
    }

    /// Requests that failed, however.
    pub(crate) fn failed(&self) -> u64 {
        Outcome::FAILURES.iter().map(|outcome| self.count(*outcome)).sum()
    }

    pub(crate) fn note(&mut self, outcome: Outcome) {
        *self.counts.entry(outcome).or_default() += 1;
    }

    pub(crate) fn answered(&mut self, answer: &Answer) {
        self.note(Outcome::Ok);
        *self.by_pid.entry(answer.pid).or_default() += 1;
        *self.by_generation.entry(answer.generation).or_default() += 1;
    }

    pub(crate) fn failure(&mut self, at: Duration, failure: Failure) {
        self.note(failure.outcome);
        if self.examples.len() < KEPT_EXAMPLES {
            self.examples.push((at, failure));
        }
    }

    pub(crate) fn add(&mut self, other: Tally) {
        for (outcome, count) in other.counts {
            *self.counts.entry(outcome).or_default() += count;
        }
        for (pid, count) in other.by_pid {
            *self.by_pid.entry(pid).or_default() += count;
        }
        for (generation, count) in other.by_generation {
            *self.by_generation.entry(generation).or_default() += count;
        }
        self.examples.extend(other.examples);
        self.examples.sort_by_key(|(at, _)| *at);
        self.examples.truncate(KEPT_EXAMPLES);
    }

    /// The failures in words: how many of which kind, and the first of them.
    pub(crate) fn failures_in_words(&self) -> String {
        let kinds: Vec<String> = Outcome::FAILURES
            .iter()
            .filter(|outcome| self.count(**outcome) > 0)
            .map(|outcome| format!("{} {}", self.count(*outcome), outcome.name()))
            .collect();
        match self.examples.first() {
            Some((at, failure)) => {
                format!("{}; the first after {} ms: {}", kinds.join(", "), at.as_millis(), failure.seen)
            }
            None => kinds.join(", "),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_counted_apart_from_answers_and_clean_closes() {
        let mut tally = Tally::default();
        tally.answered(&Answer { pid: 7, generation: 2, closes: false });
        tally.note(Outcome::CleanClose);
        tally.note(Outcome::Client);
        let mut other = Tally::default();
        other.failure(Duration::from_millis(3), Failure::new(Outcome::Refused, "connect: refused"));
        tally.add(other);
        assert_eq!((tally.count(Outcome::Ok), tally.failed()), (1, 1));
        assert_eq!(tally.failures_in_words(), "1 refused; the first after 3 ms: connect: refused");
    }
}
