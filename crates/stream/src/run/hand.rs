//! What a hand does: look for a part that is ready, from the sink to the source, and step it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use crate::part::Step;
use crate::run::{Found, Run};

/// Hands that look on right now, in the whole process.
static LOOKING_ON: AtomicUsize = AtomicUsize::new(0);

impl Run {
    /// One step of the first part that is ready.
    pub(super) fn work(self: &Arc<Run>) -> Found {
        for part in &self.for_hands {
            if self.is_over() {
                return Found::TheEnd;
            }
            if !self.parts[*part].is_ready() {
                continue;
            }
            // One of those that are wanted is this hand.
            self.call_hand(1);
            if self.step(*part) != Step::Waiting {
                self.tell_ends();
                return Found::Work;
            }
        }
        if self.is_over() { Found::TheEnd } else { Found::Nothing }
    }

    /// Looks on for a moment, if that has paid lately and there is a core to spare: whether there is work now.
    pub(super) fn look_on(&self) -> bool {
        if !self.spinner.is_worth_it() {
            return false;
        }
        // One core at least is for those who work.
        if LOOKING_ON.fetch_add(1, Ordering::Relaxed) + 1 >= cores_to_look_on() {
            LOOKING_ON.fetch_sub(1, Ordering::Relaxed);
            return false;
        }
        self.looking_on.fetch_add(1, Ordering::SeqCst);
        let found = self.spinner.spin(|| self.is_work_for_hands());
        self.looking_on.fetch_sub(1, Ordering::SeqCst);
        LOOKING_ON.fetch_sub(1, Ordering::Relaxed);
        found
    }
}

/// Cores of this process; none under a quota, which counts looking on against the work.
fn cores_to_look_on() -> usize {
    static CORES: OnceLock<usize> = OnceLock::new();
    *CORES.get_or_init(|| match phalanx_memory::cpu_quota() {
        Some(_) => 0,
        None => phalanx_memory::usable_cores(),
    })
}
