//! One job after the other: how long each takes, from submit to result.

use std::time::Instant;

use measuring::{Failure, Meter, Schedule, Times};

use super::Pool;
use crate::Task;
use crate::figures::Figures;

const LOOK_EVERY: u64 = 64;

pub(super) async fn measure(pool: &impl Pool, task: Task) -> Result<Figures, Failure> {
    let mut times = Times::new()?;
    let mut meter = Meter::start(Schedule { warm_up: task.warm_up, counted: task.counted, look_every: LOOK_EVERY });
    loop {
        let submitted = Instant::now();
        pool.run(|| {}).await?;
        let time = submitted.elapsed();
        if meter.is_counting() {
            times.add(time);
        }
        if let Some(report) = meter.one_more() {
            return Ok(Figures::from(report).with_times(&times));
        }
    }
}
