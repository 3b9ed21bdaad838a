//! [`Command`]: a program to start, and how.

use std::collections::BTreeMap;
use std::ffi::{CString, OsStr, OsString};
use std::fmt;
use std::os::fd::{OwnedFd, RawFd};
use std::path::PathBuf;
use std::time::Duration;

use crate::ending::Ending;
use crate::environment::Environment;
use crate::launcher::{Inside, Launch};
use crate::lookup::{Program, c_string};
use crate::posix_spawn::Place;
use crate::prepared::Prepared;
use crate::stdio::{OurEnds, Placements, STDERR, STDIN, STDOUT};
use crate::{Limit, Signal, SpawnError, Stdio};

/// A program to start, and how.
///
/// Defaults, as Node's `spawn`: standard input, output and error are pipes to us, the environment and the working
/// directory are ours, there is no shell, no deadline, and the child is in our process group. Signals that this process
/// ignores or blocks are *not* ignored or blocked in the child.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// use phalanx_process::{Command, ExitStatus};
/// use tokio::io::AsyncReadExt;
///
/// let mut child = Command::new("sh").args(["-c", "echo $GREETING; exit 3"]).env("GREETING", "hello").spawn().await?;
/// let mut said = String::new();
/// child.stdout.take().expect("a pipe").read_to_string(&mut said).await?;
/// assert_eq!(said, "hello\n");
/// assert_eq!(child.exited().await?, ExitStatus::Code(3));
/// # Ok(())
/// # })
/// # }
/// ```
#[must_use = "a command does nothing until it is spawned"]
pub struct Command {
    program: OsString,
    arguments: Vec<OsString>,
    first_argument: Option<OsString>,
    directory: Option<PathBuf>,
    pub(crate) environment: Environment,
    stdio: BTreeMap<RawFd, Stdio>,
    place: Place,
    pub(crate) inside: Inside,
    pub(crate) ending: Ending,
}

impl Command {
    /// The program of this name, searched as `execvp` does along the `PATH` that the *child* will have, or at this path
    /// if the name holds a `/`.
    pub fn new(program: impl Into<OsString>) -> Command {
        Command {
            program: program.into(),
            arguments: Vec::new(),
            first_argument: None,
            directory: None,
            environment: Environment::default(),
            stdio: BTreeMap::new(),
            place: Place::default(),
            inside: Inside::default(),
            ending: Ending::default(),
        }
    }

    /// `line` for `/bin/sh -c`. Never build the line from input that you do not trust.
    pub fn shell(line: impl Into<OsString>) -> Command {
        Command::new("/bin/sh").arg("-c").arg(line)
    }

    /// Adds an argument.
    pub fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Adds arguments.
    pub fn args<A: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// The name under which the program sees itself (`argv[0]`); by default the name of the program.
    pub fn arg0(mut self, name: impl Into<OsString>) -> Self {
        self.first_argument = Some(name.into());
        self
    }

    /// The working directory; a relative path of a program starts from it. By default ours.
    pub fn cwd(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// Sets a variable of the environment.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.set(name.into(), value.into());
        self
    }

    /// Removes a variable from the environment.
    pub fn env_remove(mut self, name: impl Into<OsString>) -> Self {
        self.environment.remove(name.into());
        self
    }

    /// Starts from an empty environment: only what is set after this call.
    pub fn env_clear(mut self) -> Self {
        self.environment.clear();
        self
    }

    /// What the child has as standard input. Default [`Stdio::Pipe`].
    pub fn stdin(self, stdio: impl Into<Stdio>) -> Self {
        self.fd(STDIN, stdio)
    }

    /// What the child has as standard output. Default [`Stdio::Pipe`].
    pub fn stdout(self, stdio: impl Into<Stdio>) -> Self {
        self.fd(STDOUT, stdio)
    }

    /// What the child has as standard error. Default [`Stdio::Pipe`].
    pub fn stderr(self, stdio: impl Into<Stdio>) -> Self {
        self.fd(STDERR, stdio)
    }

    /// What the child has at any descriptor number.
    pub fn fd(mut self, number: RawFd, stdio: impl Into<Stdio>) -> Self {
        self.stdio.insert(number, stdio.into());
        self
    }

    /// Gives the child sockets by the protocol of systemd: from 3 on, with `LISTEN_FDS`, `LISTEN_FDNAMES` and
    /// `LISTEN_PID`. Needs [`init`](crate::init), because only the child knows its process id.
    pub fn listen_fds<N: Into<String>>(mut self, sockets: impl IntoIterator<Item = (N, OwnedFd)>) -> Self {
        let mut names = Vec::new();
        for (number, (name, socket)) in (STDERR + 1..).zip(sockets) {
            self.stdio.insert(number, Stdio::Descriptor(socket));
            names.push(name.into());
        }
        self.environment.set("LISTEN_FDS".into(), names.len().to_string().into());
        self.environment.set("LISTEN_FDNAMES".into(), names.join(":").into());
        self.inside.listen_pid = true;
        self
    }

    /// A session of its own, without our terminal: as Node's `detached`. It lives on when we end, and `Ctrl-C` does not
    /// reach it.
    pub fn detached(mut self) -> Self {
        self.place = Place::OwnSession;
        self
    }

    /// A process group of its own, so that `Ctrl-C` does not reach it and
    /// [`Child::kill_tree`](crate::Child::kill_tree) also finds those whose parent has ended.
    pub fn process_group(mut self) -> Self {
        self.place = Place::OwnGroup;
        self
    }

    /// The child gets SIGKILL when this process ends, however it ends. Its own children do not: see
    /// [`own_tree`](Command::own_tree). Needs [`init`](crate::init).
    pub fn die_with_parent(mut self) -> Self {
        self.inside.die_with_parent = true;
        self
    }

