//! Everything that has a time: what is due, and when the next thing is.

use super::process::State;
use super::{Action, KillReason, Now, Operation, Supervisor};

impl Supervisor {
    /// The next moment at which [`Input::Elapsed`](super::Input::Elapsed) is due even if nothing happens.
    pub fn wakes_at(&self) -> Option<Now> {
        let processes = self.processes.iter().filter_map(|process| process.state.wakes_at());
        let seats = self.seats.iter().filter_map(|seat| seat.rest.wakes_at());
        let idle = self.idle_since.filter(|_| self.listeners_open).map(|since| since + self.policy.idle_close);
        let proof = self.replacement.as_ref().and_then(|replacement| replacement.proven_at);
        let room = self.room.wakes_at(self.policy.room_patience);
        let settled = match (&self.operation, &self.replacement) {
            // One that waits for room is not at its end.
            (Some(Operation::Reload(reload)), None) if room.is_none() => Some(reload.settled_at),
            _ => None,
        };
        processes.chain(seats).chain(idle).chain(proof).chain(settled).chain(room).min()
    }

    /// Does everything whose time has come.
    pub(super) fn clocks(&mut self, now: Now, out: &mut Vec<Action>) {
        for index in 0..self.processes.len() {
            let process = &self.processes[index];
            if process.state.wakes_at().is_some_and(|at| now >= at) {
                self.out_of_time(index, now, out);
            }
        }
        for seat in 0..self.seats.len() {
            if self.seats[seat].rest.wakes_at().is_some_and(|at| now >= at) {
                self.start_current(seat, now, out);
            }
        }
        if self.replacement.as_ref().is_some_and(|replacement| replacement.proven_at.is_some_and(|at| now >= at)) {
            self.take_over(now, out);
        }
    }

    fn out_of_time(&mut self, index: usize, now: Now, out: &mut Vec<Action>) {
        let policy = &self.policy;
        let (reason, words) = match self.processes[index].state {
            State::Booting { .. } => (KillReason::Boot, Some(format!("not ready within {:?}", policy.boot_deadline))),
            State::Probing { .. } => {
                (KillReason::Gate, Some(format!("its health gate did not answer within {:?}", policy.gate_deadline)))
            }
            State::Hung { .. } => (KillReason::Hung, Some(self.words_of_a_hang())),
            State::Draining { .. } => (KillReason::Drain, None),
            State::Serving { .. } | State::Dying { .. } => return,
        };
        self.kill(self.processes[index].birth.worker, reason, words, now, out);
    }

    /// No worker serves, and none was started, for too long: nobody is there for whoever connects.
    pub(super) fn close_listeners_if_idle(&mut self, now: Now, out: &mut Vec<Action>) {
        let serves = self.processes.iter().any(|process| process.serves());
        if serves || !self.may_be_idle() {
            self.idle_since = None;
            return;
        }
        let since = *self.idle_since.get_or_insert(now);
        if self.listeners_open && now >= since + self.policy.idle_close {
            self.listeners_open = false;
            out.push(Action::CloseListeners);
        }
    }
}
