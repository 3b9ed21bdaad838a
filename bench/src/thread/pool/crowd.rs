//! 64 jobs at any time, each awaited by a task of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use measuring::{During, Failure};

use super::Pool;
use crate::Task;
use crate::figures::Figures;

const IN_FLIGHT: usize = 64;

/// All on one thread: no two ever write at once, so that a relaxed load and store count what a fetch_add would.
#[derive(Default)]
struct Progress {
    jobs: AtomicU64,
    over: AtomicBool,
}

pub(super) async fn measure(pool: Arc<impl Pool>, task: Task) -> Result<Figures, Failure> {
    let progress = Arc::new(Progress::default());
    let jobs: Vec<_> =
        (0..IN_FLIGHT).map(|_| tokio::spawn(one_after_the_other(pool.clone(), progress.clone()))).collect();
    tokio::time::sleep(task.warm_up).await;
    let (began, before) = (Instant::now(), progress.jobs.load(Ordering::Relaxed));
    tokio::time::sleep(task.counted).await;
    let per_second = (progress.jobs.load(Ordering::Relaxed) - before) as f64 / began.elapsed().as_secs_f64();
    progress.over.store(true, Ordering::Relaxed);
    for job in jobs {
        job.await.during("await a task")??;
    }
    Ok(Figures::of(per_second))
}

async fn one_after_the_other(pool: Arc<impl Pool>, progress: Arc<Progress>) -> Result<(), Failure> {
    while !progress.over.load(Ordering::Relaxed) {
        pool.run(|| {}).await?;
        progress.jobs.store(progress.jobs.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }
    Ok(())
}
