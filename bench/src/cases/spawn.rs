//! `bench spawn`: how fast a program is started and waited for, from a small parent and a large one, and for how long
//! that stops the parent's event loop.

use std::collections::BTreeMap;
use std::process::Command;

use super::settings::Timing;
use super::{in_turn, of_samples, progress};
use crate::peers::{
    Absent, built_beside_us, figures, node_program, node_script, node_version, phalanx_version, rustc_version,
};
use crate::table::{Table, Targets, number, print_environment_of, ratio};

const ROUNDS: usize = 5;
const SECONDS: f64 = 2.0;
const QUICK_SECONDS: f64 = 0.5;
const LARGE_MEBIBYTES: usize = 1024;
/// A large parent is to be no slower than a small one; so far two runs of the same thing differ.
const NO_SLOWER: f64 = 0.95;

/// Options of this case.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct SpawnSettings {
    #[command(flatten)]
    timing: Timing,
    /// Only these ways
    #[arg(long, value_delimiter = ',')]
    only: Vec<Way>,
}

/// What starts the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Way {
    /// `phalanx_process::Command`, awaited
    Phalanx,
    /// `phalanx_process::blocking`
    PhalanxBlocking,
    /// `std::process::Command`
    Std,
    /// `tokio::process::Command`
    Tokio,
    /// `child_process.spawn`
    Node,
}

impl Way {
    const ALL: [Way; 5] = [Way::Phalanx, Way::PhalanxBlocking, Way::Std, Way::Tokio, Way::Node];

