use std::os::fd::AsRawFd;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{MemfdFlags, SealFlags};

use super::*;
use crate::second_process::{self, GIVE_UP, SecondProcess, say, wait_to_be_killed};

/// A deadline that is meant to pass.
const SHORT: Duration = Duration::from_millis(5);

fn again(buffer: &SharedBuffer) -> SharedBuffer {
    SharedBuffer::from_descriptor(buffer.descriptor().unwrap()).unwrap()
}

fn read_only(buffer: &SharedBuffer) -> SharedBuffer {
    SharedBuffer::from_descriptor(buffer.read_only_descriptor().unwrap()).unwrap()
}

fn header(buffer: &SharedBuffer) -> &[AtomicU64] {
    buffer.segment().words()
}

#[test]
fn a_buffer_may_be_empty_and_is_zeroed() {
    let empty = SharedBuffer::new(0).unwrap();
    assert_eq!((empty.len(), empty.view::<u64>().unwrap().len()), (0, 0));
    assert!(matches!(empty.view::<u8>().unwrap().load(0), Err(Error::OutOfBounds { index: 0, count: 1, len: 0 })));
    assert_eq!(again(&empty).len(), 0);
    let mut bytes = [1; 100];
    SharedBuffer::new(100).unwrap().read(0, &mut bytes).unwrap();
    assert_eq!(bytes, [0; 100]);
}

#[test]
fn both_sides_see_the_same_bytes_and_the_same_length() {
    let ours = SharedBuffer::growable(8, 4096).unwrap();
    let theirs = again(&ours);
    assert!(theirs.is_growable() && theirs.is_writable());
    let view = theirs.view::<u16>().unwrap();
    ours.grow(4096).unwrap();
    assert_eq!((theirs.len(), view.len()), (4096, 2048));
    ours.write(4094, &7u16.to_ne_bytes()).unwrap();
    assert_eq!(view.load(2047).unwrap(), 7);
}

#[test]
fn a_buffer_grows_and_never_shrinks() {
    let buffer = SharedBuffer::growable(10, 20).unwrap();
    assert!(matches!(buffer.grow(9), Err(Error::CannotShrink { bytes: 9, len: 10 })));
    assert!(matches!(buffer.grow(21), Err(Error::TooLarge { bytes: 21, limit: 20, .. })));
    buffer.grow(10).unwrap();
    buffer.grow(20).unwrap();
    assert_eq!((buffer.len(), buffer.max_len()), (20, 20));
    assert!(matches!(SharedBuffer::new(8).unwrap().grow(8), Err(Error::NotGrowable)));
    assert!(matches!(SharedBuffer::growable(2, 1), Err(Error::TooLarge { .. })));
    assert!(matches!(SharedBuffer::new(usize::MAX), Err(Error::TooLarge { .. })));
}

#[test]
fn of_those_who_grow_at_the_same_time_the_largest_wins() {
    let buffer = SharedBuffer::growable(0, 1000).unwrap();
    thread::scope(|scope| {
        for thread in 0..4usize {
            let buffer = again(&buffer);
            // Somebody may have been faster and larger: then we would shrink it.
            scope.spawn(move || (thread..=1000).step_by(7).for_each(|len| drop(buffer.grow(len))));
        }
    });
    assert_eq!(buffer.len(), 997);
}

#[test]
fn what_is_reserved_and_not_touched_uses_no_memory() {
    let buffer = SharedBuffer::growable(0, 1 << 34).unwrap();
    buffer.grow(1 << 33).unwrap();
    buffer.view::<u64>().unwrap().store((1 << 30) - 1, 5).unwrap();
    let blocks = rustix::fs::fstat(&buffer).unwrap().st_blocks;
    assert!(blocks * 512 < 4 * 1024 * 1024, "{blocks} blocks");
}

