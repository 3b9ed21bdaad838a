use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use phalanx_thread::{MessageChannel, PostError};

use crate::gate::{GIVE_UP, run};

/// Counts how many of it exist.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Counted {
        count.fetch_add(1, Ordering::SeqCst);
        Counted(Arc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[test]
fn a_close_in_the_middle_of_a_flood_delivers_exactly_what_was_accepted() {
    for round in 0..200 {
        let alive = Arc::new(AtomicUsize::new(0));
        let (ours, theirs) = MessageChannel::bounded::<Counted, ()>(1 + round % 7);
        let theirs = Arc::new(theirs);
        let posting = thread::spawn({
            let alive = Arc::clone(&alive);
            move || {
                let mut accepted = 0;
                while ours.post_blocking(Counted::new(&alive), GIVE_UP).is_ok() {
                    accepted += 1;
                }
                accepted
            }
        });
        let receiving = thread::spawn({
            let theirs = Arc::clone(&theirs);
            move || {
                run(async {
                    let mut received = 0;
                    while theirs.recv().await.is_some() {
                        received += 1;
                    }
                    received
                })
            }
        });
        for _ in 0..round * 10 {
            std::hint::spin_loop();
        }
        theirs.close();
        let (accepted, received): (u32, u32) = (posting.join().unwrap(), receiving.join().unwrap());
        assert_eq!(accepted, received);
        assert_eq!(alive.load(Ordering::SeqCst), 0);
    }
}

#[test]
fn many_senders_and_cancelled_receivers_lose_and_double_nothing() {
    let (ours, theirs) = MessageChannel::bounded::<u64, ()>(3);
    let ours = Arc::new(ours);
    let senders: Vec<_> = (0..4)
        .map(|sender| {
            let ours = Arc::clone(&ours);
            thread::spawn(move || {
                run(async {
                    for number in 0..2_000 {
                        ours.post(sender * 2_000 + number).await.unwrap()
                    }
                })
            })
        })
        .collect();
    drop(ours);
    let mut seen = vec![false; 8_000];
    run(async {
        loop {
            // Two receivers race; the one that loses is cancelled.
            let number = tokio::select! { number = theirs.recv() => number, number = theirs.recv() => number };
            let Some(number) = number else { break };
            assert!(!std::mem::replace(&mut seen[number as usize], true));
        }
    });
    assert!(seen.into_iter().all(|seen| seen));
    senders.into_iter().for_each(|sender| sender.join().unwrap());
}

#[test]
fn the_drop_of_a_port_in_the_middle_of_a_flood_gives_every_value_back_or_drops_it() {
    for _ in 0..200 {
        let alive = Arc::new(AtomicUsize::new(0));
        let (ours, theirs) = MessageChannel::bounded::<Counted, ()>(4);
        let posting = thread::spawn({
            let alive = Arc::clone(&alive);
            move || loop {
                match ours.post_blocking(Counted::new(&alive), GIVE_UP) {
                    Ok(()) => {}
                    Err(PostError::Closed(_)) => break,
                    Err(PostError::Full(_)) => panic!("it hangs"),
                }
            }
        });
        assert!(theirs.recv_blocking(GIVE_UP).unwrap().is_some());
        drop(theirs);
        posting.join().unwrap();
        assert_eq!(alive.load(Ordering::SeqCst), 0);
    }
}
