//! [`Settings`]: what may be set of an engine.

use std::time::Duration;

/// What may be set of an engine. The defaults are those of the embedded queue.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Settings {
    /// After a restart: how long leases of the former life may be claimed again before anything that may be leased is given out;
    /// shorter if all their holders have come. Default 2 s.
    pub reclaim_within: Duration,
    /// Jobs that may wait in a queue that nobody declared: default 100 000.
    pub max_waiting: u64,
    /// Bytes that may wait in a queue that nobody declared: default 10 GiB.
    pub max_bytes: u64,
    /// Bytes that the log of the store is given in advance, so that commits overwrite it from the first one on. Default 8 MiB.
    pub log_bytes: u64,
    /// Where the jitter of retries begins; by default somewhere. For tests.
    pub seed: Option<u64>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            reclaim_within: Duration::from_secs(2),
            max_waiting: 100_000,
            max_bytes: 10 << 30,
            log_bytes: super::store::LOG_BYTES,
            seed: None,
        }
    }
}
