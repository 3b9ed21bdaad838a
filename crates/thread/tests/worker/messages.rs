use std::rc::Rc;
use std::time::Duration;

use phalanx_thread::{Closed, DEFAULT_BOUND, MessagePort, ParentPort, PostError, Worker, message_channel, parent_port};

use crate::gate::{GIVE_UP, run};

#[test]
fn messages_go_both_ways_in_order() {
    run(async {
        let worker = Worker::<String, usize>::spawn((), async |scope| {
            while let Some(text) = scope.recv().await {
                scope.post(text.len()).await.unwrap();
            }
        });
        let worker = worker.unwrap();
        for length in 0..5_000 {
            worker.post("x".repeat(length % 100)).await.unwrap();
            assert_eq!(worker.recv().await, Some(length % 100));
        }
    });
}

#[test]
fn a_parent_that_does_not_read_makes_the_worker_wait() {
    run(async {
        let worker = Worker::<(), u32>::spawn((), async |scope| {
            for number in 0..3 * DEFAULT_BOUND as u32 {
                scope.post(number).await.unwrap();
            }
        });
        let worker = worker.unwrap();
        while worker.queued() < DEFAULT_BOUND {
            tokio::task::yield_now().await;
        }
        assert!(worker.exited_blocking(Duration::from_millis(20)).is_none(), "it waits for room");
        assert_eq!(worker.queued(), DEFAULT_BOUND);
        for number in 0..3 * DEFAULT_BOUND as u32 {
            assert_eq!(worker.recv().await, Some(number));
        }
        assert_eq!(worker.exited().await, Ok(0));
    });
}

#[test]
fn a_worker_that_does_not_read_makes_its_parent_wait() {
    run(async {
        let worker = Worker::<u32, ()>::builder().bound(2).spawn((), async |scope| scope.cancelled().await).unwrap();
        worker.post(1).await.unwrap();
        worker.post_blocking(2, GIVE_UP).unwrap();
        assert!(matches!(worker.try_post(3), Err(PostError::Full(3))));
        assert_eq!(worker.unread(), 2);
        drop(worker.terminate());
        assert!(matches!(worker.post(4).await, Err(PostError::Closed(4))));
    });
}

#[test]
fn the_body_may_hold_what_is_not_send_across_awaits() {
    run(async {
        let worker = Worker::<u32, u32>::spawn((), async |scope| {
            let kept = Rc::new(scope.recv().await.unwrap());
            let other = Rc::clone(&kept);
            let doubled = tokio::task::spawn_local(async move { *other * 2 }).await.unwrap();
            scope.post(*kept + doubled).await.unwrap();
        });
        let worker = worker.unwrap();
        worker.post(5).await.unwrap();
        assert_eq!(worker.recv().await, Some(15));
    });
}

#[test]
fn a_plain_function_that_returns_a_future_is_a_body_too() {
    async fn body(scope: phalanx_thread::WorkerScope<(), u32>) {
        scope.post(1).await.unwrap();
    }
    let worker = Worker::spawn((), body).unwrap();
    assert_eq!(worker.recv_blocking(GIVE_UP), Ok(Some(1)));
    assert_eq!(worker.recv_blocking(GIVE_UP), Err(Closed));
    assert_eq!(worker.try_recv(), Err(Closed));
}

#[test]
fn a_worker_works_in_blocking_style_with_a_parent_in_blocking_style() {
    let worker = Worker::<u32, u32>::spawn((), async |scope| {
        while let Ok(Some(number)) = scope.recv_blocking(GIVE_UP) {
            scope.post_blocking(number + 1, GIVE_UP).unwrap();
        }
    });
    let worker = worker.unwrap();
    for number in 0..5_000 {
        worker.post_blocking(number, GIVE_UP).unwrap();
        assert_eq!(worker.recv_blocking(GIVE_UP), Ok(Some(number + 1)));
    }
    assert_eq!(worker.try_recv(), Ok(None));
    assert_eq!(worker.terminate().within_blocking(GIVE_UP), Ok(1));
}

#[test]
fn timers_run_in_a_worker() {
    run(async {
        let worker = Worker::<(), ()>::spawn((), async |_| {
            tokio::time::sleep(Duration::from_millis(1)).await;
            2
        });
        assert_eq!(worker.unwrap().exited().await, Ok(2));
    });
}

