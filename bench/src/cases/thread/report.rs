//! The tables of `bench thread`.

use super::contender::Contender;
use super::plan::{Measurement, Part, Schedule};
use super::{Samples, ThreadSettings, targets};
use crate::cases::cores::Cores;
use crate::table::{Table, number, print_environment_of, ratio};

const MICROSECONDS: f64 = 1e6;

pub(super) fn print(settings: &ThreadSettings, samples: &Samples, rounds: usize, schedule: Schedule, cores: Cores) {
    println!("## thread: a pool, workers, ports, shared words and a ring");
    let parts = || Part::ALL.into_iter().filter(|part| settings.wants(*part));
    let versions = settings.all().filter_map(|contender| {
        let of = |part| Measurement::ALL.iter().any(|m| m.measure.part() == part && contender.takes_part_in(*m));
        let part = parts().find(|part| of(*part))?;
        Some((contender.name(part), contender.versions()?))
    });
    print_environment_of(versions);
    println!(
        "- sides have a core each or share one ({cores:?}), by sched_setaffinity of each thread; workers that are started \
         and ended are not pinned; medians of {rounds} rounds of {:?} after {:?} to warm up, all in turn",
        schedule.counted, schedule.warm_up
    );
    let report = Report { settings, samples };
    for part in parts() {
        match part {
            Part::Pool => report.pool(),
            Part::Worker => report.worker(schedule.cycles),
            Part::Port => report.port(),
            Part::Words => report.words(),
            Part::Ring => report.ring(),
        }
    }
    targets::print(samples, parts(), schedule.cycles);
}

struct Report<'a> {
    settings: &'a ThreadSettings,
    samples: &'a Samples,
}

