//! [`Inner`]: what all handles, submissions and the keeper share, and how each of them does what the state has decided.
//!
//! One lock holds the state and the desks. Under it nothing is copied that is large, nobody is woken and nothing of the user is
//! dropped: that is done in [`Inner::settle`], which gives the lock back.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Instant;

use phalanx_thread::line::KeysInUse;

use crate::pool::builder::Listener;
use crate::pool::floor::Floor;
use crate::pool::parcel::Parcel;
use crate::pool::poison::Poison;
use crate::pool::state::{Ended, Seat};
use crate::pool::table::{Answered, Carried};
use crate::pool::{PoolEvent, PoolMetrics};
use crate::{Confinement, Crash, Ending, Packed, Registry, TaskError};

pub(super) struct Inner {
    floor: Mutex<Floor>,
    /// Threads that wait for the floor.
    wanted: AtomicUsize,
    /// Whether the keeper has left answers to the caller that it has woken.
    is_left: AtomicBool,
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

/// Who gives the floor back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Caller,
    Keeper,
}

impl Inner {
    pub(super) fn new(
        floor: Floor,
        ringer: OwnedFd,
        registry: &'static Registry,
        max_input: u64,
        poison_after: u32,
        listener: Option<Listener>,
    ) -> Inner {
        Inner {
            floor: Mutex::new(floor),
            wanted: AtomicUsize::new(0),
            is_left: AtomicBool::new(false),
            ringer,
            registry,
            names: registry.names().collect(),
            max_input,
            poison: Poison::new(poison_after),
            keys: KeysInUse::default(),
            confinements: Mutex::default(),
            listener,
            started: Instant::now(),
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
        guard.attend(&self.wanted);
        self.settle(guard);
    }

    /// The keeper has woken this caller for one answer, and has left it the others that were there.
    pub(super) fn read_what_is_left(&self) {
        if !self.is_left.load(Ordering::Relaxed) || !self.is_left.swap(false, Ordering::Relaxed) {
            return;
        }
        let mut guard = self.lock();
        let floor = &mut *guard;
        let now = Instant::now();
        floor.look(now);
        floor.state.dispatch(&mut floor.table, now);
        self.settle(guard);
    }

    /// The keeper leaves the answers that are there to a caller that it wakes.
    pub(super) fn leave_the_rest(&self) {
        self.is_left.store(true, Ordering::Relaxed);
    }

    /// Gives the floor back, and does what was decided on it: rings the keeper, tells the callers, copies inputs and outputs. Heavy
    /// ones are left to the keeper: this may be an event loop.
    pub(super) fn settle<'i>(&'i self, guard: MutexGuard<'i, Floor>) {
        self.settle_by(By::Caller, guard);
    }

    /// As [`settle`](Inner::settle), on the keeper's thread: copies what is heavy, too.
    pub(super) fn settle_as_keeper<'i>(&'i self, guard: MutexGuard<'i, Floor>) {
        self.settle_by(By::Keeper, guard);
    }

    fn settle_by<'i>(&'i self, by: By, mut guard: MutexGuard<'i, Floor>) {
        let mut kept = Vec::new();
        loop {
            let floor = &mut *guard;
            let mut ended = floor.state.take_ended();
            let heard = std::mem::take(&mut floor.heard);
            let mut carried = floor.table.take_carried();
            match by {
                By::Caller => floor.heavy.leave(&mut ended, &mut carried),
                By::Keeper => floor.heavy.take(&mut ended, &mut carried),
            }
            let spare = floor.state.spare_permits();
            let is_early = |due: Instant| floor.alarm.is_none_or(|alarm| due < alarm);
            let is_wanted = floor.state.has_orders()
                || floor.is_unheard
                || !floor.hellos.is_empty()
                || !floor.heavy.is_empty()
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
        self.give_up_by(By::Caller);
    }

    /// The keeper's thread ends: nobody is left to leave anything to.
    pub(super) fn give_up_as_keeper(&self) {
        self.give_up_by(By::Keeper);
    }

    fn give_up_by(&self, by: By) {
        let mut guard = self.lock();
        let floor = &mut *guard;
        floor.state.give_up(&mut floor.table);
        self.settle_by(by, guard);
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
