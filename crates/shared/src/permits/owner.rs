//! [`Owner`]: who holds a permit, packed into one word that is never zero.

use std::fmt;

/// The place of a process in its cluster, from 0. A replacement gets the same slot and the next [`Generation`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SlotIndex(pub u16);

/// How many processes a slot has had before this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Generation(pub u32);

/// One process of a cluster, for ever: the slot says where, the generation says which one.
///
/// ```
/// use phalanx_shared::{Generation, Owner, SlotIndex};
///
/// let owner = Owner::new(SlotIndex(3), Generation(12));
/// assert_eq!(owner.to_string(), "slot 3, generation 12");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Owner {
    slot: SlotIndex,
    generation: Generation,
}

/// Set in every owner's word, so that slot 0 in generation 0 differs from "free".
const TAKEN: u64 = 1 << 63;
const SLOT_SHIFT: u32 = 32;

impl Owner {
    /// The process of `generation` in `slot`.
    pub const fn new(slot: SlotIndex, generation: Generation) -> Owner {
        Owner { slot, generation }
    }

    /// Its place.
    pub const fn slot(self) -> SlotIndex {
        self.slot
    }

    /// Which process of that place.
    pub const fn generation(self) -> Generation {
        self.generation
    }

    pub(super) const fn word(self) -> u64 {
        TAKEN | (self.slot.0 as u64) << SLOT_SHIFT | self.generation.0 as u64
    }

    /// `None` for a word that no owner writes.
    pub(super) fn from_word(word: u64) -> Option<Owner> {
        let slot = SlotIndex((word >> SLOT_SHIFT) as u16);
        let owner = Owner { slot, generation: Generation(word as u32) };
        (owner.word() == word).then_some(owner)
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "slot {}, generation {}", self.slot.0, self.generation.0)
    }
}
