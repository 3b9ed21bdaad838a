//! What `phalanx ctl` can be asked.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use crate::config::quantity::Span;

const EXAMPLES: &str = "\
Examples:
  phalanx ctl ls
      all apps of `phalanx run` that this user runs
  phalanx ctl --app api reload --wait
      one of them; without --app it is the server of `phalanx serve` in this folder
  phalanx ctl describe api
  phalanx ctl status
  phalanx ctl reload --wait
      replaces every worker, new first; fails if the new ones are not healthy
  phalanx ctl upgrade --wait
      the same after the program file was replaced; goes back by itself if it fails
  phalanx ctl scale 8
  phalanx ctl logs --follow
  phalanx ctl heap-profile on
  phalanx ctl heap-profile -o heap.pb.gz --flame-graph heap.svg
      what the worker with the most live bytes has allocated since and not freed
  curl --unix-socket phalanx-data/control.sock http://x/metrics

Exit code: 0 done, 1 refused or failed (the reason is on standard error),
64 a wrong command line, 69 no server there.";

/// Which server, and what it shall do.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CtlArguments {
    /// App of `phalanx run` to ask, by its name; it wins over a control socket
    #[arg(long, short, value_name = "NAME", global = true)]
    pub(super) app: Option<String>,
    /// Control socket of the server [default: that of the settings in ./phalanx.toml, else ./phalanx-data/control.sock]
    #[arg(long, value_name = "PATH", env = "PHALANX_CONTROL", hide_env = true, global = true)]
    pub(super) control: Option<PathBuf>,
    /// File of settings in which the server's control socket or store is named
    #[arg(long, value_name = "FILE", env = "PHALANX_CONFIG", hide_env = true, global = true)]
    pub(super) config: Option<PathBuf>,
    /// Answers as JSON
    #[arg(long, global = true)]
    pub(super) json: bool,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// What to ask.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Command {
    /// All apps of `phalanx run`: a line each
    #[command(visible_alias = "list")]
    Ls,
    /// Everything about one app: what it is, where it listens, its limits, its workers
    Describe {
        /// Name of the app [default: --app, or the server of this folder]
        #[arg(value_name = "NAME")]
        name: Option<String>,
    },
    /// The cluster and its workers
    Status,
    /// Replace every worker, one at a time, new first, with the settings as they are now
    #[command(visible_alias = "restart")]
    Reload(Wait),
    /// Go on with the program file as it is now: same process id, same sockets, then a reload
    Upgrade(Wait),
    /// Go back to the program that ran before the last upgrade
    Rollback(Wait),
    /// Change the number of workers
    Scale {
        /// Workers from now on
        #[arg(value_name = "N")]
        workers: u16,
        #[command(flatten)]
        wait: Wait,
    },
    /// Finish the running requests and stop
    Stop {
        /// Do not finish anything
        #[arg(long)]
        now: bool,
    },
    /// Send a signal to one worker; it is replaced when it ends
    Kill {
        /// Number of the worker
        #[arg(value_name = "WORKER")]
        worker: u32,
        /// TERM lets it finish, KILL does not
        #[arg(long, default_value = "TERM")]
        signal: String,
    },
    /// What the heap of a worker holds, by the functions that allocated it; sampling must be on
    HeapProfile(HeapProfileArguments),
    /// What happens, as it happens, until interrupted
    Events,
    /// The last lines that the workers wrote
    Logs {
        /// Only those of this worker
        #[arg(long, value_name = "N")]
        worker: Option<u32>,
        /// How many
        #[arg(long, short = 'n', default_value_t = 100)]
        lines: u32,
        /// Go on with new lines until interrupted
        #[arg(long, short)]
        follow: bool,
    },
}

/// Sampling on or off, or a profile.
#[derive(Debug, Clone, Args)]
pub(crate) struct HeapProfileArguments {
    /// `on` or `off` switches sampling; a number takes a profile of this worker [default: the worker with the most live bytes]
    #[arg(value_name = "on|off|WORKER")]
    what: Option<String>,
    /// The one worker to switch [default: all that run now]
    #[arg(value_name = "WORKER")]
    only: Option<u32>,
    /// File for the profile, as `go tool pprof` reads it; `-` is standard output
    #[arg(long, short, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// File for the profile as a picture (SVG)
    #[arg(long, value_name = "FILE")]
    pub(super) flame_graph: Option<PathBuf>,
}

/// What those arguments mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeapWish {
    /// Sampling on or off, in one worker or in all.
    Switch { on: bool, worker: Option<u32> },
    /// A profile of this worker, or of the one with the most live bytes.
    Take(Option<u32>),
}

impl HeapProfileArguments {
    pub(super) fn wish(&self) -> Result<HeapWish, String> {
        let writes = self.output.is_some() || self.flame_graph.is_some();
        match self.what.as_deref() {
            Some("on" | "off") if writes => {
                Err("on and off write no file: switch sampling on, let the server work, then take the profile".into())
            }
            Some(switch @ ("on" | "off")) => Ok(HeapWish::Switch { on: switch == "on", worker: self.only }),
            _ if !writes => Err("name a file for the profile: -o FILE, or --flame-graph FILE".into()),
            _ if self.only.is_some() => Err("one worker at a time".into()),
            None => Ok(HeapWish::Take(None)),
            Some(worker) => match worker.parse() {
                Ok(worker) => Ok(HeapWish::Take(Some(worker))),
                Err(_) => Err(format!("{worker} is neither on, off nor the number of a worker")),
            },
        }
    }
}

/// Whether to wait for the end of an operation, and how long.
#[derive(Debug, Clone, Args)]
pub(crate) struct Wait {
    /// Return when it is over, with exit code 1 if it failed
    #[arg(long)]
    pub(super) wait: bool,
    /// Longest wait; the operation itself goes on
    #[arg(long, value_name = "TIME", default_value = "10m", requires = "wait")]
    timeout: Span,
}

impl Wait {
    pub(super) fn timeout(&self) -> Duration {
        self.timeout.0
    }
}
