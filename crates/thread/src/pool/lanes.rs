//! Two queues of one priority: cheap jobs and heavy ones, each first in, first out.
//!
//! Jobs that should take less than [`CHEAP`] have a lane of their own, so that they need not wait behind heavy ones.
//! **The rule:** while jobs wait in both lanes, cheap ones go first, but after [`CHEAP_PER_HEAVY`] of them in a row one
//! heavy job goes. So the heavy job at position *p* of its lane is overtaken by at most `8 × p` cheap jobs, and a cheap
//! job at position *p* of its lane by at most `p / 8 + 1` heavy ones that were submitted later. Inside a lane nobody
//! overtakes. (Between priorities: `levels.rs`.)
//!
//! A job that is withdrawn (its caller is gone) leaves at once. Its empty place leaves when it is reached, or earlier when
//! empty places outnumber jobs. What the queue must know of a job stands in its place, so that to take one out under the
//! lock touches nothing of the job itself, which lies in the cache of another core.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::pool::clock::{NEVER, Nanos};
use crate::pool::priority::Priority;

/// Jobs estimated below this are cheap.
pub(crate) const CHEAP: Duration = Duration::from_millis(5);
/// How many cheap jobs may start in a row while a heavy one waits.
pub(crate) const CHEAP_PER_HEAVY: u64 = 8;
/// Empty places that there may always be; sweeping fewer is not worth the walk.
const SPARE_PLACES: usize = 32;

/// Where a job stands in its lane: a number that counts on from place to place. Only used under the lock of the lanes.
#[derive(Debug, Default)]
pub(crate) struct Place(AtomicU64);

/// Of a job that was never pushed, or was withdrawn. The first place has a higher number.
const NOWHERE: u64 = 0;

impl Place {
    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self, number: u64) {
        self.0.store(number, Ordering::Relaxed);
    }
}

/// What the lanes must know of a job.
pub(crate) trait Entry: Clone {
    /// Its estimated run time in nanoseconds.
    fn cost(&self) -> u64;
    /// Called before it is pushed, never after.
    fn set_cost(&self, nanos: u64);
    fn place(&self) -> &Place;
    fn priority(&self) -> Priority;
    /// When it is too late for it while it waits.
    fn due_in_queue(&self) -> Nanos;
    /// When it is too late for it on its thread, where it began at `started` or is about to begin.
    fn due_on_thread(&self, started: Option<Nanos>) -> Nanos;
    /// Whether it can ever be too late for it.
    fn has_deadline(&self) -> bool;
    /// Whether both are the same job.
    fn is(&self, other: &Self) -> bool;
}

/// A job in its lane.
#[derive(Debug)]
struct Waiting<J> {
    job: J,
    cost: u64,
    /// When it is too late for it.
    due: Nanos,
}

#[derive(Debug)]
struct Lane<J> {
    /// `None`: the job was withdrawn.
    places: VecDeque<Option<Waiting<J>>>,
    /// The number of the first place.
    first: u64,
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

impl<J: Entry> Lanes<J> {
    pub(crate) fn new() -> Lanes<J> {
        Lanes { cheap: Lane::new(), heavy: Lane::new(), cheap_in_a_row: 0 }
    }

    /// How many jobs wait.
    pub(crate) fn len(&self) -> usize {
        self.cheap.waiting + self.heavy.waiting
    }

