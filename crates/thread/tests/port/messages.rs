use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use phalanx_thread::{DEFAULT_BOUND, MessageChannel, MessagePort, PostError, message_channel};

use crate::gate::{GIVE_UP, run};

#[test]
fn messages_arrive_in_the_order_in_which_they_were_posted() {
    let (ours, theirs) = message_channel::<u32, ()>();
    let posting = thread::spawn(move || {
        run(async {
            for number in 0..50_000 {
                ours.post(number).await.unwrap()
            }
        })
    });
    run(async {
        for number in 0..50_000 {
            assert_eq!(theirs.recv().await, Some(number));
        }
        assert_eq!(theirs.recv().await, None);
    });
    posting.join().unwrap();
}

#[test]
fn both_directions_work_at_once_between_async_code_and_a_plain_thread() {
    let (ours, theirs) = MessageChannel::bounded::<u32, u32>(4);
    let plain = thread::spawn(move || {
        while let Ok(Some(number)) = theirs.recv_blocking(GIVE_UP) {
            theirs.post_blocking(number + 1, GIVE_UP).unwrap();
        }
    });
    run(async {
        for number in 0..10_000 {
            ours.post(number).await.unwrap();
            assert_eq!(ours.recv().await, Some(number + 1));
        }
    });
    drop(ours);
    plain.join().unwrap();
}

#[test]
fn a_value_is_moved_and_never_copied() {
    let (ours, theirs) = message_channel::<Vec<u8>, ()>();
    let picture = vec![7; 1 << 20];
    let address = picture.as_ptr() as usize;
    run(ours.post(picture)).unwrap();
    let received = thread::spawn(move || theirs.recv_blocking(GIVE_UP).unwrap().unwrap()).join().unwrap();
    assert_eq!(received.as_ptr() as usize, address);
}

#[test]
fn at_most_the_bound_waits_and_a_refused_value_comes_back() {
    let (ours, theirs) = message_channel::<String, ()>();
    for number in 0..DEFAULT_BOUND {
        ours.try_post(number.to_string()).unwrap();
    }
    assert_eq!(ours.try_post("one too many".into()).unwrap_err().into_inner(), "one too many");
    let refused = ours.post_blocking("still".into(), Duration::from_millis(1));
    assert!(matches!(refused, Err(PostError::Full(text)) if text == "still"));
    assert_eq!((ours.unread(), theirs.queued()), (DEFAULT_BOUND, DEFAULT_BOUND));
    assert_eq!(theirs.try_recv().unwrap().as_deref(), Some("0"));
    ours.try_post("now there is room".into()).unwrap();
}

#[test]
fn a_post_waits_for_room_and_not_longer() {
    let (ours, theirs) = MessageChannel::bounded::<u32, ()>(1);
    ours.try_post(1).unwrap();
    let posting = thread::spawn(move || ours.post_blocking(2, GIVE_UP));
    assert_eq!(theirs.recv_blocking(GIVE_UP), Ok(Some(1)));
    assert_eq!(theirs.recv_blocking(GIVE_UP), Ok(Some(2)));
    posting.join().unwrap().unwrap();
}

#[test]
fn a_post_that_is_cancelled_was_not_posted_and_leaves_no_gap_in_the_line() {
    let (ours, theirs) = MessageChannel::bounded::<u32, ()>(1);
    ours.try_post(1).unwrap();
    run(async {
        let (mut first, mut second) = (Box::pin(ours.post(2)), Box::pin(ours.post(3)));
        let both = std::future::poll_fn(|context| {
            let (first, second) = (first.as_mut().poll(context), second.as_mut().poll(context));
            if first.is_ready() || second.is_ready() { Poll::Ready(()) } else { Poll::Pending }
        });
        assert!(tokio::time::timeout(Duration::from_millis(5), both).await.is_err());
        // The first in line is called by this, and goes away without taking the room.
        assert_eq!(theirs.recv().await, Some(1));
        drop(first);
        second.await.unwrap();
        assert_eq!(theirs.recv().await, Some(3));
        assert_eq!(theirs.try_recv(), Ok(None));
    });
}

#[test]
fn a_receive_that_is_cancelled_loses_nothing() {
    let (ours, theirs) = message_channel::<u32, ()>();
    let mut context = Context::from_waker(Waker::noop());
    for number in 0..100 {
        let mut receiving = Box::pin(theirs.recv());
        // Long enough that it has looked in vain and stands in line.
        for _ in 0..1000 {
            assert!(receiving.as_mut().poll(&mut context).is_pending());
        }
        run(ours.post(number)).unwrap();
        drop(receiving);
        assert_eq!(theirs.try_recv(), Ok(Some(number)));
    }
}

#[test]
fn try_recv_tells_nothing_there_from_the_end() {
    let (ours, theirs) = message_channel::<u32, ()>();
    assert_eq!(theirs.try_recv(), Ok(None));
    ours.try_post(1).unwrap();
    assert_eq!(theirs.try_recv(), Ok(Some(1)));
    drop(ours);
    assert!(theirs.try_recv().is_err());
}

#[test]
fn a_blocking_receive_gives_up_at_its_deadline() {
    let (_ours, theirs) = message_channel::<(), u32>();
    assert_eq!(theirs.recv_blocking(Duration::from_millis(2)), Ok(None));
    assert_eq!(theirs.recv_blocking(Duration::ZERO), Ok(None));
}

#[test]
fn a_deadline_beyond_the_clock_is_none_and_does_not_panic() {
    let (ours, theirs) = message_channel::<u32, ()>();
    let receiving = thread::spawn(move || theirs.recv_blocking(Duration::MAX));
    run(ours.post(5)).unwrap();
    assert_eq!(receiving.join().unwrap(), Ok(Some(5)));
}

#[test]
fn a_port_is_sent_through_a_port() {
    let (ours, theirs) = message_channel::<MessagePort<String, u32>, ()>();
    let (near, far) = message_channel::<u32, String>();
    run(ours.post(far)).unwrap();
    let answering = thread::spawn(move || {
        let far = theirs.recv_blocking(GIVE_UP).unwrap().unwrap();
        let number = far.recv_blocking(GIVE_UP).unwrap().unwrap();
        far.try_post(format!("got {number}")).unwrap();
    });
    run(async {
        near.post(9).await.unwrap();
        assert_eq!(near.recv().await.as_deref(), Some("got 9"));
    });
    answering.join().unwrap();
}

#[test]
fn ports_may_be_shared_and_each_message_goes_to_one_receiver() {
    let (ours, theirs) = MessageChannel::bounded::<u64, ()>(8);
    let theirs = Arc::new(theirs);
    let receiving: Vec<_> = (0..3)
        .map(|_| {
            let theirs = Arc::clone(&theirs);
            thread::spawn(move || {
                let mut sum = 0;
                while let Ok(Some(number)) = theirs.recv_blocking(GIVE_UP) {
                    sum += number;
                }
                sum
            })
        })
        .collect();
    run(async {
        for number in 0..=10_000 {
            ours.post(number).await.unwrap()
        }
    });
    drop(ours);
    let sum: u64 = receiving.into_iter().map(|thread| thread.join().unwrap()).sum();
    assert_eq!(sum, 10_000 * 10_001 / 2);
}

#[test]
fn a_channel_inside_one_thread_needs_no_send() {
    let (ours, theirs) = message_channel::<Rc<u32>, ()>();
    run(async {
        ours.post(Rc::new(3)).await.unwrap();
        assert_eq!(theirs.recv().await.as_deref(), Some(&3));
    });
}
