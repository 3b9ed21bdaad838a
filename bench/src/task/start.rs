//! From nothing to the first result of a new pool of one process.

use std::time::Instant;

use measuring::{Failure, Times};

use crate::Measurement;
use crate::figures::Figures;
use crate::work::{Work, once};

pub(crate) async fn measure<W: Work>(
    pool: impl Fn() -> Result<W, Failure>,
    measurement: &Measurement,
) -> Result<Figures, Failure> {
    let mut times = Times::new()?;
    let began = Instant::now();
    while began.elapsed() < measurement.warm_up + measurement.counted || times.count() == 0 {
        let before = Instant::now();
        let work = pool()?;
        once(&work).await?;
        let time = before.elapsed();
        if before.duration_since(began) >= measurement.warm_up {
            times.add(time);
        }
    }
    Ok(Figures::default().with_times(&times))
}
