//! From one image of the primary to the next: what the old one hands down, and how the new one goes on.

use super::process::{End, Part, Process, State};
use super::recycle::Share;
use super::seat::{Rest, Seat};
use super::{Action, Adopted, Heritage, Inherited, KillReason, NextTry, Now, Phase, Stage, Supervisor, place};

impl Supervisor {
    /// What the next image of the primary has to know: feed it to its supervisor as [`Input::Adopt`](super::Input::Adopt).
    /// Histories are not handed down: a place that backed off begins anew.
    pub fn heritage(&self, now: Now) -> Heritage {
        let inherited = |index: usize| {
            let seat = &self.seats[index];
            let next_try = match seat.rest {
                Rest::GivenUp => NextTry::AtReload,
                rest => NextTry::In(rest.wakes_at().map_or(Now::ZERO, |at| at.saturating_sub(now))),
            };
            Inherited { place: place(index), generation: seat.generation, next_try }
        };
        let adopted = |process: &Process| Adopted {
            birth: process.birth,
            stage: match process.state {
                State::Booting { .. } => Stage::Starting,
                State::Probing { .. } | State::Serving { .. } | State::Hung { .. } => Stage::Ready,
                State::Draining { .. } => Stage::Leaving,
                State::Dying { .. } => Stage::Killed,
            },
            listens: process.listens,
        };
        let by_part = |part: Part| self.processes.iter().filter(move |process| process.part == part).map(adopted);
        Heritage {
            next_worker: self.next_worker,
            generation: self.generation,
            places: (0..self.seats.len()).filter(|index| self.seats[*index].wanted()).map(inherited).collect(),
            workers: by_part(Part::Current).chain(by_part(Part::Past)).chain(by_part(Part::Successor)).collect(),
        }
    }

    pub(super) fn adopt(&mut self, heritage: Heritage, now: Now, out: &mut Vec<Action>) {
        self.phase = Phase::Running;
        self.generation = heritage.generation;
        let youngest = heritage.workers.iter().map(|worker| worker.birth.worker.get()).max().unwrap_or(0);
        self.next_worker = heritage.next_worker.max(youngest + 1);
        for inherited in &heritage.places {
            let seat = self.seat_for(inherited.place.0);
            seat.generation = inherited.generation;
            seat.rest = match inherited.next_try {
                NextTry::In(time) => Rest::Waiting { until: now + time },
                NextTry::AtReload => Rest::GivenUp,
            };
        }
        for worker in &heritage.workers {
            self.pages.claim(worker.birth.page);
        }
        for worker in heritage.workers {
            self.adopt_worker(worker, now, out);
        }
    }

    fn seat_for(&mut self, index: u16) -> &mut Seat {
        let index = usize::from(index);
        let generation = self.generation;
        while self.seats.len() <= index {
            self.seats.push(Seat::vacant(generation));
        }
        &mut self.seats[index]
    }

    /// The first of a place that does not leave holds it. A second one was to replace it; that is not gone on with, and
    /// it holds no connection yet.
    fn adopt_worker(&mut self, adopted: Adopted, now: Now, out: &mut Vec<Action>) {
        let birth = adopted.birth;
        let stays = matches!(adopted.stage, Stage::Starting | Stage::Ready);
        let holds = stays && self.current(usize::from(birth.place.0)).is_none();
        let seat = self.seat_for(birth.place.0);
        if holds && !seat.wanted() {
            seat.generation = birth.generation;
        }
        if holds {
            seat.rest = Rest::Taken;
        }
        let state = match adopted.stage {
            Stage::Starting => State::Booting { kill_at: now + self.policy.boot_deadline },
            Stage::Ready => State::Serving { since: now },
            Stage::Leaving => State::Draining { kill_at: now + self.policy.drain_deadline + self.policy.drain_grace },
            Stage::Killed => State::Dying { end: End::Voluntary },
        };
        let part = if holds { Part::Current } else { Part::Past };
        let share = Share::draw(&self.policy, &mut self.random);
        self.processes.push(Process { listens: adopted.listens, ..Process::new(birth, part, state, now, share) });
        if stays && !holds {
            self.kill(birth.worker, KillReason::Unneeded, None, now, out);
        } else if holds && adopted.stage == Stage::Ready && birth.held {
            out.push(Action::Admit(birth.worker));
        }
    }
}
