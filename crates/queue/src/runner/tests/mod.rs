//! The runner and the executor against a store in memory, on threads. With job processes and the embedded queue: `tests/executor`.

mod memory;

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use phalanx_task::{
    Blob, Executor, Progress, Refusal, Registry, Submission, SubmitOptions, Task, TaskContext, TaskError, tasks,
};
use phalanx_thread::ThreadPool;
use serde::{Deserialize, Serialize};

use crate::job::{Outcome, Work};
use crate::{
    Error, Gather, Gathering, Isolate, JobError, JobHandle, JobOptions, JobRunner, JobRunnerBuilder, JobState, Jobs,
    Queue, QueueExecutor, QueueName, RetryPolicy, payload,
};
use memory::{Memory, until};

const LONG: Duration = Duration::from_secs(60);

#[derive(Serialize, Deserialize)]
struct Add(u64, u64);

impl Task for Add {
    const NAME: &'static str = "add";
    type Output = u64;
    fn run(self, _: &TaskContext) -> Result<u64, TaskError> {
        Ok(self.0 + self.1)
    }
}

/// Says that it runs, and goes on until it is told to stop.
#[derive(Serialize, Deserialize)]
struct Hold;

impl Task for Hold {
    const NAME: &'static str = "hold";
    type Output = ();
    fn run(self, cx: &TaskContext) -> Result<(), TaskError> {
        cx.progress(1, 1);
        while !cx.is_cancelled() {
            std::thread::sleep(Duration::from_micros(200));
        }
        Ok(())
    }
}

/// Ends with this error.
#[derive(Serialize, Deserialize)]
struct Fail(TaskError);

impl Task for Fail {
    const NAME: &'static str = "fail";
    type Output = ();
    fn run(self, _: &TaskContext) -> Result<(), TaskError> {
        Err(self.0)
    }
}

/// Fails at each step once, and goes on there.
#[derive(Serialize, Deserialize)]
struct Stumble(u32);

impl Task for Stumble {
    const NAME: &'static str = "stumble";
    type Output = (u32, u32);
    fn run(self, cx: &TaskContext) -> Result<(u32, u32), TaskError> {
        let step = cx.resume::<u32>().unwrap_or_default();
        if step == self.0 {
            return Ok((step, cx.attempt()));
        }
        cx.checkpoint(&(step + 1))?;
        Err(TaskError::failed(format_args!("step {step}")))
    }
}

#[derive(Serialize, Deserialize)]
struct Total(u64);

impl Gather for Total {
    const NAME: &'static str = "total";
    type Part = u64;
    type Output = Vec<u64>;
    fn gather(self, parts: Vec<Result<u64, TaskError>>, _: &TaskContext) -> Result<Vec<u64>, TaskError> {
        parts.into_iter().map(|part| part.map(|part| part + self.0)).collect()
    }
}

fn registry() -> Registry {
    tasks![Add, Hold, Fail, Stumble, Gathering<Total>]
}

fn builder(queue: &Queue) -> JobRunnerBuilder {
    JobRunner::builder(queue).registry(registry()).isolate(Isolate::Threads).concurrency(2).prefetch(0)
}

/// Runs a future of the test.
fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(LONG, future).await.expect("in time") })
}

fn submit<T: Task>(queue: &Queue, task: T, options: &JobOptions) -> JobHandle<T::Output> {
    run(Jobs::new(queue).submit_with(task, options)).unwrap()
}

#[test]
fn a_job_is_run_and_its_result_found_by_its_id() {
    let (queue, _) = Memory::queue();
    let runner = builder(&queue).build().unwrap();
    let job = submit(&queue, Add(1, 2), &JobOptions::new());
    assert_eq!(run(job.result()), Ok(3));
    let again = Jobs::new(&queue).by_id::<Add>(job.id());
    assert_eq!(run(again.result_within(Duration::ZERO)), Ok(Some(3)));
    let status = run(again.status()).unwrap();
    assert_eq!((status.state, status.kind.as_str(), status.attempts), (JobState::Done, "add", 1));
    until("it is counted", || runner.metrics().done == 1 && runner.metrics().running == 0);
}

