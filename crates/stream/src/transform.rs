//! [`Transform`] and [`ParallelTransform`]: what stands between a source and a sink.

use std::any::{Any, TypeId};
use std::borrow::Cow;
use std::time::Instant;

use bytes::Bytes;

use crate::{Buffers, Cause, Chunk, Error};

/// What a transform wants next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Flow {
    /// The next input (or, in [`flush`](Transform::flush): nothing, it is done).
    Next,
    /// To be [resumed](Transform::resume) when there is room: it has more to give of what it has taken.
    Again,
    /// As `Again`, but not before this moment.
    Until(Instant),
}

/// A part that takes inputs one by one and gives outputs, none, one or many for each. It does no I/O and never waits.
///
/// One call at a time, but not always on the same thread. What it gives goes into an [`Outlet`]; one that could give
/// much more than it took (a decoder) looks at [`Outlet::is_full`] and asks to be resumed, so that memory stays bounded.
pub trait Transform: Send + 'static {
    /// What it takes: [`Chunk`] for bytes, or any type of item.
    type In: Send + 'static;
    /// What it gives.
    type Out: Send + 'static;

    /// For errors, logs and figures.
    fn name(&self) -> Cow<'static, str>;

    /// Takes one input.
    fn transform(&mut self, input: Self::In, out: &mut Outlet<'_, Self::Out>) -> Result<Flow, Cause>;

    /// Gives more of what it has taken; called after [`Flow::Again`], when there is room.
    fn resume(&mut self, out: &mut Outlet<'_, Self::Out>) -> Result<Flow, Cause> {
        let _ = out;
        Ok(Flow::Next)
    }

    /// All input has come: gives the rest. After `Again` it is resumed until it says `Next`.
    fn flush(&mut self, out: &mut Outlet<'_, Self::Out>) -> Result<Flow, Cause> {
        let _ = out;
        Ok(Flow::Next)
    }

    /// The pipeline failed, perhaps here, or was given up: takes back what was begun. Not called after a whole run.
    fn abort(&mut self, error: &Error) {
        let _ = error;
    }
}

/// A part that works on each input by itself, on several threads at once; outputs come in the order of the inputs.
pub trait ParallelTransform: Send + Sync + 'static {
    /// What it takes.
    type In: Send + 'static;
    /// What it gives.
    type Out: Send + 'static;

    /// For errors, logs and figures.
    fn name(&self) -> Cow<'static, str>;

    /// Works on the input with this number, counted from 0. What it gives for one input is bounded: it cannot be resumed.
    fn apply(&self, number: u64, input: Self::In, out: &mut Outlet<'_, Self::Out>) -> Result<(), Cause>;

    /// As [`Transform::abort`]; nobody applies it any more.
    fn abort(&self, error: &Error) {
        let _ = error;
    }
}

/// Where a transform puts what it gives.
pub struct Outlet<'a, T> {
    items: &'a mut Vec<T>,
    weight: usize,
    room: usize,
    buffers: &'a Buffers,
}

impl<'a, T: 'static> Outlet<'a, T> {
    pub(crate) fn new(items: &'a mut Vec<T>, room: usize, buffers: &'a Buffers) -> Outlet<'a, T> {
        Outlet { items, weight: 0, room, buffers }
    }

    /// Gives one. Always possible; who gives in a loop looks at [`is_full`](Outlet::is_full). An empty chunk is dropped;
    /// a small one in a large buffer is copied to one of its size, so that what waits is not mostly air.
    pub fn push(&mut self, item: T) {
        let mut item = item;
        let weight = tidy(&mut item);
        if weight > 0 {
            self.weight += weight;
            self.items.push(item);
        }
    }

    /// Whether the high-water mark of what follows is reached.
    pub fn is_full(&self) -> bool {
        self.weight >= self.room
    }

    /// What is left up to the high-water mark: bytes for chunks, else items.
    pub fn room(&self) -> usize {
        self.room.saturating_sub(self.weight)
    }

    /// An empty chunk in a reused buffer of the pipeline.
    pub fn buffer(&self) -> Chunk {
        self.buffers.take()
    }

    /// The buffers of the pipeline.
    pub fn buffers(&self) -> &Buffers {
        self.buffers
    }
}

/// What an item costs beside its bytes: its own place in a queue, and the head of its allocation.
const ITEM_OVERHEAD: usize = 32;

/// What counts against a high-water mark: the bytes of a [`Chunk`], of a text or a vector of bytes, one for any other item.
pub(crate) fn weight<T: 'static>(item: &T) -> usize {
    let item = item as &dyn Any;
    if let Some(chunk) = item.downcast_ref::<Chunk>() {
        return chunk.len();
    }
    let bytes = item
        .downcast_ref::<String>()
        .map(String::len)
        .or_else(|| item.downcast_ref::<Vec<u8>>().map(Vec::len))
        .or_else(|| item.downcast_ref::<Bytes>().map(Bytes::len));
    bytes.map_or(1, |bytes| bytes + ITEM_OVERHEAD)
}

/// Whether items of this type are weighed by their bytes.
pub(crate) fn is_weighed_in_bytes<T: 'static>() -> bool {
    let own = TypeId::of::<T>();
    [TypeId::of::<Chunk>(), TypeId::of::<String>(), TypeId::of::<Vec<u8>>(), TypeId::of::<Bytes>()].contains(&own)
}

/// The weight, after a small chunk in a large buffer was given one of its size; 0 is to be dropped.
pub(crate) fn tidy<T: 'static>(item: &mut T) -> usize {
    if let Some(chunk) = (item as &mut dyn Any).downcast_mut::<Chunk>() {
        chunk.compact();
    }
    weight(item)
}
