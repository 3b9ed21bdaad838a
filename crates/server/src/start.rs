//! What is checked before the first worker starts, so that a wrong machine or setting is one clear line.

use crate::config::{Config, ConfigError, Isolation, Machine, Sandboxing};
use crate::ending::Ending;
use crate::store::Store;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use phalanx::memory::profile;
use phalanx::process::{Sandbox, sandbox};
use phalanx_stream::Identities;
use std::process::ExitCode;

/// Descriptors that a worker needs besides its connections: listeners, channels, logs, files that are being read.
const DESCRIPTORS_BESIDES_CONNECTIONS: u64 = 128;
/// Exit code when no server is there to be asked (`EX_UNAVAILABLE` of sysexits.h).
const EXIT_UNAVAILABLE: u8 = 69;
/// Exit code where no restart will help (`EX_CONFIG` of sysexits.h).
pub(crate) const EXIT_NO_RESTART: u8 = 78;
/// Exit code for a wrong setting (`EX_USAGE` of sysexits.h).
pub(crate) const EXIT_USAGE: u8 = 64;

/// Why the server did not start, or failed: one line, and an exit code.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A setting is wrong: code 64.
    Setting(String),
    /// Nobody answers at the control socket: code 69.
    Unavailable(String),
    /// The cluster ended, or did not begin, and says the code.
    Ended(String, u8),
    /// `phalanx pipe` or `phalanx image`, which is named, says it in its own way.
    Command(&'static str, Ending),
    /// Anything else: code 1.
    Other(String),
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Failure::Setting(error.to_string())
    }
}

impl Failure {
    /// The same, of something that has a name.
    pub(crate) fn of(self, label: &str) -> Failure {
        match self {
            Failure::Setting(line) => Failure::Setting(format!("{label}{line}")),
            Failure::Unavailable(line) => Failure::Unavailable(format!("{label}{line}")),
            Failure::Ended(line, code) => Failure::Ended(format!("{label}{line}"), code),
            Failure::Other(line) => Failure::Other(format!("{label}{line}")),
            named @ Failure::Command(..) => named,
        }
    }

    /// Writes the line and gives the code.
    pub(crate) fn report(&self) -> ExitCode {
        let (line, code) = match self {
            Failure::Setting(line) => (line, ExitCode::from(EXIT_USAGE)),
            Failure::Ended(line, code) => (line, ExitCode::from(*code)),
            Failure::Unavailable(line) => (line, ExitCode::from(EXIT_UNAVAILABLE)),
            Failure::Other(line) => (line, ExitCode::FAILURE),
            Failure::Command(command, ending) => return ending.report(command),
        };
        eprintln!("phalanx: {line}");
        code
    }
}

/// Help and version are printed and no failure. Anything else becomes one line.
pub(crate) fn wrong_arguments(told: &clap::Error) -> Result<(), Failure> {
    if !told.use_stderr() {
        let _ = told.print();
        return Ok(());
    }
    let told = in_one_line(told);
    let mode = std::env::args_os().nth(1);
    match ["pipe", "image"].into_iter().find(|command| mode.as_ref().is_some_and(|mode| mode == command)) {
        Some(command) => Err(Failure::Command(command, Ending::usage(told))),
        None if mode.as_ref().is_some_and(|mode| mode == "run") => {
            Err(Failure::Setting(format!("{told}; see phalanx run --help")))
        }
        None => Err(Failure::Setting(format!("{told}; see phalanx --help"))),
    }
}

fn in_one_line(told: &clap::Error) -> String {
    if let (ErrorKind::MissingRequiredArgument, Some(ContextValue::Strings(names))) =
        (told.kind(), told.get(ContextKind::InvalidArg))
    {
        return format!("{} must be given", names.join(" and "));
    }
    let text = told.to_string();
    // The usage may have several lines, with a blank one after them.
    let text = text.split_once("\nUsage:").map_or(&*text, |(says, _)| says);
    let says = |line: &&str| !line.is_empty() && !line.starts_with("For more information");
    let lines = text.lines().map(str::trim).filter(says);
    let pieces: Vec<&str> = lines.map(|line| line.trim_start_matches("error: ").trim_start_matches("tip: ")).collect();
    pieces.join("; ")
}

/// What this machine, or container, offers.
pub(crate) fn machine() -> Machine {
    Machine {
        cores: u32::try_from(phalanx::memory::usable_cores()).unwrap_or(u32::MAX),
        memory_bytes: phalanx::memory::total().bytes,
    }
}

/// Everything that the workers will need from the machine. Only the primary asks.
pub(crate) fn check(config: &Config) -> Result<(), Failure> {
    enough_descriptors(config.max_connections).map_err(Failure::Other)?;
    whole_sandbox(config)?;
    if config.heap_profile && !profile::is_available() {
        // Nothing starts by this where it is not available: it says why.
        profile::start().map_err(|error| Failure::Setting(format!("--heap-profile: {error}")))?;
    }
    if let Some(file) = &config.streaming.identity {
        Identities::file(file).map_err(|error| Failure::Setting(format!("--identity: {error}")))?;
    }
    Store::prepare(&config.store).map_err(Failure::Other)
}

/// With `--sandbox require`, whether this kernel (and the container around us) has all of it.
fn whole_sandbox(config: &Config) -> Result<(), Failure> {
    if (config.isolation, config.sandboxing) != (Isolation::Process, Sandboxing::Require) {
        return Ok(());
    }
    let here = sandbox::available(Sandbox::Full);
    if here.is_complete() {
        return Ok(());
    }
    let line = format!(
        "--sandbox require, and here the sandbox would be: {here} ({}); use a newer kernel, or --sandbox prefer to run with what there is",
        here.missing.join("; ")
    );
    Err(Failure::Ended(line, EXIT_NO_RESTART))
}

/// Raises the soft limit of open files to the hard one; workers inherit it.
fn enough_descriptors(max_connections: u32) -> Result<(), String> {
    let most = phalanx::raise_open_files().map_err(|error| error.to_string())?;
    let needed = u64::from(max_connections) + DESCRIPTORS_BESIDES_CONNECTIONS;
    if most >= needed {
        return Ok(());
    }
    Err(format!(
        "at most {most} files can be open (the hard limit of ulimit -n), but {max_connections} connections need {needed}; \
         raise the limit or lower --max-connections"
    ))
}
