//! From what was typed to what is meant: flags, environment and file become one checked [`Config`].

mod choice;
mod file;
mod memory;
mod operation;
pub(crate) mod quantity;
mod queueing;
mod settings;

pub(crate) use choice::{Account, Affinity, Distribution, HealthGate, Isolation, Sandboxing};
pub(crate) use operation::{LogFile, Operation, Recycling};
pub(crate) use queueing::{Listing, QueueAt, Queueing, Working};
pub(crate) use settings::{LogFormat, LogLevel, Settings};

use std::fmt;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Longest time in line under a lasting overload: what nobody notices beside the work itself.
const STANDING_WAIT: Duration = Duration::from_millis(100);
/// Where pictures are decoded if nothing is said: in processes, if that keeps 95 % of the throughput on threads. By HTTP, with 4
/// uploads in flight resized to 800 px, it is 0.99 of it for a photo of 2.3 MP and 0.96 for one of 20 MP (BENCHMARKS.md, Tasks).
const DEFAULT_ISOLATION: Isolation = Isolation::Process;
/// Where the server listens if nothing is said.
const DEFAULT_ADDRESS: &str = "127.0.0.1:3000";
/// Folder for stored results.
const DEFAULT_STORE: &str = "phalanx-data";
/// The control socket, in that folder.
const CONTROL_SOCKET: &str = "control.sock";
/// What switches the control socket, or the queue, off.
const NONE: &str = "none";
const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;

/// What the server does, checked: no value in here can be out of its range.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Config {
    pub(crate) listen: Vec<String>,
    pub(crate) workers: u32,
    pub(crate) threads: u32,
    pub(crate) isolation: Isolation,
    pub(crate) sandboxing: Sandboxing,
    pub(crate) job_processes: u32,
    pub(crate) store: PathBuf,
    pub(crate) store_limit_bytes: u64,
    pub(crate) log_format: LogFormat,
    pub(crate) log_level: LogLevel,
    pub(crate) body: BodyLimits,
    pub(crate) streaming: Streaming,
    pub(crate) header_timeout: Duration,
    pub(crate) idle_timeout: Duration,
    pub(crate) max_wait: Duration,
    pub(crate) standing_wait: Duration,
    pub(crate) job_deadline: Duration,
    pub(crate) job_memory_bytes: u64,
    /// For the pictures of all workers together.
    pub(crate) memory_bytes: u64,
    pub(crate) max_pixels: u64,
    pub(crate) max_connections: u32,
    pub(crate) max_connections_per_ip: u32,
    pub(crate) drain_deadline: Duration,
    /// Whether workers sample their heaps from the start.
    pub(crate) heap_profile: bool,
    pub(crate) operation: Operation,
    pub(crate) queueing: Queueing,
}

/// How large and how slow a request body may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct BodyLimits {
    /// Most bytes.
    pub(crate) bytes: u64,
    /// Time for all of it.
    pub(crate) total: Duration,
    /// Time before the minimum rate counts.
    pub(crate) grace: Duration,
    /// Fewest bytes a second.
    pub(crate) bytes_per_second: u64,
}

/// What a stream from request to answer may take and become.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Streaming {
    /// Most bytes of its body.
    pub(crate) body_bytes: u64,
    /// Most bytes that they may be inflated to.
    pub(crate) inflated_bytes: u64,
    /// How many times larger they may become.
    pub(crate) inflated_ratio: u32,
    /// With which the server decrypts what brings no key.
    pub(crate) identity: Option<PathBuf>,
}

/// A setting that cannot be used: which one, why, and what would do.
#[derive(Debug, PartialEq)]
pub(crate) struct ConfigError(String);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

/// What the machine offers, for the defaults that depend on it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Machine {
    /// Cores that this process may use (affinity and container quota included).
    pub(crate) cores: u32,
    /// Bytes of memory that this process may use (container limit included).
    pub(crate) memory_bytes: u64,
}

