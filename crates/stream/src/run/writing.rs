//! [`Writing`]: a sink whose writes block.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use crate::lane::{Lane, Taken};
use crate::part::{Drive, Part, Role, Step, Tally, free};
use crate::run::pace::Handful;
use crate::sink::BlockingSink;
use crate::{Buffers, Cause, Error, Interrupt};

pub(crate) struct Writing<T> {
    what: String,
    state: Mutex<State<T>>,
    from: Arc<Lane<T>>,
    tally: Arc<Tally>,
    /// Somebody is at it, or it is over.
    is_taken: AtomicBool,
    /// Inputs were taken and not yet written.
    has_more: AtomicBool,
    may_wait_for_ever: bool,
    interrupt: Option<Interrupt>,
}

struct State<T> {
    /// Until it has finished.
    sink: Option<Box<dyn BlockingSink<Item = T>>>,
    inputs: VecDeque<T>,
}

impl<T: Send + 'static> Writing<T> {
    pub(crate) fn new(what: String, sink: Box<dyn BlockingSink<Item = T>>, from: Arc<Lane<T>>) -> Writing<T> {
        let interrupt = sink.interrupt();
        let may_wait_for_ever = interrupt.is_none() && sink.may_wait_for_ever();
        Writing {
            what,
            state: Mutex::new(State { sink: Some(sink), inputs: VecDeque::new() }),
            from,
            tally: Arc::default(),
            is_taken: AtomicBool::new(false),
            has_more: AtomicBool::new(false),
            may_wait_for_ever,
            interrupt,
        }
    }

    fn work(&self, state: &mut State<T>) -> Result<Step, Error> {
        let State { sink: slot, inputs } = state;
        let Some(sink) = slot.as_mut() else { return Ok(Step::Waiting) };
        let failed = |cause: Cause| Error::sink(&self.what, cause);
        if inputs.is_empty() {
            match self.from.take(inputs, usize::MAX) {
                Taken::Some(amount) => self.tally.took(amount),
                Taken::Nothing => return Ok(Step::Waiting),
                Taken::Ended => {
                    let began = Instant::now();
                    sink.finish().map_err(failed)?;
                    self.tally.stepped(began.elapsed());
                    *slot = None;
                    return Ok(Step::Ended);
                }
            }
        }
        let began = Instant::now();
        let mut handful = Handful::new(began, usize::MAX);
        while let Some(item) = inputs.pop_front() {
            sink.write(item).map_err(failed)?;
            if handful.is_enough() {
                break;
            }
        }
        self.tally.stepped(began.elapsed());
        self.has_more.store(!inputs.is_empty(), Ordering::Release);
        Ok(Step::Worked)
    }
}

impl<T: Send + 'static> Part for Writing<T> {
    fn name(&self) -> &str {
        &self.what
    }

    fn role(&self) -> Role {
        Role::Sink
    }

    fn drive(&self) -> Drive {
        Drive::Blocks
    }

    fn tally(&self) -> &Arc<Tally> {
        &self.tally
    }

    fn is_ready(&self) -> bool {
        !self.is_taken.load(Ordering::Acquire) && (self.has_more.load(Ordering::Acquire) || self.from.has_news())
    }

    fn wanted_hands(&self) -> usize {
        usize::from(self.is_ready())
    }

    fn may_wait_for_ever(&self) -> bool {
        self.may_wait_for_ever
    }

    fn interrupt(&self) {
        if let Some(interrupt) = &self.interrupt {
            interrupt.now();
        }
    }

    fn step(&self, _: &Buffers) -> Result<Step, Error> {
        let Some(mut state) = free(&self.state) else { return Ok(Step::Waiting) };
        if self.is_taken.swap(true, Ordering::AcqRel) {
            return Ok(Step::Waiting);
        }
        let step = self.work(&mut state);
        // After an error it stays taken, until the run is over: nobody goes on as if nothing had been.
        self.is_taken.store(step.is_err() || state.sink.is_none(), Ordering::Release);
        step
    }

    fn abort(&self, error: &Error) {
        let Some(mut state) = free(&self.state) else { return };
        let (sink, inputs) = (state.sink.take(), std::mem::take(&mut state.inputs));
        drop(state);
        self.from.clear();
        drop(inputs);
        if let Some(mut sink) = sink {
            sink.abort(error);
        }
    }
}
