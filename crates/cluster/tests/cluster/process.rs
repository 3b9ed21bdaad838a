//! A cluster program that a test started, and what can be seen of it from outside.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

/// Longest wait for anything in these tests: a machine under load is slow, a bug waits for ever.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// A running cluster. Dropping it kills its primary, and with it everything.
pub(crate) struct Running {
    primary: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
    stderr: Option<std::thread::JoinHandle<String>>,
}

impl Running {
    /// Starts the program of this name.
    pub(crate) fn start(program: &str) -> Running {
        Running::start_with(program, |_| {})
    }

    pub(crate) fn start_with(program: &str, change: impl FnOnce(&mut Command)) -> Running {
        Running::start_file(&std::env::current_exe().unwrap(), program, change)
    }

    /// Starts the program of this name from a file, which is a copy of this executable.
    pub(crate) fn start_file(file: &Path, program: &str, change: impl FnOnce(&mut Command)) -> Running {
        let mut command = Command::new(file);
        command.stdin(Stdio::null());
        change(&mut command);
        Running::start_command(command, program)
    }

    /// Starts the program of this name by a command that becomes this executable and has its standard input.
    pub(crate) fn start_command(mut command: Command, program: &str) -> Running {
        command.env("TEST_PROGRAM", program).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut primary = command.spawn().unwrap();
        let (sender, lines) = std::sync::mpsc::channel();
        let stdout = primary.stdout.take().unwrap();
        std::thread::spawn(move || {
            BufReader::new(stdout).lines().map_while(Result::ok).for_each(|line| drop(sender.send(line)));
        });
        let mut stderr = primary.stderr.take().unwrap();
        let stderr = std::thread::spawn(move || {
            let mut text = String::new();
            let _ = stderr.read_to_string(&mut text);
            text
        });
        Running { primary, lines, seen: Vec::new(), stderr: Some(stderr) }
    }

    /// Starts the program and waits until both workers are ready.
    pub(crate) fn ready(program: &str) -> Running {
        let mut running = Running::start(program);
        running.wait_for("is ready");
        running.wait_for("is ready");
        running
    }

    /// The next line that contains `part`.
    pub(crate) fn wait_for(&mut self, part: &str) -> String {
        self.wait_for_either(part, part)
    }

    /// The next line that contains one of the two.
    pub(crate) fn wait_for_either(&mut self, part: &str, other: &str) -> String {
        let deadline = Instant::now() + DEADLINE;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if line.contains(part) || line.contains(other) {
                        return line;
                    }
                }
                Err(error) => panic!("no line with \"{part}\" or \"{other}\" ({error}); seen: {:#?}", self.seen),
            }
        }
    }

    /// The line with which `count` lines, of all that were ever written, contain `part`.
    ///
    /// For lines of processes that write side by side: which of them is read first is chance.
    pub(crate) fn wait_for_count(&mut self, part: &str, count: usize) -> String {
        while self.seen.iter().filter(|line| line.contains(part)).count() < count {
            self.wait_for(part);
        }
        self.seen.iter().filter(|line| line.contains(part)).nth(count - 1).unwrap().clone()
    }

    /// Every line so far, without waiting for more.
    pub(crate) fn lines(&mut self) -> &[String] {
        self.seen.extend(self.lines.try_iter());
        &self.seen
    }

    pub(crate) fn address(&mut self) -> SocketAddr {
        let known = self.lines().iter().find(|line| line.contains("listens on")).cloned();
        let line = known.unwrap_or_else(|| self.wait_for("listens on"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }

    /// Process ids of the workers that live now.
    pub(crate) fn workers(&self) -> Vec<u32> {
        let path = format!("/proc/{0}/task/{0}/children", self.primary.id());
        let children = std::fs::read_to_string(path).unwrap_or_default();
        children.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
    }

    /// Waits until exactly these processes are the children of the primary.
    pub(crate) fn settle(&self, workers: usize) -> Vec<u32> {
        until(soon(), "the cluster to settle", || {
            let now = self.workers();
            (now.len() == workers && now.iter().all(|pid| lives(*pid))).then_some(now)
        })
    }

    /// Open descriptors of the primary.
    pub(crate) fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.primary.id())).unwrap().count()
    }

    pub(crate) fn primary(&self) -> u32 {
        self.primary.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        send(self.primary.id(), signal);
    }

    /// Waits until the primary has ended and everything that it wrote was read.
    pub(crate) fn wait(&mut self) -> (ExitStatus, String) {
        let deadline = Instant::now() + DEADLINE;
        let status = until(deadline, "the primary to end", || self.primary.try_wait().unwrap());
        let stderr = self.stderr.take().unwrap().join().unwrap();
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Disconnected) => return (status, stderr),
                Err(RecvTimeoutError::Timeout) => panic!("somebody still holds the primary's standard output"),
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.primary.kill();
        let _ = self.primary.wait();
    }
}

/// Sends a signal to a process that this test started.
pub(crate) fn send(pid: u32, signal: Signal) {
    let _ = rustix::process::kill_process(Pid::from_raw(pid as i32).unwrap(), signal);
}

pub(crate) fn lives(pid: u32) -> bool {
    // A zombie waits for its parent to look; it does nothing any more.
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z')))
}

/// Asks again until there is an answer.
pub(crate) fn until<T>(deadline: Instant, what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::yield_now();
    }
}

pub(crate) fn soon() -> Instant {
    Instant::now() + DEADLINE
}
