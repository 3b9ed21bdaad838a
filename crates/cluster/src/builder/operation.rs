//! What an operator sees and does from outside: the front process.

use std::net::SocketAddr;
use std::path::Path;

use super::Cluster;
use crate::Logs;

impl Cluster {
    /// A control socket at this path, for `phalanx ctl` or any HTTP client: status, reload, upgrade, scale, logs, events.
    /// Only the owner of the process and root may use it (mode 0600, and the credentials of each peer are looked at).
    /// Default: none.
    pub fn control(mut self, path: impl AsRef<Path>) -> Self {
        self.front.control = Some(path.as_ref().to_owned());
        self
    }

    /// A TCP address on which `/metrics`, `/livez` and `/readyz` of the whole cluster can be read, and nothing else. Default:
    /// none.
    pub fn admin(mut self, address: SocketAddr) -> Self {
        self.front.admin = Some(address);
        self
    }

    /// What becomes of what the workers write. Default: they write where the primary writes.
    pub fn logs(mut self, logs: Logs) -> Self {
        self.front.logs = Some(logs);
        self
    }

    /// A fact for the status, under this name: what runs here, and how. Default: none.
    pub fn about(mut self, name: impl Into<String>, text: impl Into<String>) -> Self {
        self.front.about.push((name.into(), text.into()));
        self
    }

    /// The version of this program, for the status. Default: none.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.front.version = version.into();
        self
    }
}
