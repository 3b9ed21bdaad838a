//! The jobs half: [`JobStore`](crate::job::JobStore).

mod cancel;
mod desk;
mod fencing;
mod flow;
mod limits;
mod look;
mod many;
mod progress;
mod retry;
mod run;
mod time;
mod unique;

use std::panic::AssertUnwindSafe;
use std::time::Instant;

use super::Report;
use crate::{Capability, Queue};

/// How a store is reached.
pub trait Harness: Sync {
    /// A new connection to the same store.
    fn connect(&self) -> Queue;
}

/// One promise, and the code that tries to break it.
struct Case {
    name: &'static str,
    /// Only stores that can all of this promise it.
    needs: &'static [Capability],
    run: fn(&dyn Harness),
}

/// Runs all cases whose names contain `wanted`, and prints a line for each.
pub fn run(store: &str, harness: &dyn Harness, wanted: &str) -> Report {
    let areas = [
        run::cases(),
        fencing::cases(),
        retry::cases(),
        time::cases(),
        unique::cases(),
        cancel::cases(),
        progress::cases(),
        limits::cases(),
        flow::cases(),
        look::cases(),
        many::cases(),
    ];
    let queue = harness.connect();
    let mut report = Report::default();
    for Case { name, needs, run } in areas.into_iter().flatten().filter(|case| case.name.contains(wanted)) {
        if needs.iter().any(|capability| !queue.store().can(*capability)) {
            println!("test {store}: {name} ... not promised");
            continue;
        }
        let begun = Instant::now();
        let kept = std::panic::catch_unwind(AssertUnwindSafe(|| run(harness))).is_ok();
        let word = if kept { "ok" } else { "FAILED" };
        println!("test {store}: {name} ... {word} ({} ms)", begun.elapsed().as_millis());
        if kept { &mut report.passed } else { &mut report.failed }.push(name);
    }
    report
}
