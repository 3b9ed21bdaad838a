//! `bench task`: one task on threads and in sandboxed processes, beside what one would use instead.

mod contender;
mod plan;
mod report;
mod targets;
mod upload;

use std::io::Write;
use std::path::PathBuf;

use tempfile::NamedTempFile;

use super::cores::Cores;
use super::results::Results;
use super::settings::Timing;
use super::{in_turn, progress};
use crate::peers::{Absent, figures};
use crate::table::number;
use contender::Contender;
use pictures::photos::{self, Photo};
use plan::{Measure, Measurement, Part, Schedule};

const ROUNDS: usize = 5;
const PHOTO_ROUNDS: usize = 7;
const SECONDS: f64 = 0.6;
const PHOTO_SECONDS: f64 = 1.2;
const QUICK_SECONDS: f64 = 0.2;
/// Of each measurement: enough for processes to be warm, and for a full run to take six minutes.
const WARM_UP: std::time::Duration = std::time::Duration::from_millis(200);
/// A telephone's photo and a camera's.
const PHOTOS: [&str; 2] = ["c-", "h-"];

/// Options of this case.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct TaskSettings {
    #[command(flatten)]
    timing: Timing,
    /// Only these contenders
    #[arg(long, value_delimiter = ',')]
    only: Vec<Contender>,
    /// Only these parts
    #[arg(long, value_delimiter = ',')]
    part: Vec<Part>,
    /// Folder of JPEG files [default: PHALANX_PHOTOS, or shared/photos beside the repository, or made pictures]
    #[arg(long)]
    photos: Option<PathBuf>,
    /// Only photos whose names begin so
    #[arg(long, value_delimiter = ',', default_values_t = PHOTOS.map(str::to_owned))]
    photo: Vec<String>,
}

/// The figures of one program, where it has them: see `bench/src/task/figures.rs`.
#[derive(Clone, Copy, Debug, serde::Deserialize)]
struct Sample {
    figure: Option<f64>,
    p50: Option<f64>,
    p99: Option<f64>,
    /// CPU milliseconds, of an upload.
    cpu: Option<f64>,
}

type Samples = Results<(Measurement, Contender), Sample>;

/// A photo, also as a file.
struct Subject {
    photo: Photo,
    file: NamedTempFile,
}

/// Runs the case and prints its tables.
pub(crate) async fn run(settings: &TaskSettings) {
    let (cores, schedule) = (Cores::allowed(), settings.schedule());
    let subjects = match settings.subjects() {
        Ok(subjects) => subjects,
        Err(error) => {
            progress(&format!("the photos cannot be laid out as files: {error}"));
            return;
        }
    };
    let mut samples = Samples::new();
    for round in 0..schedule.rounds.max(schedule.photo_rounds) {
        for measurement in Measurement::all(subjects.len()) {
            if round >= schedule.rounds_of(measurement) || !settings.wants(measurement.measure.part()) {
                continue;
            }
            let subject = measurement.photo.map(|photo| &subjects[photo]);
            for contender in in_turn(&settings.contenders(measurement.measure), round) {
                let sample = one(contender, measurement, subject, schedule, cores).await;
                let said = match &sample {
                    Ok(sample) => number(sample.figure.or(sample.p50)),
                    Err(absent) => absent.to_string(),
                };
                progress(&format!(
                    "round {}, {} {}, {}: {said}",
                    round + 1,
                    measurement.measure.word(),
                    subject.map_or("", |subject| &subject.photo.name),
                    contender.name(measurement.measure.part())
                ));
                samples.add((measurement, contender), sample);
            }
        }
    }
    let names: Vec<String> = subjects.iter().map(|subject| subject.photo.name.clone()).collect();
    report::print(settings, &samples, &names, schedule, cores);
}

impl TaskSettings {
    fn schedule(&self) -> Schedule {
        Schedule {
            rounds: self.timing.rounds(ROUNDS),
            photo_rounds: self.timing.rounds(PHOTO_ROUNDS),
            warm_up: WARM_UP,
            counted: self.timing.duration_or_quick(SECONDS, QUICK_SECONDS),
            photo_counted: self.timing.duration_or_quick(PHOTO_SECONDS, QUICK_SECONDS),
        }
    }

    fn wants(&self, part: Part) -> bool {
        self.part.is_empty() || self.part.contains(&part)
    }

    /// Those that take part in a measure.
    fn contenders(&self, measure: Measure) -> Vec<Contender> {
        self.all().filter(|contender| contender.takes_part_in(measure)).collect()
    }

    fn all(&self) -> impl Iterator<Item = Contender> {
        let all = <Contender as clap::ValueEnum>::value_variants().iter().copied();
        all.filter(|contender| self.only.is_empty() || self.only.contains(contender))
    }

    /// The photos that were asked for; all, if none is named so.
    fn subjects(&self) -> std::io::Result<Vec<Subject>> {
        let all = photos::load(self.photos.as_deref());
        let is_asked_for = |photo: &&Photo| self.photo.iter().any(|start| photo.name.starts_with(start.as_str()));
        let mut chosen: Vec<Photo> = all.iter().filter(is_asked_for).cloned().collect();
        if chosen.is_empty() {
            chosen = all;
        }
        let laid_out = |photo: Photo| {
            let mut file = NamedTempFile::with_prefix("phalanx-bench-photo-")?;
            file.write_all(&photo.jpeg)?;
            Ok(Subject { photo, file })
        };
        chosen.into_iter().map(laid_out).collect()
    }
}

async fn one(
    contender: Contender,
    measurement: Measurement,
    subject: Option<&Subject>,
    schedule: Schedule,
    cores: Cores,
) -> Result<Sample, Absent> {
    if let (Measure::Upload, Some(subject)) = (measurement.measure, subject) {
        return upload::one(contender, &subject.photo, schedule).await;
    }
    let command = contender.command(measurement, subject.map(|subject| subject.file.path()), schedule, cores)?;
    let json = figures(command, schedule.warm_up + schedule.counted_of(measurement)).await?;
    let sample: Sample =
        serde_json::from_value(json.clone()).map_err(|error| Absent(format!("{error} in its figures: {json}")))?;
    if sample.figure.or(sample.p50).is_none() {
        return Err(Absent(format!("it printed no figure: {json}")));
    }
    Ok(sample)
}
