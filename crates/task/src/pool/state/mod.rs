//! [`State`]: everything that the pool decides, and nothing that it does: no system call, no clock, no thread.
//!
//! ```text
//!   submitted, answered, cancelled, died, ready, a tick of the clock
//!                │                                   offers and withdrawals at the desks: at once ([`Desks`])
//!                ▼                              ┌──► ended: tasks and how they ended, for their callers
//!      line ──► dispatch ──► seats ─────────────┼──► orders: start, kill, weigh; for the keeper
//!                                               └──► due: when to tick next
//! ```
//!
//! A *seat* is a place for one process; there are as many as there may be processes. The first task of a seat is its *head*: it
//! runs, or is about to. Those behind it were queued ahead.

mod dispatch;
mod endings;
mod jobs;
mod kinds;
mod process;
mod share;
mod staff;
#[cfg(test)]
mod tests;
mod ticks;
mod views;
mod words;

use std::time::{Duration, Instant};

use phalanx_process::Sandbox;
use phalanx_thread::line::{AdmissionNumber, Line, LineOptions, Run};

use crate::pool::Killed;
use crate::pool::metrics::Tally;
use crate::{Phase, Refusal, TaskError};

use self::jobs::{Job, Jobs, Place};
use self::kinds::Kinds;
use self::process::{Process, Stage};
use self::staff::Staff;

pub(super) use self::jobs::JobKey;
pub(super) use self::process::Waits;
pub(super) use self::share::Share;
pub(super) use self::words::{Desks, Ended, NewJob, Offer, Offered, Order, Rules, Seat, Why, Work};

/// How long a cancelled task may go on before its process is killed.
const CANCEL_GRACE: Duration = Duration::from_millis(100);

/// Whether tasks are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doors {
    Open,
    /// Those that were taken are done.
    Draining,
    GivenUp,
}

/// The processes of one sandbox level, and who waits for them.
struct Level {
    sandbox: Sandbox,
    line: Line<JobKey>,
    /// Since when it has tasks, but no process and no room for one.
    wanting_since: Option<Instant>,
}

pub(super) struct State<W: Work> {
    rules: Rules,
    levels: Vec<Level>,
    kinds: Kinds,
    jobs: Jobs<W::Payload>,
    seats: Vec<Option<Process<W::Slot>>>,
    staff: Staff,
    share: Share,
    doors: Doors,
    pub(super) tally: Tally,
    ended: Vec<Ended<W::Payload, W::Output>>,
    orders: Vec<Order>,
    /// The earliest time at which a tick is needed, of those that came up since the last one.
    due: Option<Instant>,
}

impl<W: Work> State<W> {
    /// `kinds`: the sandbox level of each task, by its number in the registry.
    pub(super) fn new(rules: Rules, kinds: &[Sandbox], share: Share, now: Instant) -> State<W> {
        let mut sandboxes = kinds.to_vec();
        sandboxes.sort_unstable_by_key(|sandbox| std::cmp::Reverse(*sandbox));
        sandboxes.dedup();
        let options = LineOptions {
            servers: rules.most,
            cores: rules.cores,
            limit: rules.queue_limit,
            max_wait: rules.max_wait,
            standing_wait: rules.standing_wait,
        };
        let level_of = |sandbox| sandboxes.iter().position(|its| *its == sandbox).unwrap_or(0);
        let mut state = State {
            kinds: Kinds::new(kinds.iter().map(|sandbox| level_of(*sandbox))),
            levels: sandboxes
                .iter()
                .map(|sandbox| Level { sandbox: *sandbox, line: Line::new(options), wanting_since: None })
                .collect(),
            jobs: Jobs::default(),
            seats: (0..rules.most).map(|_| None).collect(),
            staff: Staff::default(),
            share,
            doors: Doors::Open,
            tally: Tally::default(),
            ended: Vec::new(),
            orders: Vec::new(),
            due: None,
            rules,
        };
        state.replenish(now);
        state
    }

