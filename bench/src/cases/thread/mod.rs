//! `bench thread`: a pool, worker threads, ports, shared words and a ring, beside what one would use instead.

mod contender;
mod plan;
mod report;
mod targets;

use super::cores::Cores;
use super::results::Results;
use super::settings::Timing;
use super::{in_turn, progress};
use crate::peers::{Absent, figures};
use crate::table::number;
use contender::Contender;
use plan::{Measurement, Part, Schedule};

const ROUNDS: usize = 5;
const SECONDS: f64 = 2.0;
const QUICK_SECONDS: f64 = 0.3;
const CYCLES: u32 = 1000;
const QUICK_CYCLES: u32 = 20;

/// Options of this case.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct ThreadSettings {
    #[command(flatten)]
    timing: Timing,
    /// Only these contenders
    #[arg(long, value_delimiter = ',')]
    only: Vec<Contender>,
    /// Only these parts
    #[arg(long, value_delimiter = ',')]
    part: Vec<Part>,
    /// Workers created and ended one after the other, to see what memory stays behind [default: 1000]
    #[arg(long)]
    cycles: Option<u32>,
}

/// The figures of one program, where it has them: see `bench/src/thread/figures.rs`.
#[derive(Clone, Copy, Debug, serde::Deserialize)]
struct Sample {
    figure: Option<f64>,
    p50: Option<f64>,
    p99: Option<f64>,
    per_second: Option<f64>,
}

type Samples = Results<(Measurement, Contender), Sample>;

/// Runs the case and prints its tables.
pub(crate) async fn run(settings: &ThreadSettings) {
    let cores = Cores::allowed();
    let rounds = settings.timing.rounds(ROUNDS);
    let schedule = settings.schedule();
    let mut samples = Samples::new();
    for round in 0..rounds {
        for measurement in settings.measurements() {
            for contender in in_turn(&settings.contenders(measurement), round) {
                let sample = one(contender, measurement, schedule, cores).await;
                let said = match &sample {
                    Ok(sample) => number(sample.figure.or(sample.p50)),
                    Err(absent) => absent.to_string(),
                };
                progress(&format!(
                    "round {}, {} ({:?}), {}: {said}",
                    round + 1,
                    measurement.measure.word(),
                    measurement.placement,
                    contender.name(measurement.measure.part())
                ));
                samples.add((measurement, contender), sample);
            }
        }
    }
    report::print(settings, &samples, rounds, schedule, cores);
}

impl ThreadSettings {
    fn schedule(&self) -> Schedule {
        Schedule {
            warm_up: self.timing.warm_up(),
            counted: self.timing.duration_or_quick(SECONDS, QUICK_SECONDS),
            cycles: self.cycles.unwrap_or(self.timing.count_or_quick(CYCLES, QUICK_CYCLES)).max(1),
        }
    }

    fn wants(&self, part: Part) -> bool {
        self.part.is_empty() || self.part.contains(&part)
    }

    fn measurements(&self) -> impl Iterator<Item = Measurement> {
        Measurement::ALL.into_iter().filter(|measurement| self.wants(measurement.measure.part()))
    }

    /// Those that take part in a measurement.
    fn contenders(&self, measurement: Measurement) -> Vec<Contender> {
        self.all().filter(|contender| contender.takes_part_in(measurement)).collect()
    }

    fn all(&self) -> impl Iterator<Item = Contender> {
        let all = <Contender as clap::ValueEnum>::value_variants().iter().copied();
        all.filter(|contender| self.only.is_empty() || self.only.contains(contender))
    }
}

async fn one(
    contender: Contender,
    measurement: Measurement,
    schedule: Schedule,
    cores: Cores,
) -> Result<Sample, Absent> {
    let command = contender.command(measurement, schedule, cores)?;
    let json = figures(command, schedule.of(measurement.measure)).await?;
    let sample: Sample =
        serde_json::from_value(json.clone()).map_err(|error| Absent(format!("{error} in its figures: {json}")))?;
    if sample.figure.or(sample.p50).is_none() {
        return Err(Absent(format!("it printed no figure: {json}")));
    }
    Ok(sample)
}
