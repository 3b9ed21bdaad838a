//! What heap profiles cost a program that does nothing but allocate and free, built in and off, and sampling.

use std::process::Command;

use super::super::in_turn;
use super::super::results::Results;
use crate::peers::{Absent, built_beside_us};
use crate::table::{Table, Targets, median, number, ratio, spread};

/// How the program is built and what it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Build {
    Without,
    Off,
    Sampling,
}

impl Build {
    const ALL: [Self; 3] = [Self::Without, Self::Off, Self::Sampling];

    fn name(self) -> &'static str {
        match self {
            Self::Without => "jemalloc",
            Self::Off => "heap profiles built in, off",
            Self::Sampling => "sampling one allocation in 512 KiB",
        }
    }

    /// Nanoseconds of processor time for an allocation and its end.
    fn measure(self) -> Result<f64, Absent> {
        let (program, arguments): (_, &[&str]) = match self {
            Self::Without => ("allocations-with-jemalloc", &[]),
            Self::Off => ("allocations-with-heap-profile", &[]),
            Self::Sampling => ("allocations-with-heap-profile", &["sampled"]),
        };
        let ran = Command::new(built_beside_us(program)?).args(arguments).output();
        let ran = ran.map_err(|error| Absent(format!("cannot run {program}: {error}")))?;
        let text = String::from_utf8_lossy(&ran.stdout);
        text.trim().parse().map_err(|_| Absent(format!("{program} printed no number: {text:?}")))
    }
}

/// Most that profiles which are off may cost, as a ratio.
const MOST_WHEN_OFF: f64 = 1.01;

/// Prints the table.
pub(super) fn run(rounds: usize) {
    let mut measured = Results::new();
    for round in 0..rounds {
        for build in in_turn(&Build::ALL, round) {
            measured.add(build, build.measure());
        }
    }
    let mut table = Table::new(&["build", "ns of CPU, allocate and free", "beside jemalloc, round by round"]);
    for build in Build::ALL {
        let name = vec![build.name().to_owned()];
        if let Some(absent) = measured.absent(&build) {
            table.absent(name, &absent.0);
            continue;
        }
        let cells = vec![number(measured.median(&build, |one| Some(*one))), spread(&beside_jemalloc(&measured, build))];
        table.row([name, cells].concat());
    }
    table.print(&format!("heap profiles in a program that only allocates and frees, {rounds} rounds in turn"));
    let mut targets = Targets::new();
    targets.at_most("built in and off", MOST_WHEN_OFF, "×", median(&beside_jemalloc(&measured, Build::Off)));
    targets.print();
}

fn beside_jemalloc(measured: &Results<Build, f64>, build: Build) -> Vec<f64> {
    measured.pairs(&build, &Build::Without, |with, without| ratio(Some(*with), Some(*without)))
}
