//! [`Running`]: a broker of some kind, from its first start to its end.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::guard::Guard;
use crate::processes::Family;

/// Of a start on a machine that compiles meanwhile.
const START_DEADLINE: Duration = Duration::from_secs(120);
const STOP_DEADLINE: Duration = Duration::from_secs(5);
const BETWEEN_LOOKS: Duration = Duration::from_millis(25);
/// So much of its log stands in the error message when a broker does not start.
const SHOWN_LOG_LINES: usize = 12;

/// What differs between brokers.
pub(crate) trait Kind: Send + Sync + 'static {
    const NAME: &'static str;
    /// What ends it without a trace on this machine: for most, what has no trace to remove, SIGKILL.
    const END: Signal = Signal::KILL;

    /// What is to be done once, before the first start.
    fn prepare(&self, folder: &Path) -> Result<(), String>;

    /// The programs that make it up, in the order in which they start.
    fn programs(&self, folder: &Path) -> Vec<Command>;

    /// Whether it would serve a client now.
    fn answers(&self) -> bool;
}

/// A broker with its folder; both are gone when this is.
pub(crate) struct Running<K: Kind> {
    pub(crate) kind: K,
    guard: Guard,
    programs: Vec<Child>,
}

impl<K: Kind> Running<K> {
    pub(crate) fn start(kind: K) -> Result<Self, String> {
        let guard = Guard::new(K::NAME, K::END)?;
        kind.prepare(guard.folder())?;
        let mut running = Self { kind, guard, programs: Vec::new() };
        running.launch()?;
        Ok(running)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.guard.folder()
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.folder().join("log")
    }

    /// SIGKILL for all its processes; returns when they are gone.
    pub(crate) fn kill_hard(&mut self) -> Result<(), String> {
        let mut outcome = Ok(());
        // The last one started depends on the others.
        while let Some(mut program) = self.programs.pop() {
            let family = Pid::from_raw(program.id().cast_signed()).map(Family::kill);
            let waited = program.wait().map(drop).map_err(|error| format!("cannot wait for {}: {error}", K::NAME));
            let gone = family.map_or(Ok(()), |family| family.wait_until_gone());
            outcome = outcome.and(waited).and(gone);
        }
        outcome
    }

    /// As it was, with the same ports and the same data; killed before if it runs.
    pub(crate) fn restart(&mut self) -> Result<(), String> {
        self.kill_hard()?;
        self.launch()
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<(), String> {
        for pid in self.programs.iter().filter_map(|program| Pid::from_raw(program.id().cast_signed())) {
            kill_process(pid, signal).map_err(|error| format!("cannot send {signal:?} to {}: {error}", K::NAME))?;
        }
        Ok(())
    }

    fn launch(&mut self) -> Result<(), String> {
        for mut command in self.kind.programs(self.guard.folder()) {
            self.guard.adopt(&mut command);
            let log = || File::options().create(true).append(true).open(self.log());
            let (output, errors) = log()
                .and_then(|output| Ok((output, log()?)))
                .map_err(|error| format!("cannot open the log of {}: {error}", K::NAME))?;
            command.stdin(Stdio::null()).stdout(output).stderr(errors);
            let started = command.spawn();
            let name = command.get_program().display();
            self.programs.push(started.map_err(|error| format!("cannot start {name}: {error}"))?);
        }
        self.wait_until_it_answers()
    }

    fn wait_until_it_answers(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + START_DEADLINE;
        while !self.kind.answers() {
            let ended = self.programs.iter_mut().find_map(|program| program.try_wait().ok().flatten());
            if let Some(status) = ended {
                return Err(format!("{} ended with {status} before it answered: {}", K::NAME, self.last_words()));
            }
            if Instant::now() > deadline {
                return Err(format!("{} did not answer within {START_DEADLINE:?}: {}", K::NAME, self.last_words()));
            }
            std::thread::sleep(BETWEEN_LOOKS);
        }
        Ok(())
    }

    fn last_words(&self) -> String {
        let text = std::fs::read(self.log()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(SHOWN_LOG_LINES)..].join("\n")
    }

    /// Asks it to end, for as long as that may take.
    fn ask_to_end(&mut self) {
        if K::END == Signal::KILL || self.signal(K::END).is_err() {
            return;
        }
        let deadline = Instant::now() + STOP_DEADLINE;
        while Instant::now() < deadline
            && self.programs.iter_mut().any(|program| matches!(program.try_wait(), Ok(None)))
        {
            std::thread::sleep(BETWEEN_LOOKS);
        }
    }
}

impl<K: Kind> Drop for Running<K> {
    fn drop(&mut self) {
        self.ask_to_end();
        if let Err(why) = self.kill_hard() {
            eprintln!("phalanx-brokers: {why}");
        }
    }
}

/// What every broker can be told, and asked for.
macro_rules! broker {
    ($name:ident) => {
        impl $name {
            /// SIGKILL for all its processes, as `kill -9` or the out-of-memory killer would; returns when they are gone.
            ///
            /// # Errors
            ///
            /// One of them does not end.
            pub fn kill_hard(&mut self) -> Result<(), String> {
                self.0.kill_hard()
            }

            /// Starts it on the same ports with the same data and waits until it answers; kills it before if it runs.
            ///
            /// # Errors
            ///
            /// It ends, or does not answer within two minutes; the message holds its last words.
            pub fn restart(&mut self) -> Result<(), String> {
                self.0.restart()
            }

            /// Stops its processes where they are (SIGSTOP): connections stay open, and nothing is answered.
            ///
            /// # Errors
            ///
            /// The system refuses the signal.
            pub fn freeze(&self) -> Result<(), String> {
                self.0.signal(rustix::process::Signal::STOP)
            }

            /// Lets them go on (SIGCONT).
            ///
            /// # Errors
            ///
            /// The system refuses the signal.
            pub fn thaw(&self) -> Result<(), String> {
                self.0.signal(rustix::process::Signal::CONT)
            }

            /// What it has said so far, in a file.
            pub fn log(&self) -> std::path::PathBuf {
                self.0.log()
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name)).field("folder", &self.0.folder()).finish_non_exhaustive()
            }
        }
    };
}

pub(crate) use broker;
