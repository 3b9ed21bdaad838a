//! [`Lane`]: what waits between two parts, up to its high-water mark.

use std::any::TypeId;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::Chunk;
use crate::transform::{is_weighed_in_bytes, weight};

/// Items that are taken at a time, at most.
const MOST_AT_ONCE: usize = 256;
/// The same in bytes; one item is always taken.
const MOST_BYTES_AT_ONCE: usize = 64 << 10;
/// What is taken at a time is no larger a part of the mark than this.
const PARTS_OF_MARK: usize = 4;

/// A queue between two parts. Taking and giving never wait: a part that cannot go on is not stepped.
///
/// How much is in it can be read without its lock, to decide who has something to do.
pub(crate) struct Lane<T> {
    items: Mutex<VecDeque<T>>,
    count: AtomicUsize,
    weight: AtomicUsize,
    mark: AtomicUsize,
    is_ended: AtomicBool,
}

/// What was at the front.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Some, of this amount: bytes of chunks, else items.
    Some(u64),
    /// Nothing yet.
    Nothing,
    /// Nothing any more.
    Ended,
}

impl<T: Send + 'static> Lane<T> {
    pub(crate) fn new(mark: usize) -> Lane<T> {
        Lane {
            items: Mutex::default(),
            count: AtomicUsize::new(0),
            weight: AtomicUsize::new(0),
            mark: AtomicUsize::new(mark.max(1)),
            is_ended: AtomicBool::new(false),
        }
    }

    /// Weight up to the mark; 0 is full.
    pub(crate) fn room(&self) -> usize {
        self.mark.load(Ordering::Relaxed).saturating_sub(self.weight.load(Ordering::Acquire))
    }

    /// Whether half of the mark is free: time to wake who fills it.
    pub(crate) fn is_half_empty(&self) -> bool {
        self.weight.load(Ordering::Acquire) <= self.mark.load(Ordering::Relaxed) / 2
    }

    /// How many items wait.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Whether who takes has something to do: an item, or the end.
    pub(crate) fn has_news(&self) -> bool {
        self.count() > 0 || self.is_ended.load(Ordering::Acquire)
    }

    /// Whether nothing waits, and nothing will come.
    pub(crate) fn is_over(&self) -> bool {
        self.is_ended.load(Ordering::Acquire) && self.count() == 0
    }

    pub(crate) fn set_mark(&self, mark: usize) {
        self.mark.store(mark.max(1), Ordering::Relaxed);
    }

    /// Appends all, also beyond the mark: it is a threshold. Returns the amount: bytes of chunks, else items.
    pub(crate) fn give(&self, given: &mut Vec<T>) -> u64 {
        if given.is_empty() {
            return 0;
        }
        let count = given.len();
        let added: usize = given.iter().map(weight).sum();
        let mut items = self.locked();
        items.extend(given.drain(..));
        self.weight.fetch_add(added, Ordering::Release);
        self.count.store(items.len(), Ordering::Release);
        drop(items);
        amount::<T>(count, added)
    }

    /// Takes a handful; at most `most` items.
    pub(crate) fn take(&self, into: &mut VecDeque<T>, most: usize) -> Taken {
        let part = (self.mark.load(Ordering::Relaxed) / PARTS_OF_MARK).max(1);
        let (most, most_weight) = if is_weighed_in_bytes::<T>() {
            (most.min(MOST_AT_ONCE), part.min(MOST_BYTES_AT_ONCE))
        } else {
            (most.min(MOST_AT_ONCE).min(part), usize::MAX)
        };
        // Read before the items: what was given before the end is seen then.
        let is_ended = self.is_ended.load(Ordering::Acquire);
        let mut items = self.locked();
        let (mut count, mut taken) = (0, 0);
        while count < most.max(1)
            && let Some(next) = items.front()
        {
            let weight = weight(next);
            if count > 0 && taken + weight > most_weight {
                break;
            }
            taken += weight;
            count += 1;
            into.extend(items.pop_front());
        }
        self.weight.fetch_sub(taken, Ordering::Release);
        self.count.store(items.len(), Ordering::Release);
        drop(items);
        match count {
            0 if is_ended => Taken::Ended,
            0 => Taken::Nothing,
            _ => Taken::Some(amount::<T>(count, taken)),
        }
    }

    /// Nothing will be given any more.
    pub(crate) fn end(&self) {
        self.is_ended.store(true, Ordering::Release);
    }

    /// Drops what waits: nobody will take it.
    pub(crate) fn clear(&self) {
        let items = std::mem::take(&mut *self.locked());
        self.weight.store(0, Ordering::Release);
        self.count.store(0, Ordering::Release);
        drop(items);
    }

    fn locked(&self) -> MutexGuard<'_, VecDeque<T>> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What people count: bytes of chunks, else items.
pub(crate) fn amount<T: 'static>(items: usize, weight: usize) -> u64 {
    let amount = if TypeId::of::<T>() == TypeId::of::<Chunk>() { weight } else { items };
    u64::try_from(amount).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handful_is_bounded_by_items_by_bytes_and_by_the_mark() {
        let lane = Lane::new(1024);
        lane.give(&mut (0..600).collect());
        let mut taken = VecDeque::new();
        assert_eq!(lane.take(&mut taken, usize::MAX), Taken::Some(256));
        lane.set_mark(8);
        assert_eq!(lane.take(&mut taken, usize::MAX), Taken::Some(2));
        assert_eq!(lane.take(&mut taken, 1), Taken::Some(1));
        assert_eq!((lane.count(), lane.room(), taken.len()), (341, 0, 259));

        let lane = Lane::new(1 << 20);
        lane.give(&mut vec![Chunk::from(vec![0; 40_000]), Chunk::from(vec![0; 40_000]), Chunk::from(vec![0; 90_000])]);
        let mut taken = VecDeque::new();
        let amounts = [(); 4].map(|()| lane.take(&mut taken, usize::MAX));
        assert_eq!(amounts, [Taken::Some(40_000), Taken::Some(40_000), Taken::Some(90_000), Taken::Nothing]);
    }

    #[test]
    fn the_end_comes_after_what_was_given() {
        let lane = Lane::new(4);
        lane.give(&mut vec![1]);
        lane.end();
        let mut taken = VecDeque::new();
        assert!(lane.has_news() && !lane.is_over());
        assert_eq!(lane.take(&mut taken, 9), Taken::Some(1));
        assert!(lane.is_over());
        assert_eq!(lane.take(&mut taken, 9), Taken::Ended);
    }
}
