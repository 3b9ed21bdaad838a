//! [`Page`]: one sealed page of memory in atomic words, under a mark.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use crate::Segment;

/// Bytes of a page of the scoreboard.
const PAGE_BYTES: usize = 4096;
/// Words in it.
pub(super) const WORDS: usize = PAGE_BYTES / size_of::<u64>();
/// Where the mark is.
const MARK_AT: usize = 0;
/// Fields have the numbers below this.
pub(super) const FIELDS_END: usize = 64;
/// Counts changes, twice each; odd while one is being made. On a cache line of its own.
pub(super) const CHANGES_AT: usize = 64;

/// Vain looks at a change under way until the other threads of the machine get their turn.
const ATTEMPTS_A_TURN: usize = 64;

#[derive(Debug)]
pub(super) struct Page {
    segment: Segment,
}

impl Page {
    pub(super) fn create(name: &str, mark: u64) -> io::Result<Page> {
        let page = Page { segment: Segment::create(name, PAGE_BYTES)? };
        page.word(MARK_AT).store(mark, Ordering::Release);
        Ok(page)
    }

    /// The page behind a descriptor of another process, if it has this mark.
    pub(super) fn open(descriptor: OwnedFd, mark: u64) -> io::Result<Page> {
        let segment = Segment::map(descriptor)?;
        let words = segment.words::<AtomicU64>();
        if words.len() < WORDS || words[MARK_AT].load(Ordering::Acquire) != mark {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the page of the scoreboard has another layout: it was made by another version of this program",
            ));
        }
        Ok(Page { segment })
    }

    pub(super) fn segment(&self) -> &Segment {
        &self.segment
    }

    /// A word; `index` is below [`WORDS`].
    pub(super) fn word(&self, index: usize) -> &AtomicU64 {
        &self.segment.words()[index]
    }

    pub(super) fn get(&self, index: usize) -> u64 {
        self.word(index).load(Ordering::Relaxed)
    }

    pub(super) fn set(&self, index: usize, value: u64) {
        if self.segment.is_writable() {
            self.word(index).store(value, Ordering::Relaxed);
        }
    }

    pub(super) fn add(&self, index: usize, amount: u64) {
        if self.segment.is_writable() && amount > 0 {
            self.word(index).fetch_add(amount, Ordering::Relaxed);
        }
    }

    pub(super) fn subtract(&self, index: usize, amount: u64) {
        if self.segment.is_writable() {
            self.word(index).fetch_sub(amount, Ordering::Relaxed);
        }
    }

    /// Makes a change that no [`unchanged`](Self::unchanged) reader sees half of. Without effect on a page that is read-only.
    pub(super) fn change(&self, change: impl FnOnce()) {
        if !self.segment.is_writable() {
            return;
        }
        let changes = self.word(CHANGES_AT);
        // Odd, also if somebody was killed in the middle of this.
        let under_way = changes.load(Ordering::Relaxed) | 1;
        changes.store(under_way, Ordering::Relaxed);
        fence(Ordering::Release);
        change();
        changes.store(under_way.wrapping_add(1), Ordering::Release);
    }

    /// How many changes were made.
    pub(super) fn changes(&self) -> u64 {
        self.word(CHANGES_AT).load(Ordering::Acquire) / 2
    }

    /// What `read` saw while no change was made, and after how many; `None` if a change is being made all the time, or
    /// was left half done by one who was killed.
    pub(super) fn unchanged<T>(&self, attempts: usize, mut read: impl FnMut() -> T) -> Option<(u64, T)> {
        for attempt in 1..=attempts {
            let before = self.word(CHANGES_AT).load(Ordering::Acquire);
            if before.is_multiple_of(2) {
                let seen = read();
                fence(Ordering::Acquire);
                if self.word(CHANGES_AT).load(Ordering::Relaxed) == before {
                    return Some((before / 2, seen));
                }
            }
            match attempt % ATTEMPTS_A_TURN {
                // Who makes the change may be waiting for this very core.
                0 => std::thread::yield_now(),
                _ => std::hint::spin_loop(),
            }
        }
        None
    }
}