#[test]
fn views_begin_and_end_where_they_should() {
    let buffer = SharedBuffer::growable(17, 64).unwrap();
    assert!(matches!(buffer.view_at::<u32>(2), Err(Error::Misaligned { byte_offset: 2, element_bytes: 4 })));
    assert!(matches!(buffer.view_of::<i64>(4, 1), Err(Error::Misaligned { byte_offset: 4, element_bytes: 8 })));
    assert!(matches!(buffer.view_at::<u8>(18), Err(Error::OutOfBounds { index: 18, .. })));
    assert!(matches!(buffer.view_of::<u32>(8, 3), Err(Error::OutOfBounds { index: 8, count: 12, len: 17 })));
    assert!(matches!(buffer.view_of::<u64>(8, usize::MAX), Err(Error::OutOfBounds { .. })));
    assert_eq!(buffer.view_at::<u8>(17).unwrap().len(), 0);
    assert_eq!(buffer.view_at::<u32>(8).unwrap().len(), 2);
    let fixed = buffer.view_of::<u32>(8, 2).unwrap();
    buffer.grow(64).unwrap();
    assert_eq!((fixed.len(), buffer.view_at::<u32>(8).unwrap().len()), (2, 14));
    assert!(matches!(fixed.load(2), Err(Error::OutOfBounds { index: 2, count: 1, len: 2 })));
    for index in [14, usize::MAX, usize::MAX / 4, usize::MAX / 4 + 1] {
        assert!(buffer.view_at::<u32>(8).unwrap().load(index).is_err(), "index {index}");
    }
    assert!(buffer.read(60, &mut [0; 5]).is_err());
    assert!(buffer.write(usize::MAX, &[0; 5]).is_err());
}

#[test]
fn operations_wrap_around_and_return_the_old_value() {
    let view = SharedBuffer::new(8).unwrap().view::<i8>().unwrap();
    view.store(0, i8::MAX).unwrap();
    assert_eq!((view.add(0, 1).unwrap(), view.load(0).unwrap()), (i8::MAX, i8::MIN));
    assert_eq!((view.sub(0, 1).unwrap(), view.exchange(0, 0b1100).unwrap()), (i8::MIN, i8::MAX));
    assert_eq!((view.and(0, 0b0110).unwrap(), view.or(0, 0b0011).unwrap()), (0b1100, 0b0100));
    assert_eq!((view.xor(0, 0b0101).unwrap(), view.load(0).unwrap()), (0b0111, 0b0010));
    assert_eq!((view.compare_exchange(0, 3, 9).unwrap(), view.compare_exchange(0, 2, 9).unwrap()), (2, 2));
    assert_eq!((view.load(0).unwrap(), view.load(1).unwrap()), (9, 0));
}

#[test]
fn a_read_only_buffer_is_read_and_never_written() {
    let ours = SharedBuffer::growable(64, 128).unwrap();
    let view = read_only(&ours).view::<i32>().unwrap();
    ours.view::<i32>().unwrap().store(3, -5).unwrap();
    assert_eq!(view.load(3).unwrap(), -5);
    let refused: [Result<(), Error>; 8] = [
        view.store(3, 1),
        view.add(3, 1).map(drop),
        view.compare_exchange(3, -5, 1).map(drop),
        view.exchange(3, 1).map(drop),
        view.atomic(3).map(drop),
        view.notify_all(3).map(drop),
        view.buffer().write(0, &[1]),
        view.buffer().grow(128),
    ];
    for outcome in refused {
        assert!(matches!(outcome, Err(Error::ReadOnly { .. })));
    }
    assert_eq!(ours.view::<i32>().unwrap().load(3).unwrap(), -5);
    // It can wait, and is woken by those who write.
    assert_eq!(view.wait(3, 0, None).unwrap(), Waited::NotEqual);
    let waiter = thread::spawn(move || view.wait(3, -5, Some(GIVE_UP)).unwrap());
    notify_until(&ours.view().unwrap(), 3, 1);
    assert_eq!(waiter.join().unwrap(), Waited::Ok);
}

