//! [`Spin`]: when to look a little longer before sleeping.
//!
//! To wake a sleeping thread on another core costs some 30 µs on a virtual machine; one that still looks finds the
//! value in a tenth of a microsecond. But looking burns a core. So a wait begins with looking only where that has
//! helped lately, only with more than one core, never under a quota, and only as long as no more threads look than
//! there are cores. In async code the other tasks of the thread get their turn between looks.

use std::hint::spin_loop;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How long a wait looks at most: enough for an answer that comes at once, less than a wake-up costs.
const LONGEST_LOOK: Duration = Duration::from_micros(20);
/// Looks before the clock is read and the other tasks of this thread get a turn: a microsecond or two.
const LOOKS_A_TURN: u32 = 32;
/// So many vain attempts in a row, and the next ones are left out.
const PATIENCE: u32 = 4;
/// Attempts left out after that, before one more is made.
const PAUSE: u32 = 64;

/// Threads that look right now, in the whole process.
static LOOKING: AtomicUsize = AtomicUsize::new(0);

/// Decides from how the last waits ended whether the next one begins with looking. The counter is a hint, so races on
/// it do no harm.
#[derive(Debug, Default)]
pub(crate) struct Spin {
    /// Vain attempts in a row; from [`PATIENCE`] on, those that were left out as well.
    vain: AtomicU32,
}

impl Spin {
    /// Looks until `settled` or until it is no use, with turns for the other tasks of this thread.
    pub(crate) async fn look(&self, settled: impl Fn() -> bool) {
        let Some(mut look) = self.begin(&settled) else { return };
        while !look.turn(&settled) {
            tokio::task::yield_now().await;
        }
    }

    /// As [`look`](Spin::look), for a thread that has no other tasks.
    pub(crate) fn look_blocking(&self, settled: impl Fn() -> bool) {
        let Some(mut look) = self.begin(&settled) else { return };
        while !look.turn(&settled) {}
    }

    fn begin(&self, settled: impl Fn() -> bool) -> Option<Look<'_>> {
        if settled() || cores_to_look_on() < 2 || !self.is_worth_it() {
            return None;
        }
        let until = Instant::now() + LONGEST_LOOK;
        if LOOKING.fetch_add(1, Ordering::Relaxed) >= cores_to_look_on() {
            LOOKING.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Look { spin: self, until })
    }

    fn is_worth_it(&self) -> bool {
        let vain = self.vain.load(Ordering::Relaxed);
        if vain < PATIENCE {
            return true;
        }
        let next = if vain >= PATIENCE + PAUSE { PATIENCE - 1 } else { vain + 1 };
        self.vain.store(next, Ordering::Relaxed);
        false
    }
}

/// One wait that looks. Also when its task is cancelled, it is taken off the count.
struct Look<'a> {
    spin: &'a Spin,
    until: Instant,
}

impl Look<'_> {
    /// A few looks; whether it is over.
    fn turn(&mut self, settled: impl Fn() -> bool) -> bool {
        for _ in 0..LOOKS_A_TURN {
            if settled() {
                self.spin.vain.store(0, Ordering::Relaxed);
                return true;
            }
            spin_loop();
        }
        if Instant::now() < self.until {
            return false;
        }
        self.spin.vain.fetch_add(1, Ordering::Relaxed);
        true
    }
}

impl Drop for Look<'_> {
    fn drop(&mut self) {
        LOOKING.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Cores of this process; none under a quota, which counts what is burnt by looking against the work.
fn cores_to_look_on() -> usize {
    static CORES: OnceLock<usize> = OnceLock::new();
    *CORES.get_or_init(|| match phalanx_memory::cpu_quota() {
        Some(_) => 0,
        None => phalanx_memory::usable_cores().max(cores_of_the_main_thread()),
    })
}

/// The thread that asks first may be bound to one core, and the others not.
fn cores_of_the_main_thread() -> usize {
    let mask = rustix::thread::sched_getaffinity(Some(rustix::process::getpid()));
    mask.map_or(1, |mask| mask.count() as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looking_in_vain_is_left_out_and_tried_again_later() {
        let spin = Spin { vain: AtomicU32::new(PATIENCE) };
        let left_out = (0..1000).take_while(|_| !spin.is_worth_it()).count();
        assert_eq!(left_out, PAUSE as usize + 1);
        assert!(spin.is_worth_it());
    }

    #[test]
    fn a_look_ends_after_its_time_and_counts_as_vain() {
        let spin = Spin::default();
        let mut look = Look { spin: &spin, until: Instant::now() };
        LOOKING.fetch_add(1, Ordering::Relaxed);
        assert!(look.turn(|| false));
        assert_eq!(spin.vain.load(Ordering::Relaxed), 1);
        assert!(look.turn(|| true));
        assert_eq!(spin.vain.load(Ordering::Relaxed), 0);
    }
}
