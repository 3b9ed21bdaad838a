//! [`Run`]: a pipeline that runs. Who steps its parts, who is told when there is something to do, how it ends.
//!
//! ```text
//!   all ends block:   hands (threads of our own) step every part
//!   an end is polled: the driver (the future) polls it · hands are jobs of a pool and step the transforms ·
//!                     an end that blocks has a thread of its own
//!
//!   a hand:  from the sink to the source: a part that is ready? ── yes: is there work for one more? wake him; step
//!                                                               └─ no: look on for 20 µs, then sleep (or end the job)
//!   a step:  worked: tell who waits for what it gave or took · ended: the last sink? then the run is over
//!            error or panic: the first one counts, the run is over
//!   over:    who leaves a part tells the parts at which nobody is; when all have left, the driver is ready
//! ```

mod clock;
mod driver;
mod flowing;
mod hand;
mod pace;
mod pool;
mod reading;
mod sending;
mod serial;
mod split;
mod spread;
mod threads;
mod writing;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Mutex};
use std::task::Context;
use std::time::{Duration, Instant};

use futures_util::task::AtomicWaker;
use phalanx_shared::Spinner;
use phalanx_thread::{JobError, Sleepers, ThreadPool, catch_panic};

use crate::chunk::CHUNK_BYTES;
use crate::part::{Drive, Part, Role, Step, locked};
use crate::run::clock::Clock;
use crate::run::pool::Seats;
use crate::run::threads::{Started, Threads};
use crate::{Buffers, Error};

pub(crate) use driver::{Driver, block_on};
pub(crate) use flowing::Flowing;
pub(crate) use reading::Reading;
pub(crate) use sending::Sending;
pub(crate) use serial::Serial;
pub(crate) use split::Split;
pub(crate) use spread::Spread;
pub(crate) use writing::Writing;

/// Buffers that lie idle for use again.
const IDLE_BUFFERS: usize = 16;
/// How long an idle hand looks on before it sleeps: less than to wake it would cost.
const LONGEST_LOOK: Duration = Duration::from_micros(20);
/// More hands than this wanted is no news: one is woken at a time.
const ENOUGH_WANTED: usize = 2;

pub(crate) struct Run {
    /// From the source to the sink.
    parts: Vec<Arc<dyn Part>>,
    /// Which of them hands step, from the sink to the source.
    for_hands: Vec<usize>,
    /// Which of them are polled, from the sink to the source.
    polled: Vec<usize>,
    /// Those that block beside one that is polled: each has a thread.
    alone: Vec<Alone>,
    crew: Crew,
    started: Started,
    buffers: Buffers,
    sinks_left: AtomicUsize,
    is_over: AtomicBool,
    /// The first one.
    error: Mutex<Option<Error>>,
    /// Threads and jobs that are at it.
    present: AtomicUsize,
    /// Those of them that are in a step which may take as long as it likes.
    in_endless_step: AtomicUsize,
    /// Hands that look on before they sleep; they need not be woken.
    looking_on: AtomicUsize,
    spinner: Spinner,
    driver: AtomicWaker,
    clock: Arc<Clock>,
}

struct Alone {
    part: usize,
    asleep: Sleepers,
}

enum Crew {
    Threads(Threads),
    Pool(Seats),
}

/// What a hand found.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Work,
    Nothing,
    TheEnd,
}

impl Run {
    pub(crate) fn new(parts: Vec<Arc<dyn Part>>, threads: usize, pool: Option<ThreadPool>) -> Run {
        let which = |wanted: &dyn Fn(Drive) -> bool| {
            (0..parts.len()).rev().filter(|part| wanted(parts[*part].drive())).collect::<Vec<_>>()
        };
        let polled = which(&|drive| drive == Drive::Polled);
        let (for_hands, alone, crew) = if polled.is_empty() {
            (which(&|_| true), Vec::new(), Crew::Threads(Threads::new(threads)))
        } else {
            let steps = which(&|drive| drive == Drive::Steps);
            (steps, which(&|drive| drive == Drive::Blocks), Crew::Pool(Seats::new(threads, pool)))
        };
        let sinks = parts.iter().filter(|part| part.role() == Role::Sink).count();
        Run {
            for_hands,
            polled,
            alone: alone.into_iter().map(|part| Alone { part, asleep: Sleepers::default() }).collect(),
            crew,
            started: Started::default(),
            buffers: Buffers::new(CHUNK_BYTES, IDLE_BUFFERS),
            sinks_left: AtomicUsize::new(sinks),
            is_over: AtomicBool::new(false),
            error: Mutex::new(None),
            present: AtomicUsize::new(0),
            in_endless_step: AtomicUsize::new(0),
            looking_on: AtomicUsize::new(0),
            spinner: Spinner::new(LONGEST_LOOK),
            driver: AtomicWaker::new(),
            clock: Arc::default(),
            parts,
        }
    }

    pub(crate) fn parts(&self) -> &[Arc<dyn Part>] {
        &self.parts
    }

    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    /// The first error counts. What has ended well stays so.
    pub(crate) fn fail(&self, error: Error) {
        let mut first = locked(&self.error);
        if first.is_some() || self.is_over() {
            return;
        }
        *first = Some(error);
        drop(first);
        self.end();
    }