    /// Takes a task in, and gives it to a process if one is free.
    pub(super) fn submit(
        &mut self,
        new: NewJob<W::Payload>,
        desks: &mut impl Desks<W>,
        now: Instant,
    ) -> Result<JobKey, (W::Payload, Refusal)> {
        if let Err(refusal) = self.may_enter(now) {
            return Err((new.payload, refusal));
        }
        let NewJob { id, payload, kind, terms, from_start } = new;
        let level = self.kinds.level(kind);
        let due = terms.due;
        let key = self.jobs.insert(Job {
            id,
            payload,
            kind,
            submitted: now,
            due,
            from_start,
            deaths: 0,
            place: Place::Nowhere,
            ticket: None,
            is_answered: false,
        });
        match self.levels[level].line.push(key, terms, now) {
            Ok(place) => self.jobs[key].place = Place::Waiting(place),
            Err(refused) => {
                let job = self.jobs.remove(key);
                return Err((job.payload, refused.why.into()));
            }
        }
        self.note(due);
        self.dispatch_level(level, desks, now);
        Ok(key)
    }

    fn may_enter(&mut self, now: Instant) -> Result<(), Refusal> {
        if self.doors != Doors::Open {
            return Err(Refusal::ShuttingDown);
        }
        let (queued, limit) = (self.queued(), self.rules.queue_limit);
        if queued >= limit {
            return Err(Refusal::Full { queued, limit });
        }
        match self.trouble(now) {
            Some(reason) => Err(Refusal::NotStarted { reason }),
            None => Ok(()),
        }
    }

    /// Nobody wants this task any more. Its caller is told at once if it had no answer yet.
    pub(super) fn cancel(&mut self, key: JobKey, desks: &mut impl Desks<W>, now: Instant) {
        if self.jobs.get(key).is_some_and(|job| !job.is_answered) {
            self.stop(key, Killed::Cancelled, desks, now);
            self.dispatch(desks, now);
        }
    }

    /// The task has to stop. It is withdrawn if it was not begun.
    fn stop(&mut self, key: JobKey, why: Killed, desks: &mut impl Desks<W>, now: Instant) {
        let error = |phase| match why {
            Killed::Cancelled => TaskError::Cancelled,
            Killed::Late => TaskError::TimedOut(phase),
        };
        let place = self.jobs[key].place;
        match place {
            Place::Nowhere => {}
            Place::Waiting(place) => {
                self.levels[self.kinds.level(self.jobs[key].kind)].line.withdraw(place);
                self.end(key, Err(error(Phase::Queue)));
            }
            Place::At(seat) if self.withdraw(seat, key, desks, now) => self.end(key, Err(error(Phase::Queue))),
            Place::At(seat) => {
                self.answer(key, Err(error(Phase::Run)));
                let grace = match why {
                    Killed::Cancelled => CANCEL_GRACE,
                    Killed::Late => self.rules.kill_grace,
                };
                let Some(process) = &mut self.seats[seat.0] else { return };
                if let Some(slot) = process.slot_of(key) {
                    desks.cancel(seat, slot);
                }
                if process.head() == Some(key) {
                    process.kill_at = Some((now + grace, why));
                    self.note(Some(now + grace));
                    self.take_back(seat, desks);
                }
            }
        }
    }

    /// Takes a task back from a process that has not begun it.
    fn withdraw(&mut self, seat: Seat, key: JobKey, desks: &mut impl Desks<W>, now: Instant) -> bool {
        let Some(process) = &mut self.seats[seat.0] else { return false };
        let Some(slot) = process.slot_of(key) else { return false };
        if !desks.retract(seat, slot) {
            return false;
        }
        if process.forget(key, now) {
            self.becomes_idle(seat, now);
        } else {
            self.note_head(seat, now);
        }
        true
    }

    /// What a process says of the task that it answers next. Nothing depends on it but where short tasks are queued.
    pub(super) fn said_it_ran(&mut self, seat: Seat, ran: Duration) {
        if let Some(process) = &mut self.seats[seat.0] {
            process.said = Some(ran);
        }
    }

