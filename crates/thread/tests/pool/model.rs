//! The whole pool against a simple model: random jobs, random moments.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use phalanx_thread::{Cancellation, JobContext, JobError, Phase, Priority, Refusal, Submission, ThreadPool};
use proptest::prelude::*;

use crate::gate::{Held, hold, run};

#[derive(Debug, Clone)]
enum Step {
    /// A job of this priority, which panics or not, has a deadline that passes or not, and belongs to the cancellation
    /// or not.
    Submit {
        level: u8,
        panics: bool,
        deadline: bool,
        cancellable: bool,
    },
    SubmitMany(u8),
    Drop(prop::sample::Index),
    Cancel(prop::sample::Index),
    CancelAll,
    /// Lets everything run that waits, then blocks the thread again.
    Flush,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (0_u8..10, prop::bool::weighted(0.1), any::<bool>(), prop::bool::weighted(0.2))
            .prop_map(|(level, panics, deadline, cancellable)| Step::Submit { level, panics, deadline, cancellable }),
        1 => (1_u8..8).prop_map(Step::SubmitMany),
        1 => any::<prop::sample::Index>().prop_map(Step::Drop),
        1 => any::<prop::sample::Index>().prop_map(Step::Cancel),
        1 => Just(Step::CancelAll),
        1 => Just(Step::Flush),
    ];
    prop::collection::vec(step, 0..60)
}

struct Known {
    name: usize,
    level: u8,
    panics: bool,
    cancellable: bool,
    submission: Submission<usize>,
    runs: Arc<AtomicU32>,
    /// What must have become of it, if that is sure already.
    fate: Option<JobError>,
}

fn work(
    name: usize,
    panics: bool,
    order: &Arc<Mutex<Vec<usize>>>,
) -> (Arc<AtomicU32>, impl FnOnce(&JobContext) -> usize + Send + use<>) {
    let (runs, order) = (Arc::new(AtomicU32::new(0)), order.clone());
    let inside = runs.clone();
    let work = move |_: &JobContext| {
        inside.fetch_add(1, Ordering::Relaxed);
        order.lock().unwrap().push(name);
        assert!(!panics, "expected");
        name
    };
    (runs, work)
}

const LIMIT: usize = 24;

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    /// One thread, blocked while jobs are submitted, dropped and cancelled, then let loose. No job is lost, none runs
    /// twice, what was cancelled before never runs, equals run in their order, and the bound holds.
    #[test]
    fn the_pool_behaves_like_a_list(steps in steps()) {
        let pool = ThreadPool::builder().threads(1).queue_limit(LIMIT).max_wait(Duration::from_secs(100_000)).build().unwrap();
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut stop = Cancellation::new();
        let mut held: Held = hold(pool.job());
        let mut known: Vec<Known> = Vec::new();
        let (mut refused, mut cancelled) = (0, 0);
        for (step_number, step) in steps.into_iter().chain([Step::Flush]).enumerate() {
            match step {
                Step::Submit { level, panics, deadline, cancellable } => {
                    let name = step_number * 100;
                    let (runs, work) = work(name, panics, &order);
                    let mut job = pool.job().priority(Priority::new(level));
                    if deadline {
                        job = job.deadline_from_submit(Duration::from_secs(1000)).deadline_from_start(Duration::from_secs(1000));
                    }
                    if cancellable {
                        job = job.cancelled_by(&stop);
                    }
                    let is_full = known.iter().filter(|job| job.fate.is_none()).count() == LIMIT;
                    let submission = job.spawn(work);
                    let fate = is_full.then_some(JobError::Refused(Refusal::Full { queued: LIMIT, limit: LIMIT }));
                    refused += u64::from(is_full);
                    prop_assert_eq!(submission.is_finished(), is_full);
                    known.push(Known { name, level, panics, cancellable, submission, runs, fate });
                }
                Step::SubmitMany(count) => {
                    let room = LIMIT - known.iter().filter(|job| job.fate.is_none()).count();
                    let (counters, works): (Vec<_>, Vec<_>) =
                        (0..usize::from(count)).map(|number| work(step_number * 100 + number, false, &order)).unzip();
                    let submissions = pool.spawn_many(works);
                    for (number, (submission, runs)) in submissions.into_iter().zip(counters).enumerate() {
                        let fits = number < room;
                        let fate = (!fits).then_some(JobError::Refused(Refusal::Full { queued: LIMIT, limit: LIMIT }));
                        refused += u64::from(!fits);
                        let name = step_number * 100 + number;
                        known.push(Known { name, level: 4, panics: false, cancellable: false, submission, runs, fate });
                    }
                }
                Step::Drop(index) if !known.is_empty() => {
                    let job = known.remove(index.index(known.len()));
                    cancelled += u64::from(job.fate.is_none());
                    drop(job.submission);
                    prop_assert_eq!(Arc::strong_count(&job.runs), 1, "what it captured is freed");
                    prop_assert_eq!(job.runs.load(Ordering::Relaxed), 0);
                }
                Step::Cancel(index) if !known.is_empty() => {
                    let place = index.index(known.len());
                    let job = &mut known[place];
                    job.submission.cancel();
                    if job.fate.is_none() {
                        job.fate = Some(JobError::Cancelled);
                        cancelled += 1;
                    }
                }
                Step::CancelAll => {
                    stop.cancel();
                    stop = Cancellation::new();
                    for job in known.iter_mut().filter(|job| job.cancellable && job.fate.is_none()) {
                        job.fate = Some(JobError::Cancelled);
                        cancelled += 1;
                    }
                }
                Step::Flush => {
                    let metrics = pool.metrics();
                    prop_assert_eq!(metrics.queued, known.iter().filter(|job| job.fate.is_none()).count());
                    prop_assert_eq!((metrics.refused, metrics.cancelled), (refused, cancelled));
                    prop_assert!(run(held.finish()).is_ok());
                    let mut expected: Vec<_> = known.iter().filter(|job| job.fate.is_none()).map(|job| (job.level, job.name)).collect();
                    for job in known.drain(..) {
                        let result = run(job.submission);
                        match job.fate {
                            Some(fate) => {
                                prop_assert_eq!(result, Err(fate));
                                prop_assert_eq!(job.runs.load(Ordering::Relaxed), 0);
                            }
                            None => {
                                prop_assert_eq!(job.runs.load(Ordering::Relaxed), 1);
                                if job.panics {
                                    let has_panicked = matches!(result, Err(JobError::Panicked { .. }));
                                    prop_assert!(has_panicked, "it did not panic");
                                } else {
                                    prop_assert_eq!(result, Ok(job.name));
                                }
                            }
                        }
                    }
                    // Fewer jobs than a level has patience for: the order is the plain one.
                    expected.sort_by_key(|(level, name)| (std::cmp::Reverse(*level), *name));
                    let expected: Vec<_> = expected.into_iter().map(|(_, name)| name).collect();
                    prop_assert_eq!(std::mem::take(&mut *order.lock().unwrap()), expected);
                    held = hold(pool.job());
                }
                Step::Drop(_) | Step::Cancel(_) => {}
            }
        }
        held.open();
    }
}

