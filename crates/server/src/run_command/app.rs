//! [`App`]: what was said of an app, checked; nothing in here can be out of its range.

mod readiness;
mod sockets;

pub(super) use sockets::Sockets;

use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use phalanx::process::Signal;
use phalanx::{HealthCheck, Readiness};

use super::Told;
use super::cron::Cron;
use super::options::Options;
use super::places;
use super::program::{Line, Surroundings, check_name};
use super::values::{Instances, Serialization, Variable};
use super::variables;
use super::watch::Watch;
use crate::config::quantity::{ByteSize, Span};
use crate::config::{Account, Affinity, LogFile, LogFormat, LogLevel};

/// Less than this, and no program would fit in.
const LEAST_MEMORY_BYTES: u64 = 4 << 20;
/// What switches the control socket off.
const NONE: &str = "none";

/// One app.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct App {
    pub(super) name: String,
    pub(super) program: Launch,
    pub(super) instances: u32,
    pub(super) sockets: Sockets,
    pub(super) patience: Patience,
    /// A worker that ends with 0 has done its work.
    pub(super) finishing: bool,
    /// Who hears what Node workers say to their primary.
    pub(super) primary_script: Option<PathBuf>,
    pub(super) limits: Limits,
    pub(super) nice: Option<i32>,
    pub(super) affinity: Affinity,
    pub(super) cgroup: Option<PathBuf>,
    pub(super) account: Option<Account>,
    pub(super) cron: Option<Cron>,
    pub(super) watch: Option<Watch>,
    /// `None` without a control socket.
    pub(super) control: Option<PathBuf>,
    pub(super) admin: Option<SocketAddr>,
    pub(super) pid_file: Option<PathBuf>,
    /// `None` for standard error.
    pub(super) log_file: Option<LogFile>,
    pub(super) log_format: LogFormat,
    pub(super) log_level: LogLevel,
}

/// What is executed in each worker: what a reload may change.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Launch {
    pub(super) line: Line,
    pub(super) cwd: PathBuf,
    pub(super) environment: Vec<Variable>,
    pub(super) node: bool,
    pub(super) serialization: Serialization,
    pub(super) stop_signal: Signal,
    /// `None` for what is usual for it.
    pub(super) readiness: Option<Readiness>,
    pub(super) health_check: Option<HealthCheck>,
}

/// How long things may take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Patience {
    pub(super) boot: Duration,
    pub(super) liveness: Duration,
    pub(super) kill: Duration,
    /// `None` for what the cluster does by itself.
    pub(super) restart_delay: Option<Duration>,
    pub(super) max_restarts: Option<u32>,
}

/// When a worker is replaced although nothing is wrong with it. `None` is never.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Limits {
    pub(super) soft_memory_bytes: Option<u64>,
    pub(super) hard_memory_bytes: Option<u64>,
    pub(super) max_lifetime: Option<Duration>,
}

/// A setting that cannot be used: which one, why, and what would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong(pub(super) String);

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Wrong {}

impl From<String> for Wrong {
    fn from(what: String) -> Wrong {
        Wrong(what)
    }
}

impl App {
    /// What was said, over the defaults; relative paths begin in `base`. Or the first that cannot be used.
    pub(super) fn check(options: &Options, base: &Path, cores: u32) -> Result<App, Wrong> {
        let program = Launch::check(options, base)?;
        let name = options.name.clone().unwrap_or_else(|| program.line.name());
        check_name(&name)?;
        let sockets = Sockets::check(options, program.node)?;
        let shares = program.node || !sockets.listen.is_empty();
        let usual = if shares { Instances::MAX } else { Instances::Exactly(1) };
        let in_base = |path: &PathBuf| base.join(path);
        Ok(App {
            instances: options.instances.unwrap_or(usual).on(cores),
            patience: Patience::check(options)?,
            finishing: options.no_autorestart,
            primary_script: primary_script(options, base, program.node)?,
            limits: Limits::check(options)?,
            nice: options.nice.map(|nice| within("nice", nice, -20..=19)).transpose()?,
            affinity: options.affinity.unwrap_or(Affinity::None),
            cgroup: options.cgroup.as_ref().map(in_base),
            account: options.user.clone(),
            cron: options.cron_restart.as_deref().map(Cron::read).transpose()?,
            watch: Watch::check(&options.watch, &options.ignore_watch, &program.cwd)?,
            control: match &options.control {
                Some(path) if path == Path::new(NONE) => None,
                Some(path) => Some(in_base(path)),
                None => Some(places::new_socket(&name)),
            },
            admin: options.admin,
            pid_file: options.pid_file.as_ref().map(in_base),
            log_file: LogFile::check(options.log_file.as_ref().map(in_base), options.log_rotate, options.log_keep)
                .map_err(|error| Wrong(error.to_string()))?,
            log_format: options.log_format.unwrap_or(LogFormat::Auto),
            log_level: options.log_level.unwrap_or(LogLevel::Info),
            name,
            program,
            sockets,
        })
    }

