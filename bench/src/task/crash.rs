//! From SIGKILL of the only process, while it is idle, to the next result: asked again at once if there is an error.

use std::time::{Duration, Instant};

use measuring::{Failure, Times};

use crate::figures::Figures;
use crate::work::{Work, once};
use crate::{Measurement, children};

/// Then it is not replaced.
const REPLACED_WITHIN: Duration = Duration::from_secs(10);

pub(crate) async fn measure(work: &impl Work, measurement: &Measurement) -> Result<Figures, Failure> {
    let mut times = Times::new()?;
    let began = Instant::now();
    once(work).await?;
    while began.elapsed() < measurement.warm_up + measurement.counted || times.count() == 0 {
        let killed = Instant::now();
        children::kill()?;
        while let Err(failure) = once(work).await {
            if killed.elapsed() > REPLACED_WITHIN {
                return Err(failure);
            }
        }
        let time = killed.elapsed();
        if killed.duration_since(began) >= measurement.warm_up {
            times.add(time);
        }
    }
    Ok(Figures::default().with_times(&times))
}
