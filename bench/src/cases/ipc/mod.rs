//! `bench ipc`: two processes that exchange messages, each side pinned to its core, beside a bare socket pair,
//! ipc-channel and Node.

mod joined;
mod plan;
mod report;

use std::collections::BTreeMap;

use super::cores::Cores;
use super::settings::Timing;
use super::{in_turn, of_samples, progress};
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

/// What came of all rounds.
#[derive(Default)]
struct Results(BTreeMap<(Measurement, Joined), Result<Vec<Sample>, Absent>>);

impl Results {
    /// The median figure.
    fn figure(&self, measurement: Measurement, joined: Joined) -> Option<f64> {
        of_samples(self.samples(measurement, joined), |sample| Some(sample.figure))
    }

    fn messages(&self, measurement: Measurement, joined: Joined) -> Option<f64> {
        of_samples(self.samples(measurement, joined), |sample| Some(sample.messages))
    }

    fn samples(&self, measurement: Measurement, joined: Joined) -> &[Sample] {
        self.0.get(&(measurement, joined)).and_then(|samples| samples.as_deref().ok()).unwrap_or_default()
    }

    fn absent(&self, measurement: Measurement, joined: Joined) -> Option<&Absent> {
        self.0.get(&(measurement, joined))?.as_ref().err()
    }

    fn add(&mut self, measurement: Measurement, joined: Joined, sample: Result<Sample, Absent>) {
        let samples = self.0.entry((measurement, joined)).or_insert_with(|| Ok(Vec::new()));
        match (samples.as_mut(), sample) {
            (Ok(samples), Ok(sample)) => samples.push(sample),
            (_, Err(absent)) => *samples = Err(absent),
            (Err(_), Ok(_)) => {}
        }
    }
}

/// Runs the case and prints its tables.
pub(crate) async fn run(settings: &IpcSettings) {
    let cores = Cores::allowed();
    let rounds = settings.timing.rounds(ROUNDS);
    let schedule = Schedule {
        warm_up: settings.timing.warm_up(),
        counted: settings.timing.duration_or_quick(SECONDS, QUICK_SECONDS),
    };
    let mut results = Results::default();
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
                results.add(measurement, joined, sample);
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
