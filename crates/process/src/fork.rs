//! [`fork`], [`Fork`], [`ForkNode`]: a child that exchanges messages with us.

use std::ffi::OsString;
use std::os::fd::RawFd;

use phalanx_channel::node::{NodeChannel, Serialization};
use phalanx_channel::{Channel, End, Options};

use crate::node_parent::{CHANNEL_VARIABLE, SERIALIZATION_VARIABLE};
use crate::role::{ROLE_VARIABLE, THIS_EXECUTABLE};
use crate::{Child, Command, SpawnError, Stdio, init};

/// What the name of a forked child's role begins with, so that it collides with no role of Phalanx itself.
pub(crate) const FORKED: &str = "fork:";
/// Name of the channel's descriptor in the role.
pub(crate) const CHANNEL: &str = "channel";
/// Where the child finds its end of the channel, as under Node.
const CHANNEL_NUMBER: RawFd = 3;

/// Starts this program anew as the part called `name`, connected by a channel. Short for [`Fork::new`].
///
/// In the child, `main` finds `forked() == Some(name)`, takes its end with [`parent`](crate::parent), and does its work:
///
/// ```no_run
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     phalanx_process::init()?;
///     let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
///     runtime.block_on(async {
///         if phalanx_process::forked() == Some("doubler") {
///             let parent = phalanx_process::parent::<i64, i64>()?;
///             while let Some(number) = parent.recv().await? {
///                 parent.send(&(number * 2)).await?;
///             }
///             return Ok(());
///         }
///         let (child, channel) = phalanx_process::fork::<i64, i64>("doubler").await?;
///         channel.send(&21).await?;
///         println!("{:?}", channel.recv().await?.map(|message| message.value));
///         drop(channel); // the end of the channel ends the loop of the child
///         println!("the child ended with {}", child.exited().await?);
///         Ok(())
///     })
/// }
/// ```
///
/// A `main` that forgets to branch does no harm: a forked child may start children only after it took its end.
pub async fn fork<Out, In>(name: &str) -> Result<(Child, Channel<Out, In>), SpawnError> {
    Fork::new(name).spawn().await
}

/// The name that this process was forked under; `None` if it was started otherwise.
pub fn forked() -> Option<&'static str> {
    crate::role()?.strip_prefix(FORKED)
}

/// A child that exchanges typed messages with us: this program in another part, or any other that uses Phalanx.
///
/// Defaults, as Node's `fork`: standard input, output and error are ours. The child ends with us (SIGTERM at our death,
/// and the end of its channel).
#[derive(Debug)]
#[must_use = "nothing is started before `spawn`"]
pub struct Fork {
    name: String,
    command: Command,
    options: Options,
}

impl Fork {
    /// This program, as the part called `name`. It gets none of our arguments.
    pub fn new(name: impl Into<String>) -> Fork {
        let program = OsString::from(THIS_EXECUTABLE.to_string_lossy().into_owned());
        let own_name = std::env::args_os().next().unwrap_or_else(|| program.clone());
        Fork::of(name, Command::new(program).arg0(own_name))
    }

    /// Another program, which calls [`init`](crate::init) and [`parent`](crate::parent), as the part called `name`.
    pub fn program(name: impl Into<String>, program: impl Into<OsString>) -> Fork {
        Fork::of(name, Command::new(program))
    }

    fn of(name: impl Into<String>, command: Command) -> Fork {
        Fork { name: name.into(), command: inheriting(command), options: Options::default() }
    }

    /// Changes the command: arguments, environment, streams, limits, timeout.
    ///
    /// ```
    /// let fork = phalanx_process::Fork::new("worker").command(|command| command.arg("--fast").env("LEVEL", "3"));
    /// ```
    pub fn command(mut self, change: impl FnOnce(Command) -> Command) -> Fork {
        self.command = change(self.command);
        self
    }

    /// What our end of the channel allows.
    pub fn options(mut self, options: Options) -> Fork {
        self.options = options;
        self
    }