    /// The cost that will be worked off before a new job of `cost` starts.
    pub(crate) fn cost_ahead_of(&self, cost: u64) -> u64 {
        if !is_cheap(cost) {
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

    /// Appends a job.
    pub(crate) fn push(&mut self, job: J) {
        let lane = if is_cheap(job.cost()) { &mut self.cheap } else { &mut self.heavy };
        lane.push(job);
    }

    /// The next job by the rule, and its cost.
    pub(crate) fn pop(&mut self) -> Option<(J, u64)> {
        let heavy_is_due = self.cheap_in_a_row >= CHEAP_PER_HEAVY || self.cheap.waiting == 0;
        if self.heavy.waiting > 0 && heavy_is_due {
            self.cheap_in_a_row = 0;
            self.heavy.pop()
        } else {
            self.cheap_in_a_row = if self.heavy.waiting > 0 { self.cheap_in_a_row + 1 } else { 0 };
            self.cheap.pop()
        }
    }

    /// Takes a job out; what the lane had of it, if it was waiting.
    pub(crate) fn withdraw(&mut self, job: &J) -> Option<J> {
        let lane = if is_cheap(job.cost()) { &mut self.cheap } else { &mut self.heavy };
        lane.withdraw(job.place().get())
    }

    /// Empties both lanes into `jobs`.
    pub(crate) fn take_all(&mut self, jobs: &mut Vec<J>) {
        while let Some((job, _)) = self.pop() {
            jobs.push(job);
        }
    }

    /// Puts clones of those for which it is too late into `overdue`; the earliest time among the others.
    pub(crate) fn overdue(&self, now: Nanos, overdue: &mut Vec<J>) -> Nanos {
        let mut earliest = NEVER;
        for waiting in self.cheap.places.iter().chain(&self.heavy.places).flatten() {
            if waiting.due > now {
                earliest = earliest.min(waiting.due);
            } else {
                overdue.push(waiting.job.clone());
            }
        }
        earliest
    }
}

impl<J: Entry> Lane<J> {
    fn new() -> Lane<J> {
        Lane { places: VecDeque::new(), first: NOWHERE + 1, waiting: 0, cost: 0 }
    }

    fn push(&mut self, job: J) {
        job.place().set(self.first + self.places.len() as u64);
        let (cost, due) = (job.cost(), job.due_in_queue());
        self.waiting += 1;
        self.cost = self.cost.saturating_add(cost);
        self.places.push_back(Some(Waiting { job, cost, due }));
    }

    fn pop(&mut self) -> Option<(J, u64)> {
        while let Some(place) = self.places.pop_front() {
            self.first += 1;
            if let Some(Waiting { job, cost, .. }) = place {
                self.leave(cost);
                return Some((job, cost));
            }
        }
        None
    }

    fn withdraw(&mut self, number: u64) -> Option<J> {
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
        let Waiting { job, cost, .. } = self.places.get_mut(index)?.take()?;
        // A sweep gives numbers out again; those of jobs that were popped are too low for that.
        job.place().set(NOWHERE);
        self.leave(cost);
        self.sweep();
        Some(job)
    }

    fn leave(&mut self, cost: u64) {
        self.waiting -= 1;
        self.cost = self.cost.saturating_sub(cost);
    }

    /// Removes the empty places once they outnumber the jobs, so that the walk costs each of them a constant.
    fn sweep(&mut self) {
        if self.places.len() - self.waiting <= self.waiting + SPARE_PLACES {
            return;
        }
        self.places.retain(Option::is_some);
        for (number, waiting) in (self.first..).zip(self.places.iter().flatten()) {
            waiting.job.place().set(number);
        }
    }
}

fn is_cheap(cost: u64) -> bool {
    u128::from(cost) < CHEAP.as_nanos()
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::rc::Rc;

    const MS: u64 = 1_000_000;

    #[derive(Debug, Clone)]
    struct Job(Rc<(u32, u64, Place)>);

    impl Job {
        fn new(name: u32, cost: u64) -> Job {
            Job(Rc::new((name, cost, Place::default())))
        }
    }

    impl Entry for Job {
        fn cost(&self) -> u64 {
            self.0.1
        }

        fn set_cost(&self, _nanos: u64) {}

        fn place(&self) -> &Place {
            &self.0.2
        }

        fn priority(&self) -> Priority {
            Priority::DEFAULT
        }

        fn due_in_queue(&self) -> Nanos {
            NEVER
        }

        fn due_on_thread(&self, _started: Option<Nanos>) -> Nanos {
            NEVER
        }

        fn has_deadline(&self) -> bool {
            false
        }

        fn is(&self, other: &Job) -> bool {
            Rc::ptr_eq(&self.0, &other.0)
        }
    }

    fn pop(lanes: &mut Lanes<Job>) -> Option<u32> {
        lanes.pop().map(|(job, _)| job.0.0)
    }

    #[test]
    fn cheap_jobs_overtake_heavy_ones_but_at_most_eight_in_a_row() {
        let mut lanes = Lanes::new();
        (0..3).for_each(|name| lanes.push(Job::new(1000 + name, 50 * MS)));
        (0..20).for_each(|name| lanes.push(Job::new(name, MS)));
        let order: Vec<_> = std::iter::from_fn(|| pop(&mut lanes)).collect();
        let expected: Vec<u32> = (0..8).chain([1000]).chain(8..16).chain([1001]).chain(16..20).chain([1002]).collect();
        assert_eq!(order, expected);
    }

    #[test]
    fn a_cheap_job_waits_for_few_heavy_ones_and_a_heavy_one_for_all() {
        let mut lanes = Lanes::new();
        (0..4).for_each(|name| lanes.push(Job::new(name, 100 * MS)));
        assert_eq!(lanes.cost_ahead_of(MS), 0);
        assert_eq!(lanes.cost_ahead_of(100 * MS), 400 * MS);
        (0..8).for_each(|name| lanes.push(Job::new(name, MS)));
        assert_eq!(lanes.cost_ahead_of(MS), 108 * MS);
    }

    #[test]
    fn withdrawn_jobs_do_not_pile_up() {
        let mut lanes = Lanes::new();
        for name in 0..10_000 {
            let job = Job::new(name, MS);
            lanes.push(job.clone());
            assert!(lanes.withdraw(&job).is_some());
            assert!(lanes.withdraw(&job).is_none(), "withdrawn once");
            assert!(lanes.cheap.places.len() <= SPARE_PLACES + 1);
        }
        assert_eq!((lanes.len(), lanes.total_cost()), (0, 0));
    }

    #[test]
    fn a_job_that_was_withdrawn_takes_no_other_with_it_when_it_is_withdrawn_again() {
        let mut lanes = Lanes::new();
        let jobs: Vec<_> = (0..200).map(|name| Job::new(name, MS)).collect();
        jobs.iter().for_each(|job| lanes.push(job.clone()));
        let (gone, kept) = jobs.split_at(150);
        assert!(gone.iter().all(|job| lanes.withdraw(job).is_some()));
        assert!(gone.iter().all(|job| lanes.withdraw(job).is_none()));
        assert_eq!(lanes.len(), kept.len());
        assert_eq!(pop(&mut lanes), Some(150));
    }

    #[derive(Debug, Clone)]
    enum Step {
        Push(u64),
        Pop,
        Withdraw(prop::sample::Index),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            3 => prop_oneof![Just(MS), Just(20 * MS), any::<u64>()].prop_map(Step::Push),
            2 => Just(Step::Pop),
            1 => any::<prop::sample::Index>().prop_map(Step::Withdraw),
        ];
        prop::collection::vec(step, 0..200)
    }

    proptest! {
        /// Against two plain lists: no job is lost, none comes twice, each lane keeps its order.
        #[test]
        fn lanes_behave_like_two_lists(steps in steps()) {
            let mut lanes = Lanes::new();
            let mut model: Vec<Job> = Vec::new();
            let mut cheap_in_a_row = 0;
            for (name, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Push(cost) => {
                        let job = Job::new(name as u32, cost);
                        lanes.push(job.clone());
                        model.push(job);
                    }
                    Step::Pop => {
                        let first = |cheap: bool| model.iter().position(|job| is_cheap(job.cost()) == cheap);
                        let expected = match (first(true), first(false)) {
                            (Some(cheap), Some(_)) if cheap_in_a_row < CHEAP_PER_HEAVY => { cheap_in_a_row += 1; Some(cheap) }
                            (_, Some(heavy)) => { cheap_in_a_row = 0; Some(heavy) }
                            (cheap, None) => { cheap_in_a_row = 0; cheap }
                        };
                        prop_assert_eq!(pop(&mut lanes), expected.map(|index| model.remove(index).0.0));
                    }
                    Step::Withdraw(index) if !model.is_empty() => {
                        let job = model.remove(index.index(model.len()));
                        let withdrawn = lanes.withdraw(&job);
                        prop_assert_eq!(withdrawn.map(|it| it.0.0), Some(job.0.0));
                    }
                    Step::Withdraw(_) => {}
                }
                prop_assert_eq!(lanes.len(), model.len());
            }
            let mut rest = Vec::new();
            lanes.take_all(&mut rest);
            prop_assert_eq!(rest.len(), model.len());
            prop_assert!(rest.iter().all(|job| model.iter().any(|kept| kept.0.0 == job.0.0)));
            prop_assert!(rest.iter().all(|job| lanes.withdraw(job).is_none()), "what was taken is gone");
        }
    }
}
