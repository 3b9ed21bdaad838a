//! More places and fewer: forks, departures, and the operation that asks for a number.

use super::process::Part;
use super::{Action, Birth, Now, Operation, Supervisor, Turn, WorkerId};
use crate::id::MAX_SLOTS;

/// More places that are on their way.
#[derive(Debug)]
pub(super) struct ScaleUp {
    operation: u64,
    /// The new places.
    added: Vec<usize>,
    /// Those whose worker was not ready yet.
    awaited: Vec<usize>,
}

impl ScaleUp {
    pub(super) fn number(&self) -> u64 {
        self.operation
    }
}

impl Supervisor {
    pub(super) fn scale(&mut self, operation: u64, workers: usize, now: Now, out: &mut Vec<Action>) {
        if !(1..=MAX_SLOTS).contains(&workers) {
            let why = format!("{workers} workers: a cluster can have 1 to {MAX_SLOTS}");
            out.push(Action::Over { operation, result: Err(why) });
            return;
        }
        if !self.may_begin(operation, now, out) {
            return;
        }
        let missing = workers.saturating_sub(self.wanted());
        let added: Vec<usize> = (0..missing).filter_map(|_| self.add_seat(now, out)).collect();
        let excess = self.wanted().saturating_sub(workers);
        let highest = (0..self.seats.len()).rev().filter(|seat| self.seats[*seat].wanted());
        for seat in highest.take(excess).collect::<Vec<usize>>() {
            self.leave_for_good(seat, now, out);
        }
        self.operation = Some(Operation::ScaleUp(ScaleUp { operation, awaited: added.clone(), added }));
    }

    pub(super) fn scale_turn(&mut self, out: &mut Vec<Action>) -> Turn {
        self.room.is_not_needed();
        let Some(Operation::ScaleUp(scale)) = &mut self.operation else { return Turn::Waits };
        scale.awaited.retain(|seat| {
            let mut current = self.processes.iter().filter(|process| process.part == Part::Current);
            self.seats[*seat].wanted() && !current.any(|process| process.seat() == *seat && process.serves())
        });
        if !scale.awaited.is_empty() {
            return Turn::Waits;
        }
        self.operation_is_over(Ok(()), out);
        Turn::Goes
    }

    /// A worker failed. If it is one of those that are awaited, the new places are left again.
    pub(super) fn scale_failed(&mut self, birth: &Birth, words: &str, now: Now, out: &mut Vec<Action>) -> bool {
        let seat = usize::from(birth.place.0);
        let awaited = self
            .operation
            .take_if(|operation| matches!(operation, Operation::ScaleUp(scale) if scale.awaited.contains(&seat)));
        let Some(Operation::ScaleUp(scale)) = awaited else { return false };
        for seat in scale.added {
            self.leave_for_good(seat, now, out);
        }
        let (worker, left) = (birth.worker, self.wanted());
        let why = format!("place {seat}: worker {worker}: {words}; the cluster has {left} places, as before");
        out.push(Action::Over { operation: scale.operation, result: Err(why) });
        true
    }

    /// The place is not wanted any more: its worker leaves, and nobody follows.
    pub(super) fn leave_for_good(&mut self, seat: usize, now: Now, out: &mut Vec<Action>) {
        self.vacate(seat, now, out);
        if let Some(worker) = self.current(seat).map(|process| process.birth.worker) {
            self.retire(worker, now, out);
        }
    }

    pub(super) fn disconnect(&mut self, worker: WorkerId, now: Now, out: &mut Vec<Action>) {
        let Some(process) = self.process(worker) else { return };
        let (birth, seat) = (process.birth, process.seat());
        match process.part {
            Part::Past => {}
            Part::Current => self.leave_for_good(seat, now, out),
            Part::Successor => {
                self.retire(worker, now, out);
                self.successor_failed(&birth, "it was told to leave".into(), now, out);
            }
        }
    }

    pub(super) fn disconnect_all(&mut self, now: Now, out: &mut Vec<Action>) {
        self.operation_is_over(Err("all workers were told to leave".into()), out);
        for seat in 0..self.seats.len() {
            self.leave_for_good(seat, now, out);
        }
    }
}
