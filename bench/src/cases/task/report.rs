//! The tables of `bench task`.

use super::contender::Contender;
use super::plan::{Measure, Measurement, Part, Schedule};
use super::{Sample, Samples, TaskSettings, targets};
use crate::cases::cores::Cores;
use crate::table::{Table, median, number, print_environment_of, ratio, spread};

const OURS: Contender = Contender::Processes;

pub(super) fn print(settings: &TaskSettings, samples: &Samples, photos: &[String], schedule: Schedule, cores: Cores) {
    println!("## task: one task on threads and in sandboxed processes");
    let parts = || Part::ALL.into_iter().filter(|part| settings.wants(*part));
    let versions = settings.all().filter_map(|contender| {
        let takes_part = |part: &Part| {
            Measurement::all(1).any(|of| of.measure.part() == *part && contender.takes_part_in(of.measure))
        };
        Some((contender.name(parts().find(takes_part)?), contender.versions()))
    });
    print_environment_of(versions);
    println!(
        "- medians of {} rounds of {:?} ({} of {:?} for photos) after {:?} to warm up, all in turn; in brackets the \
         quartiles; one at a time, either side is pinned to a core ({cores:?}); nothing else is pinned",
        schedule.rounds, schedule.counted, schedule.photo_rounds, schedule.photo_counted, schedule.warm_up
    );
    let report = Report { settings, samples };
    for part in parts() {
        match part {
            Part::Empty => report.empty(),
            Part::Payload => report.payload(),
            Part::Fresh => report.fresh(),
            Part::Photo => report.photos(
                Measure::Photo,
                photos,
                "photos to 800 px, JPEG 80: four at a time, two threads or processes",
            ),
            Part::Upload => report.photos(
                Measure::Upload,
                photos,
                "the same by HTTP: four clients, two workers, the client on the same cores",
            ),
        }
    }
    targets::print(settings, samples, photos);
}

struct Report<'a> {
    settings: &'a TaskSettings,
    samples: &'a Samples,
}

impl Report<'_> {
    fn empty(&self) {
        let mut table = Table::new(&[
            "a number in, the number out",
            "one at a time, tasks/s",
            "p50 µs",
            "p99 µs",
            "ours / it",
            "64 at a time on two, tasks/s",
            "ours / it",
        ]);
        let (lone, crowd) = (Measurement::LONE, Measurement::CROWD);
        self.rows(&mut table, &[lone, crowd], |contender| {
            vec![
                self.spread(lone, contender, |sample| sample.figure),
                self.spread(lone, contender, |sample| sample.p50),
                self.spread(lone, contender, |sample| sample.p99),
                self.ours_beside(lone, contender),
                self.spread(crowd, contender, |sample| sample.figure),
                self.ours_beside(crowd, contender),
            ]
        });
        table.print("empty tasks, from an event loop of one thread");
    }

    fn payload(&self) {
        let mut table = Table::new(&[
            "bytes in, the bytes out",
            "1 KiB, MB/s",
            "ours / it",
            "64 KiB, MB/s",
            "ours / it",
            "1 MiB, MB/s",
            "ours / it",
            "16 MiB, MB/s",
            "ours / it",
        ]);
        let measurements = Measure::PAYLOADS.map(Measurement::of);
        self.rows(&mut table, &measurements, |contender| {
            let cells = measurements.map(|measurement| {
                [self.spread(measurement, contender, |sample| sample.figure), self.ours_beside(measurement, contender)]
            });
            cells.concat()
        });
        table.print("payloads: two at a time on two processes; a payload that came back is counted once");
    }

    fn fresh(&self) {
        let mut table = Table::new(&[
            "a pool of one process",
            "built and first result, p50 ms",
            "p99 ms",
            "it / ours",
            "SIGKILL to next result, p50 ms",
            "p99 ms",
            "it / ours",
        ]);
        let (start, crash) = (Measurement::START, Measurement::CRASH);
        let p50 = |measurement, contender| self.samples.median(&(measurement, contender), |sample| sample.p50);
        self.rows(&mut table, &[start, crash], |contender| {
            let cells = [start, crash].map(|measurement| {
                [
                    self.spread(measurement, contender, |sample| Some(sample.p50? / 1e3)),
                    self.spread(measurement, contender, |sample| Some(sample.p99? / 1e3)),
                    number(ratio(p50(measurement, contender), p50(measurement, OURS))),
                ]
            });
            cells.concat()
        });
        table.print("fresh processes: from nothing, and after a crash");
    }

    fn photos(&self, measure: Measure, photos: &[String], title: &str) {
        let mut table = match measure {
            Measure::Upload => {
                Table::new(&["photo", "where", "photos/s", "processes / threads", "CPU ms", "p50 ms", "p99 ms"])
            }
            _ => Table::new(&["photo", "where", "photos/s", "processes / threads"]),
        };
        for (index, photo) in photos.iter().enumerate() {
            let measurement = Measurement { measure, photo: Some(index) };
            for contender in self.settings.contenders(measure) {
                let leading = vec![photo.clone(), contender.name(measure.part()).to_owned()];
                if let Some(absent) = self.samples.absent(&(measurement, contender)) {
                    table.absent(leading, &absent.0);
                    continue;
                }
                let kept = match contender {
                    OURS => self.samples.pairs(&(measurement, OURS), &(measurement, Contender::Threads), kept),
                    _ => Vec::new(),
                };
                let mut cells = vec![self.spread(measurement, contender, |sample| sample.figure), spread(&kept)];
                if measure == Measure::Upload {
                    cells.push(self.spread(measurement, contender, |sample| sample.cpu));
                    cells.push(self.spread(measurement, contender, |sample| Some(sample.p50? / 1e3)));
                    cells.push(self.spread(measurement, contender, |sample| Some(sample.p99? / 1e3)));
                }
                table.row([leading, cells].concat());
            }
        }
        table.print(title);
    }

    /// A row for each contender that takes part, with the cells that `cells` makes.
    fn rows(&self, table: &mut Table, measurements: &[Measurement], cells: impl Fn(Contender) -> Vec<String>) {
        let takes_part = |contender: &Contender| measurements.iter().any(|of| contender.takes_part_in(of.measure));
        for contender in self.settings.all().filter(takes_part) {
            let name = vec![contender.name(measurements[0].measure.part()).to_owned()];
            match measurements.iter().find_map(|measurement| self.samples.absent(&(*measurement, contender))) {
                Some(absent) => table.absent(name, &absent.0),
                None => table.row([name, cells(contender)].concat()),
            }
        }
    }

    fn spread(&self, measurement: Measurement, contender: Contender, of: impl Fn(&Sample) -> Option<f64>) -> String {
        spread(&self.samples.figures(&(measurement, contender), of))
    }

    fn ours_beside(&self, measurement: Measurement, contender: Contender) -> String {
        number(ratio(figure(self.samples, measurement, OURS), figure(self.samples, measurement, contender)))
    }
}

/// The median figure.
pub(super) fn figure(samples: &Samples, measurement: Measurement, contender: Contender) -> Option<f64> {
    samples.median(&(measurement, contender), |sample| sample.figure)
}

/// What processes keep of the throughput of threads: the median of the rounds, each of which is compared with itself.
pub(super) fn kept_by_processes(samples: &Samples, measurement: Measurement) -> Option<f64> {
    median(&samples.pairs(&(measurement, OURS), &(measurement, Contender::Threads), kept))
}

fn kept(processes: &Sample, threads: &Sample) -> Option<f64> {
    ratio(processes.figure, threads.figure)
}
