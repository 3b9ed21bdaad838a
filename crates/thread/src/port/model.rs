//! The lane under every interleaving of a few threads (loom): a lost wake-up is a deadlock, which loom reports.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll, Wake, Waker};

use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

use crate::port::PostError;
use crate::port::lane::Lane;
use crate::port::waiters::Ticket;

/// Where a thread sleeps until it is woken.
struct Sleeper {
    woken: Mutex<bool>,
    changed: Condvar,
}

impl Wake for Sleeper {
    fn wake(self: std::sync::Arc<Self>) {
        *self.woken.lock().unwrap() = true;
        self.changed.notify_one();
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let sleeper = std::sync::Arc::new(Sleeper { woken: Mutex::new(false), changed: Condvar::new() });
    let waker = Waker::from(std::sync::Arc::clone(&sleeper));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        let mut woken = sleeper.woken.lock().unwrap();
        while !std::mem::take(&mut *woken) {
            woken = sleeper.changed.wait(woken).unwrap();
        }
    }
}

async fn push(lane: &Lane<u32>, value: u32) -> Result<(), PostError<u32>> {
    let (mut ticket, mut slot) = (Ticket::default(), Some(value));
    poll_fn(|context| lane.poll_push(context, &mut ticket, &mut slot)).await
}

async fn pull(lane: &Lane<u32>) -> Option<u32> {
    let mut ticket = Ticket::default();
    poll_fn(|context| lane.poll_take(context, &mut ticket, VecDeque::pop_front)).await
}

fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

#[test]
fn loom_every_value_arrives_in_order_through_a_lane_that_is_too_small() {
    check(|| {
        let lane = Arc::new(Lane::new(1));
        let sender = Arc::clone(&lane);
        let sending = thread::spawn(move || {
            for value in 0..3 {
                block_on(push(&sender, value)).unwrap();
            }
            sender.close();
        });
        for value in 0..3 {
            assert_eq!(block_on(pull(&lane)), Some(value));
        }
        assert_eq!(block_on(pull(&lane)), None);
        sending.join().unwrap();
    });
}

#[test]
fn loom_close_wakes_who_sends_and_who_receives() {
    check(|| {
        let full = Arc::new(Lane::new(1));
        full.try_push(0).unwrap();
        let empty = Arc::new(Lane::<u32>::new(1));
        let (sender, receiver) = (Arc::clone(&full), Arc::clone(&empty));
        let sending = thread::spawn(move || assert!(block_on(push(&sender, 1)).is_err()));
        let receiving = thread::spawn(move || assert_eq!(block_on(pull(&receiver)), None));
        full.close();
        empty.close();
        sending.join().unwrap();
        receiving.join().unwrap();
        assert_eq!(block_on(pull(&full)), Some(0));
    });
}

#[test]
fn loom_last_words_that_are_forced_in_after_the_door_is_shut_come_before_the_end() {
    check(|| {
        let lane = Arc::new(Lane::new(1));
        let speaker = Arc::clone(&lane);
        let speaking = thread::spawn(move || {
            let _ = speaker.try_push(1);
            speaker.force(2);
            speaker.close();
        });
        lane.shut();
        let first = block_on(pull(&lane)).unwrap();
        if first == 1 {
            assert_eq!(block_on(pull(&lane)), Some(2));
        }
        assert_eq!(block_on(pull(&lane)), None);
        speaking.join().unwrap();
    });
}

#[test]
fn loom_a_receiver_that_gives_up_passes_its_call_on() {
    check(|| {
        let lane = Arc::new(Lane::new(2));
        let other = Arc::clone(&lane);
        let receiving = thread::spawn(move || block_on(pull(&other)));
        // Stands in line or takes the value, and then goes away.
        let mut ticket = Ticket::default();
        let mut context = Context::from_waker(Waker::noop());
        let taken = lane.poll_take(&mut context, &mut ticket, VecDeque::pop_front);
        assert_eq!(taken, Poll::Pending);
        lane.try_push(7).unwrap();
        lane.receiver_left(&mut ticket);
        assert_eq!(receiving.join().unwrap(), Some(7));
    });
}

#[test]
fn loom_a_sender_that_gives_up_passes_its_call_on() {
    check(|| {
        let lane = Arc::new(Lane::new(1));
        lane.try_push(0).unwrap();
        let other = Arc::clone(&lane);
        let sending = thread::spawn(move || block_on(push(&other, 1)).unwrap());
        let (mut ticket, mut slot) = (Ticket::default(), Some(2));
        let mut context = Context::from_waker(Waker::noop());
        assert!(lane.poll_push(&mut context, &mut ticket, &mut slot).is_pending());
        assert_eq!(block_on(pull(&lane)), Some(0));
        lane.sender_left(&mut ticket);
        sending.join().unwrap();
        assert_eq!(block_on(pull(&lane)), Some(1));
    });
}