impl Report<'_> {
    fn pool(&self) {
        let mut table = Table::new(&[
            "an empty job, one thread",
            "one at a time, jobs/s",
            "p50 µs",
            "p99 µs",
            "ours / it",
            "64 at a time, jobs/s",
            "ours / it",
            "ours, all on / it",
        ]);
        let (lone, crowd) = (Measurement::POOL_LONE, Measurement::POOL_CROWD);
        self.rows(&mut table, &[lone, crowd], |contender| {
            let full = ratio(self.figure(crowd, Contender::PhalanxFull), self.figure(crowd, contender));
            vec![
                number(self.figure(lone, contender)),
                number(self.samples.median(&(lone, contender), |sample| sample.p50)),
                number(self.samples.median(&(lone, contender), |sample| sample.p99)),
                self.ours_beside(lone, contender),
                number(self.figure(crowd, contender)),
                self.ours_beside(crowd, contender),
                number(full),
            ]
        });
        table
            .print("pool: submitted and awaited by an event loop of one thread (all on: two deadlines and a priority)");
    }

    fn worker(&self, cycles: u32) {
        let left = format!("KiB more after {cycles} were created and ended");
        let mut table = Table::new(&[
            "worker thread",
            "start to first message, p50 µs",
            "p99 µs",
            "it / ours",
            "KiB each of 50",
            "it / ours",
            &left,
            "created and ended a second",
        ]);
        let (start, memory, cycles) =
            (Measurement::WORKER_START, Measurement::WORKER_MEMORY, Measurement::WORKER_CYCLES);
        self.rows(&mut table, &[start, memory, cycles], |contender| {
            let p50 = |contender| self.samples.median(&(start, contender), |sample| sample.p50);
            vec![
                number(p50(contender)),
                number(self.samples.median(&(start, contender), |sample| sample.p99)),
                number(ratio(p50(contender), p50(Contender::Phalanx))),
                number(self.figure(memory, contender)),
                number(ratio(self.figure(memory, contender), self.figure(memory, Contender::Phalanx))),
                number(self.figure(cycles, contender)),
                number(self.samples.median(&(cycles, contender), |sample| sample.per_second)),
            ]
        });
        table.print("worker: memory is what is resident (Rss of smaps_rollup); 100 workers came and went before");
    }

    fn port(&self) {
        let mut table = Table::new(&[
            "to another thread and back",
            "a number, round trips/s",
            "µs",
            "ours / it",
            "8 bytes moved",
            "1 MiB moved",
            "1 MiB / 8 bytes",
        ]);
        let (value, eight, mebibyte) = (Measurement::PORT_VALUE, Measurement::PORT_EIGHT, Measurement::PORT_MEBIBYTE);
        self.rows(&mut table, &[value, eight, mebibyte], |contender| {
            vec![
                number(self.figure(value, contender)),
                self.microseconds(value, contender),
                self.ours_beside(value, contender),
                number(self.figure(eight, contender)),
                number(self.figure(mebibyte, contender)),
                number(ratio(self.figure(mebibyte, contender), self.figure(eight, contender))),
            ]
        });
        table.print("port: a core each; an event loop on either side unless it says blocking");
    }

    fn words(&self) {
        let mut table = Table::new(&[
            "words of 32 bits",
            "both add to one, M/s",
            "wait and notify, one core, round trips/s",
            "ours / it",
            "a core each",
            "ours / it",
            "spinning, a core each, round trips/s",
            "ours / it",
        ]);
        let [add, together, apart, spin] =
            [Measurement::ADD, Measurement::WAIT_ON_ONE_CORE, Measurement::WAIT, Measurement::SPIN];
        self.rows(&mut table, &[add, together, apart, spin], |contender| {
            vec![
                number(self.figure(add, contender).map(|adds| adds / 1e6)),
                number(self.figure(together, contender)),
                self.ours_beside(together, contender),
                number(self.figure(apart, contender)),
                self.ours_beside(apart, contender),
                number(self.figure(spin, contender)),
                self.ours_beside(spin, contender),
            ]
        });
        table.print("words: additions with a core each; on one core whoever waits sleeps");
    }

    fn ring(&self) {
        let mut table = Table::new(&[
            "64 bytes to another process and back",
            "round trips/s, a core each",
            "µs",
            "ours / it",
            "round trips/s, one core",
            "µs",
            "ours / it",
        ]);
        let (apart, together) = (Measurement::RING, Measurement::RING_ON_ONE_CORE);
        self.rows(&mut table, &[apart, together], |contender| {
            let cells = [apart, together].map(|measurement| {
                [
                    number(self.figure(measurement, contender)),
                    self.microseconds(measurement, contender),
                    self.ours_beside(measurement, contender),
                ]
            });
            cells.concat()
        });
        table.print("ring: iceoryx2 looks without a pause with a core each, and sleeps on its events on one core");
    }

    /// A row for each contender that takes part, with the cells that `cells` makes.
    fn rows(&self, table: &mut Table, measurements: &[Measurement], cells: impl Fn(Contender) -> Vec<String>) {
        let takes_part = |contender: &Contender| measurements.iter().any(|of| contender.takes_part_in(*of));
        for contender in self.settings.all().filter(takes_part) {
            let name = vec![contender.name(measurements[0].measure.part()).to_owned()];
            match measurements.iter().find_map(|measurement| self.samples.absent(&(*measurement, contender))) {
                Some(absent) => table.absent(name, &absent.0),
                None => table.row([name, cells(contender)].concat()),
            }
        }
    }

    fn figure(&self, measurement: Measurement, contender: Contender) -> Option<f64> {
        figure(self.samples, measurement, contender)
    }

    fn microseconds(&self, measurement: Measurement, contender: Contender) -> String {
        number(self.figure(measurement, contender).map(|per_second| MICROSECONDS / per_second))
    }

    fn ours_beside(&self, measurement: Measurement, contender: Contender) -> String {
        number(ratio(self.figure(measurement, Contender::Phalanx), self.figure(measurement, contender)))
    }
}

/// The median figure.
pub(super) fn figure(samples: &Samples, measurement: Measurement, contender: Contender) -> Option<f64> {
    samples.median(&(measurement, contender), |sample| sample.figure)
}
