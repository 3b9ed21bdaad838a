use std::fmt;

use phalanx_thread::{Worker, WorkerError, WorkerEvent};

use crate::gate::run;

async fn all<Out>(worker: &Worker<(), Out>) -> Vec<WorkerEvent<Out>> {
    let mut events = Vec::new();
    while let Some(event) = worker.event().await {
        events.push(event);
    }
    events
}

#[test]
fn a_natural_end_is_online_and_exit_0() {
    run(async {
        let worker = Worker::<(), ()>::spawn((), async |_| ()).unwrap();
        assert_eq!(all(&worker).await, [WorkerEvent::Online, WorkerEvent::Exit(0)]);
        assert_eq!(worker.exited().await, Ok(0));
        assert_eq!(worker.event().await, None);
    });
}

#[test]
fn messages_come_in_order_before_the_error_and_exit_is_last() {
    run(async {
        let worker = Worker::<(), u32>::spawn((), async |scope| {
            for number in 0..3 {
                scope.post(number).await.unwrap();
            }
            Err::<(), _>("no more numbers")
        });
        let worker = worker.unwrap();
        let error = WorkerError { message: "no more numbers".into(), location: None };
        let expected = [
            WorkerEvent::Online,
            WorkerEvent::Message(0),
            WorkerEvent::Message(1),
            WorkerEvent::Message(2),
            WorkerEvent::Error(error.clone()),
            WorkerEvent::Exit(1),
        ];
        assert_eq!(all(&worker).await, expected);
        assert_eq!(worker.exited().await, Err(error));
    });
}

#[test]
fn a_panic_is_an_error_with_message_and_location_and_exit_1() {
    run(async {
        let worker = Worker::<(), ()>::spawn((), async |_| panic!("number {} is bad", 7)).unwrap() as Worker<(), ()>;
        let events = all(&worker).await;
        let [WorkerEvent::Online, WorkerEvent::Error(error), WorkerEvent::Exit(1)] = &events[..] else {
            panic!("{events:?}")
        };
        assert_eq!(error.message, "number 7 is bad");
        assert!(error.location.as_ref().unwrap().contains("tests/worker/events.rs:"), "{error}");
        assert!(error.to_string().contains("number 7 is bad"), "{error}");
    });
}

#[test]
fn a_panic_before_the_first_await_is_the_same() {
    run(async {
        fn body(_: phalanx_thread::WorkerScope<(), ()>) -> std::future::Ready<()> {
            panic!("at once")
        }
        let worker = Worker::spawn((), body).unwrap();
        assert_eq!(worker.exited().await.unwrap_err().message, "at once");
    });
}

#[test]
fn a_panic_payload_that_is_no_text_is_an_error_too() {
    struct Grenade;
    impl Drop for Grenade {
        fn drop(&mut self) {
            panic!("a payload whose destructor panics");
        }
    }
    run(async {
        for grenade in [false, true] {
            let worker = Worker::<(), ()>::spawn(grenade, async |scope| {
                if *scope.worker_data() { std::panic::panic_any(Grenade) } else { std::panic::panic_any(42_u64) }
            });
            let worker: Worker<(), ()> = worker.unwrap();
            let error = worker.exited().await.unwrap_err();
            assert!(!error.message.is_empty() && error.location.is_some(), "{error:?}");
        }
    });
}

#[test]
fn a_panic_in_a_destructor_of_the_body_or_in_the_text_of_its_error_is_an_error() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("a bad destructor");
        }
    }
    struct Unspeakable;
    impl fmt::Display for Unspeakable {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("a bad text")
        }
    }
    run(async {
        let worker = Worker::<(), ()>::spawn((), async |_scope| {
            let _bomb = Bomb;
            std::future::pending::<()>().await;
        });
        let worker = worker.unwrap();
        assert_eq!(worker.event().await, Some(WorkerEvent::Online));
        drop(worker.terminate());
        assert_eq!(worker.exited().await.unwrap_err().message, "a bad destructor");

        let worker = Worker::<(), ()>::spawn((), async |_| Err::<(), _>(Unspeakable)).unwrap();
        assert_eq!(worker.exited().await.unwrap_err().message, "a bad text");

        // What a task of the worker holds is dropped with the event loop; that it panics stops nothing.
        let worker = Worker::<(), ()>::spawn((), async |_| {
            let bomb = Bomb;
            tokio::task::spawn_local(async move {
                let _bomb = bomb;
                std::future::pending::<()>().await;
            });
            tokio::task::yield_now().await;
        });
        let worker = worker.unwrap();
        while let Some(event) = worker.event().await {
            assert!(!matches!(event, WorkerEvent::Message(())));
        }
        assert!(worker.has_exited());
    });
}

#[test]
fn a_worker_that_panics_while_its_parent_waits_wakes_it() {
    run(async {
        let worker = Worker::<u32, u32>::spawn((), async |scope| {
            scope.recv().await;
            panic!("after the first message");
        });
        let worker: Worker<u32, u32> = worker.unwrap();
        let (received, event_order) = tokio::join!(worker.recv(), async {
            worker.post(1).await.unwrap();
            worker.exited().await
        });
        assert_eq!(received, None);
        assert_eq!(event_order.unwrap_err().message, "after the first message");
        assert!(worker.post(2).await.is_err());
    });
}

#[test]
fn events_fit_although_the_parent_never_reads() {
    run(async {
        let worker = Worker::<(), u32>::builder().bound(1).spawn((), async |scope| {
            assert!(scope.try_post(1).is_err(), "online fills it");
            panic!("nobody reads");
        });
        let worker: Worker<(), u32> = worker.unwrap();
        assert_eq!(worker.exited().await.unwrap_err().message, "nobody reads");
        assert_eq!(all(&worker).await.len(), 3);
    });
}
