//! [`KeysInUse`]: pieces of work of which only one may be under way at a time.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex};

use crate::sync::lock;

/// The idempotency keys of the jobs of a pool that have not ended. Clones are the same set. As large as there are such
/// jobs, and those are bounded.
///
/// ```
/// use phalanx_thread::line::KeysInUse;
///
/// let keys = KeysInUse::default();
/// let invoice = keys.take("invoice 7").unwrap();
/// assert!(keys.take("invoice 7").is_none() && keys.take("invoice 8").is_some());
/// drop(invoice);
/// assert!(keys.take("invoice 7").is_some());
/// ```
#[derive(Clone, Default)]
pub struct KeysInUse {
    keys: Arc<Mutex<HashSet<Arc<str>>>>,
}

/// A key that is in use as long as this lives: to be dropped when the job has ended, or will never begin.
#[must_use = "the key is free again when this is dropped"]
pub struct KeyInUse {
    key: Arc<str>,
    all: KeysInUse,
}

impl KeysInUse {
    /// Takes a key, unless it is in use.
    pub fn take(&self, key: &str) -> Option<KeyInUse> {
        let key: Arc<str> = key.into();
        let is_free = lock(&self.keys).insert(key.clone());
        is_free.then(|| KeyInUse { key, all: self.clone() })
    }
}

impl Drop for KeyInUse {
    fn drop(&mut self) {
        lock(&self.all.keys).remove(&self.key);
    }
}

impl fmt::Debug for KeysInUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeysInUse").field("len", &lock(&self.keys).len()).finish()
    }
}

impl fmt::Debug for KeyInUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeyInUse").field(&self.key).finish()
    }
}
