//! Results, errors, panics, crashes, deadlines, cancellation.

use std::time::Duration;

use phalanx_task::{Blob, Ending, Executor, Phase, SubmitOptions, TaskError};
use rustix::time::{ClockId, clock_gettime};

use crate::Test;
use crate::jobs::{Blocks, Crash, Echo, Panics, Sleep, Steps, Sum};
use crate::tools::{pool, run, until, wait};

pub(crate) const TESTS: &[Test] = &[
    ("a task gives its result from another process", result),
    ("an error of a task is its caller's", error),
    ("a panic is an error with its words and place", panic),
    ("a crash is an error of that task and the next one runs", crash),
    ("the tail of standard error is part of a crash", crash_tail),
    ("blobs of all sizes travel both ways", blobs),
    ("who submits and awaits is not the one who copies what is large", copies),
    ("a task that does not stop at its deadline is killed and the caller told in time", deadline),
    ("a task that waits beyond its deadline never runs", deadline_in_queue),
    ("a cancelled task that does not stop is killed", cancel),
    ("progress is heard while a task runs", progress),
    ("a thousand tasks in flight all end", many),
];

fn result() {
    let pool = pool(1);
    let (sum, pid) = wait(pool.submit(Sum(vec![1, 2, 3]))).unwrap();
    assert_eq!(sum, 6);
    assert_ne!(pid, std::process::id());
    assert_eq!(run(async { pool.submit(Sum(vec![4])).await }).unwrap(), (4, pid));
}

fn error() {
    assert_eq!(wait(pool(1).submit(Sum(vec![]))), Err(TaskError::failed("nothing to add")));
}

fn panic() {
    let pool = pool(1);
    let Err(TaskError::Panicked { message, location }) = wait(pool.submit(Panics("no way".into()))) else { panic!() };
    assert_eq!(message, "no way");
    assert!(location.unwrap().contains("jobs.rs:"));
    assert!(wait(pool.submit(Sum(vec![1]))).is_ok());
    assert_eq!(pool.metrics().died, 0, "a panic is no crash");
}

fn ending(result: Result<(), TaskError>) -> Ending {
    match result {
        Err(TaskError::Crashed(crash)) => crash.ending,
        other => panic!("{other:?}"),
    }
}

fn crash() {
    let pool = pool(1);
    assert_eq!(ending(wait(pool.submit(Crash::Abort))), Ending::Signal(6));
    assert_eq!(ending(wait(pool.submit(Crash::Exit(0)))), Ending::Exit(0));
    assert_eq!(ending(wait(pool.submit(Crash::Exit(3)))), Ending::Exit(3));
    assert_eq!(wait(pool.submit(Sum(vec![1]))).unwrap().0, 1);
    assert_eq!(pool.metrics().crashed, 3);
}

fn crash_tail() {
    let pool = pool(1);
    for words in ["first words", "other words"] {
        let Err(TaskError::Crashed(crash)) = wait(pool.submit(Crash::Say(words.into()))) else { panic!() };
        assert_eq!(crash.stderr_tail.trim_end(), words);
    }
}

fn copies() {
    // Processor time of this thread, and of all threads of this process.
    let used = || {
        [ClockId::ThreadCPUTime, ClockId::ProcessCPUTime].map(|clock| Duration::try_from(clock_gettime(clock)).unwrap())
    };
    let pool = pool(1);
    let blob = Blob::from(vec![7; 64 * 1024 * 1024]);
    let before = used();
    for _ in 0..3 {
        let echoed = wait(pool.submit(Echo(blob.clone()))).unwrap();
        assert_eq!(echoed.len(), blob.len());
    }
    let after = used();
    let [ours, all] = [after[0] - before[0], after[1] - before[1]];
    assert!(ours * 4 < all, "this thread used {ours:?} of {all:?}");
}

fn blobs() {
    let pool = pool(1);
    for len in [0, 1, 4095, 4096, 4097, 65_536, 1 << 20, 5_000_000] {
        let blob = Blob::from((0..len).map(|n| (n * 7) as u8).collect::<Vec<_>>());
        assert_eq!(wait(pool.submit(Echo(blob.clone()))), Ok(blob), "{len} bytes");
    }
}

fn deadline() {
    let pool = pool(1);
    let options = SubmitOptions::new().deadline_from_start(Duration::from_millis(30));
    assert_eq!(wait(pool.submit_with(Sleep(60_000), options.clone())), Err(TaskError::TimedOut(Phase::Run)));
    assert_eq!(wait(pool.submit_with(Blocks, options)), Err(TaskError::TimedOut(Phase::Run)));
    assert!(wait(pool.submit(Sum(vec![1]))).is_ok());
    assert!(pool.metrics().killed >= 1);
}

fn deadline_in_queue() {
    let pool = pool(1);
    let _long = pool.submit(Sleep(60_000));
    let options = SubmitOptions::new().deadline_from_submit(Duration::from_millis(20));
    assert_eq!(wait(pool.submit_with(Sum(vec![1]), options)), Err(TaskError::TimedOut(Phase::Queue)));
}

fn cancel() {
    let pool = pool(1);
    let long = pool.submit(Sleep(60_000));
    until("it runs", || pool.metrics().running == 1);
    long.cancel();
    assert_eq!(wait(long), Err(TaskError::Cancelled));
    assert!(wait(pool.submit(Sum(vec![1]))).is_ok());
    drop(pool.submit(Sleep(60_000)));
    assert!(wait(pool.submit(Sum(vec![1]))).is_ok());
}

fn progress() {
    let pool = pool(1);
    run(async {
        let steps = pool.submit(Steps(5));
        let mut progress = steps.progress();
        let first = progress.next().await.unwrap();
        assert!(first.done >= 1 && first.total == 5, "{first:?}");
        assert_eq!(steps.await, Ok(()));
    });
}

fn many() {
    let pool = pool(2);
    let results = run(async {
        let submissions: Vec<_> = (0..1000).map(|n| pool.submit(Sum(vec![n, 1]))).collect();
        let mut sums = Vec::new();
        for submission in submissions {
            sums.push(submission.await.unwrap().0);
        }
        sums
    });
    assert_eq!(results, (1..=1000).collect::<Vec<_>>());
    assert_eq!(pool.metrics().completed, 1000);
}
