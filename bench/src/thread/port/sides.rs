//! The side that measures and the side that sends back, with an event loop and without.

use measuring::{Failure, Meter, Schedule, stay_on};

use crate::Task;
use crate::figures::Figures;

const LOOK_EVERY: u64 = 64;
/// Round trips before the threads are pinned: by then, whatever wants to know how many cores there are has asked.
const TRIPS_BEFORE_PINNED: u32 = 100;

/// Gives away `value` and gets it back by `trip`, again and again.
pub(super) fn count<T>(
    task: Task,
    mut value: T,
    mut trip: impl FnMut(T) -> Result<T, Failure>,
) -> Result<Figures, Failure> {
    for _ in 0..TRIPS_BEFORE_PINNED {
        value = trip(value)?;
    }
    stay_on(task.cores.own)?;
    let mut meter = meter(task);
    loop {
        value = trip(value)?;
        if let Some(report) = meter.one_more() {
            return Ok(report.into());
        }
    }
}

/// [`count`] on an event loop.
pub(super) async fn count_awaited<T>(
    task: Task,
    mut value: T,
    mut trip: impl AsyncFnMut(T) -> Result<T, Failure>,
) -> Result<Figures, Failure> {
    for _ in 0..TRIPS_BEFORE_PINNED {
        value = trip(value).await?;
    }
    stay_on(task.cores.own)?;
    let mut meter = meter(task);
    loop {
        value = trip(value).await?;
        if let Some(report) = meter.one_more() {
            return Ok(report.into());
        }
    }
}

/// Sends one value back by each `turn`, until nobody sends any more, which is a failure of `turn`.
pub(super) fn send_back(task: Task, mut turn: impl FnMut() -> Result<(), Failure>) -> Result<(), Failure> {
    for _ in 0..TRIPS_BEFORE_PINNED {
        turn()?;
    }
    stay_on(task.cores.peer)?;
    loop {
        turn()?;
    }
}

/// [`send_back`] on an event loop.
pub(super) async fn send_back_awaited(
    task: Task,
    mut turn: impl AsyncFnMut() -> Result<(), Failure>,
) -> Result<(), Failure> {
    for _ in 0..TRIPS_BEFORE_PINNED {
        turn().await?;
    }
    stay_on(task.cores.peer)?;
    loop {
        turn().await?;
    }
}

fn meter(task: Task) -> Meter {
    Meter::start(Schedule { warm_up: task.warm_up, counted: task.counted, look_every: LOOK_EVERY })
}
