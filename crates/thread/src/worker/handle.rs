//! [`Worker`]: the parent's handle on a worker.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::panic::discard;
use crate::port::blocking::wait_for;
use crate::port::{Closed, PostError};
use crate::worker::builder::WorkerBuilder;
use crate::worker::error::SpawnError;
use crate::worker::event::{WorkerError, WorkerEvent};
use crate::worker::exit::ExitValue;
use crate::worker::link::Link;
use crate::worker::outcome::{Ended, Ending};
use crate::worker::output::OutputLines;
use crate::worker::scope::WorkerScope;
use crate::worker::terminating::Terminating;

/// A thread with an event loop of its own, that receives `In` and posts `Out`.
///
/// The body is an async function of its [`WorkerScope`]; its future need not be `Send`, and it may
/// `tokio::task::spawn_local`. It says its exit code with what it returns ([`ExitValue`]). Messages are moved; at most
/// [`DEFAULT_BOUND`](crate::DEFAULT_BOUND) wait in each direction, then posting waits. All methods work in async code
/// of any runtime; the `_blocking` forms are for plain threads.
///
/// ```
/// use phalanx_thread::Worker;
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let worker = Worker::spawn(10, async |scope| {
///     let factor = *scope.worker_data();
///     while let Some(number) = scope.recv().await {
///         scope.post(number * factor).await?;
///     }
///     Ok::<_, Box<dyn std::error::Error>>(())
/// })?;
/// worker.post(4).await?;
/// assert_eq!(worker.recv().await, Some(40));
/// assert_eq!(worker.terminate().await, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// **A worker that nobody holds ends**: the drop of the handle terminates it, without waiting.
/// [`detach`](Worker::detach) lets it go on. A worker does not keep the process alive: wait for
/// [`exited`](Worker::exited) before `main` returns.
///
/// **A worker that fails** does not print anything: its panic or error is a [`WorkerEvent::Error`] and the error of
/// [`exited`](Worker::exited). One that nobody asked for is written to standard error when the handle is gone. A task
/// that it spawns and that panics ends alone, as in any tokio runtime.
pub struct Worker<In, Out> {
    link: Arc<Link<In, Out>>,
    stdout: Option<OutputLines>,
    stderr: Option<OutputLines>,
    at_drop: AtDrop,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum AtDrop {
    Terminate,
    LetGo,
}

impl<In: Send + 'static, Out: Send + 'static> Worker<In, Out> {
    /// Starts a worker. `data` is its [`worker_data`](WorkerScope::worker_data).
    ///
    /// Errors: [`SpawnError::Thread`] if the system gives no thread.
    pub fn spawn<D, F, R>(data: D, body: F) -> Result<Worker<In, Out>, SpawnError>
    where
        D: Send + 'static,
        F: AsyncFnOnce(WorkerScope<In, Out, D>) -> R + Send + 'static,
        R: ExitValue,
    {
        Worker::builder().spawn(data, body)
    }
}

impl<In, Out> Worker<In, Out> {
    /// Says how a worker is started: its name, stack, output.
    pub fn builder() -> WorkerBuilder<In, Out> {
        WorkerBuilder::new()
    }

    pub(crate) fn over(link: &Arc<Link<In, Out>>) -> Worker<In, Out> {
        Worker {
            link: Arc::clone(link),
            stdout: OutputLines::of(&link.stdout),
            stderr: OutputLines::of(&link.stderr),
            at_drop: AtDrop::Terminate,
        }
    }

    // ---- messages ----

    /// Posts a message to the worker; waits while it has too many unread. A post that is cancelled was not posted.
    ///
    /// Errors: [`PostError::Closed`] with the value once the worker has ended or shall end.
    pub async fn post(&self, value: In) -> Result<(), PostError<In>> {
        self.link.inbox.post(value).await
    }

    /// Posts a message if there is room. Never waits.
    ///
    /// Errors: [`PostError::Full`] or [`PostError::Closed`] with the value.
    pub fn try_post(&self, value: In) -> Result<(), PostError<In>> {
        self.link.inbox.try_post(value)
    }

    /// Posts a message; blocks this thread for at most `deadline` while there is no room. Not for async code.
    ///
    /// Errors: [`PostError::Full`] after the deadline, [`PostError::Closed`], each with the value.
    pub fn post_blocking(&self, value: In, deadline: Duration) -> Result<(), PostError<In>> {
        self.link.inbox.post_blocking(value, deadline)
    }

    /// Waits for the next message of the worker; `None` once it has ended. Other events are passed over: how it ended
    /// is still to be had from [`exited`](Worker::exited). Cancelling it loses nothing.
    pub async fn recv(&self) -> Option<Out> {
        loop {
            if let WorkerEvent::Message(value) = self.link.events.recv().await? {
                return Some(value);
            }
        }
    }

    /// The next message of the worker, if one is there; `Ok(None)` if not. Never waits.
    ///
    /// Errors: [`Closed`] once the worker has ended.
    pub fn try_recv(&self) -> Result<Option<Out>, Closed> {
        loop {
            match self.link.events.try_recv()? {
                Some(WorkerEvent::Message(value)) => return Ok(Some(value)),
                Some(WorkerEvent::Exit(_)) => return Err(Closed),
                Some(_) => {}
                None => return Ok(None),
            }
        }
    }

    /// Blocks this thread for at most `deadline` until a message is there; `Ok(None)` if none came. Not for async code.
    ///
    /// Errors: [`Closed`] once the worker has ended.
    pub fn recv_blocking(&self, deadline: Duration) -> Result<Option<Out>, Closed> {
        match wait_for(self.recv(), deadline) {
            Some(Some(value)) => Ok(Some(value)),
            Some(None) => Err(Closed),
            None => Ok(None),
        }
    }

    /// Messages that were posted here and not yet received by the worker.
    pub fn unread(&self) -> usize {
        self.link.inbox.lane().len()
    }

    /// Events, messages among them, that wait here to be received.
    pub fn queued(&self) -> usize {
        self.link.events.lane().len()
    }

    // ---- events and the end ----

    /// Waits for the next event, messages among them; `None` after [`WorkerEvent::Exit`]. Cancelling it loses nothing.
    pub async fn event(&self) -> Option<WorkerEvent<Out>> {
        let event = self.link.events.recv().await?;
        if let WorkerEvent::Error(_) = event {
            self.link.saw_error();
        }
        Some(event)
    }

    /// Waits until the worker has ended and gives its exit code. Can be asked any number of times, by several.
    ///
    /// A worker that waits for room to post does not end: receive what it posts. Messages that it posted can still be
    /// received afterwards.
    ///
    /// Errors: what ended it, if its body panicked or returned an error.
    pub async fn exited(&self) -> Result<i32, WorkerError> {
        self.verdict(Ending::of(&self.link.outcome).await)
    }

    /// As [`exited`](Worker::exited), blocks this thread for at most `deadline`; `None` if it has not ended by then.
    /// Not for async code.
    pub fn exited_blocking(&self, deadline: Duration) -> Option<Result<i32, WorkerError>> {
        wait_for(Ending::of(&self.link.outcome), deadline).map(|ended| self.verdict(ended))
    }

    /// Tells the worker to end, at once; the future is ready when it has, with its exit code: 1, or another if it ended
    /// by itself meanwhile. No error event follows.
    ///
    /// It is **cooperative**. Whatever the worker waits for wakes up, its body is dropped at its next await with its
    /// destructors run, [`checkpoint`](WorkerScope::checkpoint) says `Err`, and [`cancelled`](WorkerScope::cancelled)
    /// is ready. What it had posted can still be received; what it had not received is dropped. A loop that neither
    /// awaits nor asks **cannot be stopped**, as no thread can: for such code, and for code that is not trusted, there
    /// are processes (`phalanx_process::fork`). [`Terminating::within`] waits no longer than said.
    pub fn terminate(&self) -> Terminating {
        self.link.terminate();
        Terminating::new(Ending::of(&self.link.outcome))
    }

    /// Lets the worker go on without a parent, until its body ends. It receives what was posted, then the end; what it
    /// posts comes back to it. An error is written to standard error.
    pub fn detach(mut self) {
        self.at_drop = AtDrop::LetGo;
    }

    fn verdict(&self, ended: Ended) -> Result<i32, WorkerError> {
        match ended.error {
            None => Ok(ended.code),
            Some(error) => {
                self.link.saw_error();
                Err(error)
            }
        }
    }

    // ---- about it ----

    /// What it writes to its [`stdout`](WorkerScope::stdout), if that is [piped](crate::Output::Piped).
    pub fn stdout(&self) -> Option<&OutputLines> {
        self.stdout.as_ref()
    }

    /// What it writes to its [`stderr`](WorkerScope::stderr), if that is [piped](crate::Output::Piped).
    pub fn stderr(&self) -> Option<&OutputLines> {
        self.stderr.as_ref()
    }

    /// The number of its thread, counted from 1. It stays the same after the end and is never given again.
    pub fn thread_id(&self) -> u64 {
        self.link.number
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.link.name
    }

    /// Whether it has ended.
    pub fn has_exited(&self) -> bool {
        self.link.outcome.get().is_some()
    }
}

impl<In, Out> Drop for Worker<In, Out> {
    fn drop(&mut self) {
        if self.at_drop == AtDrop::Terminate {
            self.link.terminate();
        }
        discard(self.link.leave_unattended());
    }
}

impl<In, Out> fmt::Debug for Worker<In, Out> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("thread_id", &self.thread_id())
            .field("name", &self.name())
            .field("ended", &self.link.outcome.get())
            .finish_non_exhaustive()
    }
}
