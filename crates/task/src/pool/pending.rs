//! [`Awaited`]: the pool's end of a submission.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use serde::de::DeserializeOwned;

use crate::pool::inner::Inner;
use crate::pool::parcel::Parcel;
use crate::pool::state::JobKey;
use crate::{Packed, Pending, TaskError};

pub(super) struct Awaited<T> {
    pub(super) inner: Arc<Inner>,
    pub(super) parcel: Arc<Parcel>,
    pub(super) key: JobKey,
    /// How the output is made of what came back.
    pub(super) read: Read<T>,
}

pub(super) type Read<T> = fn(Packed) -> Result<T, TaskError>;

impl<T> Pending<T> for Awaited<T> {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<T, TaskError>> {
        if let Poll::Ready(result) = self.parcel.take() {
            self.inner.read_what_is_left();
            return Poll::Ready(result.and_then(self.read));
        }
        self.inner.attend();
        self.parcel.take_or_wait(context.waker()).map(|result| result.and_then(self.read))
    }

    fn cancel(&self) {
        let mut guard = self.inner.lock();
        let floor = &mut *guard;
        let now = Instant::now();
        // What has ended already is not cancelled.
        floor.look(now);
        floor.state.cancel(self.key, &mut floor.table, now);
        floor.state.dispatch(&mut floor.table, now);
        self.inner.settle(guard);
    }

    fn detach(self: Box<Self>) {}
}

/// A typed one.
pub(super) fn unpack<T: DeserializeOwned>(output: Packed) -> Result<T, TaskError> {
    output.unpack().map_err(TaskError::failed)
}
