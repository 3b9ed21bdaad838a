//! What can be said of an app, and where: one definition makes the flag of `phalanx run` and the key of an `[[app]]` table.

use std::path::PathBuf;

use clap::Args;
use phalanx::HealthCheck;
use serde::Deserialize;

use super::app::Wrong;
use super::program::Line;
use super::values::{Instances, Serialization, StopSignal, Variable, Words, environment, one_or_many, text, watched};
use crate::config::quantity::{ByteSize, Span};
use crate::config::{Account, Affinity, Distribution, LogFormat, LogLevel};

const READINESS: &str =
    "Readiness, one of these [default: Node listens; the health check passes; else --ready-after 1s]";

/// What was said of one app, unchecked.
#[derive(Debug, Default, Clone, PartialEq, Args, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Options {
    /// The program, in a file of apps; on the command line it stands behind `--`.
    #[arg(skip)]
    #[serde(alias = "script")]
    pub(super) program: Option<String>,
    /// Its arguments there: a list, or one text that is cut as a shell does.
    #[arg(skip)]
    pub(super) args: Option<Words>,

    /// Worker processes: a number, `max` for one on each core, or -1 for one core fewer [default: max for Node and with --listen, else 1]
    #[arg(short = 'n', long, value_name = "N", allow_hyphen_values = true)]
    pub(super) instances: Option<Instances>,

    /// Name of the app, in `phalanx ctl` and in its log [default: that of the script or the program]
    #[arg(long, value_name = "NAME")]
    pub(super) name: Option<String>,

    /// Program that runs PROGRAM, or `none` [default: node for .js .mjs .cjs .ts, python3 for .py]
    #[arg(long, value_name = "PROGRAM", help_heading = "Program")]
    pub(super) interpreter: Option<String>,

    /// Arguments of the interpreter, before PROGRAM
    #[arg(long, value_name = "ARGS", help_heading = "Program", allow_hyphen_values = true)]
    pub(super) interpreter_args: Option<Words>,

    /// Working directory of the program [default: this one]
    #[arg(long, value_name = "DIR", help_heading = "Program")]
    pub(super) cwd: Option<PathBuf>,

    /// A variable for the program's environment; repeat it for several
    #[arg(long, value_name = "NAME=VALUE", help_heading = "Program")]
    #[serde(default, deserialize_with = "environment")]
    pub(super) env: Vec<Variable>,

    /// File with such variables (NAME=VALUE, a line each), read again at each reload; --env wins. Repeat it for several
    #[arg(long, value_name = "FILE", help_heading = "Program")]
    #[serde(default, deserialize_with = "one_or_many")]
    pub(super) env_file: Vec<PathBuf>,

    /// Whether the program speaks the protocol of Node's `cluster` [default: yes if it is called node or nodejs]
    #[arg(long, help_heading = "Program", conflicts_with = "no_node")]
    #[serde(default)]
    pub(super) node: bool,

    /// The program is not Node, whatever it is called
    #[arg(long, help_heading = "Program")]
    #[serde(default)]
    pub(super) no_node: bool,

    /// How Node's workers write messages: json, or advanced as V8 clones values [default: json]
    #[arg(long, value_name = "FORMAT", help_heading = "Program")]
    pub(super) serialization: Option<Serialization>,

    /// Script for Node that hears what the workers say by process.send(), in the place of the app's own primary, whose code does not
    /// run: `{ worker, instance, message }`; what it sends as `{ worker, message }` goes to that worker, without `worker` to all
    #[arg(long, value_name = "FILE", help_heading = "Program")]
    pub(super) primary_script: Option<PathBuf>,

    /// Address that the workers share: HOST:PORT, unix:PATH, systemd, systemd:NAME or fd:N; repeat it for several. They inherit the
    /// sockets (LISTEN_FDS). Node needs none: what it listens on is shared [default: none, the program opens its own]
    #[arg(long, value_name = "ADDR", value_delimiter = ',', help_heading = "Sockets")]
    #[serde(default, deserialize_with = "one_or_many")]
    pub(super) listen: Vec<String>,

    /// The program opens its sockets itself, and several workers of it get along (SO_REUSEPORT, or no sockets at all)
    #[arg(long, help_heading = "Sockets", conflicts_with_all = ["listen", "fd_env", "blocking_listeners"])]
    #[serde(default)]
    pub(super) no_listen: bool,

    /// Variable that tells the program the number of its socket; of several, with commas
    #[arg(long, value_name = "NAME", help_heading = "Sockets")]
    pub(super) fd_env: Option<String>,

    /// Hand out blocking sockets, for programs that expect them
    #[arg(long, help_heading = "Sockets")]
    #[serde(default)]
    pub(super) blocking_listeners: bool,

    /// How connections come to the workers: of Node any of them, of others shared or reuseport [default: round-robin for Node, else shared]
    #[arg(long, value_name = "MODE", help_heading = "Sockets")]
    pub(super) distribution: Option<Distribution>,

    /// Ready when the program says READY=1 (sd_notify); that counts whatever is chosen
    #[arg(long, help_heading = READINESS)]
    #[serde(default)]
    pub(super) ready_notify: bool,

    /// Ready when a line of its output contains this
    #[arg(long, value_name = "TEXT", help_heading = READINESS)]
    pub(super) ready_line: Option<String>,

    /// Ready when it has lived this long
    #[arg(long, value_name = "TIME", help_heading = READINESS)]
    pub(super) ready_after: Option<Span>,

    /// Ready when Node says process.send('ready')
    #[arg(long, help_heading = READINESS)]
    #[serde(default)]
    pub(super) wait_ready: bool,

    /// What a worker has to answer, at its start and then each second: http://HOST:PORT/PATH with a success, or tcp:HOST:PORT
    #[arg(long, value_name = "CHECK", help_heading = "Workers")]
    #[serde(default, deserialize_with = "text")]
    pub(super) health_check: Option<HealthCheck>,

    /// Time that the health check may fail, then the worker is replaced [default: 30s]
    #[arg(long, value_name = "TIME", help_heading = "Workers")]
    pub(super) liveness: Option<Span>,

    /// Time for a worker to become ready, then it is killed [default: 60s]
    #[arg(long, value_name = "TIME", alias = "boot-deadline", help_heading = "Workers")]
    #[serde(alias = "boot-deadline")]
    pub(super) boot_timeout: Option<Span>,

    /// Time for a worker to finish when it is told to stop, then it is killed [default: 30s]
    #[arg(long, value_name = "TIME", alias = "drain-deadline", help_heading = "Workers")]
    #[serde(alias = "drain-deadline")]
    pub(super) kill_timeout: Option<Span>,

    /// Signal that tells a worker to stop [default: SIGTERM]
    #[arg(long, value_name = "SIGNAL", help_heading = "Workers")]
    #[serde(default, deserialize_with = "text")]
    pub(super) stop_signal: Option<StopSignal>,

    /// Wait before a worker that failed at its start is tried again; it doubles each time, up to 30s [default: 100ms]
    #[arg(long, value_name = "TIME", help_heading = "Workers")]
    pub(super) restart_delay: Option<Span>,

    /// Failed starts within a minute after which a worker is tried only once a minute [default: 5]
    #[arg(long, value_name = "N", help_heading = "Workers")]
    pub(super) max_restarts: Option<u32>,

    /// A worker that ends with 0 has done its work: it is not started again, and with the last one all ends
    #[arg(long, help_heading = "Workers")]
    #[serde(default)]
    pub(super) no_autorestart: bool,

    /// In a reload, end the old worker before the new one starts [default: yes for a program that opens its own sockets, but Node]
    #[arg(long, help_heading = "Workers")]
    #[serde(default)]
    pub(super) old_first: bool,

    /// Resident memory at which a worker is replaced, new first, ±10 % [default: never]
    #[arg(long, value_name = "SIZE", alias = "soft-memory", help_heading = "Workers")]
    #[serde(alias = "soft-memory")]
    pub(super) max_memory_restart: Option<ByteSize>,

    /// Memory at which a worker is killed, with all that it started [default: never]
    #[arg(long, value_name = "SIZE", help_heading = "Workers")]
    pub(super) hard_memory: Option<ByteSize>,

    /// Age at which a worker is replaced, ±10 % [default: never]
    #[arg(long, value_name = "TIME", help_heading = "Workers")]
    pub(super) max_lifetime: Option<Span>,

    /// Niceness of the workers, -20 to 19 [default: that of this process]
    #[arg(long, value_name = "N", allow_hyphen_values = true, help_heading = "Workers")]
    pub(super) nice: Option<i32>,

    /// Whether each worker is bound to a core of its own [default: none]
    #[arg(long, value_name = "MODE", help_heading = "Workers")]
    pub(super) affinity: Option<Affinity>,

    /// Folder of a cgroup (version 2) that the workers are put into [default: none]
    #[arg(long, value_name = "DIR", help_heading = "Workers")]
    pub(super) cgroup: Option<PathBuf>,

    /// User, or user:group, that the workers run as; only root may say so [default: none]
    #[arg(long, value_name = "NAME", help_heading = "Workers")]
    pub(super) user: Option<Account>,

    /// Replace the workers at these times, new first: minute hour day month weekday, local time, as in "0 4 * * *"
    #[arg(long, value_name = "EXPR", help_heading = "Reloads")]
    pub(super) cron_restart: Option<String>,

    /// Replace the workers when a file below PATH changes; repeat it for several [PATH without one: --cwd]
    #[arg(long, value_name = "PATH", num_args = 0..=1, require_equals = true, default_missing_value = "", help_heading = "Reloads")]
    #[serde(default, deserialize_with = "watched")]
    pub(super) watch: Vec<PathBuf>,

    /// Changes that do not count: a name or a pattern such as "*.log" or "data/**"; repeat it for several. node_modules and names
    /// that begin with a dot never count
    #[arg(long, value_name = "GLOB", help_heading = "Reloads")]
    #[serde(default, deserialize_with = "one_or_many")]
    pub(super) ignore_watch: Vec<String>,

    /// Control socket, for `phalanx ctl`; `none` for none [default: phalanx/NAME.sock in $XDG_RUNTIME_DIR, in /run for root, else in /tmp/phalanx-UID]
    #[arg(long, value_name = "PATH", help_heading = "Operation")]
    pub(super) control: Option<PathBuf>,

    /// Address for /metrics, /livez and /readyz of the app [default: none]
    #[arg(long, value_name = "ADDR", help_heading = "Operation")]
    pub(super) admin: Option<std::net::SocketAddr>,

    /// File that holds the process id, locked while the app runs [default: none]
    #[arg(long, value_name = "PATH", help_heading = "Operation")]
    pub(super) pid_file: Option<PathBuf>,

    /// File for what the workers write, instead of standard error; reopened on SIGUSR1 [default: none]
    #[arg(long, value_name = "PATH", help_heading = "Operation")]
    pub(super) log_file: Option<PathBuf>,

    /// Size at which the log file is rotated [default: 64MiB]
    #[arg(long, value_name = "SIZE", help_heading = "Operation")]
    pub(super) log_rotate: Option<ByteSize>,

    /// Rotated log files that are kept [default: 4]
    #[arg(long, value_name = "N", help_heading = "Operation")]
    pub(super) log_keep: Option<u32>,

    /// Phalanx's own log lines for people, for machines, or people on a terminal and machines otherwise [default: auto]
    #[arg(long, value_name = "FORMAT", help_heading = "Operation")]
    pub(super) log_format: Option<LogFormat>,

    /// Least important of them [default: info]
    #[arg(long, value_name = "LEVEL", help_heading = "Operation")]
    pub(super) log_level: Option<LogLevel>,
}

impl Options {
    /// What the app is called if nobody says it.
    pub(super) fn usual_name(&self) -> String {
        self.line().map_or_else(|_| "app".to_owned(), |line| line.name())
    }

    /// What is executed, or why nothing is.
    pub(super) fn line(&self) -> Result<Line, Wrong> {
        let program = self.program.clone().ok_or_else(|| Wrong("no program is named".into()))?;
        let words = |words: &Option<Words>| words.clone().unwrap_or_default().0;
        let line = Line::new(program, words(&self.args), self.interpreter.as_deref(), words(&self.interpreter_args))?;
        Ok(line)
    }
}
