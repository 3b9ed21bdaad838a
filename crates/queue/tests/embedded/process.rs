//! Programs that a test started, owners that they started, and what can be seen of both from outside.

use std::io::{BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal};

/// Longest wait for anything in these tests: a machine under load is slow, a bug waits for ever.
pub(crate) const DEADLINE: Duration = Duration::from_secs(40);

/// A folder for a queue. Who owns it at the end is killed.
pub(crate) struct Place {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

impl Place {
    pub(crate) fn new() -> Place {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("queue");
        Place { _folder: folder, path }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Another folder of this place.
    pub(crate) fn inside(mut self, name: &str) -> Place {
        self.path = self.path.join(name);
        self
    }

    pub(crate) fn url(&self) -> String {
        format!("embedded:{}", self.path.display())
    }

    /// Process id of the owner, if there is one now.
    pub(crate) fn owner(&self) -> Option<u32> {
        let lock = std::fs::File::open(self.path.join("lock")).ok()?;
        let free = rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockShared).is_ok();
        let pid = std::fs::read_to_string(self.path.join("lock")).ok()?.trim().parse().ok()?;
        // Between taking the lock and writing the number, it is that of the owner before.
        (!free && std::fs::exists(format!("/proc/{pid}")).unwrap()).then_some(pid)
    }

    /// Waits for an owner.
    pub(crate) fn owned(&self) -> u32 {
        until("an owner", || self.owner())
    }

    /// Sends the owner a signal; who it was.
    pub(crate) fn signal(&self, signal: Signal) -> Watched {
        let owner = Watched::of(self.owned());
        owner.signal(signal);
        owner
    }

    /// What the owners of this folder have written.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.path.join("owner.log")).unwrap_or_default()
    }

    pub(crate) fn files(&self) -> Vec<String> {
        let mut files: Vec<String> = std::fs::read_dir(&self.path)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort_unstable();
        files
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(owner) = self.owner() {
            Watched::of(owner).signal(Signal::KILL);
        }
    }
}

/// A process that is no child of ours, held by its pidfd.
pub(crate) struct Watched {
    pub(crate) pid: u32,
    pidfd: OwnedFd,
}

impl Watched {
    pub(crate) fn of(pid: u32) -> Watched {
        let number = Pid::from_raw(pid as i32).unwrap();
        Watched { pid, pidfd: rustix::process::pidfd_open(number, PidfdFlags::empty()).unwrap() }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let _ = rustix::process::pidfd_send_signal(&self.pidfd, signal);
    }

    /// Waits for its end.
    pub(crate) fn ends(&self) {
        let wait = Timespec { tv_sec: DEADLINE.as_secs() as i64, tv_nsec: 0 };
        let ended = poll(&mut [PollFd::new(&self.pidfd, PollFlags::IN)], Some(&wait)).unwrap();
        assert_eq!(ended, 1, "process {} did not end", self.pid);
    }

    pub(crate) fn lives(&self) -> bool {
        poll(&mut [PollFd::new(&self.pidfd, PollFlags::IN)], Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap() == 0
    }
}

/// A program that runs. Its standard input is a pipe: it ends when that is closed. Dropped, it is killed.
pub(crate) struct Running {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Running {
    /// Starts the program of this name at this queue.
    pub(crate) fn start(program: &str, url: &str) -> Running {
        Running::start_with(program, url, |_| {})
    }

    pub(crate) fn start_with(program: &str, url: &str, change: impl FnOnce(&mut Command)) -> Running {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.env("TEST_PROGRAM", program).env("TEST_URL", url);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        change(&mut command);
        let mut child = command.spawn().unwrap();
        let (sender, lines) = std::sync::mpsc::channel();
        let stdout = child.stdout.take().unwrap();
        std::thread::spawn(move || {
            BufReader::new(stdout).lines().map_while(Result::ok).for_each(|line| drop(sender.send(line)));
        });
        let input = child.stdin.take();
        Running { child, input, lines, seen: Vec::new() }
    }

    /// The rest of the next line that begins so.
    pub(crate) fn says(&mut self, start: &str) -> String {
        let deadline = Instant::now() + DEADLINE;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if let Some(rest) = line.strip_prefix(start) {
                        return rest.trim().to_owned();
                    }
                }
                Err(error) => panic!("no line \"{start}…\" ({error}); seen: {:#?}", self.seen),
            }
        }
    }

    /// All lines until its end.
    pub(crate) fn rest(&mut self) -> &[String] {
        while let Ok(line) = self.lines.recv_timeout(DEADLINE) {
            self.seen.push(line);
        }
        &self.seen
    }

    /// Tells it something.
    pub(crate) fn tell(&mut self, line: &str) {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills it, and waits for its end.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Closes its input and waits for its end.
    pub(crate) fn end(mut self) -> ExitStatus {
        drop(self.input.take());
        until("the program to end", || self.child.try_wait().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Asks again until there is an answer.
pub(crate) fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Runs it on this thread.
pub(crate) fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(DEADLINE * 2, work).await.expect("it took too long") })
}
