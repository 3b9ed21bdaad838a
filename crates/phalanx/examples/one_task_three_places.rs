//! A task is written once. Where it runs is said where it is called: on a thread, in a process that may crash, or through a durable queue
//! wherever a runner is: here in this program, tomorrow on another machine.
//!
//! `cargo run --release --example one_task_three_places`

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use phalanx::image::{self, Jpeg, Size};
use phalanx::queue::{JobRunner, Queue, QueueExecutor};
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
        let small =
            image::thumbnail(&self.photo, Size::width(self.width), Jpeg::quality(80)).map_err(TaskError::failed)?;
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
async fn run(folder: &Path) -> Result<(), Box<dyn Error>> {
    let photo = Blob::from(phalanx::image::sample_jpeg(1600, 1200));

    // Threads of this process: the photo is moved, not copied. For your own code.
    let threads = ThreadPool::builder().build()?;
    // Processes without files, network or programs: they can crash, and be killed. For strangers' bytes and C libraries.
    let processes = ProcessPool::builder().build()?;
    // Jobs that are on disk before anybody works on them, and are done though anything may be killed at any time. The runner could be
    // in another program: `phalanx work --queue URL`.
    let connection = Queue::connect(&format!("embedded:{}", folder.display())).await?;
    let runner = JobRunner::builder(&connection).on_processes(processes.clone()).build()?;
    let queue = QueueExecutor::new(&connection);

    // The first one warms up whatever runs it.
    thumbnail(&threads, &photo).await?;
    thumbnail(&processes, &photo).await?;
    thumbnail(&queue, &photo).await?;

    let (by_thread, thread) = thumbnail(&threads, &photo).await?;
    let (by_process, process) = thumbnail(&processes, &photo).await?;
    let (by_queue, queued) = thumbnail(&queue, &photo).await?;
    runner.stop(Duration::from_secs(1)).await;
    connection.close().await;

    let same = if by_thread == by_process && by_process == by_queue { "same result" } else { "different results" };
    let [thread, process, queued] = [thread, process, queued].map(|time| time.as_micros());
    println!("thread {thread} µs, process {process} µs, queue {queued} µs: {same}");
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    // The first line of `main`. A job process is this same program, started again: it runs tasks in here and never returns. So is the
    // owner of an embedded queue.
    phalanx::init_with(tasks![Thumbnail])?;
    let folder = std::env::temp_dir().join(format!("phalanx-three-places-{}", std::process::id()));
    let result = run(&folder);
    // A real program keeps its folder.
    let _ = std::fs::remove_dir_all(&folder);
    result
}
