use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use super::check_supported;
use crate::fail_point::FAIL_POINT;
use crate::second_process::{self, GIVE_UP, say};
use crate::{Error, SharedBuffer, View, Waited};

/// A deadline that is meant to pass.
const SHORT: Duration = Duration::from_millis(5);

/// Wakes the thread that blocks on a future, and counts.
struct Unpark {
    thread: thread::Thread,
    wakes: AtomicUsize,
}

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.wakes.fetch_add(1, Ordering::SeqCst);
        self.thread.unpark();
    }
}

fn unpark() -> Arc<Unpark> {
    Arc::new(Unpark { thread: thread::current(), wakes: AtomicUsize::new(0) })
}

type Wait = Pin<Box<dyn Future<Output = Result<Waited, Error>> + Send>>;

/// Polls all, in turn, until `enough` of them are ready; their places and results. The rest stay.
fn until_ready(waits: &mut Vec<(usize, Wait)>, enough: usize) -> Vec<(usize, Waited)> {
    let waker = Waker::from(unpark());
    let deadline = Instant::now() + GIVE_UP;
    let mut ready = Vec::new();
    loop {
        waits.retain_mut(|(place, wait)| match wait.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(result) => {
                ready.push((*place, result.unwrap()));
                false
            }
            Poll::Pending => true,
        });
        if ready.len() >= enough {
            return ready;
        }
        assert!(Instant::now() < deadline, "{} of {enough} are ready: a wake-up was lost", ready.len());
        thread::park_timeout(GIVE_UP);
    }
}

fn block_on(wait: impl Future<Output = Result<Waited, Error>> + Send + 'static) -> Waited {
    until_ready(&mut vec![(0, Box::pin(wait))], 1)[0].1
}

fn view(elements: usize) -> View<i32> {
    SharedBuffer::new(elements * 4).unwrap().view().unwrap()
}

fn begin(view: &View<i32>, indices: impl IntoIterator<Item = usize>) -> Vec<(usize, Wait)> {
    indices.into_iter().map(|index| (index, Box::pin(view.wait_async(index, 0, Some(GIVE_UP * 3))) as Wait)).collect()
}

/// One of these tests at a time: all waits of the process share the thread that sleeps, and what it does for one test
/// another would see in its counts. `None`, and says so, where the kernel (or valgrind in its place) cannot do it.
fn alone() -> Option<MutexGuard<'static, ()>> {
    static TURN: Mutex<()> = Mutex::new(());
    if let Err(error) = check_supported() {
        println!("skipped: {error}");
        return None;
    }
    Some(TURN.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Until exactly `count` sleep on the element and nothing is under way that would change that: only then does a notify
/// tell exactly whom it woke.
fn until_armed(view: &View<i32>, index: usize, count: usize) {
    // Nobody but the kernel knows who sleeps; moving sleepers from a word to itself counts them and wakes nobody.
    let word = view.atomic(index).unwrap();
    // SAFETY: both types have the size, the alignment and the validity of a `u32`.
    let word = unsafe { &*std::ptr::from_ref(word).cast::<std::sync::atomic::AtomicU32>() };
    let deadline = Instant::now() + GIVE_UP;
    loop {
        let flags = rustix::thread::futex::Flags::empty();
        // First the threads: one that was kicked runs, until it has armed its waits again.
        let quiet = sleepers_sleep();
        if quiet && rustix::thread::futex::cmp_requeue(word, flags, 0, i32::MAX as u32, word, 0).unwrap() == count {
            return;
        }
        assert!(Instant::now() < deadline, "{count} waits were never armed");
        thread::yield_now();
    }
}

fn sleepers_sleep() -> bool {
    std::fs::read_dir("/proc/self/task").unwrap().flatten().all(|task| {
        let said = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
        !said.contains("(phalanx-waits)") || said.contains("(phalanx-waits) S ")
    })
}

#[test]
fn a_wait_that_need_not_begin_is_ready_at_once() {
    let view = view(1);
    assert_eq!(block_on(view.wait_async(0, 1, None)), Waited::NotEqual);
    assert_eq!(block_on(view.wait_async(0, 1, Some(Duration::ZERO))), Waited::NotEqual);
    assert_eq!(block_on(view.wait_async(0, 0, Some(Duration::ZERO))), Waited::TimedOut);
    let mut beyond = pin!(view.wait_async(1, 0, None));
    let polled = beyond.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(polled, Poll::Ready(Err(Error::OutOfBounds { .. }))));
}

