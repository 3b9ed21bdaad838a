//! [`Checkpoints`]: the thread on which the store's log is brought over into its file, so that commits do not wait for it.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;

use crate::Error;
use crate::embedded::engine::{Checkpointer, Engine};

/// The thread. Ends, after what it is just at, when it is dropped.
pub(crate) struct Checkpoints {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpoints {
    pub(crate) fn start(engine: &Engine) -> Result<Checkpoints, Error> {
        let mut checkpointer = engine.checkpointer()?;
        let (stop, stopped) = channel::<()>();
        let thread = std::thread::Builder::new().name("checkpoints".to_owned()).spawn(move || {
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(Checkpointer::EVERY) {
                // What fails here is done between two commits, where its error is told.
                let _ = checkpointer.run();
            }
        });
        let thread = thread.map_err(|error| Error::unavailable("embedded", format_args!("no thread: {error}")))?;
        Ok(Checkpoints { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
