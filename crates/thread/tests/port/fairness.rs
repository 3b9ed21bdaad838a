use std::cell::Cell;
use std::rc::Rc;

use phalanx_thread::{MessageChannel, message_channel};

use crate::gate::run;

/// What Node handles of one port before it lets others have their turn.
const BUDGET: u32 = 1000;

#[test]
fn a_port_that_never_runs_empty_lets_other_tasks_run_within_a_thousand_messages() {
    let (ours, theirs) = message_channel::<u32, ()>();
    let turns = Rc::new(Cell::new(0_u32));
    run(async {
        let others = Rc::clone(&turns);
        let local = tokio::task::LocalSet::new();
        local.spawn_local(async move {
            loop {
                others.set(others.get() + 1);
                tokio::task::yield_now().await;
            }
        });
        local
            .run_until(async {
                let (mut since, mut last_turn) = (0, turns.get());
                for number in 0..100 * BUDGET {
                    // Never empty: there is a message at each receive.
                    ours.try_post(number).unwrap();
                    assert_eq!(theirs.recv().await, Some(number));
                    since = if turns.get() == last_turn { since + 1 } else { 0 };
                    last_turn = turns.get();
                    assert!(since <= BUDGET, "{since} messages without a turn for the others");
                }
            })
            .await;
    });
    assert!(turns.get() >= 100);
}

#[test]
fn a_flood_into_a_port_that_never_runs_full_lets_other_tasks_run() {
    let (ours, theirs) = MessageChannel::bounded::<u32, ()>(100 * BUDGET as usize);
    let turns = Rc::new(Cell::new(0_u32));
    run(async {
        let others = Rc::clone(&turns);
        let local = tokio::task::LocalSet::new();
        local.spawn_local(async move {
            loop {
                others.set(others.get() + 1);
                tokio::task::yield_now().await;
            }
        });
        local
            .run_until(async {
                for number in 0..100 * BUDGET {
                    ours.post(number).await.unwrap()
                }
            })
            .await;
    });
    assert!(turns.get() >= 100, "{} turns", turns.get());
    drop(theirs);
}

#[test]
fn a_wait_that_looks_for_a_message_lets_other_tasks_run_which_post_it() {
    // Sender and receiver share one thread: a receive that looked without giving way would never see the message.
    let (ours, theirs) = message_channel::<u32, u32>();
    run(async {
        let echo = async {
            while let Some(number) = theirs.recv().await {
                theirs.post(number).await.unwrap();
            }
        };
        let asking = async {
            for number in 0..10_000 {
                ours.post(number).await.unwrap();
                assert_eq!(ours.recv().await, Some(number));
            }
            ours.close();
        };
        tokio::join!(echo, asking);
    });
}
