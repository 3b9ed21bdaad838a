//! The scoreboard slots of the other workers, as this worker may read them; held or gone ones say that they accept nothing.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use phalanx_shared::Slot;

use crate::gate::Pause;

/// A list that one thread adds to and others look at; looking costs one load while nothing was added.
#[derive(Debug, Default)]
pub(crate) struct Siblings {
    version: AtomicUsize,
    slots: Mutex<Vec<(u16, Arc<Slot>)>>,
    /// The pause of all gates of this worker.
    pause: Mutex<Weak<Pause>>,
}

impl Siblings {
    /// Adds the slot of another worker, or replaces what was known under this index.
    pub(crate) fn add(&self, index: u16, slot: Slot) {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|(known, _)| *known != index);
        slots.push((index, Arc::new(slot)));
        self.version.fetch_add(1, Ordering::Release);
    }

    /// The pause that all gates of this worker share. Must be called inside a runtime.
    pub(crate) fn pause(&self) -> io::Result<Arc<Pause>> {
        let mut known = self.pause.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pause) = known.upgrade() {
            return Ok(pause);
        }
        let pause = Arc::new(Pause::new()?);
        *known = Arc::downgrade(&pause);
        Ok(pause)
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
