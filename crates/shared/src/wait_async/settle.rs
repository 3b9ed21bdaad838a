//! Which waits have ended, after the kernel gave them all back. A pure function.
//!
//! What is known: the kernel names the *last* of the woken waits, by its place in the call; the waits stand in the order
//! in which they began; sleepers on one word are woken in the order in which they went to sleep. And the notify counters
//! of each wait, as they were when it was last looked at and as they are now.
//!
//! | the wait | then it |
//! |---|---|
//! | is the named one, or stands before it on the same word | was woken |
//! | has an element that is another than expected | has ended: it could not be armed again |
//! | has a counter that did not move | was not notified |
//! | shares its counter with the named one, and that moved by one, from a quiet state | was not notified: that one notify was the named one's |
//! | has a counter that moved otherwise | may have been notified: it ends |
//! | has a deadline that has passed | timed out |
//! | else | goes on waiting |
//!
//! "Quiet": when the counter was last looked at no notify was under way, so all wake-ups since then belong to notifies that
//! the counter has counted since then.

use crate::Waited;
use crate::buffer::Reading;

/// A wait, as far as it matters here.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing {
    /// Address of its element.
    pub(super) word: usize,
    /// Address of its counter.
    pub(super) counter: usize,
    pub(super) still_equal: bool,
    pub(super) overdue: bool,
    /// The counter when last looked at, and now.
    pub(super) seen: Reading,
    pub(super) now: Reading,
}

/// What becomes of a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Ends(Waited),
    /// It goes on, and all notifies up to this reading were not for it.
    Stays(Reading),
}

/// What becomes of the waits of one call, of which the kernel named one (or none).
pub(super) fn settle(waits: &[Standing], named: Option<usize>) -> Vec<Verdict> {
    let named = named.and_then(|place| waits.get(place).map(|wait| (place, wait)));
    waits.iter().enumerate().map(|(place, wait)| verdict(place, wait, named)).collect()
}

fn verdict(place: usize, wait: &Standing, named: Option<(usize, &Standing)>) -> Verdict {
    let was_woken = named.is_some_and(|(last, other)| place <= last && wait.word == other.word);
    if was_woken || !wait.still_equal {
        return Verdict::Ends(Waited::Ok);
    }
    let notifies = wait.now.begun.wrapping_sub(wait.seen.begun);
    let was_for_the_named =
        notifies == 1 && wait.seen.quiet && named.is_some_and(|(_, other)| wait.counter == other.counter);
    let stays = match notifies {
        0 => wait.seen,
        // It has woken, so it is no longer under way, whatever the second counter says by now.
        1 if was_for_the_named => Reading { begun: wait.now.begun, quiet: true },
        _ => return Verdict::Ends(Waited::Ok),
    };
    if wait.overdue { Verdict::Ends(Waited::TimedOut) } else { Verdict::Stays(stays) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WOKEN: Verdict = Verdict::Ends(Waited::Ok);

    fn reading(begun: u32) -> Reading {
        Reading { begun, quiet: true }
    }

    fn wait(word: usize, counter: usize, seen: u32, now: u32) -> Standing {
        let (seen, now) = (reading(seen), reading(now));
        Standing { word, counter, still_equal: true, overdue: false, seen, now }
    }

    #[test]
    fn a_quiet_kick_ends_nothing() {
        let waits = [wait(1, 1, 5, 5), wait(2, 2, 7, 7)];
        assert_eq!(settle(&waits, None), [Verdict::Stays(reading(5)), Verdict::Stays(reading(7))]);
    }

    #[test]
    fn one_notify_ends_the_named_wait_and_no_other() {
        let waits = [wait(2, 1, 0, 1), wait(1, 1, 0, 1), wait(1, 1, 0, 1), wait(3, 3, 9, 9)];
        let stays = Verdict::Stays(reading(1));
        assert_eq!(settle(&waits, Some(1)), [stays, WOKEN, stays, Verdict::Stays(reading(9))]);
    }

    #[test]
    fn a_notify_of_several_ends_those_before_the_named_on_its_word() {
        let waits = [wait(1, 1, 0, 1), wait(2, 1, 0, 1), wait(1, 1, 0, 1), wait(1, 1, 0, 1)];
        let stays = Verdict::Stays(reading(1));
        assert_eq!(settle(&waits, Some(2)), [WOKEN, stays, WOKEN, stays]);
    }

    #[test]
    fn a_notify_that_the_kernel_did_not_name_is_not_lost() {
        // Two words were notified at once: only the last is named. Or one while nothing was armed: none is.
        let waits = [wait(1, 1, 0, 1), wait(2, 2, 0, 1), wait(3, 1, 0, 1)];
        assert_eq!(settle(&waits, Some(1)), [WOKEN, WOKEN, WOKEN]);
        assert_eq!(settle(&waits, None), [WOKEN, WOKEN, WOKEN]);
        // Two notifies under one counter.
        assert_eq!(settle(&[wait(1, 1, 0, 2), wait(2, 1, 0, 2)], Some(1)), [WOKEN, WOKEN]);
    }

    #[test]
    fn a_notify_that_was_under_way_when_the_wait_began_leaves_a_doubt() {
        let mut unquiet = wait(1, 1, 3, 4);
        unquiet.seen.quiet = false;
        assert_eq!(settle(&[unquiet, wait(2, 1, 3, 4)], Some(1)), [WOKEN, WOKEN]);
    }

    #[test]
    fn a_wake_up_by_a_stranger_and_a_changed_element_end_a_wait_too() {
        assert_eq!(settle(&[wait(1, 1, 3, 3)], Some(0)), [WOKEN]);
        assert_eq!(settle(&[Standing { still_equal: false, ..wait(1, 1, 3, 3) }], None), [WOKEN]);
    }

    #[test]
    fn who_was_notified_in_the_last_moment_has_not_timed_out() {
        let late = |now| Standing { overdue: true, ..wait(1, 1, 0, now) };
        assert_eq!(settle(&[late(0)], None), [Verdict::Ends(Waited::TimedOut)]);
        assert_eq!(settle(&[late(1)], None), [WOKEN]);
        assert_eq!(settle(&[late(1)], Some(0)), [WOKEN]);
    }

    #[test]
    fn counters_wrap_around() {
        let waits = [wait(1, 1, u32::MAX, 0), wait(2, 1, u32::MAX, 0)];
        assert_eq!(settle(&waits, Some(0)), [WOKEN, Verdict::Stays(reading(0))]);
    }
}
