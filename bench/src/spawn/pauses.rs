//! How long an event loop stands still.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A task that comes round as often as the event loop lets it, and remembers its longest wait.
#[derive(Debug, Default)]
pub(crate) struct Ticker {
    longest_nanoseconds: AtomicU64,
}

impl Ticker {
    pub(crate) async fn run(&self) {
        let mut last = Instant::now();
        loop {
            tokio::task::yield_now().await;
            let now = Instant::now();
            let waited = u64::try_from((now - last).as_nanos()).unwrap_or(u64::MAX);
            self.longest_nanoseconds.fetch_max(waited, Ordering::Relaxed);
            last = now;
        }
    }

    /// The longest wait since the last call.
    pub(crate) fn take_longest(&self) -> Duration {
        Duration::from_nanos(self.longest_nanoseconds.swap(0, Ordering::Relaxed))
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
    async fn a_loop_that_is_blocked_is_noticed() {
        let ticker = Ticker::default();
        let block = async {
            tokio::task::yield_now().await;
            ticker.take_longest();
            std::thread::sleep(Duration::from_millis(20));
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
            ticker.take_longest()
        };
        tokio::select! {
            _ = ticker.run() => unreachable!("it never ends"),
            longest = block => assert!(longest >= Duration::from_millis(20), "{longest:?}"),
        }
    }
}
