//! What can be set, and where: one definition makes the flag, the environment variable and the key in the file.

use super::quantity::{ByteSize, Span};
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::PathBuf;

/// What was typed, unchecked. A flag wins over the environment, the environment over the file, the file over the
/// default.
#[derive(Debug, Default, Clone, PartialEq, Args, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Settings {
    /// Address to listen on; repeat it to listen on several [default: 127.0.0.1:3000]
    #[arg(long, value_name = "ADDR", env = "PHALANX_LISTEN", hide_env = true, value_delimiter = ',')]
    #[serde(default)]
    pub(crate) listen: Vec<SocketAddr>,

    /// Worker processes [default: one for each usable core]
    #[arg(long, value_name = "N", env = "PHALANX_WORKERS", hide_env = true)]
    pub(crate) workers: Option<u32>,

    /// CPU threads in each worker; all workers together never run more jobs than there are cores [default: usable cores]
    #[arg(long, value_name = "N", env = "PHALANX_THREADS", hide_env = true)]
    pub(crate) threads: Option<u32>,

    /// Folder for stored results; made if it is not there [default: ./phalanx-data]
    #[arg(long, value_name = "DIR", env = "PHALANX_STORE", hide_env = true)]
    pub(crate) store: Option<PathBuf>,

    /// Most bytes in the folder; the oldest results are deleted beyond it [default: 1GiB]
    #[arg(long, value_name = "SIZE", env = "PHALANX_STORE_LIMIT", hide_env = true)]
    pub(crate) store_limit: Option<ByteSize>,

    /// Control socket, for `phalanx ctl` and curl; `none` for none [default: control.sock in the store's folder]
    #[arg(long, value_name = "PATH", env = "PHALANX_CONTROL", hide_env = true, help_heading = "Operation")]
    pub(crate) control: Option<PathBuf>,

    /// Log lines for people, for machines, or people on a terminal and machines otherwise [default: auto]
    #[arg(long, value_name = "FORMAT", env = "PHALANX_LOG_FORMAT", hide_env = true)]
    pub(crate) log_format: Option<LogFormat>,

    /// Least important level that is still logged [default: info]
    #[arg(long, value_name = "LEVEL", env = "PHALANX_LOG_LEVEL", hide_env = true)]
    pub(crate) log_level: Option<LogLevel>,

    /// Largest request body, 413 beyond [default: 25MiB]
    #[arg(long, value_name = "SIZE", env = "PHALANX_BODY_LIMIT", hide_env = true, help_heading = "Limits")]
    pub(crate) body_limit: Option<ByteSize>,

    /// Time for a whole request body, 408 after it [default: 60s]
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

    /// Memory for the pictures of all requests of one worker, 503 beyond [default: 40 % of the memory that may be used, shared by the workers]
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

impl Settings {
    /// These settings, and those of `lower` wherever these say nothing.
    pub(crate) fn over(self, lower: Settings) -> Settings {
        Settings {
            listen: if self.listen.is_empty() { lower.listen } else { self.listen },
            workers: self.workers.or(lower.workers),
            threads: self.threads.or(lower.threads),
            store: self.store.or(lower.store),
            store_limit: self.store_limit.or(lower.store_limit),
            control: self.control.or(lower.control),
            log_format: self.log_format.or(lower.log_format),
            log_level: self.log_level.or(lower.log_level),
            body_limit: self.body_limit.or(lower.body_limit),
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
