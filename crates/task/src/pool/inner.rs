//! [`Inner`]: what all handles, submissions and the keeper share, and how each of them does what the state has decided.
//!
//! One lock holds the state and the desks. Under it nothing is copied that is large, nobody is woken and nothing of the user is
//! dropped: that is done in [`Inner::settle`], which gives the lock back.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::task::Waker;
use std::time::Instant;

use phalanx_thread::line::KeysInUse;

use crate::desk::{Answer, Hello};
use crate::pool::builder::Listener;
use crate::pool::parcel::Parcel;
use crate::pool::poison::Poison;
use crate::pool::spin::{LONGEST, LOOKS_PER_READING, Looking};
use crate::pool::state::{Ended, Seat, State};
use crate::pool::table::{Answered, Carried, Jobs, Table, answered};
use crate::pool::{PoolEvent, PoolMetrics};
use crate::{Confinement, Crash, Ending, Packed, Progress, ProgressCell, Registry, TaskError};

/// Answers of one process that are read before another one has its turn.
const MOST_ANSWERS: usize = 256;

pub(super) struct Inner {
    floor: Mutex<Floor>,
    /// Threads that wait for the floor.
    wanted: AtomicUsize,
    /// Wakes the keeper.
    ringer: OwnedFd,
    pub(super) registry: &'static Registry,
    /// Names of the tasks, by their numbers.
    pub(super) names: Vec<&'static str>,
    pub(super) max_input: u64,
    pub(super) poison: Poison,
    /// Idempotency keys of tasks that are not over.
    pub(super) keys: KeysInUse,
    pub(super) confinements: Mutex<Vec<Confinement>>,
    pub(super) listener: Option<Listener>,
    pub(super) started: Instant,
}

/// What lies behind the lock.
pub(super) struct Floor {
    pub(super) state: State<Jobs>,
    pub(super) table: Table,
    looking: Looking,
    /// When the keeper wakes up by itself; nothing: not before it is rung for.
    pub(super) alarm: Option<Instant>,
    /// Whether the keeper is awake, or was rung for.
    pub(super) is_keeper_awake: bool,
    /// Processes that have said hello, for the keeper.
    pub(super) hellos: Vec<(Seat, Hello)>,
    /// What tasks have said of their progress.
    heard: Vec<(Arc<ProgressCell>, Progress)>,
    /// Whether there are answers that nobody has read and nobody will be rung for.
    pub(super) is_unheard: bool,
    /// Who waits for the end of the pool, and until when.
    pub(super) draining: Vec<(Instant, Waker)>,
}

impl Floor {
    pub(super) fn new(state: State<Jobs>, table: Table, cores: usize) -> Floor {
        Floor {
            state,
            table,
            looking: Looking::new(cores),
            alarm: None,
            is_keeper_awake: true,
            hellos: Vec::new(),
            heard: Vec::new(),
            is_unheard: false,
            draining: Vec::new(),
        }
    }

    /// Reads the answers of all processes that may have some.
    pub(super) fn look(&mut self, now: Instant) {
        for seat in (0..self.state.seats()).map(Seat) {
            if self.state.may_answer(seat) {
                self.look_at(seat, now);
            }
        }
    }

    /// Reads the answers of one process; its bell is armed afterwards.
    pub(super) fn look_at(&mut self, seat: Seat, now: Instant) {
        for _ in 0..MOST_ANSWERS {
            match self.table.next_answer_or_arm(seat) {
                Ok(Some(answer)) => self.hear(seat, answer, now),
                Ok(None) => return,
                Err(what) => return self.state.malformed(seat, what.0),
            }
        }
        // It talks without end: the others first.
        self.is_unheard = true;
    }

    fn hear(&mut self, seat: Seat, answer: Answer, now: Instant) {
        match answer {
            Answer::Hello(hello) => self.hellos.push((seat, hello)),
            Answer::Progress { job, progress } => {
                if let Some(parcel) = self.state.running(seat, job) {
                    self.heard.push((parcel.progress.clone(), progress));
                }
            }
            Answer::Ended { job, result } => {
                let serial = self.table.serial(seat).unwrap_or_default();
                if let Err(what) = self.state.answered(seat, job, answered(seat, serial, result), now) {
                    self.state.malformed(seat, what);
                }
            }
        }
    }

