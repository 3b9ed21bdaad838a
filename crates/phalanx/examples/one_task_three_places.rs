//! A task is written once. Where it runs is said where it is called: on a thread, or in a process that may crash. (The third
//! place, another machine, comes with the queue.)
//!
//! `cargo run --release --example one_task_three_places`

use std::error::Error;
use std::time::{Duration, Instant};

use phalanx::task::{Blob, ProcessPool};
use phalanx::thread::ThreadPool;
use phalanx::{Executor, Task, TaskContext, TaskError, tasks};
use serde::{Deserialize, Serialize};

/// The input of a task is its fields. `Blob`s are bytes that travel without being copied where that can be avoided.
#[derive(Serialize, Deserialize)]
struct Thumbnail {
    photo: Blob,
    width: u32,
}

impl Task for Thumbnail {
    const NAME: &'static str = "thumbnail";
    type Output = Blob;

    /// An ordinary function. What goes wrong in it is an error value for whoever called: an `Err`, a panic, and in a process
    /// a segmentation fault as well.
    fn run(self, _: &TaskContext) -> Result<Blob, TaskError> {
        let small = phalanx::image::thumbnail(&self.photo, self.width).map_err(TaskError::failed)?;
        Ok(small.bytes.into())
    }
}

/// The caller knows no more than that there is an executor.
async fn thumbnail(executor: &impl Executor, photo: &Blob) -> Result<(Blob, Duration), TaskError> {
    let started = Instant::now();
    let small = executor.submit(Thumbnail { photo: photo.clone(), width: 320 }).await?;
    Ok((small, started.elapsed()))
}

#[tokio::main(flavor = "current_thread")]
async fn run() -> Result<(), Box<dyn Error>> {
    let photo = Blob::from(phalanx::image::sample_jpeg(1600, 1200));

    // Threads of this process: the photo is moved, not copied. For your own code.
    let threads = ThreadPool::builder().build()?;
    // Processes without files, network or programs: they can crash, and be killed. For strangers' bytes and C libraries.
    let processes = ProcessPool::builder().build()?;

    // The first one warms up whatever runs it.
    thumbnail(&threads, &photo).await?;
    thumbnail(&processes, &photo).await?;

    let (by_thread, thread) = thumbnail(&threads, &photo).await?;
    let (by_process, process) = thumbnail(&processes, &photo).await?;

    let same = if by_thread == by_process { "same result" } else { "different results" };
    println!("thread {} µs, process {} µs: {same}", thread.as_micros(), process.as_micros());
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    // The first line of `main`. A job process is this same program, started again: it runs tasks in here and never returns.
    phalanx::init_with(tasks![Thumbnail])?;
    run()
}
