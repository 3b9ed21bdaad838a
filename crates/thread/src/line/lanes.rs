//! Two queues of one priority: cheap jobs and heavy ones, each first in, first out.
//!
//! Jobs that should take less than [`CHEAP`] have a lane of their own, so that they need not wait behind heavy ones.
//! **The rule:** while jobs wait in both lanes, cheap ones go first, but after [`CHEAP_PER_HEAVY`] of them in a row one
//! heavy job goes. So the heavy job at position *p* of its lane is overtaken by at most `8 × p` cheap jobs, and a cheap
//! job at position *p* of its lane by at most `p / 8 + 1` heavy ones that were submitted later. Inside a lane nobody
//! overtakes, but for jobs that come back: they stand in front. (Between priorities: `levels.rs`.)
//!
//! A job that is withdrawn (its caller is gone) leaves at once. Its empty place leaves when it is reached, or earlier when
//! empty places outnumber jobs. Places are numbered, and what the line must know of a job stands in its place, so that to
//! take one out under the lock touches nothing of the job itself, which lies in the cache of another core:
//!
//! ```text
//!   front │ those that came back or moved up │ places in a row                │ end
//!         │ -2   -1   3   7                  │ 11   12   13 (withdrawn)   14  │ ◄── push
//! ```

use std::collections::VecDeque;
use std::time::Duration;

use crate::line::key::Class;
use crate::line::time::{NEVER, Nanos};

/// Jobs estimated below this are cheap.
pub(crate) const CHEAP: Duration = Duration::from_millis(5);
/// How many cheap jobs may start in a row while a heavy one waits.
pub(crate) const CHEAP_PER_HEAVY: u64 = 8;
/// Empty places that there may always be; sweeping fewer is not worth the walk.
const SPARE_PLACES: usize = 32;

/// A job that waits, with what the line must know of it.
#[derive(Debug)]
pub(crate) struct Waiting<J> {
    pub(crate) job: J,
    /// Its estimated run time in nanoseconds.
    pub(crate) cost: u64,
    /// When it is too late for it.
    pub(crate) due: Nanos,
}

/// The place of a job that came back, or moved up when empty places were swept.
#[derive(Debug)]
struct Numbered<J> {
    /// Higher than that of every place before it, and never given twice.
    number: i64,
    waiting: Option<Waiting<J>>,
}

/// In each place `None` stands for a job that was withdrawn.
#[derive(Debug)]
struct Lane<J> {
    numbered: VecDeque<Numbered<J>>,
    /// Those behind, whose numbers count on from `first`.
    in_a_row: VecDeque<Option<Waiting<J>>>,
    first: i64,
    /// The number of the next place in front.
    next_in_front: i64,
    /// Places that are not empty, and the sum of their costs.
    waiting: usize,
    cost: u64,
}

#[derive(Debug)]
pub(crate) struct Lanes<J> {
    cheap: Lane<J>,
    heavy: Lane<J>,
    cheap_in_a_row: u64,
}

impl<J> Lanes<J> {
    pub(crate) fn new() -> Lanes<J> {
        Lanes { cheap: Lane::new(), heavy: Lane::new(), cheap_in_a_row: 0 }
    }

    /// How many jobs wait.
    pub(crate) fn len(&self) -> usize {
        self.cheap.waiting + self.heavy.waiting
    }

    /// The cost that will be worked off before a new job of `cost` starts.
    pub(crate) fn cost_ahead_of(&self, cost: u64) -> u64 {
        if class_of(cost) == Class::Heavy {
            return self.total_cost();
        }
        // Only as many heavy jobs as the rule lets in between; the mean stands for each of them.
        let heavy_jobs = self.heavy.waiting as u64;
        let in_between = heavy_jobs.min((self.cheap.waiting as u64 + self.cheap_in_a_row) / CHEAP_PER_HEAVY);
        let heavy = self.heavy.cost.checked_div(heavy_jobs).unwrap_or(0).saturating_mul(in_between);
        self.cheap.cost.saturating_add(heavy)
    }

    /// The estimated run time of all that wait.
    pub(crate) fn total_cost(&self) -> u64 {
        self.cheap.cost.saturating_add(self.heavy.cost)
    }

    /// Appends a job; where it stands.
    pub(crate) fn push(&mut self, waiting: Waiting<J>) -> (Class, i64) {
        let class = class_of(waiting.cost);
        (class, self.lane(class).push(waiting))
    }

    /// Puts a job before all of its lane; where it stands.
    pub(crate) fn push_in_front(&mut self, waiting: Waiting<J>) -> (Class, i64) {
        let class = class_of(waiting.cost);
        (class, self.lane(class).push_in_front(waiting))
    }

    /// The next job by the rule.
    pub(crate) fn pop(&mut self) -> Option<Waiting<J>> {
        let heavy_is_due = self.cheap_in_a_row >= CHEAP_PER_HEAVY || self.cheap.waiting == 0;
        if self.heavy.waiting > 0 && heavy_is_due {
            self.cheap_in_a_row = 0;
            self.heavy.pop()
        } else {
            self.cheap_in_a_row = if self.heavy.waiting > 0 { self.cheap_in_a_row + 1 } else { 0 };
            self.cheap.pop()
        }
    }

