//! What was aimed at.

use super::Samples;
use super::contender::Contender;
use super::plan::{Measurement, Part};
use super::report::figure;
use crate::table::{Targets, ratio};

/// So many KiB more after all workers came and went are the noise of the allocator, not something that each left behind.
const LEFT_KIBIBYTES_AT_MOST: f64 = 256.0;

pub(super) fn print(samples: &Samples, parts: impl Iterator<Item = Part>, cycles: u32) {
    let mut targets = Targets::new();
    let aimed = Aimed { samples };
    for part in parts {
        match part {
            Part::Pool => aimed.pool(&mut targets),
            Part::Worker => aimed.worker(&mut targets, cycles),
            Part::Port => aimed.port(&mut targets),
            Part::Words => aimed.words(&mut targets),
            Part::Ring => aimed.ring(&mut targets),
        }
    }
    targets.print();
}

struct Aimed<'a> {
    samples: &'a Samples,
}

impl Aimed<'_> {
    fn pool(&self, targets: &mut Targets) {
        let (lone, crowd) = (Measurement::POOL_LONE, Measurement::POOL_CROWD);
        targets.at_most("pool, a lone job, p50", 5.0, "µs", self.p50(lone, Contender::Phalanx));
        targets.at_least("pool, a lone job / piscina", 10.0, "×", self.beside(lone, Contender::Node));
        let full = self.figure(crowd, Contender::PhalanxFull);
        targets.at_least("pool, 64 at a time, all on", 1.2, "M/s", full.map(|jobs| jobs / 1e6));
        match self.best_bare_pool() {
            Some((best, jobs)) => {
                let what = format!("pool, 64 at a time, all on / the best bare pool ({})", best.name(Part::Pool));
                targets.at_least(&what, 0.7, "×", ratio(full, Some(jobs)));
            }
            None => targets.at_least("pool, 64 at a time, all on / the best bare pool", 0.7, "×", None),
        }
        for piscina in [Contender::Node, Contender::NodeMany] {
            let what = format!("pool, 64 at a time, all on / {}", piscina.name(Part::Pool));
            targets.at_least(&what, 10.0, "×", ratio(full, self.figure(crowd, piscina)));
        }
    }

    /// Of those without deadlines, priorities and figures.
    fn best_bare_pool(&self) -> Option<(Contender, f64)> {
        [Contender::SpawnBlocking, Contender::Rayon, Contender::Kanal, Contender::Crossbeam]
            .into_iter()
            .filter_map(|pool| Some((pool, self.figure(Measurement::POOL_CROWD, pool)?)))
            .max_by(|(_, one), (_, other)| one.total_cmp(other))
    }

    fn worker(&self, targets: &mut Targets, cycles: u32) {
        let (start, memory) = (Measurement::WORKER_START, Measurement::WORKER_MEMORY);
        let ours = self.p50(start, Contender::Phalanx);
        targets.at_most("worker, start to first message, p50", 100.0, "µs", ours);
        targets.at_least("worker_threads / ours", 100.0, "×", ratio(self.p50(start, Contender::Node), ours));
        let ours = self.figure(memory, Contender::Phalanx);
        targets.at_most("worker, memory", 200.0, "KiB", ours);
        let node = self.figure(memory, Contender::Node);
        targets.at_least("memory of worker_threads / ours", 20.0, "×", ratio(node, ours));
        let left = self.figure(Measurement::WORKER_CYCLES, Contender::Phalanx);
        let what = format!("memory after {cycles} workers were created and ended");
        targets.at_most(&what, LEFT_KIBIBYTES_AT_MOST, "KiB more", left);
    }

    fn port(&self, targets: &mut Targets) {
        let [value, eight, mebibyte] = [Measurement::PORT_VALUE, Measurement::PORT_EIGHT, Measurement::PORT_MEBIBYTE];
        let node = self.figure(value, Contender::Node);
        for ours in [Contender::Phalanx, Contender::PhalanxWorker] {
            let what = format!("{} / postMessage", ours.name(Part::Port));
            targets.at_least(&what, 10.0, "×", ratio(self.figure(value, ours), node));
        }
        let of = |measurement| self.figure(measurement, Contender::Phalanx);
        targets.at_least("port: 1 MiB moved / 8 bytes moved", 0.9, "×", ratio(of(mebibyte), of(eight)));
    }

    fn words(&self, targets: &mut Targets) {
        let of = |measurement, contender| self.figure(measurement, contender);
        let (threads, processes) = (Contender::Phalanx, Contender::PhalanxProcesses);
        let adds = ratio(of(Measurement::ADD, processes), of(Measurement::ADD, threads));
        targets.at_least("additions: processes / threads", 0.9, "×", adds);
        let (together, apart) = (Measurement::WAIT_ON_ONE_CORE, Measurement::WAIT);
        let node = Contender::Node;
        targets.at_least("wait and notify, one core / Atomics", 10.0, "×", self.beside(together, node));
        targets.at_least("wait and notify, a core each / Atomics", 10.0, "×", self.beside(apart, node));
        let spinning = of(Measurement::SPIN, node);
        targets.at_least(
            "wait and notify, one core / Atomics spinning with a core each",
            10.0,
            "×",
            ratio(of(together, threads), spinning),
        );
        targets.at_least(
            "wait and notify, threads on one core / bare futex",
            0.9,
            "×",
            ratio(of(together, threads), of(together, Contender::Futex)),
        );
        targets.at_least(
            "wait and notify, processes on one core / bare futex",
            0.9,
            "×",
            ratio(of(together, processes), of(together, Contender::FutexProcesses)),
        );
    }

    fn ring(&self, targets: &mut Targets) {
        let (apart, together) = (Measurement::RING, Measurement::RING_ON_ONE_CORE);
        let millions = self.figure(apart, Contender::Phalanx).map(|trips| trips / 1e6);
        targets.at_least("ring, a core each", 1.0, "M round trips/s", millions);
        let bare = Contender::FutexProcesses;
        targets.at_least("ring, one core / bare futex", 0.9, "×", self.beside(together, bare));
        let forever = self.figure(together, Contender::PhalanxForever);
        let beside_bare = ratio(forever, self.figure(together, bare));
        targets.at_least("ring, one core, no deadlines / bare futex, which has none", 0.9, "×", beside_bare);
        for rival in [Contender::Iceoryx2, Contender::IpcChannel] {
            for (measurement, placed) in [(apart, "a core each"), (together, "one core")] {
                let what = format!("ring, {placed} / {}", rival.name(Part::Ring));
                targets.at_least(&what, 1.0, "×", self.beside(measurement, rival));
            }
        }
    }

    fn figure(&self, measurement: Measurement, contender: Contender) -> Option<f64> {
        figure(self.samples, measurement, contender)
    }

    fn p50(&self, measurement: Measurement, contender: Contender) -> Option<f64> {
        self.samples.median(&(measurement, contender), |sample| sample.p50)
    }

    fn beside(&self, measurement: Measurement, contender: Contender) -> Option<f64> {
        ratio(self.figure(measurement, Contender::Phalanx), self.figure(measurement, contender))
    }
}
