//! [`Role`]: this executable as a child with a part to play.
//!
//! Children are started by `posix_spawn`, which shares the parent's memory until the exec, so it costs the same for a
//! small parent and for one of many gigabytes; nothing runs in the child before the exec. What a child must set inside
//! itself, it does in [`init`](crate::init), which costs no second exec and nothing at all where nothing is set.
//!
//! The role travels in one variable: `PHALANX_ROLE=NAME;parent=PID;NAME=FD;NAME=FD…`, after the process id a comma and the
//! signal of the parent's death if that is not SIGTERM, or `none` for a child that outlives its parent.

use std::ffi::{CString, OsStr, OsString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use crate::environment::NOT_INHERITED;
use crate::posix_spawn::{Attributes, FileActions, Place, posix_spawn};
use crate::sandbox::SandboxOrder;
use crate::settings::{Limit, Settings};
use crate::stdio::{STDERR, STDIN, STDOUT};
use crate::{Error, Process, Sandbox, SandboxPolicy, Signal, init, refusal, spawner};

/// The variable that carries the role.
pub(crate) const ROLE_VARIABLE: &str = "PHALANX_ROLE";

/// The running executable, even if its file was replaced or removed.
pub(crate) const THIS_EXECUTABLE: &std::ffi::CStr = c"/proc/self/exe";

/// The signal of a parent's death where nothing else was said: time to finish.
pub(crate) const DEATH_SIGNAL: Signal = Signal::Terminate;

/// In the place of that signal: the child outlives its parent.
pub(crate) const NO_DEATH_SIGNAL: &str = "none";

/// Where the given descriptors begin in the child: 0, 1 and 2 are the standard streams.
const FIRST_DESCRIPTOR: RawFd = 3;

/// Variables by which a service manager speaks to one process: the one that it started.
const FOR_THE_SERVICE: [&str; 3] = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"];

/// A child that is this executable in another role: its name, its descriptors, additions to its environment.
///
/// The child gets the arguments of this process, its environment with the additions, its standard streams, and of
/// all other descriptors exactly those that were named; or other [`arguments`](Role::arguments), and
/// [nothing](Role::env_clear) of the environment.
///
/// What [`rlimit`](Role::rlimit), [`nice`](Role::nice), [`affinity`](Role::affinity), [`cgroup`](Role::cgroup),
/// [`uid`](Role::uid) and [`gid`](Role::gid) say is set by the child itself in [`init`](crate::init), before any thread of
/// it exists. If that is refused, the child's `init` returns [`Error::Setting`], and [`Process::refusal`] tells us.
#[derive(Debug)]
pub struct Role<'a> {
    name: &'static str,
    program: Option<PathBuf>,
    streams: Vec<(RawFd, BorrowedFd<'a>)>,
    descriptors: Vec<(&'static str, BorrowedFd<'a>)>,
    arguments: Option<Vec<OsString>>,
    environment: Vec<(OsString, OsString)>,
    only_named: bool,
    settings: Settings,
    /// `None`: it outlives us.
    parent_death: Option<Signal>,
    sandbox: SandboxOrder,
}

impl<'a> Role<'a> {
    /// A role of this name (letters and digits).
    pub fn new(name: &'static str) -> Role<'a> {
        Role {
            name,
            program: None,
            streams: Vec::new(),
            descriptors: Vec::new(),
            arguments: None,
            environment: Vec::new(),
            only_named: false,
            settings: Settings::default(),
            parent_death: Some(DEATH_SIGNAL),
            sandbox: SandboxOrder { level: Sandbox::None, policy: SandboxPolicy::default() },
        }
    }

    /// Another file than the running executable: a newer one, which knows this role.
    pub fn program(mut self, file: impl Into<PathBuf>) -> Self {
        self.program = Some(file.into());
        self
    }

    /// Gives the child a copy of `descriptor` under `name`. Names may repeat; order is kept.
    pub fn descriptor(mut self, name: &'static str, descriptor: BorrowedFd<'a>) -> Self {
        self.descriptors.push((name, descriptor));
        self
    }

    /// The child's standard input. By default ours.
    pub fn stdin(mut self, stream: BorrowedFd<'a>) -> Self {
        self.streams.push((STDIN, stream));
        self
    }

    /// The child's standard output. By default ours.
    pub fn stdout(mut self, stream: BorrowedFd<'a>) -> Self {
        self.streams.push((STDOUT, stream));
        self
    }

    /// The child's standard error. By default ours.
    pub fn stderr(mut self, stream: BorrowedFd<'a>) -> Self {
        self.streams.push((STDERR, stream));
        self
    }

    /// Sets a variable in the child's environment.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Passes nothing of our environment on: the child gets its role and what [`env`](Role::env) adds.
    pub fn env_clear(mut self) -> Self {
        self.only_named = true;
        self
    }

    /// The child's arguments instead of ours, the first one included, which `ps` shows as the command and the kernel (cut to
    /// 15 bytes) as its name: `["phalanx: job thumbnails"]`. Without any the child gets ours.
    pub fn arguments<A: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments = Some(arguments.into_iter().map(Into::into).collect::<Vec<_>>()).filter(|all| !all.is_empty());
        self
    }

    /// Puts the child into a [sandbox](crate::sandbox) of this level: it is in there when its [`init`](crate::init) returns,
    /// and has then no descriptors above the standard streams but those that it was given. Default [`Sandbox::None`].
    ///
    /// What the kernel lacks is left out and told by [`confinement`](crate::confinement); see
    /// [`sandbox_policy`](Role::sandbox_policy).
    pub fn sandbox(mut self, level: Sandbox) -> Self {
        self.sandbox.level = level;
        self
    }

    /// What to do where the kernel, or the filter of a container, lacks a part of the sandbox. With
    /// [`SandboxPolicy::Require`] the child's `init` returns [`Error::Sandbox`] then, and [`Process::refusal`] tells us.
    /// Default [`SandboxPolicy::Prefer`].
    pub fn sandbox_policy(mut self, policy: SandboxPolicy) -> Self {
        self.sandbox.policy = policy;
        self
    }

    /// Sets a limit of resources, soft and hard.
    pub fn rlimit(mut self, limit: Limit, most: u64) -> Self {
        self.settings.limits.push((limit, most));
        self
    }

    /// Adds to the niceness: 19 is the least urgent; negative ones need privileges.
    pub fn nice(mut self, increment: i32) -> Self {
        self.settings.nice = Some(increment);
        self
    }

    /// The child and its children run on these processors only.
    pub fn affinity(mut self, processors: impl IntoIterator<Item = usize>) -> Self {
        self.settings.affinity = Some(processors.into_iter().collect());
        self
    }

    /// The child enters this control group: the path of a directory with a `cgroup.procs` that it may write to.
    pub fn cgroup(mut self, directory: impl Into<PathBuf>) -> Self {
        self.settings.cgroup = Some(directory.into());
        self
    }

    /// The user to run as; supplementary groups are dropped. Needs privileges. Give a [`gid`](Role::gid) too: without it
    /// the child keeps our group.
    pub fn uid(mut self, user: u32) -> Self {
        self.settings.user = Some(user);
        self
    }

    /// The group to run as; supplementary groups are dropped. Needs privileges.
    pub fn gid(mut self, group: u32) -> Self {
        self.settings.group = Some(group);
        self
    }

    /// What the child gets when the thread that spawned it ends. Default [`Signal::Terminate`].
    pub fn parent_death(mut self, signal: Signal) -> Self {
        self.parent_death = Some(signal);
        self
    }

    /// Starts the child.
    ///
    /// Call it on a thread that lives as long as the child should: the kernel's parent-death signal follows the
    /// *thread* that spawned, not the process.
    pub fn spawn(self) -> Result<Process, Error> {
        init::check_may_spawn()?;
        self.start_with_settings()
    }

    /// Starts the child so that it outlives us: in a session of its own, without a signal at our death, in the directory `/`, its
    /// standard streams at `/dev/null` unless they were given. Returns its process id. It is reaped when it ends while we live.
    ///
    /// It is for what several programs share and nobody owns. Such a child must know by itself when to end.
    pub fn spawn_detached(mut self) -> Result<u32, Error> {
        init::check_may_spawn()?;
        self.parent_death = None;
        let child = self.start_with_settings()?;
        let pid = child.pid();
        spawner::adopt(child);
        Ok(pid)
    }

    fn start_with_settings(mut self) -> Result<Process, Error> {
        let mut settings = std::mem::take(&mut self.settings);
        let confined = self.sandbox.level != Sandbox::None && self.sandbox.policy != SandboxPolicy::Off;
        settings.sandbox = confined.then_some(self.sandbox);
        let Some(orders) = refusal::Orders::of(&settings)? else { return self.start() };
        let child = {
            let mut role: Role<'_> = self;
            let (settings, report_to) = orders.for_the_child();
            role.descriptors.extend([(refusal::SETTINGS, settings), (refusal::REFUSAL, report_to)]);
            role.start()?
        };
        Ok(child.with_refusal(orders.into_report()))
    }

    fn start(&self) -> Result<Process, Error> {
        let arguments = match &self.arguments {
            Some(arguments) => c_strings(arguments.iter().cloned(), "an argument of a child")?,
            None => c_strings(std::env::args_os(), "an argument of this program")?,
        };
        let environment = self.environment_block()?;
        let file = match &self.program {
            Some(file) => CString::new(file.as_os_str().as_bytes())
                .map_err(|_| Error::NulByte { what: "the path of a program".into() })?,
            None => THIS_EXECUTABLE.to_owned(),
        };
        let actions = Placed::of(self)?;
        let place = if self.parent_death.is_some() { Place::WithParent } else { Place::OwnSession };
        let pid = Attributes::with_default_signals(place)
            .and_then(|attributes| posix_spawn(&file, &actions.actions, &attributes, &arguments, &environment))
            .map_err(|source| {
                let file = self.program.as_ref().map_or("this program".into(), |file| file.display().to_string());
                Error::system(format!("start {file} as \"{}\"", self.name), source)
            })?;
        Process::of(pid)
    }

    fn environment_block(&self) -> Result<Vec<CString>, Error> {
        let mut role = format!("{};parent={}", self.name, std::process::id());
        match self.parent_death {
            Some(DEATH_SIGNAL) => {}
            Some(signal) => role.push_str(&format!(",{signal}")),
            None => role.push_str(&format!(",{NO_DEATH_SIGNAL}")),
        }
        for (number, (name, _)) in (FIRST_DESCRIPTOR..).zip(&self.descriptors) {
            role.push_str(&format!(";{name}={number}"));
        }
        environment_block(&self.environment, ROLE_VARIABLE, role, |name| {
            self.only_named || NOT_INHERITED.iter().chain(&FOR_THE_SERVICE).any(|not| name == *not)
        })
    }
}

/// Our environment without what is left out, with additions, and with one variable of our own.
pub(crate) fn environment_block(
    additions: &[(OsString, OsString)],
    own_variable: &str,
    own_value: String,
    left_out: impl Fn(&OsStr) -> bool,
) -> Result<Vec<CString>, Error> {
    let replaced = |name: &OsStr| name == own_variable || additions.iter().any(|(ours, _)| ours == name);
    let mut all: Vec<(OsString, OsString)> =
        std::env::vars_os().filter(|(name, _)| !left_out(name) && !replaced(name)).collect();
    all.extend(additions.iter().cloned().chain([(own_variable.into(), own_value.into())]));
    c_strings(
        all.into_iter().map(|(mut name, value)| {
            name.push(OsStr::from_bytes(b"="));
            name.push(value);
            name
        }),
        "a variable of the environment",
    )
}

pub(crate) fn c_strings(strings: impl Iterator<Item = OsString>, what: &str) -> Result<Vec<CString>, Error> {
    strings.map(|s| CString::new(s.into_vec()).map_err(|_| Error::NulByte { what: what.into() })).collect()
}

/// The child's descriptors: what `posix_spawn` is to do, and the copies that it does it with.
struct Placed {
    actions: FileActions,
    _copies: Vec<OwnedFd>,
}

impl Placed {
    fn of(role: &Role<'_>) -> Result<Placed, Error> {
        let above = FIRST_DESCRIPTOR + role.descriptors.len() as RawFd;
        let named = (FIRST_DESCRIPTOR..).zip(&role.descriptors).map(|(target, (name, from))| (target, *name, from));
        let streams = role.streams.iter().map(|(target, from)| (*target, "a standard stream", from));
        let prepare = |source| Error::system("prepare the start of a child", source);
        let mut actions = FileActions::new().map_err(prepare)?;
        let null = match role.parent_death {
            Some(_) => None,
            None => {
                actions.change_directory(c"/").map_err(prepare)?;
                let open = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null");
                Some(open.map_err(|source| Error::system("open /dev/null", source))?)
            }
        };
        let null = null.as_ref().map(AsFd::as_fd);
        let unnamed =
            [STDIN, STDOUT, STDERR].into_iter().filter(|target| role.streams.iter().all(|(t, _)| t != target));
        let nulls = null.iter().flat_map(|null| unnamed.clone().map(move |target| (target, "/dev/null", null)));
        let mut copies = Vec::with_capacity(role.descriptors.len() + role.streams.len());
        for (target, name, from) in named.chain(streams).chain(nulls) {
            // Above the target numbers, so that placing one never overwrites another that is still to be placed.
            let copy = rustix::io::fcntl_dupfd_cloexec(from, above)
                .map_err(|source| Error::system(format!("copy the descriptor \"{name}\" for a child"), source))?;
            actions
                .place(copy.as_raw_fd(), target)
                .map_err(|source| Error::system(format!("place the descriptor \"{name}\" for a child"), source))?;
            copies.push(copy);
        }
        Ok(Placed { actions, _copies: copies })
    }
}
