//! The owner of a pool in trouble: killed, or out of descriptors.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};

use phalanx_task::{Executor, ProcessPool, Refusal, TaskError};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};

use crate::Test;
use crate::household::{children_of, end_of, lives, until};
use crate::mischief::{Confined, DONE, Free, LAST_WORDS, Mischief};
use crate::siblings::{PROCESSES, all_done, pool, siblings, task};

pub(crate) const TESTS: &[Test] = &[
    ("kill -9 of the owner leaves no job process, whatever the processes do", killed),
    ("an owner that exits without dropping its pool leaves no job process", exits),
    ("an owner without descriptors refuses what it cannot run, and recovers", no_descriptors),
    ("what a job process writes is passed on within bounds, and commands no terminal", passed_on),
];

/// A program that a test starts.
struct Program {
    process: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Program {
    fn start(name: &str) -> Program {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .env("TEST_PROGRAM", name)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Program { process, lines }
    }

    /// Its next line; a program that ends without one has failed.
    fn line(&mut self) -> String {
        match self.lines.next() {
            Some(line) => line.unwrap(),
            None => panic!("the program ended: {}", self.stderr()),
        }
    }

    fn stderr(&mut self) -> String {
        let mut text = Vec::new();
        self.process.stderr.take().unwrap().read_to_end(&mut text).unwrap();
        String::from_utf8_lossy(&text).into_owned()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The programs.
pub(crate) fn run(program: &str) {
    match program {
        "busy" => busy(),
        "exits" => exits_with_work(),
        "starved" => starved(),
        "loud" => loud(),
        other => panic!("no program {other}"),
    }
}

/// Fills a pool with tasks that never end, each in its own way; says the processes, and waits for its own end.
fn busy() {
    let pool = pool();
    let ways = [Mischief::SpinForEver, Mischief::IgnoreSignalsAndSpin, Mischief::StopItself];
    let tasks: Vec<_> = ways.into_iter().map(|what| pool.submit(task::<Free>(what))).collect();
    let me = std::process::id();
    let stopped = || children_of(me).into_iter().find(|pid| crate::household::state_of(*pid) == Some('T'));
    until("a process to stop itself", stopped);
    say(&until("the processes to be there", || {
        let jobs = children_of(me);
        (jobs.len() == PROCESSES && jobs.iter().all(|pid| lives(*pid))).then_some(jobs)
    }));
    let _ = std::io::stdin().read(&mut [0]);
    drop(tasks);
}

fn say(pids: &[u32]) {
    println!("{}", pids.iter().map(u32::to_string).collect::<Vec<_>>().join(" "));
    std::io::stdout().flush().unwrap();
}

fn pids(line: &str) -> Vec<u32> {
    line.split(' ').map(|pid| pid.parse().unwrap()).collect()
}

fn killed() {
    let mut owner = Program::start("busy");
    let jobs = pids(&owner.line());
    assert!(jobs.iter().all(|pid| lives(*pid)), "{jobs:?}");
    kill_process(Pid::from_raw(owner.process.id() as i32).unwrap(), Signal::KILL).unwrap();
    for pid in jobs {
        until("a job process to follow its owner", || (!lives(pid)).then_some(()));
    }
}

fn exits_with_work() {
    let pool = pool();
    let forever: Vec<_> = (0..PROCESSES).map(|_| pool.submit(task::<Confined>(Mischief::SpinForEver))).collect();
    until("the processes", || (children_of(std::process::id()).len() >= PROCESSES).then_some(()));
    say(&children_of(std::process::id()));
    std::mem::forget(forever);
    std::process::exit(5);
}

fn exits() {
    let mut owner = Program::start("exits");
    let jobs = pids(&owner.line());
    assert_eq!(owner.process.wait().unwrap().code(), Some(5));
    for pid in jobs {
        until("a job process to follow its owner", || (!lives(pid)).then_some(()));
    }
}

fn no_descriptors() {
    let mut owner = Program::start("starved");
    assert_eq!(owner.line(), "refused", "{}", owner.stderr());
    assert_eq!(owner.line(), "recovered", "{}", owner.stderr());
    assert!(owner.process.wait().unwrap().success(), "{}", owner.stderr());
}

/// Its processes die when it may open nothing, so none of them can be replaced.
fn starved() {
    let pool = pool();
    all_done(siblings::<Confined>(&pool));
    let (jobs, whole) = (children_of(std::process::id()), getrlimit(Resource::Nofile));
    setrlimit(Resource::Nofile, Rlimit { current: Some(3), maximum: whole.maximum }).unwrap();
    for pid in jobs {
        let _ = kill_process(Pid::from_raw(pid as i32).unwrap(), Signal::KILL);
    }
    until("a task to be refused", || match end_of(pool.submit(task::<Confined>(Mischief::Work(1)))) {
        Err(TaskError::Refused(Refusal::NotStarted { reason })) if reason.contains("Too many open files") => Some(()),
        // It was given to processes whose death was not noticed yet.
        Err(TaskError::Crashed(_) | TaskError::Refused(Refusal::NotStarted { .. })) => None,
        Ok(said) if said == DONE => None,
        other => panic!("{other:?}"),
    });
    println!("refused");
    setrlimit(Resource::Nofile, whole).unwrap();
    until("the pool to recover", || end_of(pool.submit(task::<Confined>(Mischief::Work(1)))).ok());
    all_done(siblings::<Confined>(&pool));
    println!("recovered");
}

/// Bytes of standard error that one job process may cost its owner, many times over.
const PASSED_ON: usize = 1 << 20;

fn loud() {
    let pool: ProcessPool = pool();
    for what in [Mischief::ChatterAndAbort(8 << 20), Mischief::CommandTheTerminalAndAbort] {
        let end = end_of(pool.submit(task::<Confined>(what)));
        let Err(TaskError::Crashed(crash)) = end else { panic!("{end:?}") };
        assert!(commands(&crash.stderr_tail).is_empty(), "{crash:?}");
    }
}

/// What would command a terminal.
fn commands(text: &str) -> Vec<char> {
    text.chars().filter(|c| c.is_control() && *c != '\n' && *c != '\t').collect()
}

fn passed_on() {
    let mut owner = Program::start("loud");
    // Whoever is not read blocks: the owner's standard error is read while it runs.
    let mut stderr = owner.process.stderr.take().unwrap();
    let mut text = Vec::new();
    stderr.read_to_end(&mut text).unwrap();
    assert!(owner.process.wait().unwrap().success(), "{}", String::from_utf8_lossy(&text));
    assert!(text.len() < PASSED_ON, "{} bytes were passed on", text.len());
    let text = String::from_utf8(text).expect("what is passed on is text");
    assert!(text.contains(LAST_WORDS), "{text}");
    assert_eq!(commands(&text), [], "control characters were passed on: {text:?}");
}
