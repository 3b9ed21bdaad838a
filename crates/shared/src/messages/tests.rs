use std::sync::atomic::Ordering;
use std::thread;

use super::*;
use crate::Segment;
use crate::fail_point::FAIL_POINT;
use crate::messages::parking::Cursors;
use crate::second_process::{self, GIVE_UP, SecondProcess, say};

/// A deadline that is meant to pass.
const SHORT: Duration = Duration::from_millis(5);

fn pair(bytes: usize) -> (RingSender, RingReceiver) {
    let sender = RingSender::create(bytes).unwrap();
    let receiver = RingReceiver::from_descriptor(sender.descriptor().unwrap()).unwrap();
    (sender, receiver)
}

fn message(number: usize, len: usize) -> Vec<u8> {
    (0..len).map(|n| (n * 31 + number * 7) as u8).collect()
}

#[test]
fn messages_of_every_length_come_out_as_they_went_in_round_and_round() {
    let (mut sender, mut receiver) = pair(256);
    assert_eq!(sender.max_message(), 248);
    let mut out = vec![9; 3];
    assert_eq!(receiver.try_recv(&mut out).unwrap(), None);
    for number in 0..2_000 {
        let sent = message(number, number % 249);
        sender.try_send(&sent).unwrap();
        assert_eq!(receiver.try_recv(&mut out).unwrap(), Some(sent.len()));
        assert_eq!(out, sent);
    }
}

#[test]
fn several_messages_wait_in_the_ring_in_order() {
    let (mut sender, mut receiver) = pair(256);
    let mut sent = 0;
    while sender.try_send(&message(sent, sent % 20)).is_ok() {
        sent += 1;
    }
    assert!(sent >= 8);
    let mut out = Vec::new();
    for number in 0..sent {
        receiver.recv(&mut out, GIVE_UP).unwrap();
        assert_eq!(out, message(number, number % 20));
    }
    assert_eq!(receiver.try_recv(&mut out).unwrap(), None);
}

#[test]
fn a_full_ring_refuses_at_once_or_at_the_deadline_and_loses_nothing() {
    let (mut sender, mut receiver) = pair(64);
    sender.try_send(&[1; 40]).unwrap();
    assert!(matches!(sender.try_send(&[2; 40]), Err(Error::Full)));
    assert!(matches!(sender.send(&[2; 40], SHORT), Err(Error::TimedOut { waited: SHORT })));
    assert!(matches!(sender.send(&[2; 40], Duration::ZERO), Err(Error::TimedOut { .. })));
    assert!(matches!(sender.try_send(&[2; 57]), Err(Error::TooLarge { bytes: 57, limit: 56, .. })));
    let mut out = Vec::new();
    receiver.recv(&mut out, SHORT).unwrap();
    assert_eq!(out, [1; 40]);
    assert!(matches!(receiver.recv(&mut out, SHORT), Err(Error::TimedOut { waited: SHORT })));
    sender.send(&[2; 56], SHORT).unwrap();
    assert_eq!(receiver.recv(&mut out, SHORT).unwrap(), 56);
}

#[test]
fn two_threads_pass_every_message_whole_whether_they_look_or_sleep() {
    const MESSAGES: usize = 5_000;
    for spin in [Duration::ZERO, Duration::from_micros(20)] {
        let (sender, receiver) = pair(512);
        let (mut sender, mut receiver) = (sender.with_spin(spin), receiver.with_spin(spin));
        let sending = thread::spawn(move || {
            for number in 0..MESSAGES {
                sender.send(&message(number, number * 37 % 505), GIVE_UP).unwrap();
            }
        });
        let mut out = Vec::new();
        for number in 0..MESSAGES {
            receiver.recv(&mut out, GIVE_UP).unwrap();
            assert_eq!(out, message(number, number * 37 % 505), "message {number}");
        }
        sending.join().unwrap();
    }
}

#[test]
fn two_threads_that_answer_each_other_never_miss_a_wake_up() {
    let (mut ask, mut asked) = pair(64);
    let (mut answer, mut answered) = pair(64);
    let other = thread::spawn(move || {
        let mut out = Vec::new();
        while asked.recv(&mut out, GIVE_UP).unwrap() > 0 {
            answer.send(&out, GIVE_UP).unwrap();
        }
    });
    let mut out = Vec::new();
    for number in 0..2_000u32 {
        ask.send(&number.to_ne_bytes(), GIVE_UP).unwrap();
        answered.recv(&mut out, GIVE_UP).unwrap();
        assert_eq!(out, number.to_ne_bytes());
    }
    ask.send(&[], GIVE_UP).unwrap();
    other.join().unwrap();
}

