//! [`Child`]: a program that we started, with its streams and its end.

use std::os::fd::RawFd;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::ending::{EndReason, Ending, OnDrop};
use crate::kept::Kept;
use crate::stdio::{OurEnds, STDERR, STDIN, STDOUT};
use crate::streams::{Pipe, hung_up};
use crate::tree::{Tree, signal_tree};
use crate::{ChildOutput, ChildPipe, ChildStdin, Command, Error, Events, ExitStatus, Signal, SpawnError, spawner};

impl Command {
    /// Starts the program. Call it inside a tokio runtime with I/O (and time, for a timeout).
    ///
    /// It is started by the spawner thread, so no thread of the runtime stands still. A dropped call starts nothing, or
    /// what it started is treated as a dropped [`Child`].
    ///
    /// Errors: [`SpawnError`] says which file, directory, argument or limit it was; then nothing is left of the child.
    pub async fn spawn(self) -> Result<Child, SpawnError> {
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(SpawnError::NoRuntime);
        }
        let announced = spawner::announce().await?;
        let (launch, ours, ending) = self.prepare()?;
        let (kept, pending) = announced.start(launch).await?;
        if let Some(pending) = pending {
            pending.settled().await?;
        }
        Child::watch(kept, ours, ending)
    }
}

/// A program that was started, with its streams and its end.
///
/// Dropping it closes the streams that were not taken, and neither waits nor ends the program, which lives on (as after
/// Node's `unref`), unless [`Command::kill_on_drop`] was said. Its end is collected in any case: no zombie stays. A timeout
/// and a cancellation keep working.
#[derive(Debug)]
pub struct Child {
    /// Its standard input, if that is a pipe. Take it, write, drop it.
    pub stdin: Option<ChildStdin>,
    /// Its standard output, if that is a pipe. Take it and read.
    pub stdout: Option<ChildOutput>,
    /// Its standard error, if that is a pipe. Take it and read.
    pub stderr: Option<ChildOutput>,
    pipes: Vec<(RawFd, ChildPipe)>,
    core: Arc<Core>,
    on_drop: OnDrop,
}

/// What all handles of a child share.
#[derive(Debug)]
pub(crate) struct Core {
    watched: AsyncFd<Kept>,
    /// What must have ended before the child is closed.
    outputs: Vec<Weak<Pipe>>,
    reason: Mutex<Option<EndReason>>,
}

impl Child {
    fn watch(kept: Kept, ours: OurEnds, ending: Ending) -> Result<Child, SpawnError> {
        let failed = |source: std::io::Error| SpawnError::system("watch a child", source);
        // SAFETY: `Kept` names the same pidfd until it is dropped, and nothing takes it out while it is registered.
        let watched = match unsafe { AsyncFd::register_with_interest(kept, Interest::READABLE) } {
            Ok(watched) => watched,
            Err(refused) => {
                let (kept, source) = refused.into_parts();
                // Nobody would ever learn of it: as if it had not been started.
                let _ = kept.kill(Signal::Kill);
                return Err(failed(source));
            }
        };
        let (mut stdin, mut stdout, mut stderr, mut pipes, mut outputs) = (None, None, None, Vec::new(), Vec::new());
        for (number, descriptor) in ours {
            let interest = match number {
                STDIN => Interest::WRITABLE,
                STDOUT | STDERR => Interest::READABLE,
                _ => Interest::READABLE | Interest::WRITABLE,
            };
            let pipe = Pipe::register(descriptor, interest).inspect_err(|_| {
                let _ = watched.get_ref().kill(Signal::Kill);
            });
            let pipe = pipe.map_err(failed)?;
            if number != STDIN {
                outputs.push(Arc::downgrade(&pipe));
            }
            match number {
                STDIN => stdin = Some(ChildStdin(pipe)),
                STDOUT => stdout = Some(ChildOutput(pipe)),
                STDERR => stderr = Some(ChildOutput(pipe)),
                _ => pipes.push((number, ChildPipe(pipe))),
            }
        }
        let on_drop = ending.on_drop;
        let core = Arc::new(Core { watched, outputs, reason: Mutex::new(None) });
        if ending.timeout.is_some() || ending.cancelled.is_some() {
            tokio::spawn(enforce(core.clone(), ending));
        }
        Ok(Child { stdin, stdout, stderr, pipes, core, on_drop })
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.core.kept().pid()
    }

    /// Our end of the pipe at another descriptor number of the child; `None` if there is none, or it was taken.
    pub fn take_pipe(&mut self, number: RawFd) -> Option<ChildPipe> {
        let index = self.pipes.iter().position(|(its, _)| *its == number)?;
        Some(self.pipes.swap_remove(index).1)
    }

    /// Waits until the process has ended, and says how. It may be awaited many times and from several tasks.
    ///
    /// There may still be output to read then; see [`Child::closed`].
    pub async fn exited(&self) -> Result<ExitStatus, Error> {
        self.core.exited().await
    }

