//! How long an event loop stands still.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A task that comes round as often as the event loop lets it, and remembers its longest wait.
#[derive(Debug)]
pub(crate) struct Ticker {
    created: Instant,
    /// When it last came round, since `created`.
    last_nanoseconds: AtomicU64,
    longest_nanoseconds: AtomicU64,
}

impl Ticker {
    pub(crate) fn new() -> Self {
        Self { created: Instant::now(), last_nanoseconds: AtomicU64::new(0), longest_nanoseconds: AtomicU64::new(0) }
    }

    pub(crate) async fn run(&self) {
        loop {
            tokio::task::yield_now().await;
            let waited = self.since_the_last_round();
            self.longest_nanoseconds.fetch_max(waited, Ordering::Relaxed);
            self.begin_a_round();
        }
    }

    /// From now on only what comes counts.
    pub(crate) fn forget(&self) {
        self.longest_nanoseconds.store(0, Ordering::Relaxed);
        self.begin_a_round();
    }

    /// The longest wait since [`forget`](Ticker::forget), the one that has not ended yet included: a loop that was never free
    /// has no rounds at all.
    pub(crate) fn longest(&self) -> Duration {
        Duration::from_nanos(self.longest_nanoseconds.load(Ordering::Relaxed).max(self.since_the_last_round()))
    }

    fn begin_a_round(&self) {
        self.last_nanoseconds.store(self.now(), Ordering::Relaxed);
    }

    fn since_the_last_round(&self) -> u64 {
        self.now() - self.last_nanoseconds.load(Ordering::Relaxed)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.created.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// The longest pause of each spawn.
#[derive(Debug, Default)]
pub(crate) struct Pauses(Vec<Duration>);

impl Pauses {
    pub(crate) fn add(&mut self, pause: Duration) {
        self.0.push(pause);
    }

    pub(crate) fn append(&mut self, mut others: Pauses) {
        self.0.append(&mut others.0);
    }

    pub(crate) fn microseconds_at(&self, share: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort();
        let at = ((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1));
        sorted.get(at).map_or(0.0, |pause| pause.as_secs_f64() * 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_pauses() {
        let mut pauses = Pauses::default();
        assert_eq!(pauses.microseconds_at(0.99), 0.0);
        (1..=100).rev().for_each(|microseconds| pauses.add(Duration::from_micros(microseconds)));
        assert_eq!((pauses.microseconds_at(0.5), pauses.microseconds_at(0.99)), (51.0, 100.0));
    }

    #[tokio::test]
    async fn a_loop_that_is_blocked_is_noticed_even_if_no_round_follows() {
        const BLOCKED: Duration = Duration::from_millis(20);
        let ticker = Ticker::new();
        let block = async {
            tokio::task::yield_now().await;
            ticker.forget();
            std::thread::sleep(BLOCKED);
            let without_a_round = ticker.longest();
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
            (without_a_round, ticker.longest())
        };
        tokio::select! {
            _ = ticker.run() => unreachable!("it never ends"),
            (without_a_round, after_it) = block => {
                assert!(without_a_round >= BLOCKED && after_it >= BLOCKED, "{without_a_round:?}, {after_it:?}");
            }
        }
    }
}