#[test]
fn positions_that_the_other_process_made_up_are_errors() {
    for lie in [u64::MAX, 1 << 40, 72, 1, 4, u64::MAX - 7] {
        let (mut sender, mut receiver) = pair(64);
        receiver.words.set_head(lie);
        assert!(matches!(receiver.try_recv(&mut Vec::new()), Err(Error::Corrupt { .. })), "head {lie}");
        assert!(matches!(receiver.recv(&mut Vec::new(), SHORT), Err(Error::Corrupt { .. })), "head {lie}");
        receiver.words.set_head(0);
        sender.try_send(&[1; 56]).unwrap();
        sender.words.set_tail(lie);
        assert!(matches!(sender.try_send(&[1]), Err(Error::Corrupt { .. })), "tail {lie}");
        assert!(matches!(sender.send(&[1], SHORT), Err(Error::Corrupt { .. })), "tail {lie}");
        let open = || sender.descriptor().unwrap();
        assert!(matches!(RingSender::from_descriptor(open()), Err(Error::Corrupt { .. })), "tail {lie}");
        assert!(matches!(RingReceiver::from_descriptor(open()), Err(Error::Corrupt { .. })), "tail {lie}");
    }
}

#[test]
fn lengths_that_the_sender_made_up_are_errors() {
    for lie in [u64::MAX, u64::MAX - 7, 1 << 63, 1 << 32, 57, 17, 25] {
        let (mut sender, mut receiver) = pair(64);
        sender.try_send(&[1; 16]).unwrap();
        receiver.words.runs(0, 1).0[0].store(lie, Ordering::Relaxed);
        let mut out = vec![3];
        assert!(matches!(receiver.try_recv(&mut out), Err(Error::Corrupt { .. })), "length {lie}");
        assert!(matches!(receiver.recv(&mut out, SHORT), Err(Error::Corrupt { .. })), "length {lie}");
    }
    // Shorter than it was: another message, and garbage after it, but nothing beyond the ring.
    let (mut sender, mut receiver) = pair(64);
    sender.try_send(&[0xff; 16]).unwrap();
    receiver.words.runs(0, 1).0[0].store(3, Ordering::Relaxed);
    let mut out = Vec::new();
    assert_eq!(receiver.try_recv(&mut out).unwrap(), Some(3));
    assert!(matches!(receiver.try_recv(&mut out), Err(Error::Corrupt { .. })));
}

#[test]
fn garbage_in_every_word_of_the_header_and_the_ring_is_never_more_than_an_error() {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    for _ in 0..20_000 {
        let (mut sender, mut receiver) = pair(64);
        let mut out = Vec::new();
        for _ in 0..6 {
            let garbage = if random() % 2 == 0 { random() } else { random() % 100 };
            // Every word but the mark, which is looked at only once.
            sender.words.word(1 + (random() % 87) as usize).store(garbage, Ordering::Relaxed);
            let _ = sender.try_send(&message(0, (random() % 57) as usize));
            let _ = receiver.try_recv(&mut out);
            assert!(out.len() <= 64);
        }
    }
}

#[test]
fn other_memory_is_no_ring_of_messages() {
    let refused = |descriptor| RingReceiver::from_descriptor(descriptor).unwrap_err();
    for bytes in [8, 640, 648, 656, 664, 4096] {
        let segment = Segment::create("test", bytes).unwrap();
        assert!(matches!(refused(segment.descriptor().unwrap()), Error::Refused { .. }), "{bytes} bytes");
    }
    let ring = RingSender::create(64).unwrap();
    ring.words.word(0).fetch_add(1, Ordering::Relaxed);
    assert!(matches!(refused(ring.descriptor().unwrap()), Error::Refused { .. }), "another version");
    let ring = crate::RingWriter::create("test", 1024).unwrap();
    assert!(matches!(refused(ring.descriptor().unwrap()), Error::Refused { .. }));
    assert!(matches!(RingSender::create(usize::MAX), Err(Error::TooLarge { .. })));
}

#[test]
fn a_receiver_that_armed_itself_gets_one_bell_and_one_that_is_awake_gets_none() {
    let (mut sender, mut receiver) = pair(64);
    assert_eq!(sender.try_send_silently(&[1]).unwrap(), Bell::NotNeeded);
    assert!(receiver.arm().unwrap(), "there is a message");
    assert_eq!(sender.try_send_silently(&[2]).unwrap(), Bell::NotNeeded);
    let mut out = Vec::new();
    while receiver.try_recv(&mut out).unwrap().is_some() {}
    assert!(sender.is_empty().unwrap() && sender.has_room_for(&[24, 24]).unwrap());
    assert!(!sender.has_room_for(&[24, 24, 0]).unwrap() && !sender.has_room_for(&[usize::MAX, 8]).unwrap());
    assert!(!receiver.arm().unwrap());
    assert_eq!(sender.try_send_silently(&[3]).unwrap(), Bell::Ring);
    assert_eq!(sender.try_send_silently(&[4]).unwrap(), Bell::NotNeeded);
    receiver.disarm();
    assert_eq!(receiver.try_recv(&mut out).unwrap(), Some(1));
    assert_eq!(out, [3]);
}

