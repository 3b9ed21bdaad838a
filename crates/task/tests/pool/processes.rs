//! How many processes there are, and when one is replaced.

use std::collections::HashSet;
use std::time::Duration;

use phalanx_task::{Executor, PoolError, ProcessPool, Refusal, Sandbox, SandboxPolicy, TaskError};

use crate::Test;
use crate::jobs::{Churn, Hoard, Nested, Sleep, Speak, Sum};
use crate::tools::{LONG, lives, pool, run, until, wait};

pub(crate) const TESTS: &[Test] = &[
    ("a process that has run as many tasks as it may is replaced", max_jobs),
    ("a process that holds too much memory is replaced", max_memory),
    ("a process that idles gives its memory back and serves on", gives_back),
    ("processes come when tasks wait and go when they idle", idle),
    ("a task runs at its sandbox level", levels),
    ("one process serves all levels in turn", levels_in_one_place),
    ("what is active is told before the first task", confinement),
    ("a sandbox that is required is whole or there is no pool", sandbox_required),
    ("without a sandbox processes are denied nothing", sandbox_off),
    ("a pool whose processes cannot start is not built", cannot_start),
    ("tasks end when no process can be started and run when that is over", start_failures),
    ("a dropped pool leaves no process", dropped),
    ("a pool that drains finishes what it has", drain),
    ("a drain that takes too long ends what runs", drain_late),
    ("a job process builds no pool", nested),
    ("wrong settings are refused with their names", settings),
];

fn pid(pool: &ProcessPool) -> u32 {
    wait(pool.submit(Sum(vec![1]))).unwrap().1
}

fn max_jobs() {
    let pool = ProcessPool::builder().processes(1).max_jobs(2).build().unwrap();
    let pids: Vec<_> = (0..6).map(|_| pid(&pool)).collect();
    assert!(pids.chunks(2).all(|two| two[0] == two[1]), "{pids:?}");
    assert_eq!(pids.iter().collect::<HashSet<_>>().len(), 3);
    assert_eq!((pool.metrics().recycled, pool.metrics().died), (3, 0));

    // Tasks that come faster than they are run are not queued in a process that may not run them.
    let patient = Duration::from_secs(60);
    let one = ProcessPool::builder().processes(1).max_jobs(1);
    let pool = one.max_wait(patient).standing_wait(patient).build().unwrap();
    let submissions: Vec<_> = (0..50).map(|_| pool.submit(Sum(vec![1]))).collect();
    let pids: HashSet<_> = submissions.into_iter().map(|submission| wait(submission).unwrap().1).collect();
    assert_eq!(pids.len(), 50);
}

fn max_memory() {
    let pool = ProcessPool::builder().processes(1).max_memory(64 << 20).build().unwrap();
    let first = wait(pool.submit(Hoard(100 << 20))).unwrap();
    // It is weighed now and then.
    until("another process", || pid(&pool) != first);
    assert_eq!(pool.metrics().died, 0);
}

fn gives_back() {
    let pool = ProcessPool::builder().processes(1).build().unwrap();
    let first = pid(&pool);
    let rests_at = phalanx_memory::anonymous_of(first).unwrap();
    assert_eq!(wait(pool.submit(Churn(32 * 1024))).unwrap(), first);
    until("64 MiB are back", || phalanx_memory::anonymous_of(first).is_ok_and(|bytes| bytes < rests_at + (8 << 20)));
    assert_eq!((pid(&pool), pool.metrics().died), (first, 0));
}

fn idle() {
    let pool = ProcessPool::builder()
        .min_processes(1)
        .max_processes(3)
        .idle_timeout(Duration::from_millis(100))
        .sandbox(SandboxPolicy::Off)
        .build()
        .unwrap();
    let before = pool.metrics().processes;
    let submissions: Vec<_> = (0..3).map(|_| pool.submit(Sleep(300))).collect();
    let pids: HashSet<_> = submissions.into_iter().map(|submission| wait(submission).unwrap()).collect();
    assert_eq!((before, pids.len()), (1, 3));
    until("one is left", || pool.metrics().processes == 1);
    until("the others are gone", || pids.iter().filter(|pid| lives(**pid)).count() == 1);
    assert_eq!(pool.metrics().died, 0);
}

fn levels() {
    let pool = ProcessPool::builder().min_processes(2).max_processes(2).build().unwrap();
    let strict = pid(&pool);
    let free = wait(pool.submit(Speak(0))).unwrap();
    assert_ne!(strict, free);
    assert_eq!((pid(&pool), wait(pool.submit(Speak(0))).unwrap()), (strict, free), "both are kept");
    let levels: Vec<_> = pool.confinement().iter().map(|confinement| confinement.level).collect();
    assert_eq!(levels, [Sandbox::Full, Sandbox::NoNetwork]);
}

fn levels_in_one_place() {
    let pool = pool(1);
    for _ in 0..3 {
        let strict = pool.submit(Sum(vec![1]));
        let free = pool.submit(Speak(0));
        let strict = wait(strict).unwrap().1;
        assert_ne!(wait(free).unwrap(), strict);
    }
    assert_eq!(pool.metrics().died, 0);
}

