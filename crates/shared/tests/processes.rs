//! Real second processes that get shared memory the way a program of ours does it: as inherited descriptors. It has no test
//! harness: it is executed again as the other process.

#![allow(clippy::unwrap_used)]

use std::fmt::Debug;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use phalanx_shared::{
    Blob, Error, Field, Generation, Owner, Permits, RingReceiver, RingSender, SharedBuffer, Slot, SlotIndex, Waited,
};

/// Longer than anything here takes; reached only when something is broken.
const GIVE_UP: Duration = Duration::from_secs(20);
/// What the other process plays.
const ROLE: &str = "PHALANX_TEST_ROLE";
/// Numbers of the descriptors that it inherited.
const DESCRIPTORS: &str = "PHALANX_TEST_DESCRIPTORS";
/// Elements of the buffer in which both processes tell how far they are.
const STEP: usize = 0;
const COUNTER: usize = 1;

fn main() {
    match std::env::var(ROLE).ok().as_deref() {
        None => run_tests(),
        Some("adder") => adder(),
        Some("counter") => counter(),
        Some("echo") => echo(),
        Some("holder") => holder(),
        Some("liar") => liar(),
        Some(other) => panic!("unknown role {other}"),
    }
}

fn run_tests() {
    let tests: [(&str, fn()); 5] = [
        ("main writes 10, another process adds 5 in place and is waited for", adds_in_place),
        ("messages and a blob go to another process and come back", goes_and_comes_back),
        ("two processes that count in one word lose nothing", counts_together),
        ("a killed process leaves its permit, its slot and its sleep to the others", killed),
        ("a process that writes garbage everywhere gets errors out of us and nothing else", lied_to),
    ];
    for (name, test) in tests {
        test();
        println!("test {name} ... ok");
    }
    println!("{} passed, 0 failed", tests.len());
}

/// The other process, which ends with us at the latest.
struct Other(Child);

impl Other {
    fn start(role: &str, descriptors: Vec<OwnedFd>) -> Other {
        for descriptor in &descriptors {
            // Nothing else is started at the same time that could inherit it too.
            rustix::io::fcntl_setfd(descriptor, rustix::io::FdFlags::empty()).unwrap();
        }
        let numbers: Vec<String> = descriptors.iter().map(|descriptor| descriptor.as_raw_fd().to_string()).collect();
        let child = Command::new(std::env::current_exe().unwrap())
            .env(ROLE, role)
            .env(DESCRIPTORS, numbers.join(" "))
            .spawn()
            .unwrap();
        Other(child)
    }

