//! What came of the requests of one run.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

const LONGEST_MICROSECONDS: u64 = 120_000_000;
const SIGNIFICANT_DIGITS: u8 = 3;

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// 2xx.
    Accepted,
    /// 503: the server said that it is full.
    Refused,
    /// Any other status of 400 and more.
    Failed,
    /// The connection ended before an answer.
    Reset,
    /// No answer within the generator's deadline.
    TimedOut,
    /// No connection could be opened.
    NotConnected,
    /// The generator's own bound on open connections was reached.
    Unsent,
}

impl Outcome {
    pub(crate) fn of_status(status: u16) -> Self {
        match status {
            200..=299 => Self::Accepted,
            503 => Self::Refused,
            _ => Self::Failed,
        }
    }
}

/// Counts and latencies of one run.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    accepted_microseconds: Histogram<u64>,
    counts: BTreeMap<Outcome, u64>,
    /// Sums of the phases that the server reported in `Server-Timing`, in milliseconds.
    phases: BTreeMap<String, f64>,
    /// Accepted requests whose answer came before the run was over.
    pub(crate) accepted_in_time: u64,
    /// From the first request to the last answer (closed loop), or the time during which requests were due (open loop).
    pub(crate) elapsed: Duration,
}

impl Tally {
    pub(crate) fn new() -> Self {
        let accepted_microseconds = Histogram::new_with_bounds(1, LONGEST_MICROSECONDS, SIGNIFICANT_DIGITS)
            .expect("the bounds are constants that fit");
        Self {
            accepted_microseconds,
            counts: BTreeMap::new(),
            phases: BTreeMap::new(),
            accepted_in_time: 0,
            elapsed: Duration::ZERO,
        }
    }

    pub(crate) fn note(&mut self, outcome: Outcome, latency: Duration) {
        self.note_many(outcome, latency, 1);
    }

    pub(crate) fn note_many(&mut self, outcome: Outcome, latency: Duration, count: u64) {
        if count == 0 {
            return;
        }
        *self.counts.entry(outcome).or_default() += count;
        if outcome == Outcome::Accepted {
            self.accepted_microseconds.saturating_record_n((latency.as_micros() as u64).max(1), count);
        }
    }

    pub(crate) fn note_phases(&mut self, server_timing: &str) {
        for (name, milliseconds) in phases(server_timing) {
            *self.phases.entry(name.to_owned()).or_default() += milliseconds;
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        // Both histograms have the same bounds, so nothing can be out of range.
        let _ = self.accepted_microseconds.add(&other.accepted_microseconds);
        for (outcome, count) in &other.counts {
            *self.counts.entry(*outcome).or_default() += count;
        }
        for (phase, milliseconds) in &other.phases {
            *self.phases.entry(phase.clone()).or_default() += milliseconds;
        }
        self.accepted_in_time += other.accepted_in_time;
    }

    pub(crate) fn count(&self, outcome: Outcome) -> u64 {
        self.counts.get(&outcome).copied().unwrap_or(0)
    }

    /// Requests a second that were due, however they ended.
    pub(crate) fn offered_per_second(&self) -> f64 {
        self.counts.values().sum::<u64>() as f64 / self.elapsed.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// Requests that ended otherwise than accepted or refused, by kind; empty if there were none.
    pub(crate) fn trouble(&self) -> String {
        let kinds = self.counts.iter().filter(|(outcome, _)| !matches!(outcome, Outcome::Accepted | Outcome::Refused));
        kinds.map(|(outcome, count)| format!("{count} {outcome:?}")).collect::<Vec<_>>().join(", ")
    }

    /// Accepted requests a second.
    pub(crate) fn per_second(&self) -> f64 {
        self.accepted_in_time as f64 / self.elapsed.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// The latency below which `share` (0 to 1) of the accepted requests stayed, in milliseconds; none if nothing was accepted.
    pub(crate) fn milliseconds_at(&self, share: f64) -> Option<f64> {
        if self.accepted_microseconds.is_empty() {
            return None;
        }
        Some(self.accepted_microseconds.value_at_quantile(share) as f64 / 1e3)
    }

    /// Mean milliseconds of each phase that the server reported, per accepted request.
    pub(crate) fn mean_phases(&self) -> BTreeMap<String, f64> {
        let requests = self.count(Outcome::Accepted).max(1) as f64;
        self.phases.iter().map(|(name, sum)| (name.clone(), sum / requests)).collect()
    }
}

/// `decode;dur=12.3, resize;dur=2` as pairs.
fn phases(server_timing: &str) -> impl Iterator<Item = (&str, f64)> {
    server_timing.split(',').filter_map(|metric| {
        let mut parts = metric.split(';').map(str::trim);
        let name = parts.next()?;
        let duration = parts.find_map(|part| part.strip_prefix("dur="))?;
        Some((name, duration.parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_count_only_what_was_accepted() {
        let mut tally = Tally::new();
        for milliseconds in 1..=100 {
            tally.note(Outcome::Accepted, Duration::from_millis(milliseconds));
        }
        tally.note(Outcome::Refused, Duration::from_secs(9));
        let median = tally.milliseconds_at(0.5).unwrap();
        assert!((49.9..=50.1).contains(&median), "{median}");
        assert_eq!(tally.count(Outcome::Refused), 1);
        assert_eq!(tally.trouble(), "");
    }

    #[test]
    fn server_timing_is_averaged_over_the_accepted_requests() {
        let mut tally = Tally::new();
        for decode in ["decode;dur=10, encode;dur=2.5", "decode;desc=\"x\";dur=20"] {
            tally.note(Outcome::Accepted, Duration::from_millis(1));
            tally.note_phases(decode);
        }
        let phases = tally.mean_phases();
        assert_eq!(phases["decode"], 15.0);
        assert_eq!(phases["encode"], 1.25);
    }
}
