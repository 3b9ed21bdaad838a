//! How the cluster is operated: who may talk to it, when workers are replaced, what they run as.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::settings::Settings;
use super::{Account, Affinity, ConfigError, Distribution, GIB, HealthGate, KIB, MIB, control_in, quantity, within};

/// Asked through the worker's own HTTP server before the old one leaves.
const DEFAULT_HEALTH_GATE: &str = "/readyz";
/// Less than this, and the program itself would not fit in.
const LEAST_MEMORY_BYTES: u64 = 4 * MIB;

/// What only the primary needs to know, but for TLS.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Operation {
    /// `None` without a control socket.
    pub(crate) control: Option<PathBuf>,
    pub(crate) admin: Option<SocketAddr>,
    pub(crate) pid_file: Option<PathBuf>,
    /// `None` for standard error.
    pub(crate) log_file: Option<LogFile>,
    pub(crate) distribution: Distribution,
    pub(crate) health_gate: HealthGate,
    pub(crate) boot_deadline: Duration,
    pub(crate) liveness: Duration,
    pub(crate) recycling: Recycling,
    pub(crate) nice: Option<i32>,
    pub(crate) affinity: Affinity,
    pub(crate) cgroup: Option<PathBuf>,
    pub(crate) account: Option<Account>,
    pub(crate) tls: Option<TlsFiles>,
}

/// A file for log lines, and how much of it is kept.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LogFile {
    pub(crate) path: PathBuf,
    pub(crate) rotate_bytes: u64,
    pub(crate) keep: u32,
}

/// When a worker is replaced although nothing is wrong with it. `None` is never.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Recycling {
    pub(crate) max_requests: Option<u64>,
    pub(crate) max_lifetime: Option<Duration>,
    pub(crate) soft_memory_bytes: Option<u64>,
    pub(crate) hard_memory_bytes: Option<u64>,
    pub(crate) leaks: bool,
}

/// The files of a certificate.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TlsFiles {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Operation {
    pub(super) fn check(settings: &Settings, store: &std::path::Path) -> Result<Operation, ConfigError> {
        let long = Duration::from_millis(100)..=Duration::from_secs(365 * 24 * 3600);
        let time = |name, given: Option<quantity::Span>, default| {
            within(name, given.map(|span| span.0), default, long.clone())
        };
        let maybe = |name, given: Option<quantity::ByteSize>| match given {
            Some(size) => within(name, Some(size.0), 0, LEAST_MEMORY_BYTES..=u64::MAX).map(Some),
            None => Ok(None),
        };
        Ok(Operation {
            control: control_in(settings.control.clone(), store),
            admin: settings.admin,
            pid_file: settings.pid_file.clone(),
            log_file: LogFile::check(settings.log_file.clone(), settings.log_rotate, settings.log_keep)?,
            distribution: settings.distribution.unwrap_or(Distribution::Shared),
            health_gate: match &settings.health_gate {
                Some(gate) => gate.clone(),
                None => HealthGate::Path(DEFAULT_HEALTH_GATE.to_owned()),
            },
            boot_deadline: time("boot-deadline", settings.boot_deadline, Duration::from_secs(60))?,
            liveness: time("liveness", settings.liveness, Duration::from_secs(30))?,
            recycling: Recycling {
                max_requests: match settings.max_requests {
                    Some(requests) => Some(within("max-requests", Some(requests), 1, 1..=u64::MAX)?),
                    None => None,
                },
                max_lifetime: match settings.max_lifetime {
                    Some(lifetime) => Some(time("max-lifetime", Some(lifetime), Duration::MAX)?),
                    None => None,
                },
                soft_memory_bytes: maybe("soft-memory", settings.soft_memory)?,
                hard_memory_bytes: maybe("hard-memory", settings.hard_memory)?,
                leaks: settings.recycle_leaks.unwrap_or(false),
            },
            nice: match settings.nice {
                Some(nice) => Some(within("nice", Some(nice), 0, -20..=19)?),
                None => None,
            },
            affinity: settings.affinity.unwrap_or(Affinity::None),
            cgroup: settings.cgroup.clone(),
            account: settings.user.clone(),
            tls: tls(settings)?,
        })
    }
}

impl LogFile {
    /// `None` where no file is named.
    pub(crate) fn check(
        path: Option<PathBuf>,
        rotate: Option<quantity::ByteSize>,
        keep: Option<u32>,
    ) -> Result<Option<LogFile>, ConfigError> {
        let Some(path) = path else {
            return match rotate.is_some() || keep.is_some() {
                true => {
                    Err(ConfigError("log-rotate and log-keep are about a log file: name one with --log-file".into()))
                }
                false => Ok(None),
            };
        };
        Ok(Some(LogFile {
            path,
            rotate_bytes: within("log-rotate", rotate.map(|size| size.0), 64 * MIB, 64 * KIB..=1024 * GIB)?,
            keep: within("log-keep", keep, 4, 0..=1000)?,
        }))
    }
}

fn tls(settings: &Settings) -> Result<Option<TlsFiles>, ConfigError> {
    match (settings.tls_cert.clone(), settings.tls_key.clone()) {
        (Some(certificate), Some(key)) => Ok(Some(TlsFiles { certificate, key })),
        (None, None) => Ok(None),
        _ => Err(ConfigError("HTTPS needs both --tls-cert and --tls-key".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn refused(settings: Settings) -> String {
        Operation::check(&settings, Path::new("store")).unwrap_err().to_string()
    }

    #[test]
    fn nothing_typed_means_the_documented_defaults() {
        let operation = Operation::check(&Settings::default(), Path::new("store")).unwrap();
        assert_eq!(operation.control.as_deref(), Some(Path::new("store/control.sock")));
        assert_eq!(operation.health_gate, HealthGate::Path("/readyz".into()));
        assert_eq!((operation.boot_deadline.as_secs(), operation.liveness.as_secs()), (60, 30));
        assert_eq!(operation.distribution, Distribution::Shared);
    }

    #[test]
    fn a_leak_is_only_said_unless_recycling_is_asked_for() {
        let leaks = |recycle_leaks| {
            let settings = Settings { recycle_leaks, ..Settings::default() };
            Operation::check(&settings, Path::new("store")).unwrap().recycling.leaks
        };
        assert_eq!([None, Some(false), Some(true)].map(leaks), [false, false, true]);
    }

    #[test]
    fn what_belongs_together_must_come_together() {
        let cert = Settings { tls_cert: Some("a.pem".into()), ..Settings::default() };
        assert!(refused(cert).contains("--tls-key"));
        let rotate = Settings { log_keep: Some(3), ..Settings::default() };
        assert!(refused(rotate).contains("--log-file"));
    }

    #[test]
    fn a_limit_that_no_worker_could_keep_is_refused() {
        let memory = Settings { hard_memory: Some(quantity::ByteSize(1)), ..Settings::default() };
        assert!(refused(memory).starts_with("hard-memory must be between "));
        let nice = Settings { nice: Some(20), ..Settings::default() };
        assert!(refused(nice).starts_with("nice must be between "));
    }
}
