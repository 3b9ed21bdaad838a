//! [`Serial`]: a transform, one call at a time.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use crate::lane::{Lane, Taken};
use crate::part::{Drive, Part, Role, Step, Tally, free, locked};
use crate::run::pace::Handful;
use crate::{Buffers, Cause, Error, Flow, Outlet, Transform};

pub(crate) struct Serial<T: Transform> {
    state: Mutex<State<T>>,
    name: String,
    from: Arc<Lane<T::In>>,
    to: Arc<Lane<T::Out>>,
    tally: Arc<Tally>,
    /// Somebody is at it, or it is over.
    is_taken: AtomicBool,
    /// It has more to give without new input.
    has_more: AtomicBool,
    /// It waits for a moment, which is behind this lock.
    is_waiting_for_moment: AtomicBool,
    due: Mutex<Option<Instant>>,
}

struct State<T: Transform> {
    /// Until it is done or was aborted.
    transform: Option<T>,
    inputs: VecDeque<T::In>,
    given: Vec<T::Out>,
    flow: Flow,
    is_flushing: bool,
}

impl<T: Transform> Serial<T> {
    pub(crate) fn new(transform: T, from: Arc<Lane<T::In>>, to: Arc<Lane<T::Out>>) -> Serial<T> {
        let name = transform.name().into_owned();
        let state = State {
            transform: Some(transform),
            inputs: VecDeque::new(),
            given: Vec::new(),
            flow: Flow::Next,
            is_flushing: false,
        };
        Serial {
            state: Mutex::new(state),
            name,
            from,
            to,
            tally: Arc::default(),
            is_taken: AtomicBool::new(false),
            has_more: AtomicBool::new(false),
            is_waiting_for_moment: AtomicBool::new(false),
            due: Mutex::new(None),
        }
    }

    /// One handful; whether anything was done.
    fn work(&self, state: &mut State<T>, buffers: &Buffers) -> Result<Step, Error> {
        let State { transform: slot, inputs, given, flow, is_flushing } = state;
        let Some(transform) = slot.as_mut() else { return Ok(Step::Waiting) };
        let room = self.to.room();
        if room == 0 {
            return Ok(Step::Waiting);
        }
        let failed = |cause: Cause| Error::transform(&self.name, cause);
        let began = Instant::now();
        let mut handful = Handful::new(began, usize::MAX);
        let mut step = Step::Waiting;
        let mut out = Outlet::new(given, room, buffers);
        loop {
            let next = match *flow {
                Flow::Until(moment) if moment > Instant::now() => break,
                Flow::Again | Flow::Until(_) => transform.resume(&mut out),
                Flow::Next if *is_flushing => {
                    *slot = None;
                    step = Step::Ended;
                    break;
                }
                Flow::Next => {
                    if inputs.is_empty() {
                        if step == Step::Worked {
                            break;
                        }
                        match self.from.take(inputs, usize::MAX) {
                            Taken::Some(amount) => self.tally.took(amount),
                            Taken::Nothing => break,
                            Taken::Ended => *is_flushing = true,
                        }
                    }
                    match inputs.pop_front() {
                        Some(item) => transform.transform(item, &mut out),
                        None => transform.flush(&mut out),
                    }
                }
            };
            *flow = next.map_err(failed)?;
            step = Step::Worked;
            if out.is_full() || handful.is_enough() {
                break;
            }
        }
        if step != Step::Waiting {
            self.tally.gave(self.to.give(given));
            if step == Step::Ended {
                self.to.end();
            }
            self.tally.stepped(began.elapsed());
        }
        let due = if let Flow::Until(moment) = *flow { Some(moment) } else { None };
        *locked(&self.due) = due;
        self.is_waiting_for_moment.store(due.is_some(), Ordering::Release);
        let is_more = !inputs.is_empty() || *flow == Flow::Again || (*is_flushing && slot.is_some());
        self.has_more.store(is_more, Ordering::Release);
        Ok(step)
    }
}

impl<T: Transform> Part for Serial<T> {
    fn name(&self) -> &str {
        &self.name
    }

    fn role(&self) -> Role {
        Role::Transform
    }

    fn drive(&self) -> Drive {
        Drive::Steps
    }

    fn tally(&self) -> &Arc<Tally> {
        &self.tally
    }

    fn is_ready(&self) -> bool {
        if self.is_taken.load(Ordering::Acquire) || self.to.room() == 0 {
            return false;
        }
        if self.is_waiting_for_moment.load(Ordering::Acquire) {
            return self.due().is_none_or(|due| due <= Instant::now());
        }
        self.has_more.load(Ordering::Acquire) || self.from.has_news()
    }

    fn wanted_hands(&self) -> usize {
        usize::from(self.is_ready() && self.to.is_half_empty())
    }

    fn due(&self) -> Option<Instant> {
        if !self.is_waiting_for_moment.load(Ordering::Acquire) || self.to.room() == 0 {
            return None;
        }
        *locked(&self.due)
    }

    fn step(&self, buffers: &Buffers) -> Result<Step, Error> {
        let Some(mut state) = free(&self.state) else { return Ok(Step::Waiting) };
        if self.is_taken.swap(true, Ordering::AcqRel) {
            return Ok(Step::Waiting);
        }
        let step = self.work(&mut state, buffers);
        // After an error it stays taken, until the run is over: nobody goes on as if nothing had been.
        self.is_taken.store(step.is_err() || state.transform.is_none(), Ordering::Release);
        step
    }

    fn abort(&self, error: &Error) {
        let Some(mut state) = free(&self.state) else { return };
        let inputs = std::mem::take(&mut state.inputs);
        let given = std::mem::take(&mut state.given);
        let transform = state.transform.take();
        drop(state);
        self.from.clear();
        drop((inputs, given));
        if let Some(mut transform) = transform {
            transform.abort(error);
        }
    }
}
