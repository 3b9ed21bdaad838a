//! What the victim is told by whoever starts it: variables, read by the primary and by every worker.

use std::path::PathBuf;
use std::time::Duration;

use phalanx_cluster::{Cluster, Distribution};

/// `EX_USAGE` of sysexits.h: a variable makes no sense.
pub(crate) const EXIT_USAGE: u8 = 64;
/// `EX_UNAVAILABLE` of sysexits.h: the cluster cannot do yet what was asked for.
pub(crate) const EXIT_NOT_AVAILABLE: u8 = 69;

/// The settings of a victim.
pub(crate) struct Settings {
    listen: String,
    listener: String,
    listeners: u64,
    workers: usize,
    drain_deadline: Duration,
    boot_deadline: Duration,
    liveness: Option<Duration>,
    control: Option<PathBuf>,
    pid_file: Option<PathBuf>,
    pub(crate) fault_file: Option<PathBuf>,
}

impl Settings {
    pub(crate) fn from_environment() -> Result<Settings, String> {
        Ok(Settings {
            listen: text("TORTURE_LISTEN").unwrap_or_else(|| "127.0.0.1:0".into()),
            listener: text("TORTURE_LISTENER").unwrap_or_else(|| "shared".into()),
            listeners: number("TORTURE_LISTENERS", 1)?,
            workers: number("TORTURE_WORKERS", 2)? as usize,
            drain_deadline: Duration::from_millis(number("TORTURE_DRAIN_MS", 30_000)?),
            boot_deadline: Duration::from_millis(number("TORTURE_BOOT_MS", 60_000)?),
            control: text("TORTURE_CONTROL").map(PathBuf::from),
            pid_file: text("TORTURE_PID_FILE").map(PathBuf::from),
            liveness: match number("TORTURE_LIVENESS_MS", 0)? {
                0 => None,
                millis => Some(Duration::from_millis(millis)),
            },
            fault_file: text("TORTURE_FAULT_FILE").map(PathBuf::from),
        })
    }

    /// The cluster that they describe; the words say what of it does not exist.
    pub(crate) fn cluster(&self) -> Result<Cluster, String> {
        let cluster = phalanx_cluster::cluster()
            .workers(self.workers)
            .drain_deadline(self.drain_deadline)
            .boot_deadline(self.boot_deadline);
        let distribution: Distribution = self.listener.parse().map_err(|error| format!("{error}"))?;
        let cluster = match self.liveness {
            Some(most) => cluster.liveness(most),
            None => cluster,
        };
        let cluster = match &self.control {
            Some(path) => cluster.control(path),
            None => cluster,
        };
        let cluster = match &self.pid_file {
            Some(path) => cluster.pid_file(path),
            None => cluster,
        };
        let cluster = cluster.distribute(distribution);
        Ok((0..self.listeners).fold(cluster, |cluster, _| cluster.listen(&self.listen)))
    }
}

fn text(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn number(name: &str, default: u64) -> Result<u64, String> {
    match text(name) {
        None => Ok(default),
        Some(value) => value.parse().map_err(|_| format!("{name}={value:?} is no number")),
    }
}
