//! The other process: this program again, on its own core, killed when its handle goes.

use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, Stdio};

use measuring::{During, Failure};

use crate::Task;

pub(crate) struct Peer(Child);

/// What the peer is to know or to hold.
pub(crate) enum Given<'a> {
    /// Shared memory, as its standard input.
    Memory(OwnedFd),
    /// Shared memory that it reads from and that it writes to, as its standard input and output.
    TwoMemories { read: OwnedFd, written: OwnedFd },
    /// Where it finds the driver.
    MeetingPlace(&'a str),
}

impl Peer {
    pub(crate) fn start(task: Task, given: Given<'_>) -> Result<Self, Failure> {
        let own = std::env::current_exe().during("find this program")?;
        let mut command = Command::new(own);
        command.args(["peer", &task.rival.word(), &task.measure.word()]);
        command.args([task.cores.own.to_string(), task.cores.peer.to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        match given {
            Given::Memory(memory) => command.stdin(memory),
            Given::TwoMemories { read, written } => command.stdin(read).stdout(written),
            Given::MeetingPlace(name) => command.arg(name),
        };
        command.spawn().map(Self).during("start the peer")
    }

    /// Waits for a peer that was told to end.
    #[cfg(feature = "iceoryx2")]
    pub(crate) fn ended(mut self) -> Result<(), Failure> {
        self.0.wait().map(drop).during("wait for the peer to end")
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The memory that the peer was given as its standard input.
pub(crate) fn memory() -> Result<OwnedFd, Failure> {
    std::io::stdin().as_fd().try_clone_to_owned().during("take the inherited memory")
}

/// The memory that the peer was given as its standard output.
pub(crate) fn second_memory() -> Result<OwnedFd, Failure> {
    std::io::stdout().as_fd().try_clone_to_owned().during("take the second inherited memory")
}
