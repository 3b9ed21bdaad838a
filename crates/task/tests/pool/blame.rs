//! Who suffers from a crash: the task that did it, and nobody else; and what becomes of an input that does it again and again.

use std::sync::{Arc, Mutex};

use phalanx_task::{Ending, Executor, PoolEvent, ProcessPool, Refusal, TaskError};

use crate::Test;
use crate::jobs::{Crash, Moody, Sum};
use crate::tools::{pool, run, until, wait};

pub(crate) const TESTS: &[Test] = &[
    ("tasks queued behind one that crashes run elsewhere", behind_a_crash),
    ("tasks queued behind one that takes long are taken back", behind_a_long_one),
    ("an input that crashed three times is refused and another one runs", poison),
    ("a process killed from outside costs its task alone", killed_from_outside),
    ("a task that a stopped process does not begin is run by another one", stopped),
    ("events tell of starts, crashes and poison", events),
];

const CRASHES: Moody = Moody { sleeps_millis: 5, crashes: true, number: 0 };

/// Makes the pool know that such tasks are short.
fn teach(pool: &ProcessPool) {
    for _ in 0..30 {
        wait(pool.submit(Moody::default())).unwrap();
    }
}

fn behind_a_crash() {
    let pool = ProcessPool::builder().processes(1).poison_after(1000).build().unwrap();
    // Until some were really behind it when it crashed.
    until("some were given to another process", || {
        teach(&pool);
        let crashes = pool.submit(CRASHES);
        let behind: Vec<_> = (0..6).map(|number| pool.submit(Moody { number, ..Moody::default() })).collect();
        assert!(matches!(wait(crashes), Err(TaskError::Crashed(crash)) if crash.ending == Ending::Signal(6)));
        let numbers: Vec<_> = behind.into_iter().map(|submission| wait(submission).unwrap()).collect();
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5]);
        pool.metrics().dispatched_again > 0
    });
    let metrics = pool.metrics();
    assert_eq!(metrics.crashed, metrics.died);
}

fn behind_a_long_one() {
    let pool = pool(1);
    until("some were taken back", || {
        teach(&pool);
        let long = pool.submit(Moody { sleeps_millis: 60, ..Moody::default() });
        let behind: Vec<_> = (0..6).map(|number| pool.submit(Moody { number, ..Moody::default() })).collect();
        assert_eq!(wait(long), Ok(0));
        let numbers: Vec<_> = behind.into_iter().map(|submission| wait(submission).unwrap()).collect();
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5]);
        pool.metrics().dispatched_again > 0
    });
    assert_eq!(pool.metrics().died, 0);
}

fn poison() {
    let pool = pool(1);
    for _ in 0..3 {
        assert!(matches!(wait(pool.submit(Crash::Exit(7))), Err(TaskError::Crashed(_))));
    }
    for _ in 0..2 {
        assert_eq!(wait(pool.submit(Crash::Exit(7))), Err(TaskError::Refused(Refusal::Poison { crashes: 3 })));
    }
    assert!(matches!(wait(pool.submit(Crash::Exit(8))), Err(TaskError::Crashed(_))), "another input is tried");
    assert!(wait(pool.submit(Sum(vec![1]))).is_ok());
    let metrics = pool.metrics();
    assert_eq!((metrics.crashed, metrics.poisoned), (4, 2));
}

fn killed_from_outside() {
    let pool = pool(1);
    let (_, pid) = wait(pool.submit(Sum(vec![1]))).unwrap();
    let task = pool.submit(Moody { sleeps_millis: 60_000, ..Moody::default() });
    // One that has not begun would be run by the next process, for a minute.
    run(async { task.progress().next().await }).expect("it runs");
    let next = pool.submit(Sum(vec![2]));
    let pid = rustix::process::Pid::from_raw(pid.try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    assert!(matches!(wait(task), Err(TaskError::Crashed(crash)) if crash.ending == Ending::Signal(9)));
    assert_eq!(wait(next).unwrap().0, 2);
}

fn stopped() {
    let pool = pool(1);
    let (_, first) = wait(pool.submit(Sum(vec![1]))).unwrap();
    let pid = rustix::process::Pid::from_raw(first.try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    let (sum, second) = wait(pool.submit(Sum(vec![2]))).unwrap();
    assert_eq!(sum, 2);
    assert_ne!(first, second);
    assert_eq!((pool.metrics().crashed, pool.metrics().dispatched_again), (0, 1));
}

fn events() {
    let heard: Arc<Mutex<Vec<String>>> = Arc::default();
    let says = heard.clone();
    let pool = ProcessPool::builder()
        .processes(1)
        .poison_after(1)
        .on_event(move |event: &PoolEvent| says.lock().unwrap().push(event.to_string()))
        .build()
        .unwrap();
    assert!(wait(pool.submit(Crash::Say("its words".into()))).is_err());
    assert!(wait(pool.submit(Sum(vec![1]))).is_ok());
    let has = |part: &str| heard.lock().unwrap().iter().any(|event| event.contains(part));
    until("all events are there", || {
        has("runs; sandbox") && has("(crash)") && has("its words") && has("refused from now on")
    });
}
