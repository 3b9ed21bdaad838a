//! All that a pipeline gives, in memory: for tests and small data.

use std::sync::mpsc;

use crate::{BlockingSink, Cause, Chunk, Error, Pipe, Sink, Source, Stage, pipeline};

impl<T: Send + 'static> Pipe<T> {
    /// Runs it and collects all that it gives: not for what is larger than memory.
    pub fn collect_blocking(self) -> Result<Vec<T>, Error> {
        let (sender, receiver) = mpsc::channel();
        self.into(Sink::blocking("memory", Collecting(sender))).run_blocking()?;
        Ok(receiver.into_iter().collect())
    }
}

struct Collecting<T>(mpsc::Sender<T>);

impl<T: Send + 'static> BlockingSink for Collecting<T> {
    type Item = T;

    fn write(&mut self, item: T) -> Result<(), Cause> {
        Ok(self.0.send(item).map_err(|_| "nobody collects any more")?)
    }

    fn finish(&mut self) -> Result<(), Cause> {
        Ok(())
    }
}

/// Sends these pieces of bytes through a stage and joins what comes out: for tests of a transform.
pub fn through<S: Stage<In = Chunk, Out = Chunk>>(stage: S, pieces: Vec<Vec<u8>>) -> Result<Vec<u8>, Error> {
    let chunks = pieces.into_iter().filter(|piece| !piece.is_empty()).map(Chunk::from);
    let given = pipeline(Source::iter(chunks)).through(stage).collect_blocking()?;
    Ok(given.iter().flat_map(|chunk| chunk.iter().copied()).collect())
}
