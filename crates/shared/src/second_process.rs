//! Tests only: a second process that plays a part in a test of the first.
//!
//! It is this test program, executed again with the one test that is the part (`#[ignore]`d for everybody else). It finds
//! the shared memory of the first through `/proc`, and speaks with it line by line.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// Longer than anything in these tests takes; reached only when something is broken.
pub(crate) const GIVE_UP: Duration = Duration::from_secs(20);
/// Where a second process finds the memory of the first.
const MEMORY_PATH: &str = "PHALANX_TEST_MEMORY";

pub(crate) struct SecondProcess {
    child: Child,
    lines: mpsc::Receiver<String>,
    _memory: OwnedFd,
}

/// Starts the part `role` (the full name of its test) with the memory behind `descriptor`, and further variables.
pub(crate) fn start(role: &str, memory: OwnedFd, variables: &[(&str, &str)]) -> SecondProcess {
    // Our own descriptor, seen from outside: a memory file can be opened anew through it.
    let path = format!("/proc/{}/fd/{}", std::process::id(), memory.as_raw_fd());
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", role, "--ignored", "--nocapture"])
        .env(MEMORY_PATH, path)
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let (said, lines) = mpsc::channel();
    thread::spawn(move || {
        // What is not prefixed is the test harness.
        for line in output.lines().map_while(Result::ok) {
            if let Some(word) = line.strip_prefix("said: ") {
                let _ = said.send(word.to_owned());
            }
        }
    });
    SecondProcess { child, lines, _memory: memory }
}

impl SecondProcess {
    /// The next thing that it says.
    pub(crate) fn hear(&self) -> String {
        self.lines.recv_timeout(GIVE_UP).expect("the second process said nothing, or died")
    }

    /// Waits until its first thread sleeps in a system call that is a futex wait.
    pub(crate) fn wait_until_it_sleeps_on_a_futex(&self) {
        let deadline = std::time::Instant::now() + GIVE_UP;
        let tasks = format!("/proc/{}/task", self.child.id());
        while !std::fs::read_dir(&tasks).unwrap().flatten().any(|task| {
            let name = std::fs::read_to_string(task.path().join("comm")).unwrap_or_default();
            let channel = std::fs::read_to_string(task.path().join("wchan")).unwrap_or_default();
            // The thread that runs a test bears the (cut) name of the test; the first one waits for it.
            name.trim() != self.main_thread_name() && channel.contains("futex")
        }) {
            assert!(std::time::Instant::now() < deadline, "it never slept");
            thread::yield_now();
        }
    }

    fn main_thread_name(&self) -> String {
        let name = std::fs::read_to_string(format!("/proc/{0}/task/{0}/comm", self.child.id())).unwrap_or_default();
        name.trim().to_owned()
    }

    /// As `kill -9` does it; it has ended when this returns.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for SecondProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// In the second process: the memory of the first.
pub(crate) fn memory_of_the_first() -> OwnedFd {
    let path = std::env::var(MEMORY_PATH).expect("run by second_process::start() only");
    std::fs::File::options().read(true).write(true).open(path).unwrap().into()
}

/// In the second process: one line for the first.
pub(crate) fn say(word: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\nsaid: {word}").unwrap();
    out.flush().unwrap();
}

/// In the second process: sleeps until the first kills us, or is gone itself.
pub(crate) fn wait_to_be_killed() -> ! {
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    std::process::exit(1);
}
