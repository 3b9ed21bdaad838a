//! [`Readiness`]: by what sign a program counts as ready.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// By what sign a program counts as ready. Until then a reload keeps the old worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Readiness {
    /// It lives for this long.
    After(Duration),
    /// It says `READY=1` on `NOTIFY_SOCKET` (sd_notify(3)).
    Notify,
    /// Its [health check](super::Program::health_check) passes.
    Healthy,
    /// It writes a line with this text, on its standard output or error.
    Line(String),
    /// Node: it listens.
    Listening,
    /// Node: it calls `process.send('ready')`.
    Message,
}

impl Default for Readiness {
    /// It lives for a second.
    fn default() -> Readiness {
        Readiness::After(Duration::from_secs(1))
    }
}
