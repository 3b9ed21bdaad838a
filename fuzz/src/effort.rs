//! [`Effort`]: CPU time in proportion to what came in and what goes out.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// How much more than expected a sanitizer, counters and a poor day may cost. Beyond it the work has no bound.
const GENEROSITY: u32 = 100;
const EXPECTED_FOR_ANY: Duration = Duration::from_millis(1);
const EXPECTED_NANOSECONDS_A_BYTE: u64 = 200;
const EXPECTED_NANOSECONDS_A_PIXEL: u64 = 50;

/// CPU time of this thread from a moment on.
pub struct Effort {
    begun: Duration,
}

impl Effort {
    /// From now on.
    pub fn begin() -> Effort {
        Effort { begun: cpu_time() }
    }

    /// What was done since then was in proportion to so many bytes and pixels.
    pub fn is_bounded(self, bytes: usize, pixels: u64) {
        let spent = cpu_time() - self.begun;
        let nanoseconds = bytes as u64 * EXPECTED_NANOSECONDS_A_BYTE + pixels * EXPECTED_NANOSECONDS_A_PIXEL;
        let expected = EXPECTED_FOR_ANY + Duration::from_nanos(nanoseconds);
        assert!(spent <= expected * GENEROSITY, "it took {spent:?} where {expected:?} is usual");
    }
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}
