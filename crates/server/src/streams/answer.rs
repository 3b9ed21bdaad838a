//! [`StreamBody`]: what a pipeline gives, as the body of an answer.

use super::failure::reason;
use super::underway::{Tally, Underway};
use crate::memory::Reserved;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http_body::{Body, Frame, SizeHint};
use phalanx_stream::{Chunk, Error};
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

/// While the body of the request comes and there is nothing to answer yet, the answer shows this often that it lives: a client
/// that sends slowly is not one that reads nothing (whose connection is ended after a minute).
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);

/// Chunks of a pipeline.
pub(super) type Chunks = Pin<Box<dyn Stream<Item = Result<Chunk, Error>> + Send>>;

/// The rest of a pipeline's output, behind what is there already. Dropped, the pipeline ends.
pub(super) struct StreamBody {
    first: VecDeque<Bytes>,
    /// Taken when it has ended.
    rest: Option<(Chunks, Underway)>,
    tally: Arc<Tally>,
    /// What had been read at the last sign of life.
    taken: u64,
    signs: Interval,
    _memory: Reserved,
}

impl StreamBody {
    pub(super) fn new(first: VecDeque<Bytes>, rest: Chunks, underway: Underway, memory: Reserved) -> StreamBody {
        let tally = Arc::clone(underway.tally());
        let mut signs = interval_at(Instant::now() + SIGN_OF_LIFE, SIGN_OF_LIFE);
        signs.set_missed_tick_behavior(MissedTickBehavior::Delay);
        StreamBody { first, rest: Some((rest, underway)), taken: tally.taken(), tally, signs, _memory: memory }
    }

    fn given(&self, bytes: Bytes) -> Poll<Option<Result<Frame<Bytes>, String>>> {
        self.tally.gave(bytes.len());
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }
}

impl Body for StreamBody {
    type Data = Bytes;
    type Error = String;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, String>>> {
        if let Some(bytes) = self.first.pop_front() {
            return self.given(bytes);
        }
        let Some((chunks, _)) = &mut self.rest else { return Poll::Ready(None) };
        match chunks.poll_next_unpin(context) {
            Poll::Ready(Some(Ok(chunk))) => self.given(chunk.into_bytes()),
            Poll::Ready(Some(Err(error))) => {
                if let Some((_, underway)) = self.rest.take() {
                    underway.cut(&error);
                }
                Poll::Ready(Some(Err(reason(&error))))
            }
            Poll::Ready(None) => {
                if let Some((_, underway)) = self.rest.take() {
                    underway.done();
                }
                Poll::Ready(None)
            }
            Poll::Pending => {
                if self.signs.poll_tick(context).is_pending() {
                    return Poll::Pending;
                }
                // Polled again, it says when it wakes us next.
                let _ = self.signs.poll_tick(context);
                let taken = self.tally.taken();
                let before = std::mem::replace(&mut self.taken, taken);
                if taken > before { self.given(Bytes::new()) } else { Poll::Pending }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_empty() && self.rest.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
