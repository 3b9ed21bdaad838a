//! [`Subject`]: the victim's cluster as it runs, seen from outside.
//!
//! ```text
//! victim (a copy of its own, so that it can be replaced) ── standard output ──▶ Log: workers, events
//!   └── workers …  found by a variable in their environment, whatever became of their parents
//! ```

mod log;
mod operations;
mod settings;
mod words;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::oracle::Target;
use crate::system;
use crate::trouble::{Trouble, cannot};

pub(crate) use log::Log;
pub(crate) use operations::Replacement;
pub(crate) use settings::{Address, Settings};
use words::Words;

/// Longest wait for anything that a sound cluster does at once: a machine under load is slow, a bug waits for ever.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Between two looks at something that tells nobody when it changes.
pub(crate) const LOOK: Duration = Duration::from_millis(2);

/// Exit code of a victim that cannot do yet what it was asked for (`EX_UNAVAILABLE`).
const NOT_AVAILABLE: i32 = 69;

/// Numbers the subjects of this run.
static STARTED: AtomicU32 = AtomicU32::new(0);

/// A running cluster. Dropping it kills it, and everything that it left behind.
pub(crate) struct Subject {
    primary: Child,
    ended: Option<ExitStatus>,
    log: Arc<Log>,
    words: Arc<Words>,
    /// NAME=VALUE in the environment of all its processes.
    mark: String,
    settings: Settings,
    target: Target,
    executable: PathBuf,
    /// The victim as it was built: what the executable is a copy of.
    sound_executable: PathBuf,
    folder: Arc<TempDir>,
}

impl Subject {
    /// Starts a copy of the victim and waits until all its workers are ready.
    pub(crate) fn start(victim: &Path, settings: &Settings) -> Result<Subject, Trouble> {
        let mut subject = Self::launch(victim, settings)?;
        subject.all_ready()?;
        Ok(subject)
    }

    /// Starts a copy of the victim without waiting for anything.
    pub(crate) fn launch(victim: &Path, settings: &Settings) -> Result<Subject, Trouble> {
        let folder = tempfile::Builder::new().prefix("phalanx-torture-").tempdir().map_err(cannot("make a folder"))?;
        settings.let_in(folder.path()).map_err(cannot("open the folder for the victim's user"))?;
        let executable = folder.path().join("victim");
        std::fs::copy(victim, &executable).map_err(cannot("copy the victim"))?;
        Self::launch_in(Arc::new(folder), executable, victim.to_owned(), settings)
    }

    /// Starts the same cluster once more, with the same folder, after this one has ended.
    pub(crate) fn launch_again(&self, settings: &Settings) -> Result<Subject, Trouble> {
        Self::launch_in(Arc::clone(&self.folder), self.executable.clone(), self.sound_executable.clone(), settings)
    }

    fn launch_in(
        folder: Arc<TempDir>,
        executable: PathBuf,
        sound_executable: PathBuf,
        settings: &Settings,
    ) -> Result<Subject, Trouble> {
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let value = format!("{}-{number}", std::process::id());
        let mut command = settings.command(&executable, folder.path());
        command.env("TORTURE_ID", &value).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut primary = command.spawn().map_err(cannot("start the victim"))?;
        let log = Arc::new(Log::default());
        if let Some(stdout) = primary.stdout.take() {
            let log = Arc::clone(&log);
            std::thread::spawn(move || log.read(stdout));
        }
        let words = Arc::new(Words::default());
        if let Some(stderr) = primary.stderr.take() {
            let words = Arc::clone(&words);
            std::thread::spawn(move || words.read(stderr));
        }
        Ok(Subject {
            primary,
            ended: None,
            log,
            words,
            mark: format!("TORTURE_ID={value}"),
            target: settings.target(folder.path()),
            settings: settings.clone(),
            executable,
            sound_executable,
            folder,
        })
    }

    /// Waits until as many workers serve as were asked for, and learns where.
    pub(crate) fn all_ready(&mut self) -> Result<(), Trouble> {
        let wanted = self.settings.workers;
        self.wait(PATIENCE, "all workers to be ready", |log| (log.serving().len() >= wanted).then_some(()))?;
        self.find_address()
    }

    /// Learns where it listens, once a worker does.
    pub(crate) fn find_address(&mut self) -> Result<(), Trouble> {
        let Target::Tcp(_) = self.target else { return Ok(()) };
        let address = self.wait(PATIENCE, "an address", Log::address)?;
        if let Target::Tcp(target) = &mut self.target {
            *target = address;
        }
        Ok(())
    }

    /// Where it listens.
    pub(crate) fn target(&self) -> Target {
        self.target.clone()
    }

    /// The primary's pid.
    pub(crate) fn pid(&self) -> u32 {
        self.primary.id()
    }

    pub(crate) fn log(&self) -> &Log {
        &self.log
    }

    /// Its folder.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its control socket, if it has one.
    pub(crate) fn control_socket(&self) -> PathBuf {
        self.folder.path().join(settings::CONTROL_SOCKET)
    }

