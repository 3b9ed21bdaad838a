use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::*;
use crate::second_process::{self, GIVE_UP, SecondProcess, say, wait_to_be_killed};

fn owner(slot: u16) -> Owner {
    Owner::new(SlotIndex(slot), Generation(1))
}

#[test]
fn there_are_as_many_permits_as_cores_and_no_more() {
    let permits = Permits::create(3).unwrap();
    let held: Vec<_> = (0..3).map(|slot| permits.try_acquire(owner(slot)).unwrap()).collect();
    assert_eq!((permits.in_use(), permits.cores()), (3, 3));
    assert!(permits.try_acquire(owner(0)).is_none());
    assert!(permits.acquire_within(owner(0), Duration::from_millis(1)).is_none());
    drop(held);
    assert_eq!(permits.in_use(), 0);
}

#[test]
fn slot_zero_in_generation_zero_is_an_owner_too() {
    let permits = Permits::create(1).unwrap();
    let first = Owner::new(SlotIndex(0), Generation(0));
    let _permit = permits.try_acquire(first).unwrap();
    assert_eq!(permits.held_by(first), 1);
    assert!(permits.try_acquire(first).is_none());
}

#[test]
fn a_permit_that_was_swept_frees_nothing_when_it_is_dropped() {
    let permits = Permits::create(1).unwrap();
    let late = permits.try_acquire(owner(1)).unwrap();
    assert_eq!(permits.sweep(owner(1)), 1);
    let _new = permits.try_acquire(owner(2)).unwrap();
    drop(late);
    assert_eq!(permits.held_by(owner(2)), 1);
}

#[test]
fn a_sweep_leaves_the_next_generation_of_the_slot_alone() {
    let permits = Permits::create(4).unwrap();
    let next = Owner::new(SlotIndex(1), Generation(2));
    let dead = [permits.try_acquire(owner(1)), permits.try_acquire(owner(1))];
    let _alive = permits.try_acquire(next).unwrap();
    assert_eq!(permits.sweep(owner(1)), 2);
    assert_eq!((permits.held_by(next), permits.in_use()), (1, 1));
    drop(dead);
}

#[test]
fn words_that_are_nonsense_cost_their_core_until_retain_frees_them() {
    let permits = Permits::create(2).unwrap();
    let words = permits.segment.words::<AtomicU64>();
    words[2 * 8].store(u64::MAX, Ordering::Release);
    words[3 * 8].store(1, Ordering::Release);
    permits.segment.words::<AtomicU32>()[16].store(u32::MAX, Ordering::Release);
    permits.segment.words::<AtomicU32>()[17].store(u32::MAX, Ordering::Release);
    assert!(permits.acquire_within(owner(0), Duration::from_millis(2)).is_none(), "waits no longer than its patience");
    assert_eq!(permits.retain(|_| true), 2);
    assert!(permits.acquire_within(owner(0), Duration::from_millis(2)).is_some());
}

#[test]
fn other_memory_is_not_mistaken_for_permits() {
    let refused = |length: usize| {
        let other = Segment::create("test", length).unwrap();
        Permits::from_descriptor(other.descriptor().unwrap()).unwrap_err().kind()
    };
    for length in [1, 64, 128, 129, 192, 4096, (3 + MOST_CORES) * LINE_BYTES] {
        assert_eq!(refused(length), io::ErrorKind::InvalidInput, "{length} bytes");
    }
    let permits = Permits::create(1).unwrap();
    let read_only = permits.segment.read_only_descriptor().unwrap();
    assert_eq!(Permits::from_descriptor(read_only).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    assert_eq!(Permits::create(0).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    assert_eq!(Permits::create(MOST_CORES + 1).unwrap_err().kind(), io::ErrorKind::InvalidInput);
}

#[test]
fn under_contention_a_core_is_never_held_twice_and_every_waiter_is_served() {
    const CORES: usize = 2;
    const THREADS: u16 = 6;
    const ROUNDS: usize = 2_000;
    let permits = Permits::create(CORES).unwrap();
    let (inside, served) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for slot in 0..THREADS {
            let (permits, inside, served) = (&permits, &inside, &served);
            scope.spawn(move || {
                for _ in 0..ROUNDS {
                    let permit = permits.acquire_within(owner(slot), GIVE_UP).expect("a lost wake-up");
                    assert!(inside.fetch_add(1, Ordering::SeqCst) < CORES);
                    served.fetch_add(1, Ordering::Relaxed);
                    inside.fetch_sub(1, Ordering::SeqCst);
                    drop(permit);
                }
            });
        }
    });
    assert_eq!(served.into_inner(), usize::from(THREADS) * ROUNDS);
    assert_eq!(permits.in_use(), 0);
}

