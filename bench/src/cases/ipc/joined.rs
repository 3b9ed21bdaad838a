//! The pairs of processes that are compared, and how each is started.

use std::process::Command;

use super::plan::{Measure, Measurement, Schedule};
use crate::cases::cores::Cores;
use crate::peers::{Absent, built_beside_us, crate_version, node_program, node_script, node_version, phalanx_version};

/// Two processes and what joins them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Joined {
    /// `phalanx_channel::Channel`
    Phalanx,
    /// A bare socket pair that looks for 20 µs before it sleeps
    Socketpair,
    /// A bare socket pair that sleeps at once
    SocketpairBlocking,
    /// The crate ipc-channel
    IpcChannel,
    /// child_process.fork
    NodeJson,
    /// child_process.fork with `serialization: 'advanced'`
    NodeAdvanced,
}

impl Joined {
    pub(crate) const ALL: [Joined; 6] = [
        Joined::Phalanx,
        Joined::Socketpair,
        Joined::SocketpairBlocking,
        Joined::IpcChannel,
        Joined::NodeJson,
        Joined::NodeAdvanced,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Phalanx => "phalanx Channel",
            Self::Socketpair => "bare socket pair, spin 20 µs",
            Self::SocketpairBlocking => "bare socket pair, blocking",
            Self::IpcChannel => "ipc-channel",
            Self::NodeJson => "child_process.fork, json",
            Self::NodeAdvanced => "child_process.fork, advanced",
        }
    }

    pub(crate) fn versions(self) -> String {
        match self {
            Self::Phalanx => phalanx_version(),
            Self::Socketpair | Self::SocketpairBlocking => "64 bytes, nothing encoded, no event loop".into(),
            Self::IpcChannel => format!("ipc-channel {}", crate_version("ipc-channel").unwrap_or_default()),
            Self::NodeJson | Self::NodeAdvanced => node_version(),
        }
    }

    /// A bare socket pair has no messages, so there is nothing to compare but the round trip.
    pub(crate) fn takes_part_in(self, measure: Measure) -> bool {
        measure == Measure::PingPong || !matches!(self, Self::Socketpair | Self::SocketpairBlocking)
    }

    /// The command that measures it once.
    pub(crate) fn command(self, measurement: Measurement, schedule: Schedule, cores: Cores) -> Result<Command, Absent> {
        let (own_core, peer_core) = cores.of(measurement.placement)?;
        let pinner = built_beside_us("phalanx-bench-ipc")?;
        let mut command = Command::new(&pinner);
        command.arg("pin").arg(own_core.to_string());
        let seconds = [schedule.counted.as_secs_f64().to_string(), schedule.warm_up.as_secs_f64().to_string()];
        let measure = measurement.measure.word();
        match self.serialization() {
            Some(serialization) => {
                command.arg(node_program()?).arg(node_script("ipc.js")).args(["drive", serialization, measure]);
                command.args(seconds).arg(peer_core.to_string()).arg(&pinner);
            }
            None => {
                command.arg(&pinner).args(["drive", self.word(), measure]);
                command.args(seconds).arg(peer_core.to_string());
            }
        }
        Ok(command)
    }

    fn serialization(self) -> Option<&'static str> {
        match self {
            Self::NodeJson => Some("json"),
            Self::NodeAdvanced => Some("advanced"),
            _ => None,
        }
    }

    /// Its name on the command line of `phalanx-bench-ipc`.
    fn word(self) -> &'static str {
        match self {
            Self::Phalanx => "phalanx",
            Self::Socketpair => "socketpair",
            Self::SocketpairBlocking => "socketpair-blocking",
            Self::IpcChannel => "ipc-channel",
            Self::NodeJson | Self::NodeAdvanced => "node",
        }
    }
}
