use std::convert::Infallible;

use phalanx_thread::{Worker, WorkerEvent};

use crate::gate::{Flag, RaiseOnDrop, run};

#[test]
fn exit_ends_only_the_thread_and_delivers_what_was_posted() {
    run(async {
        let cleared = Flag::default();
        let worker = Worker::<(), u32>::spawn(cleared.clone(), async |scope| {
            let _guard = RaiseOnDrop(scope.worker_data().clone());
            for number in 0..100 {
                scope.post(number).await.unwrap();
            }
            scope.exit(5)
        });
        let worker: Worker<(), u32> = worker.unwrap();
        for number in 0..100 {
            assert_eq!(worker.recv().await, Some(number));
        }
        assert_eq!(worker.event().await, Some(WorkerEvent::Exit(5)));
        assert_eq!(worker.exited().await, Ok(5));
        assert!(cleared.is_up());
    });
}

#[test]
fn exit_works_deep_inside_nested_futures_and_calls() {
    run(async {
        let worker = Worker::<(), ()>::spawn((), async |scope| {
            fn deep(scope: &phalanx_thread::WorkerScope<(), ()>, depth: u32) {
                if depth == 0 { scope.exit(9) } else { deep(scope, depth - 1) }
            }
            let (a, ()) = tokio::join!(std::future::pending::<i32>(), async {
                tokio::task::yield_now().await;
                Box::pin(async { deep(&scope, 10) }).await;
            });
            a
        });
        assert_eq!(worker.unwrap().exited().await, Ok(9));
    });
}

#[test]
fn exit_in_another_task_of_the_worker_ends_it() {
    run(async {
        let worker = Worker::<(), ()>::spawn((), async |scope| {
            tokio::task::spawn_local(async move { scope.exit(4) });
            std::future::pending::<()>().await;
        });
        assert_eq!(worker.unwrap().exited().await, Ok(4));
    });
}

#[test]
fn exit_that_is_caught_ends_it_at_the_next_await() {
    run(async {
        let worker = Worker::<(), u32>::spawn((), async |scope| {
            let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| scope.exit(6)));
            assert!(caught.is_err() && scope.checkpoint().is_err());
            scope.try_post(1).unwrap();
            std::future::pending::<()>().await;
        });
        let worker = worker.unwrap();
        assert_eq!(worker.recv().await, Some(1));
        assert_eq!(worker.exited().await, Ok(6));
    });
}

#[test]
fn what_the_body_returns_says_the_exit_code() {
    run(async {
        async fn code<R: phalanx_thread::ExitValue + Send + 'static>(value: R) -> Result<i32, String> {
            let worker = Worker::<(), ()>::spawn(value, async |scope| scope.into_worker_data().0).unwrap();
            worker.exited().await.map_err(|error| error.message)
        }
        assert_eq!(code(()).await, Ok(0));
        assert_eq!(code(7).await, Ok(7));
        assert_eq!(code(-3).await, Ok(-3));
        assert_eq!(code(255_u8).await, Ok(255));
        assert_eq!(code(Ok::<_, Infallible>(8)).await, Ok(8));
        assert_eq!(code(Ok::<(), String>(())).await, Ok(0));
        assert_eq!(code(Err::<(), _>("it failed".to_owned())).await, Err("it failed".to_owned()));
    });
}

#[test]
fn all_who_wait_for_the_exit_hear_of_it() {
    run(async {
        let worker = Worker::<u32, ()>::spawn((), async |scope| {
            scope.recv().await;
            3
        });
        let worker = worker.unwrap();
        let posted = async { worker.post(0).await.unwrap() };
        let (first, second, ()) = tokio::join!(worker.exited(), worker.exited(), posted);
        assert_eq!((first, second, worker.exited().await), (Ok(3), Ok(3), Ok(3)));
        assert!(worker.has_exited());
        assert_eq!(worker.exited_blocking(std::time::Duration::ZERO), Some(Ok(3)));
    });
}
