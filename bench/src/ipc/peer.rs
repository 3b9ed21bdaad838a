//! The other process: this program again, pinned to its own core, killed when its handle goes.

use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, Stdio};

use measuring::{During, Failure};
use rustix::process::{Pid, Signal};

use crate::Measure;
use crate::connections::Connection;

pub(crate) struct Peer(Child);

impl Peer {
    /// Starts the peer with `standard_input`, which may be its end of the connection.
    pub(crate) fn start(
        core: usize,
        connection: Connection,
        measure: Measure,
        meeting_place: Option<&str>,
        standard_input: Stdio,
    ) -> Result<Self, Failure> {
        let own = std::env::current_exe().during("find this program")?;
        Command::new(&own)
            .args(["pin", &core.to_string()])
            .arg(&own)
            .args(["peer", connection.name(), measure.name()])
            .args(meeting_place)
            .stdin(standard_input)
            .stdout(Stdio::null())
            .spawn()
            .map(Self)
            .during("start the peer")
    }

    /// From now on it reads nothing, and uses no core.
    pub(crate) fn stop(&self) -> Result<(), Failure> {
        let pid = Pid::from_raw(self.0.id().cast_signed()).ok_or_else(|| Failure::new("the peer has no pid"))?;
        rustix::process::kill_process(pid, Signal::STOP).during("stop the peer")
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The end of the connection that the peer was given as its standard input.
pub(crate) fn inherited() -> Result<OwnedFd, Failure> {
    std::io::stdin().as_fd().try_clone_to_owned().during("take the inherited socket")
}
