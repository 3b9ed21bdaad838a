//! [`Group`]: several children, managed together.

use std::fmt;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::{Child, Command, Error, ExitStatus, Signal, SpawnError};

/// Between the first signal and SIGKILL when the others are ended after a failure.
const GRACE: Duration = Duration::from_secs(5);

/// Several children that belong together: one signal reaches all, one wait waits for all, and the first that fails ends
/// the others.
///
/// Each child leads a process group of its own. If the group is dropped, its children are killed.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// use phalanx_process::{Command, ExitStatus, Group};
///
/// let mut group = Group::new();
/// for line in ["sleep 100", "sleep 100", "exit 3"] {
///     group.spawn(Command::shell(line)).await?;
/// }
/// let outcome = group.wait_all().await?;
/// assert_eq!(outcome.first_failure, Some(2));
/// assert_eq!(outcome.statuses, [ExitStatus::Signal(15), ExitStatus::Signal(15), ExitStatus::Code(3)]);
/// # Ok(())
/// # })
/// # }
/// ```
#[derive(Debug, Default)]
pub struct Group {
    children: Vec<Child>,
    grace: Option<Duration>,
    first_failure: Option<usize>,
}

/// How the children of a group ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupOutcome {
    /// How each child ended, in the order in which they were spawned.
    pub statuses: Vec<ExitStatus>,
    /// Which child failed first, and so ended the others; `None` if all ended with code 0. The first that was spawned is 0.
    pub first_failure: Option<usize>,
}

impl fmt::Display for GroupOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.statuses.len();
        match self.first_failure.and_then(|index| Some((index, self.statuses.get(index)?))) {
            None => write!(f, "all {count} children ended with code 0"),
            Some((index, status)) => write!(f, "child {index} of {count} failed ({status}), and the others were ended"),
        }
    }
}

impl Group {
    /// A group without children.
    pub fn new() -> Group {
        Group::default()
    }

    /// How long the others have to end after a failure before they are killed. Default 5 s.
    pub fn grace(mut self, period: Duration) -> Self {
        self.grace = Some(period);
        self
    }

    /// Starts another child, and says its index. The child has its streams in [`Group::child`]; pipes that nobody reads make
    /// it wait when they are full.
    pub async fn spawn(&mut self, command: Command) -> Result<usize, SpawnError> {
        self.children.push(command.in_group().kill_on_drop().spawn().await?);
        Ok(self.children.len() - 1)
    }

    /// A child by its index.
    pub fn child(&mut self, index: usize) -> Option<&mut Child> {
        self.children.get_mut(index)
    }

    /// How many children were spawned.
    pub fn len(&self) -> usize {
        self.children.len()
    }

    /// Whether no child was spawned.
    pub fn is_empty(&self) -> bool {
        self.children.is_empty()
    }

    /// Sends `signal` to every child and to whom it started that stayed in its process group. How many children it reached.
    pub fn kill(&self, signal: Signal) -> Result<usize, Error> {
        let mut reached = 0;
        for child in &self.children {
            reached += usize::from(child.kill_group(signal)?);
        }
        Ok(reached)
    }

    /// Ends every child and everything below: `signal`, and SIGKILL to what is left after `grace`. How each ended.
    pub async fn end(&self, signal: Signal, grace: Duration) -> Result<Vec<ExitStatus>, Error> {
        self.end_except(None, signal, grace).await?;
        self.statuses().await
    }

    /// Waits until all children have ended. The first that ends with another code than 0 or by a signal ends all others, and
    /// everything below them: SIGTERM, and SIGKILL to what is left after the [`grace`](Group::grace) period.
    ///
    /// It may be awaited again, with the same outcome.
    pub async fn wait_all(&mut self) -> Result<GroupOutcome, Error> {
        if self.first_failure.is_none() {
            self.first_failure = self.find_first_failure().await?;
        }
        if let Some(index) = self.first_failure {
            self.end_except(Some(index), Signal::Terminate, self.grace.unwrap_or(GRACE)).await?;
        }
        Ok(GroupOutcome { statuses: self.statuses().await?, first_failure: self.first_failure })
    }

    async fn find_first_failure(&self) -> Result<Option<usize>, Error> {
        let mut running = JoinSet::new();
        for (index, child) in self.children.iter().enumerate() {
            let core = child.core().clone();
            running.spawn(async move { core.exited().await.map(|status| (index, status)) });
        }
        while let Some(ended) = running.join_next().await {
            let (index, status) = ended.map_err(gone)??;
            if !status.success() {
                return Ok(Some(index));
            }
        }
        Ok(None)
    }

    async fn end_except(&self, except: Option<usize>, signal: Signal, grace: Duration) -> Result<(), Error> {
        let mut ending = JoinSet::new();
        for (index, child) in self.children.iter().enumerate() {
            if Some(index) != except {
                ending.spawn(child.core().clone().end_tree(signal, grace));
            }
        }
        while let Some(ended) = ending.join_next().await {
            ended.map_err(gone)??;
        }
        Ok(())
    }

    async fn statuses(&self) -> Result<Vec<ExitStatus>, Error> {
        let mut all = Vec::with_capacity(self.children.len());
        for child in &self.children {
            all.push(child.exited().await?);
        }
        Ok(all)
    }
}

/// The runtime ended under us.
fn gone(error: tokio::task::JoinError) -> Error {
    Error::system("wait for a group", std::io::Error::other(error.to_string()))
}