    /// Nothing that the child starts outlives it or us, not even daemons: a small keeper process of ours stands between.
    ///
    /// The keeper adopts every descendant whose parent ends. When the child has ended, or this process has, however it
    /// ended, the keeper ends what is left. [`Child::pid`](crate::Child::pid) is the keeper's; it passes on the signals
    /// that can be caught, and ends as the child did. Needs [`init`](crate::init).
    pub fn own_tree(mut self) -> Self {
        self.inside.keeper = true;
        self
    }

    /// The child is killed when its [`Child`](crate::Child) is dropped. By default it lives on.
    pub fn kill_on_drop(mut self) -> Self {
        self.ending.on_drop = crate::ending::OnDrop::Kill;
        self
    }

    /// Ends the child and all its descendants if it runs for longer. Default: no limit.
    ///
    /// They get the [`kill_signal`](Command::kill_signal), and what is left after the [`grace`](Command::grace) period
    /// gets SIGKILL.
    pub fn timeout(mut self, most: Duration) -> Self {
        self.ending.timeout = Some(most);
        self
    }

    /// The first signal of a timeout or a cancellation. Default [`Signal::Terminate`].
    pub fn kill_signal(mut self, signal: Signal) -> Self {
        self.ending.signal = signal;
        self
    }

    /// How long a timeout or a cancellation waits between the first signal and SIGKILL. Default 5 s.
    pub fn grace(mut self, period: Duration) -> Self {
        self.ending.grace = period;
        self
    }

    /// Ends the child and all its descendants when `cancelled` resolves: a token's `cancelled_owned()`, a receiver, any
    /// future.
    pub fn cancel(mut self, cancelled: impl Future<Output = ()> + Send + 'static) -> Self {
        self.ending.cancelled = Some(Box::pin(cancelled));
        self
    }

    /// Sets a limit of resources, soft and hard. Needs [`init`](crate::init).
    pub fn rlimit(mut self, limit: Limit, most: u64) -> Self {
        self.inside.settings.limits.push((limit, most));
        self
    }

    /// Adds to the niceness: 19 is the least urgent; negative ones need privileges. Needs [`init`](crate::init).
    pub fn nice(mut self, increment: i32) -> Self {
        self.inside.settings.nice = Some(increment);
        self
    }

    /// The child and its children run on these processors only. Needs [`init`](crate::init).
    pub fn affinity(mut self, processors: impl IntoIterator<Item = usize>) -> Self {
        self.inside.settings.affinity = Some(processors.into_iter().collect());
        self
    }

    /// The child starts in this control group: the path of a directory with a `cgroup.procs` that we may write to. Needs
    /// [`init`](crate::init).
    pub fn cgroup(mut self, directory: impl Into<PathBuf>) -> Self {
        self.inside.settings.cgroup = Some(directory.into());
        self
    }

    /// The user to run as; supplementary groups are dropped. Needs privileges and [`init`](crate::init).
    pub fn uid(mut self, user: u32) -> Self {
        self.inside.settings.user = Some(user);
        self
    }

    /// The group to run as; supplementary groups are dropped. Needs privileges and [`init`](crate::init).
    pub fn gid(mut self, group: u32) -> Self {
        self.inside.settings.group = Some(group);
        self
    }

    /// In a process group of its own, unless it leads a session anyway.
    pub(crate) fn in_group(self) -> Self {
        if self.place == Place::OwnSession { self } else { self.process_group() }
    }

    /// The command as a person would type it, for messages.
    pub(crate) fn line(&self) -> String {
        let words = std::iter::once(&self.program).chain(&self.arguments);
        words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }

    /// Sets what the standard streams are where nothing was said.
    pub(crate) fn default_stdio(&mut self, number: RawFd, stdio: Stdio) {
        self.stdio.entry(number).or_insert(stdio);
    }

    /// Checks everything and opens the child's descriptors.
    pub(crate) fn prepare(mut self) -> Result<(Launch, OurEnds, Ending), SpawnError> {
        for number in [STDIN, STDOUT, STDERR] {
            self.default_stdio(number, Stdio::Pipe);
        }
        let inside = std::mem::take(&mut self.inside);
        let (prepared, ours, ending) = self.prepare_plainly()?;
        Ok((Launch::of(prepared, inside, ending.on_drop)?, ours, ending))
    }

    /// The same, without what has to be set inside the child.
    pub(crate) fn prepare_plainly(mut self) -> Result<(Prepared, OurEnds, Ending), SpawnError> {
        let directory = match &self.directory {
            Some(path) => Some(c_string(path.clone().into(), || "the working directory".into())?),
            None => None,
        };
        let arguments = self.c_arguments()?;
        let path = || self.environment.get(OsStr::new("PATH"));
        let program = Program::find(self.program, path, self.directory.as_deref())?;
        let environment = self.environment.block()?;
        let (placements, ours) = Placements::of(self.stdio.into_iter().collect())?;
        let prepared = Prepared { program, arguments, environment, directory, placements, place: self.place };
        Ok((prepared, ours, self.ending))
    }

    fn c_arguments(&mut self) -> Result<Vec<CString>, SpawnError> {
        let first = self.first_argument.take().unwrap_or_else(|| self.program.clone());
        let first = c_string(first, || "the program".into())?;
        let mut all = vec![first];
        for (index, argument) in std::mem::take(&mut self.arguments).into_iter().enumerate() {
            all.push(c_string(argument, || format!("argument {}", index + 1))?);
        }
        Ok(all)
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Command")
            .field("program", &self.program)
            .field("arguments", &self.arguments)
            .field("directory", &self.directory)
            .field("stdio", &self.stdio)
            .finish_non_exhaustive()
    }
}
