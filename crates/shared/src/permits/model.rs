//! The rules of `board.rs` under every interleaving of a few threads (loom).
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p phalanx-shared --release --lib loom`
//!
//! Sleepers have no patience here, so a lost wake-up is a deadlock, which loom reports.

use std::time::Duration;

use loom::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

use super::board::{self, Board, FREE};
use super::owner::{Generation, Owner, SlotIndex};

struct LoomBoard {
    words: Vec<AtomicU64>,
    releases: AtomicU32,
    waiting: AtomicBool,
    /// The kernel's lock on a futex's queue, and the queue.
    kernel: Mutex<()>,
    sleepers: Condvar,
}

impl LoomBoard {
    fn new(cores: usize) -> Arc<LoomBoard> {
        Arc::new(LoomBoard {
            words: (0..cores).map(|_| AtomicU64::new(FREE)).collect(),
            releases: AtomicU32::new(0),
            waiting: AtomicBool::new(false),
            kernel: Mutex::new(()),
            sleepers: Condvar::new(),
        })
    }
}

impl Board for LoomBoard {
    fn permits(&self) -> usize {
        self.words.len()
    }

    fn holder(&self, index: usize) -> u64 {
        self.words[index].load(Ordering::Acquire)
    }

    fn replace(&self, index: usize, current: u64, new: u64) -> bool {
        self.words[index].compare_exchange(current, new, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    fn releases(&self) -> u32 {
        self.releases.load(Ordering::Acquire)
    }

    fn count_release(&self) {
        self.releases.fetch_add(1, Ordering::AcqRel);
    }

    fn somebody_waits(&self) -> bool {
        self.waiting.load(Ordering::Relaxed)
    }

    fn set_waiting(&self) {
        self.waiting.store(true, Ordering::Release);
    }

    fn take_waiting(&self) -> bool {
        self.waiting.swap(false, Ordering::AcqRel)
    }

    fn full_fence(&self) {
        fence(Ordering::SeqCst);
    }

    fn park(&self, seen: u32, _patience: Option<Duration>) {
        let kernel = self.kernel.lock().unwrap();
        if self.releases.load(Ordering::Acquire) == seen {
            drop(self.sleepers.wait(kernel).unwrap());
        }
    }

    fn wake(&self, sleepers: u32) {
        let _kernel = self.kernel.lock().unwrap();
        for _ in 0..sleepers {
            self.sleepers.notify_one();
        }
    }
}

fn owner(slot: u16) -> Owner {
    Owner::new(SlotIndex(slot), Generation(1))
}

fn model(scenario: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(scenario);
}

#[test]
fn loom_one_permit_is_never_held_twice_and_every_waiter_gets_it() {
    model(|| {
        let board = LoomBoard::new(1);
        let inside = Arc::new(AtomicU32::new(0));
        let users: Vec<_> = (0..2)
            .map(|slot| {
                let (board, inside) = (board.clone(), inside.clone());
                thread::spawn(move || {
                    let index = board::acquire_within(&*board, owner(slot), None).unwrap();
                    assert_eq!(inside.fetch_add(1, Ordering::AcqRel), 0, "two threads hold one permit");
                    inside.fetch_sub(1, Ordering::AcqRel);
                    assert!(board::release(&*board, index, owner(slot)));
                })
            })
            .collect();
        users.into_iter().for_each(|user| user.join().unwrap());
        assert_eq!(board.holder(0), FREE);
    });
}

#[test]
fn loom_two_releases_serve_two_waiters() {
    model(|| {
        let board = LoomBoard::new(2);
        let held = [0, 1].map(|_| board::try_acquire(&*board, owner(9)).unwrap());
        let waiters: Vec<_> = (0..2)
            .map(|slot| {
                let board = board.clone();
                // They keep what they get: only the two releases below can serve them.
                thread::spawn(move || board::acquire_within(&*board, owner(slot), None).unwrap())
            })
            .collect();
        held.into_iter().for_each(|index| assert!(board::release(&*board, index, owner(9))));
        let got: Vec<_> = waiters.into_iter().map(|waiter| waiter.join().unwrap()).collect();
        assert_ne!(got[0], got[1]);
    });
}

#[test]
fn loom_a_sweep_wakes_the_waiter_and_the_late_release_of_the_swept_frees_nothing() {
    model(|| {
        let board = LoomBoard::new(1);
        let index = board::try_acquire(&*board, owner(7)).unwrap();
        let waiter = {
            let board = board.clone();
            thread::spawn(move || board::acquire_within(&*board, owner(0), None).unwrap())
        };
        let late = {
            let board = board.clone();
            thread::spawn(move || board::release(&*board, index, owner(7)))
        };
        let swept = board::sweep(&*board, |word| word == owner(7).word());
        waiter.join().unwrap();
        let released = late.join().unwrap();
        assert_eq!(swept + usize::from(released), 1, "freed once, by exactly one of the two");
        assert_eq!(board.holder(0), owner(0).word());
    });
}

#[test]
fn loom_a_newcomer_who_overtakes_leaves_no_waiter_asleep() {
    model(|| {
        let board = LoomBoard::new(2);
        let held = [0, 1].map(|_| board::try_acquire(&*board, owner(9)).unwrap());
        let waiter = {
            let board = board.clone();
            thread::spawn(move || board::acquire_within(&*board, owner(0), None).unwrap())
        };
        let newcomer = {
            let board = board.clone();
            thread::spawn(move || board::try_acquire(&*board, owner(1)))
        };
        held.into_iter().for_each(|index| assert!(board::release(&*board, index, owner(9))));
        assert_ne!(Some(waiter.join().unwrap()), newcomer.join().unwrap());
    });
}