    /// What differs from `now` in a way that only a restart can bring about; a reload replaces workers.
    pub(super) fn unmoved(&self, now: &App, told: Told) -> Result<(), Wrong> {
        // In the background it has a log file in any case.
        let usual_log = (told == Told::InFile && now.log_file.is_none()).then(|| self.log_file.clone()).flatten();
        let now = &App { log_file: now.log_file.clone().or(usual_log), ..now.clone() };
        let changed = match () {
            () if now.instances != self.instances => "instances (use `phalanx ctl scale N`)",
            () if now.sockets.listen != self.sockets.listen => "listen",
            () if now.program.node != self.program.node => "node",
            () if self.of_the_primary() != now.of_the_primary() => "a setting that is not the program's",
            () => return Ok(()),
        };
        Err(Wrong(format!("{changed} changed in the file: a reload cannot do that, a restart of {} can", self.name)))
    }

    /// The app without what a reload may change.
    fn of_the_primary(&self) -> App {
        let program = Launch {
            line: Line::default(),
            cwd: PathBuf::new(),
            environment: Vec::new(),
            node: self.program.node,
            serialization: Serialization::Json,
            stop_signal: Signal::Terminate,
            readiness: None,
            health_check: None,
        };
        App { program, ..self.clone() }
    }
}

impl Launch {
    fn check(options: &Options, base: &Path) -> Result<Launch, Wrong> {
        let line = options.line()?;
        let cwd = options.cwd.as_ref().map_or_else(|| base.to_owned(), |cwd| base.join(cwd));
        if !cwd.is_dir() {
            return Err(Wrong(format!("cwd: there is no folder {}", cwd.display())));
        }
        let files = options.env_file.iter().map(|file| base.join(file));
        let environment = variables::together(files, &options.env)?;
        let given = environment.iter().find(|variable| variable.name == "PATH");
        let path = given.map(|variable| OsString::from(&variable.value)).or_else(|| std::env::var_os("PATH"));
        line.is_there(&Surroundings { cwd: &cwd, path })?;
        let node = match (options.node, options.no_node) {
            (true, true) => return Err(Wrong("node and no-node contradict each other".into())),
            (node, false) => node || line.is_node(),
            (false, true) => false,
        };
        let stop_signal = options.stop_signal.map_or(Signal::Terminate, |signal| signal.0);
        let readiness = readiness::check(options, node)?;
        if options.serialization.is_some() && !node {
            return Err(Wrong(
                "serialization is about messages of Node, and this is not Node; say --node if it is".into(),
            ));
        }
        let serialization = options.serialization.unwrap_or(Serialization::Json);
        let health_check = options.health_check.clone();
        Ok(Launch { line, cwd, environment, node, serialization, stop_signal, readiness, health_check })
    }
}

impl Patience {
    fn check(options: &Options) -> Result<Patience, Wrong> {
        let long = Duration::from_millis(100)..=Duration::from_secs(365 * 24 * 3600);
        let time = |name, given: Option<Span>, seconds| {
            given.map_or(Ok(Duration::from_secs(seconds)), |span| within(name, span.0, long.clone()))
        };
        let delay = Duration::from_millis(1)..=Duration::from_secs(3600);
        Ok(Patience {
            boot: time("boot-timeout", options.boot_timeout, 60)?,
            liveness: time("liveness", options.liveness, 30)?,
            kill: time("kill-timeout", options.kill_timeout, 30)?,
            restart_delay: options.restart_delay.map(|span| within("restart-delay", span.0, delay)).transpose()?,
            max_restarts: options.max_restarts.map(|most| within("max-restarts", most, 1..=1000)).transpose()?,
        })
    }
}

impl Limits {
    fn check(options: &Options) -> Result<Limits, Wrong> {
        let memory = |name, given: Option<ByteSize>| {
            given.map(|size| within(name, size.0, LEAST_MEMORY_BYTES..=u64::MAX)).transpose()
        };
        let lifetime = Duration::from_secs(1)..=Duration::from_secs(365 * 24 * 3600);
        Ok(Limits {
            soft_memory_bytes: memory("max-memory-restart", options.max_memory_restart)?,
            hard_memory_bytes: memory("hard-memory", options.hard_memory)?,
            max_lifetime: options.max_lifetime.map(|span| within("max-lifetime", span.0, lifetime)).transpose()?,
        })
    }
}

fn primary_script(options: &Options, base: &Path, node: bool) -> Result<Option<PathBuf>, Wrong> {
    let Some(script) = &options.primary_script else { return Ok(None) };
    if !node {
        return Err(Wrong(
            "primary-script hears what Node's process.send() says, and this is not Node; say --node if it is".into(),
        ));
    }
    let script = base.join(script);
    match script.is_file() {
        true => Ok(Some(script)),
        false => Err(Wrong(format!("primary-script: there is no file {}", script.display()))),
    }
}

fn within<T: PartialOrd + fmt::Debug>(name: &str, value: T, range: RangeInclusive<T>) -> Result<T, Wrong> {
    if range.contains(&value) {
        return Ok(value);
    }
    Err(Wrong(format!("{name} must be between {:?} and {:?}, not {value:?}", range.start(), range.end())))
}
