//! What can be set, and where: one definition makes the flag, the environment variable and the key in the file.

use super::ConfigError;
use super::choice::{Account, Affinity, Distribution, HealthGate, Isolation, Sandboxing};
use super::file;
use super::quantity::{ByteSize, Span};
use super::queueing::{Listing, Working};
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// What was typed, unchecked. A flag wins over the environment, the environment over the file, the file over the
/// default.
#[derive(Debug, Default, Clone, PartialEq, Args, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Settings {
    /// Tables of `phalanx run`, which reads the same file.
    #[arg(skip)]
    #[serde(default, skip_serializing)]
    pub(crate) app: Apps,

    /// Address to listen on: HOST:PORT, unix:PATH, systemd, systemd:NAME or fd:N; repeat it for several [default: 127.0.0.1:3000]
    #[arg(long, value_name = "ADDR", env = "PHALANX_LISTEN", hide_env = true, value_delimiter = ',')]
    #[serde(default)]
    pub(crate) listen: Vec<String>,

    /// Worker processes [default: one for each usable core]
    #[arg(long, value_name = "N", env = "PHALANX_WORKERS", hide_env = true)]
    pub(crate) workers: Option<u32>,

    /// CPU threads in each worker; all workers together never run more jobs than there are cores [default: usable cores]
    #[arg(long, value_name = "N", env = "PHALANX_THREADS", hide_env = true)]
    pub(crate) threads: Option<u32>,

    /// Where pictures are decoded: in job processes, which may crash and are denied files and network, or on threads of the workers [default: process]
    #[arg(long, value_name = "PLACE", env = "PHALANX_ISOLATE", hide_env = true, help_heading = "Isolation")]
    pub(crate) isolate: Option<Isolation>,

    /// Whether the server starts where the kernel lacks a part of the sandbox of job processes; `off` runs them without [default: prefer]
    #[arg(long, value_name = "POLICY", env = "PHALANX_SANDBOX", hide_env = true, help_heading = "Isolation")]
    pub(crate) sandbox: Option<Sandboxing>,

    /// Most job processes of each worker; one is kept ready, idle others end after 30 s [default: usable cores]
    #[arg(long, value_name = "N", env = "PHALANX_JOB_PROCESSES", hide_env = true, help_heading = "Isolation")]
    pub(crate) job_processes: Option<u32>,

    /// Folder for stored results; made if it is not there [default: ./phalanx-data]
    #[arg(long, value_name = "DIR", env = "PHALANX_STORE", hide_env = true)]
    pub(crate) store: Option<PathBuf>,

    /// Most bytes in the folder; the oldest results are deleted beyond it [default: 1GiB]
    #[arg(long, value_name = "SIZE", env = "PHALANX_STORE_LIMIT", hide_env = true)]
    pub(crate) store_limit: Option<ByteSize>,

    /// Where jobs are kept: embedded:FOLDER, amqp://…, kafka://… or postgres://…; `none` for none [default: embedded:queue in the store's folder]
    #[arg(long, value_name = "URL", env = "PHALANX_QUEUE", hide_env = true, help_heading = "Queue")]
    pub(crate) queue: Option<String>,

    /// Where pictures and results of more than 64 KiB are kept beside the queue: a folder that all machines see, or s3://BUCKET/PREFIX [default: `blobs` in the folder of an embedded queue]
    #[arg(long, value_name = "PLACE", env = "PHALANX_QUEUE_BLOBS", hide_env = true, help_heading = "Queue")]
    pub(crate) queue_blobs: Option<String>,

    /// Queues that clients may put jobs into, and that the workers work for; several with commas [default: default]
    #[arg(
        long,
        value_name = "NAMES",
        env = "PHALANX_QUEUES",
        hide_env = true,
        value_delimiter = ',',
        help_heading = "Queue"
    )]
    #[serde(default)]
    pub(crate) queues: Vec<String>,

    /// Jobs that may wait in each of these queues, 503 beyond [default: as the queue was declared, else 100000]
    #[arg(long, value_name = "N", env = "PHALANX_QUEUE_LIMIT", hide_env = true, help_heading = "Queue")]
    pub(crate) queue_limit: Option<u64>,

    /// Whether the workers of this server do queued jobs, or only take them in for `phalanx work` [default: on]
    #[arg(long, value_name = "ON", env = "PHALANX_WORK", hide_env = true, help_heading = "Queue")]
    pub(crate) work: Option<Working>,

    /// Whether `GET /v1/jobs` and `/v1/queues` list all jobs, whose ids are all it takes to read their results [default: on where only this machine can connect, else off]
    #[arg(long, value_name = "ON", env = "PHALANX_JOB_LIST", hide_env = true, help_heading = "Queue")]
    pub(crate) job_list: Option<Listing>,

    /// Control socket, for `phalanx ctl` and curl; `none` for none [default: control.sock in the store's folder]
    #[arg(long, value_name = "PATH", env = "PHALANX_CONTROL", hide_env = true, help_heading = "Operation")]
    pub(crate) control: Option<PathBuf>,

    /// Log lines for people, for machines, or people on a terminal and machines otherwise [default: auto]
    #[arg(long, value_name = "FORMAT", env = "PHALANX_LOG_FORMAT", hide_env = true)]
    pub(crate) log_format: Option<LogFormat>,

    /// Least important level that is still logged [default: info]
    #[arg(long, value_name = "LEVEL", env = "PHALANX_LOG_LEVEL", hide_env = true)]
    pub(crate) log_level: Option<LogLevel>,

    /// Address for /metrics, /livez and /readyz of the whole cluster, apart from the service [default: none]
    #[arg(long, value_name = "ADDR", env = "PHALANX_ADMIN", hide_env = true, help_heading = "Operation")]
    pub(crate) admin: Option<SocketAddr>,

    /// File that holds the process id, locked while the server runs [default: none]
    #[arg(long, value_name = "PATH", env = "PHALANX_PID_FILE", hide_env = true, help_heading = "Operation")]
    pub(crate) pid_file: Option<PathBuf>,

    /// File for all log lines, instead of standard error; reopened on SIGUSR1 [default: none]
    #[arg(long, value_name = "PATH", env = "PHALANX_LOG_FILE", hide_env = true, help_heading = "Operation")]
    pub(crate) log_file: Option<PathBuf>,

    /// Size at which the log file is rotated [default: 64MiB]
    #[arg(long, value_name = "SIZE", env = "PHALANX_LOG_ROTATE", hide_env = true, help_heading = "Operation")]
    pub(crate) log_rotate: Option<ByteSize>,

    /// Rotated log files that are kept [default: 4]
    #[arg(long, value_name = "N", env = "PHALANX_LOG_KEEP", hide_env = true, help_heading = "Operation")]
    pub(crate) log_keep: Option<u32>,

    /// How connections come to workers [default: shared]
    #[arg(long, value_name = "MODE", env = "PHALANX_DISTRIBUTION", hide_env = true, help_heading = "Workers")]
    pub(crate) distribution: Option<Distribution>,

    /// What a new worker must pass in a reload before the old one leaves: `ready`, a path, or `command:LINE` [default: /readyz]
    #[arg(long, value_name = "GATE", env = "PHALANX_HEALTH_GATE", hide_env = true, help_heading = "Workers")]
    pub(crate) health_gate: Option<HealthGate>,

    /// Time for a worker to become ready, then it is killed [default: 60s]
    #[arg(long, value_name = "TIME", env = "PHALANX_BOOT_DEADLINE", hide_env = true, help_heading = "Workers")]
    pub(crate) boot_deadline: Option<Span>,

    /// Time that an event loop may stand still, then the worker is replaced [default: 30s]
    #[arg(long, value_name = "TIME", env = "PHALANX_LIVENESS", hide_env = true, help_heading = "Workers")]
    pub(crate) liveness: Option<Span>,

    /// Requests after which a worker is replaced, ±10 % [default: never]
    #[arg(long, value_name = "N", env = "PHALANX_MAX_REQUESTS", hide_env = true, help_heading = "Workers")]
    pub(crate) max_requests: Option<u64>,

    /// Age at which a worker is replaced, ±10 % [default: never]
    #[arg(long, value_name = "TIME", env = "PHALANX_MAX_LIFETIME", hide_env = true, help_heading = "Workers")]
    pub(crate) max_lifetime: Option<Span>,

    /// Resident memory at which a worker is replaced, ±10 % [default: never]
    #[arg(long, value_name = "SIZE", env = "PHALANX_SOFT_MEMORY", hide_env = true, help_heading = "Workers")]
    pub(crate) soft_memory: Option<ByteSize>,

    /// Resident memory at which a worker is killed [default: never]
    #[arg(long, value_name = "SIZE", env = "PHALANX_HARD_MEMORY", hide_env = true, help_heading = "Workers")]
    pub(crate) hard_memory: Option<ByteSize>,

    /// Whether a worker that seems to leak is replaced; it is always said in the log [default: no]
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        default_missing_value = "true",
        env = "PHALANX_RECYCLE_LEAKS",
        hide_env = true,
        help_heading = "Workers"
    )]
    pub(crate) recycle_leaks: Option<bool>,

    /// Whether workers sample their heaps from the start, for `phalanx ctl heap-profile`; needs a build with the feature heap-profile [default: false]
    #[arg(
        long,
        value_name = "BOOL",
        env = "PHALANX_HEAP_PROFILE",
        hide_env = true,
        help_heading = "Workers",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    pub(crate) heap_profile: Option<bool>,

    /// Niceness of the workers, -20 to 19 [default: that of the server]
    #[arg(
        long,
        value_name = "N",
        env = "PHALANX_NICE",
        hide_env = true,
        help_heading = "Workers",
        allow_hyphen_values = true
    )]
    pub(crate) nice: Option<i32>,

    /// Whether each worker is bound to a core of its own [default: none]
    #[arg(long, value_name = "MODE", env = "PHALANX_AFFINITY", hide_env = true, help_heading = "Workers")]
    pub(crate) affinity: Option<Affinity>,

    /// Folder of a cgroup (version 2) that the workers are put into [default: none]
    #[arg(long, value_name = "DIR", env = "PHALANX_CGROUP", hide_env = true, help_heading = "Workers")]
    pub(crate) cgroup: Option<PathBuf>,

    /// User, or user:group, that the workers run as; for a server that was started by root [default: none]
    #[arg(long, value_name = "NAME", env = "PHALANX_USER", hide_env = true, help_heading = "Workers")]
    pub(crate) user: Option<Account>,

    /// Certificate chain (PEM): HTTPS on every TCP address; read again when it changes [default: none]
    #[arg(long, value_name = "FILE", env = "PHALANX_TLS_CERT", hide_env = true, help_heading = "TLS")]
    pub(crate) tls_cert: Option<PathBuf>,

    /// Private key (PEM) of the certificate [default: none]
    #[arg(long, value_name = "FILE", env = "PHALANX_TLS_KEY", hide_env = true, help_heading = "TLS")]
    pub(crate) tls_key: Option<PathBuf>,

    /// File of age identities with which /v1/decrypt opens what brings no key: whoever reaches the server can then decrypt with them [default: none]
    #[arg(long, value_name = "FILE", env = "PHALANX_IDENTITY", hide_env = true, help_heading = "Encryption")]
    pub(crate) identity: Option<PathBuf>,

    /// Largest request body, 413 beyond [default: 25MiB]
    #[arg(long, value_name = "SIZE", env = "PHALANX_BODY_LIMIT", hide_env = true, help_heading = "Limits")]
    pub(crate) body_limit: Option<ByteSize>,

    /// Largest body of a route that streams (/v1/compress and so on), which holds nothing of it; 413 beyond [default: 4GiB]
    #[arg(long, value_name = "SIZE", env = "PHALANX_STREAM_LIMIT", hide_env = true, help_heading = "Limits")]
    pub(crate) stream_limit: Option<ByteSize>,

    /// What a body may become at /v1/decompress, 413 or a cut answer beyond [default: 256MiB]
    #[arg(long, value_name = "SIZE", env = "PHALANX_INFLATE_LIMIT", hide_env = true, help_heading = "Limits")]
    pub(crate) inflate_limit: Option<ByteSize>,

    /// How many times larger it may become there, counted from 64 KiB of input or 1 MiB of output [default: 100]
    #[arg(long, value_name = "N", env = "PHALANX_INFLATE_RATIO", hide_env = true, help_heading = "Limits")]
    pub(crate) inflate_ratio: Option<u32>,

    /// Time for a whole request body, 408 after it; for one that streams, the longest silence [default: 60s]
    #[arg(long, value_name = "TIME", env = "PHALANX_BODY_TIMEOUT", hide_env = true, help_heading = "Limits")]
    pub(crate) body_timeout: Option<Span>,

    /// Time before a body must keep its minimum rate [default: 5s]
    #[arg(long, value_name = "TIME", env = "PHALANX_BODY_GRACE", hide_env = true, help_heading = "Limits")]
    pub(crate) body_grace: Option<Span>,

    /// Fewest bytes a second in which a body may come, 408 below [default: 1KiB]
    #[arg(long, value_name = "SIZE", env = "PHALANX_BODY_RATE", hide_env = true, help_heading = "Limits")]
    pub(crate) body_rate: Option<ByteSize>,

    /// Time for a request head, then the connection is closed [default: 10s]
    #[arg(long, value_name = "TIME", env = "PHALANX_HEADER_TIMEOUT", hide_env = true, help_heading = "Limits")]
    pub(crate) header_timeout: Option<Span>,

    /// Time that a connection may stay open between two requests [default: 15s]
    #[arg(long, value_name = "TIME", env = "PHALANX_IDLE_TIMEOUT", hide_env = true, help_heading = "Limits")]
    pub(crate) idle_timeout: Option<Span>,

    /// Longest time in line for a CPU thread; a request that would wait longer is refused with 503 [default: 1s]
    #[arg(long, value_name = "TIME", env = "PHALANX_MAX_WAIT", hide_env = true, help_heading = "Limits")]
    pub(crate) max_wait: Option<Span>,

    /// The same once the line has not been short for 100 ms, so that a burst may wait long but a lasting overload makes
    /// nobody late [default: 100ms, or --max-wait where that is given]
    #[arg(long, value_name = "TIME", env = "PHALANX_STANDING_WAIT", hide_env = true, help_heading = "Limits")]
    pub(crate) standing_wait: Option<Span>,

    /// Time for the CPU work of one request, 504 after it [default: 10s]
    #[arg(long, value_name = "TIME", env = "PHALANX_JOB_DEADLINE", hide_env = true, help_heading = "Limits")]
    pub(crate) job_deadline: Option<Span>,

    /// Memory that one picture may need, 413 beyond [default: 512MiB]
    #[arg(long, value_name = "SIZE", env = "PHALANX_JOB_MEMORY", hide_env = true, help_heading = "Limits")]
    pub(crate) job_memory: Option<ByteSize>,

    /// Memory for the pictures of all requests, shared by all workers, 503 beyond [default: 40 % of the memory that may be used, less
    /// in a small container: docs/memory.md]
    #[arg(long, value_name = "SIZE", env = "PHALANX_MEMORY", hide_env = true, help_heading = "Limits")]
    pub(crate) memory: Option<ByteSize>,

    /// Largest source picture in megapixels, 413 beyond [default: 50]
    #[arg(long, value_name = "N", env = "PHALANX_MAX_MEGAPIXELS", hide_env = true, help_heading = "Limits")]
    pub(crate) max_megapixels: Option<u32>,

    /// Connections in each worker [default: 2048]
    #[arg(long, value_name = "N", env = "PHALANX_MAX_CONNECTIONS", hide_env = true, help_heading = "Limits")]
    pub(crate) max_connections: Option<u32>,

    /// Connections from one address in each worker [default: 64]
    #[arg(long, value_name = "N", env = "PHALANX_MAX_CONNECTIONS_PER_IP", hide_env = true, help_heading = "Limits")]
    pub(crate) max_connections_per_ip: Option<u32>,

    /// Time for running requests when the server stops [default: 30s]
    #[arg(long, value_name = "TIME", env = "PHALANX_DRAIN_DEADLINE", hide_env = true, help_heading = "Limits")]
    pub(crate) drain_deadline: Option<Span>,
}

