//! What only real processes show of a runner.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use phalanx_queue::{
    Gather, Gathering, JobError, JobHandle, JobOptions, JobRunner, JobState, Jobs, Queue, RetryPolicy,
};
use phalanx_task::{Blob, Registry, Sandbox, Task, TaskContext, TaskError, conformance};
use serde::{Deserialize, Serialize};

use crate::{connect, wait};

pub(crate) const TESTS: &[(&str, fn())] = &[
    (
        "a_job_that_kills_its_process_is_tried_again_where_it_was",
        a_job_that_kills_its_process_is_tried_again_where_it_was,
    ),
    ("a_job_that_always_kills_its_process_is_dead_as_poison", a_job_that_always_kills_its_process_is_dead_as_poison),
    ("the_jobs_of_a_killed_worker_run_elsewhere_at_once", the_jobs_of_a_killed_worker_run_elsewhere_at_once),
    (
        "a_worker_that_is_told_to_stop_hands_back_what_it_cannot_finish",
        a_worker_that_is_told_to_stop_hands_back_what_it_cannot_finish,
    ),
    (
        "parts_are_worked_on_by_two_workers_and_gathered_in_order",
        parts_are_worked_on_by_two_workers_and_gathered_in_order,
    ),
    ("large_values_travel_beside_the_queue", large_values_travel_beside_the_queue),
];

pub(crate) fn registered(registry: Registry) -> Registry {
    registry.with::<Dies>().with::<Stays>().with::<Part>().with::<Gathering<All>>().with::<Doubles>()
}

/// Kills its process at these steps, once each (it goes on behind them), or always.
#[derive(Serialize, Deserialize)]
struct Dies {
    steps: Vec<u32>,
    always: bool,
}

impl Task for Dies {
    const NAME: &'static str = "test.dies";
    /// The attempt that came through.
    type Output = u32;
    fn run(self, cx: &TaskContext) -> Result<u32, TaskError> {
        let first = cx.resume::<u32>().unwrap_or_default();
        for step in first..10 {
            cx.checkpoint(&(step + 1))?;
            if self.always || self.steps.contains(&step) {
                std::process::abort();
            }
        }
        Ok(cx.attempt())
    }
}

/// Runs until the file is there.
#[derive(Serialize, Deserialize)]
struct Stays(PathBuf);