#[test]
fn many_jobs_are_claimed_and_reported_together() {
    const MANY: u64 = 64;
    static MAY_END: AtomicBool = AtomicBool::new(false);
    #[derive(Serialize, Deserialize)]
    struct Wait(u64);
    impl Task for Wait {
        const NAME: &'static str = "wait";
        type Output = u64;
        fn run(self, _: &TaskContext) -> Result<u64, TaskError> {
            until("it may end", || MAY_END.load(Ordering::Relaxed));
            Ok(self.0)
        }
    }
    let (queue, memory) = Memory::queue();
    let jobs = run(Jobs::new(&queue).submit_many((0..MANY).map(Wait), &JobOptions::new())).unwrap();
    let pool = ThreadPool::builder().threads(2).queue_limit(MANY as usize).build().unwrap();
    let runner = JobRunner::builder(&queue).on_threads(pool.clone(), tasks![Wait]);
    let _runner = runner.concurrency(2).prefetch(MANY as usize - 2).build().unwrap();
    until("all are in the pool", || pool.metrics().queued as u64 == MANY - 2);
    assert_eq!(memory.lock().claims, 1);
    // All of them end while the thread of the handle is busy otherwise.
    let (gate, held) = std::sync::mpsc::channel::<()>();
    let (holds, is_held) = std::sync::mpsc::channel::<()>();
    queue.io().unwrap().spawn(async move { holds.send(()).is_ok() && held.recv().is_ok() });
    is_held.recv().unwrap();
    MAY_END.store(true, Ordering::Relaxed);
    until("all have ended", || pool.metrics().completed == MANY);
    drop(gate);
    for (number, job) in jobs.into_iter().enumerate() {
        assert_eq!(run(job.unwrap().result()), Ok(number as u64));
    }
    let reports = memory.lock().finishes;
    assert!(reports <= 8, "{reports} reports for {MANY} jobs");
}

#[test]
fn what_a_task_keeps_is_there_for_its_next_attempt() {
    let (queue, _) = Memory::queue();
    let _runner = builder(&queue).build().unwrap();
    let job = submit(&queue, Stumble(3), &JobOptions::new());
    assert_eq!(run(job.result()), Ok((3, 4)));
    assert_eq!(run(job.status()).unwrap().errors, 3);
}

#[test]
fn an_error_is_tried_again_until_the_policy_says_no() {
    let (queue, memory) = Memory::queue();
    let _runner = builder(&queue).build().unwrap();
    let options = JobOptions::new().retry(RetryPolicy::default().attempts(3));
    for error in [TaskError::failed("no"), TaskError::Cancelled, TaskError::Refused(Refusal::ShuttingDown)] {
        let job = submit(&queue, Fail(error.clone()), &options);
        assert_eq!(run(job.result()), Err(JobError::Task(error)));
        assert_eq!(run(job.status()).unwrap().errors, 3);
    }
    let hopeless = TaskError::Refused(Refusal::Unreadable { reason: "no".into() });
    let job = submit(&queue, Fail(hopeless.clone()), &options);
    assert_eq!(run(job.result()), Err(JobError::Task(hopeless)));
    assert_eq!(run(job.status()).unwrap().errors, 1);
    assert!(!memory.lock().heard.contains(&Outcome::Returned), "what a task says of itself is its error");
}