#[test]
fn a_length_that_another_process_made_up_is_never_beyond_the_memory_and_never_shrinks() {
    let buffer = SharedBuffer::growable(16, 64).unwrap();
    let theirs = again(&buffer);
    let view = theirs.view::<u64>().unwrap();
    for lie in [u64::MAX, 65, 1 << 63] {
        header(&buffer)[LENGTH_AT].store(lie, Ordering::SeqCst);
        assert_eq!((theirs.len(), view.len()), (64, 8), "{lie}");
        assert!(view.load(8).is_err() && view.load(7).is_ok());
        assert!(theirs.read(0, &mut [0; 65]).is_err());
    }
    let before = view.buffer().view_of::<u64>(56, 1).unwrap();
    header(&buffer)[LENGTH_AT].store(3, Ordering::SeqCst);
    assert_eq!((theirs.len(), view.len(), again(&buffer).len()), (64, 8, 3));
    assert_eq!(before.load(0).unwrap(), 0);
    // Of a buffer of fixed length the word is not even looked at.
    let fixed = SharedBuffer::new(16).unwrap();
    header(&fixed)[LENGTH_AT].store(u64::MAX, Ordering::SeqCst);
    assert_eq!((fixed.len(), again(&fixed).len()), (16, 16));
}

#[test]
fn what_is_no_buffer_is_refused() {
    let refused = |descriptor| SharedBuffer::from_descriptor(descriptor).unwrap_err();
    for bytes in [1, 127, 128, 4096] {
        let other = Segment::create("test", bytes).unwrap();
        assert!(matches!(refused(other.descriptor().unwrap()), Error::Refused { .. }), "{bytes} bytes");
    }
    let buffer = SharedBuffer::new(64).unwrap();
    header(&buffer)[KIND_AT].store(3, Ordering::SeqCst);
    assert!(matches!(refused(buffer.descriptor().unwrap()), Error::Refused { .. }), "unknown kind");
    header(&buffer)[KIND_AT].store(FIXED, Ordering::SeqCst);
    header(&buffer)[MARK_AT].fetch_add(1, Ordering::SeqCst);
    assert!(matches!(refused(buffer.descriptor().unwrap()), Error::Refused { .. }), "another version");
}