    /// Starts the child. Call it inside a tokio runtime with I/O and time.
    ///
    /// Errors: besides those of [`Command::spawn`], that [`init`](crate::init) was not called, or that this process is
    /// itself a part that has not taken its end.
    pub async fn spawn<Out, In>(self) -> Result<(Child, Channel<Out, In>), SpawnError> {
        init::check_may_spawn().map_err(SpawnError::Launcher)?;
        if self.name.is_empty() || !self.name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
            return Err(SpawnError::BadName { name: self.name });
        }
        let (ours, theirs) = End::<Out, In>::pair().map_err(SpawnError::Channel)?;
        let channel = ours.open_with(self.options).map_err(SpawnError::Channel)?;
        let role = format!("{FORKED}{};parent={};{CHANNEL}={CHANNEL_NUMBER}", self.name, std::process::id());
        let command = self.command.env(ROLE_VARIABLE, role).fd(CHANNEL_NUMBER, theirs.into_descriptor());
        // By the spawner thread, so that the child lives as long as we do, and not as some thread of a runtime.
        Ok((command.spawn().await?, channel))
    }
}

/// A Node.js program that exchanges messages with us, as if `child_process.fork` had started it. The program need not
/// know of us.
#[derive(Debug)]
#[must_use = "nothing is started before `spawn`"]
pub struct ForkNode {
    script: OsString,
    node: OsString,
    node_arguments: Vec<OsString>,
    arguments: Vec<OsString>,
    serialization: Serialization,
    command: fn(Command) -> Command,
}

/// Starts `node script`, connected by Node's own messages (JSON). Short for [`ForkNode::new`].
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use serde_json::{Value, json};
///
/// let (child, channel) = phalanx_process::fork_node::<Value, Value>("double.js").await?;
/// channel.send(&json!({"payload": [1, 2, 3]})).await?;
/// println!("{:?}", channel.recv().await?.map(|message| message.value));
/// drop(channel); // the script gets 'disconnect'
/// child.exited().await?;
/// # Ok(())
/// # }
/// ```
pub async fn fork_node<Out, In>(script: impl Into<OsString>) -> Result<(Child, NodeChannel<Out, In>), SpawnError> {
    ForkNode::new(script).spawn().await
}

impl ForkNode {
    /// The script at this path, run by the `node` in `PATH`.
    pub fn new(script: impl Into<OsString>) -> ForkNode {
        ForkNode {
            script: script.into(),
            node: "node".into(),
            node_arguments: Vec::new(),
            arguments: Vec::new(),
            serialization: Serialization::Json,
            command: |command| command,
        }
    }

    /// The Node to run it (Node's `execPath`).
    pub fn node(mut self, program: impl Into<OsString>) -> ForkNode {
        self.node = program.into();
        self
    }

    /// An argument for Node itself, before the script (Node's `execArgv`).
    pub fn node_arg(mut self, argument: impl Into<OsString>) -> ForkNode {
        self.node_arguments.push(argument.into());
        self
    }

    /// An argument for the script.
    pub fn arg(mut self, argument: impl Into<OsString>) -> ForkNode {
        self.arguments.push(argument.into());
        self
    }

    /// How messages are encoded (default [`Serialization::Json`]).
    pub fn serialization(mut self, serialization: Serialization) -> ForkNode {
        self.serialization = serialization;
        self
    }

    /// Changes the command: environment, streams, limits, timeout.
    pub fn command(mut self, change: fn(Command) -> Command) -> ForkNode {
        self.command = change;
        self
    }

    /// Starts the child. Call it inside a tokio runtime with I/O and time. Needs no [`init`](crate::init).
    pub async fn spawn<Out, In>(self) -> Result<(Child, NodeChannel<Out, In>), SpawnError> {
        // The kernel's kind of connection is the same; only what is said over it differs.
        let (ours, theirs) = End::<(), ()>::pair().map_err(SpawnError::Channel)?;
        let channel = NodeChannel::open(ours.into_descriptor(), self.serialization).map_err(SpawnError::NodeChannel)?;
        let command = inheriting(Command::new(self.node))
            .args(self.node_arguments)
            .arg(self.script)
            .args(self.arguments)
            .env(CHANNEL_VARIABLE, CHANNEL_NUMBER.to_string())
            .env(SERIALIZATION_VARIABLE, self.serialization.name())
            .fd(CHANNEL_NUMBER, theirs.into_descriptor());
        Ok(((self.command)(command).spawn().await?, channel))
    }
}

fn inheriting(command: Command) -> Command {
    command.stdin(Stdio::Inherit).stdout(Stdio::Inherit).stderr(Stdio::Inherit)
}
