//! Room for a successor. New first, a replacement needs the memory of one worker more for a while; where there is not that
//! much, it waits a moment, and then goes old first: one worker less for a while, but nothing for the OOM killer.
//!
//! ```text
//!   free ≥ old worker + margin ──────────────────────────────► new first
//!   free < that ── wait ── memory becomes free ──────────────► new first
//!                   │ patience is over
//!                   ├─ every other place serves ─────────────► old first: drain → gone → start → ready
//!                   └─ it is alone, or another place is down ► new first all the same: somebody has to serve
//! ```
//!
//! Where the policy says that two of them never get along, it is old first always.

use super::process::Process;
use super::seat::Rest;
use super::{Action, Now, Overlap, Supervisor};
use crate::WorkerId;

/// Of the old worker's memory, what is asked for on top: both serve for a while.
const MARGIN_DIVISOR: u64 = 8;

/// What is known of the memory that is free.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// Free bytes at the last tick; unknown until it was measured.
    measured: Option<u64>,
    /// Bytes that successors will take that were started since.
    promised: u64,
    shortage: Shortage,
    /// The last worker of which it was said that there is no room beside it.
    said: Option<WorkerId>,
}

/// Whether there is too little.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Shortage {
    #[default]
    None,
    /// A replacement waits since then.
    Since(Now),
    /// One has waited in vain: the next ones need not.
    Lasting,
}

/// How a worker is to be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// The new one starts beside the old one.
    NewFirst,
    /// The old one leaves, then the new one starts.
    OldFirst,
    /// Not yet.
    Later,
}

/// Whether a replacement may wait for room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Haste {
    /// Until the patience of the policy is over.
    Patient,
    /// No.
    AtOnce,
}

impl Room {
    pub(super) fn measure(&mut self, free: u64) {
        (self.measured, self.promised) = (Some(free), 0);
    }

    /// Nobody wants to be replaced, or not for now.
    pub(super) fn is_not_needed(&mut self) {
        self.shortage = Shortage::None;
    }

    /// When the patience of a replacement that waits is over.
    pub(super) fn wakes_at(&self, patience: Now) -> Option<Now> {
        match self.shortage {
            Shortage::Since(since) => Some(since + patience),
            Shortage::None | Shortage::Lasting => None,
        }
    }
}

impl Supervisor {
    /// How the worker of this place is to be replaced now.
    pub(super) fn order_of_replacement(&mut self, seat: usize, haste: Haste, now: Now, out: &mut Vec<Action>) -> Order {
        let old = self.current(seat).filter(|process| process.serves());
        if old.is_some() && self.policy.overlap == Overlap::OldFirst {
            self.room.is_not_needed();
            return Order::OldFirst;
        }
        let (Some(old), Some(measured)) = (old, self.room.measured) else {
            self.room.is_not_needed();
            return Order::NewFirst;
        };
        let (worker, needed) = (old.birth.worker, old.resident_bytes + old.resident_bytes / MARGIN_DIVISOR);
        if measured.saturating_sub(self.room.promised) >= needed {
            self.room.promised += needed;
            self.room.is_not_needed();
            return Order::NewFirst;
        }
        // What was promised since the last look is no shortage yet: the next look tells.
        let short = measured < needed;
        if short && self.room.said != Some(worker) {
            self.room.said = Some(worker);
            out.push(Action::ShortOfMemory { worker, needed, free: measured });
        }
        if haste == Haste::Patient && self.room_is_awaited(short, now) {
            return Order::Later;
        }
        self.room.shortage = if short { Shortage::Lasting } else { Shortage::None };
        if short && self.can_do_without(seat) { Order::OldFirst } else { Order::NewFirst }
    }

    fn room_is_awaited(&mut self, short: bool, now: Now) -> bool {
        let since = match self.room.shortage {
            Shortage::Since(since) => since,
            Shortage::Lasting if short => return false,
            Shortage::None | Shortage::Lasting => now,
        };
        self.room.shortage = Shortage::Since(since);
        now < since + self.policy.room_patience
    }

    /// Whether there are others, and all of them serve.
    fn can_do_without(&self, seat: usize) -> bool {
        let mut others = (0..self.seats.len()).filter(|other| *other != seat && self.seats[*other].wanted()).peekable();
        others.peek().is_some() && others.all(|other| self.current(other).is_some_and(Process::serves))
    }

    /// A place whose worker has left to make room gets one all the same: what was to come does not.
    pub(super) fn fill_again(&mut self, seat: usize, now: Now, out: &mut Vec<Action>) {
        if self.seats[seat].rest == Rest::MakingRoom {
            self.start_current(seat, now, out);
        }
    }
}
