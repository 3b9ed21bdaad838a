//! Who is compared, and how each is started.

use std::process::Command;

use clap::ValueEnum;

use super::plan::{Measure, Measurement, Part, Schedule};
use crate::cases::cores::{Cores, Placement};
use crate::peers::{
    Absent, built_beside_us, crate_version, node_program, node_script, node_script_with_packages, node_version,
    package_version, phalanx_version,
};

const PROGRAM: &str = "phalanx-bench-thread";
const HOW_TO_HAVE_ICEORYX2: &str = "left out because it is heavy to build; with it: \
     `cargo build --release -p phalanx-bench --bins --features iceoryx2 && target/release/phalanx-bench thread`";

/// Ours or a rival's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Contender {
    /// Ours; where processes or threads can be used, two threads
    Phalanx,
    /// The pool with both deadlines and a priority on every job
    PhalanxFull,
    /// The port that every worker has
    PhalanxWorker,
    /// The port on threads without an event loop
    PhalanxBlocking,
    /// Shared words, two processes
    PhalanxProcesses,
    /// The ring, with waits that never end by themselves
    PhalanxForever,
    /// `tokio::task::spawn_blocking`
    SpawnBlocking,
    /// rayon and a oneshot
    Rayon,
    /// kanal and a oneshot
    Kanal,
    /// crossbeam-channel; for a pool, and a oneshot
    Crossbeam,
    /// `tokio::sync::mpsc`
    TokioMpsc,
    /// Bare atomics and a bare futex, two threads
    Futex,
    /// Bare atomics and a bare futex, two processes
    FutexProcesses,
    /// Bare shared memory that both processes look at without a pause
    SpinningProcesses,
    /// The crate ipc-channel
    IpcChannel,
    /// The crate iceoryx2, if it is built in
    Iceoryx2,
    /// worker_threads, MessagePort, Atomics; for the pool, piscina
    Node,
    /// piscina, told to give its thread all 64 tasks at once
    NodeMany,
}

