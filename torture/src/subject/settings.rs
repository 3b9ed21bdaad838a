//! How a victim is started.

use std::ffi::OsString;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::oracle::Target;

/// In the victim's folder.
pub(super) const FAULT_FILE: &str = "fault";
const SOCKET_FILE: &str = "socket";
pub(super) const CONTROL_SOCKET: &str = "control.sock";
pub(super) const PID_FILE: &str = "pid";

/// Where it shall listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Address {
    AnyPort,
    Port(SocketAddr),
    Unix,
}

/// The settings of a victim; see its own `settings.rs`.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) workers: usize,
    pub(crate) address: Address,
    /// shared, reuseport, round-robin, least-loaded, sticky.
    pub(crate) listener: &'static str,
    /// So many listeners; each has its own port if the address is [`Address::AnyPort`].
    pub(crate) listeners: u32,
    /// Its event loop may stand still for so long; none: the cluster's default.
    pub(crate) liveness: Option<Duration>,
    /// Whether it has a control socket, and with it a front process.
    pub(crate) control: bool,
    pub(crate) pid_file: bool,
    pub(crate) drain_deadline: Duration,
    pub(crate) boot_deadline: Duration,
    /// Run as this user, for limits that root does not have.
    pub(crate) user: Option<u32>,
    /// Set by a shell before it becomes the victim, such as `ulimit -n 20`.
    pub(crate) shell_prelude: Option<&'static str>,
    pub(crate) variables: Vec<(String, OsString)>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            workers: 2,
            address: Address::AnyPort,
            listener: "shared",
            listeners: 1,
            liveness: None,
            control: false,
            pid_file: false,
            drain_deadline: Duration::from_secs(10),
            boot_deadline: Duration::from_secs(10),
            user: None,
            shell_prelude: None,
            variables: Vec::new(),
        }
    }
}

impl Settings {
    pub(super) fn command(&self, executable: &Path, folder: &Path) -> Command {
        let mut command = match self.shell_prelude {
            None => Command::new(executable),
            Some(prelude) => {
                let mut shell = Command::new("/bin/sh");
                shell.args(["-c", &format!("{prelude}; exec \"$0\"")]).arg(executable);
                shell
            }
        };
        command.current_dir(folder);
        command.env("TORTURE_LISTEN", self.listen(folder)).env("TORTURE_LISTENER", self.listener);
        command.env("TORTURE_WORKERS", self.workers.to_string());
        command.env("TORTURE_DRAIN_MS", self.drain_deadline.as_millis().to_string());
        command.env("TORTURE_BOOT_MS", self.boot_deadline.as_millis().to_string());
        command.env("TORTURE_FAULT_FILE", folder.join(FAULT_FILE));
        command.env("TORTURE_LISTENERS", self.listeners.to_string());
        if let Some(liveness) = self.liveness {
            command.env("TORTURE_LIVENESS_MS", liveness.as_millis().to_string());
        }
        if self.control {
            command.env("TORTURE_CONTROL", folder.join(CONTROL_SOCKET));
        }
        if self.pid_file {
            command.env("TORTURE_PID_FILE", folder.join(PID_FILE));
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        command
    }

    /// Its folder belongs to us, and another user has to read it.
    pub(super) fn let_in(&self, folder: &Path) -> io::Result<()> {
        if self.user.is_some() {
            std::fs::set_permissions(folder, PermissionsExt::from_mode(0o755))?;
        }
        Ok(())
    }

    pub(super) fn target(&self, folder: &Path) -> Target {
        match &self.address {
            Address::AnyPort => Target::Tcp((Ipv4Addr::LOCALHOST, 0).into()),
            Address::Port(address) => Target::Tcp(*address),
            Address::Unix => Target::Unix(folder.join(SOCKET_FILE)),
        }
    }

    fn listen(&self, folder: &Path) -> String {
        match self.target(folder) {
            Target::Tcp(address) => address.to_string(),
            Target::Unix(path) => format!("unix:{}", path.display()),
        }
    }
}
