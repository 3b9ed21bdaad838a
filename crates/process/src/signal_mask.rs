//! [`SignalMask`]: which signals a thread holds back.

use std::mem::MaybeUninit;

/// The largest signal number of Linux.
const LAST_SIGNAL: libc::c_int = 64;

/// A set of signals that are held back: bit `n - 1` stands for signal `n`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct SignalMask(pub(crate) u64);

impl SignalMask {
    /// From now on this thread holds every signal back. Returns what it held back before.
    pub(crate) fn block_all() -> SignalMask {
        let mut all = MaybeUninit::uninit();
        let mut before = MaybeUninit::uninit();
        // SAFETY: both sets are written by the calls before they are read; only this thread is concerned.
        unsafe {
            libc::sigfillset(all.as_mut_ptr());
            libc::pthread_sigmask(libc::SIG_BLOCK, all.as_ptr(), before.as_mut_ptr());
            SignalMask::of(&before.assume_init())
        }
    }

    /// What this thread holds back.
    pub(crate) fn current() -> SignalMask {
        let mut now = MaybeUninit::uninit();
        // SAFETY: without a new set the call only asks; the set is written before it is read.
        unsafe {
            libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), now.as_mut_ptr());
            SignalMask::of(&now.assume_init())
        }
    }

    /// From now on this thread holds back these signals and no others.
    pub(crate) fn restore(self) {
        let set = self.set();
        // SAFETY: a set that `set` initialised; only this thread is concerned.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &set, std::ptr::null_mut()) };
    }

    fn of(set: &libc::sigset_t) -> SignalMask {
        let mut mask = 0;
        for number in 1..=LAST_SIGNAL {
            // SAFETY: an initialised set; a number that is no signal gives -1.
            if unsafe { libc::sigismember(set, number) } == 1 {
                mask |= bit(number);
            }
        }
        SignalMask(mask)
    }

    fn set(self) -> libc::sigset_t {
        let mut set = MaybeUninit::uninit();
        // SAFETY: the first call initialises the set; the others change it, and refuse what is no signal.
        unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            for number in self.numbers() {
                libc::sigaddset(set.as_mut_ptr(), number);
            }
            set.assume_init()
        }
    }

    /// The numbers of the signals.
    pub(crate) fn numbers(self) -> impl Iterator<Item = libc::c_int> {
        (1..=LAST_SIGNAL).filter(move |number| self.0 & bit(*number) != 0)
    }
}

/// The bit that stands for this signal; none for a number that is no signal.
pub(crate) fn bit(number: libc::c_int) -> u64 {
    if (1..=LAST_SIGNAL).contains(&number) { 1 << (number - 1) } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_is_told_as_it_was_set() {
        let some = SignalMask(bit(libc::SIGUSR2) | bit(libc::SIGTERM) | bit(LAST_SIGNAL));
        assert_eq!(some.numbers().collect::<Vec<_>>(), [libc::SIGUSR2, libc::SIGTERM, LAST_SIGNAL]);
        assert_eq!(SignalMask::of(&some.set()), some);
        assert_eq!((bit(0), bit(65)), (0, 0));
    }
}
