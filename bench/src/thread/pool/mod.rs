//! Empty jobs for one thread of a pool, from an event loop of one thread; each thread has its core.

mod channels;
mod crowd;
mod lone;
mod ours;
mod runtimes;

use std::sync::Arc;

use measuring::{During, Failure, stay_on};

use crate::Task;
use crate::figures::Figures;
use crate::rival::{Measure, Rival};

/// Jobs that may wait, where a pool has a bound: the default of ours.
const QUEUED_AT_MOST: usize = 1024;

/// A pool of one thread.
trait Pool: Send + Sync + 'static {
    /// Ready when `work` was done.
    fn run(&self, work: impl FnOnce() + Send + 'static) -> impl Future<Output = Result<(), Failure>> + Send;
}

pub(crate) fn drive(task: Task) -> Result<Figures, Failure> {
    // Built first, while this thread may use all cores: its threads inherit that, and a pool may count them.
    match task.rival {
        Rival::Phalanx => beside_an_event_loop(task, ours::Plain::new()?),
        Rival::PhalanxFull => beside_an_event_loop(task, ours::Full::new()?),
        Rival::SpawnBlocking => beside_an_event_loop(task, runtimes::SpawnBlocking),
        Rival::Rayon => beside_an_event_loop(task, runtimes::Rayon::new()?),
        Rival::Kanal => beside_an_event_loop(task, channels::Kanal::new()),
        Rival::Crossbeam => beside_an_event_loop(task, channels::Crossbeam::new()),
        rival => Err(rival.has_no(task.measure)),
    }
}

fn beside_an_event_loop(task: Task, pool: impl Pool) -> Result<Figures, Failure> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().max_blocking_threads(1).build().during("start the event loop")?;
    stay_on(task.cores.own)?;
    let pool = Arc::new(pool);
    runtime.block_on(async {
        let core = task.cores.peer;
        let (pinned, done) = std::sync::mpsc::channel();
        pool.run(move || {
            let _ = pinned.send(stay_on(core));
        })
        .await?;
        done.recv().during("keep the thread of the pool on its core")??;
        match task.measure {
            Measure::PoolCrowd => crowd::measure(pool, task).await,
            _ => lone::measure(&*pool, task).await,
        }
    })
}
