//! The queue: bounded, and served by priority without starving anybody.
//!
//! Each priority has a level: two lanes (`lanes.rs`). **The rule:** the highest level that waits goes first; but once
//! [`PATIENCE`] jobs have started since a level had its turn (or since it began to wait), its turn has come; of several
//! such, the one that was passed over most.
//!
//! **The bound:** a level that waits is passed over at most `PATIENCE + 9` times in a row, since each of the nine others
//! can come before it once at most when its turn has come: after that it was passed over less. So the job at position
//! *p* of a level (by the rule inside the level) starts after at most `41 × p` jobs of other levels.

use crate::line::key::Key;
use crate::line::lanes::{Lanes, Waiting};
use crate::line::priority::Priority;
use crate::line::time::{NEVER, Nanos};

/// How many jobs start before the turn of a level has come. With all ten levels full, the highest still gets
/// 1 − 9/32 = 72 % of the starts.
pub(crate) const PATIENCE: u64 = 32;

#[derive(Debug)]
pub(crate) struct Levels<J> {
    levels: [Lanes<J>; Priority::COUNT],
    /// One bit for each level in which jobs wait.
    waiting: u16,
    len: usize,
    limit: usize,
    /// Jobs that have started.
    turns: u64,
    /// Of each level that waits: the turn since which it has been passed over.
    since: [u64; Priority::COUNT],
    /// Before this turn no level's turn has come. (At most the earliest such turn: what starts only makes it later.)
    none_due_before: u64,
}

impl<J> Levels<J> {
    pub(crate) fn new(limit: usize) -> Levels<J> {
        let levels = std::array::from_fn(|_| Lanes::new());
        Levels { levels, waiting: 0, len: 0, limit, turns: 0, since: [0; Priority::COUNT], none_due_before: 0 }
    }

    /// How many jobs wait.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    pub(crate) fn is_full(&self) -> bool {
        self.len >= self.limit
    }

    /// How many wait of each priority.
    pub(crate) fn len_by_priority(&self) -> [usize; Priority::COUNT] {
        std::array::from_fn(|level| self.levels[level].len())
    }

    /// The cost that will be worked off before a new job starts, but for the turns of lower levels.
    pub(crate) fn cost_ahead_of(&self, priority: Priority, cost: u64) -> u64 {
        let own = self.levels[priority.index()].cost_ahead_of(cost);
        let above = bits(self.waiting).filter(|level| *level > priority.index());
        above.fold(own, |sum, level| sum.saturating_add(self.levels[level].total_cost()))
    }

    /// Appends a job. The caller asked [`is_full`](Levels::is_full) under the same lock.
    pub(crate) fn push(&mut self, priority: Priority, waiting: Waiting<J>) -> Key {
        let level = self.enter(priority);
        let (class, number) = self.levels[level].push(waiting);
        Key::new(level, class, number)
    }

    /// Puts a job before all of its priority and class, however many wait.
    pub(crate) fn push_in_front(&mut self, priority: Priority, waiting: Waiting<J>) -> Key {
        let level = self.enter(priority);
        let (class, number) = self.levels[level].push_in_front(waiting);
        Key::new(level, class, number)
    }

    /// The next job by the rule, and its priority.
    pub(crate) fn pop(&mut self) -> Option<(Priority, Waiting<J>)> {
        let level = self.next_level()?;
        let next = self.levels[level].pop()?;
        self.turns += 1;
        self.since[level] = self.turns;
        self.leave(level);
        Some((Priority::new(level as u8), next))
    }

    /// Takes out the job that waits at this place.
    pub(crate) fn withdraw(&mut self, key: Key) -> Option<J> {
        let level = key.level();
        let withdrawn = self.levels.get_mut(level)?.withdraw(key.class(), key.number())?;
        self.leave(level);
        Some(withdrawn.job)
    }

    /// Takes everything out.
    pub(crate) fn take_all(&mut self) -> Vec<J> {
        let mut jobs = Vec::with_capacity(self.len);
        self.levels.iter_mut().rev().for_each(|level| level.take_all(&mut jobs));
        (self.waiting, self.len) = (0, 0);
        jobs
    }

    /// Shows all for which it is too late; the earliest time among the others.
    pub(crate) fn overdue(&self, now: Nanos, mut each: impl FnMut(Key, &J)) -> Nanos {
        let earliest = |level: usize| {
            self.levels[level].overdue(now, |class, number, job| each(Key::new(level, class, number), job))
        };
        bits(self.waiting).map(earliest).min().unwrap_or(NEVER)
    }

    fn next_level(&mut self) -> Option<usize> {
        let highest = self.waiting.checked_ilog2()? as usize;
        if self.turns < self.none_due_before {
            return Some(highest);
        }
        let lower = || bits(self.waiting & !(1 << highest));
        let longest = lower().max_by_key(|level| self.turns - self.since[*level]);
        let due = longest.filter(|level| self.turns - self.since[*level] >= PATIENCE);
        if due.is_none() {
            // The highest counts too: it may not be the highest any more by then.
            let earliest = bits(self.waiting).map(|level| self.since[level]).min();
            self.none_due_before = earliest.map_or(0, |since| since + PATIENCE).max(self.turns + 1);
        }
        due.or(Some(highest))
    }

    /// One more job waits; its level.
    fn enter(&mut self, priority: Priority) -> usize {
        let level = priority.index();
        if self.waiting & (1 << level) == 0 {
            self.waiting |= 1 << level;
            self.since[level] = self.turns;
            self.none_due_before = self.none_due_before.min(self.turns + PATIENCE);
        }
        self.len += 1;
        level
    }

    /// A job of this level no longer waits.
    fn leave(&mut self, level: usize) {
        self.len -= 1;
        if self.levels[level].len() == 0 {
            self.waiting &= !(1 << level);
        }
    }
}

