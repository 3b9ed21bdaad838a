//! [`Poison`]: inputs that have killed their process, and how often.
//!
//! An input is known by the name of its task and a hash of 128 bits under a key of this process, so that nobody can make a good input
//! look like a bad one. It is computed when a process has crashed, and for inputs that have the task and the length of one that
//! did; for no other.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::pool::parcel::Parcel;

/// Inputs that are remembered; the one that has crashed longest ago is forgotten for another.
const MOST_ENTRIES: usize = 1024;
/// For how long a crash is remembered.
const MEMORY: Duration = Duration::from_secs(3600);

pub(super) struct Poison {
    after: u32,
    keys: [RandomState; 2],
    entries: Mutex<HashMap<Key, Entry>>,
    /// As many as there are entries, to be read without the lock.
    len: AtomicUsize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    kind: usize,
    bytes: usize,
    hash: [u64; 2],
}

struct Entry {
    crashes: u32,
    last: Instant,
}

impl Poison {
    pub(super) fn new(after: u32) -> Poison {
        Poison {
            after,
            keys: [RandomState::new(), RandomState::new()],
            entries: Mutex::default(),
            len: AtomicUsize::new(0),
        }
    }

    /// How often this input has killed its process, if that is too often.
    pub(super) fn verdict(&self, parcel: &Parcel, now: Instant) -> Option<u32> {
        if self.len.load(Ordering::Acquire) == 0 {
            return None;
        }
        let (kind, bytes) = (parcel.kind, parcel.input.len());
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let is_bad = |entry: &Entry| entry.crashes >= self.after && now.saturating_duration_since(entry.last) < MEMORY;
        if !entries.iter().any(|(key, entry)| key.kind == kind && key.bytes == bytes && is_bad(entry)) {
            return None;
        }
        drop(entries);
        let key = self.key(parcel);
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.get(&key).filter(|entry| is_bad(entry)).map(|entry| entry.crashes)
    }

    /// This input has killed its process. Tells how often, if that is too often from now on.
    pub(super) fn record(&self, parcel: &Parcel, now: Instant) -> Option<u32> {
        let key = self.key(parcel);
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|_, entry| now.saturating_duration_since(entry.last) < MEMORY);
        if entries.len() >= MOST_ENTRIES && !entries.contains_key(&key) {
            let oldest = entries.iter().min_by_key(|(_, entry)| entry.last).map(|(key, _)| *key);
            oldest.and_then(|oldest| entries.remove(&oldest));
        }
        let entry = entries.entry(key).or_insert(Entry { crashes: 0, last: now });
        (entry.crashes, entry.last) = (entry.crashes.saturating_add(1), now);
        let crashes = entry.crashes;
        self.len.store(entries.len(), Ordering::Release);
        (crashes == self.after).then_some(crashes)
    }

    fn key(&self, parcel: &Parcel) -> Key {
        let input = &parcel.input;
        let hash = self.keys.each_ref().map(|key| {
            let mut hasher = key.build_hasher();
            input.bytes.hash(&mut hasher);
            input.blobs.len().hash(&mut hasher);
            input.blobs.iter().for_each(|blob| blob.as_ref().hash(&mut hasher));
            hasher.finish()
        });
        Key { kind: parcel.kind, bytes: input.len(), hash }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Packed;

    fn input(kind: usize, bytes: &[u8]) -> Parcel {
        let input = Packed { bytes: bytes.to_vec(), blobs: Vec::new() };
        Parcel::new(kind, input, crate::Attempt::first(), crate::TaskId::next(), None, tracing::Span::none())
    }

    #[test]
    fn an_input_is_poison_after_so_many_crashes_and_no_other_is() {
        let (poison, now) = (Poison::new(3), Instant::now());
        let bad = input(0, b"bad");
        for expected in [None, None, Some(3), None] {
            assert_eq!(poison.record(&bad, now), expected);
        }
        assert_eq!(poison.verdict(&input(0, b"bad"), now), Some(4));
        assert_eq!(poison.verdict(&input(0, b"abd"), now), None, "another input");
        assert_eq!(poison.verdict(&input(1, b"bad"), now), None, "another task");
    }

    #[test]
    fn crashes_fade() {
        let (poison, now) = (Poison::new(1), Instant::now());
        poison.record(&input(0, b"bad"), now);
        assert!(poison.verdict(&input(0, b"bad"), now + MEMORY / 2).is_some());
        assert!(poison.verdict(&input(0, b"bad"), now + MEMORY).is_none());
    }

    #[test]
    fn the_list_is_bounded_and_forgets_the_oldest() {
        let (poison, now) = (Poison::new(1), Instant::now());
        for number in 0..=MOST_ENTRIES {
            poison.record(&input(number, b""), now + Duration::from_millis(number as u64));
        }
        assert_eq!(poison.len.load(Ordering::Relaxed), MOST_ENTRIES);
        let later = now + Duration::from_secs(10);
        assert!(poison.verdict(&input(0, b""), later).is_none());
        assert!(poison.verdict(&input(MOST_ENTRIES, b""), later).is_some());
    }
}
