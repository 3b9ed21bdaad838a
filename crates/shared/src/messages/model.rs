//! The rules of `parking.rs` under every interleaving of a sender and a receiver (loom).
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p phalanx-shared --release --lib loom`
//!
//! Both sleep until they are woken, without a deadline, so a lost wake-up is a deadlock, which loom reports. It knows no
//! sequentially consistent loads and stores, only fences: here a fence stands behind every such store, which orders it
//! before the load that follows, as the real one does, and nothing more.

use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

use super::parking::{self, Cursors, Parking};

/// One message of one word: with a second one the sender must wait.
const CAPACITY: u64 = 8;

/// A word on which somebody sleeps, and the kernel's list for it.
struct Futex {
    word: AtomicU32,
    kernel: Mutex<()>,
    sleeper: Condvar,
}

impl Futex {
    fn new() -> Futex {
        Futex { word: AtomicU32::new(0), kernel: Mutex::new(()), sleeper: Condvar::new() }
    }

    fn raise(&self) {
        self.word.store(1, Ordering::Release);
        fence(Ordering::SeqCst);
    }

    fn take(&self) -> bool {
        self.word.load(Ordering::Acquire) != 0 && self.word.swap(0, Ordering::AcqRel) != 0
    }

    fn sleep(&self) {
        let kernel = self.kernel.lock().unwrap();
        if self.word.load(Ordering::Relaxed) == 1 {
            drop(self.sleeper.wait(kernel).unwrap());
        }
    }

    fn wake(&self) {
        let _kernel = self.kernel.lock().unwrap();
        self.sleeper.notify_one();
    }
}

struct LoomRing {
    head: AtomicU64,
    tail: AtomicU64,
    wanted: AtomicU64,
    receiver: Futex,
    sender: Futex,
    /// The one place of the ring.
    place: AtomicU64,
}

impl Cursors for LoomRing {
    fn head(&self) -> u64 {
        self.head.load(Ordering::Acquire)
    }
    fn set_head(&self, position: u64) {
        self.head.store(position, Ordering::Release);
        fence(Ordering::SeqCst);
    }
    fn tail(&self) -> u64 {
        self.tail.load(Ordering::Acquire)
    }
    fn set_tail(&self, position: u64) {
        self.tail.store(position, Ordering::Release);
        fence(Ordering::SeqCst);
    }
}

impl Parking for LoomRing {
    fn raise_receiver_flag(&self) {
        self.receiver.raise();
    }
    fn take_receiver_flag(&self) -> bool {
        self.receiver.take()
    }
    fn raise_sender_flag(&self, wanted: u64) {
        self.wanted.store(wanted, Ordering::Relaxed);
        self.sender.raise();
    }
    fn sender_wants(&self) -> Option<u64> {
        (self.sender.word.load(Ordering::Acquire) != 0).then(|| self.wanted.load(Ordering::Relaxed))
    }
    fn take_sender_flag(&self) -> bool {
        self.sender.take()
    }
}

fn send(ring: &LoomRing, head: u64, message: u64) {
    let has_space = || head - parking::tail_before(ring, head, CAPACITY).unwrap() < CAPACITY;
    while !has_space() {
        ring.raise_sender_flag(head + 8 - CAPACITY);
        if has_space() {
            ring.take_sender_flag();
            break;
        }
        ring.sender.sleep();
    }
    ring.place.store(message, Ordering::Relaxed);
    if parking::publish(ring, head + 8) {
        ring.receiver.wake();
    }
}

fn recv(ring: &LoomRing, tail: u64) -> u64 {
    let has_message = || parking::head_after(ring, tail, CAPACITY).unwrap() > tail;
    while !has_message() {
        ring.raise_receiver_flag();
        if has_message() {
            ring.take_receiver_flag();
            break;
        }
        ring.receiver.sleep();
    }
    let message = ring.place.load(Ordering::Relaxed);
    if parking::release(ring, tail + 8) {
        ring.sender.wake();
    }
    message
}

#[test]
fn loom_nobody_misses_a_wake_up_and_every_message_is_whole() {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(|| {
        let ring = Arc::new(LoomRing {
            head: AtomicU64::new(0),
            tail: AtomicU64::new(0),
            wanted: AtomicU64::new(0),
            receiver: Futex::new(),
            sender: Futex::new(),
            place: AtomicU64::new(0),
        });
        let sender = {
            let ring = Arc::clone(&ring);
            thread::spawn(move || (0..2).for_each(|n| send(&ring, n * 8, n + 7)))
        };
        for n in 0..2 {
            assert_eq!(recv(&ring, n * 8), n + 7);
        }
        sender.join().unwrap();
    });
}
