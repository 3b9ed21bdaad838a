//! What joins the two processes.

mod ipc_channel;
mod phalanx;
mod socketpair;

use clap::ValueEnum;
use measuring::{Failure, Report, Schedule};

use crate::Measure;

/// A way to join two processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Connection {
    /// `phalanx_channel::Channel`, typed, in a current-thread tokio runtime on either side
    Phalanx,
    /// A bare socket pair, 64 bytes, that looks for 20 µs before it sleeps: what the kernel allows
    Socketpair,
    /// The same, sleeping at once
    SocketpairBlocking,
    /// The crate ipc-channel, typed
    IpcChannel,
}

impl Connection {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Phalanx => "phalanx",
            Self::Socketpair => "socketpair",
            Self::SocketpairBlocking => "socketpair-blocking",
            Self::IpcChannel => "ipc-channel",
        }
    }

    pub(crate) fn drive(self, measure: Measure, schedule: Schedule, peer_core: usize) -> Result<Report, Failure> {
        match self {
            Self::Phalanx => phalanx::drive(measure, schedule, peer_core),
            Self::Socketpair | Self::SocketpairBlocking => socketpair::drive(self, measure, schedule, peer_core),
            Self::IpcChannel => ipc_channel::drive(measure, schedule, peer_core),
        }
    }

    pub(crate) fn answer(self, measure: Measure, meeting_place: Option<String>) -> Result<(), Failure> {
        match self {
            Self::Phalanx => phalanx::answer(measure),
            Self::Socketpair | Self::SocketpairBlocking => socketpair::answer(self),
            Self::IpcChannel => ipc_channel::answer(measure, meeting_place),
        }
    }
}
