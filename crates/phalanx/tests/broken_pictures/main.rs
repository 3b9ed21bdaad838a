//! Pictures of every kind, broken in every way that came to mind, through the same task on threads and in sandboxed processes.
//!
//! Where a task runs changes nothing about its result: the same picture to the byte, or the same error in the same words. No
//! file ends a process or is lost on its way.
//!
//! `cargo test -p phalanx --test broken_pictures`; `PHALANX_SEED=N` makes other files, `PHALANX_BROKEN=N` so many of each kind.

#![allow(clippy::unwrap_used)]

mod breaking;
#[path = "../../../image/tests/pictures/mod.rs"]
mod pictures;

use std::collections::BTreeMap;
use std::time::Duration;

use phalanx::image::{Limits, Scratch, Size, Transform, plan, probe, process};
use phalanx::task::{Blob, Executor, ProcessPool, Submission, SubmitOptions};
use phalanx::thread::ThreadPool;
use phalanx::{Task, TaskContext, TaskError, tasks};
use serde::{Deserialize, Serialize};

/// Threads, processes.
const SERVERS: usize = 2;
/// In the pools at once: fewer than may wait in them.
const PORTION: usize = 100;
/// For one file, at most. One that takes longer would hold up a server.
const DEADLINE: Duration = Duration::from_secs(20);
/// A lie about the size may be legal and large: such a one is refused at once.
const MOST_PIXELS: u64 = 100_000;

/// A small picture is made of a file.
#[derive(Serialize, Deserialize)]
struct Shrink {
    file: Blob,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Small {
    width: u32,
    height: u32,
    file: Blob,
}

impl Task for Shrink {
    const NAME: &'static str = "shrink";
    type Output = Small;

    fn run(self, cx: &TaskContext) -> Result<Small, TaskError> {
        let limits = Limits { source_pixels: MOST_PIXELS, ..Limits::default() };
        let plan =
            probe(&self.file).and_then(|header| plan(&header, &Transform::default().size(Size::width(20)), &limits));
        let made = plan.and_then(|plan| process(&self.file, &plan, &mut Scratch::new(), &|| cx.is_cancelled()));
        let picture = made.map_err(TaskError::failed)?;
        Ok(Small { width: picture.width, height: picture.height, file: picture.bytes.into() })
    }
}

type Outcome = Result<Small, TaskError>;

fn main() {
    phalanx::init_with(tasks![Shrink]).expect("init");
    let threads = ThreadPool::builder().threads(SERVERS).max_wait(DEADLINE).standing_wait(DEADLINE).build().unwrap();
    let processes =
        ProcessPool::builder().processes(SERVERS).max_wait(DEADLINE).standing_wait(DEADLINE).build().unwrap();
    println!("sandbox: {}", processes.confinement().iter().map(ToString::to_string).collect::<Vec<_>>().join("; "));

    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let mut seen = BTreeMap::new();
    let corpus = breaking::corpus();
    runtime.block_on(async {
        for portion in corpus.chunks(PORTION) {
            let by_thread = portion.iter().map(|broken| submit(&threads, &broken.file)).collect::<Vec<_>>();
            let by_process = portion.iter().map(|broken| submit(&processes, &broken.file)).collect::<Vec<_>>();
            for ((broken, thread), process) in portion.iter().zip(by_thread).zip(by_process) {
                let (thread, process) = (end_of(thread).await, end_of(process).await);
                assert_eq!(thread, process, "{}: on a thread, and in a process", broken.what);
                *seen.entry(class_of(&thread, &broken.what)).or_insert(0) += 1;
            }
        }
    });
    let metrics = processes.metrics();
    assert_eq!((metrics.died, metrics.killed), (0, 0), "a file ended a process");
    assert!(seen.get("a picture").is_some_and(|whole| *whole > 10), "{seen:?}");
    assert!(seen.get("an error").is_some_and(|errors| *errors > 100), "{seen:?}");
    println!("test {} broken files end the same on a thread and in a process ... ok: {seen:?}", corpus.len());
}

fn submit(executor: &impl Executor, file: &[u8]) -> Submission<Small> {
    let options = SubmitOptions::new().deadline_from_start(DEADLINE);
    executor.submit_with(Shrink { file: file.to_vec().into() }, options)
}

async fn end_of(submission: Submission<Small>) -> Outcome {
    tokio::time::timeout(4 * DEADLINE, submission).await.expect("a task was lost")
}

/// What may come of a broken file.
fn class_of(outcome: &Outcome, what: &str) -> &'static str {
    match outcome {
        Ok(_) => "a picture",
        Err(TaskError::Failed { .. }) => "an error",
        Err(other) => panic!("{what}: {other}"),
    }
}