/// What is not ours, and may be anything.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Apps;

impl<'de> Deserialize<'de> for Apps {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        serde::de::IgnoredAny::deserialize(from).map(|_| Apps)
    }
}

/// How log lines look. (No doc comments inside: clap would then spread its help over three lines a flag.)
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub(crate) enum LogFormat {
    // `human` if standard error is a terminal, `json` otherwise.
    Auto,
    // One readable line an event.
    Human,
    // One JSON object an event.
    Json,
}

/// Least important level that is still logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub(crate) enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl LogFormat {
    /// What `auto` means for this process.
    pub(crate) fn resolved(self) -> LogFormat {
        match self {
            LogFormat::Auto if std::io::stderr().is_terminal() => LogFormat::Human,
            LogFormat::Auto => LogFormat::Json,
            given => given,
        }
    }
}

impl Settings {
    /// What was typed, over what the file says now.
    pub(crate) fn with_file(&self, file: Option<&Path>) -> Result<Settings, ConfigError> {
        Ok(self.clone().over(file::read(file)?))
    }

    /// The settings as the primary hands them to its workers.
    pub(crate) fn to_snapshot(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    /// What [`to_snapshot`](Self::to_snapshot) made.
    pub(crate) fn from_snapshot(snapshot: &[u8]) -> Result<Settings, serde_json::Error> {
        serde_json::from_slice(snapshot)
    }

    /// These settings, and those of `lower` wherever these say nothing.
    pub(crate) fn over(self, lower: Settings) -> Settings {
        Settings {
            app: Apps,
            listen: if self.listen.is_empty() { lower.listen } else { self.listen },
            workers: self.workers.or(lower.workers),
            threads: self.threads.or(lower.threads),
            isolate: self.isolate.or(lower.isolate),
            sandbox: self.sandbox.or(lower.sandbox),
            job_processes: self.job_processes.or(lower.job_processes),
            store: self.store.or(lower.store),
            store_limit: self.store_limit.or(lower.store_limit),
            queue: self.queue.or(lower.queue),
            queue_blobs: self.queue_blobs.or(lower.queue_blobs),
            queues: if self.queues.is_empty() { lower.queues } else { self.queues },
            queue_limit: self.queue_limit.or(lower.queue_limit),
            work: self.work.or(lower.work),
            job_list: self.job_list.or(lower.job_list),
            control: self.control.or(lower.control),
            log_format: self.log_format.or(lower.log_format),
            log_level: self.log_level.or(lower.log_level),
            admin: self.admin.or(lower.admin),
            pid_file: self.pid_file.or(lower.pid_file),
            log_file: self.log_file.or(lower.log_file),
            log_rotate: self.log_rotate.or(lower.log_rotate),
            log_keep: self.log_keep.or(lower.log_keep),
            distribution: self.distribution.or(lower.distribution),
            health_gate: self.health_gate.or(lower.health_gate),
            boot_deadline: self.boot_deadline.or(lower.boot_deadline),
            liveness: self.liveness.or(lower.liveness),
            max_requests: self.max_requests.or(lower.max_requests),
            max_lifetime: self.max_lifetime.or(lower.max_lifetime),
            soft_memory: self.soft_memory.or(lower.soft_memory),
            hard_memory: self.hard_memory.or(lower.hard_memory),
            recycle_leaks: self.recycle_leaks.or(lower.recycle_leaks),
            heap_profile: self.heap_profile.or(lower.heap_profile),
            nice: self.nice.or(lower.nice),
            affinity: self.affinity.or(lower.affinity),
            cgroup: self.cgroup.or(lower.cgroup),
            user: self.user.or(lower.user),
            tls_cert: self.tls_cert.or(lower.tls_cert),
            tls_key: self.tls_key.or(lower.tls_key),
            identity: self.identity.or(lower.identity),
            body_limit: self.body_limit.or(lower.body_limit),
            stream_limit: self.stream_limit.or(lower.stream_limit),
            inflate_limit: self.inflate_limit.or(lower.inflate_limit),
            inflate_ratio: self.inflate_ratio.or(lower.inflate_ratio),
            body_timeout: self.body_timeout.or(lower.body_timeout),
            body_grace: self.body_grace.or(lower.body_grace),
            body_rate: self.body_rate.or(lower.body_rate),
            header_timeout: self.header_timeout.or(lower.header_timeout),
            idle_timeout: self.idle_timeout.or(lower.idle_timeout),
            max_wait: self.max_wait.or(lower.max_wait),
            standing_wait: self.standing_wait.or(lower.standing_wait),
            job_deadline: self.job_deadline.or(lower.job_deadline),
            job_memory: self.job_memory.or(lower.job_memory),
            memory: self.memory.or(lower.memory),
            max_megapixels: self.max_megapixels.or(lower.max_megapixels),
            max_connections: self.max_connections.or(lower.max_connections),
            max_connections_per_ip: self.max_connections_per_ip.or(lower.max_connections_per_ip),
            drain_deadline: self.drain_deadline.or(lower.drain_deadline),
        }
    }
}
