//! [`Cluster`]: the builder that every cluster starts with.

mod confinement;
#[cfg(feature = "control")]
mod operation;
mod patience;
#[cfg(feature = "program")]
mod programs;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;

use crate::companion::{COMPANION_ROLE, CompanionCode};
use crate::control::WORKER_ROLE;
use crate::dispatcher::DISPATCHER_ROLE;
use crate::hub::Primary;
use crate::id::MAX_SLOTS;
use crate::listener::{Distribution, Listen};
use crate::primary::{CHECK_ROLE, FrontSettings};
use crate::supervisor::Policy;
use crate::{Error, Event, Gate, HealthGate, Worker};

/// What a cluster whose workers are programs does with them.
#[derive(Debug, Clone, Default)]
#[cfg_attr(not(feature = "program"), allow(dead_code, reason = "only that feature changes it"))]
pub(crate) struct Programs {
    /// Whether the workers are programs.
    pub(crate) are_workers: bool,
    /// One that exits with 0 has done its work, and is not started again.
    pub(crate) finish: bool,
    /// They inherit blocking sockets.
    pub(crate) blocking_listeners: bool,
    /// Who hears what Node programs send to their primary.
    pub(crate) script: Option<PathBuf>,
}

pub use confinement::Affinity;
pub(crate) use confinement::Confinement;

/// Any error of the user's own code.
pub(crate) type AnyError = Box<dyn std::error::Error + Send + Sync>;
type PrimaryFuture = Pin<Box<dyn Future<Output = Result<(), AnyError>> + Send>>;
pub(crate) type PrimaryCode = Box<dyn FnOnce(Primary) -> PrimaryFuture + Send>;
pub(crate) type SettingsSource = Box<dyn FnMut() -> Result<Vec<u8>, AnyError> + Send>;
pub(crate) type EventCallback = Box<dyn FnMut(&Event) + Send>;

/// A cluster that is being described. [`cluster`](crate::cluster) makes one.
#[must_use = "a cluster does nothing until `run` is called"]
pub struct Cluster {
    pub(crate) listen: Vec<Listen>,
    pub(crate) distribution: Distribution,
    pub(crate) workers: usize,
    pub(crate) gate: Gate,
    pub(crate) confinement: Confinement,
    pub(crate) health_gate: HealthGate,
    pub(crate) policy: Policy,
    pub(crate) on_event: Option<EventCallback>,
    pub(crate) primary: Option<PrimaryCode>,
    pub(crate) messages: bool,
    pub(crate) settings: Option<SettingsSource>,
    pub(crate) front: FrontSettings,
    pub(crate) pid_file: Option<PathBuf>,
    pub(crate) companions: Vec<(String, CompanionCode)>,
    pub(crate) programs: Programs,
}

impl Cluster {
    pub(crate) fn new() -> Cluster {
        Cluster {
            listen: Vec::new(),
            distribution: Distribution::Shared,
            workers: phalanx_memory::usable_cores(),
            gate: Gate::On,
            confinement: Confinement::default(),
            health_gate: HealthGate::Ready,
            policy: Policy::default(),
            on_event: None,
            primary: None,
            messages: false,
            settings: None,
            front: FrontSettings::default(),
            pid_file: None,
            companions: Vec::new(),
            programs: Programs::default(),
        }
    }

    /// Listens on `address`: `HOST:PORT`, `unix:PATH`, `systemd` and more, as the table of [`Listen`] says. May be called
    /// several times. The primary opens the sockets before any worker starts, so a taken port is an error of
    /// [`run`](Self::run).
    pub fn listen(mut self, address: impl Into<Listen>) -> Self {
        self.listen.push(address.into());
        self
    }

    /// How connections come to the workers. Default [`Distribution::Shared`]. [`Listen::distribute`] says it for one
    /// address only.
    pub fn distribute(mut self, distribution: Distribution) -> Self {
        self.distribution = distribution;
        self
    }

    /// Number of worker processes. Default: one for each core that this process may use (its affinity and its
    /// cgroup's quota). 0 starts none: the primary's code does, by [`Primary::fork`].
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// Whether workers stand back for each other when they accept. Default [`Gate::On`].
    pub fn gate(mut self, gate: Gate) -> Self {
        self.gate = gate;
        self
    }

    /// Calls `observe` in the primary for each event but messages. It runs on the supervisor's own thread and must
    /// not wait; a panic in it ends the cluster. For log lines; for more, see [`primary`](Self::primary).
    pub fn on_event(mut self, observe: impl FnMut(&Event) + Send + 'static) -> Self {
        self.on_event = Some(Box::new(observe));
        self
    }

