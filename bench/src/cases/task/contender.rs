//! Who is compared, and how each is started.

use std::path::Path;
use std::process::Command;

use clap::ValueEnum;

use super::plan::{Measure, Measurement, Part, Schedule};
use crate::cases::cores::{Cores, Placement};
use crate::peers::{
    Absent, built_beside_us, crate_version, node_program, node_script_with_packages, node_version, package_version,
    phalanx_version,
};

const PROGRAM: &str = "phalanx-bench-task";
/// It keeps Node's threads on their cores.
const PINNER: &str = "phalanx-bench-thread";

/// Ours or a rival's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Contender {
    /// `ProcessPool`, fully sandboxed
    Processes,
    /// `ProcessPool` without a sandbox
    ProcessesBare,
    /// `ThreadPool` through `Executor`
    Threads,
    /// `ThreadPool::spawn`
    Spawn,
    /// The pool of the crate procspawn
    Procspawn,
    /// tinypool, `runtime: 'child_process'`
    Tinypool,
    /// workerpool, `workerType: 'process'`
    Workerpool,
    /// piscina: threads
    Piscina,
}

impl Contender {
    pub(super) fn name(self, part: Part) -> &'static str {
        match (self, part) {
            (Self::Processes, Part::Upload) => "phalanx serve --isolate process",
            (Self::Threads, Part::Upload) => "phalanx serve --isolate thread",
            (Self::Processes, _) => "phalanx ProcessPool, sandboxed",
            (Self::ProcessesBare, _) => "phalanx ProcessPool, no sandbox",
            (Self::Threads, _) => "phalanx ThreadPool, as executor",
            (Self::Spawn, _) => "phalanx ThreadPool, spawn",
            (Self::Procspawn, _) => "procspawn Pool",
            (Self::Tinypool, _) => "tinypool, child_process",
            (Self::Workerpool, _) => "workerpool, process",
            (Self::Piscina, _) => "piscina (threads)",
        }
    }

    /// Names and versions of what it is made of.
    pub(super) fn versions(self) -> String {
        let of_package =
            |name: &str| format!("{}, {name} {}", node_version(), package_version(name).unwrap_or_default());
        match self {
            Self::Processes | Self::ProcessesBare | Self::Threads | Self::Spawn => phalanx_version(),
            Self::Procspawn => format!("procspawn {}", crate_version("procspawn").unwrap_or_default()),
            Self::Tinypool => of_package("tinypool"),
            Self::Workerpool => of_package("workerpool"),
            Self::Piscina => of_package("piscina"),
        }
    }

    pub(super) fn takes_part_in(self, measure: Measure) -> bool {
        match measure {
            Measure::Lone | Measure::Crowd => true,
            Measure::Kibibyte | Measure::Kibibytes64 | Measure::Mebibyte | Measure::Mebibytes16 => {
                matches!(self, Self::Processes | Self::Procspawn | Self::Tinypool | Self::Workerpool)
            }
            Measure::Start | Measure::Crash => matches!(
                self,
                Self::Processes | Self::ProcessesBare | Self::Procspawn | Self::Tinypool | Self::Workerpool
            ),
            Measure::Photo | Measure::Upload => matches!(self, Self::Processes | Self::Threads),
        }
    }

    /// The command that measures it once.
    pub(super) fn command(
        self,
        measurement: Measurement,
        photo: Option<&Path>,
        schedule: Schedule,
        cores: Cores,
    ) -> Result<Command, Absent> {
        // Only a lone task is pinned, its two sides to a core each; if there is but one core, it cannot be.
        let (own_core, peer_core) = cores.of(Placement::CoreEach)?;
        let is_of_node = matches!(self, Self::Tinypool | Self::Workerpool | Self::Piscina);
        let mut command = if is_of_node {
            let mut command = Command::new(node_program()?);
            command.arg(node_script_with_packages("task.js")?);
            command
        } else {
            let mut command = Command::new(built_beside_us(PROGRAM)?);
            command.arg("drive");
            command
        };
        command.args([self.word(), measurement.measure.word()]);
        command.arg(schedule.counted_of(measurement).as_secs_f64().to_string());
        command.arg(schedule.warm_up.as_secs_f64().to_string());
        command.args([own_core.to_string(), peer_core.to_string()]);
        if is_of_node {
            command.arg(built_beside_us(PINNER)?);
        }
        command.args(photo);
        Ok(command)
    }

    /// Its name on the command lines of `phalanx-bench-task` and `task.js`.
    fn word(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}
