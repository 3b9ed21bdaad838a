//! [`Program`]: any executable, in any language, as the worker of a cluster.
//!
//! ```text
//!   primary ── Role "worker" ──► this executable ── execute ──► the program
//!      │  control line, page            (descriptors and environment are laid out, nothing else runs)
//!      └────────────────────► attendant: plays the worker's part towards the primary, because the program cannot
//! ```
//!
//! What a program gets: the cluster's listening sockets by the protocol of systemd (`LISTEN_FDS`, `LISTEN_FDNAMES`,
//! `LISTEN_PID`, from descriptor 3 on), `NOTIFY_SOCKET` to say `READY=1`, its place among the others as
//! `PHALANX_INSTANCE` (and `NODE_APP_INSTANCE`, which the users of PM2 know), its number as `PHALANX_WORKER`, and standard input
//! from `/dev/null`. In its arguments and in the values of its environment `{instance}` is its place, `{fd}` the
//! descriptor of the first socket, `{fd:NAME}` that of the socket of this name.

mod builder;
mod execute;
mod fill;
mod health_check;
mod readiness;

use std::ffi::OsString;
use std::path::PathBuf;

use phalanx_channel::node::Serialization;
use phalanx_process::Signal;
use serde::{Deserialize, Serialize};

pub(crate) use execute::execute;
pub use health_check::{HealthCheck, WrongHealthCheck};
pub use readiness::Readiness;

/// An executable that is to run as the workers of a cluster, and how. See [`Cluster::program`](crate::Cluster::program).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Program {
    pub(crate) program: OsString,
    pub(crate) arguments: Vec<OsString>,
    pub(crate) environment: Vec<(OsString, OsString)>,
    pub(crate) only_named: bool,
    pub(crate) directory: Option<PathBuf>,
    pub(crate) ready: Option<Readiness>,
    pub(crate) health: Option<HealthCheck>,
    pub(crate) stop_signal: i32,
    pub(crate) inherits: bool,
    pub(crate) fd_variable: Option<String>,
    pub(crate) node: Option<Node>,
}

/// What is to be known of a program that Node.js runs: it gets a channel of Node's own, and is a worker of `node:cluster` to itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    advanced: bool,
}

impl Node {
    /// Messages as JSON, as Node has it by default.
    pub fn new() -> Node {
        Node::default()
    }

    /// Messages as V8 clones them (`serialization: 'advanced'`).
    pub fn advanced(mut self) -> Node {
        self.advanced = true;
        self
    }

    pub(crate) fn serialization(self) -> Serialization {
        if self.advanced { Serialization::Advanced } else { Serialization::Json }
    }
}

impl Program {
    /// The executable at this path, or of this name along the `PATH` that the program will have. Arguments, environment and
    /// readiness are those of the documentation of this page until they are said otherwise.
    pub fn new(program: impl Into<OsString>) -> Program {
        Program {
            program: program.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            only_named: false,
            directory: None,
            ready: None,
            health: None,
            stop_signal: Signal::Terminate.number(),
            inherits: true,
            fd_variable: None,
            node: None,
        }
    }

    /// When it counts as ready, if nothing was said.
    pub(crate) fn readiness(&self) -> Readiness {
        match (&self.ready, self.node) {
            (Some(ready), _) => ready.clone(),
            (None, Some(_)) => Readiness::Listening,
            (None, None) if self.health.is_some() => Readiness::Healthy,
            (None, None) => Readiness::default(),
        }
    }

    /// The signal that asks it to finish.
    pub(crate) fn its_stop_signal(&self) -> Signal {
        Signal::from_number(self.stop_signal).unwrap_or(Signal::Terminate)
    }
}