#[test]
fn a_worker_with_io_waits_for_sockets() {
    use tokio::io::AsyncReadExt;
    use tokio::net::UnixStream;

    run(async {
        let worker = Worker::<std::os::unix::net::UnixStream, u8>::builder().with_io().spawn((), async |scope| {
            let socket = scope.recv().await.unwrap();
            let mut socket = UnixStream::from_std(socket)?;
            scope.post(socket.read_u8().await?).await?;
            Ok::<_, Box<dyn std::error::Error>>(())
        });
        let worker = worker.unwrap();
        let (mut near, far) = std::os::unix::net::UnixStream::pair().unwrap();
        far.set_nonblocking(true).unwrap();
        worker.post(far).await.unwrap();
        std::io::Write::write_all(&mut near, &[77]).unwrap();
        assert_eq!(worker.recv().await, Some(77));
        assert_eq!(worker.exited().await, Ok(0));
    });
}

#[test]
fn the_parent_may_use_any_executor() {
    // The smallest there is: no runtime, no timers.
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }
    fn block_on<F: Future>(future: F) -> F::Output {
        let waker = std::sync::Arc::new(Unpark(std::thread::current())).into();
        let mut future = std::pin::pin!(future);
        loop {
            match future.as_mut().poll(&mut std::task::Context::from_waker(&waker)) {
                std::task::Poll::Ready(output) => return output,
                std::task::Poll::Pending => std::thread::park(),
            }
        }
    }
    let worker = Worker::<u32, u32>::spawn((), async |scope| {
        while let Some(number) = scope.recv().await {
            scope.post(number).await.unwrap();
        }
        while scope.checkpoint().is_ok() {}
    });
    let worker = worker.unwrap();
    block_on(async {
        for number in 0..2_000 {
            worker.post(number).await.unwrap();
            assert_eq!(worker.recv().await, Some(number));
        }
    });
    let busy = crate::gate::Flag::default();
    let stuck = Worker::<(), u32>::spawn(busy.clone(), async |scope| scope.worker_data().wait()).unwrap();
    let still_running = stuck.terminate().within(Duration::from_millis(3));
    assert_eq!(block_on(still_running), Err(phalanx_thread::StillRunning));
    busy.raise();
    assert_eq!(block_on(stuck.terminate().within(GIVE_UP)), Ok(1));
    assert_eq!(block_on(worker.terminate()), 1);
}

#[test]
fn two_workers_talk_through_a_port_that_their_parent_sends() {
    run(async {
        let body = async |scope: phalanx_thread::WorkerScope<MessagePort<u32, u32>, u32>| {
            let port = scope.recv().await.unwrap();
            port.post(scope.thread_id() as u32).await.unwrap();
            scope.post(port.recv().await.unwrap()).await.unwrap();
        };
        let (first, second) = (Worker::spawn((), body).unwrap(), Worker::spawn((), body).unwrap());
        let (near, far) = message_channel();
        first.post(near).await.unwrap();
        second.post(far).await.unwrap();
        assert_eq!(first.recv().await, Some(second.thread_id() as u32));
        assert_eq!(second.recv().await, Some(first.thread_id() as u32));
    });
}

#[test]
fn the_parent_port_is_there_in_the_thread_of_a_worker_of_these_types_only() {
    run(async {
        assert!(parent_port::<u32, ()>().is_none());
        let worker = Worker::<(), u32>::spawn((), async |_| {
            let found = parent_port::<u32, ()>().is_some() && parent_port::<(), u32>().is_none();
            let elsewhere = std::thread::spawn(|| parent_port::<u32, ()>().is_none()).join().unwrap();
            parent_port::<u32, ()>().unwrap().post(u32::from(found && elsewhere)).await.unwrap();
            // In other tasks of the worker too.
            tokio::task::spawn_local(async { parent_port::<u32, ()>().unwrap().post(2).await.unwrap() }).await.unwrap();
        });
        let worker = worker.unwrap();
        assert_eq!(worker.recv().await, Some(1));
        assert_eq!(worker.recv().await, Some(2));
    });
}

#[test]
fn a_port_of_a_worker_that_has_ended_gives_back_what_is_posted() {
    run(async {
        let (report, ours) = message_channel::<ParentPort<u32, ()>, ()>();
        let worker =
            Worker::<(), u32>::spawn(report, async |scope| scope.worker_data().post(scope.port()).await).unwrap();
        assert_eq!(worker.exited().await, Ok(0));
        let port = ours.recv().await.unwrap();
        assert!(matches!(port.post(1).await, Err(PostError::Closed(1))));
        assert_eq!(port.recv().await, None);
    });
}