#[test]
fn a_file_that_could_shrink_under_us_is_refused_whatever_it_holds() {
    for seals in [SealFlags::empty(), SealFlags::SHRINK, SealFlags::GROW, SealFlags::WRITE] {
        let file = rustix::fs::memfd_create("test", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
        rustix::fs::ftruncate(&file, 4096).unwrap();
        rustix::io::pwrite(&file, &MARK.to_ne_bytes(), 0).unwrap();
        rustix::io::pwrite(&file, &FIXED.to_ne_bytes(), 8).unwrap();
        rustix::fs::fcntl_add_seals(&file, seals).unwrap();
        let refused = SharedBuffer::from_descriptor(file).unwrap_err();
        assert!(matches!(refused, Error::Refused { .. }), "{seals:?}: {refused}");
    }
    let buffer = SharedBuffer::new(64).unwrap();
    assert!(rustix::fs::ftruncate(&buffer, 0).is_err());
    let plain = std::fs::File::open("/proc/self/exe").unwrap();
    assert!(matches!(SharedBuffer::from_descriptor(plain.into()), Err(Error::Refused { .. })));
}

#[test]
fn a_descriptor_that_can_only_be_written_is_refused() {
    let buffer = SharedBuffer::new(64).unwrap();
    let path = format!("/proc/self/fd/{}", buffer.as_fd().as_raw_fd());
    let write_only = std::fs::File::options().write(true).open(path).unwrap();
    assert!(matches!(SharedBuffer::from_descriptor(write_only.into()), Err(Error::System { .. })));
}

#[test]
fn the_layout_is_what_it_was() {
    // Processes of different versions meet in it: whoever changes these changes the mark too.
    let buffer = SharedBuffer::growable(3, 100).unwrap();
    buffer.view::<u32>().unwrap_or_else(|_| unreachable!());
    buffer.write(0, &[9]).unwrap();
    let words = header(&buffer);
    let said = [MARK_AT, KIND_AT, LENGTH_AT].map(|at| words[at].load(Ordering::SeqCst));
    assert_eq!(said, [u64::from_be_bytes(*b"PHXBUFR\x01"), 2, 3]);
    assert_eq!(buffer.segment().words::<std::sync::atomic::AtomicU8>()[128].load(Ordering::SeqCst), 9);
    assert_eq!(buffer.segment().len(), 228);
}

// Waiting.

/// Notifies until so many were woken in all: how a test knows that the others were asleep.
fn notify_until(view: &View<i32>, index: usize, woken: usize) {
    let deadline = Instant::now() + GIVE_UP;
    let mut sum = 0;
    while sum < woken {
        sum += view.notify(index, woken - sum).unwrap();
        assert!(Instant::now() < deadline, "{sum} of {woken} were woken");
        thread::yield_now();
    }
    assert_eq!(sum, woken);
}

#[test]
fn a_wait_for_another_value_or_no_time_does_not_sleep() {
    let view = SharedBuffer::new(8).unwrap().view::<u32>().unwrap();
    assert_eq!(view.wait(0, 1, None).unwrap(), Waited::NotEqual);
    assert_eq!(view.wait(0, 1, Some(Duration::ZERO)).unwrap(), Waited::NotEqual);
    assert_eq!(view.wait(0, 0, Some(Duration::ZERO)).unwrap(), Waited::TimedOut);
    let begun = Instant::now();
    assert_eq!(view.wait(0, 0, Some(SHORT)).unwrap(), Waited::TimedOut);
    assert!(begun.elapsed() >= SHORT);
    assert!(view.wait(2, 0, None).is_err());
    assert_eq!((view.notify_all(0).unwrap(), view.notify(0, 0).unwrap()), (0, 0));
    assert!(view.notify(2, 1).is_err());
}

#[test]
fn a_notify_wakes_as_many_as_it_says() {
    let view = SharedBuffer::new(8).unwrap().view::<i32>().unwrap();
    let other = again(view.buffer()).view::<i32>().unwrap();
    let waiters: Vec<_> = (0..5)
        .map(|_| {
            let view = other.clone();
            thread::spawn(move || view.wait(1, 0, Some(GIVE_UP)).unwrap())
        })
        .collect();
    notify_until(&view, 1, 2);
    // Nobody waits on the other element.
    assert_eq!(view.notify_all(0).unwrap(), 0);
    notify_until(&view, 1, 3);
    assert_eq!(view.notify_all(1).unwrap(), 0);
    for waiter in waiters {
        assert_eq!(waiter.join().unwrap(), Waited::Ok);
    }
}

#[test]
fn two_elements_side_by_side_are_two_things_to_wait_for() {
    let view = SharedBuffer::new(8).unwrap().view::<i32>().unwrap();
    let other = view.clone();
    let waiter = thread::spawn(move || other.wait(0, 0, Some(GIVE_UP)).unwrap());
    view.store(1, 1).unwrap();
    notify_until(&view, 0, 1);
    assert_eq!(waiter.join().unwrap(), Waited::Ok);
}

#[test]
fn a_signal_neither_ends_a_wait_nor_lengthens_it() {
    extern "C" fn nothing(_: i32) {}
    // SAFETY: an all-zero `sigaction` is a valid one; the handler does nothing. Nobody else here uses SIGUSR1.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = nothing as extern "C" fn(i32) as usize;
        assert_eq!(libc::sigaction(libc::SIGUSR1, &action, std::ptr::null_mut()), 0);
    }
    let view = SharedBuffer::new(8).unwrap().view::<i32>().unwrap();
    let other = view.clone();
    let (tell, told) = std::sync::mpsc::channel();
    let waiter = thread::spawn(move || {
        // SAFETY: it only returns the id of this thread.
        tell.send(unsafe { libc::pthread_self() } as usize).unwrap();
        let notified = other.wait(0, 0, Some(GIVE_UP)).unwrap();
        let begun = Instant::now();
        let late = other.wait(0, 0, Some(Duration::from_millis(50))).unwrap();
        tell.send(0).unwrap();
        (notified, late, begun.elapsed())
    });
    let id = told.recv().unwrap() as libc::pthread_t;
    // SAFETY: the thread is joined only below, so its id is valid.
    let interrupt = || unsafe { assert_eq!(libc::pthread_kill(id, libc::SIGUSR1), 0) };
    (0..100).for_each(|_| interrupt());
    notify_until(&view, 0, 1);
    // A relative timeout would begin anew with each signal, and these come faster than it passes.
    let deadline = Instant::now() + GIVE_UP;
    while told.recv_timeout(Duration::from_millis(1)).is_err() {
        assert!(Instant::now() < deadline, "the signals have lengthened the wait");
        interrupt();
    }
    let (notified, late, elapsed) = waiter.join().unwrap();
    assert_eq!((notified, late), (Waited::Ok, Waited::TimedOut));
    assert!(elapsed >= Duration::from_millis(50));
}