impl Task for Stays {
    const NAME: &'static str = "test.stays";
    /// Its process, and the attempt.
    type Output = (u32, u32);
    const SANDBOX: Sandbox = Sandbox::None;
    fn run(self, cx: &TaskContext) -> Result<(u32, u32), TaskError> {
        cx.progress(1, 2);
        while !self.0.exists() {
            cx.check()?;
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok((std::process::id(), cx.attempt()))
    }
}

#[derive(Serialize, Deserialize)]
struct Part(u32);

impl Task for Part {
    const NAME: &'static str = "test.part";
    type Output = (u32, u32);
    const SANDBOX: Sandbox = Sandbox::None;
    fn run(self, _: &TaskContext) -> Result<(u32, u32), TaskError> {
        std::thread::sleep(Duration::from_millis(5));
        Ok((self.0, std::os::unix::process::parent_id()))
    }
}

#[derive(Serialize, Deserialize)]
struct All;

impl Gather for All {
    const NAME: &'static str = "test.all";
    type Part = (u32, u32);
    type Output = Vec<(u32, u32)>;
    fn gather(self, parts: Vec<Result<(u32, u32), TaskError>>, _: &TaskContext) -> Result<Self::Output, TaskError> {
        parts.into_iter().collect()
    }
}

#[derive(Serialize, Deserialize)]
struct Doubles(Blob);

impl Task for Doubles {
    const NAME: &'static str = "test.doubles";
    type Output = Blob;
    fn run(self, _: &TaskContext) -> Result<Blob, TaskError> {
        Ok([self.0.as_ref(), self.0.as_ref()].concat().into())
    }
}

/// A worker of its own: this program, with the words that `phalanx work` would have. Killed when dropped.
struct Worker(Child);

/// Set for a worker: the folder of its queue.
const WORKS_AT: &str = "PHALANX_TEST_WORKS_AT";

impl Worker {
    fn start(folder: &Path) -> Worker {
        let program = std::env::current_exe().unwrap();
        let child = Command::new(program).env(WORKS_AT, folder).stdout(Stdio::null()).spawn().unwrap();
        Worker(child)
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(self.0.id() as i32).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Its exit code.
    fn ends(&mut self) -> Option<i32> {
        let mut code = None;
        until("the worker ends", || {
            code = self.0.try_wait().unwrap();
            code.is_some()
        });
        code.and_then(|code| code.code())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Plays the worker, if this process is one.
pub(crate) fn play_worker() {
    let Some(folder) = std::env::var_os(WORKS_AT) else { return };
    let url = format!("embedded:{}", Path::new(&folder).display());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let stopped = runtime.block_on(async {
        let queue = Queue::connect(&url).await?;
        let runner = JobRunner::builder(&queue).concurrency(2).drain(Duration::from_millis(100)).build()?;
        let stopped = runner.run_until_signal().await;
        queue.close().await;
        stopped
    });
    std::process::exit(stopped.map_or(1, |handed_back| 10 + handed_back.jobs as i32));
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < conformance::GIVE_UP, "never: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn submit<T: Task>(queue: &Queue, task: T) -> JobHandle<T::Output> {
    let swift = RetryPolicy::default().backoff(Duration::from_millis(1), Duration::from_millis(5));
    wait(Jobs::new(queue).submit_with(task, &JobOptions::new().retry(swift))).unwrap()
}

fn runs<T>(job: &JobHandle<T>) -> bool {
    wait(job.status()).unwrap().progress.is_some()
}

fn a_job_that_kills_its_process_is_tried_again_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let queue = connect(&folder);
    let runner = JobRunner::builder(&queue).concurrency(1).build().unwrap();
    let job = submit(&queue, Dies { steps: vec![3, 5], always: false });
    assert_eq!(wait(job.result()), Ok(3));
    let status = wait(job.status()).unwrap();
    assert_eq!((status.crashes, status.errors), (2, 0));
    assert_eq!(runner.metrics().crashed, 2);
}

fn a_job_that_always_kills_its_process_is_dead_as_poison() {
    let folder = tempfile::tempdir().unwrap();
    let queue = connect(&folder);
    let _runner = JobRunner::builder(&queue).concurrency(1).build().unwrap();
    let job = submit(&queue, Dies { steps: Vec::new(), always: true });
    match wait(job.result()) {
        Err(JobError::Task(TaskError::Crashed(_) | TaskError::Refused(_))) => {}
        other => panic!("{other:?}"),
    }
    let status = wait(job.status()).unwrap();
    assert_eq!((status.state, status.crashes), (JobState::Dead, 3));
    let healthy = submit(&queue, Dies { steps: Vec::new(), always: false });
    assert_eq!(wait(healthy.result()), Ok(1));
}

fn the_jobs_of_a_killed_worker_run_elsewhere_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let (queue, gate) = (connect(&folder), folder.path().join("gate"));
    let job = submit(&queue, Stays(gate.clone()));
    let mut first = Worker::start(folder.path());
    until("it runs", || runs(&job));
    let before = wait(job.status()).unwrap().runner;
    let _second = Worker::start(folder.path());
    first.signal(rustix::process::Signal::KILL);
    first.ends();
    until("the other one has it", || {
        let status = wait(job.status()).unwrap();
        status.state == JobState::Leased && status.runner != before
    });
    std::fs::write(&gate, "").unwrap();
    assert_eq!(wait(job.result()).unwrap().1, 2);
    assert_eq!(wait(job.status()).unwrap().crashes, 1);
}

fn a_worker_that_is_told_to_stop_hands_back_what_it_cannot_finish() {
    let folder = tempfile::tempdir().unwrap();
    let (queue, gate) = (connect(&folder), folder.path().join("gate"));
    let job = submit(&queue, Stays(gate.clone()));
    let mut worker = Worker::start(folder.path());
    until("it runs", || runs(&job));
    worker.signal(rustix::process::Signal::TERM);
    assert_eq!(worker.ends(), Some(11), "one was handed back");
    let status = wait(job.status()).unwrap();
    assert_eq!((status.state, status.attempts, status.crashes), (JobState::Ready, 0, 0));
    std::fs::write(&gate, "").unwrap();
    let _other = Worker::start(folder.path());
    assert_eq!(wait(job.result()).unwrap().1, 1);
}

fn parts_are_worked_on_by_two_workers_and_gathered_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let queue = connect(&folder);
    let _workers = [Worker::start(folder.path()), Worker::start(folder.path())];
    let flow = wait(Jobs::new(&queue).flow((0..64).map(Part), All).submit()).unwrap();
    let parts = wait(flow.result()).unwrap();
    assert!(parts.iter().map(|(number, _)| *number).eq(0..64));
    let workers: HashSet<u32> = parts.into_iter().map(|(_, worker)| worker).collect();
    assert!((1..=2).contains(&workers.len()), "{workers:?}");
}

fn large_values_travel_beside_the_queue() {
    let folder = tempfile::tempdir().unwrap();
    let queue = connect(&folder);
    let _runner = JobRunner::builder(&queue).concurrency(1).build().unwrap();
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|number| number as u8).collect();
    let job = submit(&queue, Doubles(Blob::from(bytes.clone())));
    assert!(wait(job.result()).unwrap().as_ref() == [&bytes[..], &bytes[..]].concat());
    let kept = std::fs::read_dir(folder.path().join("blobs")).unwrap().count();
    assert!(kept >= 2, "input and output are files");
}
