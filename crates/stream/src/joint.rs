//! [`Joint`]: what joins a writable end to a readable end: items up to a high-water mark, and the life of both.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

use crate::driver::{Slots, locked};
use crate::state::{Life, Phase};
use crate::transform::{is_weighed_in_bytes, tidy, weight};
use crate::{CHUNK_BYTES, Chunk, Error, Refused};

/// Node's `highWaterMark` of a stream of objects is 16; ours are moved, and waking costs more than moving.
pub(crate) const STREAM_ITEMS_MARK: usize = 64;

/// The mark of a stream that was given none: a quarter of a mebibyte, or items.
pub(crate) fn stream_mark<T: 'static>() -> usize {
    if is_weighed_in_bytes::<T>() { CHUNK_BYTES } else { STREAM_ITEMS_MARK }
}

pub(crate) const WRITING_END: &str = "the writing end";
pub(crate) const READING_END: &str = "the reading end";

/// Whether there is room after something was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Mark {
    /// There is room: write on (Node's `true`).
    Below,
    /// The high-water mark is reached: wait for `drained()` (Node's `false`).
    Reached,
}

/// Which end of a joint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Writing,
    Reading,
}

pub(crate) struct Joint<T> {
    inner: Mutex<Inner<T>>,
}

struct Inner<T> {
    items: VecDeque<T>,
    weight: usize,
    mark: usize,
    writing: Life,
    reading: Life,
    /// The reader gets nothing before this is over.
    is_corked: bool,
    /// Something was put since the reader said that everything is flushed.
    is_unflushed: bool,
    /// A driver owns this end and tells why it gave it up: that it is gone is not news.
    driven: Option<Side>,
    reader: Option<Waker>,
    writer: Option<Waker>,
    watchers: Slots,
}

/// Who is to be woken once the lock is free.
#[derive(Default)]
struct Calls(Vec<Waker>);

impl Calls {
    fn wake(self) {
        self.0.into_iter().for_each(Waker::wake);
    }
}

impl<T> Inner<T> {
    fn call_reader(&mut self, calls: &mut Calls) {
        calls.0.extend(self.reader.take());
    }

    fn call_writer(&mut self, calls: &mut Calls) {
        calls.0.extend(self.writer.take());
    }

    fn call_all(&mut self, calls: &mut Calls) {
        self.call_reader(calls);
        self.call_writer(calls);
        calls.0.extend(self.watchers.take().into_iter().map(|(_, waker)| waker));
    }

    fn take_items(&mut self) -> VecDeque<T> {
        self.weight = 0;
        std::mem::take(&mut self.items)
    }
}

