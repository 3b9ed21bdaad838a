//! Reload: every place gets a worker of a new generation, one place after the other; and the way back.
//!
//! ```text
//!   Reload ──► the next place (those that serve first) ──► replaced ──► … ──► all replaced, the last proven ──► done
//!     │            │ a new worker fails
//!     │            ▼
//!     │         RollBack ──► each place that was replaced, with the generation that it had ──► failed, with the words
//!     └─ stop, or all are told to leave ──► failed
//! ```

use super::process::{Part, Process};
use super::replacement::Purpose;
use super::room::{Haste, Order};
use super::{Action, Birth, Now, Operation, Phase, Supervisor, Turn};

/// A reload that is under way.
#[derive(Debug)]
pub(super) struct Reload {
    operation: u64,
    generation: u32,
    replaced: Vec<Replaced>,
    /// When the last new worker has proven itself.
    pub(super) settled_at: Now,
}

/// A place that has a worker of the new generation.
#[derive(Debug, Clone, Copy)]
struct Replaced {
    seat: usize,
    /// The generation that it had.
    before: u32,
}

/// A reload that is being undone.
#[derive(Debug)]
pub(super) struct RollBack {
    operation: u64,
    why: String,
    /// Places that had been replaced, of how many.
    replaced: usize,
    of: usize,
    /// Places that are still to be taken back.
    left: Vec<Replaced>,
    /// Places that could not be taken back, and why.
    kept: Vec<String>,
}

impl Supervisor {
    pub(super) fn reload(&mut self, operation: u64, generation: u32, now: Now, out: &mut Vec<Action>) {
        let newest = self.seats.iter().map(|seat| seat.generation).fold(self.generation, u32::max);
        if generation <= newest {
            let why = format!("generation {generation} is not newer than generation {newest}");
            out.push(Action::Over { operation, result: Err(why) });
        } else if self.may_begin(operation, now, out) {
            self.operation =
                Some(Operation::Reload(Reload { operation, generation, replaced: Vec::new(), settled_at: now }));
        }
    }

    pub(super) fn reload_turn(&mut self, now: Now, out: &mut Vec<Action>) -> Turn {
        let Some(Operation::Reload(reload)) = &self.operation else { return Turn::Waits };
        let (generation, settled_at) = (reload.generation, reload.settled_at);
        if let Some(seat) = self.next_to_reload(generation) {
            return match self.order_of_replacement(seat, Haste::Patient, now, out) {
                Order::Later => Turn::Waits,
                order => {
                    self.replace(seat, generation, order, Purpose::Reload, now, out);
                    Turn::Goes
                }
            };
        }
        self.room.is_not_needed();
        if now < settled_at {
            return Turn::Waits;
        }
        self.generation = generation;
        self.operation_is_over(Ok(()), out);
        Turn::Goes
    }

    /// A place with older workers: one that serves before one that does not, which is tried last.
    fn next_to_reload(&self, generation: u32) -> Option<usize> {
        let old = |seat: &usize| self.seats[*seat].wanted() && self.seats[*seat].generation != generation;
        let serves = |seat: &usize| self.current(*seat).is_some_and(Process::serves);
        let seats = 0..self.seats.len();
        seats.clone().filter(old).find(serves).or_else(|| seats.clone().find(old))
    }

    pub(super) fn reload_has_replaced_none(&self) -> bool {
        matches!(&self.operation, Some(Operation::Reload(reload)) if reload.replaced.is_empty())
    }

    /// The generation of a reload that is under way.
    pub(super) fn reloads_to(&self) -> Option<u32> {
        match &self.operation {
            Some(Operation::Reload(reload)) => Some(reload.generation),
            _ => None,
        }
    }

    pub(super) fn place_reloaded(&mut self, seat: usize, before: u32, now: Now) {
        let proof = self.policy.proof;
        if let Some(Operation::Reload(reload)) = &mut self.operation {
            // The first one has served that long already.
            reload.settled_at = if reload.replaced.is_empty() { now } else { now + proof };
            reload.replaced.push(Replaced { seat, before });
        }
    }

