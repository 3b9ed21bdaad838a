//! Death in numbers: a thousand crashes in a row, and an outsider who kills.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use phalanx_task::{Ending, Executor, Phase, PoolEvent, Refusal, SubmitOptions, TaskError};
use rustix::process::{Pid, Signal, kill_process};

use crate::Test;
use crate::household::{Household, children_of, end_of, nothing_is_left, resident_kib, state_of, until};
use crate::mischief::{Confined, DONE, Mischief};
use crate::siblings::{PROCESSES, all_done, builder, pool, siblings, task};

pub(crate) const TESTS: &[Test] = &[
    ("a thousand crashes leave no descriptor, no thread, no zombie and no memory behind", thousand_crashes),
    ("where every second task crashes, each of the others has its result", every_second),
    ("each task under a storm of kill -9 ends once, with its result or as a crash", kill_storm),
    ("a job process that somebody stopped costs its task the deadline, and nobody else anything", stopped),
];

const CRASHES: usize = 1000;
/// More than the allocator's caches of a few threads, less than a KiB and a half for each crash.
const MEMORY_MAY_GROW_KIB: u64 = 1500;

fn thousand_crashes() {
    let pool = pool();
    let crash = |what| end_of(pool.submit(task::<Confined>(what)));
    for _ in 0..50 {
        crash(Mischief::Abort).unwrap_err();
    }
    let ways = [Mischief::Abort, Mischief::Segfault, Mischief::ExitAtOnce(0), Mischief::Abort];
    let settled = || {
        all_done(siblings::<Confined>(&pool));
        until("all processes to be there again", || (children_of(std::process::id()).len() == PROCESSES).then_some(()));
        Household::now()
    };
    let (warm, memory) = (settled(), resident_kib());
    for number in 0..CRASHES {
        let end = crash(ways[number % ways.len()].clone());
        assert!(matches!(end, Err(TaskError::Crashed(_))), "crash {number}: {end:?}");
    }
    settled();
    warm.returns();
    let now = resident_kib();
    assert!(now < memory + MEMORY_MAY_GROW_KIB, "{memory} KiB before {CRASHES} crashes, {now} after");
    drop(pool);
    nothing_is_left();
}

fn every_second() {
    let pool = pool();
    // The pool learns that these are short, and queues them ahead.
    all_done(siblings::<Confined>(&pool));
    let ways = |n: usize| if n.is_multiple_of(2) { Mischief::Abort } else { Mischief::Work(1) };
    let submissions: Vec<_> = (0..400).map(|n| pool.submit(task::<Confined>(ways(n)))).collect();
    for (number, submission) in submissions.into_iter().enumerate() {
        let end = end_of(submission);
        let is_right = match &end {
            Ok(said) => number % 2 == 1 && said == DONE,
            Err(TaskError::Crashed(crash)) => number % 2 == 0 && crash.ending == Ending::Signal(libc::SIGABRT),
            Err(_) => false,
        };
        assert!(is_right, "task {number} ended with {end:?}");
    }
    drop(pool);
    nothing_is_left();
}

const TASKS: usize = 2000;
const BETWEEN_KILLS: Duration = Duration::from_millis(5);
/// A machine under load is not struck faster than it works, or no task would begin before its process is dead.
const RESULTS_BETWEEN_KILLS: u64 = 4;

fn kill_storm() {
    // Those that have said hello: one that is killed before that is a start that failed.
    let targets = Arc::new(Mutex::new(Vec::new()));
    let pool = builder()
        .on_event({
            let targets = targets.clone();
            move |event| {
                if let PoolEvent::Started { pid, .. } = event {
                    targets.lock().unwrap().push(*pid);
                }
            }
        })
        .build()
        .unwrap();
    let (over, kills) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let killer = std::thread::spawn({
        let (over, kills, pool) = (over.clone(), kills.clone(), pool.clone());
        move || {
            let mut results = 0;
            for turn in 0.. {
                if over.load(Ordering::Relaxed) {
                    return;
                }
                let now = pool.metrics().completed;
                if now < results {
                    std::thread::sleep(BETWEEN_KILLS);
                    continue;
                }
                results = now + RESULTS_BETWEEN_KILLS;
                let victim = {
                    let mut targets = targets.lock().unwrap();
                    let count = targets.len();
                    (count > 0).then(|| targets.swap_remove(turn % count))
                };
                if let Some(victim) = victim.and_then(|pid| Pid::from_raw(pid as i32)) {
                    kills.fetch_add(u64::from(kill_process(victim, Signal::KILL).is_ok()), Ordering::Relaxed);
                }
                std::thread::sleep(BETWEEN_KILLS);
            }
        }
    });
    let (mut done, mut crashed, mut not_begun) = (0, 0, 0);
    // In portions, so that the line in front of the pool is never full.
    for _ in 0..TASKS / 200 {
        let portion: Vec<_> = (0..200).map(|n| pool.submit(task::<Confined>(Mischief::Work(n * 10)))).collect();
        for submission in portion {
            match end_of(submission) {
                Ok(said) if said == DONE => done += 1,
                Err(TaskError::Crashed(crash)) if crash.ending == Ending::Signal(libc::SIGKILL) => crashed += 1,
                // Three times in a row its process was dead before it had begun.
                Err(TaskError::Refused(Refusal::NotStarted { .. })) => not_begun += 1,
                other => panic!("a task ended with {other:?} after {done} results and {crashed} crashes"),
            }
        }
    }
    over.store(true, Ordering::Relaxed);
    killer.join().unwrap();
    let kills = kills.load(Ordering::Relaxed);
    println!("  {kills} kills: {done} results, {crashed} crashes, {not_begun} not begun");
    assert_eq!(done + crashed + not_begun, TASKS as u64);
    assert!(not_begun <= TASKS as u64 / 100, "the pool gives tasks to processes that are dead");
    assert!(kills > 0 && crashed <= kills, "one kill costs one task at most");
    all_done(siblings::<Confined>(&pool));
    drop(pool);
    nothing_is_left();
}

fn stopped() {
    let pool = pool();
    let submit = |what| {
        let options = SubmitOptions::new().deadline_from_start(Duration::from_secs(5));
        pool.submit_with(task::<Confined>(what), options)
    };
    let running: Vec<_> = (0..PROCESSES).map(|_| submit(Mischief::SpinForEver)).collect();
    until("all processes to be busy", || (pool.metrics().running == PROCESSES).then_some(()));
    let jobs = children_of(std::process::id());
    // All of them are stopped: those that run lose their time, all that wait are served by replacements.
    for &pid in &jobs {
        let _ = kill_process(Pid::from_raw(pid as i32).unwrap(), Signal::STOP);
    }
    let waiting: Vec<_> = (0..10).map(|_| (submit(Mischief::Work(10)), DONE.to_owned())).collect();
    for end in running.into_iter().map(end_of) {
        // In the queue, if its process was stopped before it had begun.
        assert!(matches!(end, Err(TaskError::TimedOut(Phase::Run | Phase::Queue))), "{end:?}");
    }
    all_done(waiting);
    all_done(siblings::<Confined>(&pool));
    for pid in jobs {
        until("the stopped process to be gone", || state_of(pid).is_none().then_some(()));
    }
    drop(pool);
    nothing_is_left();
}
