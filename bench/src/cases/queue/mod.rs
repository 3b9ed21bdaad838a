//! `bench queue`: durable jobs and messages, beside what one would use instead and beside the least that they can cost.

mod contender;
mod plan;
mod report;
mod targets;
mod venue;

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use super::results::Results;
use super::settings::Timing;
use super::{in_turn, progress};
use crate::peers::{Absent, built_beside_us, figures};
use crate::table::number;
use contender::{Contender, PROGRAM};
use plan::{Measure, Part, Schedule};
use venue::{Broker, Venue, folder};

const ROUNDS: usize = 3;
const SECONDS: f64 = 3.0;
const QUICK_SECONDS: f64 = 0.5;
/// Of the raw disk, before each round of a part.
const DISK_SECONDS: f64 = 1.0;
/// Node loads its packages, a group of consumers meets, a queue is emptied.
const START: Duration = Duration::from_secs(30);

/// Options of this case.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct QueueSettings {
    #[command(flatten)]
    timing: Timing,
    /// Only these contenders
    #[arg(long, value_delimiter = ',')]
    only: Vec<Contender>,
    /// Only these parts
    #[arg(long, value_delimiter = ',')]
    part: Vec<Part>,
}

/// What one program printed: `bench/src/queue/drive.rs`, and of the disk `disk.rs`.
#[derive(Clone, Copy, Debug, serde::Deserialize)]
struct Sample {
    /// Jobs or messages a second; of the disk, records.
    figure: f64,
    /// Microseconds to the result or acknowledgement.
    p50: f64,
    p99: f64,
    /// Microseconds until the queue has confirmed.
    enqueue_p50: Option<f64>,
    enqueue_p99: Option<f64>,
}

/// Samples by what was measured in whom; the disk has a key of its own for each part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Disk(Part),
    Of(Measure, Contender),
}

type Samples = Results<Key, Sample>;

/// Runs the case and prints its tables.
pub(crate) async fn run(settings: &QueueSettings) {
    let schedule = settings.schedule();
    let mut samples = Samples::new();
    let mut brokers = BTreeMap::new();
    for part in Part::ALL.into_iter().filter(|part| settings.has(*part)) {
        match Broker::start(part) {
            Ok(broker) => {
                brokers.extend(broker.version().map(|version| (part, version)));
                run_part(part, &broker, settings, schedule, &mut samples).await;
            }
            Err(absent) => {
                progress(&format!("{part:?}: {absent}"));
                let contenders = settings.contenders(part);
                let keys = part.measures().iter().flat_map(|measure| contenders.iter().map(move |of| (*measure, *of)));
                keys.for_each(|(measure, contender)| samples.add(Key::Of(measure, contender), Err(absent.clone())));
            }
        }
    }
    report::print(settings, &samples, &brokers, schedule);
}

async fn run_part(part: Part, broker: &Broker, settings: &QueueSettings, schedule: Schedule, samples: &mut Samples) {
    let contenders = settings.contenders(part);
    let mut number_of_queue = 0;
    for round in 0..schedule.rounds {
        let disk = disk().await;
        progress(&format!("round {}, {part:?}, appended and synced: {}", round + 1, said(&disk)));
        samples.add(Key::Disk(part), disk);
        for measure in part.measures() {
            for contender in in_turn(&contenders, round) {
                number_of_queue += 1;
                let sample = one(contender, *measure, broker, number_of_queue, schedule).await;
                progress(&format!("round {}, {}, {}: {}", round + 1, measure.name(), contender.name(), said(&sample)));
                samples.add(Key::Of(*measure, contender), sample);
            }
        }
    }
}

fn said(sample: &Result<Sample, Absent>) -> String {
    sample.as_ref().map_or_else(Absent::to_string, |sample| format!("{} /s", number(Some(sample.figure))))
}

async fn one(
    contender: Contender,
    measure: Measure,
    broker: &Broker,
    number: usize,
    schedule: Schedule,
) -> Result<Sample, Absent> {
    let venue = Venue::of(contender, broker, number)?;
    let command = contender.command(measure, &venue, schedule)?;
    sample(command, START + schedule.warm_up + schedule.counted).await
}

async fn disk() -> Result<Sample, Absent> {
    let folder = folder()?;
    let mut command = Command::new(built_beside_us(PROGRAM)?);
    command.arg("disk").arg(folder.path()).arg(DISK_SECONDS.to_string());
    sample(command, Duration::from_secs_f64(DISK_SECONDS)).await
}

async fn sample(command: Command, measuring: Duration) -> Result<Sample, Absent> {
    let json = figures(command, measuring).await?;
    let sample: Sample =
        serde_json::from_value(json.clone()).map_err(|error| Absent(format!("{error} in its figures: {json}")))?;
    if sample.figure > 0.0 { Ok(sample) } else { Err(Absent("nothing was done in the time that was counted".into())) }
}

impl QueueSettings {
    fn schedule(&self) -> Schedule {
        Schedule {
            rounds: self.timing.rounds(ROUNDS),
            warm_up: self.timing.warm_up(),
            counted: self.timing.duration_or_quick(SECONDS, QUICK_SECONDS),
        }
    }

    /// A part without contenders needs no broker.
    fn has(&self, part: Part) -> bool {
        (self.part.is_empty() || self.part.contains(&part)) && !self.contenders(part).is_empty()
    }

    fn contenders(&self, part: Part) -> Vec<Contender> {
        let all = <Contender as clap::ValueEnum>::value_variants().iter().copied();
        all.filter(|contender| contender.part() == part)
            .filter(|contender| self.only.is_empty() || self.only.contains(contender))
            .collect()
    }
}
