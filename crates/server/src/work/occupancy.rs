//! [`Occupancy`]: one task in a lane, as the worker's scoreboard shows it: busy as long as there are threads or processes for
//! all before it, waiting otherwise.

use super::lane::Lane;
use phalanx::Worker;
use phalanx::shared::Field;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Tasks in a lane, and how many of them it can run at a time.
#[derive(Debug)]
pub(super) struct Places {
    inside: AtomicUsize,
    most_running: usize,
}

impl Places {
    pub(super) fn new(most_running: u32) -> Arc<Places> {
        Arc::new(Places { inside: AtomicUsize::new(0), most_running: most_running as usize })
    }

    pub(super) fn most_running(&self) -> usize {
        self.most_running
    }

    /// One more; the field that grows.
    fn enter(&self) -> Field {
        match self.inside.fetch_add(1, Ordering::Relaxed) < self.most_running {
            true => Field::BusyThreads,
            false => Field::QueueDepth,
        }
    }

    /// One less: somebody who waits takes its place, if anybody does. The field that shrinks.
    fn leave(&self) -> Field {
        match self.inside.fetch_sub(1, Ordering::Relaxed) > self.most_running {
            true => Field::QueueDepth,
            false => Field::BusyThreads,
        }
    }
}

/// Counted until it is dropped.
pub(super) struct Occupancy {
    places: Arc<Places>,
    worker: Worker,
}

impl Occupancy {
    pub(super) fn of(lane: &Lane, worker: &Worker) -> Self {
        let places = Arc::clone(lane.places());
        worker.scoreboard().add(places.enter(), 1);
        Occupancy { places, worker: worker.clone() }
    }
}

impl Drop for Occupancy {
    fn drop(&mut self) {
        self.worker.scoreboard().subtract(self.places.leave(), 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_finds_no_place_waits_until_one_leaves() {
        let places = Places::new(2);
        assert_eq!([(); 3].map(|()| places.enter()), [Field::BusyThreads, Field::BusyThreads, Field::QueueDepth]);
        assert_eq!([(); 3].map(|()| places.leave()), [Field::QueueDepth, Field::BusyThreads, Field::BusyThreads]);
    }
}