impl<T: Send + 'static> Joint<T> {
    pub(crate) fn new(mark: usize) -> Joint<T> {
        Joint {
            inner: Mutex::new(Inner {
                items: VecDeque::new(),
                weight: 0,
                mark: mark.max(1),
                writing: Life::new(),
                reading: Life::new(),
                is_corked: false,
                is_unflushed: false,
                driven: None,
                reader: None,
                writer: None,
                watchers: Slots::default(),
            }),
        }
    }

    /// Changes it, then wakes whom that concerns, outside of the lock.
    fn change<R>(&self, work: impl FnOnce(&mut Inner<T>, &mut Calls) -> R) -> R {
        let mut calls = Calls::default();
        let result = work(&mut locked(&self.inner), &mut calls);
        calls.wake();
        result
    }

    pub(crate) fn mark(&self) -> usize {
        locked(&self.inner).mark
    }

    pub(crate) fn waiting(&self) -> usize {
        locked(&self.inner).weight
    }

    pub(crate) fn phase(&self, side: Side) -> Phase {
        let inner = locked(&self.inner);
        match side {
            Side::Writing => inner.writing.phase(),
            Side::Reading => inner.reading.phase(),
        }
    }

    /// Appends one if the mark is not reached.
    pub(crate) fn put(&self, mut item: T) -> Result<Mark, Refused<T>> {
        let weight = tidy(&mut item);
        self.change(|inner, calls| {
            if let Err(error) = inner.writing.check_open() {
                return Err(Refused::Over { item, error });
            }
            if inner.weight >= inner.mark {
                return Err(Refused::Full { item });
            }
            if weight > 0 {
                inner.weight += weight;
                inner.items.push_back(item);
                inner.is_unflushed = true;
                inner.is_corked &= inner.weight < inner.mark;
                if !inner.is_corked {
                    inner.call_reader(calls);
                }
            }
            Ok(if inner.weight < inner.mark { Mark::Below } else { Mark::Reached })
        })
    }

    /// Ready when one can be put, or never again.
    pub(crate) fn poll_room(&self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.poll_writer(context, |inner| inner.weight < inner.mark)
    }

    /// Ready when everything was taken, or never will be.
    pub(crate) fn poll_empty(&self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.poll_writer(context, |inner| inner.items.is_empty())
    }

    /// Ready when everything was taken and the reader has said that it is flushed.
    pub(crate) fn poll_flushed(&self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.poll_writer(context, |inner| !inner.is_unflushed)
    }

    /// The reader has passed on all that it took; false if there is more by now.
    pub(crate) fn flushed(&self) -> bool {
        self.change(|inner, calls| {
            let is_all = inner.items.is_empty();
            if is_all && std::mem::take(&mut inner.is_unflushed) {
                inner.call_writer(calls);
            }
            is_all || inner.is_corked
        })
    }

    /// This end belongs to a driver.
    pub(crate) fn set_driven(&self, side: Side) {
        locked(&self.inner).driven = Some(side);
    }

    fn poll_writer(
        &self,
        context: &mut Context<'_>,
        is_ready: impl FnOnce(&Inner<T>) -> bool,
    ) -> Poll<Result<(), Error>> {
        let mut inner = locked(&self.inner);
        if let Some(Err(error)) = inner.writing.outcome() {
            return Poll::Ready(Err(error));
        }
        if is_ready(&inner) {
            return Poll::Ready(Ok(()));
        }
        inner.writer = Some(context.waker().clone());
        Poll::Pending
    }

    pub(crate) fn cork(&self) {
        locked(&self.inner).is_corked = true;
    }

    pub(crate) fn uncork(&self) {
        self.change(|inner, calls| {
            if std::mem::take(&mut inner.is_corked) {
                inner.call_reader(calls);
            }
        });
    }

    /// The writer has said its end: what waits is the last.
    pub(crate) fn end(&self) {
        self.change(|inner, calls| {
            inner.is_corked = false;
            inner.writing.end();
            inner.reading.end();
            inner.call_reader(calls);
        });
    }

    /// All that was written has arrived where it should.
    pub(crate) fn finish_writing(&self) {
        self.change(|inner, calls| {
            inner.writing.finish();
            inner.call_all(calls);
        });
    }

    /// The next, or `None` at the end. An error is told once and does not wait behind items.
    pub(crate) fn poll_take(&self, context: &mut Context<'_>) -> Poll<Option<Result<T, Error>>> {
        self.change(|inner, calls| match inner.reading.phase() {
            Phase::Errored => {
                let outcome = inner.reading.outcome();
                inner.reading.close(READING_END);
                Poll::Ready(outcome.and_then(Result::err).map(Err))
            }
            Phase::Finished | Phase::Closed => Poll::Ready(None),
            Phase::Open | Phase::Ending if !inner.is_corked && !inner.items.is_empty() => {
                let item = inner.items.pop_front();
                inner.weight -= item.as_ref().map_or(0, weight);
                // Not for each: a writer that is woken below the half of the mark writes many at once.
                if inner.items.is_empty() || inner.weight * 2 <= inner.mark {
                    inner.call_writer(calls);
                }
                Poll::Ready(item.map(Ok))
            }
            Phase::Ending => Poll::Ready(None),
            Phase::Open => {
                inner.reader = Some(context.waker().clone());
                Poll::Pending
            }
        })
    }

    /// Whether [`poll_take`](Joint::poll_take) would be ready.
    pub(crate) fn has_for_reader(&self) -> bool {
        let inner = locked(&self.inner);
        inner.reading.phase() != Phase::Open || !(inner.is_corked || inner.items.is_empty())
    }

    /// The reader has seen the end.
    pub(crate) fn finish_reading(&self) {
        self.change(|inner, calls| {
            inner.reading.finish();
            inner.call_all(calls);
        });
    }

    /// Both ends have failed, if they live. What waits is dropped.
    pub(crate) fn fail(&self, error: &Error) {
        let dropped = self.change(|inner, calls| {
            inner.writing.fail(error);
            let dropped = inner.reading.fail(error).then(|| inner.take_items());
            inner.call_all(calls);
            dropped
        });
        drop(dropped);
    }

    /// The driver is over, and well: if the end that it owned has not ended, it was forgotten.
    pub(crate) fn gave_up(&self, what: &str) {
        if self.phase(if what == WRITING_END { Side::Reading } else { Side::Writing }) == Phase::Open {
            self.fail(&premature(what));
        }
    }

    /// The owner of this end is gone.
    pub(crate) fn close(&self, side: Side) {
        let dropped = self.change(|inner, calls| {
            let mut dropped = None;
            match side {
                Side::Writing => {
                    let was_open = inner.writing.phase() == Phase::Open;
                    inner.writing.close(WRITING_END);
                    if was_open && inner.driven != Some(side) && inner.reading.fail(&premature(WRITING_END)) {
                        dropped = Some(inner.take_items());
                    }
                }
                Side::Reading => {
                    let was_alive = inner.reading.is_alive();
                    inner.reading.close(READING_END);
                    if was_alive && inner.driven != Some(side) {
                        inner.writing.fail(&premature(READING_END));
                    }
                    dropped = Some(inner.take_items());
                }
            }
            inner.call_all(calls);
            dropped
        });
        drop(dropped);
    }

    /// How that end has ended.
    pub(crate) fn poll_outcome(&self, side: Side, slot: u64, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let mut inner = locked(&self.inner);
        let life = if side == Side::Writing { &inner.writing } else { &inner.reading };
        if let Some(outcome) = life.outcome() {
            return Poll::Ready(outcome);
        }
        inner.watchers.set(slot, context.waker());
        Poll::Pending
    }

    pub(crate) fn forget(&self, slot: u64) {
        locked(&self.inner).watchers.remove(slot);
    }
}

