//! Times as a line counts them: a number, so that thousands are compared in no time.

use std::time::Duration;

/// A time: nanoseconds since the epoch of whoever keeps them.
pub(crate) type Nanos = u64;

/// Later than everything.
pub(crate) const NEVER: Nanos = Nanos::MAX;

/// Longer estimates are taken for this; sums of them stay far from any overflow.
pub(crate) const DEAREST: Duration = Duration::from_secs(24 * 60 * 60);

/// A duration of more than five centuries is as good as for ever.
pub(crate) fn nanos(duration: Duration) -> Nanos {
    Nanos::try_from(duration.as_nanos()).unwrap_or(NEVER)
}

/// An estimate as it is counted.
pub(crate) fn cost_of(estimate: Duration) -> u64 {
    nanos(estimate.min(DEAREST))
}
