//! The CPU work of the server, as tasks: each can run on a thread of the worker or in a job process.
//!
//! ```text
//!   route ── task ──► work.rs: which lane? ──┬── thread pool ── a thread of this worker
//!                                            └── process pool ── a job process: sandboxed, may crash
//!   jobs.rs ── task ──► queue ──► a runner, in a worker or in `phalanx work` ──► one of the two
//! ```

mod heavy_work;
mod make_picture;
mod queued_picture;
mod sample;

pub(crate) use heavy_work::{HeavyWork, LARGEST_NUMBER};
pub(crate) use make_picture::{MadePicture, MakePicture, kept_bytes};
pub(crate) use queued_picture::{PictureForm, QueuedAnswer, QueuedPicture};
pub(crate) use sample::Sample;

use phalanx::task::Registry;
use phalanx::{Task, tasks};
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

/// All of them, for the first line of `main`: a job process knows no others.
pub(crate) fn registry() -> Registry {
    tasks![HeavyWork, MakePicture, QueuedPicture, Sample]
}

/// Those that can be queued, by their names.
pub(crate) const QUEUED: [&str; 2] = [HeavyWork::NAME, QueuedPicture::NAME];

/// A task that tells how long it has worked.
pub(crate) trait TimedTask: Task<Output = Timed<Self::Result>> {
    /// What it makes.
    type Result;
}

impl<R, T: Task<Output = Timed<R>>> TimedTask for T {
    type Result = R;
}

/// What a task made, and how long that took: the rest of the time until the answer it has waited.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Timed<T> {
    pub(crate) made: T,
    pub(crate) took: Duration,
}

impl<T> Timed<T> {
    /// Makes it and looks at the clock.
    fn measure<E>(make: impl FnOnce() -> Result<T, E>) -> Result<Timed<T>, E> {
        let begun = Instant::now();
        let made = make()?;
        Ok(Timed { made, took: begun.elapsed() })
    }
}
