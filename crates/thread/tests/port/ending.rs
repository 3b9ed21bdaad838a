use std::sync::Arc;
use std::thread;

use phalanx_thread::{Closed, MessageChannel, MessagePort, PostError, message_channel};

use crate::gate::{GIVE_UP, run};

#[test]
fn close_delivers_what_was_queued_and_then_both_sides_see_the_end() {
    let (ours, theirs) = message_channel::<u32, u32>();
    run(async {
        ours.post(1).await.unwrap();
        ours.post(2).await.unwrap();
        theirs.post(3).await.unwrap();
        ours.close();
        assert_eq!(theirs.recv().await, Some(1));
        assert_eq!(theirs.recv().await, Some(2));
        assert_eq!(theirs.recv().await, None);
        assert_eq!(ours.recv().await, Some(3));
        assert_eq!(ours.recv().await, None);
        assert!(ours.is_closed() && theirs.is_closed());
    });
}

#[test]
fn a_post_after_close_gives_the_value_back_on_both_sides() {
    let (ours, theirs) = message_channel::<String, String>();
    theirs.close();
    run(async {
        for port in [&ours, &theirs] {
            assert!(matches!(port.post("late".into()).await, Err(PostError::Closed(text)) if text == "late"));
            assert!(matches!(port.try_post("late".into()), Err(PostError::Closed(_))));
            assert!(matches!(port.post_blocking("late".into(), GIVE_UP), Err(PostError::Closed(_))));
        }
    });
}

#[test]
fn a_dropped_port_is_a_closed_one_and_what_it_had_not_read_is_dropped() {
    let (ours, theirs) = message_channel::<Arc<()>, u32>();
    let value = Arc::new(());
    ours.try_post(Arc::clone(&value)).unwrap();
    theirs.try_post(4).unwrap();
    drop(theirs);
    assert_eq!(Arc::strong_count(&value), 1);
    assert_eq!(ours.try_recv(), Ok(Some(4)));
    assert_eq!(ours.try_recv(), Err(Closed));
    assert!(matches!(ours.try_post(value), Err(PostError::Closed(_))));
}

#[test]
fn close_wakes_who_waits_on_either_side() {
    let (ours, theirs) = MessageChannel::bounded::<u32, u32>(1);
    ours.try_post(1).unwrap();
    let (ours, theirs) = (Arc::new(ours), Arc::new(theirs));
    let waiting = [
        thread::spawn({
            let ours = Arc::clone(&ours);
            move || ours.post_blocking(2, GIVE_UP).is_err()
        }),
        thread::spawn({
            let ours = Arc::clone(&ours);
            move || run(ours.recv()).is_none()
        }),
    ];
    theirs.close();
    for thread in waiting {
        assert!(thread.join().unwrap());
    }
    assert_eq!(theirs.try_recv(), Ok(Some(1)));
}

#[test]
fn a_port_that_is_queued_in_another_is_closed_with_it() {
    let (ours, theirs) = message_channel::<MessagePort<u32, u32>, ()>();
    let (near, far) = message_channel::<u32, u32>();
    ours.try_post(far).unwrap();
    drop(theirs);
    assert_eq!(run(near.recv()), None);
}

#[test]
fn errors_say_what_happened_and_can_be_boxed() {
    let (ours, theirs) = MessageChannel::bounded::<Vec<u8>, ()>(0);
    ours.try_post(vec![1]).unwrap();
    let full: Box<dyn std::error::Error> = ours.try_post(vec![2]).unwrap_err().into();
    assert!(full.to_string().contains("full"), "{full}");
    drop(theirs);
    let closed: Box<dyn std::error::Error> = ours.try_post(vec![3]).unwrap_err().into();
    assert!(closed.to_string().contains("closed"), "{closed}");
}