    /// Takes the job of this place out, if it waits there.
    pub(crate) fn withdraw(&mut self, class: Class, number: i64) -> Option<Waiting<J>> {
        self.lane(class).withdraw(number)
    }

    /// Empties both lanes into `jobs`.
    pub(crate) fn take_all(&mut self, jobs: &mut Vec<J>) {
        while let Some(waiting) = self.pop() {
            jobs.push(waiting.job);
        }
    }

    /// Shows all for which it is too late, with their places; the earliest time among the others.
    pub(crate) fn overdue(&self, now: Nanos, mut each: impl FnMut(Class, i64, &J)) -> Nanos {
        let mut earliest = NEVER;
        for (class, lane) in [(Class::Cheap, &self.cheap), (Class::Heavy, &self.heavy)] {
            for (number, waiting) in lane.all() {
                if waiting.due > now {
                    earliest = earliest.min(waiting.due);
                } else {
                    each(class, number, &waiting.job);
                }
            }
        }
        earliest
    }

    fn lane(&mut self, class: Class) -> &mut Lane<J> {
        match class {
            Class::Cheap => &mut self.cheap,
            Class::Heavy => &mut self.heavy,
        }
    }
}

impl<J> Lane<J> {
    fn new() -> Lane<J> {
        let (numbered, in_a_row) = (VecDeque::new(), VecDeque::new());
        Lane { numbered, in_a_row, first: 1, next_in_front: -1, waiting: 0, cost: 0 }
    }

    fn push(&mut self, waiting: Waiting<J>) -> i64 {
        let number = self.first + self.in_a_row.len() as i64;
        self.enter(waiting.cost);
        self.in_a_row.push_back(Some(waiting));
        number
    }

    fn push_in_front(&mut self, waiting: Waiting<J>) -> i64 {
        let number = self.next_in_front;
        self.next_in_front -= 1;
        self.enter(waiting.cost);
        self.numbered.push_front(Numbered { number, waiting: Some(waiting) });
        number
    }

    fn pop(&mut self) -> Option<Waiting<J>> {
        while let Some(place) = self.numbered.pop_front() {
            if place.waiting.is_some() {
                return self.leave(place.waiting);
            }
        }
        while let Some(place) = self.in_a_row.pop_front() {
            self.first += 1;
            if place.is_some() {
                return self.leave(place);
            }
        }
        None
    }

    fn withdraw(&mut self, number: i64) -> Option<Waiting<J>> {
        let place = match usize::try_from(number - self.first) {
            Ok(index) => self.in_a_row.get_mut(index)?,
            Err(_) => {
                let index = self.numbered.binary_search_by_key(&number, |place| place.number).ok()?;
                &mut self.numbered.get_mut(index)?.waiting
            }
        };
        let withdrawn = place.take();
        let withdrawn = self.leave(withdrawn);
        self.sweep();
        withdrawn
    }

    /// All that wait, with their numbers.
    fn all(&self) -> impl Iterator<Item = (i64, &Waiting<J>)> {
        let numbered = self.numbered.iter().map(|place| (place.number, &place.waiting));
        let in_a_row = (self.first..).zip(&self.in_a_row);
        numbered.chain(in_a_row).filter_map(|(number, waiting)| Some((number, waiting.as_ref()?)))
    }

    fn enter(&mut self, cost: u64) {
        self.waiting += 1;
        self.cost = self.cost.saturating_add(cost);
    }

    fn leave(&mut self, waiting: Option<Waiting<J>>) -> Option<Waiting<J>> {
        let waiting = waiting?;
        self.waiting -= 1;
        self.cost = self.cost.saturating_sub(waiting.cost);
        Some(waiting)
    }

    /// Removes the empty places once they outnumber the jobs, so that the walk costs each of them a constant. Those who
    /// move up keep their numbers.
    fn sweep(&mut self) {
        if self.numbered.len() + self.in_a_row.len() - self.waiting <= self.waiting + SPARE_PLACES {
            return;
        }
        self.numbered.retain(|place| place.waiting.is_some());
        for (number, waiting) in (self.first..).zip(self.in_a_row.drain(..)) {
            self.first = number + 1;
            if waiting.is_some() {
                self.numbered.push_back(Numbered { number, waiting });
            }
        }
    }
}

