//! What a task may do to its own process: each way has its clear error, and nobody else notices.

use std::time::Duration;

use phalanx_task::{Crash, Ending, Executor, Phase, SubmitOptions, TaskError};

use crate::Test;
use crate::household::{end_of, nothing_is_left};
use crate::mischief::{Confined, DONE, Free, LAST_WORDS, Mischief};
use crate::siblings::{
    RUN_DEADLINE, all_done, among_siblings, among_siblings_in_haste, among_siblings_one_of_which_may_suffer, builder,
    pool, siblings, task,
};

pub(crate) const TESTS: &[Test] = &[
    ("a task that segfaults is a crash by SIGSEGV", segfault),
    ("a task that aborts is a crash by SIGABRT", abort),
    ("a task that overflows its stack is a crash that says so", stack),
    ("a task that allocates without end is a crash at the limit of its data", memory),
    ("a task that panics while panicking is a crash whose last words speak of a panic", two_panics),
    ("a task that exits is a crash with the exit code, 0 too", exits),
    ("a task that spins for ever is killed at its deadline", spins),
    ("a task that ignores every signal is killed at its deadline", ignores),
    ("a task that stops itself is killed at its deadline", stops),
    ("a task that closes every descriptor harms only its process", closes),
    ("megabytes on standard error neither block nor pile up, and the last words are kept", chatters),
    ("a task that uses up its processor time is a crash by SIGXCPU", burns),
    ("threads that a task left behind end with their process", leaves_threads),
    ("a process that dies between two tasks is replaced", dies_late),
    ("the words of an error name the signal, the code or the deadline, and what to do", words),
];

const SIGSEGV: Ending = Ending::Signal(libc::SIGSEGV);
const SIGABRT: Ending = Ending::Signal(libc::SIGABRT);

/// The crash that a task was, at both ends of the sandbox; the same at both.
fn crash(what: Mischief, ending: &Ending) -> Crash {
    let crashes = [among_siblings::<Free>(what.clone()), among_siblings::<Confined>(what.clone())];
    let [free, confined] = crashes.map(|end| match end {
        Err(TaskError::Crashed(crash)) => crash,
        other => panic!("{what:?} ended with {other:?}"),
    });
    assert_eq!((&free.ending, &confined.ending), (ending, ending), "{what:?}: {free:?}, {confined:?}");
    confined
}

fn segfault() {
    crash(Mischief::Segfault, &SIGSEGV);
}

fn abort() {
    crash(Mischief::Abort, &SIGABRT);
}

fn stack() {
    let crash = crash(Mischief::OverflowTheStack, &SIGABRT);
    assert!(crash.stderr_tail.contains("overflowed its stack"), "{crash:?}");
}

fn memory() {
    let crash = crash(Mischief::AllocateWithoutEnd, &SIGABRT);
    assert!(crash.stderr_tail.contains("memory allocation of 1048576 bytes failed"), "{crash:?}");
}

fn two_panics() {
    let crash = crash(Mischief::PanicWhilePanicking, &SIGABRT);
    assert!(crash.stderr_tail.contains("panic"), "{crash:?}");
}

fn exits() {
    crash(Mischief::Exit(0), &Ending::Exit(0));
    crash(Mischief::Exit(3), &Ending::Exit(3));
    crash(Mischief::ExitAtOnce(0), &Ending::Exit(0));
}

/// How it ends at both ends of the sandbox with a short deadline.
fn hopeless(what: &Mischief) -> [Result<String, TaskError>; 2] {
    [among_siblings_in_haste::<Free>(what.clone()), among_siblings_in_haste::<Confined>(what.clone())]
}

/// Ends at the deadline at both ends of the sandbox, whatever it does meanwhile.
fn times_out(what: &Mischief) {
    for end in hopeless(what) {
        assert_eq!(end, Err(TaskError::TimedOut(Phase::Run)), "{what:?}");
    }
}

fn spins() {
    times_out(&Mischief::SpinForEver);
}

fn ignores() {
    times_out(&Mischief::IgnoreSignalsAndSpin);
}

fn stops() {
    times_out(&Mischief::StopItself);
}

fn closes() {
    let what = Mischief::CloseEveryDescriptor;
    let free = among_siblings_one_of_which_may_suffer::<Free>(what.clone());
    for end in [free, among_siblings_one_of_which_may_suffer::<Confined>(what)] {
        // The answer may still be found in the memory that they share; nobody promises it.
        let is_clear = matches!(&end, Ok(said) if said == "closed")
            || matches!(&end, Err(TaskError::Crashed(_) | TaskError::TimedOut(Phase::Run)));
        assert!(is_clear, "{end:?}");
    }
}

fn chatters() {
    const MEGABYTES: usize = 4 << 20;
    for what in [0, MEGABYTES].map(Mischief::ChatterAndAbort) {
        let crash = crash(what, &SIGABRT);
        assert!(crash.stderr_tail.trim_end().ends_with(LAST_WORDS), "{crash:?}");
        assert!(crash.stderr_tail.len() <= 4096, "{} bytes are kept", crash.stderr_tail.len());
        assert!(TaskError::from(crash).to_string().ends_with(LAST_WORDS));
    }
}

fn burns() {
    let pool = builder().cpu_limit(Duration::from_secs(1)).build().unwrap();
    let end = end_of(pool.submit(task::<Confined>(Mischief::SpinForEver)));
    assert!(matches!(&end, Err(TaskError::Crashed(crash)) if crash.ending == Ending::Signal(libc::SIGXCPU)), "{end:?}");
    all_done(siblings::<Confined>(&pool));
    drop(pool);
    nothing_is_left();
}

fn leaves_threads() {
    for end in
        [among_siblings::<Free>(Mischief::LeaveThreads(4)), among_siblings::<Confined>(Mischief::LeaveThreads(4))]
    {
        assert_eq!(end.as_deref(), Ok("4 threads go on"));
    }
}

fn dies_late() {
    let pool = pool();
    let fuse = Duration::from_millis(20);
    let end = end_of(pool.submit(task::<Confined>(Mischief::LeaveABomb(fuse))));
    assert_eq!(end.as_deref(), Ok("a bomb ticks"));
    // While there is no work, a process dies; the pool sees it without being asked.
    let crashes = || pool.metrics().died;
    crate::household::until("the death of an idle process to be counted", || (crashes() >= 1).then_some(()));
    all_done(siblings::<Confined>(&pool));
    drop(pool);
    nothing_is_left();
}

fn words() {
    let pool = pool();
    let of = |what, options| end_of(pool.submit_with(task::<Confined>(what), options)).unwrap_err().to_string();
    let default = SubmitOptions::new;
    assert!(of(Mischief::Segfault, default()).starts_with("the task killed its process: SIGSEGV"));
    assert!(of(Mischief::Abort, default()).starts_with("the task killed its process: SIGABRT"));
    assert_eq!(of(Mischief::Exit(7), default()), "the task killed its process: it exited with 7 instead of an answer");
    let deadline = default().deadline_from_start(RUN_DEADLINE);
    assert_eq!(of(Mischief::SpinForEver, deadline), "the deadline of the task passed while it ran");
    let honest = end_of(pool.submit(task::<Confined>(Mischief::Work(1))));
    assert_eq!(honest.as_deref(), Ok(DONE));
}