/// Everything at once on a pool that grows and shrinks, with short deadlines; then it drains. Each submission ends in
/// exactly one way, and the counters agree.
#[test]
fn a_drain_ends_everything_that_is_under_way() {
    for round in 0..30_u64 {
        let pool = ThreadPool::builder().min_threads(1).max_threads(3).idle_timeout(Duration::ZERO).queue_limit(64);
        let pool = pool.build().unwrap();
        let stop = Cancellation::new();
        let mut map = pool.map(0..1000, |_, item| item);
        let mut ends = [0_u64; 5];
        run(async {
            let mut jobs = Vec::new();
            for number in 0..300_u64 {
                let job = pool.job().priority(Priority::new((number % 10) as u8)).cancelled_by(&stop);
                let job = job.deadline_from_submit(Duration::from_micros(number % 7 * 300));
                jobs.push(job.deadline_from_start(Duration::from_micros(200)).spawn(move |cx| {
                    assert!(number % 13 != 0, "expected");
                    while number % 3 == 0 && !cx.is_cancelled() {
                        std::hint::spin_loop();
                    }
                }));
                if number == 100 + round * 3 {
                    stop.cancel();
                }
            }
            let first = map.next().await;
            assert!(first.is_some());
            let drain = pool.drain(Duration::from_millis(round % 3));
            for job in jobs {
                let end = match job.await {
                    Ok(()) => 0,
                    Err(JobError::Panicked { .. }) => 1,
                    Err(JobError::TimedOut(Phase::Queue | Phase::Run)) => 2,
                    Err(JobError::Cancelled) => 3,
                    Err(JobError::Refused(_)) => 4,
                    Err(other) => panic!("{other}"),
                };
                ends[end] += 1;
            }
            drain.await;
            while map.next().await.is_some() {}
        });
        assert_eq!(ends.iter().sum::<u64>(), 300);
        pool.drain_blocking(crate::gate::GIVE_UP);
        let metrics = pool.metrics();
        assert_eq!((metrics.queued, metrics.running, metrics.threads), (0, 0, 0));
        let all = metrics.completed + metrics.panicked + metrics.timed_out + metrics.cancelled + metrics.refused;
        assert_eq!(all, 300 + 1000);
        assert_eq!(metrics.panicked, ends[1]);
    }
}
