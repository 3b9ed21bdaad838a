//! [`Awaited`]: the pool's end of a submission.

use std::marker::PhantomData;
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
    pub(super) output: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Pending<T> for Awaited<T> {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<T, TaskError>> {
        if let Poll::Ready(result) = self.parcel.take() {
            self.inner.read_what_is_left();
            return Poll::Ready(unpack(result));
        }
        self.inner.attend();
        self.parcel.take_or_wait(context.waker()).map(unpack)
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

fn unpack<T: DeserializeOwned>(result: Result<Packed, TaskError>) -> Result<T, TaskError> {
    result?.unpack().map_err(TaskError::failed)
}
