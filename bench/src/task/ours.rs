//! Ours: the pool of job processes, and the pool of threads through the same trait.

use std::time::Duration;

use measuring::{During, Failure, stay_on};
use phalanx_shared::Blob;
use phalanx_task::{Executor, ProcessPool, SandboxPolicy, Submission};
use phalanx_thread::ThreadPool;

use crate::figures::Figures;
use crate::rival::{Measure, Rival};
use crate::tasks::{Echo, EchoBytes, Shrink};
use crate::work::{Work, once};
use crate::{Measurement, children, crash, crowd, lone, start, window};

const VALUE: u64 = 7;
/// On two threads or processes.
const PHOTOS_IN_FLIGHT: usize = 4;
/// Nothing is refused because the machine is busy with something else.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

pub(crate) async fn drive(measurement: &Measurement) -> Result<Figures, Failure> {
    match measurement.rival {
        Rival::Processes => on_processes(measurement, SandboxPolicy::Require).await,
        Rival::ProcessesBare => on_processes(measurement, SandboxPolicy::Off).await,
        Rival::Threads => on_threads(measurement).await,
        _ => spawned(measurement).await,
    }
}

async fn on_processes(measurement: &Measurement, sandbox: SandboxPolicy) -> Result<Figures, Failure> {
    let measure = measurement.measure;
    match measure {
        Measure::Lone => {
            let numbers = Numbers(processes(1, sandbox)?);
            once(&numbers).await?;
            children::stay_on(measurement.peer_core)?;
            stay_on(measurement.own_core)?;
            lone::measure(&numbers, measurement).await
        }
        Measure::Crowd => crowd::measure(Numbers(processes(2, sandbox)?), measurement).await,
        Measure::Kibibyte | Measure::Kibibytes64 | Measure::Mebibyte | Measure::Mebibytes16 => {
            let payload = Blob::from(vec![1; measure.payload_bytes()]);
            let bytes = Bytes { place: processes(2, sandbox)?, payload };
            let figures = window::measure(&bytes, window::IN_FLIGHT, measurement).await?;
            Ok(figures.in_megabytes_of(measure.payload_bytes()))
        }
        Measure::Start => start::measure(|| Ok(Numbers(processes(1, sandbox)?)), measurement).await,
        Measure::Crash => crash::measure(&Numbers(processes(1, sandbox)?), measurement).await,
        Measure::Photo => photos(processes(2, sandbox)?, measurement).await,
    }
}

async fn on_threads(measurement: &Measurement) -> Result<Figures, Failure> {
    match measurement.measure {
        Measure::Lone => {
            let pool = pinned_thread(measurement).await?;
            lone::measure(&Numbers(pool), measurement).await
        }
        Measure::Crowd => crowd::measure(Numbers(threads(2)?), measurement).await,
        Measure::Photo => photos(threads(2)?, measurement).await,
        measure => Err(measurement.rival.has_no(measure)),
    }
}

async fn spawned(measurement: &Measurement) -> Result<Figures, Failure> {
    match measurement.measure {
        Measure::Lone => {
            let pool = pinned_thread(measurement).await?;
            lone::measure(&Spawned(pool), measurement).await
        }
        Measure::Crowd => crowd::measure(Spawned(threads(2)?), measurement).await,
        measure => Err(measurement.rival.has_no(measure)),
    }
}

fn processes(count: usize, sandbox: SandboxPolicy) -> Result<ProcessPool, Failure> {
    let builder =
        ProcessPool::builder().processes(count).sandbox(sandbox).max_wait(LONGEST_WAIT).standing_wait(LONGEST_WAIT);
    builder.build().during("build the pool")
}

fn threads(count: usize) -> Result<ThreadPool, Failure> {
    ThreadPool::builder()
        .threads(count)
        .max_wait(LONGEST_WAIT)
        .standing_wait(LONGEST_WAIT)
        .build()
        .during("build the pool")
}

async fn pinned_thread(measurement: &Measurement) -> Result<ThreadPool, Failure> {
    let pool = threads(1)?;
    let core = measurement.peer_core;
    let (pinned, done) = std::sync::mpsc::channel();
    pool.spawn(move |_| {
        let _ = pinned.send(stay_on(core));
    })
    .await
    .during("run a job")?;
    done.recv().during("keep the thread of the pool on its core")??;
    stay_on(measurement.own_core)?;
    Ok(pool)
}

async fn photos(place: impl Executor + Send + Sync + 'static, measurement: &Measurement) -> Result<Figures, Failure> {
    let path = measurement.photo.as_ref().ok_or_else(|| Failure::new("there is no photo to shrink"))?;
    let photo = std::fs::read(path).during(&format!("read {}", path.display()))?;
    window::measure(&Photos { place, photo: Blob::from(photo) }, PHOTOS_IN_FLIGHT, measurement).await
}

struct Numbers<E>(E);

impl<E: Executor + Send + Sync + 'static> Work for Numbers<E> {
    type Taken = Submission<u64>;

    fn submit(&self) -> Submission<u64> {
        self.0.submit(Echo(VALUE))
    }

    async fn finish(&self, taken: Submission<u64>) -> Result<(), Failure> {
        right(taken.await.during("run a task")?)
    }
}

struct Spawned(ThreadPool);

impl Work for Spawned {
    type Taken = phalanx_thread::Submission<u64>;

    fn submit(&self) -> Self::Taken {
        self.0.spawn(|_| VALUE)
    }

    async fn finish(&self, taken: Self::Taken) -> Result<(), Failure> {
        right(taken.await.during("run a job")?)
    }
}

fn right(value: u64) -> Result<(), Failure> {
    if value == VALUE { Ok(()) } else { Err(Failure::new(format!("{VALUE} came back as {value}"))) }
}

struct Bytes<E> {
    place: E,
    payload: Blob,
}

impl<E: Executor + Send + Sync + 'static> Work for Bytes<E> {
    type Taken = Submission<Blob>;

    fn submit(&self) -> Submission<Blob> {
        self.place.submit(EchoBytes(self.payload.clone()))
    }

    async fn finish(&self, taken: Submission<Blob>) -> Result<(), Failure> {
        let payload = taken.await.during("run a task")?;
        if payload.len() == self.payload.len() { Ok(()) } else { Err(Failure::new("the payload came back shorter")) }
    }
}

struct Photos<E> {
    place: E,
    photo: Blob,
}

impl<E: Executor + Send + Sync + 'static> Work for Photos<E> {
    type Taken = Submission<Blob>;

    fn submit(&self) -> Submission<Blob> {
        self.place.submit(Shrink(self.photo.clone()))
    }

    async fn finish(&self, taken: Submission<Blob>) -> Result<(), Failure> {
        taken.await.during("shrink a photo").map(drop)
    }
}
