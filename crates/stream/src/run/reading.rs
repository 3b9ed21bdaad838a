//! [`Reading`]: a source whose reads block.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use crate::lane::Lane;
use crate::part::{Drive, Part, Role, Step, Tally, free};
use crate::run::pace::Handful;
use crate::source::BlockingSource;
use crate::transform::tidy;
use crate::{Buffers, Error, Interrupt};

/// Small items that are read at a time, at most.
const MOST_AT_ONCE: usize = 256;

pub(crate) struct Reading<T> {
    what: String,
    /// Until its end.
    source: Mutex<Option<Box<dyn BlockingSource<Item = T>>>>,
    to: Arc<Lane<T>>,
    tally: Arc<Tally>,
    /// Somebody is at it, or it is over.
    is_taken: AtomicBool,
    may_wait_for_ever: bool,
    interrupt: Option<Interrupt>,
}

impl<T: Send + 'static> Reading<T> {
    pub(crate) fn new(what: String, source: Box<dyn BlockingSource<Item = T>>, to: Arc<Lane<T>>) -> Reading<T> {
        let interrupt = source.interrupt();
        let may_wait_for_ever = interrupt.is_none() && source.may_wait_for_ever();
        Reading {
            what,
            source: Mutex::new(Some(source)),
            to,
            tally: Arc::default(),
            is_taken: AtomicBool::new(false),
            may_wait_for_ever,
            interrupt,
        }
    }

    fn work(&self, slot: &mut Option<Box<dyn BlockingSource<Item = T>>>, buffers: &Buffers) -> Result<Step, Error> {
        let Some(source) = slot.as_mut() else { return Ok(Step::Waiting) };
        let mut room = self.to.room();
        if room == 0 {
            return Ok(Step::Waiting);
        }
        let began = Instant::now();
        let mut handful = Handful::new(began, MOST_AT_ONCE);
        let mut given = Vec::new();
        let is_end = loop {
            let Some(mut item) = source.read(buffers).map_err(|cause| Error::source(&self.what, cause))? else {
                break true;
            };
            let weight = tidy(&mut item);
            if weight > 0 {
                given.push(item);
            }
            room = room.saturating_sub(weight);
            if room == 0 || handful.is_enough() || !source.is_at_hand() {
                break false;
            }
        };
        self.tally.gave(self.to.give(&mut given));
        self.tally.stepped(began.elapsed());
        if is_end {
            *slot = None;
            self.to.end();
            return Ok(Step::Ended);
        }
        Ok(Step::Worked)
    }
}

impl<T: Send + 'static> Part for Reading<T> {
    fn name(&self) -> &str {
        &self.what
    }

    fn role(&self) -> Role {
        Role::Source
    }

    fn drive(&self) -> Drive {
        Drive::Blocks
    }

    fn tally(&self) -> &Arc<Tally> {
        &self.tally
    }

    fn is_ready(&self) -> bool {
        !self.is_taken.load(Ordering::Acquire) && self.to.room() > 0
    }

    fn wanted_hands(&self) -> usize {
        usize::from(self.is_ready() && self.to.is_half_empty())
    }

    fn may_wait_for_ever(&self) -> bool {
        self.may_wait_for_ever
    }

    fn interrupt(&self) {
        if let Some(interrupt) = &self.interrupt {
            interrupt.now();
        }
    }

    fn step(&self, buffers: &Buffers) -> Result<Step, Error> {
        let Some(mut source) = free(&self.source) else { return Ok(Step::Waiting) };
        if self.is_taken.swap(true, Ordering::AcqRel) {
            return Ok(Step::Waiting);
        }
        let step = self.work(&mut source, buffers);
        // After an error it stays taken, until the run is over: nobody goes on as if nothing had been.
        self.is_taken.store(step.is_err() || source.is_none(), Ordering::Release);
        step
    }

    fn abort(&self, error: &Error) {
        let Some(mut slot) = free(&self.source) else { return };
        let source = slot.take();
        drop(slot);
        if let Some(mut source) = source {
            source.abort(error);
        }
    }
}
