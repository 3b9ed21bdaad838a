//! [`Histogram`]: how long things took, in buckets of fixed bounds.
//!
//! Bucket `i` counts what took at most 16 µs · 2^`i` and more than the bucket before; the last (67 s and more) has no bound.
//! Recording is two additions to memory and no search. The error of a quantile is at most a factor of two: enough to see
//! that a wait is 2 ms or 200.

use std::time::Duration;

/// Buckets of a histogram.
pub(super) const BUCKETS: usize = 24;
/// Upper bound of the first bucket: 2^4 µs. Loopback requests take longer.
const FIRST_BOUND_LOG2: u32 = 4;
/// Words of a histogram in a page: the buckets, the sum, and room to grow.
pub(super) const HISTOGRAM_WORDS: usize = 32;
/// Where the sum is, from the histogram's first word.
pub(super) const SUM_AT: usize = BUCKETS;

/// What a worker measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Histogram {
    /// From the end of a request's head to the end of its response.
    Request = 0,
    /// From the submission of a job to its start: time in which nothing was done for it.
    QueueWait = 1,
    /// From the start of a job to its end.
    Work = 2,
}

impl Histogram {
    /// Every histogram, in the order of the layout. There is room for ten.
    pub const ALL: [Histogram; 3] = [Histogram::Request, Histogram::QueueWait, Histogram::Work];
}

/// What a histogram held when it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Buckets {
    counts: [u64; BUCKETS],
    sum_micros: u64,
}

impl Buckets {
    /// Number of buckets.
    pub const COUNT: usize = BUCKETS;

    /// Longest time that bucket `index` counts; `None` for the last, which has no bound.
    pub const fn bound(index: usize) -> Option<Duration> {
        if index + 1 < BUCKETS { Some(Duration::from_micros(1 << (FIRST_BOUND_LOG2 + index as u32))) } else { None }
    }

    /// The bucket that counts `micros`.
    pub(super) fn index_of(micros: u64) -> usize {
        let bits = u64::BITS - micros.saturating_sub(1).leading_zeros();
        (bits.saturating_sub(FIRST_BOUND_LOG2) as usize).min(BUCKETS - 1)
    }

    pub(super) fn read(mut word: impl FnMut(usize) -> u64) -> Buckets {
        Buckets { counts: std::array::from_fn(&mut word), sum_micros: word(SUM_AT) }
    }

    pub(super) fn add(&mut self, other: &Buckets) {
        for (ours, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *ours = ours.wrapping_add(*theirs);
        }
        self.sum_micros = self.sum_micros.wrapping_add(other.sum_micros);
    }

    /// How many were counted in each bucket.
    pub fn counts(&self) -> &[u64; BUCKETS] {
        &self.counts
    }

    /// How many were counted in all.
    pub fn count(&self) -> u64 {
        self.counts.iter().fold(0, |sum, count| sum.wrapping_add(*count))
    }

    /// All times together.
    pub fn sum(&self) -> Duration {
        Duration::from_micros(self.sum_micros)
    }

    /// A time that the share `part` (0…1) of everything counted did not exceed: the bound of the bucket in which it lies.
    /// `None` if nothing was counted, or if it lies in the last bucket.
    pub fn quantile(&self, part: f64) -> Option<Duration> {
        let wanted = (self.count() as f64 * part.clamp(0.0, 1.0)).ceil().max(1.0);
        let mut seen = 0u64;
        let index = self.counts.iter().position(|count| {
            seen = seen.wrapping_add(*count);
            seen as f64 >= wanted
        })?;
        Buckets::bound(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_time_is_in_the_bucket_whose_bound_it_does_not_exceed() {
        for micros in (0..200_000).chain([1 << 25, (1 << 26) - 1, 1 << 26, (1 << 26) + 1, u64::MAX]) {
            let index = Buckets::index_of(micros);
            let time = Duration::from_micros(micros);
            assert!(Buckets::bound(index).is_none_or(|bound| time <= bound), "{micros} µs in bucket {index}");
            assert!(index == 0 || Buckets::bound(index - 1).is_some_and(|bound| time > bound), "{micros} µs: {index}");
        }
    }

    #[test]
    fn a_quantile_is_the_bound_of_its_bucket() {
        let mut buckets = Buckets::default();
        assert_eq!(buckets.quantile(0.5), None);
        buckets.counts[0] = 99;
        buckets.counts[10] = 1;
        assert_eq!(buckets.quantile(0.5), Some(Duration::from_micros(16)));
        assert_eq!(buckets.quantile(0.99), Some(Duration::from_micros(16)));
        assert_eq!(buckets.quantile(1.0), Some(Duration::from_micros(16 << 10)));
        buckets.counts[BUCKETS - 1] = 1000;
        assert_eq!(buckets.quantile(0.9), None);
    }
}
