//! The end of the cluster: when it is told to stop, when it cannot begin, and when nothing is left to do.

use super::process::{Part, State};
use super::seat::Rest;
use super::{Action, Departure, KillReason, Now, Outcome, Phase, Supervisor};

impl Supervisor {
    pub(super) fn stop(&mut self, now: Now, out: &mut Vec<Action>) {
        self.begin_to_stop(out);
        self.dismiss_all(now, out);
    }

    /// Tells every worker to leave with all the others.
    fn dismiss_all(&mut self, now: Now, out: &mut Vec<Action>) {
        for index in 0..self.processes.len() {
            let process = &self.processes[index];
            // What was not let in yet has no business with the connections that wait.
            let departure = match (process.part, process.state) {
                (Part::Successor, State::Booting { .. } | State::Probing { .. }) => Departure::Alone,
                _ => Departure::WithAll,
            };
            self.dismiss(self.processes[index].birth.worker, departure, now, out);
        }
    }

    pub(super) fn stop_now(&mut self, now: Now, out: &mut Vec<Action>) {
        self.begin_to_stop(out);
        for index in 0..self.processes.len() {
            let process = &mut self.processes[index];
            process.part = Part::Past;
            if !matches!(process.state, State::Dying { .. }) {
                self.kill(self.processes[index].birth.worker, KillReason::StopNow, None, now, out);
            }
        }
    }

    /// The cluster ends with this as soon as every process has.
    pub(super) fn end_with(&mut self, outcome: Outcome, now: Now, out: &mut Vec<Action>) {
        self.ending = Some(outcome);
        self.stop_now(now, out);
    }

    fn begin_to_stop(&mut self, out: &mut Vec<Action>) {
        self.phase = Phase::Stopping;
        self.replacement = None;
        self.room.is_not_needed();
        self.operation_is_over(Err("the cluster stops".into()), out);
        self.seats.iter_mut().for_each(|seat| seat.rest = Rest::Vacant);
    }

    /// A cluster that never served has not lost anybody, and one that stops closes its listeners for another reason.
    pub(super) fn may_be_idle(&self) -> bool {
        self.phase == Phase::Running
    }

    pub(super) fn finish_if_over(&mut self, out: &mut Vec<Action>) {
        let waits_for_nothing = self.seats.iter().all(|seat| matches!(seat.rest, Rest::Vacant | Rest::GivenUp));
        let began = self.phase != Phase::Starting || !self.seats.is_empty() || !self.forks_expected;
        if !(self.processes.is_empty() && waits_for_nothing && began) {
            return;
        }
        self.phase = Phase::Finished;
        self.operation_is_over(Err("the cluster has ended".into()), out);
        let given_up = self.seats.iter().any(|seat| seat.rest == Rest::GivenUp);
        let by_itself = match given_up {
            true => Outcome::GivenUp { error: self.given_up_because.take() },
            false => Outcome::Done,
        };
        out.push(Action::Finish(self.ending.take().unwrap_or(by_itself)));
    }
}
