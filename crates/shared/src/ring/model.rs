//! The rules of `cursors.rs` under every interleaving of a writer and a reader (loom).
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p phalanx-shared --release --lib loom`
//!
//! The writer sleeps until it is woken, without patience, so a lost wake-up is a deadlock, which loom reports.

use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

use super::cursors::{self, Cursors};

const CAPACITY: u64 = 1;

struct LoomRing {
    head: AtomicU64,
    tail: AtomicU64,
    waiting: AtomicBool,
    /// The one place of the ring.
    place: AtomicU64,
    /// The pipe through which the reader wakes the writer: a byte stays until it is read.
    wakes: Mutex<u32>,
    woken: Condvar,
    /// The socket on which the writer says that something is there.
    news: Mutex<u32>,
    told: Condvar,
}

impl Cursors for LoomRing {
    fn head(&self) -> u64 {
        self.head.load(Ordering::Acquire)
    }
    fn set_head(&self, position: u64) {
        self.head.store(position, Ordering::Release);
    }
    fn tail(&self) -> u64 {
        self.tail.load(Ordering::Acquire)
    }
    fn set_tail(&self, position: u64) {
        self.tail.store(position, Ordering::Release);
    }
    fn set_waiting(&self) {
        self.waiting.store(true, Ordering::Release);
    }
    fn take_waiting(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) && self.waiting.swap(false, Ordering::AcqRel)
    }
    fn full_fence(&self) {
        fence(Ordering::SeqCst);
    }
}

fn add(count: &Mutex<u32>, changed: &Condvar) {
    *count.lock().unwrap() += 1;
    changed.notify_one();
}

fn take(count: &Mutex<u32>, changed: &Condvar) {
    let mut count = count.lock().unwrap();
    while *count == 0 {
        count = changed.wait(count).unwrap();
    }
    *count -= 1;
}

#[test]
fn loom_a_writer_that_waits_is_woken_and_the_reader_sees_what_was_written() {
    loom::model(|| {
        let ring = Arc::new(LoomRing {
            head: AtomicU64::new(0),
            tail: AtomicU64::new(0),
            waiting: AtomicBool::new(false),
            place: AtomicU64::new(0),
            wakes: Mutex::new(0),
            woken: Condvar::new(),
            news: Mutex::new(0),
            told: Condvar::new(),
        });
        let writer = {
            let ring = Arc::clone(&ring);
            thread::spawn(move || {
                for n in 0..2u64 {
                    while cursors::free_or_wait(&*ring, n, CAPACITY).unwrap() == 0 {
                        take(&ring.wakes, &ring.woken);
                    }
                    ring.place.store(n + 7, Ordering::Relaxed);
                    ring.set_head(n + 1);
                    add(&ring.news, &ring.told);
                }
            })
        };
        for n in 0..2u64 {
            take(&ring.news, &ring.told);
            assert_eq!(cursors::filled(&*ring, n, CAPACITY).unwrap(), 1);
            assert_eq!(ring.place.load(Ordering::Relaxed), n + 7);
            if cursors::release(&*ring, n + 1) {
                add(&ring.wakes, &ring.woken);
            }
        }
        writer.join().unwrap();
    });
}