    /// The pid in its pid file.
    pub(crate) fn pid_in_file(&self) -> Option<u32> {
        std::fs::read_to_string(self.folder.path().join(settings::PID_FILE)).ok()?.trim().parse().ok()
    }

    /// Its children that are no workers, such as the front.
    pub(crate) fn helpers(&self) -> Vec<u32> {
        let workers = self.log.workers();
        let children = system::children(self.pid()).into_iter().filter(|pid| system::lives(*pid));
        children.filter(|pid| !workers.iter().any(|worker| worker.pid == *pid)).collect()
    }

    /// What it wrote to its standard error; all of it, once it has ended.
    pub(crate) fn words(&mut self) -> String {
        if self.ended().is_some() {
            self.words.wait_for_end(PATIENCE);
        }
        self.words.text()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        system::send(self.pid(), signal);
    }

    /// How new workers shall fail, or none.
    pub(crate) fn set_fault(&self, fault: Option<&str>) -> Result<(), Trouble> {
        let file = self.folder.path().join(settings::FAULT_FILE);
        match fault {
            Some(fault) => {
                // Renamed into place: a worker that starts right now reads all of it or nothing.
                let draft = self.folder.path().join("fault.new");
                std::fs::write(&draft, fault)
                    .and_then(|()| std::fs::rename(&draft, &file))
                    .map_err(cannot("write the fault file"))
            }
            None => match std::fs::remove_file(&file) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    Err(cannot("remove the fault file")(error))
                }
                _ => Ok(()),
            },
        }
    }

    /// Waits until the worker that is to be hostile has begun to be.
    pub(crate) fn wait_for_fault_to_be_taken(&mut self) -> Result<(), Trouble> {
        let file = self.folder.path().join(settings::FAULT_FILE);
        self.wait(PATIENCE, "the hostile worker to begin", |_| (!file.exists()).then_some(()))
    }

    /// Waits until the log gives an answer; ends early if the primary does.
    pub(crate) fn wait<T>(
        &mut self,
        longest: Duration,
        what: &str,
        mut ask: impl FnMut(&Log) -> Option<T>,
    ) -> Result<T, Trouble> {
        let deadline = Instant::now() + longest;
        loop {
            if let Some(answer) = ask(&self.log) {
                return Ok(answer);
            }
            if let Some(status) = self.ended() {
                // Its last lines may not be read yet.
                self.log.wait_for_end(PATIENCE);
                return match ask(&self.log) {
                    Some(answer) => Ok(answer),
                    None if status.code() == Some(NOT_AVAILABLE) => Err(Trouble::NotAvailable(self.words())),
                    None => Err(Trouble::Broken(format!(
                        "the primary ended ({status}) while we waited for {what}: {}",
                        self.words()
                    ))),
                };
            }
            if Instant::now() >= deadline {
                let longest = longest.as_secs_f64();
                let last = self.log.last_lines();
                return Err(Trouble::Broken(format!("waited {longest:.0} s in vain for {what}; last: {last}")));
            }
            self.log.wait_for_more(LOOK * 10);
        }
    }

    /// How the primary ended, if it did.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.primary.try_wait().ok().flatten();
        }
        self.ended
    }

    /// Waits for the end of the primary.
    pub(crate) fn wait_for_end(&mut self, longest: Duration) -> Result<ExitStatus, Trouble> {
        let deadline = Instant::now() + longest;
        loop {
            if let Some(status) = self.ended() {
                self.log.wait_for_end(PATIENCE);
                return Ok(status);
            }
            if Instant::now() >= deadline {
                let longest = longest.as_secs_f64();
                return Err(Trouble::Broken(format!("the primary did not end within {longest:.0} s")));
            }
            std::thread::sleep(LOOK);
        }
    }

    /// SIGTERM, an exit code of 0, and nothing left behind.
    pub(crate) fn stop(&mut self) -> Result<(), Trouble> {
        self.signal(Signal::TERM);
        let status = self.wait_for_end(self.settings.drain_deadline + PATIENCE)?;
        if !status.success() {
            return Err(Trouble::Broken(format!("SIGTERM ended it with {status}: {}", self.words())));
        }
        match self.processes() {
            left if left.is_empty() => Ok(()),
            left => Err(Trouble::Broken(format!("processes outlived a primary that was told to stop: {left:?}"))),
        }
    }

    /// All its processes that live, its primary included.
    pub(crate) fn processes(&self) -> BTreeSet<u32> {
        system::with_variable(&self.mark)
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        let _ = self.primary.kill();
        let _ = self.primary.wait();
        // Children of the killed may have been started meanwhile, so look until there are none.
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = self.processes();
            if left.is_empty() || Instant::now() >= deadline {
                return;
            }
            left.into_iter().for_each(|pid| system::send(pid, Signal::KILL));
            std::thread::sleep(LOOK);
        }
    }
}