fn second(buffer: &SharedBuffer, role: &str) -> SecondProcess {
    second_process::start(&format!("buffer::tests::{role}"), buffer.descriptor().unwrap(), &[])
}

#[test]
fn a_notify_wakes_a_waiter_in_another_process() {
    let buffer = SharedBuffer::new(64).unwrap();
    let other = second(&buffer, "role_waiter");
    assert_eq!(other.hear(), "waiting");
    notify_until(&buffer.view().unwrap(), 3, 1);
    assert_eq!(other.hear(), "Ok");
}

#[test]
fn a_waiter_that_was_killed_takes_no_notify_from_the_others() {
    let buffer = SharedBuffer::new(64).unwrap();
    let view = buffer.view::<i32>().unwrap();
    let killed = second(&buffer, "role_waiter");
    assert_eq!(killed.hear(), "waiting");
    killed.wait_until_it_sleeps_on_a_futex();
    killed.kill();
    assert_eq!(view.notify(3, 1).unwrap(), 0);
    let other = view.clone();
    let ours = thread::spawn(move || other.wait(3, 0, Some(GIVE_UP)).unwrap());
    notify_until(&view, 3, 1);
    assert_eq!(ours.join().unwrap(), Waited::Ok);
}

#[test]
fn what_a_killed_process_wrote_stays_whole() {
    let buffer = SharedBuffer::growable(64, 4096).unwrap();
    let writer = second(&buffer, "role_writer");
    assert_eq!(writer.hear(), "writing");
    let view = buffer.view::<u64>().unwrap();
    while view.load(0).unwrap() < 1000 {
        thread::yield_now();
    }
    writer.kill();
    // Each element holds one of the values that were stored, never half of two.
    let (value, len) = (view.load(0).unwrap(), buffer.len());
    assert_eq!(value >> 32, value & 0xffff_ffff, "{value:x}");
    assert!((64..=4096).contains(&len));
    buffer.grow(4096).unwrap();
    view.store(0, 1).unwrap();
}

#[test]
#[ignore = "the second process of tests above"]
fn role_waiter() {
    let buffer = SharedBuffer::from_descriptor(second_process::memory_of_the_first()).unwrap();
    say("waiting");
    say(&format!("{:?}", buffer.view::<i32>().unwrap().wait(3, 0, Some(GIVE_UP * 3)).unwrap()));
}

#[test]
#[ignore = "the second process of what_a_killed_process_wrote_stays_whole"]
fn role_writer() {
    let buffer = SharedBuffer::from_descriptor(second_process::memory_of_the_first()).unwrap();
    say("writing");
    let writer = buffer.clone();
    thread::spawn(move || {
        let view = writer.view::<u64>().unwrap();
        for n in 0..=u64::from(u32::MAX) {
            view.store(0, n << 32 | n).unwrap();
            let _ = writer.grow(64 + n as usize % 4000);
        }
    });
    wait_to_be_killed();
}