    fn name(self) -> &'static str {
        match self {
            Self::Phalanx => "phalanx Command",
            Self::PhalanxBlocking => "phalanx blocking",
            Self::Std => "std::process::Command",
            Self::Tokio => "tokio::process::Command",
            Self::Node => "child_process.spawn",
        }
    }

    fn versions(self) -> String {
        match self {
            Self::Phalanx | Self::PhalanxBlocking => phalanx_version(),
            Self::Std => rustc_version(),
            Self::Tokio => "tokio 1".into(),
            Self::Node => node_version(),
        }
    }

    fn has_an_event_loop(self) -> bool {
        !matches!(self, Self::PhalanxBlocking | Self::Std)
    }

    fn command(self, measurement: Measurement, seconds: f64) -> Result<Command, Absent> {
        let mut command = match self {
            Self::Node => {
                let mut command = Command::new(node_program()?);
                command.arg(node_script("spawn.js"));
                command
            }
            _ => {
                let word = match self {
                    Self::Phalanx => "phalanx",
                    Self::PhalanxBlocking => "phalanx-blocking",
                    Self::Tokio => "tokio",
                    _ => "std",
                };
                let mut command = Command::new(built_beside_us("phalanx-bench-spawn")?);
                command.arg(word);
                command
            }
        };
        command
            .arg(measurement.measure.word())
            .arg(seconds.to_string())
            .arg(measurement.parent.mebibytes().to_string());
        Ok(command)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Measure {
    One,
    Eight,
    Pause,
}

impl Measure {
    /// Its name on the command lines of both `phalanx-bench-spawn` and `spawn.js`.
    fn word(self) -> &'static str {
        match self {
            Self::One => "one",
            Self::Eight => "eight",
            Self::Pause => "pause",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Parent {
    Small,
    Large,
}

impl Parent {
    fn mebibytes(self) -> usize {
        if self == Self::Large { LARGE_MEBIBYTES } else { 0 }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Measurement {
    measure: Measure,
    parent: Parent,
}

impl Measurement {
    const ALL: [Self; 6] = [
        Self::of(Measure::One, Parent::Small),
        Self::of(Measure::One, Parent::Large),
        Self::of(Measure::Eight, Parent::Small),
        Self::of(Measure::Eight, Parent::Large),
        Self::of(Measure::Pause, Parent::Small),
        Self::of(Measure::Pause, Parent::Large),
    ];

    const fn of(measure: Measure, parent: Parent) -> Self {
        Self { measure, parent }
    }

    fn words(self) -> String {
        format!("{} from a parent with {} MiB", self.measure.word(), self.parent.mebibytes())
    }
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    per_second: f64,
    pause_p50: f64,
    pause_p99: f64,
}

type Results = BTreeMap<(Measurement, Way), Result<Vec<Sample>, Absent>>;

/// Runs the case and prints its tables.
pub(crate) async fn run(settings: &SpawnSettings) {
    let rounds = settings.timing.rounds(ROUNDS);
    let seconds = settings.timing.duration_or_quick(SECONDS, QUICK_SECONDS);
    let ways: Vec<Way> =
        Way::ALL.into_iter().filter(|way| settings.only.is_empty() || settings.only.contains(way)).collect();
    let mut results = Results::new();
    for round in 0..rounds {
        for measurement in Measurement::ALL {
            for way in in_turn(&ways, round) {
                if measurement.measure == Measure::Pause && !way.has_an_event_loop() {
                    continue;
                }
                let sample = match way.command(measurement, seconds.as_secs_f64()) {
                    Ok(command) => figures(command, seconds).await.and_then(|json| read(&json)),
                    Err(absent) => Err(absent),
                };
                let said = sample.as_ref().map_or_else(Absent::to_string, |sample| number(Some(sample.per_second)));
                progress(&format!("round {}, {}, {}: {said}", round + 1, measurement.words(), way.name()));
                let samples = results.entry((measurement, way)).or_insert_with(|| Ok(Vec::new()));
                match (samples.as_mut(), sample) {
                    (Ok(samples), Ok(sample)) => samples.push(sample),
                    (_, Err(absent)) => *samples = Err(absent),
                    (Err(_), Ok(_)) => {}
                }
            }
        }
    }
    println!("## spawn: /bin/true, started and waited for");
    print_environment_of(ways.iter().map(|way| (way.name(), way.versions())));
    println!(
        "- standard streams are /dev/null; nobody is pinned; the large parent holds {LARGE_MEBIBYTES} MiB, all of it written to; \
         medians of {rounds} rounds of {seconds:?}"
    );
    print_rates(&ways, &results);
    print_pauses(&ways, &results);
    print_targets(&results);
}

fn read(json: &serde_json::Value) -> Result<Sample, Absent> {
    match [&json["figure"], &json["p50"], &json["p99"]].map(serde_json::Value::as_f64) {
        [Some(per_second), Some(pause_p50), Some(pause_p99)] => Ok(Sample { per_second, pause_p50, pause_p99 }),
        _ => Err(Absent(format!("it printed no figures: {json}"))),
    }
}

fn median_of(results: &Results, measure: Measure, parent: Parent, way: Way, figure: fn(&Sample) -> f64) -> Option<f64> {
    let samples = results.get(&(Measurement::of(measure, parent), way))?.as_ref().ok()?;
    of_samples(samples, |sample| Some(figure(sample)))
}

fn rate(results: &Results, measure: Measure, parent: Parent, way: Way) -> Option<f64> {
    median_of(results, measure, parent, way, |sample| sample.per_second)
}

/// Why `way` gave no figures, if any of its measurements failed.
fn absent(results: &Results, way: Way) -> Option<&Absent> {
    results.iter().find_map(|((_, of), samples)| samples.as_ref().err().filter(|_| *of == way))
}

fn print_rates(ways: &[Way], results: &Results) {
    let mut table = Table::new(&[
        "programs a second",
        "one after the other",
        "with 1 GiB resident",
        "large / small",
        "eight at once",
        "with 1 GiB resident",
        "large / small",
    ]);
    for way in ways {
        let name = vec![way.name().to_owned()];
        if let Some(absent) = absent(results, *way) {
            table.absent(name, &absent.0);
            continue;
        }
        let cells = [Measure::One, Measure::Eight].map(|measure| {
            let [small, large] = [Parent::Small, Parent::Large].map(|parent| rate(results, measure, parent, *way));
            [number(small), number(large), number(ratio(large, small))]
        });
        table.row([name, cells.concat()].concat());
    }
    table.print("rates");
}

fn print_pauses(ways: &[Way], results: &Results) {
    let mut table = Table::new(&[
        "longest pause of the event loop during one spawn, µs",
        "p50",
        "p99",
        "with 1 GiB resident: p50",
        "p99",
        "programs a second meanwhile",
    ]);
    for way in ways.iter().filter(|way| way.has_an_event_loop()) {
        let name = vec![way.name().to_owned()];
        if let Some(absent) = absent(results, *way) {
            table.absent(name, &absent.0);
            continue;
        }
        let cells = [Parent::Small, Parent::Large].map(|parent| {
            let median = |figure| number(median_of(results, Measure::Pause, parent, *way, figure));
            [median(|sample| sample.pause_p50), median(|sample| sample.pause_p99)]
        });
        let meanwhile = number(rate(results, Measure::Pause, Parent::Small, *way));
        table.row([name, cells.concat(), vec![meanwhile]].concat());
    }
    table.print("the event loop");
}

fn print_targets(results: &Results) {
    let mut targets = Targets::new();
    for (measure, how) in [(Measure::One, "one after the other"), (Measure::Eight, "eight at once")] {
        let of = |parent, way| rate(results, measure, parent, way);
        for way in [Way::Phalanx, Way::PhalanxBlocking] {
            let ours = of(Parent::Small, way);
            let name = way.name();
            targets.at_least(&format!("{name}, {how} / std"), 1.0, "×", ratio(ours, of(Parent::Small, Way::Std)));
            targets.at_least(&format!("{name}, {how} / Node"), 1.8, "×", ratio(ours, of(Parent::Small, Way::Node)));
            let large = ratio(of(Parent::Large, way), ours);
            targets.at_least(&format!("{name}, {how}: parent of 1 GiB / small parent"), NO_SLOWER, "×", large);
        }
    }
    targets.print();
}
