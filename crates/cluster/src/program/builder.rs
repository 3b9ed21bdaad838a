//! What can be said of a [`Program`].

use std::ffi::OsString;
use std::path::PathBuf;

use phalanx_process::Signal;

use super::{HealthCheck, Node, Program, Readiness};

impl Program {
    /// One more argument. `{instance}`, `{fd}` and `{fd:NAME}` are filled in for each worker.
    pub fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// More arguments.
    pub fn args<A: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Sets a variable of its environment, with the same fillings as arguments. The last word on a name counts.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// It gets nothing of the environment of this process but what [`env`](Self::env) sets. By default it gets all of it.
    pub fn env_clear(mut self) -> Self {
        self.only_named = true;
        self
    }

    /// Its working directory. Default: that of this process.
    pub fn cwd(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// When it counts as ready. Default: [`Readiness::Listening`] for Node, [`Readiness::Healthy`] with a
    /// [health check](Self::health_check), else [`Readiness::After`] one second. `READY=1` on `NOTIFY_SOCKET` always counts.
    pub fn ready(mut self, ready: Readiness) -> Self {
        self.ready = Some(ready);
        self
    }

    /// A question that it has to answer, at its start and then each second: while the answer is no, it counts as a
    /// worker whose event loop stands still. Default: none is asked.
    pub fn health_check(mut self, check: HealthCheck) -> Self {
        self.health = Some(check);
        self
    }

    /// The signal that asks it to finish. Default SIGTERM. (What is left after the drain deadline gets SIGKILL.)
    pub fn stop_signal(mut self, signal: Signal) -> Self {
        self.stop_signal = signal.number();
        self
    }

    /// Whether it inherits the listening sockets of the cluster. Default: yes.
    pub fn listen_fds(mut self, inherits: bool) -> Self {
        self.inherits = inherits;
        self
    }

    /// One more variable with the descriptors of the sockets, as decimal numbers with commas between them, for programs with a
    /// convention of their own.
    pub fn fd_env(mut self, name: impl Into<String>) -> Self {
        self.fd_variable = Some(name.into());
        self
    }

    /// Node.js runs it: it is a worker of `node:cluster` to itself, and its `listen()` gives connections that the attendant
    /// accepts and passes on.
    pub fn node(mut self, node: Node) -> Self {
        self.node = Some(node);
        self
    }
}
