//! Two ends of a channel, with the kernel between them.

#![allow(clippy::unwrap_used)]

use std::io::{Read, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use phalanx_channel::{Attachments, Channel, DescriptorPolicy, End, Error, Options, TryRecv};
use rustix::net::{SendFlags, Shutdown};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

const DEADLINE: Duration = Duration::from_secs(20);

/// Runs a test on one thread, so that both ends share a runtime, with a deadline.
fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(DEADLINE, test).await.expect("the test took too long") });
}

fn pair_with<A, B>(options: Options) -> (Channel<A, B>, Channel<B, A>) {
    let (a, b) = End::pair().unwrap();
    (a.open_with(options.clone()).unwrap(), b.open_with(options).unwrap())
}

fn pair<A, B>() -> (Channel<A, B>, Channel<B, A>) {
    pair_with(Options::default())
}

async fn next<Out, In: DeserializeOwned>(channel: &Channel<Out, In>) -> In {
    channel.recv().await.unwrap().expect("the channel ended").value
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Order {
    Square(Vec<i64>),
    Text { body: String },
    Nothing,
}

#[test]
fn messages_of_every_shape_arrive_in_order() {
    run(async {
        let (ours, theirs) = pair::<Order, ()>();
        let orders =
            [Order::Square(vec![1, -2, 3]), Order::Nothing, Order::Text { body: "x".repeat(100_000) }, Order::Nothing];
        for order in &orders {
            ours.send(order).await.unwrap();
        }
        for order in orders {
            assert_eq!(next(&theirs).await, order);
        }
    });
}

#[test]
fn a_flood_of_fed_messages_arrives_complete_and_other_tasks_get_their_turn() {
    run(async {
        let (ours, theirs) = pair::<(u64, String), ()>();
        let receiving = tokio::spawn(async move {
            let mut count = 0;
            while let Some(message) = theirs.recv().await.unwrap() {
                assert_eq!((message.value.0, message.value.1.len()), (count, 1024));
                count += 1;
            }
            count
        });
        let body = "m".repeat(1024);
        for n in 0..20_000u64 {
            ours.feed(&(n, body.clone())).await.unwrap();
        }
        ours.close(DEADLINE).await.unwrap();
        assert_eq!(receiving.await.unwrap(), 20_000);
    });
}

#[test]
fn what_was_fed_is_sent_when_its_sender_begins_to_wait() {
    run(async {
        let (ours, theirs) = pair::<u8, u8>();
        let answering = tokio::spawn(async move {
            let value = next(&theirs).await;
            theirs.send(&(value + 1)).await.unwrap();
        });
        ours.feed(&1).await.unwrap();
        assert_eq!(next(&ours).await, 2);
        answering.await.unwrap();
    });
}

#[test]
fn many_requests_at_once_get_each_its_own_answer_in_any_order() {
    run(async {
        let (ours, theirs) = pair::<u32, u32>();
        let answering = tokio::spawn(async move {
            let mut held = Vec::new();
            while let Some(message) = theirs.recv().await.unwrap() {
                held.push((message.ticket.unwrap(), message.value));
                if held.len() == 50 {
                    for (ticket, value) in held.drain(..).rev() {
                        theirs.reply(ticket, &(value * 2)).await.unwrap();
                    }
                }
            }
        });
        let asking: Vec<_> = (0..100u32)
            .map(|n| {
                let ours = ours.clone();
                tokio::spawn(async move { (n, ours.request(&n, DEADLINE).await.unwrap().value) })
            })
            .collect();
        for asked in asking {
            let (n, answer) = asked.await.unwrap();
            assert_eq!(answer, n * 2);
        }
        drop(ours);
        answering.await.unwrap();
    });
}

#[test]
fn messages_that_come_while_an_answer_is_awaited_are_kept_for_the_receiver() {
    run(async {
        let (ours, theirs) = pair::<u32, u32>();
        let answering = tokio::spawn(async move {
            let ticket = theirs.recv().await.unwrap().unwrap().ticket.unwrap();
            for n in 0..500 {
                theirs.send(&n).await.unwrap();
            }
            theirs.reply(ticket, &9999).await.unwrap();
        });
        assert_eq!(ours.request(&0, DEADLINE).await.unwrap().value, 9999);
        answering.await.unwrap();
        for n in 0..500 {
            assert_eq!(next(&ours).await, n);
        }
        assert!(ours.recv().await.unwrap().is_none());
    });
}

#[test]
fn a_request_that_is_dropped_unanswered_fails_at_once_and_one_that_is_kept_at_its_deadline() {
    run(async {
        let (ours, theirs) = pair::<u8, u8>();
        let dropping = tokio::spawn(async move {
            drop(theirs.recv().await.unwrap());
            let kept = theirs.recv().await.unwrap();
            (theirs, kept)
        });
        assert!(matches!(ours.request(&1, DEADLINE).await, Err(Error::Unanswered)));
        let short = Duration::from_millis(50);
        assert!(matches!(ours.request(&2, short).await, Err(Error::NoAnswer { .. })));
        let (theirs, kept) = dropping.await.unwrap();
        // The late answer belongs to nobody and disturbs nobody.
        theirs.reply(kept.unwrap().ticket.unwrap(), &3).await.unwrap();
        theirs.send(&4).await.unwrap();
        assert_eq!(next(&ours).await, 4);
    });
}

#[test]
fn an_acked_send_returns_when_the_peers_program_has_the_message() {
    run(async {
        let (ours, theirs) = pair::<u8, u8>();
        let short = Duration::from_millis(50);
        assert!(matches!(ours.send_acked(&1, short).await, Err(Error::NoAnswer { .. })));
        let receiving = tokio::spawn(async move { (next(&theirs).await, next(&theirs).await) });
        ours.send_acked(&2, DEADLINE).await.unwrap();
        assert_eq!(receiving.await.unwrap(), (1, 2));
    });
}

#[test]
fn a_peer_that_takes_no_confirmations_gets_no_more_messages_taken() {
    run(async {
        let (a, b) = End::<u8, ()>::pair().unwrap();
        let raw = a.into_descriptor();
        let theirs = b.open_with(Options::default().send_deadline(Duration::from_millis(50))).unwrap();
        // A message of no bytes but its header and one byte, that asks to be confirmed.
        let mut frame = [0; 17];
        (frame[0], frame[12], frame[15]) = (1, 4, 1);
        let flood: Vec<u8> = frame.repeat(1000);
        let (mut taken, mut unread) = (0, 0);
        let refused = loop {
            if let Ok(count) = rustix::net::send(&raw, &flood[unread..], SendFlags::DONTWAIT) {
                unread = (unread + count) % flood.len();
            }
            match tokio::time::timeout(Duration::from_millis(500), theirs.recv())
                .await
                .expect("neither taken nor refused")
            {
                Ok(Some(_)) => taken += 1,
                Ok(None) => panic!("the end"),
                Err(error) => break error,
            }
            assert!(taken < 1_000_000, "confirmations pile up without a bound");
        };
        assert!(matches!(refused, Error::Stalled { .. }), "{refused}");
    });
}

#[test]
fn payloads_of_every_size_cross_unchanged_with_their_values() {
    run(async {
        let (ours, theirs) = pair::<usize, ()>();
        let sizes = [0, 1, 1000, 131_071, 131_072, 262_145, 1 << 20, (5 << 20) + 3, 20 << 20];
        let sending = tokio::spawn(async move {
            for (n, size) in sizes.into_iter().enumerate() {
                let payload: Vec<u8> = (0..size).map(|at| (at * 7 + n) as u8).collect();
                ours.send_with(&size, Attachments::payload(&payload)).await.unwrap();
            }
        });
        for (n, size) in sizes.into_iter().enumerate() {
            let message = theirs.recv().await.unwrap().unwrap();
            assert_eq!((message.value, message.payload.len()), (size, size));
            assert!(message.payload.iter().enumerate().all(|(at, byte)| *byte == (at * 7 + n) as u8));
        }
        sending.await.unwrap();
    });
}

#[test]
fn a_large_payload_that_was_given_up_halfway_leaves_the_channel_in_order() {
    run(async {
        let (ours, theirs) = pair::<u8, ()>();
        let payload = vec![1; 8 << 20];
        let short = Duration::from_millis(50);
        let sending = ours.send_with(&1, Attachments::payload(&payload));
        assert!(tokio::time::timeout(short, sending).await.is_err(), "8 MiB fitted into the arena");
        let receiving = tokio::spawn(async move { theirs.recv().await.unwrap().unwrap() });
        let second = vec![2; 3 << 20];
        ours.send_with(&2, Attachments::payload(&second)).await.unwrap();
        let message = receiving.await.unwrap();
        assert_eq!((message.value, message.payload == second), (2, true));
    });
}

#[test]
fn after_the_peer_is_gone_everything_it_wrote_is_received_and_then_the_end() {
    run(async {
        let (ours, theirs) = pair::<u32, u32>();
        theirs.send(&7).await.unwrap(); // unread at our end when we close: the kernel reports a reset to them
        for n in 0..100 {
            ours.send(&n).await.unwrap();
        }
        drop(ours);
        for n in 0..100 {
            assert_eq!(next(&theirs).await, n);
        }
        assert!(theirs.recv().await.unwrap().is_none());
        assert!(theirs.recv().await.unwrap().is_none());
        assert!(matches!(theirs.send(&1).await, Err(Error::Closed)));
        assert!(matches!(theirs.request(&1, DEADLINE).await, Err(Error::Closed)));
    });
}

#[test]
fn close_sends_what_is_left_and_a_stuck_peer_holds_it_up_only_until_the_deadline() {
    run(async {
        let (ours, theirs) = pair::<Vec<u8>, ()>();
        ours.feed(&vec![1; 10]).await.unwrap();
        ours.close(DEADLINE).await.unwrap();
        assert_eq!(next(&theirs).await, vec![1; 10]);
        assert!(theirs.recv().await.unwrap().is_none());

        let (ours, _theirs) = pair::<Vec<u8>, ()>();
        while ours.try_send(&vec![1; 1000]).is_ok() {}
        ours.feed(&vec![1; 60_000]).await.unwrap();
        assert!(matches!(ours.close(Duration::from_millis(50)).await, Err(Error::Stalled { .. })));
    });
}

#[test]
fn a_peer_that_never_reads_costs_a_bounded_buffer_and_a_clear_error() {
    run(async {
        let options = Options::default().send_deadline(Duration::from_millis(50));
        let (ours, _theirs) = pair_with::<Vec<u8>, ()>(options);
        let sent = (0..100_000).take_while(|_| ours.try_send(&vec![1; 1000]).is_ok()).count();
        assert!(sent < 2_000, "{sent} messages of 1000 bytes were taken");
        assert!(matches!(ours.try_send(&vec![1; 1000]), Err(Error::Full)));
        assert!(matches!(ours.send(&vec![1; 1000]).await, Err(Error::Stalled { .. })));
    });
}

#[test]
fn try_recv_tells_nothing_from_the_end() {
    run(async {
        let (ours, theirs) = pair::<u8, ()>();
        assert!(matches!(theirs.try_recv().unwrap(), TryRecv::Nothing));
        ours.send(&1).await.unwrap();
        assert!(matches!(theirs.try_recv().unwrap(), TryRecv::Message(message) if message.value == 1));
        drop(ours);
        assert!(matches!(theirs.try_recv().unwrap(), TryRecv::Closed));
    });
}

#[test]
fn descriptors_travel_with_their_message_and_only_if_they_are_wanted() {
    run(async {
        let (ours, theirs) = pair_with::<u8, ()>(Options::default().descriptors(DescriptorPolicy::Accept));
        let mut file = tempfile::tempfile().unwrap();
        for n in 0..10 {
            ours.feed(&n).await.unwrap(); // plain bytes before it, in the same buffer
        }
        ours.send_with(&10, Attachments::none().descriptor(file.try_clone().unwrap())).await.unwrap();
        for n in 0..10 {
            assert_eq!(next(&theirs).await, n);
        }
        let mut message = theirs.recv().await.unwrap().unwrap();
        assert_eq!((message.value, message.descriptors.len()), (10, 1));
        let theirs_file = message.descriptors.remove(0);
        assert!(rustix::io::fcntl_getfd(&theirs_file).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
        std::fs::File::from(theirs_file).write_all(b"hello").unwrap();
        file.rewind().unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "hello");

        let (ours, theirs) = pair::<u8, ()>();
        let large = vec![7; 300_000];
        ours.send_with(&0, Attachments::payload(&large)).await.unwrap();
        assert_eq!(theirs.recv().await.unwrap().unwrap().payload, large);
        ours.send_with(&1, Attachments::none().descriptor(file)).await.unwrap();
        ours.send_with(&2, Attachments::payload(&large)).await.unwrap();
        assert!(matches!(theirs.recv().await, Err(Error::DescriptorsRefused { count: 1 })));
        let message = theirs.recv().await.unwrap().unwrap();
        assert_eq!((message.value, message.payload == large), (2, true), "a refusal cost more than its message");
    });
}

#[test]
fn as_many_descriptors_as_the_kernel_allows_and_not_one_more() {
    run(async {
        let (ours, theirs) = pair_with::<u8, ()>(Options::default().descriptors(DescriptorPolicy::Accept));
        let file = tempfile::tempfile().unwrap();
        let many = |count| (0..count).fold(Attachments::none(), |all, _| all.descriptor(file.try_clone().unwrap()));
        assert!(matches!(ours.send_with(&1, many(254)).await, Err(Error::TooManyDescriptors { .. })));
        ours.send_with(&2, many(253)).await.unwrap();
        assert_eq!(theirs.recv().await.unwrap().unwrap().descriptors.len(), 253);
    });
}

#[test]
fn an_end_can_be_sent_on_so_that_others_talk_directly() {
    run(async {
        let options = Options::default().descriptors(DescriptorPolicy::Accept);
        let (to_first, first) = pair_with::<(), ()>(options);
        let (one, other) = End::<String, String>::pair().unwrap();
        to_first.send_with(&(), Attachments::none().descriptor(one.into_descriptor())).await.unwrap();
        let received: OwnedFd = first.recv().await.unwrap().unwrap().descriptors.remove(0);
        let one = End::<String, String>::from_descriptor(received).unwrap().open().unwrap();
        let other = other.open().unwrap();
        one.send(&"directly".to_owned()).await.unwrap();
        assert_eq!(next(&other).await, "directly");
    });
}

#[test]
fn a_value_of_another_type_is_an_error_and_the_next_message_is_received() {
    run(async {
        let (a, b) = End::<(u8, Option<String>), ()>::pair().unwrap();
        let ours = a.open().unwrap();
        let theirs = End::<(), (u64, String, String)>::from_descriptor(b.into_descriptor()).unwrap().open().unwrap();
        ours.send(&(1, None)).await.unwrap();
        ours.send(&(2, None)).await.unwrap();
        assert!(matches!(theirs.recv().await, Err(Error::Malformed(_))));
        assert!(matches!(theirs.recv().await, Err(Error::Malformed(_))));
        drop(ours);
        assert!(theirs.recv().await.unwrap().is_none());
    });
}

#[test]
fn what_is_too_large_is_refused_on_both_sides() {
    run(async {
        let (a, b) = End::<Vec<u8>, ()>::pair().unwrap();
        let ours = a.open().unwrap();
        let theirs = b.open_with(Options::default().largest_message(10_000)).unwrap();
        assert!(matches!(theirs.send_with(&(), Attachments::payload(&[0; 10_001])).await, Err(Error::TooLarge { .. })));
        ours.send(&vec![1; 9_000]).await.unwrap();
        ours.send(&vec![1; 11_000]).await.unwrap();
        assert_eq!(next(&theirs).await.len(), 9_000);
        assert!(matches!(theirs.recv().await, Err(Error::TooLarge { limit: 10_000, .. })));
        assert!(theirs.recv().await.unwrap().is_none(), "a stream that cannot be understood goes on");
    });
}

#[test]
fn a_peer_that_dies_between_any_two_bytes_of_a_message_gives_the_end() {
    run(async {
        let (a, b) = End::<String, ()>::pair().unwrap();
        let raw = a.into_descriptor();
        let whole = {
            let (writer, reader) = End::<String, ()>::pair().unwrap();
            writer.open().unwrap().send(&"a message".to_owned()).await.unwrap();
            let mut bytes = vec![0; 100];
            let count = rustix::net::recv(reader.as_fd(), &mut bytes[..], rustix::net::RecvFlags::empty()).unwrap().0;
            bytes.truncate(count);
            bytes
        };
        drop((raw, b));
        for cut in 0..whole.len() {
            let (a, b) = End::<String, ()>::pair().unwrap();
            let raw = a.into_descriptor();
            rustix::net::send(&raw, &whole, SendFlags::empty()).unwrap();
            rustix::net::send(&raw, &whole[..cut], SendFlags::empty()).unwrap();
            rustix::net::shutdown(&raw, Shutdown::Write).unwrap();
            let theirs = b.open().unwrap();
            assert_eq!(next(&theirs).await, "a message");
            assert!(theirs.recv().await.unwrap().is_none(), "cut after {cut} bytes");
        }
    });
}

#[test]
fn what_is_no_frame_ends_the_channel_with_an_error() {
    run(async {
        let (a, b) = End::<u8, u8>::pair().unwrap();
        let raw = a.into_descriptor();
        rustix::net::send(&raw, &[0xff; 64], SendFlags::empty()).unwrap();
        let theirs = b.open().unwrap();
        assert!(matches!(theirs.recv().await, Err(Error::Malformed(_))));
        assert!(theirs.recv().await.unwrap().is_none());
        let (plain, _other) = rustix::pipe::pipe().unwrap();
        assert!(matches!(End::<u8, u8>::from_descriptor(plain), Err(Error::Malformed(_))));
    });
}
