//! 64 tasks at any time, each awaited by a future of its own, as in a server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use measuring::{During, Failure};

use crate::Measurement;
use crate::figures::Figures;
use crate::work::{Work, once};

pub(crate) const IN_FLIGHT: usize = 64;

/// All on one thread: no two ever write at once, so that a relaxed load and store count what a fetch_add would.
#[derive(Default)]
struct Progress {
    tasks: AtomicU64,
    over: AtomicBool,
}

pub(crate) async fn measure(work: impl Work, measurement: &Measurement) -> Result<Figures, Failure> {
    let (work, progress) = (Arc::new(work), Arc::new(Progress::default()));
    let futures: Vec<_> =
        (0..IN_FLIGHT).map(|_| tokio::spawn(one_after_the_other(work.clone(), progress.clone()))).collect();
    tokio::time::sleep(measurement.warm_up).await;
    let (began, before) = (Instant::now(), progress.tasks.load(Ordering::Relaxed));
    tokio::time::sleep(measurement.counted).await;
    let per_second = (progress.tasks.load(Ordering::Relaxed) - before) as f64 / began.elapsed().as_secs_f64();
    progress.over.store(true, Ordering::Relaxed);
    for future in futures {
        future.await.during("await a future")??;
    }
    Ok(Figures::of(per_second))
}

async fn one_after_the_other(work: Arc<impl Work>, progress: Arc<Progress>) -> Result<(), Failure> {
    while !progress.over.load(Ordering::Relaxed) {
        once(&*work).await?;
        progress.tasks.store(progress.tasks.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }
    Ok(())
}