    fn ended_well(mut self) {
        let status = self.0.wait().unwrap();
        assert!(status.success(), "the other process: {status}");
    }

    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// In the other process: the descriptors, in order.
fn inherited() -> Vec<OwnedFd> {
    let numbers = std::env::var(DESCRIPTORS).unwrap();
    // SAFETY: `Other::start` left exactly these open for us, and this is called once.
    numbers.split(' ').map(|number| unsafe { OwnedFd::from_raw_fd(number.parse().unwrap()) }).collect()
}

/// Waits until the other process has come to `step`.
fn until(buffer: &SharedBuffer, step: i32) {
    let view = buffer.view::<i32>().unwrap();
    let deadline = Instant::now() + GIVE_UP;
    loop {
        let now = view.load(STEP).unwrap();
        if now >= step {
            return;
        }
        view.wait(STEP, now, Some(GIVE_UP)).unwrap();
        assert!(Instant::now() < deadline, "the other process is at step {now}, not {step}");
    }
}

fn tell(buffer: &SharedBuffer, step: i32) {
    let view = buffer.view::<i32>().unwrap();
    view.store(STEP, step).unwrap();
    view.notify_all(STEP).unwrap();
}

fn adds_in_place() {
    let buffer = SharedBuffer::new(64).unwrap();
    let view = buffer.view::<i32>().unwrap();
    view.store(COUNTER, 10).unwrap();
    let other = Other::start("adder", vec![buffer.descriptor().unwrap()]);
    tell(&buffer, 1);
    until(&buffer, 2);
    assert_eq!(view.load(COUNTER).unwrap(), 15);
    other.ended_well();
}

fn adder() {
    let [descriptor] = <[OwnedFd; 1]>::try_from(inherited()).unwrap();
    let buffer = SharedBuffer::from_descriptor(descriptor).unwrap();
    until(&buffer, 1);
    buffer.view::<i32>().unwrap().add(COUNTER, 5).unwrap();
    tell(&buffer, 2);
}

fn counts_together() {
    let buffer = SharedBuffer::new(64).unwrap();
    let view = buffer.view::<i32>().unwrap();
    let other = Other::start("counter", vec![buffer.descriptor().unwrap()]);
    until(&buffer, 1);
    count(&buffer);
    other.ended_well();
    assert_eq!(view.load(COUNTER).unwrap(), 200_000);
}

fn counter() {
    let [descriptor] = <[OwnedFd; 1]>::try_from(inherited()).unwrap();
    let buffer = SharedBuffer::from_descriptor(descriptor).unwrap();
    tell(&buffer, 1);
    count(&buffer);
}

fn count(buffer: &SharedBuffer) {
    let view = buffer.view::<i32>().unwrap();
    for _ in 0..100_000 {
        view.add(COUNTER, 1).unwrap();
    }
}

fn goes_and_comes_back() {
    let mut there = RingSender::create(4096).unwrap();
    let mut back = RingReceiver::create(4096).unwrap();
    let blob = Blob::from(vec![3; 1_000_000]);
    let descriptors = vec![there.descriptor().unwrap(), back.descriptor().unwrap(), blob.descriptor().unwrap()];
    let other = Other::start("echo", descriptors);
    let mut answer = Vec::new();
    for number in 0..10_000usize {
        let message: Vec<u8> = (0..number % 200).map(|n| (n + number) as u8).collect();
        there.send(&message, GIVE_UP).unwrap();
        back.recv(&mut answer, GIVE_UP).unwrap();
        assert_eq!(answer[..8], 3_000_000u64.to_ne_bytes());
        assert_eq!(answer[8..], message);
    }
    there.send(b"the end", GIVE_UP).unwrap();
    other.ended_well();
}

fn echo() {
    let [there, back, blob] = <[OwnedFd; 3]>::try_from(inherited()).unwrap();
    let mut there = RingReceiver::from_descriptor(there).unwrap();
    let mut back = RingSender::from_descriptor(back).unwrap();
    let blob = Blob::from_descriptor(blob, 1_000_000).unwrap();
    let sum: u64 = blob.iter().map(|byte| u64::from(*byte)).sum();
    let mut message = Vec::new();
    loop {
        there.recv(&mut message, GIVE_UP).unwrap();
        if message == b"the end" {
            return;
        }
        back.send(&[&sum.to_ne_bytes(), &message[..]].concat(), GIVE_UP).unwrap();
    }
}

fn killed() {
    let buffer = SharedBuffer::new(64).unwrap();
    let permits = Permits::create(1).unwrap();
    let slot = Slot::create().unwrap();
    let descriptors = vec![buffer.descriptor().unwrap(), permits.descriptor().unwrap(), slot.descriptor().unwrap()];
    let other = Other::start("holder", descriptors);
    until(&buffer, 1);
    let view = buffer.view::<i32>().unwrap();
    let generation = slot.generation();
    assert_eq!((permits.held_by(dead()), slot.get(Field::Requests)), (1, 77));
    other.kill();
    // All of it can be read after its writer was killed, and is given back by a sweep.
    assert_eq!((permits.held_by(dead()), slot.get(Field::Requests)), (1, 77));
    assert_eq!(slot.generation(), generation);
    slot.vacate();
    assert_ne!(slot.generation(), generation);
    assert_eq!(permits.sweep(dead()), 1);
    assert!(permits.acquire_within(Owner::new(SlotIndex(0), Generation(1)), GIVE_UP).is_some());
    // Nobody sleeps there any more, and a new sleeper is not disturbed by the old one.
    assert_eq!(view.notify_all(COUNTER).unwrap(), 0);
    assert_eq!(view.wait(COUNTER, 0, Some(Duration::from_millis(1))).unwrap(), Waited::TimedOut);
}

fn dead() -> Owner {
    Owner::new(SlotIndex(5), Generation(9))
}

fn holder() {
    let [buffer, permits, slot] = <[OwnedFd; 3]>::try_from(inherited()).unwrap();
    let buffer = SharedBuffer::from_descriptor(buffer).unwrap();
    let permits = Permits::from_descriptor(permits).unwrap();
    let _permit = permits.try_acquire(dead()).unwrap();
    Slot::open(slot).unwrap().set(Field::Requests, 77);
    tell(&buffer, 1);
    buffer.view::<i32>().unwrap().wait(COUNTER, 0, Some(GIVE_UP * 3)).unwrap();
}

fn lied_to() {
    let steps = SharedBuffer::new(64).unwrap();
    let buffer = SharedBuffer::growable(64, 4096).unwrap();
    let mut ring = RingSender::create(1024).unwrap();
    let mut back = RingReceiver::create(1024).unwrap();
    let permits = Permits::create(2).unwrap();
    let all = vec![
        steps.descriptor().unwrap(),
        buffer.descriptor().unwrap(),
        ring.descriptor().unwrap(),
        back.descriptor().unwrap(),
        permits.descriptor().unwrap(),
    ];
    let other = Other::start("liar", all);
    let view = buffer.view::<u32>().unwrap();
    let mut out = Vec::new();
    let (mut errors, mut round) = (0, 0);
    // At least once, and until it has written everything several times.
    while steps.view::<i32>().unwrap().load(STEP).unwrap() < 200 || round == 0 {
        round += 1;
        let len = buffer.len();
        assert!(len <= 4096);
        for index in [0, len / 4, 1023, 1024, usize::MAX] {
            let outcome = view.load(index);
            assert!(index < 1024 || is_error(&outcome), "{outcome:?}");
            let _ = view.wait(index, 0, Some(Duration::from_micros(1)));
        }
        let _ = buffer.read(len.saturating_sub(8), &mut [0; 16]);
        for outcome in [ring.try_send(&[1; 100]), ring.send(&[2; 5], Duration::from_micros(1))] {
            errors += usize::from(matches!(outcome, Err(Error::Corrupt { .. })));
        }
        let outcome = back.try_recv(&mut out).map(drop);
        errors += usize::from(matches!(outcome, Err(Error::Corrupt { .. })));
        assert!(out.len() <= 1024);
        let _ = permits.acquire_within(Owner::new(SlotIndex(1), Generation(1)), Duration::from_micros(10));
        let _ = RingReceiver::from_descriptor(ring.descriptor().unwrap());
        let _ = SharedBuffer::from_descriptor(buffer.descriptor().unwrap()).map(|again| assert!(again.len() <= 4096));
    }
    other.ended_well();
    assert!(errors > 0, "the lies were never noticed");
}

fn is_error<T: Debug>(outcome: &Result<T, Error>) -> bool {
    matches!(outcome, Err(Error::OutOfBounds { .. }))
}

fn liar() {
    let mut descriptors = inherited();
    let steps = SharedBuffer::from_descriptor(descriptors.remove(0)).unwrap();
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    for step in 0..=200 {
        for file in &descriptors {
            let bytes = rustix::fs::fstat(file).unwrap().st_size as u64;
            for offset in (0..bytes).step_by(8) {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                let garbage = if seed.is_multiple_of(3) { seed % 2000 } else { seed };
                // Also behind what is a mark: it was looked at already, or will be refused.
                rustix::io::pwrite(file, &garbage.to_ne_bytes(), offset).unwrap();
            }
            // What would be worst cannot be done.
            assert!(rustix::fs::ftruncate(file, 0).is_err());
        }
        tell(&steps, step);
    }
}
