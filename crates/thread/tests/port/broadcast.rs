use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use phalanx_thread::{BroadcastChannel, BroadcastError, Worker};

use crate::gate::{GIVE_UP, run};

#[test]
fn all_others_of_the_name_get_it_and_the_sender_does_not() {
    let channels: Vec<_> = (0..3).map(|_| BroadcastChannel::<String>::new("all others").unwrap()).collect();
    let stranger = BroadcastChannel::<String>::new("another name").unwrap();
    assert_eq!(channels[0].post("hello".into()).unwrap(), 2);
    assert_eq!(channels[0].try_recv(), Ok(None));
    assert_eq!(stranger.try_recv(), Ok(None));
    for listener in &channels[1..] {
        assert_eq!(run(listener.recv()), Ok("hello".to_owned()));
    }
}

#[test]
fn it_reaches_workers() {
    run(async {
        let speaker = BroadcastChannel::<u32>::new("to workers").unwrap();
        let mut workers = Vec::new();
        for _ in 0..4 {
            let worker = Worker::<(), u32>::spawn((), async |scope| {
                let listener = BroadcastChannel::<u32>::new("to workers")?;
                scope.post(0).await?;
                scope.post(listener.recv().await?).await?;
                Ok::<_, Box<dyn std::error::Error>>(())
            });
            let worker = worker.unwrap();
            assert_eq!(worker.recv().await, Some(0));
            workers.push(worker);
        }
        assert_eq!(speaker.post(42), Ok(4));
        for worker in workers {
            assert_eq!(worker.recv().await, Some(42));
            assert_eq!(worker.exited().await, Ok(0));
        }
    });
}

#[test]
fn another_type_under_the_same_name_is_an_error() {
    let _numbers = BroadcastChannel::<u32>::new("typed").unwrap();
    let error = BroadcastChannel::<String>::new("typed").unwrap_err();
    assert!(matches!(&error, BroadcastError::OtherType { name, .. } if name == "typed"));
    assert!(error.to_string().contains("String"), "{error}");
}

#[test]
fn a_slow_receiver_loses_its_oldest_and_is_told_how_many() {
    let speaker = BroadcastChannel::<u32>::new("slow").unwrap();
    let slow = BroadcastChannel::<u32>::with_bound("slow", 3).unwrap();
    let quick = BroadcastChannel::<u32>::new("slow").unwrap();
    for number in 0..10 {
        speaker.post(number).unwrap();
        assert_eq!(quick.try_recv(), Ok(Some(number)));
    }
    assert_eq!(slow.try_recv(), Err(BroadcastError::Lagged(7)));
    assert_eq!((slow.try_recv(), run(slow.recv()), slow.try_recv()), (Ok(Some(7)), Ok(8), Ok(Some(9))));
    assert_eq!(slow.try_recv(), Ok(None));
}

#[test]
fn what_is_received_and_what_was_missed_add_up_under_a_flood() {
    for bound in [0, 1, 16] {
        let speaker = BroadcastChannel::<u64>::new(format!("flood {bound}")).unwrap();
        let listener = BroadcastChannel::<u64>::with_bound(speaker.name(), bound).unwrap();
        let posting = thread::spawn(move || {
            for number in 0..100_000 {
                speaker.post(number).unwrap();
            }
            speaker.post(u64::MAX).unwrap();
        });
        let mut next = 0;
        loop {
            match listener.recv_blocking(GIVE_UP) {
                Ok(Some(u64::MAX)) => break,
                Ok(Some(number)) => {
                    assert_eq!(number, next);
                    next += 1;
                }
                Ok(None) => panic!("it hangs"),
                Err(BroadcastError::Lagged(missed)) => next += missed,
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(next, 100_000);
        posting.join().unwrap();
    }
}

#[test]
fn after_close_a_post_is_an_error_and_what_was_got_is_still_received() {
    let first = BroadcastChannel::<u32>::new("closed").unwrap();
    let second = BroadcastChannel::<u32>::new("closed").unwrap();
    first.post(1).unwrap();
    second.close();
    assert_eq!(first.post(2), Ok(0));
    assert_eq!(second.post(3), Err(BroadcastError::Closed));
    assert_eq!(run(second.recv()), Ok(1));
    assert_eq!(run(second.recv()), Err(BroadcastError::Closed));
    assert_eq!(second.try_recv(), Err(BroadcastError::Closed));
    assert_eq!(second.recv_blocking(GIVE_UP), Err(BroadcastError::Closed));
    assert_eq!(first.recv_blocking(Duration::ZERO), Ok(None));
}

#[test]
fn joining_leaving_and_posting_at_once_does_no_harm() {
    let together = Arc::new(Barrier::new(4));
    let threads: Vec<_> = (0..4_u32)
        .map(|number| {
            let together = Arc::clone(&together);
            thread::spawn(move || {
                together.wait();
                for _ in 0..500 {
                    let channel = BroadcastChannel::<u32>::new("coming and going").unwrap();
                    channel.post(number).unwrap();
                    loop {
                        match channel.try_recv() {
                            Ok(Some(other)) => assert_ne!(other, number),
                            Ok(None) => break,
                            // It slept while the others went on.
                            Err(BroadcastError::Lagged(_)) => {}
                            Err(error) => panic!("{error}"),
                        }
                    }
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}