    /// Looks for the answer of the only task in flight for a while, if that is worth it and nobody else wants the floor.
    fn look_for_a_while(&mut self, wanted: &AtomicUsize) {
        let Some(seat) = self.state.only_seat().filter(|_| self.looking.is_worth_it()) else { return };
        let until = Instant::now() + LONGEST;
        if let Some(desk) = self.table.desk(seat) {
            desk.disarm();
        }
        let found = loop {
            match self.look_often(seat) {
                Ok(None) => {}
                Ok(Some(answer)) => {
                    self.hear(seat, answer, Instant::now());
                    if !self.state.may_answer(seat) {
                        break true;
                    }
                }
                Err(what) => {
                    self.state.malformed(seat, what);
                    break true;
                }
            }
            if wanted.load(Ordering::Relaxed) > 0 || Instant::now() >= until {
                break false;
            }
        };
        self.looking.ended(found);
        self.look_at(seat, Instant::now());
    }

    fn look_often(&mut self, seat: Seat) -> Result<Option<Answer>, String> {
        let Some(desk) = self.table.desk(seat) else { return Ok(None) };
        for _ in 0..LOOKS_PER_READING {
            if let Some(answer) = desk.next_answer().map_err(|what| what.0)? {
                return Ok(Some(answer));
            }
            std::hint::spin_loop();
        }
        Ok(None)
    }
}

impl Inner {
    #[allow(clippy::too_many_arguments)]
    pub(super) fn new(
        floor: Floor,
        ringer: OwnedFd,
        registry: &'static Registry,
        names: Vec<&'static str>,
        max_input: u64,
        poison: Poison,
        listener: Option<Listener>,
        started: Instant,
    ) -> Inner {
        Inner {
            floor: Mutex::new(floor),
            wanted: AtomicUsize::new(0),
            ringer,
            registry,
            names,
            max_input,
            poison,
            keys: KeysInUse::default(),
            confinements: Mutex::default(),
            listener,
            started,
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Floor> {
        if let Some(floor) = self.try_lock() {
            return floor;
        }
        self.wanted.fetch_add(1, Ordering::Relaxed);
        let floor = self.floor.lock().unwrap_or_else(PoisonError::into_inner);
        self.wanted.fetch_sub(1, Ordering::Relaxed);
        floor
    }

    fn try_lock(&self) -> Option<MutexGuard<'_, Floor>> {
        match self.floor.try_lock() {
            Ok(floor) => Some(floor),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    pub(super) fn ringer(&self) -> &OwnedFd {
        &self.ringer
    }

    /// A submission is polled: its thread reads the answers that are there. Whoever holds the floor now does so, or leaves the
    /// bells armed.
    pub(super) fn attend(&self) {
        let Some(mut guard) = self.try_lock() else { return };
        let floor = &mut *guard;
        let now = Instant::now();
        floor.look(now);
        floor.look_for_a_while(&self.wanted);
        floor.state.dispatch(&mut floor.table, now);
        self.settle(guard);
    }

    /// Gives the floor back, and does what was decided on it: rings the keeper, tells the callers, copies large inputs.
    pub(super) fn settle<'i>(&'i self, mut guard: MutexGuard<'i, Floor>) {
        let mut kept = Vec::new();
        loop {
            let floor = &mut *guard;
            let ended = floor.state.take_ended();
            let heard = std::mem::take(&mut floor.heard);
            let carried = floor.table.take_carried();
            let spare = floor.state.spare_permits();
            let is_early = |due: Instant| floor.alarm.is_none_or(|alarm| due < alarm);
            let is_wanted = floor.state.has_orders()
                || floor.is_unheard
                || !floor.hellos.is_empty()
                || floor.state.due().is_some_and(is_early);
            let must_ring = is_wanted && !floor.is_keeper_awake;
            floor.is_keeper_awake |= must_ring;
            drop(guard);
            drop(spare);
            if must_ring {
                self.ring();
            }
            for (cell, progress) in heard {
                cell.set(progress);
            }
            let broken: Vec<_> = ended.into_iter().filter_map(|ended| self.tell(ended)).collect();
            if carried.is_empty() && broken.is_empty() {
                return;
            }
            // Their last handles, perhaps; not to be dropped under the lock.
            kept.extend(carried.iter().map(Carried::parcel));
            let filled: Vec<_> = carried.into_iter().map(|carried| (carried.fill(), carried)).collect();
            guard = self.lock();
            let floor = &mut *guard;
            let now = Instant::now();
            for (result, carried) in filled {
                let (seat, key) = (carried.seat, carried.key);
                let is_wanted = floor.state.is_wanted(seat, key);
                if let Some(outcome) = floor.table.set_down(carried, result, is_wanted) {
                    floor.state.carried(seat, key, outcome, now);
                }
            }
            for (seat, serial, what) in broken {
                if floor.table.serial(seat) == Some(serial) {
                    floor.state.malformed(seat, what);
                }
            }
            floor.state.dispatch(&mut floor.table, now);
        }
    }

    /// Wakes the keeper.
    pub(super) fn ring(&self) {
        // Full is as good as rung.
        let _ = rustix::io::write(&self.ringer, &1_u64.to_ne_bytes());
    }

    /// Tells a caller how its task ended. Gives back what its process is to be killed for, if its output made no sense.
    fn tell(&self, ended: Ended<Arc<Parcel>, Answered>) -> Option<(Seat, u64, String)> {
        let Ended { payload: parcel, result, is_over } = ended;
        let (mut broken, mut end) = (None, None);
        match result {
            None => {}
            Some(Ok(Answered { seat, serial, output })) => match output.read() {
                Ok(packed) => end = Some(Ok(packed)),
                Err(what) => {
                    let ending = Ending::Malformed(what.0.clone());
                    end = Some(self.crashed(&parcel, Crash { ending, stderr_tail: String::new() }));
                    broken = Some((seat, serial, what.0));
                }
            },
            Some(Err(TaskError::Crashed(crash))) => end = Some(self.crashed(&parcel, crash)),
            Some(Err(error)) => end = Some(Err(error)),
        }
        if is_over {
            parcel.is_over();
        }
        if let Some(end) = end {
            parcel.complete(end);
        }
        broken
    }

    fn crashed(&self, parcel: &Parcel, crash: Crash) -> Result<Packed, TaskError> {
        if let Some(crashes) = self.poison.record(parcel, Instant::now()) {
            self.say(&PoolEvent::Poisoned { task: self.names[parcel.kind], crashes });
        }
        Err(crash.into())
    }

    /// Tells the listener. Its panics are its own.
    pub(super) fn say(&self, event: &PoolEvent) {
        if let Some(listener) = &self.listener {
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| listener(event)));
        }
    }
}

