//! A few tasks at any time; the oldest is awaited, and another one takes its place.

use std::collections::VecDeque;

use measuring::{Failure, Meter, Schedule};

use crate::Measurement;
use crate::figures::Figures;
use crate::work::Work;

/// A payload for each of two processes.
pub(crate) const IN_FLIGHT: usize = 2;

pub(crate) async fn measure(work: &impl Work, in_flight: usize, measurement: &Measurement) -> Result<Figures, Failure> {
    let Measurement { warm_up, counted, .. } = *measurement;
    let mut meter = Meter::start(Schedule { warm_up, counted, look_every: 1 });
    let mut taken: VecDeque<_> = (0..in_flight).map(|_| work.submit()).collect();
    let mut report = None;
    while let Some(oldest) = taken.pop_front() {
        work.finish(oldest).await?;
        report = report.or_else(|| meter.one_more());
        if report.is_none() {
            taken.push_back(work.submit());
        }
    }
    report.map(Figures::from).ok_or_else(|| Failure::new("nothing was in flight"))
}
