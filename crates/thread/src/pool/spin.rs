//! How long somebody spins before he sleeps: an idle thread for the next job, and who awaits the only job of the pool for its
//! result.
//!
//! On an event loop spinning holds up the other tasks. So it is done only while fewer threads are busy than there are cores,
//! only while it recently paid off, never under a processor quota, and never for long.

use std::time::Duration;

/// How long a thread spins at most: what a lone caller needs to submit the next job, with some to spare.
pub(crate) const FOR_A_JOB: Duration = Duration::from_micros(10);
/// How long an event loop spins at most: what a spinning thread needs for a tiny job, and less than its own sleep and
/// wake-up would cost it.
pub(crate) const FOR_A_RESULT: Duration = Duration::from_micros(3);