#[test]
fn a_wait_times_out_and_not_too_early() {
    let Some(_alone) = alone() else { return };
    let begun = Instant::now();
    assert_eq!(block_on(view(1).wait_async(0, 0, Some(SHORT))), Waited::TimedOut);
    assert!(begun.elapsed() >= SHORT);
}

#[test]
fn a_wait_that_sleeps_for_ever_does_not_keep_the_others_from_timing_out() {
    let Some(_alone) = alone() else { return };
    let view = view(2);
    let mut waits = begin(&view, [0]);
    for _ in 0..3 {
        assert_eq!(block_on(view.wait_async(1, 0, Some(SHORT))), Waited::TimedOut);
    }
    view.notify_all(0).unwrap();
    until_ready(&mut waits, 1);
}

#[test]
fn a_notify_right_after_the_wait_began_is_never_lost() {
    let Some(_alone) = alone() else { return };
    let view = view(1);
    for _ in 0..2_000 {
        // Not polled yet, not armed yet, and the element does not change.
        let wait = view.wait_async(0, 0, Some(GIVE_UP * 3));
        view.notify(0, 1).unwrap();
        assert_eq!(block_on(wait), Waited::Ok);
    }
}

#[test]
fn a_notify_of_one_ends_one_wait_in_the_order_in_which_they_began() {
    let Some(_alone) = alone() else { return };
    let view = view(1);
    let mut waits: Vec<(usize, Wait)> = begin(&view, [0; 3]);
    waits.iter_mut().enumerate().for_each(|(number, (place, _))| *place = number);
    for number in 0..3 {
        until_armed(&view, 0, 3 - number);
        assert_eq!(view.notify(0, 1).unwrap(), 1);
        assert_eq!(until_ready(&mut waits, 1), [(number, Waited::Ok)]);
    }
}

#[test]
fn a_notify_counts_the_waits_of_both_kinds() {
    let Some(_alone) = alone() else { return };
    let view = view(1);
    let mut waits = begin(&view, [0; 3]);
    let other = view.clone();
    let thread = thread::spawn(move || other.wait(0, 0, Some(GIVE_UP)).unwrap());
    until_armed(&view, 0, 4);
    assert_eq!(view.notify_all(0).unwrap(), 4);
    until_ready(&mut waits, 3);
    assert_eq!(thread.join().unwrap(), Waited::Ok);
}

#[test]
fn of_many_waits_notified_at_once_none_is_lost_on_equal_and_different_words() {
    let Some(_alone) = alone() else { return };
    const ELEMENTS: usize = 40;
    let view = view(ELEMENTS);
    for round in 0..50 {
        // Three on each, and nothing ever changes the elements.
        let mut waits = begin(&view, (0..3 * ELEMENTS).map(|n| n % ELEMENTS));
        thread::scope(|scope| {
            for part in 0..4 {
                let view = &view;
                scope.spawn(move || {
                    (0..ELEMENTS).filter(|n| n % 4 == part).for_each(|n| drop(view.notify_all((n + round) % ELEMENTS)));
                });
            }
        });
        assert!(until_ready(&mut waits, 3 * ELEMENTS).iter().all(|(_, waited)| *waited == Waited::Ok));
    }
}

