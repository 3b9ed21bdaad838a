//! [`Seats`]: hands as jobs of a thread pool.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use phalanx_thread::{JobContext, Refusal, ThreadPool};

use crate::Error;
use crate::run::{Crew, Found, Run};

/// How long a hand works before other jobs of the pool get their turn.
const TURN: Duration = Duration::from_millis(5);
/// What the first turn is taken to cost.
const FIRST_ESTIMATE: Duration = Duration::from_millis(1);
/// The cost of a turn, measured: each new one counts for one part of so many.
const COST_MEMORY: u64 = 4;
/// Our own pool keeps one thread; others end when they had nothing to do for so long.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) struct Seats {
    most: usize,
    pool: OnceLock<ThreadPool>,
    /// Hands that have a job, or are about to.
    taken: AtomicUsize,
    /// The pool had no room: the driver stands in line.
    is_in_line: AtomicBool,
    turn_nanos: AtomicU64,
}

impl Seats {
    pub(super) fn new(most: usize, pool: Option<ThreadPool>) -> Seats {
        let given = OnceLock::new();
        if let Some(pool) = pool {
            let _ = given.set(pool);
        }
        Seats {
            most: most.max(1),
            pool: given,
            taken: AtomicUsize::new(0),
            is_in_line: AtomicBool::new(false),
            turn_nanos: AtomicU64::new(u64::try_from(FIRST_ESTIMATE.as_nanos()).unwrap_or(u64::MAX)),
        }
    }

    pub(super) fn could_come(&self) -> bool {
        self.taken.load(Ordering::SeqCst) < self.most && !self.is_in_line.load(Ordering::SeqCst)
    }

    /// Whether the driver is to stand in line.
    pub(super) fn is_in_line(&self) -> bool {
        self.is_in_line.load(Ordering::SeqCst)
    }

    /// It has stood in line.
    pub(super) fn leave_line(&self) {
        self.is_in_line.store(false, Ordering::SeqCst);
    }

    pub(super) fn cost(&self) -> Duration {
        Duration::from_nanos(self.turn_nanos.load(Ordering::Relaxed))
    }

    fn turn_took(&self, time: Duration) {
        let before = self.turn_nanos.load(Ordering::Relaxed);
        let now = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.turn_nanos.store(before - before / COST_MEMORY + now / COST_MEMORY, Ordering::Relaxed);
    }

    /// The pool that was given, or that of the process.
    pub(super) fn pool(&self) -> Result<&ThreadPool, Error> {
        static OWN: OnceLock<ThreadPool> = OnceLock::new();
        if let Some(pool) = self.pool.get() {
            return Ok(pool);
        }
        let own = match OWN.get() {
            Some(own) => own,
            None => {
                let built = ThreadPool::builder().name("stream-pool").min_threads(1).idle_timeout(IDLE_TIMEOUT).build();
                let built = built.map_err(|error| Error::NoThread { why: error.to_string() })?;
                OWN.get_or_init(|| built)
            }
        };
        Ok(self.pool.get_or_init(|| own.clone()))
    }

    /// One more job, if there is a seat.
    pub(super) fn call(&self, run: &Arc<Run>) {
        if let Some(seat) = self.take_seat(run) {
            self.submit(run, seat);
        }
    }

    pub(super) fn take_seat(&self, run: &Arc<Run>) -> Option<Seat> {
        let one_more = |taken: usize| (taken < self.most).then_some(taken + 1);
        self.taken.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more).ok()?;
        run.present.fetch_add(1, Ordering::SeqCst);
        Some(Seat { run: Some(run.clone()) })
    }

    fn submit(&self, run: &Arc<Run>, seat: Seat) {
        match self.pool() {
            Ok(pool) => pool.job().cost(self.cost()).spawn(move |context| seat.work(context)).detach(),
            Err(error) => {
                run.fail(error);
                drop(seat);
            }
        }
    }
}

/// A hand that has a job. If the pool drops it unrun, the driver stands in line for another.
pub(super) struct Seat {
    run: Option<Arc<Run>>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let Some(run) = self.run.take() else { return };
        if let Crew::Pool(seats) = &run.crew {
            seats.is_in_line.store(true, Ordering::SeqCst);
            seats.taken.fetch_sub(1, Ordering::SeqCst);
        }
        run.leave();
    }
}

impl Seat {
    /// One turn.
    pub(super) fn work(mut self, context: &JobContext) {
        let Some(run) = self.run.clone() else { return };
        let Crew::Pool(seats) = &run.crew else { return };
        let began = Instant::now();
        loop {
            match run.work() {
                Found::TheEnd => break,
                Found::Work if began.elapsed() < TURN => {}
                Found::Work => {
                    let is_closing =
                        seats.pool().is_ok_and(|pool| matches!(pool.admit(Duration::ZERO), Err(Refusal::ShuttingDown)));
                    // A pool that drains takes nobody any more, and lets him go on who is at it.
                    if !is_closing || context.is_cancelled() {
                        seats.turn_took(began.elapsed());
                        seats.submit(&run, self);
                        return;
                    }
                }
                Found::Nothing if run.look_on() => {}
                Found::Nothing => {
                    seats.taken.fetch_sub(1, Ordering::SeqCst);
                    // Either we see the work, or who made it sees the free seat.
                    fence(Ordering::SeqCst);
                    if !run.is_work_for_hands() {
                        if let Some(due) = run.next_due() {
                            run.clock.wake(&run, due);
                        }
                        self.run = None;
                        seats.turn_took(began.elapsed());
                        run.leave();
                        return;
                    }
                    let one_more = |taken: usize| (taken < seats.most).then_some(taken + 1);
                    if seats.taken.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more).is_err() {
                        // Others have come for it.
                        self.run = None;
                        run.leave();
                        return;
                    }
                }
            }
        }
        self.run = None;
        run.tell_parts();
        seats.taken.fetch_sub(1, Ordering::SeqCst);
        run.leave();
    }
}
