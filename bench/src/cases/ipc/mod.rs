//! `bench ipc`: two processes that exchange messages, each side pinned to its core, beside a bare socket pair,
//! ipc-channel and Node.

mod joined;
mod plan;
mod report;

use super::cores::Cores;
use super::results::Results;
use super::settings::Timing;
use super::{in_turn, progress};
use crate::peers::{Absent, figures};
use crate::table::number;
use joined::Joined;
use plan::{Measure, Measurement, Schedule};

const ROUNDS: usize = 5;
const SECONDS: f64 = 2.0;
const QUICK_SECONDS: f64 = 0.3;

/// Options of this case.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct IpcSettings {
    #[command(flatten)]
    timing: Timing,
    /// Only these pairs
    #[arg(long, value_delimiter = ',')]
    only: Vec<Joined>,
    /// Only these measurements
    #[arg(long, value_delimiter = ',')]
    measure: Vec<Measure>,
}

/// One figure, and the messages that it counts.
#[derive(Clone, Copy, Debug)]
struct Sample {
    figure: f64,
    messages: f64,
}

type Samples = Results<(Measurement, Joined), Sample>;

/// Runs the case and prints its tables.
pub(crate) async fn run(settings: &IpcSettings) {
    let cores = Cores::allowed();
    let rounds = settings.timing.rounds(ROUNDS);
    let schedule = Schedule {
        warm_up: settings.timing.warm_up(),
        counted: settings.timing.duration_or_quick(SECONDS, QUICK_SECONDS),
    };
    let mut results = Samples::new();
    for round in 0..rounds {
        for measurement in Measurement::ALL.into_iter().filter(|measurement| settings.wants(measurement.measure)) {
            for joined in in_turn(&settings.contenders(measurement.measure), round) {
                let sample = one(joined, measurement, schedule, cores).await;
                let said = match &sample {
                    Ok(sample) => number(Some(sample.figure)),
                    Err(absent) => absent.to_string(),
                };
                progress(&format!(
                    "round {}, {} ({:?}), {}: {said}",
                    round + 1,
                    measurement.measure.word(),
                    measurement.placement,
                    joined.name()
                ));
                results.add((measurement, joined), sample);
            }
        }
    }
    report::print(settings, &results, rounds, schedule, cores);
}

impl IpcSettings {
    fn wants(&self, measure: Measure) -> bool {
        self.measure.is_empty() || self.measure.contains(&measure)
    }

    fn contenders(&self, measure: Measure) -> Vec<Joined> {
        self.joined().filter(|joined| joined.takes_part_in(measure)).collect()
    }

    fn joined(&self) -> impl Iterator<Item = Joined> {
        Joined::ALL.into_iter().filter(|joined| self.only.is_empty() || self.only.contains(joined))
    }
}

async fn one(joined: Joined, measurement: Measurement, schedule: Schedule, cores: Cores) -> Result<Sample, Absent> {
    let command = joined.command(measurement, schedule, cores)?;
    let json = figures(command, schedule.warm_up + schedule.counted).await?;
    match (json["figure"].as_f64(), json["messages"].as_f64()) {
        (Some(figure), Some(messages)) => Ok(Sample { figure, messages }),
        _ => Err(Absent(format!("it printed no figure: {json}"))),
    }
}
