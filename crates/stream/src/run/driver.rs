//! [`Driver`]: the future of a run. It polls the ends that are polled, starts the hands, and is ready when all have left.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use futures_core::Stream;
use phalanx_thread::JobError;

use crate::Error;
use crate::part::Step;
use crate::run::{Crew, Run, threads};

/// After an error: how long a step that may take as long as it likes is waited for.
const PATIENCE: Duration = Duration::from_secs(1);
/// Rounds of polls before the other tasks of the runtime get their turn.
const ROUNDS_A_TURN: usize = 16;

type InLine = Pin<Box<dyn Stream<Item = Result<(), JobError>> + Send>>;

pub(crate) struct Driver {
    run: Arc<Run>,
    stage: Stage,
    /// A hand that stands in line for the pool.
    in_line: Option<InLine>,
    /// Until when we wait for who is in an endless step.
    patience: Option<Instant>,
}

#[derive(Debug, PartialEq, Eq)]
enum Stage {
    New,
    Running,
    Ready,
}

impl Driver {
    pub(crate) fn new(run: Arc<Run>) -> Driver {
        Driver { run, stage: Stage::New, in_line: None, patience: None }
    }

    /// Polls the ends, a few rounds; whether there may be more at once.
    fn poll_ends(&self, context: &mut Context<'_>) -> bool {
        let run = &self.run;
        for _ in 0..ROUNDS_A_TURN {
            let mut is_idle = true;
            for part in &run.polled {
                if run.is_over() {
                    return false;
                }
                is_idle &= run.poll(*part, context) == Step::Waiting;
            }
            if is_idle {
                return false;
            }
            run.tell_alone();
            run.call_hand(0);
        }
        true
    }

    /// Stands in line for a hand that the pool refused.
    fn poll_line(&mut self, context: &mut Context<'_>) {
        let Crew::Pool(seats) = &self.run.crew else { return };
        if self.in_line.is_none() && seats.is_in_line() && !self.run.is_over() {
            let Some(seat) = seats.take_seat(&self.run) else { return };
            match seats.pool() {
                Ok(pool) => {
                    let job = pool.job().cost(seats.cost());
                    self.in_line = Some(Box::pin(job.map([seat], |context, seat| seat.work(context)).in_flight(1)));
                }
                Err(error) => self.run.fail(error),
            }
        }
        let Some(in_line) = &mut self.in_line else { return };
        if let Poll::Ready(turn) = in_line.as_mut().poll_next(context) {
            self.in_line = None;
            // What the refusal of its seat left behind; from now on hands are called as usual.
            seats.leave_line();
            if let Some(Err(error)) = turn {
                self.run.fail(Error::NoThread { why: error.to_string() });
            }
            self.run.call_hand(0);
        }
    }

    /// It is over: ready once all have left, or those who do not.
    fn poll_left(&mut self) -> Poll<Result<(), Error>> {
        // A hand that never ran leaves by being dropped.
        self.in_line = None;
        self.run.tell_parts();
        let present = self.run.present.load(Ordering::SeqCst);
        if present > 0 {
            let now = Instant::now();
            let until = *self.patience.get_or_insert(now + PATIENCE);
            let in_endless_step = self.run.in_endless_step.load(Ordering::SeqCst);
            if in_endless_step < present || now < until {
                if in_endless_step > 0 && now < until {
                    self.run.clock.wake(&self.run, until);
                }
                return Poll::Pending;
            }
        }
        self.stage = Stage::Ready;
        self.run.clock.stop();
        self.run.started.join(present == 0);
        self.run.buffers.clear();
        Poll::Ready(self.run.outcome())
    }
}

impl Future for Driver {
    type Output = Result<(), Error>;

    /// After it was ready once, it is ready again.
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let driver = &mut *self;
        driver.run.driver.register(context.waker());
        if driver.stage == Stage::Ready {
            return Poll::Ready(driver.run.outcome());
        }
        if driver.stage == Stage::New {
            driver.stage = Stage::Running;
            if !driver.run.is_over() {
                threads::start_ends(&driver.run);
                driver.run.call_hand(0);
            }
        }
        let is_more = driver.poll_ends(context);
        driver.poll_line(context);
        if driver.run.is_over() {
            return driver.poll_left();
        }
        if is_more {
            context.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

impl Drop for Driver {
    /// Gives it up: the threads and jobs leave by themselves.
    fn drop(&mut self) {
        if self.stage == Stage::Ready {
            return;
        }
        self.run.fail(Error::aborted("the future was dropped"));
        self.in_line = None;
        self.run.tell_parts();
        self.run.clock.stop();
        self.run.buffers.clear();
    }
}

/// Drives a future on this thread, which sleeps meanwhile.
pub(crate) fn block_on<F: Future + Unpin>(mut future: F) -> F::Output {
    let bell = Arc::new(Bell { rang: AtomicBool::new(false), thread: thread::current() });
    let waker = Waker::from(bell.clone());
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = Pin::new(&mut future).poll(&mut context) {
            return output;
        }
        while !bell.rang.swap(false, Ordering::Acquire) {
            thread::park();
        }
    }
}

struct Bell {
    rang: AtomicBool,
    thread: Thread,
}

impl Wake for Bell {
    fn wake(self: Arc<Bell>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Bell>) {
        self.rang.store(true, Ordering::Release);
        self.thread.unpark();
    }
}
