use std::time::Duration;

use phalanx_thread::{PostError, StillRunning, Worker, WorkerEvent};

use crate::gate::{Flag, GIVE_UP, RaiseOnDrop, run};

#[test]
fn terminate_gives_1_without_an_error_event_and_runs_the_destructors() {
    run(async {
        let cleared = Flag::default();
        let worker = Worker::<(), u32>::spawn(cleared.clone(), async |scope| {
            let _guard = RaiseOnDrop(scope.worker_data().clone());
            scope.post(1).await.unwrap();
            std::future::pending::<()>().await;
        });
        let worker = worker.unwrap();
        assert_eq!(worker.event().await, Some(WorkerEvent::Online));
        assert_eq!(worker.event().await, Some(WorkerEvent::Message(1)));
        assert_eq!(worker.terminate().await, 1);
        assert!(cleared.is_up());
        assert_eq!(worker.event().await, Some(WorkerEvent::Exit(1)));
        assert_eq!(worker.event().await, None);
        assert_eq!(worker.exited().await, Ok(1));
    });
}

#[test]
fn terminate_after_the_end_gives_the_code_of_the_end() {
    run(async {
        let worker = Worker::<(), ()>::spawn((), async |_| 4).unwrap();
        assert_eq!(worker.exited().await, Ok(4));
        assert_eq!(worker.terminate().await, 4);
        assert_eq!(worker.terminate().within(Duration::ZERO).await, Ok(4));
    });
}

#[test]
fn terminate_right_after_spawn_ends_it() {
    run(async {
        for _ in 0..200 {
            let worker = Worker::<(), ()>::spawn((), async |_scope| std::future::pending::<()>().await).unwrap();
            assert_eq!(worker.terminate().await, 1);
        }
    });
}

#[test]
fn terminate_wakes_whatever_the_worker_waits_for() {
    run(async {
        let worker = || Worker::<u32, u32>::builder().bound(1);
        let waiting = [
            worker().spawn((), async |scope| while scope.recv().await.is_some() {}).unwrap(),
            worker().spawn((), async |scope| while scope.post(1).await.is_ok() {}).unwrap(),
            worker()
                .spawn((), async |scope| tokio::time::sleep(scope.recv().await.map_or(GIVE_UP, |_| GIVE_UP)).await)
                .unwrap(),
            worker().spawn((), async |scope| while scope.recv_blocking(GIVE_UP).is_ok() {}).unwrap(),
            worker().spawn((), async |scope| while scope.post_blocking(1, GIVE_UP).is_ok() {}).unwrap(),
            worker().spawn((), async |scope| scope.cancelled().await).unwrap(),
        ];
        for worker in &waiting {
            assert_eq!(worker.event().await, Some(WorkerEvent::Online));
        }
        for worker in &waiting {
            assert_eq!(worker.terminate().within(GIVE_UP).await, Ok(1));
        }
    });
}

#[test]
fn checkpoint_ends_a_loop_that_never_awaits() {
    run(async {
        let worker = Worker::<(), u64>::spawn((), async |scope| {
            scope.try_post(0).unwrap();
            loop {
                scope.checkpoint()?;
                std::hint::spin_loop();
            }
            #[expect(unreachable_code, reason = "it says the type")]
            Ok::<(), phalanx_thread::Terminated>(())
        });
        let worker = worker.unwrap();
        assert_eq!(worker.recv().await, Some(0));
        drop(worker.terminate());
        assert_eq!(worker.event().await, Some(WorkerEvent::Exit(1)));
    });
}

#[test]
fn a_loop_that_never_asks_cannot_be_stopped_and_the_deadline_says_so() {
    run(async {
        let go = Flag::default();
        let worker = Worker::<(), u32>::spawn(go.clone(), async |scope| {
            scope.try_post(0).unwrap();
            scope.worker_data().wait();
        });
        let worker = worker.unwrap();
        assert_eq!(worker.recv().await, Some(0));
        assert_eq!(worker.terminate().within(Duration::from_millis(5)).await, Err(StillRunning));
        assert_eq!(worker.terminate().within_blocking(Duration::from_millis(5)), Err(StillRunning));
        assert_eq!(worker.exited_blocking(Duration::ZERO), None);
        go.raise();
        assert_eq!(worker.terminate().await, 1);
    });
}

