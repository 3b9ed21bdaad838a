//! [`Io`]: the thread on which a queue handle talks to its broker.
//!
//! It does no work of tasks, so a lease is renewed however busy the processors are kept, and callers need no runtime of
//! their own: what runs here is awaited from anywhere.

use std::future::Future;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::Error;

/// A thread with an event loop. Ends when it is dropped; what ran on it then ends unfinished.
pub(crate) struct Io {
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Io {
    /// Starts it. The name is what `top -H` shows.
    pub(crate) fn start(name: &str) -> Result<Io, Error> {
        let failed = |error: std::io::Error| Error::unavailable(name, format_args!("cannot start its thread: {error}"));
        let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                // Ends by a message or because the sender is gone: the same.
                let _ = runtime.block_on(stopped);
            })
            .map_err(failed)?;
        Ok(Io { handle, stop: Some(stop), thread: Some(thread) })
    }

    /// Where to spawn what nobody awaits.
    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Runs it on the thread; the result can be awaited on any runtime, or none.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        match self.handle.spawn(work).await {
            Ok(result) => result,
            Err(_) => Err(Error::Closed),
        }
    }
}

/// Waits for this, at most so long, by the clock of that thread: it can be awaited on any runtime, or none, while the thread lives.
#[allow(dead_code)] // Whether it is used depends on the brokers that are built.
pub(crate) fn within<F: Future>(thread: &Handle, time: Duration, work: F) -> tokio::time::Timeout<F> {
    let _here = thread.enter();
    tokio::time::timeout(time, work)
}

impl Drop for Io {
    fn drop(&mut self) {
        self.stop.take();
        // Dropped on its own thread (by the last handle inside of a callback) it cannot wait for itself.
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
        {
            let _ = thread.join();
        }
    }
}