#[test]
fn tasks_that_pass_a_turn_around_never_stop() {
    let Some(_alone) = alone() else { return };
    const TASKS: i32 = 8;
    const TURNS: i32 = 4_000;
    let view = view(1);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut tasks = Vec::new();
        for task in 0..TASKS {
            let view = view.clone();
            tasks.push(tokio::spawn(async move {
                loop {
                    let turn = view.load(0).unwrap();
                    if turn >= TURNS {
                        return;
                    }
                    if turn % TASKS == task {
                        view.add(0, 1).unwrap();
                        view.notify_all(0).unwrap();
                    } else {
                        assert_ne!(view.wait_async(0, turn, Some(GIVE_UP)).await.unwrap(), Waited::TimedOut);
                    }
                }
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
    });
}

#[test]
fn more_waits_than_one_thread_can_sleep_for_get_further_threads() {
    let Some(_alone) = alone() else { return };
    let view = view(1000);
    let mut waits = begin(&view, 0..1000);
    for index in 0..1000 {
        view.notify_all(index).unwrap();
    }
    until_ready(&mut waits, 1000);
}

#[test]
fn more_waits_than_all_threads_can_sleep_for_are_refused_and_harm_none_of_the_others() {
    let Some(_alone) = alone() else { return };
    let view = view(1);
    let mut waits = Vec::new();
    let refused = loop {
        let mut wait: Wait = Box::pin(view.wait_async(0, 0, Some(GIVE_UP * 3)));
        match wait.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending => waits.push((0, wait)),
            Poll::Ready(result) => break result,
        }
        assert!(waits.len() < 10_000, "there is no bound");
    };
    assert!(matches!(refused, Err(Error::TooManyWaits { limit }) if limit <= waits.len()), "{refused:?}");
    view.notify_all(0).unwrap();
    let all = waits.len();
    until_ready(&mut waits, all);
    // There is room again.
    let mut again = begin(&view, [0]);
    view.notify(0, 1).unwrap();
    until_ready(&mut again, 1);
}

#[test]
fn a_wait_that_is_dropped_takes_no_notify_from_the_others() {
    let Some(_alone) = alone() else { return };
    let view = view(1);
    for round in 0..500 {
        let mut waits = begin(&view, [0, 0]);
        if round % 2 == 0 {
            until_armed(&view, 0, 2);
        }
        // Dropped while the notify comes: before, after, or in between.
        let (_, given_up) = waits.remove(0);
        thread::scope(|scope| {
            scope.spawn(|| drop(given_up));
            view.notify(0, 1).unwrap();
        });
        until_ready(&mut waits, 1);
    }
}

#[test]
fn what_is_dropped_is_gone_from_the_kernel_too() {
    let Some(_alone) = alone() else { return };
    let view = view(1);
    let waits = begin(&view, [0; 10]);
    until_armed(&view, 0, 10);
    drop(waits);
    until_armed(&view, 0, 0);
    assert_eq!(view.notify_all(0).unwrap(), 0);
}

#[test]
fn a_wait_is_woken_only_when_it_has_ended() {
    let Some(_alone) = alone() else { return };
    let view = view(2);
    let waker = unpark();
    let mut quiet = begin(&view, [1]);
    let polled = quiet[0].1.as_mut().poll(&mut Context::from_waker(&Waker::from(waker.clone())));
    assert!(polled.is_pending());
    // Others come and go.
    for _ in 0..20 {
        let mut other = begin(&view, [0]);
        until_armed(&view, 0, 1);
        view.notify(0, 1).unwrap();
        until_ready(&mut other, 1);
    }
    assert_eq!(waker.wakes.load(Ordering::SeqCst), 0);
    view.notify(1, 1).unwrap();
    until_ready(&mut quiet, 1);
}

#[test]
fn a_waker_that_panics_ends_nobody_elses_wait() {
    let Some(_alone) = alone() else { return };
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("the waker of a broken runtime (this panic is part of the test)");
        }
    }
    let view = view(1);
    let mut waits = begin(&view, [0, 0]);
    let polled = waits[0].1.as_mut().poll(&mut Context::from_waker(&Waker::from(Arc::new(Panics))));
    assert!(polled.is_pending());
    view.notify_all(0).unwrap();
    until_ready(&mut waits, 2);
}

#[test]
fn another_process_wakes_a_wait_without_changing_the_element() {
    let Some(_alone) = alone() else { return };
    let view = view(2);
    let mut waits = begin(&view, [0; 5]);
    until_armed(&view, 0, 5);
    let role = "wait_async::tests::role_notifier";
    let other = second_process::start(role, view.buffer().descriptor().unwrap(), &[]);
    assert_eq!(other.hear(), "woke 5");
    until_ready(&mut waits, 5);
}

#[test]
fn a_process_that_is_killed_while_it_notifies_loses_no_later_notify() {
    let Some(_alone) = alone() else { return };
    let at = ["notify: it is counted and nobody is woken yet", "notify: they are woken and it is not counted as done"];
    for fail_point in at {
        let view = view(1);
        let mut waits = begin(&view, [0, 0]);
        until_armed(&view, 0, 2);
        let (role, memory) = ("wait_async::tests::role_notifier", view.buffer().descriptor().unwrap());
        let killed = second_process::start(role, memory, &[(FAIL_POINT, fail_point)]);
        assert_eq!(killed.hear(), "at the fail-point");
        killed.kill();
        // From now on a notify is under way for ever, as far as the counters tell.
        view.notify_all(0).unwrap();
        until_ready(&mut waits, 2);
        for _ in 0..100 {
            let mut again = begin(&view, [0]);
            view.notify(0, 1).unwrap();
            until_ready(&mut again, 1);
        }
    }
}

#[test]
#[ignore = "the second process of another_process_wakes_a_wait_without_changing_the_element"]
fn role_notifier() {
    let buffer = SharedBuffer::from_descriptor(second_process::memory_of_the_first()).unwrap();
    say(&format!("woke {}", buffer.view::<i32>().unwrap().notify_all(0).unwrap()));
}