    /// Reads the settings: once at the start, and once at each reload and upgrade. Every worker of that generation, also
    /// one that replaces a crashed worker hours later, gets exactly these bytes from
    /// [`Worker::settings`](crate::Worker::settings), whatever became of the file meanwhile.
    ///
    /// It runs in the primary, on the supervisor's own thread: a quick look at a file, not a conversation. Its error at
    /// the start is the error of [`run`](Self::run) (exit code 64); at a reload the reload is refused with its words, and
    /// nothing is changed. Default: none, and workers find their settings by themselves.
    pub fn settings(mut self, read: impl FnMut() -> Result<Vec<u8>, AnyError> + Send + 'static) -> Self {
        self.settings = Some(Box::new(read));
        self
    }

    /// A file with the primary's process id, locked as long as it lives: a second cluster with the same file is refused, and
    /// one that was left behind is taken over. It is removed at the end, and stays over upgrades. Default: none.
    pub fn pid_file(mut self, path: impl AsRef<Path>) -> Self {
        self.pid_file = Some(path.as_ref().to_owned());
        self
    }

    /// Code that runs in the primary, on a thread of its own with a current-thread runtime, while the supervisor has
    /// the main thread. When it returns, the cluster goes on; when it fails, the cluster stops and
    /// [`run`](Self::run) returns its error. A panic in it stops nothing.
    pub fn primary<F, Fut>(mut self, code: F) -> Self
    where
        F: FnOnce(Primary) -> Fut + Send + 'static,
        Fut: Future<Output = Result<(), AnyError>> + Send + 'static,
    {
        self.primary = Some(Box::new(move |primary| Box::pin(code(primary))));
        self
    }

    /// Lets workers write to each other, relayed by a thread of the primary, without any code there. Where there is
    /// [`primary`](Self::primary) code they can anyway. Default: they cannot, and nothing is spent on it.
    pub fn messages(mut self) -> Self {
        self.messages = true;
        self
    }

    /// In the primary: starts the workers and supervises them until the cluster was stopped (SIGTERM, SIGINT, or by
    /// the primary's code) or all workers have finished. In a worker: runs `code` on a current-thread runtime.
    ///
    /// **Call it on the main thread**, after `phalanx::init()`. In a worker it does not return: the process exits with
    /// 0 when `code` succeeds and with 1 when it fails, after its error was told to the primary.
    ///
    /// An upgrade in place runs `main` again, in the new program: whatever it does before this call must be of use a second
    /// time, in the same process. The new program is asked first, as a child in a role, whether it can take over; there too
    /// this call does not return.
    ///
    /// Errors, in the primary: a setting or address that makes no sense, a port that is taken, workers of which none
    /// became ready at the very first start, and what the operating system refuses.
    pub fn run<F, Fut>(self, code: F) -> Result<(), Error>
    where
        F: FnOnce(Worker) -> Fut,
        Fut: Future<Output = Result<(), AnyError>>,
    {
        if let Some(role) = phalanx_process::take_role(DISPATCHER_ROLE) {
            match crate::dispatcher::play(role)? {}
        }
        if let Some(role) = phalanx_process::take_role(WORKER_ROLE) {
            return crate::worker::run(role, code);
        }
        if let Some(role) = phalanx_process::take_role(COMPANION_ROLE) {
            crate::companion::play(role, self)
        }
        #[cfg(feature = "control")]
        if let Some(role) = phalanx_process::take_role(crate::front::link::FRONT_ROLE) {
            crate::front::run(role)
        }
        if let Some(role) = phalanx_process::take_role(CHECK_ROLE) {
            crate::primary::play_check(role, self)
        }
        self.validate()?;
        crate::primary::run(self)
    }

    fn validate(&self) -> Result<(), Error> {
        if !phalanx_process::initialized() {
            return Err(phalanx_process::Error::NotInitialized.into());
        }
        if let Some(role) = phalanx_process::role() {
            return Err(phalanx_process::Error::RoleNotTaken { role: role.to_owned() }.into());
        }
        self.validate_settings()
    }

    /// Whether the settings of this cluster make sense, in whatever process.
    pub(crate) fn validate_settings(&self) -> Result<(), Error> {
        if self.workers > MAX_SLOTS {
            let what = format!("{} workers are more than the {MAX_SLOTS} that a cluster can have", self.workers);
            return Err(Error::Setting { what });
        }
        if self.workers == 0 && self.primary.is_none() {
            let what = "0 workers, and no code in the primary that could start one: nothing would ever run".into();
            return Err(Error::Setting { what });
        }
        self.validate_companions()
    }
}