impl Config {
    /// The settings over the defaults; or the first that cannot be used.
    pub(crate) fn check(settings: Settings, machine: Machine) -> Result<Self, ConfigError> {
        let usual_workers = memory::usual_workers(machine.cores, machine.memory_bytes);
        let workers = within("workers", settings.workers, usual_workers, 1..=1024)?;
        let usual_job_processes = memory::usual_job_processes(machine.cores, workers, machine.memory_bytes);
        let job_processes = within("job-processes", settings.job_processes, usual_job_processes, 1..=1024)?;
        let isolation = settings.isolate.unwrap_or(DEFAULT_ISOLATION);
        let sane_time = Duration::from_millis(1)..=Duration::from_secs(24 * 3600);
        let time = |name, given: Option<quantity::Span>, seconds| {
            within(name, given.map(|span| span.0), Duration::from_secs(seconds), sane_time.clone())
        };
        let size = |name, given: Option<quantity::ByteSize>, default, range| {
            within(name, given.map(|size| size.0), default, range)
        };
        let budget = match isolation {
            Isolation::Process => memory::usual_budget(workers, job_processes, machine.memory_bytes),
            Isolation::Thread => memory::usual_budget(workers, 0, machine.memory_bytes),
        };
        let store = settings.store.clone().unwrap_or_else(|| DEFAULT_STORE.into());
        Ok(Config {
            operation: Operation::check(&settings, &store)?,
            queueing: Queueing::check(&settings, &store)?,
            listen: match settings.listen.is_empty() {
                true => vec![DEFAULT_ADDRESS.to_owned()],
                false => settings.listen,
            },
            workers,
            threads: within("threads", settings.threads, machine.cores.max(1), 1..=1024)?,
            isolation,
            heap_profile: settings.heap_profile.unwrap_or(false),
            sandboxing: settings.sandbox.unwrap_or(Sandboxing::Prefer),
            job_processes,
            store,
            store_limit_bytes: size("store-limit", settings.store_limit, GIB, KIB..=u64::MAX)?,
            log_format: settings.log_format.unwrap_or(LogFormat::Auto),
            log_level: settings.log_level.unwrap_or(LogLevel::Info),
            body: BodyLimits {
                bytes: size("body-limit", settings.body_limit, 25 * MIB, KIB..=4 * GIB)?,
                total: time("body-timeout", settings.body_timeout, 60)?,
                grace: time("body-grace", settings.body_grace, 5)?,
                bytes_per_second: size("body-rate", settings.body_rate, KIB, 1..=GIB)?,
            },
            streaming: Streaming {
                body_bytes: size("stream-limit", settings.stream_limit, 4 * GIB, KIB..=u64::MAX)?,
                inflated_bytes: size("inflate-limit", settings.inflate_limit, 256 * MIB, KIB..=u64::MAX)?,
                inflated_ratio: within("inflate-ratio", settings.inflate_ratio, 100, 1..=1_000_000)?,
                identity: settings.identity,
            },
            header_timeout: time("header-timeout", settings.header_timeout, 10)?,
            idle_timeout: time("idle-timeout", settings.idle_timeout, 15)?,
            max_wait: time("max-wait", settings.max_wait, 1)?,
            standing_wait: match settings.standing_wait.or(settings.max_wait) {
                Some(given) => time("standing-wait", Some(given), 0)?,
                None => STANDING_WAIT,
            },
            job_deadline: time("job-deadline", settings.job_deadline, 10)?,
            job_memory_bytes: size("job-memory", settings.job_memory, 512 * MIB, MIB..=u64::MAX)?,
            memory_bytes: size("memory", settings.memory, budget, MIB..=u64::MAX)?,
            max_pixels: 1_000_000 * u64::from(within("max-megapixels", settings.max_megapixels, 50, 1..=268)?),
            max_connections: within("max-connections", settings.max_connections, 2048, 1..=1_000_000)?,
            max_connections_per_ip: within(
                "max-connections-per-ip",
                settings.max_connections_per_ip,
                64,
                1..=1_000_000,
            )?,
            drain_deadline: time("drain-deadline", settings.drain_deadline, 30)?,
        })
    }
}

impl Config {
    /// Memory that one picture may need: what is set, and never more than there is for all.
    pub(crate) fn job_bytes(&self) -> u64 {
        self.job_memory_bytes.min(self.memory_bytes)
    }
}

/// The control socket of a server that runs with the settings of this file: where `phalanx ctl` asks.
pub(crate) fn control_socket(file: Option<&Path>) -> Result<PathBuf, ConfigError> {
    let settings = file::read(file)?;
    let store = settings.store.unwrap_or_else(|| DEFAULT_STORE.into());
    control_in(settings.control, &store)
        .ok_or_else(|| ConfigError("the server of this file has no control socket (control = \"none\")".into()))
}

/// The queue of a server that runs with the settings of this file, unless another URL is given: where `phalanx queue` and
/// `phalanx work` go.
pub(crate) fn queue(file: Option<&Path>, url: Option<&str>, blobs: Option<&str>) -> Result<QueueAt, ConfigError> {
    let settings = file::read(file)?;
    let store = settings.store.unwrap_or_else(|| DEFAULT_STORE.into());
    let blobs = match url {
        Some(_) => blobs.map(str::to_owned),
        None => blobs.map(str::to_owned).or(settings.queue_blobs),
    };
    let url = url.map(str::to_owned).or(settings.queue);
    queueing::queue_in(url.as_deref(), blobs.as_deref(), &store)?
        .ok_or_else(|| ConfigError("there is no queue (queue = \"none\"): name one with --queue URL".into()))
}

