//! [`Sending`]: a sink that is polled.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Instant;

use crate::lane::{Lane, Taken};
use crate::part::{Drive, Part, Role, Step, Tally, free};
use crate::sink::AsyncSink;
use crate::{Buffers, Cause, Error};

pub(crate) struct Sending<T> {
    what: String,
    state: Mutex<State<T>>,
    from: Arc<Lane<T>>,
    tally: Arc<Tally>,
    /// It had no input when it was polled last, and waits for some.
    is_stalled: AtomicBool,
}

struct State<T> {
    /// Until it has finished.
    sink: Option<Pin<Box<dyn AsyncSink<Item = T>>>>,
    inputs: VecDeque<T>,
    is_ending: bool,
    is_flushed: bool,
}

impl<T: Send + 'static> Sending<T> {
    pub(crate) fn new(what: String, sink: Pin<Box<dyn AsyncSink<Item = T>>>, from: Arc<Lane<T>>) -> Sending<T> {
        let state = State { sink: Some(sink), inputs: VecDeque::new(), is_ending: false, is_flushed: true };
        Sending { what, state: Mutex::new(state), from, tally: Arc::default(), is_stalled: AtomicBool::new(false) }
    }

    /// Takes a handful, or notes that it is waited for.
    fn fetch(&self, state: &mut State<T>) {
        for is_last_try in [false, true] {
            match self.from.take(&mut state.inputs, usize::MAX) {
                Taken::Some(amount) => {
                    self.tally.took(amount);
                    return;
                }
                Taken::Ended => {
                    state.is_ending = true;
                    return;
                }
                Taken::Nothing if is_last_try => return,
                Taken::Nothing => {
                    self.is_stalled.store(true, Ordering::Release);
                    // Either we see the input, or who gives it sees that we wait.
                    fence(Ordering::SeqCst);
                }
            }
        }
    }

    fn work(&self, state: &mut State<T>, context: &mut Context<'_>) -> Result<Step, Cause> {
        let mut step = Step::Waiting;
        self.is_stalled.store(false, Ordering::Release);
        loop {
            if state.inputs.is_empty() && !state.is_ending {
                if step == Step::Worked {
                    // The others see what was taken, before more is.
                    return Ok(step);
                }
                self.fetch(state);
            }
            let State { sink: slot, inputs, is_ending, is_flushed } = state;
            let Some(sink) = slot.as_mut() else { return Ok(step) };
            if inputs.is_empty() {
                if *is_ending {
                    if let Poll::Ready(finished) = sink.as_mut().poll_finish(context) {
                        finished?;
                        *slot = None;
                        step = Step::Ended;
                    }
                } else if !*is_flushed {
                    *is_flushed = sink.as_mut().poll_flush(context)?.is_ready();
                }
                return Ok(step);
            }
            match sink.as_mut().poll_ready(context) {
                Poll::Pending => return Ok(step),
                Poll::Ready(ready) => ready?,
            }
            if let Some(item) = inputs.pop_front() {
                *is_flushed = false;
                sink.as_mut().start_send(item)?;
            }
            step = Step::Worked;
        }
    }
}

impl<T: Send + 'static> Part for Sending<T> {
    fn name(&self) -> &str {
        &self.what
    }

    fn role(&self) -> Role {
        Role::Sink
    }

    fn drive(&self) -> Drive {
        Drive::Polled
    }

    fn tally(&self) -> &Arc<Tally> {
        &self.tally
    }

    fn is_ready(&self) -> bool {
        self.is_stalled.load(Ordering::Acquire) && self.from.has_news()
    }

    fn wanted_hands(&self) -> usize {
        usize::from(self.is_ready())
    }

    fn step(&self, _: &Buffers) -> Result<Step, Error> {
        Ok(Step::Waiting)
    }

    fn poll(&self, context: &mut Context<'_>) -> Result<Step, Error> {
        let Some(mut state) = free(&self.state) else { return Ok(Step::Waiting) };
        let began = Instant::now();
        let step = self.work(&mut state, context).map_err(|cause| Error::sink(&self.what, cause))?;
        if step != Step::Waiting {
            self.tally.stepped(began.elapsed());
        }
        Ok(step)
    }

    fn abort(&self, error: &Error) {
        let Some(mut state) = free(&self.state) else { return };
        let (sink, inputs) = (state.sink.take(), std::mem::take(&mut state.inputs));
        drop(state);
        self.from.clear();
        drop(inputs);
        if let Some(mut sink) = sink {
            sink.as_mut().abort(error);
        }
    }
}
