//! What was aimed at.

use super::contender::Contender;
use super::plan::{Measure, Measurement, Part};
use super::report::{figure, kept_by_processes};
use super::{Samples, TaskSettings};
use crate::table::{Targets, ratio};

pub(super) fn print(settings: &TaskSettings, samples: &Samples, photos: &[String]) {
    let mut targets = Targets::new();
    for part in Part::ALL.into_iter().filter(|part| settings.wants(*part)) {
        match part {
            Part::Empty => empty(&mut targets, samples),
            Part::Payload => {}
            Part::Fresh => fresh(&mut targets, samples),
            Part::Photo => photo(&mut targets, samples, Measure::Photo, photos),
            Part::Upload => photo(&mut targets, samples, Measure::Upload, photos),
        }
    }
    targets.print();
}

fn empty(targets: &mut Targets, samples: &Samples) {
    let (lone, crowd) = (Measurement::LONE, Measurement::CROWD);
    let ours = Contender::Processes;
    let p50 = samples.median(&(lone, ours), |sample| sample.p50);
    targets.at_most("an empty task in a process, p50", 15.0, "µs", p50);
    let thousands = figure(samples, crowd, ours).map(|tasks| tasks / 1e3);
    targets.at_least("64 at a time on 2 processes", 100.0, "k tasks/s", thousands);
    for (rival, aim) in [(Contender::Procspawn, 10.0), (Contender::Tinypool, 20.0), (Contender::Workerpool, 20.0)] {
        for (measurement, how) in [(lone, "one at a time"), (crowd, "64 at a time")] {
            let beside = ratio(figure(samples, measurement, ours), figure(samples, measurement, rival));
            targets.at_least(&format!("tasks/s, {how} / {}", rival.name(Part::Empty)), aim, "×", beside);
        }
    }
}

fn fresh(targets: &mut Targets, samples: &Samples) {
    for ours in [Contender::Processes, Contender::ProcessesBare] {
        let p50 = samples.median(&(Measurement::START, ours), |sample| sample.p50);
        let what = format!("{}, first result of a fresh process, p50", ours.name(Part::Fresh));
        targets.at_most(&what, 5.0, "ms", p50.map(|microseconds| microseconds / 1e3));
    }
}

fn photo(targets: &mut Targets, samples: &Samples, measure: Measure, photos: &[String]) {
    for (index, name) in photos.iter().enumerate() {
        let kept = kept_by_processes(samples, Measurement { measure, photo: Some(index) });
        targets.at_least(&format!("{}, {name}: processes / threads", measure.word()), 0.95, "×", kept);
    }
}
