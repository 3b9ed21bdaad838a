//! One task after the other: how long each takes, from submit to result.

use std::time::Instant;

use measuring::{Failure, Meter, Schedule, Times};

use crate::Measurement;
use crate::figures::Figures;
use crate::work::{Work, once};

const LOOK_EVERY: u64 = 64;

pub(crate) async fn measure(work: &impl Work, measurement: &Measurement) -> Result<Figures, Failure> {
    let Measurement { warm_up, counted, .. } = *measurement;
    let mut times = Times::new()?;
    let mut meter = Meter::start(Schedule { warm_up, counted, look_every: LOOK_EVERY });
    loop {
        let submitted = Instant::now();
        once(work).await?;
        let time = submitted.elapsed();
        if meter.is_counting() {
            times.add(time);
        }
        if let Some(report) = meter.one_more() {
            return Ok(Figures::from(report).with_times(&times));
        }
    }
}
