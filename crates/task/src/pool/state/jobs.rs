//! [`Jobs`]: the tasks that were taken and are not over, each under a key that is never used again.

use std::ops::{Index, IndexMut};
use std::time::{Duration, Instant};

use phalanx_thread::line::{Key, Ticket};

use super::Seat;

/// Finds a task as long as it is not over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::pool) struct JobKey {
    index: u32,
    generation: u32,
}

/// A task that was taken.
#[derive(Debug)]
pub(super) struct Job<J> {
    pub(super) id: u64,
    pub(super) payload: J,
    pub(super) kind: usize,
    pub(super) submitted: Instant,
    /// When it has to be done.
    pub(super) due: Option<Instant>,
    /// How long after its start it has to be done.
    pub(super) from_start: Option<Duration>,
    /// Processes that died before they began it.
    pub(super) deaths: u32,
    pub(super) place: Place,
    /// As what its line counts it, once it has left the line.
    pub(super) ticket: Option<Ticket>,
    /// Whether its caller has been told already, though it still runs.
    pub(super) is_answered: bool,
}

/// Where a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Nowhere,
    Waiting(Key),
    At(Seat),
}

/// The tasks.
#[derive(Debug)]
pub(super) struct Jobs<J> {
    places: Vec<(u32, Option<Job<J>>)>,
    free: Vec<u32>,
}

impl<J> Default for Jobs<J> {
    fn default() -> Jobs<J> {
        Jobs { places: Vec::new(), free: Vec::new() }
    }
}

impl<J> Jobs<J> {
    pub(super) fn insert(&mut self, job: Job<J>) -> JobKey {
        let index = self.free.pop().unwrap_or_else(|| {
            self.places.push((0, None));
            // Bounded by the limit of the queue and the places at desks.
            (self.places.len() - 1) as u32
        });
        let (generation, place) = &mut self.places[index as usize];
        *place = Some(job);
        JobKey { index, generation: *generation }
    }

    pub(super) fn get(&self, key: JobKey) -> Option<&Job<J>> {
        let (generation, job) = self.places.get(key.index as usize)?;
        job.as_ref().filter(|_| *generation == key.generation)
    }

    /// The task, which must be there.
    pub(super) fn remove(&mut self, key: JobKey) -> Job<J> {
        let (generation, place) = &mut self.places[key.index as usize];
        assert_eq!(*generation, key.generation, "a key is given away only while its task is there");
        *generation = generation.wrapping_add(1);
        self.free.push(key.index);
        place.take().expect("a key is given away only while its task is there")
    }

    pub(super) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    pub(super) fn keys(&self) -> Vec<JobKey> {
        let keys = self.places.iter().enumerate().filter(|(_, (_, job))| job.is_some());
        keys.map(|(index, (generation, _))| JobKey { index: index as u32, generation: *generation }).collect()
    }
}

impl<J> Index<JobKey> for Jobs<J> {
    type Output = Job<J>;

    fn index(&self, key: JobKey) -> &Job<J> {
        self.get(key).expect("a key is kept only while its task is there")
    }
}

impl<J> IndexMut<JobKey> for Jobs<J> {
    fn index_mut(&mut self, key: JobKey) -> &mut Job<J> {
        let (generation, job) = &mut self.places[key.index as usize];
        assert_eq!(*generation, key.generation, "a key is kept only while its task is there");
        job.as_mut().expect("a key is kept only while its task is there")
    }
}