    /// The next answer of a process. An error if it makes no sense.
    pub(super) fn answered(
        &mut self,
        seat: Seat,
        id: u64,
        result: Result<W::Output, TaskError>,
        now: Instant,
    ) -> Result<(), String> {
        let Some(process) = &mut self.seats[seat.0] else { return Ok(()) };
        let Some(placed) = process.queue.front().filter(|placed| placed.id == id).copied() else {
            return Err(format!("it answered task {id}, which was not its turn"));
        };
        process.queue.pop_front();
        if process.waits != Waits::Not {
            // It has not said that it went on.
            process.waits = Waits::Not;
            self.share.begin();
        }
        let began = process.head_since;
        let ran = now.saturating_duration_since(began);
        let said = process.said.take().unwrap_or(ran);
        process.has_answered(now);
        let (is_idle, is_first) = (process.queue.is_empty(), process.jobs == 1);
        if is_first && self.staff.has_succeeded() {
            // Those that could not be started are tried again.
            self.note(Some(now));
        }
        let job = &mut self.jobs[placed.key];
        self.tally.wait.record_time(began.saturating_duration_since(job.submitted));
        self.tally.run.record_time(ran);
        self.tally.busy += ran;
        self.kinds.record(job.kind, ran.min(said));
        if let Some(ticket) = job.ticket.take() {
            let run = Run { occupied: ran, ran, whole: !job.is_answered };
            self.levels[self.kinds.level(job.kind)].line.finished(ticket, run);
        }
        self.end(placed.key, result);
        if is_idle {
            self.becomes_idle(seat, now);
        } else {
            self.note_head(seat, now);
        }
        self.weigh_if_time(seat, now);
        Ok(())
    }

    /// The task that runs at this seat blocks, or goes on: meanwhile another one may have its permit.
    pub(super) fn waits(&mut self, seat: Seat, id: u64, waits: Waits) {
        let Some(process) = &mut self.seats[seat.0] else { return };
        if process.waits == waits || process.queue.front().is_none_or(|first| first.id != id) {
            return;
        }
        process.waits = waits;
        match waits {
            Waits::ForSomething => self.share.end(),
            Waits::Not => self.share.begin(),
        }
    }

    /// What the first task of this process was is over.
    fn waits_no_more(&mut self, seat: Seat) {
        let Some(process) = &mut self.seats[seat.0] else { return };
        if std::mem::take(&mut process.waits) != Waits::Not {
            self.share.begin();
        }
    }

    /// The task that runs at this seat, if it has this number and its caller still waits.
    pub(super) fn running(&self, seat: Seat, id: u64) -> Option<&W::Payload> {
        let placed = self.seats[seat.0].as_ref()?.queue.front().filter(|placed| placed.id == id)?;
        self.jobs.get(placed.key).filter(|job| !job.is_answered).map(|job| &job.payload)
    }

    /// Tells the caller of a task that goes on in its process.
    fn answer(&mut self, key: JobKey, result: Result<W::Output, TaskError>) {
        let job = &mut self.jobs[key];
        if !job.is_answered {
            job.is_answered = true;
            self.tally.count(&result);
            self.ended.push(Ended { payload: job.payload.clone(), result: Some(result), is_over: false });
        }
    }

    /// The task is over.
    fn end(&mut self, key: JobKey, result: Result<W::Output, TaskError>) {
        let mut job = self.jobs.remove(key);
        if let Some(ticket) = job.ticket.take() {
            self.levels[self.kinds.level(job.kind)].line.left_unrun(ticket);
        }
        let result = if job.is_answered { None } else { Some(result) };
        if let Some(result) = &result {
            self.tally.count(result);
        }
        self.ended.push(Ended { payload: job.payload, result, is_over: true });
    }

    /// Lets a task in that is submitted a little later.
    pub(super) fn admit(&mut self, cost: Duration, now: Instant) -> Result<AdmissionNumber, Refusal> {
        self.may_enter(now)?;
        self.levels[0].line.admit(cost, now).map_err(Refusal::from)
    }

    pub(super) fn forget_admitted(&mut self, number: AdmissionNumber) {
        self.levels[0].line.forget(number);
    }

    /// Tasks whose callers are to be told, without the lock.
    pub(super) fn take_ended(&mut self) -> Vec<Ended<W::Payload, W::Output>> {
        std::mem::take(&mut self.ended)
    }

    /// Whether the keeper has something to do.
    pub(super) fn has_orders(&self) -> bool {
        !self.orders.is_empty()
    }

    pub(super) fn take_orders(&mut self) -> Vec<Order> {
        std::mem::take(&mut self.orders)
    }

    /// The earliest time for a tick that came up since the last one.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// A tick is wanted at this time.
    pub(super) fn note(&mut self, due: Option<Instant>) {
        if let Some(due) = due {
            self.due = Some(self.due.map_or(due, |known| known.min(due)));
        }
    }
}