fn confinement() {
    let pool = pool(1);
    assert_eq!(pool.confinement()[0].level, Sandbox::Full);
    assert_eq!(pool.confinement()[0], phalanx_process::sandbox::available(Sandbox::Full));
}

fn sandbox_required() {
    let incomplete = [Sandbox::Full, Sandbox::NoNetwork]
        .into_iter()
        .any(|level| !phalanx_process::sandbox::available(level).is_complete());
    match ProcessPool::builder().processes(2).sandbox(SandboxPolicy::Require).build() {
        Ok(pool) => {
            assert!(!incomplete);
            until("both levels are there", || pool.confinement().len() == 2);
            assert!(pool.confinement().iter().all(|confinement| confinement.is_complete()));
        }
        Err(PoolError::Sandbox { missing, .. }) => assert!(incomplete && !missing.is_empty()),
        Err(other) => panic!("{other}"),
    }
}

fn sandbox_off() {
    let pool = ProcessPool::builder().processes(1).sandbox(SandboxPolicy::Off).build().unwrap();
    assert_eq!(wait(pool.submit(Speak(0))).unwrap(), pid(&pool), "one level, one process");
    assert_eq!(pool.confinement().iter().map(|its| its.level).collect::<Vec<_>>(), [Sandbox::None]);
}

fn cannot_start() {
    let error = ProcessPool::builder().processes(1).max_input(u64::MAX / 4).build().unwrap_err();
    assert!(matches!(&error, PoolError::Start { reason } if !reason.is_empty()), "{error:?}");
}

fn start_failures() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let pool = ProcessPool::builder().processes(1).build().unwrap();
    let (_, first) = wait(pool.submit(Sum(vec![1]))).unwrap();
    let before = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(3), ..before }).unwrap();
    let first = rustix::process::Pid::from_raw(first.try_into().unwrap()).unwrap();
    rustix::process::kill_process(first, rustix::process::Signal::KILL).unwrap();
    until("its death is noticed", || pool.metrics().died == 1);
    let Err(TaskError::Refused(Refusal::NotStarted { reason })) = wait(pool.submit(Sum(vec![1]))) else { panic!() };
    let failed = pool.metrics();
    setrlimit(Resource::Nofile, before).unwrap();
    assert!(reason.contains("open files"), "{reason}");
    assert!(failed.failed_starts >= 5 && failed.last_failure.is_some());
    until("it runs again", || wait(pool.submit(Sum(vec![1]))).is_ok());
    assert_eq!(pool.metrics().last_failure, None);
}

fn dropped() {
    let pool = ProcessPool::builder().processes(2).sandbox(SandboxPolicy::Off).build().unwrap();
    let both: Vec<_> = (0..2).map(|_| pool.submit(Sleep(200))).collect();
    let pids: Vec<_> = both.into_iter().map(|submission| wait(submission).unwrap()).collect();
    let runs = [pool.submit(Sleep(60_000)), pool.submit(Sleep(60_000))];
    let waits = pool.submit(Sum(vec![1]));
    drop(pool);
    assert_eq!(wait(waits), Err(TaskError::Refused(Refusal::ShuttingDown)));
    for submission in runs {
        assert_eq!(wait(submission), Err(TaskError::Cancelled));
    }
    until("no process is left", || !pids.iter().any(|pid| lives(*pid)));
}

fn drain() {
    let pool = pool(1);
    let submissions: Vec<_> = (0..5).map(|_| pool.submit(Sleep(20))).collect();
    let left = run(pool.drain(LONG));
    assert_eq!((left.queued, left.running), (0, 0));
    assert!(submissions.into_iter().all(|submission| wait(submission).is_ok()));
    assert_eq!(wait(pool.submit(Sum(vec![1]))), Err(TaskError::Refused(Refusal::ShuttingDown)));
    assert_eq!(pool.metrics().processes, 0);
}

fn drain_late() {
    let pool = pool(1);
    let runs = pool.submit(Sleep(60_000));
    let waits = pool.submit(Sleep(60_000));
    until("it runs", || pool.metrics().running == 1);
    let left = pool.drain_blocking(Duration::from_millis(30));
    assert_eq!((left.queued, left.running), (1, 1));
    assert_eq!(wait(runs), Err(TaskError::Cancelled));
    assert_eq!(wait(waits), Err(TaskError::Refused(Refusal::ShuttingDown)));
    until("no process is left", || pool.metrics().processes == 0);
}

fn nested() {
    let error = wait(pool(1).submit(Nested)).unwrap();
    assert!(error.contains("a job process starts no pools"), "{error}");
}

fn settings() {
    let wrong = |builder: phalanx_task::Builder, name: &str| {
        let error = builder.build().unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
    };
    wrong(ProcessPool::builder().processes(0), "max_processes");
    wrong(ProcessPool::builder().min_processes(3).max_processes(2), "min_processes");
    wrong(ProcessPool::builder().queue_limit(0), "queue_limit");
    wrong(ProcessPool::builder().nice(20), "nice");
    wrong(ProcessPool::builder().ahead(64), "ahead");
    wrong(ProcessPool::builder().max_jobs(0), "max_jobs");
    wrong(ProcessPool::builder().poison_after(0), "poison_after");
    wrong(ProcessPool::builder().name("a\0b"), "name");
}
