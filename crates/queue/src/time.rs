//! [`UnixMillis`]: moments that survive a restart and travel between machines.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// A moment: milliseconds since 1970 in UTC, by the clock of the machine that said it. Only what must survive a restart is kept so;
/// waits inside of one process are measured by the monotonic clock, which does not jump.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct UnixMillis(pub u64);

impl UnixMillis {
    /// The present moment.
    pub fn now() -> UnixMillis {
        UnixMillis::from(SystemTime::now())
    }

    /// This much later.
    pub fn after(self, time: Duration) -> UnixMillis {
        UnixMillis(self.0.saturating_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)))
    }

    /// How long from `earlier` to this moment; zero if it is the later one.
    pub fn since(self, earlier: UnixMillis) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl From<SystemTime> for UnixMillis {
    /// Moments before 1970 are 1970.
    fn from(time: SystemTime) -> UnixMillis {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

impl fmt::Display for UnixMillis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
