//! Workers that say one word: how soon it comes, what they hold, and what they leave behind.

use std::time::Instant;

use measuring::{During, Failure, Times};
use phalanx_thread::Worker;

use crate::Task;
use crate::figures::Figures;
use crate::resident;
use crate::rival::{Measure, Rival};

const ALIVE: u32 = 50;
/// Before the memory is looked at for the first time: by then it holds what is kept for the next worker.
const CYCLES_BEFORE: u32 = 100;
const FIRST_WORD: u8 = 7;

/// Nobody is pinned: the system puts a new thread where there is room.
pub(crate) fn drive(task: Task) -> Result<Figures, Failure> {
    if task.rival != Rival::Phalanx {
        return Err(task.rival.has_no(task.measure));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().during("start the event loop")?;
    runtime.block_on(async {
        match task.measure {
            Measure::WorkerMemory => memory().await,
            Measure::WorkerCycles => cycles(task).await,
            _ => start(task).await,
        }
    })
}

/// A worker that has said its first word, and lives until it is terminated.
async fn started() -> Result<Worker<(), u8>, Failure> {
    let worker = Worker::<(), u8>::spawn((), async |scope| {
        if scope.post(FIRST_WORD).await.is_ok() {
            scope.cancelled().await;
        }
    })
    .during("start a worker")?;
    match worker.recv().await {
        Some(FIRST_WORD) => Ok(worker),
        _ => Err(Failure::new("a worker ended without a word")),
    }
}

async fn start(task: Task) -> Result<Figures, Failure> {
    let mut times = Times::new()?;
    let mut counting_since = None;
    let began = Instant::now();
    loop {
        let before = Instant::now();
        let worker = started().await?;
        let time = before.elapsed();
        worker.terminate().await;
        match counting_since {
            Some(since) => {
                times.add(time);
                if before.duration_since(since) >= task.counted {
                    return Ok(Figures::default().with_times(&times));
                }
            }
            None if began.elapsed() >= task.warm_up => counting_since = Some(Instant::now()),
            None => {}
        }
    }
}

async fn memory() -> Result<Figures, Failure> {
    started().await?.terminate().await;
    let mut alive = Vec::with_capacity(ALIVE as usize);
    let before = resident::kibibytes()?;
    for _ in 0..ALIVE {
        alive.push(started().await?);
    }
    let each = (resident::kibibytes()? - before) / f64::from(ALIVE);
    for worker in alive {
        worker.terminate().await;
    }
    Ok(Figures::of(each))
}

async fn cycles(task: Task) -> Result<Figures, Failure> {
    come_and_go(CYCLES_BEFORE).await?;
    let before = resident::kibibytes()?;
    let began = Instant::now();
    come_and_go(task.cycles).await?;
    let per_second = f64::from(task.cycles) / began.elapsed().as_secs_f64();
    let more = resident::kibibytes()? - before;
    Ok(Figures { before: Some(before), per_second: Some(per_second), ..Figures::of(more) })
}

async fn come_and_go(workers: u32) -> Result<(), Failure> {
    for _ in 0..workers {
        started().await?.terminate().await;
    }
    Ok(())
}
