//! The supervisor in an invented world: random events, an injected clock, and after every step the promises that must
//! hold whatever happens.
//!
//! A failure prints its seed: `PHALANX_SEED=N` runs that one alone, and says every input and action of it.
//! `PHALANX_SEQUENCES=N` runs that many instead of [`SEQUENCES`].

mod body;
mod promises;
mod world;

use std::sync::atomic::{AtomicU64, Ordering};

use world::World;

/// Event sequences of a run.
const SEQUENCES: u64 = 1_000_000;

/// Events of one sequence; the world then calms down, or is stopped.
const LENGTH: usize = 40;

/// One sequence in so many ends with the world calming down: costly, for a rule that needs few tries.
const CALM_EVERY: u64 = 8;

/// Sequences that a thread takes at once.
const BATCH: u64 = 1_000;

#[test]
fn whatever_happens_every_promise_holds_after_every_step() {
    if let Some(seed) = number_from("PHALANX_SEED") {
        return run(seed, Trace::On);
    }
    let sequences = number_from("PHALANX_SEQUENCES").unwrap_or(SEQUENCES);
    let next = AtomicU64::new(0);
    let threads = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    std::thread::scope(|scope| {
        let work = || {
            loop {
                let first = next.fetch_add(BATCH, Ordering::Relaxed);
                if first >= sequences {
                    return;
                }
                (first..sequences.min(first + BATCH)).for_each(run_and_name_the_seed);
            }
        };
        (0..threads).for_each(|_| drop(scope.spawn(work)));
    });
}

fn number_from(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}")))
}

fn run_and_name_the_seed(seed: u64) {
    if let Err(panic) = std::panic::catch_unwind(|| run(seed, Trace::Off)) {
        eprintln!("the failing sequence: PHALANX_SEED={seed}");
        std::panic::resume_unwind(panic);
    }
}

fn run(seed: u64, trace: Trace) {
    let mut world = World::new(seed, trace);
    world.begin();
    for _ in 0..LENGTH {
        world.something_happens();
    }
    if seed.is_multiple_of(CALM_EVERY) {
        world.calm_down();
    }
    world.end();
}

/// Whether every input and action is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trace {
    On,
    Off,
}