#[test]
fn a_killed_process_keeps_its_permit_until_it_is_swept() {
    let permits = Permits::create(1).unwrap();
    let holder = second_process(&permits, "role_holder");
    assert_eq!(holder.hear(), "holding");
    assert!(permits.try_acquire(owner(0)).is_none());
    holder.kill();
    assert_eq!(permits.held_by(owner(5)), 1);
    assert_eq!(permits.sweep(owner(5)), 1);
    assert!(permits.try_acquire(owner(0)).is_some());
}

#[test]
fn a_release_wakes_a_waiter_in_another_process() {
    let permits = Permits::create(1).unwrap();
    let permit = permits.try_acquire(owner(0)).unwrap();
    let waiter = second_process(&permits, "role_waiter");
    assert_eq!(waiter.hear(), "waiting");
    until_somebody_waits(&permits);
    // Its patience is longer than ours: it can answer in time only because it was woken.
    drop(permit);
    assert_eq!(waiter.hear(), "served");
}

#[test]
fn a_process_that_is_killed_while_it_waits_holds_nobody_up() {
    let permits = Permits::create(1).unwrap();
    let permit = permits.try_acquire(owner(0)).unwrap();
    let waiter = second_process(&permits, "role_waiter");
    assert_eq!(waiter.hear(), "waiting");
    until_somebody_waits(&permits);
    waiter.wait_until_it_sleeps_on_a_futex();
    waiter.kill();
    // Its flag is still up. A waiter of ours is served all the same, and nobody holds what the dead one wanted.
    let other = permits.clone();
    let ours = thread::spawn(move || other.acquire_within(owner(1), GIVE_UP).is_some());
    drop(permit);
    assert!(ours.join().unwrap());
    assert_eq!(permits.in_use(), 0);
}

#[test]
fn a_process_that_dies_with_several_permits_leaves_them_to_one_sweep() {
    let permits = Permits::create(3).unwrap();
    let holders = [(); 3].map(|()| second_process(&permits, "role_holder"));
    holders.iter().for_each(|holder| assert_eq!(holder.hear(), "holding"));
    holders.into_iter().for_each(SecondProcess::kill);
    let other = permits.clone();
    let waiters = thread::spawn(move || {
        let all: Vec<_> = (0..3).map(|slot| other.acquire_within(owner(slot), GIVE_UP)).collect();
        all.iter().flatten().count()
    });
    until_somebody_waits(&permits);
    assert_eq!(permits.sweep(owner(5)), 3);
    assert_eq!(waiters.join().unwrap(), 3);
}

fn until_somebody_waits(permits: &Permits) {
    let deadline = Instant::now() + GIVE_UP;
    while !permits.segment.somebody_waits() {
        assert!(Instant::now() < deadline, "nobody ever raised the waiting flag");
        thread::yield_now();
    }
}

fn second_process(permits: &Permits, role: &str) -> SecondProcess {
    second_process::start(&format!("permits::tests::{role}"), permits.descriptor().unwrap(), &[])
}

fn permits_of_the_first_process() -> Permits {
    Permits::from_descriptor(second_process::memory_of_the_first()).unwrap()
}

#[test]
#[ignore = "the second process of a_killed_process_keeps_its_permit_until_it_is_swept"]
fn role_holder() {
    let _permit = permits_of_the_first_process().try_acquire(owner(5)).unwrap();
    say("holding");
    wait_to_be_killed();
}

#[test]
#[ignore = "the second process of a_release_wakes_a_waiter_in_another_process"]
fn role_waiter() {
    let permits = permits_of_the_first_process();
    say("waiting");
    let _permit = permits.acquire_within(owner(6), GIVE_UP * 3).unwrap();
    say("served");
}
