//! Figures of the whole cluster, as Prometheus reads them (text format 0.0.4), from the scoreboard: whoever can see its pages
//! can tell all of them, the front process as well as each worker, without asking anybody.
//!
//! ```text
//!   cluster page ─ what the primary counts ───────────────► phalanx_reloads_total, phalanx_workers{state}…
//!                ─ sums over the workers that have ended ─┐
//!   slots ─ counters and histograms ──────────────────────┴► phalanx_requests_total, phalanx_request_seconds…
//!         ─ what is now, worker by worker ────────────────► phalanx_worker_connections{worker,place}…
//! ```
//!
//! **Counters do not go backwards** when a worker is replaced: the primary adds what it had counted to the cluster page when it
//! buries it ([`ClusterPage::bury`]), and a reader adds the living. So they carry no label of a worker, and a cluster that
//! has replaced ten thousand workers has as many series as on its first day. What belongs to a worker (`phalanx_worker_*`)
//! has its number as a label, which is never used twice, and disappears with it.
//!
//! Times are in seconds, sizes in bytes. Waiting (`phalanx_queue_wait_seconds`) is apart from work (`phalanx_work_seconds`).

mod families;
mod text;

use std::borrow::Borrow;
use std::fmt::Display;

use phalanx_shared::{ClusterPage, Field, Slot, Snapshot};

use families::{BUILD_INFO, OF_ALL_WORKERS, OF_EACH_WORKER, OF_THE_CLUSTER, SHARES_OF_THE_CLUSTER, TIMES, WORKER_INFO};
use text::Text;

/// What the answer to a scrape says of its form.
#[cfg(feature = "control")]
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All figures. `slots` are those of all workers of the cluster, vacant ones too.
pub(crate) fn render<S: Borrow<Slot>>(cluster: &ClusterPage, slots: &[S]) -> String {
    let mut text = Text::default();
    text.family(BUILD_INFO);
    text.sample(BUILD_INFO.name, &[("version", &env!("CARGO_PKG_VERSION"))], 1);
    for (family, parts) in OF_THE_CLUSTER {
        text.family(*family);
        for (label, field) in *parts {
            sample(&mut text, family.name, label, cluster.get(*field));
        }
    }
    for (family, parts) in SHARES_OF_THE_CLUSTER {
        text.family(*family);
        for (label, field) in *parts {
            sample(&mut text, family.name, label, share(cluster.get(*field)));
        }
    }
    let totals = cluster.totals(slots.iter().map(Borrow::borrow));
    for (family, parts) in OF_ALL_WORKERS {
        text.family(*family);
        for (label, field) in *parts {
            sample(&mut text, family.name, label, totals.get(*field));
        }
    }
    for (family, histogram) in TIMES {
        text.family(*family);
        text.histogram(family.name, totals.histogram(*histogram));
    }
    of_each_worker(&mut text, slots);
    text.into_string()
}

fn sample(text: &mut Text, name: &str, label: &Option<(&'static str, &'static str)>, value: impl Display) {
    match label {
        Some((label, part)) => text.sample(name, &[(label, part)], value),
        None => text.sample(name, &[], value),
    }
}

/// 1/100 % as a share of 1.
fn share(hundredths_of_percent: u64) -> f64 {
    hundredths_of_percent as f64 / 10_000.0
}

fn of_each_worker<S: Borrow<Slot>>(text: &mut Text, slots: &[S]) {
    let mut living: Vec<Snapshot> = slots
        .iter()
        .filter_map(|slot| slot.borrow().snapshot())
        .filter(|its| its.get(Field::Pid) != 0 && its.get(Field::Worker) != 0)
        .collect();
    living.sort_unstable_by_key(|its| its.get(Field::Worker));
    // A worker writes its own page: two that say the same number would make the whole answer invalid.
    living.dedup_by_key(|its| its.get(Field::Worker));
    text.family(WORKER_INFO);
    for its in &living {
        let generation = its.get(Field::SettingsGeneration);
        let labels: [text::Label<'_>; 4] = [
            ("worker", &its.get(Field::Worker)),
            ("place", &place(its)),
            ("pid", &its.get(Field::Pid)),
            ("generation", &generation),
        ];
        text.sample(WORKER_INFO.name, &labels, 1);
    }
    for (family, parts) in OF_EACH_WORKER {
        text.family(*family);
        for its in &living {
            let (worker, place) = (its.get(Field::Worker), place(its));
            for (label, field) in *parts {
                let mut labels: Vec<text::Label<'_>> = vec![("worker", &worker), ("place", &place)];
                labels.extend(label.as_ref().map(|(label, part)| (*label, part as &dyn Display)));
                text.sample(family.name, &labels, its.get(*field));
            }
        }
    }
}

/// The place that a worker says it has; empty if it does not say.
fn place(its: &Snapshot) -> String {
    its.get(Field::Place).checked_sub(1).map(|place| place.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