/// The numbers of the bits that are set, the lowest first.
fn bits(mut set: u16) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let lowest = (set != 0).then(|| set.trailing_zeros() as usize)?;
        set &= set - 1;
        Some(lowest)
    })
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn waiting(job: usize, due: Nanos) -> Waiting<usize> {
        Waiting { job, cost: 1, due }
    }

    fn pop(levels: &mut Levels<usize>) -> Option<usize> {
        levels.pop().map(|(_, waiting)| waiting.job)
    }

    #[test]
    fn the_highest_goes_first_and_equals_in_their_order() {
        let mut levels = Levels::new(100);
        for (name, level) in [0, 9, 4, 9, 0, 200].into_iter().enumerate() {
            levels.push(Priority::new(level), waiting(name, NEVER));
        }
        let order: Vec<_> = std::iter::from_fn(|| pop(&mut levels)).collect();
        assert_eq!(order, [1, 3, 5, 2, 0, 4]);
    }

    #[test]
    fn with_all_levels_full_the_highest_gets_most_and_each_gets_its_turn() {
        let mut levels = Levels::new(10_000);
        for name in 0..10_000 {
            levels.push(Priority::new((name % 10) as u8), waiting(name, NEVER));
        }
        let mut starts = [0; Priority::COUNT];
        (0..990).for_each(|_| starts[levels.pop().unwrap().0.index()] += 1);
        assert!(starts[9] > 600, "{starts:?}");
        assert!(starts[..9].iter().all(|starts| *starts >= 990 / 42), "{starts:?}");
    }

    #[test]
    fn what_is_overdue_is_found_and_the_next_time_too() {
        let mut levels = Levels::new(100);
        let keys: Vec<_> = [(9, 50), (0, 10), (4, 70), (4, NEVER)]
            .into_iter()
            .enumerate()
            .map(|(name, (level, due))| levels.push(Priority::new(level), waiting(name, due)))
            .collect();
        let mut overdue = Vec::new();
        assert_eq!(levels.overdue(20, |key, job| overdue.push((key, *job))), 50);
        assert_eq!(overdue, [(keys[1], 1)]);
        assert_eq!(levels.withdraw(keys[1]), Some(1));
        overdue.clear();
        let earliest = levels.overdue(60, |key, job| overdue.push((key, *job)));
        assert_eq!((earliest, overdue.len()), (70, 1), "one that was withdrawn is not told");
    }

    #[derive(Debug, Clone)]
    enum Step {
        Push(u8),
        PushInFront(u8),
        Pop,
        Withdraw(prop::sample::Index),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let level = || prop_oneof![Just(9), 0_u8..10];
        let step = prop_oneof![
            12 => level().prop_map(Step::Push),
            1 => level().prop_map(Step::PushInFront),
            10 => Just(Step::Pop),
            2 => any::<prop::sample::Index>().prop_map(Step::Withdraw),
        ];
        prop::collection::vec(step, 0..600)
    }

    struct Known {
        name: usize,
        level: usize,
        key: Key,
    }

    proptest! {
        /// Against a plain list, in which each job knows how often its level was passed over: the rule is kept to the
        /// letter, nothing is lost, nothing comes twice, and nobody is passed over more often than the bound says.
        #[test]
        fn levels_behave_like_a_plain_list(steps in steps(), limit in 1_usize..200) {
            let mut levels = Levels::new(limit);
            let mut model: Vec<Known> = Vec::new();
            let mut passed_over = [0_u64; Priority::COUNT];
            for (name, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Push(_) if levels.is_full() => prop_assert!(model.len() >= limit),
                    Step::Push(level) => {
                        let key = levels.push(Priority::new(level), waiting(name, NEVER));
                        model.push(Known { name, level: level.into(), key });
                    }
                    Step::PushInFront(level) => {
                        let key = levels.push_in_front(Priority::new(level), waiting(name, NEVER));
                        model.insert(0, Known { name, level: level.into(), key });
                    }
                    Step::Pop => {
                        let waits = |level: usize| model.iter().any(|job| job.level == level);
                        let highest = (0..Priority::COUNT).rev().find(|level| waits(*level));
                        let due = (0..Priority::COUNT).filter(|level| waits(*level) && Some(*level) != highest);
                        let due = due.filter(|level| passed_over[*level] >= PATIENCE);
                        let chosen = due.max_by_key(|level| passed_over[*level]).or(highest);
                        let expected = chosen.and_then(|level| model.iter().position(|job| job.level == level));
                        let expected = expected.map(|index| model.remove(index).name);
                        prop_assert_eq!(pop(&mut levels), expected);
                        if let Some(chosen) = chosen {
                            passed_over.iter_mut().for_each(|times| *times += 1);
                            passed_over[chosen] = 0;
                        }
                    }
                    Step::Withdraw(index) if !model.is_empty() => {
                        let job = model.remove(index.index(model.len()));
                        prop_assert_eq!(levels.withdraw(job.key), Some(job.name));
                        prop_assert_eq!(levels.withdraw(job.key), None);
                    }
                    Step::Withdraw(_) => {}
                }
                for (level, times) in passed_over.iter_mut().enumerate() {
                    if !model.iter().any(|job| job.level == level) {
                        *times = 0;
                    }
                    prop_assert!(*times <= PATIENCE + 9, "level {} was passed over {} times", level, times);
                }
                prop_assert_eq!(levels.len(), model.len());
                prop_assert_eq!(levels.len_by_priority().iter().sum::<usize>(), model.len());
            }
            prop_assert_eq!(levels.take_all().len(), model.len());
            prop_assert!(levels.is_empty());
        }
    }
}