    /// Waits until the process has ended *and* nobody holds the other ends of its output pipes any more (a child of the
    /// child may), and says how it ended. It may be awaited many times.
    ///
    /// It resolves whether or not the output is read: what is in the pipes by then can still be read, and then their end.
    /// Pipes that were dropped here are not waited for.
    pub async fn closed(&self) -> Result<ExitStatus, Error> {
        self.core.closed().await
    }

    /// How it ended, if it has. Never waits.
    pub fn try_exited(&self) -> Result<Option<ExitStatus>, Error> {
        self.core.kept().try_status()
    }

    /// Sends `signal` to the process. True if it was sent; false if the process has ended.
    pub fn kill(&self, signal: Signal) -> Result<bool, Error> {
        self.core.kept().kill(signal)
    }

    /// Sends `signal` to the process group that the child leads.
    pub(crate) fn kill_group(&self, signal: Signal) -> Result<bool, Error> {
        self.core.kept().kill_group(signal)
    }

    /// Sends `signal` to the process and everything below it, and for SIGKILL waits until they are gone (5 s at most). How
    /// many processes got it, but for those that only the process group knew.
    ///
    /// The tree is stopped before it is signalled, so that nothing slips away meanwhile. Descendants whose own parent has
    /// ended are found if the child leads a process group ([`Command::process_group`], [`Command::detached`]) that they did
    /// not leave; with [`Command::own_tree`] in any case.
    pub async fn kill_tree(&self, signal: Signal) -> Result<usize, Error> {
        let (_, count) = self.core.clone().signal_tree(signal, None).await?;
        Ok(count)
    }

    /// Ends the process and everything below it: `signal`, and SIGKILL to what is left after `grace`. How it ended.
    pub async fn end_tree(&self, signal: Signal, grace: Duration) -> Result<ExitStatus, Error> {
        self.core.clone().end_tree(signal, grace).await?;
        self.exited().await
    }

    /// Why we ended it, if we did: its timeout, or its cancellation.
    pub fn end_reason(&self) -> Option<EndReason> {
        self.core.reason()
    }

    /// What happens to the child, as it happens: `Spawned`, `Exited`, `Closed`.
    pub fn events(&self) -> Events {
        Events::of(self.core.clone())
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.on_drop == OnDrop::Kill {
            let _ = self.kill(Signal::Kill);
        }
    }
}

/// Waits for a timeout or a cancellation, and ends the child then.
async fn enforce(core: Arc<Core>, ending: Ending) {
    let Ending { timeout, cancelled, signal, grace, .. } = ending;
    let reason = tokio::select! {
        _ = core.exited() => return,
        reason = Ending::due(timeout, cancelled) => reason,
    };
    core.set_reason(reason);
    let _ = core.end_tree(signal, grace).await;
}

impl Core {
    pub(crate) fn kept(&self) -> &Kept {
        self.watched.get_ref()
    }

    pub(crate) async fn exited(&self) -> Result<ExitStatus, Error> {
        loop {
            if let Some(status) = self.kept().try_status()? {
                return Ok(status);
            }
            let ready = self.watched.readable().await;
            let mut guard =
                ready.map_err(|source| Error::system(format!("wait for child {}", self.kept().pid()), source))?;
            match self.kept().try_status()? {
                Some(status) => return Ok(status),
                None => guard.clear_ready(),
            }
        }
    }

    pub(crate) async fn closed(&self) -> Result<ExitStatus, Error> {
        let status = self.exited().await?;
        for output in &self.outputs {
            hung_up(output).await.map_err(|source| {
                Error::system(format!("wait for the end of the output of child {}", self.kept().pid()), source)
            })?;
        }
        Ok(status)
    }

    pub(crate) fn reason(&self) -> Option<EndReason> {
        *self.reason.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_reason(&self, reason: EndReason) {
        *self.reason.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
    }

    /// Ends the tree: `signal`, then SIGKILL for what is left after `grace`.
    pub(crate) async fn end_tree(self: Arc<Core>, signal: Signal, grace: Duration) -> Result<(), Error> {
        let (tree, _) = self.clone().signal_tree(signal, None).await?;
        if signal == Signal::Kill {
            return Ok(());
        }
        let (tree, left) = blocking(move || {
            let left = tree.wait_gone(Instant::now() + grace);
            (tree, left)
        })
        .await?;
        if left > 0 || self.kept().care().leads_group {
            self.signal_tree(Signal::Kill, Some(tree)).await?;
        }
        Ok(())
    }

    /// Stops the tree, known in part or not at all, and signals it.
    async fn signal_tree(self: Arc<Core>, signal: Signal, known: Option<Tree>) -> Result<(Tree, usize), Error> {
        blocking(move || signal_tree(self.kept(), signal, known)).await?
    }
}

/// Reads of /proc and waits of milliseconds, away from the threads of the runtime.
pub(crate) async fn blocking<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> Result<R, Error> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|gone| Error::system("look at a tree of processes", std::io::Error::other(gone.to_string())))
}
