//! [`HealthGate`]: what a new worker has to prove in a reload before the old one leaves.

use std::ffi::OsString;

/// What a new worker has to prove before it may accept connections, and the old one in its place leaves. What does not
/// prove it in time ([`Cluster::gate_deadline`](crate::Cluster::gate_deadline)) is ended, and the old one serves on.
///
/// ```
/// use phalanx_cluster::{HealthGate, cluster};
///
/// let _ = cluster().health_gate(HealthGate::path("/readyz"));
/// let _ = cluster().health_gate(HealthGate::command("./smoke-test", ["--quick"]));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum HealthGate {
    /// Its own word: that it is ready. It accepts connections from then on.
    #[default]
    Ready,
    /// That its HTTP server answers `GET` of this path with a status of 2xx. It is asked from inside, before any client
    /// can reach it.
    Path(String),
    /// That this program exits with 0. It finds the worker's number in `PHALANX_WORKER` and its process in
    /// `PHALANX_WORKER_PID`; the worker accepts no connection yet.
    Command {
        /// The program.
        program: OsString,
        /// Its arguments.
        arguments: Vec<OsString>,
    },
}

impl HealthGate {
    /// [`HealthGate::Path`].
    pub fn path(path: impl Into<String>) -> HealthGate {
        HealthGate::Path(path.into())
    }

    /// One word for the status.
    #[cfg(feature = "control")]
    pub(crate) fn word(&self) -> &'static str {
        match self {
            HealthGate::Ready => "ready",
            HealthGate::Path(_) => "path",
            HealthGate::Command { .. } => "command",
        }
    }

    /// [`HealthGate::Command`].
    pub fn command<A: Into<OsString>>(
        program: impl Into<OsString>,
        arguments: impl IntoIterator<Item = A>,
    ) -> HealthGate {
        HealthGate::Command { program: program.into(), arguments: arguments.into_iter().map(Into::into).collect() }
    }
}
