//! [`Room`]: how many waits one call of `futex_waitv` has space for.

use std::collections::HashMap;

/// `FUTEX_WAITV_MAX` of the kernel: words in one call.
const MOST_WORDS: usize = 128;
/// The control word of the thread.
const OWN_WORDS: usize = 1;

/// Each wait needs a word, and each counter that one or more of them share needs one.
#[derive(Debug, Default)]
pub(super) struct Room {
    waits: usize,
    /// Waits that share a counter, by its address.
    counters: HashMap<usize, usize>,
}

impl Room {
    /// False if there is no space for a further wait with this counter.
    pub(super) fn take(&mut self, counter: usize) -> bool {
        let new_counter = usize::from(!self.counters.contains_key(&counter));
        if OWN_WORDS + self.waits + 1 + self.counters.len() + new_counter > MOST_WORDS {
            return false;
        }
        self.waits += 1;
        *self.counters.entry(counter).or_default() += 1;
        true
    }

    pub(super) fn give_back(&mut self, counter: usize) {
        self.waits -= 1;
        if let Some(sharing) = self.counters.get_mut(&counter) {
            *sharing -= 1;
            if *sharing == 0 {
                self.counters.remove(&counter);
            }
        }
    }

    pub(super) fn is_unused(&self) -> bool {
        self.waits == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_that_share_a_counter_need_one_word_for_it() {
        let mut room = Room::default();
        assert_eq!((0..200).take_while(|_| room.take(1)).count(), 126);
        (0..126).for_each(|_| room.give_back(1));
        assert!(room.is_unused());
        assert_eq!((0..200).take_while(|counter| room.take(*counter)).count(), 63);
    }
}
