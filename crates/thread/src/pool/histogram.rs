//! Times in buckets: one writer, any readers, no locks, 4.6 KiB.
//!
//! Below 32 ns each nanosecond has its bucket; above, each power of two is cut into 16 (an error of at most 6.25 %), up
//! to 18 minutes. Recording costs one `leading_zeros` and four plain loads and stores.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::line::Nanos;

/// 2^4 buckets per power of two.
const CUT_BITS: u32 = 4;
/// Values are cut at 2^40 ns (18 min).
const TOP_BITS: u32 = 40;
const BUCKETS: usize = ((TOP_BITS - CUT_BITS + 1) << CUT_BITS) as usize;

/// Times recorded by one thread at a time; read as a [`Distribution`].
pub struct Histogram {
    buckets: Box<[AtomicU64]>,
    longest: AtomicU64,
    sum: AtomicU64,
}

impl Histogram {
    /// Nothing recorded.
    pub fn new() -> Histogram {
        let buckets = (0..BUCKETS).map(|_| AtomicU64::new(0)).collect();
        Histogram { buckets, longest: AtomicU64::new(0), sum: AtomicU64::new(0) }
    }

    /// Records a time. Of two threads that do so at once one may be lost; others may read meanwhile.
    pub fn record_time(&self, time: Duration) {
        self.record(u64::try_from(time.as_nanos()).unwrap_or(Nanos::MAX));
    }

    /// What was recorded so far.
    pub fn distribution(&self) -> Distribution {
        Distribution::merged(std::iter::once(self))
    }

    /// Only one thread may record; others may read meanwhile.
    pub(crate) fn record(&self, nanos: Nanos) {
        add(&self.buckets[bucket_of(nanos)], 1);
        add(&self.sum, nanos);
        if nanos > self.longest.load(Ordering::Relaxed) {
            self.longest.store(nanos, Ordering::Relaxed);
        }
    }
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram::new()
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.distribution().fmt(f)
    }
}

/// One writer: a load and a store are enough, and cheaper than a locked addition.
pub(crate) fn add(counter: &AtomicU64, amount: u64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(amount), Ordering::Relaxed);
}

fn bucket_of(nanos: u64) -> usize {
    let nanos = nanos.min((1 << TOP_BITS) - 1);
    let shift = (u64::BITS - nanos.leading_zeros()).saturating_sub(CUT_BITS + 1);
    ((shift as usize) << CUT_BITS) + (nanos >> shift) as usize
}

/// The largest value that falls into a bucket.
fn top_of(bucket: usize) -> u64 {
    let shift = (bucket >> CUT_BITS).saturating_sub(1);
    let cut = (bucket - (shift << CUT_BITS)) as u64;
    ((cut + 1) << shift) - 1
}

/// How long something took, over many times: counts in buckets, merged over all threads.
///
/// Resolution: below 32 ns each nanosecond has its own bucket; above, each power of two is cut into 16 (as an HDR
/// histogram with 4 bits), so every quantile is at or above the true one by at most 6.25 %. What took longer than 18
/// minutes counts as 18 minutes; [`max`](Distribution::max) and [`mean`](Distribution::mean) are exact. One thread has
/// two of them, 4.6 KiB each.
#[derive(Clone)]
pub struct Distribution {
    buckets: Box<[u64]>,
    longest: u64,
    sum: u64,
}

impl Distribution {
    pub(crate) fn merged<'h>(histograms: impl Iterator<Item = &'h Histogram>) -> Distribution {
        let mut merged = Distribution { buckets: vec![0; BUCKETS].into(), longest: 0, sum: 0 };
        for histogram in histograms {
            for (total, bucket) in merged.buckets.iter_mut().zip(&histogram.buckets) {
                *total += bucket.load(Ordering::Relaxed);
            }
            merged.longest = merged.longest.max(histogram.longest.load(Ordering::Relaxed));
            merged.sum = merged.sum.wrapping_add(histogram.sum.load(Ordering::Relaxed));
        }
        merged
    }

    /// How many times were recorded.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// The time that the share `quantile` (0 to 1) of all stayed within; zero if there are none.
    pub fn quantile(&self, quantile: f64) -> Duration {
        let wanted = ((self.count() as f64 * quantile.clamp(0.0, 1.0)).ceil() as u64).max(1);
        let mut seen = 0;
        let bucket = self.buckets.iter().position(|count| {
            seen += count;
            seen >= wanted
        });
        Duration::from_nanos(bucket.map_or(0, |bucket| top_of(bucket).min(self.longest)))
    }

    /// The median.
    pub fn p50(&self) -> Duration {
        self.quantile(0.5)
    }

    /// What 99 of 100 stayed within.
    pub fn p99(&self) -> Duration {
        self.quantile(0.99)
    }

    /// The longest.
    pub fn max(&self) -> Duration {
        Duration::from_nanos(self.longest)
    }

    /// The arithmetic mean; zero if there are none.
    pub fn mean(&self) -> Duration {
        Duration::from_nanos(self.sum.checked_div(self.count()).unwrap_or(0))
    }

    /// What was recorded since `earlier`, a distribution of the same pool. Its `max` stays that of all time.
    pub fn since(&self, earlier: &Distribution) -> Distribution {
        let buckets = self.buckets.iter().zip(&earlier.buckets).map(|(now, then)| now.saturating_sub(*then)).collect();
        Distribution { buckets, longest: self.longest, sum: self.sum.wrapping_sub(earlier.sum) }
    }
}

impl fmt::Debug for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Distribution")
            .field("count", &self.count())
            .field("p50", &self.p50())
            .field("p99", &self.p99())
            .field("max", &self.max())
            .finish()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quantiles_of_a_known_row() {
        let histogram = Histogram::new();
        (1..=1000).for_each(|micros| histogram.record(micros * 1000));
        let times = Distribution::merged([&histogram].into_iter());
        assert_eq!((times.count(), times.max()), (1000, Duration::from_micros(1000)));
        let within = |found: Duration, exact: u64| {
            let exact = Duration::from_micros(exact);
            found >= exact && found <= exact.mul_f64(1.0625)
        };
        assert!(within(times.p50(), 500), "{:?}", times.p50());
        assert!(within(times.p99(), 990), "{:?}", times.p99());
        assert_eq!(times.mean(), Duration::from_nanos(500_500));
        assert_eq!(times.since(&times).count(), 0);
    }

    #[test]
    fn an_empty_distribution_is_all_zero() {
        let times = Distribution::merged(std::iter::empty());
        assert_eq!(
            (times.count(), times.p99(), times.max(), times.mean()),
            (0, Duration::ZERO, Duration::ZERO, Duration::ZERO)
        );
    }

    proptest! {
        #[test]
        fn every_value_has_a_bucket_whose_top_is_at_most_a_sixteenth_above(nanos in any::<u64>()) {
            let bucket = bucket_of(nanos);
            prop_assert!(bucket < BUCKETS);
            let nanos = nanos.min((1 << TOP_BITS) - 1);
            prop_assert!(top_of(bucket) >= nanos && top_of(bucket) - nanos <= nanos / 16);
            prop_assert!(bucket == 0 || top_of(bucket - 1) < nanos);
        }
    }
}
