//! [`WorkerBuilder`]: how a worker is started.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::thread;

use crate::panic::install_hook;
use crate::port::DEFAULT_BOUND;
use crate::worker::body::Birth;
use crate::worker::environment;
use crate::worker::error::SpawnError;
use crate::worker::exit::ExitValue;
use crate::worker::handle::Worker;
use crate::worker::link::Link;
use crate::worker::main_thread::next_number;
use crate::worker::output::Output;
use crate::worker::scope::WorkerScope;

/// Bytes below which an event loop has no room to work.
const SMALLEST_STACK: usize = 64 * 1024;
/// Bytes beyond which a size is a mistake rather than a wish.
const LARGEST_STACK: usize = 1 << 30;

/// How a [`Worker`] is started; from [`Worker::builder`].
///
/// ```
/// use phalanx_thread::{Output, Worker};
/// use std::io::Write;
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let worker = Worker::<(), ()>::builder()
///     .name("reporter")
///     .stack_size(256 * 1024)
///     .stdout(Output::Piped)
///     .spawn("all is well", async |scope| writeln!(scope.stdout(), "{}", scope.worker_data()))?;
/// let lines = worker.stdout().expect("it is piped");
/// assert_eq!(lines.recv().await.as_deref(), Some(&b"all is well\n"[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct WorkerBuilder<In, Out> {
    name: Option<String>,
    stack_size: Option<usize>,
    bound: usize,
    stdout: Output,
    stderr: Output,
    event_loop: EventLoop,
    types: PhantomData<fn(In) -> Out>,
}

/// What the event loop of a worker can wait for, besides messages.
#[derive(Debug, Clone, Copy)]
pub(crate) enum EventLoop {
    Timers,
    TimersAndIo,
}

impl<In, Out> WorkerBuilder<In, Out> {
    pub(crate) fn new() -> WorkerBuilder<In, Out> {
        WorkerBuilder {
            name: None,
            stack_size: None,
            bound: DEFAULT_BOUND,
            stdout: Output::default(),
            stderr: Output::default(),
            event_loop: EventLoop::Timers,
            types: PhantomData,
        }
    }

    /// The name of the worker and of its thread; the system shows the first 15 bytes of it. Default: `worker-` and its
    /// number.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The size of its stack in bytes, from 64 KiB to 1 GiB. Default: that of the standard library (2 MiB, or
    /// `RUST_MIN_STACK`). Only what is used of it takes memory.
    ///
    /// A body that overflows its stack takes the whole process with it.
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = Some(bytes);
        self
    }

    /// Messages that may wait in each direction (0 counts as 1). Default: [`DEFAULT_BOUND`].
    pub fn bound(mut self, messages: usize) -> Self {
        self.bound = messages;
        self
    }

    /// Where its [`stdout`](WorkerScope::stdout) goes. Default: [`Output::Inherit`].
    pub fn stdout(mut self, output: Output) -> Self {
        self.stdout = output;
        self
    }

    /// Where its [`stderr`](WorkerScope::stderr) goes. Default: [`Output::Inherit`].
    pub fn stderr(mut self, output: Output) -> Self {
        self.stderr = output;
        self
    }

    /// Its event loop can wait for sockets and pipes too (tokio's `net`, if the program has that feature), not for
    /// timers and messages alone. It costs a few descriptors and some time at the start.
    pub fn with_io(mut self) -> Self {
        self.event_loop = EventLoop::TimersAndIo;
        self
    }

    /// Starts the worker; see [`Worker::spawn`].
    pub fn spawn<D, F, R>(self, data: D, body: F) -> Result<Worker<In, Out>, SpawnError>
    where
        In: Send + 'static,
        Out: Send + 'static,
        D: Send + 'static,
        F: AsyncFnOnce(WorkerScope<In, Out, D>) -> R + Send + 'static,
        R: ExitValue,
    {
        install_hook();
        let number = next_number();
        let name = self.name.unwrap_or_else(|| format!("worker-{number}"));
        if name.contains('\0') {
            let problem = format!("{name:?} has a NUL byte; leave it out");
            return Err(SpawnError::Setting { name: "name", problem });
        }
        let mut thread = thread::Builder::new().name(name.clone());
        if let Some(bytes) = self.stack_size {
            if !(SMALLEST_STACK..=LARGEST_STACK).contains(&bytes) {
                let problem = format!("{bytes} bytes; give {SMALLEST_STACK} to {LARGEST_STACK}");
                return Err(SpawnError::Setting { name: "stack_size", problem });
            }
            thread = thread.stack_size(bytes);
        }
        let link = Arc::new(Link::new(number, name, self.bound, self.stdout.pipe(), self.stderr.pipe()));
        let worker = Worker::over(&link);
        let environment = environment::snapshot();
        let birth = Birth { link: Arc::clone(&link), environment, event_loop: self.event_loop, data, body };
        match thread.spawn(move || birth.live()) {
            // The handle tells of the end; the thread needs nobody to join it.
            Ok(_) => Ok(worker),
            Err(source) => Err(SpawnError::Thread { worker: link.name.clone(), source }),
        }
    }
}

impl<In, Out> fmt::Debug for WorkerBuilder<In, Out> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerBuilder")
            .field("name", &self.name)
            .field("stack_size", &self.stack_size)
            .finish_non_exhaustive()
    }
}