impl Joint<Chunk> {
    /// Appends bytes, to the last chunk if it has room: many small writes become few chunks. The mark was looked at.
    pub(crate) fn put_bytes(&self, bytes: &[u8]) -> Result<(), Error> {
        self.change(|inner, calls| {
            inner.writing.check_open()?;
            if bytes.is_empty() {
                return Ok(());
            }
            let fitted = inner.items.back_mut().map_or(0, |last| last.append(bytes));
            let rest = &bytes[fitted..];
            if !rest.is_empty() {
                // Nobody has taken the last yet, so more will come before this one is taken.
                let room = if inner.items.is_empty() { rest.len() } else { rest.len().max(GATHERED_BYTES) };
                let mut chunk = Chunk::with_room(room);
                chunk.append(rest);
                inner.items.push_back(chunk);
            }
            inner.weight += bytes.len();
            inner.is_unflushed = true;
            inner.is_corked &= inner.weight < inner.mark;
            if !inner.is_corked {
                inner.call_reader(calls);
            }
            Ok(())
        })
    }
}

/// Small writes that wait are gathered in chunks of this size.
const GATHERED_BYTES: usize = 16 << 10;

/// That end is gone.
pub(crate) fn premature(what: &str) -> Error {
    Error::PrematureClose { what: what.to_owned() }
}