fn class_of(cost: u64) -> Class {
    if u128::from(cost) < CHEAP.as_nanos() { Class::Cheap } else { Class::Heavy }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: u64 = 1_000_000;

    fn waiting(job: u32, cost: u64) -> Waiting<u32> {
        Waiting { job, cost, due: NEVER }
    }

    fn pop(lanes: &mut Lanes<u32>) -> Option<u32> {
        lanes.pop().map(|waiting| waiting.job)
    }

    #[test]
    fn cheap_jobs_overtake_heavy_ones_but_at_most_eight_in_a_row() {
        let mut lanes = Lanes::new();
        for name in 0..3 {
            lanes.push(waiting(1000 + name, 50 * MS));
        }
        for name in 0..20 {
            lanes.push(waiting(name, MS));
        }
        let order: Vec<_> = std::iter::from_fn(|| pop(&mut lanes)).collect();
        let expected: Vec<u32> = (0..8).chain([1000]).chain(8..16).chain([1001]).chain(16..20).chain([1002]).collect();
        assert_eq!(order, expected);
    }

    #[test]
    fn a_cheap_job_waits_for_few_heavy_ones_and_a_heavy_one_for_all() {
        let mut lanes = Lanes::new();
        for name in 0..4 {
            lanes.push(waiting(name, 100 * MS));
        }
        assert_eq!(lanes.cost_ahead_of(MS), 0);
        assert_eq!(lanes.cost_ahead_of(100 * MS), 400 * MS);
        for name in 0..8 {
            lanes.push(waiting(name, MS));
        }
        assert_eq!(lanes.cost_ahead_of(MS), 108 * MS);
    }

    #[test]
    fn withdrawn_jobs_do_not_pile_up() {
        let mut lanes = Lanes::new();
        for name in 0..10_000 {
            let (class, number) = lanes.push(waiting(name, MS));
            assert!(lanes.withdraw(class, number).is_some());
            assert!(lanes.withdraw(class, number).is_none(), "withdrawn once");
            assert!(lanes.cheap.in_a_row.len() + lanes.cheap.numbered.len() <= SPARE_PLACES + 1);
        }
        assert_eq!((lanes.len(), lanes.total_cost()), (0, 0));
    }

    #[test]
    fn a_job_that_was_withdrawn_takes_no_other_with_it_when_it_is_withdrawn_again() {
        let mut lanes = Lanes::new();
        let places: Vec<_> = (0..200).map(|name| lanes.push(waiting(name, MS))).collect();
        let (gone, kept) = places.split_at(150);
        assert!(gone.iter().all(|(class, number)| lanes.withdraw(*class, *number).is_some()));
        assert!(gone.iter().all(|(class, number)| lanes.withdraw(*class, *number).is_none()));
        assert_eq!(lanes.len(), kept.len());
        assert_eq!(pop(&mut lanes), Some(150));
    }

    #[derive(Debug, Clone)]
    enum Step {
        Push(u64),
        PushInFront(u64),
        Pop,
        Withdraw(prop::sample::Index),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let cost = || prop_oneof![Just(MS), Just(20 * MS), any::<u64>()];
        let step = prop_oneof![
            6 => cost().prop_map(Step::Push),
            1 => cost().prop_map(Step::PushInFront),
            4 => Just(Step::Pop),
            2 => any::<prop::sample::Index>().prop_map(Step::Withdraw),
        ];
        prop::collection::vec(step, 0..300)
    }

    proptest! {
        /// Against two plain lists: no job is lost, none comes twice, each lane keeps its order, and the place of a job that
        /// is gone is nobody's.
        #[test]
        fn lanes_behave_like_two_lists(steps in steps()) {
            let mut lanes = Lanes::new();
            let mut model: Vec<(u32, (Class, i64))> = Vec::new();
            let mut gone: Vec<(Class, i64)> = Vec::new();
            let mut cheap_in_a_row = 0;
            for (name, step) in steps.into_iter().enumerate() {
                let name = name as u32;
                match step {
                    Step::Push(cost) => model.push((name, lanes.push(waiting(name, cost)))),
                    Step::PushInFront(cost) => model.insert(0, (name, lanes.push_in_front(waiting(name, cost)))),
                    Step::Pop => {
                        let first = |class: Class| model.iter().position(|(_, (its, _))| *its == class);
                        let expected = match (first(Class::Cheap), first(Class::Heavy)) {
                            (Some(cheap), Some(_)) if cheap_in_a_row < CHEAP_PER_HEAVY => { cheap_in_a_row += 1; Some(cheap) }
                            (_, Some(heavy)) => { cheap_in_a_row = 0; Some(heavy) }
                            (cheap, None) => { cheap_in_a_row = 0; cheap }
                        };
                        let expected = expected.map(|index| {
                            let (name, place) = model.remove(index);
                            gone.push(place);
                            name
                        });
                        prop_assert_eq!(pop(&mut lanes), expected);
                    }
                    Step::Withdraw(index) if !model.is_empty() => {
                        let (name, place) = model.remove(index.index(model.len()));
                        prop_assert_eq!(lanes.withdraw(place.0, place.1).map(|it| it.job), Some(name));
                        gone.push(place);
                    }
                    Step::Withdraw(_) => {}
                }
                prop_assert_eq!(lanes.len(), model.len());
            }
            prop_assert!(gone.iter().all(|(class, number)| lanes.withdraw(*class, *number).is_none()), "what is gone is gone");
            let mut rest = Vec::new();
            lanes.take_all(&mut rest);
            prop_assert_eq!(rest.len(), model.len());
            prop_assert!(rest.iter().all(|job| model.iter().any(|(kept, _)| kept == job)));
        }
    }
}