impl Contender {
    pub(super) fn name(self, part: Part) -> &'static str {
        match (self, part) {
            (Self::Phalanx, Part::Pool) => "phalanx ThreadPool",
            (Self::Phalanx, Part::Worker) => "phalanx Worker",
            (Self::Phalanx, Part::Port) => "phalanx MessagePort",
            (Self::Phalanx, Part::Words) => "phalanx View, threads",
            (Self::Phalanx, Part::Ring) => "phalanx RingSender, RingReceiver",
            (Self::PhalanxFull, _) => "phalanx ThreadPool, all on",
            (Self::PhalanxWorker, _) => "phalanx Worker's port",
            (Self::PhalanxBlocking, _) => "phalanx MessagePort, blocking",
            (Self::PhalanxProcesses, _) => "phalanx View, processes",
            (Self::PhalanxForever, _) => "phalanx, without deadlines",
            (Self::SpawnBlocking, _) => "tokio spawn_blocking",
            (Self::Rayon, _) => "rayon + oneshot",
            (Self::Kanal, _) => "kanal + oneshot",
            (Self::Crossbeam, Part::Pool) => "crossbeam-channel + oneshot",
            (Self::Crossbeam, _) => "crossbeam-channel, blocking",
            (Self::TokioMpsc, _) => "tokio mpsc",
            (Self::Futex, _) => "bare futex, threads",
            (Self::FutexProcesses, Part::Ring) => "bare futex",
            (Self::FutexProcesses, _) => "bare futex, processes",
            (Self::SpinningProcesses, _) => "bare memory, spinning",
            (Self::IpcChannel, _) => "ipc-channel",
            (Self::Iceoryx2, _) => "iceoryx2",
            (Self::Node, Part::Pool) => "piscina",
            (Self::Node, Part::Worker) => "worker_threads",
            (Self::Node, Part::Port) => "postMessage",
            (Self::Node, _) => "Atomics",
            (Self::NodeMany, _) => "piscina, concurrentTasksPerWorker 64",
        }
    }

    /// The crate or package beside the standard library, with the version that is built or installed.
    pub(super) fn versions(self) -> Option<String> {
        let of_crate = |name: &str| Some(format!("{name} {}", crate_version(name).unwrap_or_default()));
        match self {
            Self::Phalanx => Some(phalanx_version()),
            Self::SpawnBlocking => of_crate("tokio"),
            Self::Rayon => of_crate("rayon"),
            Self::Kanal => of_crate("kanal"),
            Self::Crossbeam => of_crate("crossbeam-channel"),
            Self::TokioMpsc => of_crate("tokio"),
            Self::IpcChannel => of_crate("ipc-channel"),
            Self::Iceoryx2 if cfg!(feature = "iceoryx2") => of_crate("iceoryx2"),
            Self::Node => {
                let piscina = package_version("piscina").map(|version| format!(", piscina {version}"));
                Some(node_version() + &piscina.unwrap_or_default())
            }
            _ => None,
        }
    }

    pub(super) fn takes_part_in(self, measurement: Measurement) -> bool {
        match measurement.measure.part() {
            Part::Pool => match self {
                // It has one task at a time there, whatever it was told.
                Self::NodeMany => measurement.measure == Measure::PoolCrowd,
                _ => matches!(
                    self,
                    Self::Phalanx
                        | Self::PhalanxFull
                        | Self::SpawnBlocking
                        | Self::Rayon
                        | Self::Kanal
                        | Self::Crossbeam
                        | Self::Node
                ),
            },
            Part::Worker => matches!(self, Self::Phalanx | Self::Node),
            Part::Port => matches!(
                self,
                Self::Phalanx
                    | Self::PhalanxWorker
                    | Self::PhalanxBlocking
                    | Self::TokioMpsc
                    | Self::Crossbeam
                    | Self::Node
            ),
            Part::Words => {
                matches!(self, Self::Phalanx | Self::PhalanxProcesses | Self::Futex | Self::FutexProcesses | Self::Node)
            }
            Part::Ring => match self {
                // On one core, whoever spins waits for the one that it keeps from running.
                Self::SpinningProcesses => measurement.placement == Placement::CoreEach,
                _ => matches!(
                    self,
                    Self::Phalanx | Self::PhalanxForever | Self::FutexProcesses | Self::IpcChannel | Self::Iceoryx2
                ),
            },
        }
    }

    /// The command that measures it once.
    pub(super) fn command(self, measurement: Measurement, schedule: Schedule, cores: Cores) -> Result<Command, Absent> {
        let (own_core, peer_core) = cores.of(measurement.placement)?;
        let program = built_beside_us(PROGRAM)?;
        let mut command = match self {
            Self::Iceoryx2 if !cfg!(feature = "iceoryx2") => return Err(Absent(HOW_TO_HAVE_ICEORYX2.into())),
            Self::Node | Self::NodeMany => {
                let mut command = Command::new(node_program()?);
                command.arg(match measurement.measure {
                    Measure::PoolLone | Measure::PoolCrowd => node_script_with_packages("thread.js")?,
                    _ => node_script("thread.js"),
                });
                command
            }
            _ => {
                let mut command = Command::new(&program);
                command.args(["drive", &self.word()]);
                command
            }
        };
        command.arg(match self {
            Self::NodeMany => format!("{}-many", measurement.measure.word()),
            _ => measurement.measure.word(),
        });
        command.arg(schedule.counted.as_secs_f64().to_string()).arg(schedule.warm_up.as_secs_f64().to_string());
        command.args([schedule.cycles.to_string(), own_core.to_string(), peer_core.to_string()]);
        if matches!(self, Self::Node | Self::NodeMany) {
            command.arg(program);
        }
        Ok(command)
    }

    /// Its name on the command line of `phalanx-bench-thread`.
    fn word(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}
