//! The pages of the scoreboard: every process that exists has one of its own, the smallest that was free.

use std::collections::BTreeSet;

use phalanx_shared::SlotIndex;

use crate::id::MAX_SLOTS;

/// Which pages are free.
#[derive(Debug, Default)]
pub(super) struct Pages {
    /// Free pages below [`beyond`](Self::beyond).
    free: BTreeSet<u16>,
    /// The first page that was never taken; all after it are free.
    beyond: usize,
}

impl Pages {
    /// The smallest free page; `None` if every page that a permit can name is taken.
    pub(super) fn take(&mut self) -> Option<SlotIndex> {
        if let Some(page) = self.free.pop_first() {
            return Some(SlotIndex(page));
        }
        let page = self.beyond;
        (page < MAX_SLOTS).then(|| {
            self.beyond += 1;
            SlotIndex(page as u16)
        })
    }

    /// Takes the page that a process of an earlier image has.
    pub(super) fn claim(&mut self, page: SlotIndex) {
        while self.beyond <= usize::from(page.0) {
            self.free.insert(self.beyond as u16);
            self.beyond += 1;
        }
        self.free.remove(&page.0);
    }

    /// Gives a page back.
    pub(super) fn release(&mut self, page: SlotIndex) {
        self.free.insert(page.0);
    }
}
