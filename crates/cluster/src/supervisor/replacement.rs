//! One worker takes the place of another, new first: start → ready → health gate → the old one leaves. Where there is no
//! memory for both (`room`), old first: the old one leaves → is gone → start → ready → health gate.
//!
//! Never more than one replacement is under way in a cluster, whatever it is for. Until it has succeeded the old worker
//! holds the place as if nothing were: if it dies, it is restarted as always.

use super::life::Entry;
use super::process::{Part, State};
use super::room::Order;
use super::seat::Rest;
use super::{Action, Admission, Birth, KillReason, Now, Supervisor, WorkerId};

/// A replacement that is under way.
#[derive(Debug)]
pub(super) struct Replacement {
    pub(super) seat: usize,
    pub(super) stage: Stage,
    pub(super) purpose: Purpose,
    /// It serves beside the old one, which leaves at this time.
    pub(super) proven_at: Option<Now>,
}

/// How far a replacement is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Old first: this one leaves, and then one of that generation starts.
    Leaving { old: WorkerId, generation: u32 },
    /// The successor was started.
    Started(WorkerId),
}

impl Replacement {
    pub(super) fn successor(&self) -> Option<WorkerId> {
        match self.stage {
            Stage::Leaving { .. } => None,
            Stage::Started(successor) => Some(successor),
        }
    }
}

/// What a replacement is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A new generation.
    Reload,
    /// Back to the generation of before.
    RollBack,
    /// The same generation, fresh.
    Recycle,
}

impl Supervisor {
    /// Begins a replacement; what becomes of it is told to what it is for.
    pub(super) fn replace(
        &mut self,
        seat: usize,
        generation: u32,
        order: Order,
        purpose: Purpose,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        match (order, self.current(seat).map(|process| process.birth.worker)) {
            (Order::OldFirst, Some(old)) => {
                let stage = Stage::Leaving { old, generation };
                self.replacement = Some(Replacement { seat, stage, purpose, proven_at: None });
                self.seats[seat].rest = Rest::MakingRoom;
                if purpose == Purpose::Recycle {
                    self.leaves_recycled = Some(old);
                }
                self.retire(old, now, out);
            }
            _ => self.start_successor(seat, generation, purpose, now, out),
        }
    }

    /// A worker is gone; if it left to make room, its successor starts.
    pub(super) fn room_is_made(&mut self, worker: WorkerId, now: Now, out: &mut Vec<Action>) {
        let leaves = |stage: Stage| matches!(stage, Stage::Leaving { old, .. } if old == worker);
        let ours = self.replacement.take_if(|replacement| leaves(replacement.stage));
        if let Some(Replacement { seat, stage: Stage::Leaving { generation, .. }, purpose, .. }) = ours {
            self.start_successor(seat, generation, purpose, now, out);
        }
    }

    fn start_successor(&mut self, seat: usize, generation: u32, purpose: Purpose, now: Now, out: &mut Vec<Action>) {
        let entry = match (self.policy.admission, purpose) {
            (Admission::Ready, _) | (_, Purpose::RollBack) => Entry::Open,
            (Admission::Probed, _) => Entry::Held,
        };
        match self.start(seat, Part::Successor, generation, entry, now, out) {
            Some(successor) => {
                let stage = Stage::Started(successor);
                self.replacement = Some(Replacement { seat, stage, purpose, proven_at: None });
            }
            None => self.tell_failure(purpose, seat, None, "every page of the scoreboard is taken".into(), now, out),
        }
    }

    /// The successor serves, beside the old worker.
    pub(super) fn successor_serves(&mut self, now: Now, out: &mut Vec<Action>) {
        let first_of_reload = self.reload_has_replaced_none();
        let Some(replacement) = &mut self.replacement else { return };
        if replacement.purpose == Purpose::Reload && first_of_reload && !self.policy.proof.is_zero() {
            replacement.proven_at = Some(now + self.policy.proof);
        } else {
            self.take_over(now, out);
        }
    }

    /// The successor takes the place; the old worker leaves.
    pub(super) fn take_over(&mut self, now: Now, out: &mut Vec<Action>) {
        let Some(replacement) = self.replacement.take() else { return };
        let old = self.current(replacement.seat).map(|process| process.birth.worker);
        let generation = self.promote(&replacement);
        let seat = &mut self.seats[replacement.seat];
        let before = std::mem::replace(&mut seat.generation, generation);
        seat.heal();
        match replacement.purpose {
            Purpose::Reload => self.place_reloaded(replacement.seat, before, now),
            Purpose::RollBack => {}
            // Old first, it is gone.
            Purpose::Recycle => self.leaves_recycled = old,
        }
        if let Some(old) = old {
            self.retire(old, now, out);
        }
    }

    /// The place is the successor's. Its generation is returned.
    fn promote(&mut self, replacement: &Replacement) -> u32 {
        let seat = &mut self.seats[replacement.seat];
        seat.rest = Rest::Taken;
        let mut processes = self.processes.iter_mut();
        let successor = processes.find(|process| Some(process.birth.worker) == replacement.successor());
        successor.map_or(seat.generation, |process| {
            process.part = Part::Current;
            process.birth.generation
        })
    }

    /// The successor ended, was killed, or was told to leave, before it took the place.
    pub(super) fn successor_failed(&mut self, birth: &Birth, words: String, now: Now, out: &mut Vec<Action>) {
        let ours = self.replacement.take_if(|replacement| replacement.successor() == Some(birth.worker));
        if let Some(replacement) = ours {
            self.tell_failure(replacement.purpose, replacement.seat, Some(birth.worker), words, now, out);
        }
    }

    fn tell_failure(
        &mut self,
        purpose: Purpose,
        seat: usize,
        worker: Option<WorkerId>,
        words: String,
        now: Now,
        out: &mut Vec<Action>,
    ) {
        let who = worker.map_or_else(|| "no worker could be started".into(), |worker| format!("worker {worker}"));
        let words = format!("place {seat}: {who}: {words}");
        match purpose {
            Purpose::Reload => self.reload_failed(words, now, out),
            Purpose::RollBack => self.roll_back_failed(words),
            Purpose::Recycle => self.recycling_failed(seat, now, out),
        }
        self.fill_again(seat, now, out);
    }

    /// The successor is not needed after all. Nobody is told.
    pub(super) fn abandon_replacement(&mut self, now: Now, out: &mut Vec<Action>) {
        let Some(replacement) = self.replacement.take() else { return };
        if let Some(successor) = replacement.successor() {
            self.kill(successor, KillReason::Unneeded, None, now, out);
        }
        self.fill_again(replacement.seat, now, out);
    }

    /// The replacement by which this place is being recycled.
    pub(super) fn recycled_by(&self, seat: usize) -> Option<&Replacement> {
        self.replacement.as_ref().filter(|its| its.seat == seat && its.purpose == Purpose::Recycle)
    }

    /// The old worker died while it was being recycled: its successor, however far it is, holds the place.
    pub(super) fn successor_inherits(&mut self, now: Now, out: &mut Vec<Action>) {
        let Some(replacement) = self.replacement.take() else { return };
        self.promote(&replacement);
        let successor = replacement.successor().and_then(|successor| self.process(successor));
        if let Some(process) = successor.filter(|process| matches!(process.state, State::Probing { .. })) {
            self.admit(process.birth.worker, now, out);
        }
    }
}
