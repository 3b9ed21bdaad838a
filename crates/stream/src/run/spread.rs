//! [`Spread`]: a transform on several threads at once, in order.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::lane::{Lane, Taken};
use crate::part::{Drive, Part, Role, Step, Tally, locked};
use crate::run::pace::STEP_TIME;
use crate::{Buffers, Error, Outlet, ParallelTransform};

/// What is under way or waits for one in front of it: so many handfuls for each permit.
const WINDOW_PER_PERMIT: usize = 2;
/// The cost of an input, measured: each new one counts for one part of so many.
const COST_MEMORY: u64 = 4;

pub(crate) struct Spread<P: ParallelTransform> {
    transform: P,
    name: String,
    permits: usize,
    from: Arc<Lane<P::In>>,
    to: Arc<Lane<P::Out>>,
    tally: Arc<Tally>,
    order: Mutex<Order<P>>,
    /// Handfuls that somebody works on. Changed under the lock of the order.
    running: AtomicUsize,
    /// Handfuls that were taken and not yet given on. Likewise.
    in_window: AtomicUsize,
    is_over: AtomicBool,
    /// Nanoseconds for one input, as of late.
    cost: AtomicU64,
}

struct Order<P: ParallelTransform> {
    next_number: u64,
    next_in: u64,
    next_out: u64,
    /// Finished before those in front of them.
    early: BTreeMap<u64, Vec<P::Out>>,
    /// Empty, to be used again.
    spare: Vec<Handful<P>>,
}

struct Handful<P: ParallelTransform> {
    inputs: VecDeque<P::In>,
    given: Vec<P::Out>,
}

impl<P: ParallelTransform> Default for Handful<P> {
    fn default() -> Handful<P> {
        Handful { inputs: VecDeque::new(), given: Vec::new() }
    }
}

/// One that runs: also if it panics, it no longer does afterwards.
struct Running<'a>(&'a AtomicUsize);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl<P: ParallelTransform> Spread<P> {
    pub(crate) fn new(transform: P, permits: usize, from: Arc<Lane<P::In>>, to: Arc<Lane<P::Out>>) -> Spread<P> {
        let order = Order { next_number: 0, next_in: 0, next_out: 0, early: BTreeMap::new(), spare: Vec::new() };
        Spread {
            name: transform.name().into_owned(),
            transform,
            permits: permits.max(1),
            from,
            to,
            tally: Arc::default(),
            order: Mutex::new(order),
            running: AtomicUsize::new(0),
            in_window: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
            cost: AtomicU64::new(u64::MAX),
        }
    }

    fn may_start(&self) -> bool {
        self.running.load(Ordering::Acquire) < self.permits
            && self.in_window.load(Ordering::Acquire) < self.permits * WINDOW_PER_PERMIT
    }

    /// Inputs for one hand: as many as fill the time of a step. Less is not worth sharing out.
    fn handful(&self) -> usize {
        let step = u64::try_from(STEP_TIME.as_nanos()).unwrap_or(u64::MAX);
        usize::try_from(step / self.cost.load(Ordering::Relaxed).max(1)).unwrap_or(usize::MAX).max(1)
    }

    fn measured(&self, inputs: usize, time: Duration) {
        let each = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX) / u64::try_from(inputs).unwrap_or(1).max(1);
        let before = self.cost.load(Ordering::Relaxed);
        let now = if before == u64::MAX { each } else { before - before / COST_MEMORY + each / COST_MEMORY };
        self.cost.store(now, Ordering::Relaxed);
    }
}

impl<P: ParallelTransform> Part for Spread<P> {
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
        if self.is_over.load(Ordering::Acquire) || self.to.room() == 0 || !self.may_start() {
            return false;
        }
        self.from.count() > 0 || (self.from.is_over() && self.in_window.load(Ordering::Acquire) == 0)
    }

    fn wanted_hands(&self) -> usize {
        if self.is_ready() && self.to.is_half_empty() { self.from.count().clamp(1, 2) } else { 0 }
    }

    fn step(&self, buffers: &Buffers) -> Result<Step, Error> {
        let mut order = locked(&self.order);
        let room = self.to.room();
        if self.is_over.load(Ordering::Acquire) || room == 0 || !self.may_start() {
            return Ok(Step::Waiting);
        }
        let mut handful = order.spare.pop().unwrap_or_default();
        match self.from.take(&mut handful.inputs, self.handful()) {
            Taken::Some(amount) => self.tally.took(amount),
            Taken::Ended if self.in_window.load(Ordering::Acquire) == 0 => {
                self.is_over.store(true, Ordering::Release);
                self.to.end();
                return Ok(Step::Ended);
            }
            Taken::Nothing | Taken::Ended => {
                order.spare.push(handful);
                return Ok(Step::Waiting);
            }
        }
        let inputs = handful.inputs.len();
        let (unit, mut number) = (order.next_in, order.next_number);
        order.next_in += 1;
        order.next_number += inputs as u64;
        self.in_window.fetch_add(1, Ordering::AcqRel);
        self.running.fetch_add(1, Ordering::AcqRel);
        let running = Running(&self.running);
        drop(order);

        let began = Instant::now();
        for input in handful.inputs.drain(..) {
            let mut out = Outlet::new(&mut handful.given, room, buffers);
            self.transform.apply(number, input, &mut out).map_err(|cause| Error::transform(&self.name, cause))?;
            number += 1;
        }
        let time = began.elapsed();
        self.measured(inputs, time);
        self.tally.stepped(time);

        let mut order = locked(&self.order);
        let Handful { inputs, given } = handful;
        let mut spare = Handful { inputs, given: Vec::new() };
        order.early.insert(unit, given);
        while let Some(mut given) = {
            let next = order.next_out;
            order.early.remove(&next)
        } {
            self.tally.gave(self.to.give(&mut given));
            order.next_out += 1;
            self.in_window.fetch_sub(1, Ordering::AcqRel);
            spare.given = given;
        }
        order.spare.push(spare);
        drop(running);
        Ok(Step::Worked)
    }

    fn abort(&self, error: &Error) {
        let mut order = locked(&self.order);
        if self.running.load(Ordering::Acquire) > 0 || self.is_over.swap(true, Ordering::AcqRel) {
            return;
        }
        let (early, spare) = (std::mem::take(&mut order.early), std::mem::take(&mut order.spare));
        drop(order);
        self.from.clear();
        drop((early, spare));
        self.transform.abort(error);
    }
}
