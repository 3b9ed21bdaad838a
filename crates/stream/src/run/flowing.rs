//! [`Flowing`]: a source that is polled.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Instant;

use futures_core::Stream;

use crate::lane::Lane;
use crate::part::{Drive, Part, Role, Step, Tally, free};
use crate::run::pace::Handful;
use crate::transform::tidy;
use crate::{Buffers, Cause, Error};

/// Small items that are taken at a time, at most.
const MOST_AT_ONCE: usize = 256;

type Items<T> = Pin<Box<dyn Stream<Item = Result<T, Cause>> + Send>>;

pub(crate) struct Flowing<T> {
    what: String,
    /// Until its end.
    stream: Mutex<Option<Items<T>>>,
    to: Arc<Lane<T>>,
    tally: Arc<Tally>,
    /// It had no room when it was polled last, and waits for some.
    is_stalled: AtomicBool,
}

impl<T: Send + 'static> Flowing<T> {
    pub(crate) fn new(what: String, stream: Items<T>, to: Arc<Lane<T>>) -> Flowing<T> {
        Flowing {
            what,
            stream: Mutex::new(Some(stream)),
            to,
            tally: Arc::default(),
            is_stalled: AtomicBool::new(false),
        }
    }

    /// The room, or a note that it is waited for.
    fn room_or_stall(&self) -> usize {
        match self.to.room() {
            0 => {
                self.is_stalled.store(true, Ordering::Release);
                // Either we see the room, or who makes it sees that we wait.
                fence(Ordering::SeqCst);
                self.to.room()
            }
            room => room,
        }
    }
}

impl<T: Send + 'static> Part for Flowing<T> {
    fn name(&self) -> &str {
        &self.what
    }

    fn role(&self) -> Role {
        Role::Source
    }

    fn drive(&self) -> Drive {
        Drive::Polled
    }

    fn tally(&self) -> &Arc<Tally> {
        &self.tally
    }

    fn is_ready(&self) -> bool {
        self.is_stalled.load(Ordering::Acquire) && self.to.room() > 0
    }

    fn wanted_hands(&self) -> usize {
        usize::from(self.is_ready() && self.to.is_half_empty())
    }

    fn step(&self, _: &Buffers) -> Result<Step, Error> {
        Ok(Step::Waiting)
    }

    fn poll(&self, context: &mut Context<'_>) -> Result<Step, Error> {
        let Some(mut slot) = free(&self.stream) else { return Ok(Step::Waiting) };
        let Some(stream) = slot.as_mut() else { return Ok(Step::Waiting) };
        self.is_stalled.store(false, Ordering::Release);
        let mut room = self.room_or_stall();
        let began = Instant::now();
        let mut handful = Handful::new(began, MOST_AT_ONCE);
        let (mut given, mut is_end) = (Vec::new(), false);
        while room > 0 {
            match stream.as_mut().poll_next(context) {
                Poll::Pending => break,
                Poll::Ready(None) => {
                    is_end = true;
                    break;
                }
                Poll::Ready(Some(item)) => {
                    let mut item = item.map_err(|cause| Error::source(&self.what, cause))?;
                    let weight = tidy(&mut item);
                    room = room.saturating_sub(weight);
                    if weight > 0 {
                        given.push(item);
                    }
                }
            }
            if handful.is_enough() {
                break;
            }
        }
        let is_idle = given.is_empty() && !is_end;
        self.tally.gave(self.to.give(&mut given));
        if is_end {
            *slot = None;
            self.to.end();
            return Ok(Step::Ended);
        }
        if is_idle {
            return Ok(Step::Waiting);
        }
        self.tally.stepped(began.elapsed());
        Ok(Step::Worked)
    }

    fn abort(&self, _: &Error) {
        let Some(mut slot) = free(&self.stream) else { return };
        let stream = slot.take();
        drop(slot);
        drop(stream);
    }
}