/// The queues of these names; without any, the usual one.
pub(crate) fn queue_names(given: &[String]) -> Result<Vec<phalanx_queue::QueueName>, ConfigError> {
    queueing::names(given)
}

fn control_in(given: Option<PathBuf>, store: &Path) -> Option<PathBuf> {
    match given {
        Some(path) if path == Path::new(NONE) => None,
        Some(path) => Some(path),
        None => Some(store.join(CONTROL_SOCKET)),
    }
}

fn within<T: PartialOrd + fmt::Debug + Copy>(
    name: &str,
    given: Option<T>,
    default: T,
    range: RangeInclusive<T>,
) -> Result<T, ConfigError> {
    let value = given.unwrap_or(default);
    if range.contains(&value) {
        return Ok(value);
    }
    let variable = name.to_uppercase().replace('-', "_");
    Err(ConfigError(format!(
        "{name} must be between {:?} and {:?}, not {value:?} (set by --{name}, PHALANX_{variable} or the key {name} of the file)",
        range.start(),
        range.end()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use quantity::{ByteSize, Span};

    const MACHINE: Machine = Machine { cores: 2, memory_bytes: 10 * GIB };

    #[test]
    fn nothing_typed_means_the_documented_defaults() {
        let config = Config::check(Settings::default(), MACHINE).unwrap();
        assert_eq!(config.listen, ["127.0.0.1:3000"]);
        assert_eq!((config.workers, config.threads, config.job_processes), (2, 2, 2));
        assert_eq!((config.isolation, config.sandboxing), (DEFAULT_ISOLATION, Sandboxing::Prefer));
        assert_eq!(config.store, Path::new("phalanx-data"));
        assert_eq!(config.store_limit_bytes, GIB);
        assert_eq!(config.body.bytes, 25 * MIB);
        assert_eq!(config.job_bytes(), 512 * MIB);
        assert_eq!(config.body.bytes_per_second, KIB);
        assert_eq!((config.streaming.body_bytes, config.streaming.inflated_bytes), (4 * GIB, 256 * MIB));
        assert_eq!((config.streaming.inflated_ratio, config.streaming.identity), (100, None));
        assert_eq!(config.memory_bytes, 4 * GIB);
        assert_eq!(config.max_pixels, 50_000_000);
        assert_eq!((config.max_connections, config.max_connections_per_ip), (2048, 64));
    }

    #[test]
    fn in_a_small_container_there_are_as_many_processes_as_fit() {
        let container = Machine { cores: 64, memory_bytes: 256 * MIB };
        let config = Config::check(Settings::default(), container).unwrap();
        assert_eq!((config.workers, config.job_processes, config.threads), (4, 1, 64));
        assert!(config.job_bytes() == config.memory_bytes && config.memory_bytes < 112 * MIB);
        let told = Config::check(Settings { workers: Some(16), ..Settings::default() }, container).unwrap();
        assert_eq!(told.workers, 16);
    }

    #[test]
    fn a_flag_wins_over_the_file() {
        let typed = Settings { workers: Some(5), ..Settings::default() };
        let file = Settings { workers: Some(7), threads: Some(3), ..Settings::default() };
        let config = Config::check(typed.over(file), MACHINE).unwrap();
        assert_eq!((config.workers, config.threads), (5, 3));
    }

    #[test]
    fn a_value_out_of_range_is_named_with_its_three_spellings() {
        for (settings, name) in [
            (Settings { workers: Some(0), ..Settings::default() }, "workers"),
            (Settings { threads: Some(5000), ..Settings::default() }, "threads"),
            (Settings { job_processes: Some(0), ..Settings::default() }, "job-processes"),
            (Settings { body_limit: Some(ByteSize(3)), ..Settings::default() }, "body-limit"),
            (Settings { stream_limit: Some(ByteSize(3)), ..Settings::default() }, "stream-limit"),
            (Settings { inflate_limit: Some(ByteSize(3)), ..Settings::default() }, "inflate-limit"),
            (Settings { inflate_ratio: Some(0), ..Settings::default() }, "inflate-ratio"),
            (Settings { job_deadline: Some(Span(Duration::ZERO)), ..Settings::default() }, "job-deadline"),
            (Settings { max_megapixels: Some(9999), ..Settings::default() }, "max-megapixels"),
        ] {
            let error = Config::check(settings, MACHINE).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{name} must be between ")), "{error}");
            assert!(error.contains(&format!("--{name}, PHALANX_")), "{error}");
        }
    }
}
