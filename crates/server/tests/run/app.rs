//! [`App`]: a program under `phalanx run`, in a folder of its own, until it is stopped.

use std::fs::{self, File};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::http;

/// For anything that happens at once on a machine with time.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);
const NAME: &str = "app";

/// A program of `tests/run/programs`.
pub(crate) fn program(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/run/programs").join(file)
}

/// Whether a program is installed; under `CI=true` it has to be.
pub(crate) fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let there = std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    if !there {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{program} is not installed");
        eprintln!("skipped: {program} is not installed");
    }
    there
}

/// One app; killed with all that it runs when this goes.
pub(crate) struct App {
    process: Child,
    folder: TempDir,
    pub(crate) port: u16,
}

impl App {
    /// `phalanx run OPTIONS -- LINE`, with a free port in `PORT`.
    pub(crate) fn start(options: &[&str], line: &[&str]) -> App {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let log = File::create(folder.path().join("log")).expect("a log");
        let port = http::free_port();
        let mut command = Command::new(env!("CARGO_BIN_EXE_phalanx"));
        command.args(["run", "--name", NAME]).args(options).arg("--").args(line).current_dir(folder.path());
        command.env("XDG_RUNTIME_DIR", folder.path()).env("PORT", port.to_string()).stdin(Stdio::null());
        let process = command.stdout(log.try_clone().expect("the log")).stderr(log).spawn().expect("the binary starts");
        App { process, folder, port }
    }

    /// Waits until `seen` finds something.
    pub(crate) fn until<T>(&mut self, what: &str, mut seen: impl FnMut(&Self) -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            if let Some(found) = seen(self) {
                return found;
            }
            let ended = self.process.try_wait().expect("the state of a child");
            assert!(ended.is_none(), "waiting for {what}: it ended with {ended:?}\n{}", self.log());
            assert!(begun.elapsed() < PATIENCE, "waiting for {what} for {PATIENCE:?}\n{}", self.log());
            std::thread::sleep(BETWEEN_LOOKS);
        }
    }

    /// Waits until the log has `text` in it `count` times.
    pub(crate) fn says(&mut self, text: &str, count: usize) {
        self.until(&format!("{text:?}, {count} times"), |app| (app.log().matches(text).count() >= count).then_some(()));
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Whether its control socket takes connections.
    pub(crate) fn is_up(&self) -> bool {
        UnixStream::connect(self.folder.path().join(format!("phalanx/{NAME}.sock"))).is_ok()
    }

    /// Stops it as systemd does, and waits for its end.
    pub(crate) fn stop(mut self) -> ExitStatus {
        let _ = kill_process(Pid::from_child(&self.process), Signal::TERM);
        self.ended()
    }

    /// Waits until it has ended by itself: how, and what it wrote.
    pub(crate) fn ends(mut self) -> (ExitStatus, String) {
        let status = self.ended();
        (status, self.log())
    }

    fn ended(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().expect("the state of a child") {
                return status;
            }
            assert!(begun.elapsed() < PATIENCE, "it does not end\n{}", self.log());
            std::thread::sleep(BETWEEN_LOOKS);
        }
    }
}

impl Drop for App {
    fn drop(&mut self) {
        // Its workers end with it.
        if matches!(self.process.try_wait(), Ok(None)) {
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }
}