#[test]
fn a_newer_payload_fails_the_job_and_says_so() {
    let (queue, _) = Memory::queue();
    let _runner = builder(&queue).build().unwrap();
    let mut job = crate::job::NewJob::new(QueueName::default(), "add", vec![9, 9, 9]);
    job.awaited = true;
    let id = job.id;
    run(queue.store().submit(vec![Work::Job(job)])).unwrap()[0].clone().unwrap();
    match run(Jobs::new(&queue).by_id::<Add>(id).result()) {
        Err(JobError::Task(TaskError::Refused(Refusal::Unreadable { reason }))) => {
            assert!(reason.contains("version 9"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn jobs_of_kinds_that_it_does_not_know_stay_where_they_are() {
    let (queue, _) = Memory::queue();
    let _runner = builder(&queue).kinds(["hold"]).build().unwrap();
    let job = submit(&queue, Add(1, 2), &JobOptions::new());
    assert_eq!(run(job.result_within(Duration::from_millis(50))), Ok(None));
    let _other = builder(&queue).build().unwrap();
    assert_eq!(run(job.result()), Ok(3));
    let refused = JobRunner::builder(&queue).registry(registry()).isolate(Isolate::Threads).kinds(["none"]).build();
    assert!(matches!(refused, Err(Error::Refused { .. })));
}

#[test]
fn a_cancelled_job_is_told_and_a_lost_one_is_dropped_without_a_word() {
    let (queue, memory) = Memory::queue();
    let runner = builder(&queue).build().unwrap();
    let (one, other) = (submit(&queue, Hold, &JobOptions::new()), submit(&queue, Hold, &JobOptions::new()));
    until("both run", || memory_progress(&queue, &[&one, &other]));
    run(one.cancel()).unwrap();
    assert_eq!(run(one.result()), Err(JobError::Task(TaskError::Cancelled)));
    until("it has stopped", || runner.metrics().cancelled == 1);
    memory.steal(other.id());
    until("it is dropped", || runner.metrics().lost == 1 && runner.metrics().running == 0);
    assert_eq!(memory.lock().heard, [Outcome::Cancelled]);
}

fn memory_progress(queue: &Queue, jobs: &[&JobHandle<()>]) -> bool {
    let jobs_of = Jobs::new(queue);
    jobs.iter().all(|job| run(jobs_of.status(job.id())).unwrap().progress == Some(Progress { done: 1, total: 1 }))
}

#[test]
fn a_runner_that_stops_finishes_what_it_can_and_hands_back_the_rest_uncounted() {
    let (queue, memory) = Memory::queue();
    let runner = builder(&queue).build().unwrap();
    let endless = submit(&queue, Hold, &JobOptions::new());
    until("it runs", || memory_progress(&queue, &[&endless]));
    assert_eq!(run(runner.stop(Duration::from_millis(20))).jobs, 1);
    // A claim that was under way may take it once more, and hands it back too.
    let is_back = || run(endless.status()).unwrap();
    until("it is back", || is_back().state == JobState::Ready);
    assert_eq!((is_back().attempts, is_back().errors, is_back().crashes), (0, 0, 0));
    assert!(memory.lock().heard.iter().all(|heard| *heard == Outcome::Returned));
    let later = submit(&queue, Add(1, 1), &JobOptions::new());
    assert_eq!(run(later.result_within(Duration::from_millis(50))), Ok(None), "it claims no more");
}

#[test]
fn a_runner_that_is_dropped_hands_back_what_it_has() {
    let (queue, memory) = Memory::queue();
    let runner = builder(&queue).build().unwrap();
    let endless = submit(&queue, Hold, &JobOptions::new());
    until("it runs", || memory_progress(&queue, &[&endless]));
    drop(runner);
    until("it is back", || !memory.lock().heard.is_empty());
    assert!(memory.lock().heard.iter().all(|heard| *heard == Outcome::Returned));
}

#[test]
fn a_full_pool_hands_jobs_back_and_they_run_when_it_has_room() {
    let (queue, memory) = Memory::queue();
    let pool = ThreadPool::builder().threads(1).queue_limit(1).build().unwrap();
    let (gate, held) = std::sync::mpsc::channel::<()>();
    let busy = pool.spawn(move |_| held.recv().is_ok());
    until("it is busy", || pool.metrics().queued == 0);
    let filling = pool.spawn(|_| ());
    let runner = JobRunner::builder(&queue).on_threads(pool, registry()).concurrency(4).build().unwrap();
    let job = submit(&queue, Add(1, 2), &JobOptions::new());
    until("it was handed back", || runner.metrics().returned > 0);
    drop(gate);
    assert_eq!(run(job.result()), Ok(3));
    assert_eq!(run(job.status()).unwrap().attempts, 1);
    assert!(memory.lock().claims < 50, "and not again and again");
    drop((busy, filling));
}

#[test]
fn a_store_that_does_not_answer_for_a_while_loses_no_result() {
    let (queue, memory) = Memory::queue();
    let runner = builder(&queue).build().unwrap();
    let job = submit(&queue, Hold, &JobOptions::new().run_limit(Duration::from_millis(50)));
    until("it runs", || memory_progress(&queue, &[&job]));
    memory.lock().failures = 3;
    assert!(matches!(run(job.result()), Err(JobError::Task(TaskError::TimedOut(_)))), "the limit ends it");
    assert!(runner.metrics().unanswered >= 1);
    assert!(runner.metrics().last_error.is_some());
}

#[test]
fn a_job_whose_deadline_has_passed_is_not_begun() {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    #[derive(Serialize, Deserialize)]
    struct Counts;
    impl Task for Counts {
        const NAME: &'static str = "counts";
        type Output = ();
        fn run(self, _: &TaskContext) -> Result<(), TaskError> {
            RUNS.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }
    }
    let (queue, _) = Memory::queue();
    let job = submit(&queue, Counts, &JobOptions::new().deadline(Duration::ZERO));
    let _runner = builder(&queue).registry(tasks![Counts]).build().unwrap();
    assert!(matches!(run(job.result()), Err(JobError::Task(TaskError::TimedOut(_)))));
    assert_eq!(RUNS.load(Ordering::Relaxed), 0);
}

#[test]
fn a_flow_gathers_the_results_of_its_children_in_their_order() {
    let (queue, _) = Memory::queue();
    let _runner = builder(&queue).build().unwrap();
    let children = (0..20).map(|number| Add(number, 100));
    let gathered = run(Jobs::new(&queue).flow(children, Total(1000)).submit()).unwrap();
    assert_eq!(run(gathered.result()), Ok((0..20).map(|number| number + 1100).collect()));
}

#[test]
fn the_status_is_watched_to_the_end() {
    let (queue, _) = Memory::queue();
    let job = submit(&queue, Add(1, 2), &JobOptions::new());
    let mut watch = job.watch();
    assert_eq!(run(watch.next()).unwrap().unwrap().state, JobState::Ready);
    let _runner = builder(&queue).build().unwrap();
    let mut last = JobState::Ready;
    while let Some(status) = run(watch.next()) {
        last = status.unwrap().state;
    }
    assert_eq!(last, JobState::Done);
}

fn wait<T>(submission: Submission<T>) -> Result<T, TaskError> {
    submission.wait(LONG)
}

#[test]
fn an_executor_gives_results_and_errors() {
    let (queue, memory) = Memory::queue();
    let _runner = builder(&queue).build().unwrap();
    let executor = QueueExecutor::new(&queue).retry(RetryPolicy::never());
    let sums: Vec<_> = (0..100).map(|number| executor.submit(Add(number, 1))).collect();
    for (number, sum) in sums.into_iter().enumerate() {
        assert_eq!(wait(sum), Ok(number as u64 + 1));
    }
    assert_eq!(wait(executor.submit(Fail(TaskError::failed("no")))), Err(TaskError::failed("no")));
    let tight = SubmitOptions::new().deadline_from_start(Duration::from_millis(20));
    assert!(matches!(wait(executor.submit_with(Hold, tight)), Err(TaskError::TimedOut(_))));
    drop(executor.submit(Hold));
    assert_eq!(wait(executor.submit(Add(1, 1))), Ok(2));
    memory.lock().failures = 1;
    let unavailable = wait(executor.submit(Add(1, 1)));
    assert!(
        matches!(unavailable, Err(TaskError::Refused(Refusal::Unavailable { .. })) | Ok(2)),
        "the runner may have met the failure: {unavailable:?}"
    );
}

#[test]
fn an_executor_refuses_what_the_store_has_not_confirmed_room_for() {
    let (queue, _) = Memory::queue();
    let executor = QueueExecutor::new(&queue).most_in_flight(1);
    // The thread of the handle takes none before this one gives it the chance: it is held.
    let (gate, held) = std::sync::mpsc::channel::<()>();
    queue.io().unwrap().spawn(async move { held.recv().is_ok() });
    let first = executor.submit(Add(1, 1));
    let refused = wait(executor.submit(Add(1, 1)));
    assert_eq!(refused, Err(TaskError::Refused(Refusal::Full { queued: 1, limit: 1 })));
    drop(gate);
    let _runner = builder(&queue).build().unwrap();
    assert_eq!(wait(first), Ok(2));
    assert_eq!(wait(executor.submit(Add(2, 2))), Ok(4));
}

#[test]
fn a_value_without_a_place_for_it_is_too_big() {
    let (queue, _) = Memory::queue();
    let jobs = Jobs::new(&queue);
    #[derive(Serialize, Deserialize)]
    struct Large(Blob);
    impl Task for Large {
        const NAME: &'static str = "large";
        type Output = ();
        fn run(self, _: &TaskContext) -> Result<(), TaskError> {
            Ok(())
        }
    }
    let refused = run(jobs.submit(Large(Blob::from(vec![0; payload::LONGEST + 1]))));
    assert!(matches!(refused, Err(Error::TooBig { .. })));
    let executor = QueueExecutor::new(&queue);
    let refused = wait(executor.submit(Large(Blob::from(vec![0; payload::LONGEST + 1]))));
    assert!(matches!(refused, Err(TaskError::Refused(Refusal::TooBig { .. }))));
}
