//! [`Site`]: a folder in which `phalanx` is called, with nobody else's apps, settings and logs.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::app::PATIENCE;

/// A program that does nothing until it is told to end.
pub(crate) const SLEEPER: [&str; 3] = ["sh", "-c", "exec sleep 1000"];
const BETWEEN_LOOKS: std::time::Duration = std::time::Duration::from_millis(10);

/// The folder.
pub(crate) struct Site {
    folder: TempDir,
}

/// What a command said.
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A command that goes on; ended with its guard.
pub(crate) struct Running<'a> {
    site: &'a Site,
    process: Child,
    log: PathBuf,
}

impl Site {
    pub(crate) fn new() -> Site {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Site { folder }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file; gives its path.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        fs::write(&path, text).expect("a file");
        path
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path().join(name)).unwrap_or_default()
    }

    /// `phalanx` with these arguments, here.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_phalanx"));
        command.args(arguments).current_dir(self.path()).stdin(Stdio::null());
        for variable in ["XDG_RUNTIME_DIR", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "HOME"] {
            command.env(variable, self.path());
        }
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PHALANX_")) {
            command.env_remove(name);
        }
        command.env_remove("RUNTIME_DIRECTORY").env_remove("NOTIFY_SOCKET");
        command
    }

    /// What a command says until its end.
    pub(crate) fn says(&self, arguments: &[&str]) -> Said {
        let outputs = [self.path().join("stdout of a command"), self.path().join("stderr of a command")];
        let [stdout, stderr] = outputs.clone().map(|path| File::create(path).expect("a file"));
        let mut child = self.command(arguments).stdout(stdout).stderr(stderr).spawn().expect("the binary starts");
        let status = wait(&mut child).unwrap_or_else(|| panic!("{arguments:?} does not end"));
        let [stdout, stderr] = outputs.map(|path| fs::read_to_string(path).expect("text"));
        Said { code: status.code().unwrap_or(-1), stdout, stderr }
    }

    /// Begins one that goes on; its output is a file.
    pub(crate) fn starts(&self, arguments: &[&str]) -> Running<'_> {
        self.starts_with(arguments, |_| {})
    }

    /// The same after `prepare` changed its environment.
    pub(crate) fn starts_with(&self, arguments: &[&str], prepare: impl FnOnce(&mut Command)) -> Running<'_> {
        let log = self.path().join(".log of a command");
        let file = File::create(&log).expect("a log");
        let output = file.try_clone().expect("the log");
        let mut command = self.command(arguments);
        prepare(&mut command);
        let process = command.stdout(output).stderr(file).spawn().expect("the binary starts");
        Running { site: self, process, log }
    }

    /// The app's line of `phalanx ctl ls`, if it answers.
    pub(crate) fn app(&self, name: &str) -> Option<Value> {
        let said = self.says(&["ctl", "ls", "--json"]);
        let all: Value = serde_json::from_str(&said.stdout).ok()?;
        all["apps"].as_array()?.iter().find(|app| app["name"] == name).cloned()
    }

    /// Waits until the app is as wanted.
    pub(crate) fn until_app(&self, name: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        until(&format!("{name} to be {what}"), || self.app(name).filter(&wanted))
    }

    /// Waits until the app serves with all its workers.
    pub(crate) fn online(&self, name: &str) -> Value {
        self.until_app(name, "online", |app| app["status"] == "online")
    }
}

impl Said {
    /// Checks that it is one line on standard error that says all of this, nothing else, and the code.
    #[track_caller]
    pub(crate) fn is_one_line(&self, code: i32, parts: &[&str]) {
        assert_eq!((self.code, &*self.stdout), (code, ""), "{}", self.stderr);
        assert_eq!(self.stderr.lines().count(), 1, "{}", self.stderr);
        for part in parts {
            assert!(self.stderr.contains(part), "{:?} lacks {part:?}", self.stderr);
        }
    }

    /// Checks that it went well.
    #[track_caller]
    pub(crate) fn is_well(&self) -> &str {
        assert_eq!(self.code, 0, "{}{}", self.stdout, self.stderr);
        &self.stdout
    }
}

impl Running<'_> {
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until its output has `text` in it.
    pub(crate) fn until_it_says(&self, text: &str) {
        until_or(&format!("{text:?}"), || self.log(), || self.log().contains(text).then_some(()));
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).expect("it lives");
    }

    /// Stops it as systemd does; its exit code.
    pub(crate) fn stop(mut self) -> i32 {
        self.signal(Signal::TERM);
        self.end()
    }

    /// Its exit code, when it has ended by itself.
    pub(crate) fn end(&mut self) -> i32 {
        let status = wait(&mut self.process).unwrap_or_else(|| panic!("it does not end:\n{}", self.log()));
        status.code().unwrap_or(-1)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if matches!(self.process.try_wait(), Ok(None)) {
            if std::thread::panicking() {
                eprintln!("it said:\n{}", self.log());
            }
            let _ = kill_process(Pid::from_child(&self.process), Signal::TERM);
            if wait(&mut self.process).is_none() {
                let _ = self.process.kill();
                let _ = self.process.wait();
            }
        }
        let _ = self.site;
    }
}

/// Waits for what is wanted.
pub(crate) fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    until_or(what, String::new, look)
}

fn until_or<T>(what: &str, told: impl Fn() -> String, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "waited for {what} for {PATIENCE:?}\n{}", told());
        std::thread::sleep(BETWEEN_LOOKS);
    }
}

fn wait(child: &mut Child) -> Option<ExitStatus> {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if let Some(status) = child.try_wait().expect("the state of a child") {
            return Some(status);
        }
        std::thread::sleep(BETWEEN_LOOKS);
    }
    None
}