    /// Everybody leaves.
    fn end(&self) {
        self.is_over.store(true, Ordering::SeqCst);
        if self.sinks_left.load(Ordering::SeqCst) > 0 {
            self.parts.iter().for_each(|part| part.interrupt());
        }
        if let Crew::Threads(threads) = &self.crew {
            threads.asleep.wake_all();
        }
        self.alone.iter().for_each(|alone| alone.asleep.wake_all());
        self.driver.wake();
    }

    /// How it came out, once it is over.
    fn outcome(&self) -> Result<(), Error> {
        if self.sinks_left.load(Ordering::SeqCst) == 0 {
            return Ok(());
        }
        let error = locked(&self.error).clone();
        Err(error.unwrap_or_else(|| Error::aborted("nobody runs it any more")))
    }

    /// Tells all parts of the error at which nobody is, and that were not told before.
    fn tell_parts(&self) {
        let Err(error) = self.outcome() else { return };
        for part in &self.parts {
            // A part that panics here as well has had its say.
            let _ = catch_panic(|| part.abort(&error));
        }
    }

    /// One step, by somebody who may block if the part does.
    fn step(&self, part: usize) -> Step {
        let part = &self.parts[part];
        let is_endless = part.may_wait_for_ever();
        if is_endless {
            self.in_endless_step.fetch_add(1, Ordering::SeqCst);
        }
        // Either we see the end, or who waits for our leaving sees where we are.
        let step = if self.is_over() { Step::Waiting } else { self.settled(&**part, || part.step(&self.buffers)) };
        if is_endless {
            self.in_endless_step.fetch_sub(1, Ordering::SeqCst);
        }
        step
    }

    fn poll(&self, part: usize, context: &mut Context<'_>) -> Step {
        let part = &self.parts[part];
        self.settled(&**part, || part.poll(context))
    }

    fn settled(&self, part: &dyn Part, step: impl FnOnce() -> Result<Step, Error>) -> Step {
        let error = match catch_panic(step) {
            Ok(Ok(step)) => {
                if step == Step::Ended
                    && part.role() == Role::Sink
                    && self.sinks_left.fetch_sub(1, Ordering::SeqCst) == 1
                {
                    self.end();
                }
                return step;
            }
            Ok(Err(error)) => error,
            Err(JobError::Panicked { message, location }) => Error::Panicked {
                part: part.name().to_owned(),
                message: location.map_or(message.clone(), |location| format!("{message} (at {location})")),
            },
            Err(other) => Error::Panicked { part: part.name().to_owned(), message: other.to_string() },
        };
        self.fail(error);
        Step::Ended
    }

    /// Whether a hand would find something.
    fn is_work_for_hands(&self) -> bool {
        self.is_over() || self.for_hands.iter().any(|part| self.parts[*part].is_ready())
    }

    /// How many more hands there is work for; more than enough is as much as enough.
    fn wanted_hands(&self) -> usize {
        let mut wanted = 0;
        for part in &self.for_hands {
            wanted += self.parts[*part].wanted_hands();
            if wanted >= ENOUGH_WANTED {
                break;
            }
        }
        wanted
    }

    /// The next moment for which a part waits.
    fn next_due(&self) -> Option<Instant> {
        self.for_hands.iter().filter_map(|part| self.parts[*part].due()).min()
    }

    /// Gets one more hand, if there is one that could come and work for more than `served` hands.
    fn call_hand(self: &Arc<Run>, served: usize) {
        fence(Ordering::SeqCst);
        if self.looking_on.load(Ordering::Relaxed) > 0 {
            return;
        }
        let could_come = match &self.crew {
            Crew::Threads(threads) => threads.could_come(),
            Crew::Pool(seats) => seats.could_come(),
        };
        if could_come && self.wanted_hands() > served {
            match &self.crew {
                Crew::Threads(threads) => threads.call(self),
                Crew::Pool(seats) => seats.call(self),
            }
        }
    }

    /// After something was given or taken: wakes the ends that wait for it.
    fn tell_ends(&self) {
        self.tell_alone();
        if !self.polled.is_empty() {
            fence(Ordering::SeqCst);
            if self.polled.iter().any(|part| self.parts[*part].wanted_hands() > 0) {
                self.driver.wake();
            }
        }
    }

    /// As [`tell_ends`](Run::tell_ends), without those that are polled.
    fn tell_alone(&self) {
        for alone in &self.alone {
            if alone.asleep.is_anybody_asleep() && self.parts[alone.part].wanted_hands() > 0 {
                alone.asleep.wake_one();
            }
        }
    }

    /// Somebody who was at it has left. The last word of every thread and job.
    fn leave(&self) {
        self.present.fetch_sub(1, Ordering::SeqCst);
        let is_awaited = match &self.crew {
            Crew::Threads(_) => false,
            Crew::Pool(seats) => seats.is_in_line(),
        };
        if is_awaited || self.is_over() {
            self.driver.wake();
        }
    }
}