fn second(ring: &RingSender, role: &str, fail_point: &str) -> SecondProcess {
    let role = format!("messages::tests::{role}");
    second_process::start(&role, ring.descriptor().unwrap(), &[(FAIL_POINT, fail_point)])
}

#[test]
fn of_a_sender_that_is_killed_while_it_writes_nothing_is_seen_and_another_goes_on() {
    let (sender, mut receiver) = pair(1024);
    let mut out = Vec::new();
    let mut sent = 0;
    for fail_point in ["ring: half of the message is written", "ring: the message is written and not announced"] {
        // Every part of the ring is once where the sender dies.
        for _ in 0..4 {
            let killed = second(&sender, "role_sender", fail_point);
            assert_eq!(killed.hear(), "at the fail-point");
            killed.kill();
            assert_eq!(receiver.try_recv(&mut out).unwrap(), None, "{fail_point}");
            let mut next = RingSender::from_descriptor(sender.descriptor().unwrap()).unwrap();
            sent += 1;
            next.send(&message(sent, 300), GIVE_UP).unwrap();
            receiver.recv(&mut out, GIVE_UP).unwrap();
            assert_eq!(out, message(sent, 300), "{fail_point}");
        }
    }
}

#[test]
fn a_message_that_was_announced_arrives_although_its_sender_was_killed_before_the_wake_up() {
    let (sender, mut receiver) = pair(1024);
    // As a receiver does it that is about to sleep.
    receiver.words.raise_receiver_flag();
    let killed = second(&sender, "role_sender", "ring: the message is announced and the receiver not woken");
    assert_eq!(killed.hear(), "at the fail-point");
    killed.kill();
    let mut out = Vec::new();
    receiver.recv(&mut out, GIVE_UP).unwrap();
    assert_eq!(out, message(0, 500));
}

#[test]
fn a_message_whose_receiver_was_killed_comes_again_to_the_next() {
    let (mut sender, _) = pair(1024);
    sender.try_send(&message(1, 200)).unwrap();
    sender.try_send(&message(2, 200)).unwrap();
    let killed = second(&sender, "role_receiver", "ring: the message is read and its space not given back");
    assert_eq!(killed.hear(), "receiving");
    assert_eq!(killed.hear(), "at the fail-point");
    killed.kill();
    let mut next = RingReceiver::from_descriptor(sender.descriptor().unwrap()).unwrap();
    let mut out = Vec::new();
    for number in [1, 2] {
        next.recv(&mut out, GIVE_UP).unwrap();
        assert_eq!(out, message(number, 200));
    }
}

#[test]
fn a_receiver_that_is_killed_in_its_sleep_leaves_the_ring_to_the_next() {
    let (mut sender, _) = pair(1024);
    let killed = second(&sender, "role_receiver", "");
    assert_eq!(killed.hear(), "receiving");
    killed.wait_until_it_sleeps_on_a_futex();
    killed.kill();
    sender.send(&message(1, 10), GIVE_UP).unwrap();
    let mut next = RingReceiver::from_descriptor(sender.descriptor().unwrap()).unwrap();
    let mut out = Vec::new();
    next.recv(&mut out, GIVE_UP).unwrap();
    assert_eq!(out, message(1, 10));
}

#[test]
fn a_message_wakes_a_receiver_in_another_process() {
    let (mut sender, _) = pair(1024);
    let other = second(&sender, "role_receiver", "");
    assert_eq!(other.hear(), "receiving");
    other.wait_until_it_sleeps_on_a_futex();
    sender.send(&message(1, 10), GIVE_UP).unwrap();
    assert_eq!(other.hear(), "received 10 bytes");
}

#[test]
#[ignore = "the second process of tests above"]
fn role_sender() {
    let mut sender = RingSender::from_descriptor(second_process::memory_of_the_first()).unwrap();
    sender.send(&message(0, 500), GIVE_UP).unwrap();
    say("sent, although it should not have come so far");
}

#[test]
#[ignore = "the second process of tests above"]
fn role_receiver() {
    let mut receiver = RingReceiver::from_descriptor(second_process::memory_of_the_first()).unwrap();
    say("receiving");
    let received = receiver.recv(&mut Vec::new(), GIVE_UP * 3).unwrap();
    say(&format!("received {received} bytes"));
}
