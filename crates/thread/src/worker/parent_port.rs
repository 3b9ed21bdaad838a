//! [`ParentPort`]: the worker's end of the connection to its parent, from anywhere in its thread.

use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::port::{Closed, PostError};
use crate::worker::event::WorkerEvent;
use crate::worker::link::Link;

thread_local! {
    static HERE: RefCell<Option<Arc<dyn Any + Send + Sync>>> = const { RefCell::new(None) };
}

/// The worker's end of the connection to its parent: posts `Out`, receives `In`. From [`parent_port`] or
/// [`WorkerScope::port`](crate::WorkerScope::port).
///
/// Clones are the same end; each message goes to one receiver. They may go to other threads of the worker's; once the
/// worker has ended, what is posted comes back.
pub struct ParentPort<Out, In> {
    link: Arc<Link<In, Out>>,
}

/// The connection of this thread's worker to its parent; `None` if this thread is no worker, or a worker that posts and
/// receives other types.
///
/// ```
/// use phalanx_thread::{Worker, parent_port};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// assert!(parent_port::<String, ()>().is_none());
/// let worker = Worker::<(), String>::spawn((), async |_scope| deep_inside())?;
/// assert_eq!(worker.recv().await.as_deref(), Some("found it"));
///
/// fn deep_inside() {
///     let parent = parent_port::<String, ()>().expect("called in such a worker");
///     parent.try_post("found it".to_owned()).expect("there is room");
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn parent_port<Out: Send + 'static, In: Send + 'static>() -> Option<ParentPort<Out, In>> {
    // In a destructor at the very end of a thread there is none any more.
    let here = HERE.try_with(|here| here.borrow().clone()).ok()??;
    Some(ParentPort { link: here.downcast::<Link<In, Out>>().ok()? })
}

pub(crate) fn install<In: Send + 'static, Out: Send + 'static>(link: &Arc<Link<In, Out>>) {
    HERE.set(Some(Arc::clone(link) as Arc<dyn Any + Send + Sync>));
}

pub(crate) fn remove() {
    HERE.set(None);
}

impl<Out, In> ParentPort<Out, In> {
    pub(crate) fn of(link: Arc<Link<In, Out>>) -> ParentPort<Out, In> {
        ParentPort { link }
    }

    pub(crate) fn link(&self) -> &Arc<Link<In, Out>> {
        &self.link
    }

    /// Posts a message to the parent; waits while he has too many unread. A post that is cancelled was not posted.
    ///
    /// Errors: [`PostError::Closed`] with the value if the worker shall end or its parent is gone.
    pub async fn post(&self, value: Out) -> Result<(), PostError<Out>> {
        self.link.events.post(WorkerEvent::Message(value)).await.or_else(returned)
    }

    /// Posts a message if there is room. Never waits.
    ///
    /// Errors: [`PostError::Full`] or [`PostError::Closed`] with the value.
    pub fn try_post(&self, value: Out) -> Result<(), PostError<Out>> {
        self.link.events.try_post(WorkerEvent::Message(value)).or_else(returned)
    }

    /// Posts a message; blocks this thread, and with it the worker's event loop, for at most `deadline` while there is
    /// no room.
    ///
    /// Errors: [`PostError::Full`] after the deadline, [`PostError::Closed`], each with the value.
    pub fn post_blocking(&self, value: Out, deadline: Duration) -> Result<(), PostError<Out>> {
        self.link.events.post_blocking(WorkerEvent::Message(value), deadline).or_else(returned)
    }

    /// Waits for the next message of the parent; `None` is the end: he has let go, or wants the worker to end.
    /// Cancelling it loses nothing.
    pub async fn recv(&self) -> Option<In> {
        self.link.inbox.recv().await
    }

    /// The next message of the parent, if one is there; `Ok(None)` if not. Never waits.
    ///
    /// Errors: [`Closed`] is the end.
    pub fn try_recv(&self) -> Result<Option<In>, Closed> {
        self.link.inbox.try_recv()
    }

    /// Blocks this thread, and with it the worker's event loop, for at most `deadline` until a message is there;
    /// `Ok(None)` if none came. For workers that have nothing else to do.
    ///
    /// Errors: [`Closed`] is the end.
    pub fn recv_blocking(&self, deadline: Duration) -> Result<Option<In>, Closed> {
        self.link.inbox.recv_blocking(deadline)
    }

    /// Messages of the parent that wait here to be received.
    pub fn queued(&self) -> usize {
        self.link.inbox.lane().len()
    }
}

/// The value that comes back is what the caller gave.
fn returned<Out>(refused: PostError<WorkerEvent<Out>>) -> Result<(), PostError<Out>> {
    let (is_full, event) = match refused {
        PostError::Full(event) => (true, event),
        PostError::Closed(event) => (false, event),
    };
    match event {
        WorkerEvent::Message(value) if is_full => Err(PostError::Full(value)),
        WorkerEvent::Message(value) => Err(PostError::Closed(value)),
        // Nothing else was posted.
        _ => Ok(()),
    }
}

impl<Out, In> Clone for ParentPort<Out, In> {
    fn clone(&self) -> Self {
        ParentPort { link: Arc::clone(&self.link) }
    }
}

impl<Out, In> fmt::Debug for ParentPort<Out, In> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParentPort")
            .field("worker", &self.link.number)
            .field("queued", &self.queued())
            .finish_non_exhaustive()
    }
}
