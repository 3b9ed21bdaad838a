//! [`WorkerScope`]: what the body of a worker is given.

use std::fmt;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use crate::port::{Closed, PostError};
use crate::worker::link::Link;
use crate::worker::output::{Stream, WorkerOutput};
use crate::worker::parent_port::ParentPort;
use crate::worker::stop::{Cancelled, Request, Terminated};

/// What the body of a [`Worker`](crate::Worker) is given: its data, the port to its parent, and the word that it shall
/// end.
pub struct WorkerScope<In, Out, D = ()> {
    port: ParentPort<Out, In>,
    data: D,
}

impl<In, Out, D> WorkerScope<In, Out, D> {
    pub(crate) fn new(link: Arc<Link<In, Out>>, data: D) -> WorkerScope<In, Out, D> {
        WorkerScope { port: ParentPort::of(link), data }
    }

    // ---- data ----

    /// What the parent gave at the start.
    pub fn worker_data(&self) -> &D {
        &self.data
    }

    /// What the parent gave at the start, to be changed.
    pub fn worker_data_mut(&mut self) -> &mut D {
        &mut self.data
    }

    /// What the parent gave at the start, and the scope without it.
    pub fn into_worker_data(self) -> (D, WorkerScope<In, Out>) {
        (self.data, WorkerScope { port: self.port, data: () })
    }

    // ---- messages ----

    /// See [`ParentPort::post`].
    pub async fn post(&self, value: Out) -> Result<(), PostError<Out>> {
        self.port.post(value).await
    }

    /// See [`ParentPort::try_post`].
    pub fn try_post(&self, value: Out) -> Result<(), PostError<Out>> {
        self.port.try_post(value)
    }

    /// See [`ParentPort::post_blocking`].
    pub fn post_blocking(&self, value: Out, deadline: Duration) -> Result<(), PostError<Out>> {
        self.port.post_blocking(value, deadline)
    }

    /// See [`ParentPort::recv`].
    pub async fn recv(&self) -> Option<In> {
        self.port.recv().await
    }

    /// See [`ParentPort::try_recv`].
    pub fn try_recv(&self) -> Result<Option<In>, Closed> {
        self.port.try_recv()
    }

    /// See [`ParentPort::recv_blocking`].
    pub fn recv_blocking(&self, deadline: Duration) -> Result<Option<In>, Closed> {
        self.port.recv_blocking(deadline)
    }

    /// Another handle on the connection to the parent, for other tasks and threads of the worker.
    pub fn port(&self) -> ParentPort<Out, In> {
        self.port.clone()
    }

    // ---- the end ----

    /// Whether the worker may go on. A loop that computes asks this now and then: it is one look at a flag.
    ///
    /// Errors: [`Terminated`] once it shall end.
    pub fn checkpoint(&self) -> Result<(), Terminated> {
        if self.port.link().stop.is_requested() { Err(Terminated) } else { Ok(()) }
    }

    /// Ready when the worker shall end: for whatever must be stopped with it, in other threads too. Code of the body
    /// that waits for it still runs up to its next await; then the body is dropped.
    pub fn cancelled(&self) -> Cancelled {
        Cancelled::new(&self.port.link().stop)
    }

    /// Ends the worker with this exit code, and nothing but the worker. What it has posted and written is delivered.
    ///
    /// It unwinds the stack without a panic message, so destructors run. In a program that is built with
    /// `panic = "abort"` that ends the process: there, return the code from the body.
    pub fn exit(&self, code: i32) -> ! {
        // First the word, for whoever calls this in another task or thread, or catches what unwinds.
        self.port.link().stop.request(Request::Exit(code));
        resume_unwind(Box::new("the worker exits"))
    }

    // ---- about itself ----

    /// The worker's standard output; each call gives a writer with a line of its own.
    ///
    /// `println!` works too, and goes to the process's output, also if this one is [piped](crate::Output::Piped).
    pub fn stdout(&self) -> WorkerOutput {
        WorkerOutput::new(Stream::Stdout, self.port.link().stdout.clone())
    }

    /// The worker's standard error; see [`stdout`](WorkerScope::stdout).
    pub fn stderr(&self) -> WorkerOutput {
        WorkerOutput::new(Stream::Stderr, self.port.link().stderr.clone())
    }

    /// The number of this worker's thread, as its parent sees it.
    pub fn thread_id(&self) -> u64 {
        self.port.link().number
    }

    /// The name of this worker.
    pub fn name(&self) -> &str {
        &self.port.link().name
    }
}

impl<In, Out, D> fmt::Debug for WorkerScope<In, Out, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerScope").field("port", &self.port).finish_non_exhaustive()
    }
}