#[test]
fn code_that_waits_for_cancelled_runs_up_to_its_next_await() {
    run(async {
        let (cleaned, too_far) = (Flag::default(), Flag::default());
        let worker = Worker::<(), u32>::spawn((cleaned.clone(), too_far.clone()), async |scope| {
            scope.post(0).await.unwrap();
            scope.cancelled().await;
            scope.worker_data().0.raise();
            std::future::pending::<()>().await;
            scope.worker_data().1.raise();
        });
        let worker = worker.unwrap();
        assert_eq!(worker.recv().await, Some(0));
        assert_eq!(worker.terminate().await, 1);
        assert!(cleaned.is_up() && !too_far.is_up());
    });
}

#[test]
fn cancelled_reaches_threads_that_the_worker_started() {
    run(async {
        let worker = Worker::<(), u32>::spawn((), async |scope| {
            let cancelled = scope.cancelled();
            let helper = std::thread::spawn(move || run(cancelled));
            scope.post(0).await.unwrap();
            // Blocks the event loop: only the other thread hears of it.
            helper.join().unwrap();
        });
        let worker = worker.unwrap();
        assert_eq!(worker.recv().await, Some(0));
        assert_eq!(worker.terminate().await, 1);
    });
}

#[test]
fn a_storm_of_posts_from_both_sides_ends_with_terminate_and_every_message_was_seen_or_came_back() {
    run(async {
        for round in 0..50 {
            let worker = Worker::<u64, u64>::builder().bound(1 + round % 5).spawn((), async |scope| {
                while let Some(number) = scope.recv().await {
                    if scope.post(number).await.is_err() {
                        break;
                    }
                }
            });
            let worker = worker.unwrap();
            let posting = async {
                for number in 0.. {
                    if let Err(PostError::Closed(back)) = worker.post(number).await {
                        assert_eq!(back, number);
                        return;
                    }
                }
            };
            let receiving = async {
                let mut next = 0;
                while let Some(number) = worker.recv().await {
                    assert_eq!(number, next);
                    next += 1;
                    if next == 100 {
                        drop(worker.terminate());
                    }
                }
            };
            tokio::join!(posting, receiving);
            assert_eq!(worker.exited().await, Ok(1));
        }
    });
}

#[test]
fn what_was_posted_before_terminate_is_received_after_it() {
    run(async {
        let worker = Worker::<(), u32>::spawn((), async |scope| {
            (0..10).for_each(|number| scope.try_post(number).unwrap());
            std::future::pending::<()>().await;
        });
        let worker = worker.unwrap();
        while worker.queued() < 11 {
            tokio::task::yield_now().await;
        }
        assert_eq!(worker.terminate().await, 1);
        for number in 0..10 {
            assert_eq!(worker.recv().await, Some(number));
        }
        assert_eq!(worker.recv().await, None);
    });
}

#[test]
fn local_tasks_and_blocking_calls_of_a_worker_do_not_hold_up_its_end() {
    run(async {
        let (go, cleared) = (Flag::default(), Flag::default());
        let worker = Worker::<(), u32>::spawn((go.clone(), cleared.clone()), async |scope| {
            let (go, cleared) = scope.worker_data().clone();
            tokio::task::spawn_local(async move {
                let _guard = RaiseOnDrop(cleared);
                std::future::pending::<()>().await;
            });
            tokio::task::spawn_blocking(move || go.wait());
            tokio::task::yield_now().await;
            scope.post(0).await.unwrap();
            std::future::pending::<()>().await;
        });
        let worker = worker.unwrap();
        assert_eq!(worker.recv().await, Some(0));
        assert_eq!(worker.terminate().await, 1);
        assert!(cleared.is_up());
        go.raise();
    });
}
