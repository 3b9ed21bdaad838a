//! The scoreboard slots of the other workers, as this worker may read them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use phalanx_shared::Slot;

/// A list that one thread adds to and others look at; looking costs one load while nothing was added.
#[derive(Debug, Default)]
pub(crate) struct Siblings {
    version: AtomicUsize,
    slots: Mutex<Vec<(u16, Arc<Slot>)>>,
}

impl Siblings {
    /// Adds the slot of another worker, or replaces what was known under this index.
    pub(crate) fn add(&self, index: u16, slot: Slot) {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|(known, _)| *known != index);
        slots.push((index, Arc::new(slot)));
        self.version.fetch_add(1, Ordering::Release);
    }

    /// Grows whenever the list changes.
    pub(crate) fn version(&self) -> usize {
        self.version.load(Ordering::Acquire)
    }

    /// The slots as they are now.
    pub(crate) fn slots(&self) -> Vec<Arc<Slot>> {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.iter().map(|(_, slot)| Arc::clone(slot)).collect()
    }
}
