//! `bench image`: pictures in memory to pictures in memory, beside sharp and libjpeg-turbo; no server, no HTTP.
//!
//! Every contender is a process of its own for every photo and round, so that its peak memory is that photo's; contenders take turns.

mod contender;
mod plan;
mod report;
mod subjects;
mod targets;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use pictures::quality::Score;

use super::results::Results;
use super::settings::Timing;
use super::{in_turn, progress};
use crate::peers::{Absent, figures};
use crate::table::number;
use contender::Contender;
use plan::{Job, Part};
use subjects::{Others, Subject, Subjects};

/// Options of this case.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct ImageSettings {
    #[command(flatten)]
    timing: Timing,
    /// Only these contenders
    #[arg(long, value_delimiter = ',')]
    only: Vec<Contender>,
    /// Only these parts
    #[arg(long, value_delimiter = ',')]
    part: Vec<Part>,
    /// Folder of pictures [default: PHALANX_PHOTOS, or shared/photos beside the repository, or made pictures]
    #[arg(long)]
    photos: Option<PathBuf>,
    /// Only photos whose names begin so
    #[arg(long, value_delimiter = ',')]
    photo: Vec<String>,
    /// Only the photos as they are: none coded otherwise, none of 24 million pixels
    #[arg(long)]
    as_they_are: bool,
    /// No SSIMULACRA2 and PSNR: they take a few seconds for each photo
    #[arg(long)]
    unscored: bool,
}

/// What a contender prints: see `bench/image/src/main.rs`.
#[derive(Clone, Copy, Debug, serde::Deserialize)]
struct Sample {
    /// Milliseconds a picture.
    cpu: f64,
    /// Pictures, by all threads.
    per_second: f64,
    /// Of the result.
    bytes: f64,
    /// Bytes of the process.
    peak: f64,
    /// Bytes that the first picture held at most, where the allocator counts.
    heap: Option<f64>,
    /// Bytes that were announced before.
    announced: Option<f64>,
}

type Key = (Job, Contender);
type Samples = Results<Key, Sample>;
type Scores = BTreeMap<Key, Score>;

const QUICK_SECONDS: f64 = 0.1;

impl ImageSettings {
    fn parts(&self) -> impl Iterator<Item = Part> {
        Part::ALL.into_iter().filter(|part| self.part.is_empty() || self.part.contains(part))
    }

    fn contenders(&self, job: Job) -> Vec<Contender> {
        let all = job.contenders().iter().copied();
        all.filter(|contender| self.only.is_empty() || self.only.contains(contender)).collect()
    }

    fn counted(&self, part: Part) -> Duration {
        self.timing.duration_or_quick(part.seconds(), QUICK_SECONDS)
    }

    fn rounds(&self, part: Part) -> usize {
        self.timing.rounds(part.rounds())
    }
}

/// Runs the case and prints its tables.
pub(crate) async fn run(settings: &ImageSettings) {
    let others = Others { derived: !settings.as_they_are, formats: settings.parts().any(|part| part == Part::Formats) };
    let subjects = match Subjects::new(settings.photos.as_deref(), &settings.photo, others) {
        Ok(subjects) => subjects,
        Err(error) => return progress(&format!("the pictures cannot be laid out as files: {error}")),
    };
    let mut samples = Samples::new();
    for part in settings.parts() {
        for job in Job::of(part, &subjects.all) {
            for round in 0..settings.rounds(part) {
                for contender in in_turn(&settings.contenders(job), round) {
                    let sample = one(&subjects, job, contender, settings.counted(part)).await;
                    let said = match &sample {
                        Ok(sample) => format!("{} ms", number(Some(sample.cpu))),
                        Err(absent) => absent.to_string(),
                    };
                    let name = &subjects.all[job.subject].name;
                    progress(&format!("{name}, {:?}, round {}, {}: {said}", job.work, round + 1, contender.name()));
                    samples.add((job, contender), sample);
                }
            }
        }
    }
    let scores = if settings.unscored { Scores::new() } else { scores(settings, &subjects, &samples) };
    report::print(settings, &subjects.all, &samples, &scores);
}

async fn one(subjects: &Subjects, job: Job, contender: Contender, counted: Duration) -> Result<Sample, Absent> {
    let output = output_of(subjects, job, contender);
    let command = contender.command(job.work, &subjects.all[job.subject].file, counted.as_secs_f64(), &output)?;
    let json = figures(command, counted).await?;
    serde_json::from_value(json.clone()).map_err(|error| Absent(format!("{error} in its figures: {json}")))
}

/// Where `contender` puts what it made.
fn output_of(subjects: &Subjects, job: Job, contender: Contender) -> PathBuf {
    subjects.folder.path().join(format!("{}-{:?}-{}", job.subject, job.part, contender.name()))
}

/// Of all photos that can be compared. A twin has the score of the other.
fn scores(settings: &ImageSettings, subjects: &Subjects, samples: &Samples) -> Scores {
    let mut scores = Scores::new();
    if !settings.parts().any(|part| part == Part::Photos) {
        return scores;
    }
    let is_scored = |subject: &Subject| subject.is_plain && !subject.is_twin;
    for job in Job::of(Part::Photos, &subjects.all).into_iter().filter(|job| is_scored(&subjects.all[job.subject])) {
        let subject = &subjects.all[job.subject];
        progress(&format!("{}: scores", subject.name));
        let mut judge = match subjects::judge(subject) {
            Ok(judge) => judge,
            Err(why) => {
                progress(&format!("{} is not scored: {why}", subject.name));
                continue;
            }
        };
        for contender in settings.contenders(job).into_iter().filter(|who| samples.absent(&(job, *who)).is_none()) {
            let picture = std::fs::read(output_of(subjects, job, contender)).unwrap_or_default();
            match judge.compare(&picture) {
                Ok(score) => drop(scores.insert((job, contender), score)),
                Err(why) => progress(&format!("{} of {} is not scored: {why}", subject.name, contender.name())),
            }
        }
    }
    scores
}