    /// A place lost its worker before that was ready, or within a moment: if it is a new one, the reload has failed.
    pub(super) fn reloaded_place_failed(&mut self, birth: &Birth, words: String, now: Now, out: &mut Vec<Action>) {
        let seat = usize::from(birth.place.0);
        let ours = matches!(&self.operation, Some(Operation::Reload(reload))
            if reload.generation == birth.generation && reload.replaced.iter().any(|place| place.seat == seat));
        if ours {
            self.reload_failed(format!("place {seat}: worker {}: {words}", birth.worker), now, out);
        }
    }

    /// From here on no worker of the new generation is started; the places that have one get their old one back.
    pub(super) fn reload_failed(&mut self, words: String, now: Now, out: &mut Vec<Action>) {
        let Some(Operation::Reload(reload)) = self.operation.take() else { return };
        self.abandon_replacement(now, out);
        for place in &reload.replaced {
            self.seats[place.seat].generation = place.before;
        }
        self.operation = Some(Operation::RollBack(RollBack {
            operation: reload.operation,
            why: words,
            replaced: reload.replaced.len(),
            of: self.wanted(),
            left: reload.replaced,
            kept: Vec::new(),
        }));
    }

    pub(super) fn roll_back_turn(&mut self, now: Now, out: &mut Vec<Action>) -> Turn {
        match self.next_to_roll_back() {
            Some(place) => {
                let order = self.order_of_replacement(place.seat, Haste::AtOnce, now, out);
                self.replace(place.seat, place.before, order, Purpose::RollBack, now, out);
            }
            None => self.roll_back_is_over(out),
        }
        Turn::Goes
    }

    /// A place that does not serve comes before those that do. One that was left, or has its old generation again
    /// because the new worker died, needs nothing.
    fn next_to_roll_back(&mut self) -> Option<Replaced> {
        let needs = |place: &Replaced, processes: &[Process]| {
            let mut current = processes.iter().filter(|process| process.part == Part::Current);
            current.find(|process| process.seat() == place.seat).map(|process| process.birth.generation)
                != Some(place.before)
        };
        let Some(Operation::RollBack(back)) = &mut self.operation else { return None };
        back.left.retain(|place| self.seats[place.seat].wanted() && needs(place, &self.processes));
        let serves = |place: &Replaced| {
            let mut serving = self.processes.iter().filter(|process| process.part == Part::Current && process.serves());
            serving.any(|process| process.seat() == place.seat)
        };
        let next = back.left.iter().position(|place| !serves(place)).unwrap_or(0);
        (next < back.left.len()).then(|| back.left.remove(next))
    }

    /// The place keeps what it has. When that ends, the old generation is tried again.
    pub(super) fn roll_back_failed(&mut self, words: String) {
        if let Some(Operation::RollBack(back)) = &mut self.operation {
            back.kept.push(words);
        }
    }

    fn roll_back_is_over(&mut self, out: &mut Vec<Action>) {
        let Some(Operation::RollBack(back)) = &self.operation else { return };
        let why = back.words();
        self.operation_is_over(Err(why), out);
    }

    /// Whether an operation may begin; if not, it is over already.
    pub(super) fn may_begin(&mut self, operation: u64, now: Now, out: &mut Vec<Action>) -> bool {
        let why = match &self.operation {
            _ if self.phase == Phase::Stopping => "the cluster stops".into(),
            Some(other) => format!("operation {} is under way; try again when it is over", other.number()),
            None => {
                // Only recycling can be under way: it gives way.
                self.abandon_replacement(now, out);
                return true;
            }
        };
        out.push(Action::Over { operation, result: Err(why) });
        false
    }

    pub(super) fn operation_is_over(&mut self, result: Result<(), String>, out: &mut Vec<Action>) {
        if let Some(operation) = self.operation.take() {
            out.push(Action::Over { operation: operation.number(), result });
        }
    }
}

impl Reload {
    pub(super) fn number(&self) -> u64 {
        self.operation
    }
}

impl RollBack {
    fn words(&self) -> String {
        let RollBack { why, replaced, of, kept, .. } = self;
        match (replaced, kept.len()) {
            (0, _) => format!("{why}; no place had been replaced, the workers of before serve on"),
            (_, 0) => format!("{why}; {replaced} of {of} places had been replaced and were rolled back"),
            (_, some) => format!(
                "{why}; {replaced} of {of} places had been replaced, and all but {some} were rolled back; \
                 those keep the workers that they have: {}",
                kept.join("; ")
            ),
        }
    }

    pub(super) fn number(&self) -> u64 {
        self.operation
    }
}
