//! [`Blocks`]: bytes cut into blocks of one size, which are then compressed side by side; [`Idle`]: contexts used again.

use std::borrow::Cow;
use std::sync::{Mutex, PoisonError};

use crate::{Buffers, Cause, Chunk, Flow, Outlet, Transform};

/// Blocks in buffers that lie idle for use again, beside those on their way.
const IDLE_BLOCKS: usize = 4;

/// A block of what is to be compressed.
pub(crate) struct Block {
    /// As long as all others, or what is left at the end; empty only if there is no input at all.
    pub(crate) bytes: Chunk,
    /// Whether another one follows.
    pub(crate) is_followed: bool,
}

/// Cuts bytes into [`Block`]s. Holds each full one back until it is known whether another one follows.
pub(crate) struct Blocks {
    name: &'static str,
    buffers: Buffers,
    filling: Option<Chunk>,
    rest: Chunk,
}

impl Blocks {
    pub(crate) fn new(name: &'static str, bytes: usize) -> Blocks {
        Blocks { name, buffers: Buffers::new(bytes, IDLE_BLOCKS), filling: None, rest: Chunk::default() }
    }
}

impl Transform for Blocks {
    type In = Chunk;
    type Out = Block;

    fn name(&self) -> Cow<'static, str> {
        self.name.into()
    }

    fn transform(&mut self, input: Chunk, out: &mut Outlet<'_, Block>) -> Result<Flow, Cause> {
        self.rest = input;
        self.resume(out)
    }

    fn resume(&mut self, out: &mut Outlet<'_, Block>) -> Result<Flow, Cause> {
        while !self.rest.is_empty() {
            if out.is_full() {
                return Ok(Flow::Again);
            }
            let mut block = self.filling.take().unwrap_or_else(|| self.buffers.take());
            let fits = block.append(&self.rest);
            self.rest.advance(fits);
            if fits == 0 {
                out.push(Block { bytes: block, is_followed: true });
            } else {
                self.filling = Some(block);
            }
        }
        self.rest = Chunk::default();
        Ok(Flow::Next)
    }

    fn flush(&mut self, out: &mut Outlet<'_, Block>) -> Result<Flow, Cause> {
        out.push(Block { bytes: self.filling.take().unwrap_or_default(), is_followed: false });
        Ok(Flow::Next)
    }
}

/// Contexts that are dear to make: as many as were in use at once.
pub(crate) struct Idle<T> {
    idle: Mutex<Vec<T>>,
}

impl<T> Idle<T> {
    pub(crate) fn new() -> Idle<T> {
        Idle { idle: Mutex::default() }
    }

    pub(crate) fn take(&self) -> Option<T> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    pub(crate) fn put(&self, context: T) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(context);
    }
}

/// Gives these bytes, one after the other, in reused buffers.
pub(crate) fn give(pieces: &[&[u8]], out: &mut Outlet<'_, Chunk>) {
    let mut chunk = out.buffer();
    for mut piece in pieces.iter().copied() {
        while !piece.is_empty() {
            let fits = chunk.append(piece);
            piece = &piece[fits..];
            if fits == 0 {
                out.push(std::mem::replace(&mut chunk, out.buffer()));
            }
        }
    }
    out.push(chunk);
}