impl Inner {
    /// No handle is left, or a drain took too long: everything ends now.
    pub(super) fn give_up(&self) {
        let mut guard = self.lock();
        let floor = &mut *guard;
        floor.state.give_up(&mut floor.table);
        self.settle(guard);
    }

    /// A task was not taken.
    pub(super) fn refused(&self, error: &TaskError) {
        self.lock().state.tally.count::<()>(&Err(error.clone()));
    }

    pub(super) fn metrics(&self) -> PoolMetrics {
        let mut guard = self.lock();
        let state = &mut guard.state;
        let now = Instant::now();
        let (processes, starting) = state.population();
        let (least, most, queue_limit) = state.bounds();
        let tally = &state.tally;
        PoolMetrics {
            processes,
            starting,
            min_processes: least,
            max_processes: most,
            started: tally.started,
            failed_starts: tally.failed_starts,
            last_failure: state.last_failure().map(str::to_owned),
            died: tally.died,
            killed: tally.killed,
            recycled: tally.recycled,
            queued: state.queued(),
            queue_limit,
            running: state.placed(),
            completed: tally.completed,
            failed: tally.failed,
            panicked: tally.panicked,
            crashed: tally.crashed,
            timed_out: tally.timed_out,
            cancelled: tally.cancelled,
            refused: tally.refused,
            poisoned: tally.poisoned,
            dispatched_again: tally.dispatched_again,
            ran_without_permit: state.ran_without_permit(),
            busy: tally.busy,
            age: now.saturating_duration_since(self.started),
            wait: tally.wait.distribution(),
            run: tally.run.distribution(),
            predicted_wait: state.predicted_wait(now),
        }
    }
}
