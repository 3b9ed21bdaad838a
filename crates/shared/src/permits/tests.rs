use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::*;

/// Longer than anything here takes; reached only when something is broken.
const GIVE_UP: Duration = Duration::from_secs(20);
/// Where a second process finds the permits of the first.
const PERMITS_PATH: &str = "PHALANX_TEST_PERMITS";

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
    let (mut child, lines) = second_process(&permits, "permits::tests::role_holder");
    assert_eq!(lines.recv_timeout(GIVE_UP).unwrap(), "holding");
    assert!(permits.try_acquire(owner(0)).is_none());
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(permits.held_by(owner(5)), 1);
    assert_eq!(permits.sweep(owner(5)), 1);
    assert!(permits.try_acquire(owner(0)).is_some());
}

#[test]
fn a_release_wakes_a_waiter_in_another_process() {
    let permits = Permits::create(1).unwrap();
    let permit = permits.try_acquire(owner(0)).unwrap();
    let (mut child, lines) = second_process(&permits, "permits::tests::role_waiter");
    assert_eq!(lines.recv_timeout(GIVE_UP).unwrap(), "waiting");
    let deadline = Instant::now() + GIVE_UP;
    while !permits.segment.somebody_waits() {
        assert!(Instant::now() < deadline, "the other process never raised the waiting flag");
        thread::yield_now();
    }
    // Its patience is longer than ours: it can answer in time only because it was woken.
    drop(permit);
    assert_eq!(lines.recv_timeout(GIVE_UP).unwrap(), "served");
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Runs one of the roles below in a process of its own; what it says comes line by line.
fn second_process(permits: &Permits, role: &str) -> (Child, mpsc::Receiver<String>) {
    // Our own descriptor, seen from outside: a memory file can be opened anew through it.
    let descriptor = permits.descriptor().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", role, "--ignored", "--nocapture"])
        .env(PERMITS_PATH, format!("/proc/{}/fd/{}", std::process::id(), descriptor.as_raw_fd()))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let (said, lines) = mpsc::channel();
    thread::spawn(move || {
        // Until the end of the output; what is said before the permits are mapped is the test harness.
        let _keep_open = descriptor;
        for line in output.lines().map_while(Result::ok) {
            if let Some(word) = line.strip_prefix("said: ") {
                let _ = said.send(word.to_owned());
            }
        }
    });
    (child, lines)
}

fn permits_of_the_first_process() -> Permits {
    let path = std::env::var(PERMITS_PATH).expect("run by second_process() only");
    let file = std::fs::File::options().read(true).write(true).open(path).unwrap();
    Permits::from_descriptor(file.into()).unwrap()
}

fn say(word: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\nsaid: {word}").unwrap();
    out.flush().unwrap();
}

#[test]
#[ignore = "the second process of a_killed_process_keeps_its_permit_until_it_is_swept"]
fn role_holder() {
    let _permit = permits_of_the_first_process().try_acquire(owner(5)).unwrap();
    say("holding");
    // Until the first process kills us, or is gone itself.
    let _ = std::io::stdin().read_line(&mut String::new());
}

#[test]
#[ignore = "the second process of a_release_wakes_a_waiter_in_another_process"]
fn role_waiter() {
    let permits = permits_of_the_first_process();
    say("waiting");
    let _permit = permits.acquire_within(owner(6), GIVE_UP * 3).unwrap();
    say("served");
}
