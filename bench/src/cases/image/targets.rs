//! What was aimed at.

use super::ImageSettings;
use super::contender::Contender::{self, Phalanx, Sharp, Turbojpeg};
use super::plan::{Job, Part, SCALES, To, Work};
use super::report::Report;
use super::subjects::{Coding, Subject};
use crate::table::{Targets, mebibytes, median, ratio};

/// The photos that the targets speak of: from a telephone or a camera.
const FROM_PIXELS: u64 = 2_000_000;
/// The 20 million pixels of the targets for memory.
const CAMERA_PIXELS: std::ops::Range<u64> = 19_000_000..22_000_000;

pub(super) fn print(settings: &ImageSettings, report: &Report<'_>) {
    let mut targets = Targets::new();
    for part in settings.parts() {
        let jobs = Job::of(part, report.subjects);
        match part {
            Part::Photos => photos(&mut targets, report, &jobs),
            Part::Threads => {
                let of = |job: &Job| report.throughput_beside(*job, Sharp);
                let all: Vec<f64> = plain(report, &jobs, Coding::Baseline).iter().filter_map(of).collect();
                targets.at_least("baseline photos ≥ 2 MP, two threads: ours / sharp, median", 2.0, "×", median(&all));
            }
            Part::Dc => {
                let of = |job: &Job| report.times_ours(*job, Sharp);
                let all: Vec<f64> = jobs.iter().filter_map(of).collect();
                targets.at_least("progressive, only DC needed: sharp / ours, lowest", 5.0, "×", lowest(&all));
            }
            Part::Decoder => decoder(&mut targets, report, &jobs),
            Part::Formats => formats(&mut targets, report, &jobs),
        }
    }
    targets.print();
}

/// The jobs with photos that all contenders show alike, so coded.
fn plain(report: &Report<'_>, jobs: &[Job], coding: Coding) -> Vec<Job> {
    let is_meant = |subject: &Subject| subject.is_plain && subject.coding == coding && subject.pixels >= FROM_PIXELS;
    jobs.iter().copied().filter(|job| is_meant(&report.subjects[job.subject])).collect()
}

fn photos(targets: &mut Targets, report: &Report<'_>, jobs: &[Job]) {
    let beside_sharp = |job: &Job| report.times_ours(*job, Sharp);
    for (coding, aim, floor) in [(Coding::Baseline, 2.0, 1.5), (Coding::Progressive, 1.6, 1.6)] {
        let all: Vec<f64> = plain(report, jobs, coding).iter().filter_map(beside_sharp).collect();
        let name = coding.name();
        targets.at_least(&format!("{name} photos ≥ 2 MP: sharp / ours, median"), aim, "×", median(&all));
        targets.at_least(&format!("{name} photos ≥ 2 MP: sharp / ours, lowest"), floor, "×", lowest(&all));
    }
    let score = |job: &Job, who: Contender| report.scores.get(&(*job, who)).map(|score| score.ssimulacra2);
    let gained: Vec<f64> = jobs.iter().filter_map(|job| Some(score(job, Phalanx)? - score(job, Sharp)?)).collect();
    targets.at_least("SSIMULACRA2: ours − sharp's, lowest", -0.3, "", lowest(&gained));
    let bytes = |job: &Job, who: Contender| report.median(*job, who, |sample| sample.bytes);
    let sizes: Vec<f64> = jobs.iter().filter_map(|job| ratio(bytes(job, Phalanx), bytes(job, Sharp))).collect();
    targets.at_most("bytes: ours / sharp's, highest", 1.02, "×", highest(&sizes));
    for (coding, aim) in [(Coding::Baseline, 12.0), (Coding::Progressive, 24.0)] {
        let meant = plain(report, jobs, coding);
        let camera = meant.iter().filter(|job| CAMERA_PIXELS.contains(&report.subjects[job.subject].pixels));
        let heaps: Vec<f64> = camera.filter_map(|job| report.counted(*job, |sample| sample.heap)).collect();
        let what = format!("memory of a 20 MP job, {}", coding.name());
        targets.at_most(&what, aim, "MiB", highest(&heaps).map(mebibytes));
    }
    let kept: Vec<f64> = jobs
        .iter()
        .filter_map(|job| {
            ratio(report.counted(*job, |sample| sample.heap), report.counted(*job, |sample| sample.announced))
        })
        .collect();
    targets.at_most("memory / announced, highest", 1.0, "×", highest(&kept));
}

fn decoder(targets: &mut Targets, report: &Report<'_>, jobs: &[Job]) {
    for coding in [Coding::Baseline, Coding::Progressive] {
        for (eighths, aim) in SCALES.into_iter().zip([1.8, 1.6, 1.2, 1.0]) {
            let work = Work::Decode { eighths };
            let meant = plain(report, jobs, coding).into_iter().filter(|job| job.work == work);
            let all: Vec<f64> = meant.filter_map(|job| report.times_ours(job, Turbojpeg)).collect();
            let what = format!("{} decoder at {eighths}/8: libjpeg-turbo / ours, median", coding.name());
            targets.at_least(&what, aim, "×", median(&all));
        }
    }
}

fn formats(targets: &mut Targets, report: &Report<'_>, jobs: &[Job]) {
    for (from, to, aim) in [("png", To::Jpeg, 1.2), ("png", To::Png, 1.2), ("webp", To::Jpeg, 0.8)] {
        let is_meant = |job: &&Job| {
            let subject = &report.subjects[job.subject];
            subject.name.ends_with(from) && matches!(job.work, Work::Shrink { to: made, .. } if made == to)
        };
        let of = |job: &Job| report.times_ours(*job, Sharp);
        let all: Vec<f64> = jobs.iter().filter(is_meant).filter_map(of).collect();
        targets.at_least(&format!("{from} to {}: sharp / ours, lowest", to.word()), aim, "×", lowest(&all));
    }
}

fn lowest(values: &[f64]) -> Option<f64> {
    values.iter().copied().min_by(f64::total_cmp)
}

fn highest(values: &[f64]) -> Option<f64> {
    values.iter().copied().max_by(f64::total_cmp)
}
