use phalanx_thread::{Worker, message_channel};

use crate::gate::{Flag, GIVE_UP, RaiseOnDrop, run};

#[test]
fn the_drop_of_the_handle_terminates_the_worker() {
    run(async {
        let (online, cleared) = (Flag::default(), Flag::default());
        let worker = Worker::<(), ()>::spawn((online.clone(), cleared.clone()), async |scope| {
            let (online, cleared) = scope.worker_data().clone();
            let _guard = RaiseOnDrop(cleared);
            online.raise();
            std::future::pending::<()>().await;
        });
        let worker = worker.unwrap();
        online.wait();
        drop(worker);
        cleared.wait();
    });
}

#[test]
fn a_detached_worker_goes_on_and_sees_that_its_parent_is_gone() {
    run(async {
        let (report, ours) = message_channel::<(Vec<u32>, bool), ()>();
        let worker = Worker::<u32, u32>::spawn(report, async |scope| {
            let mut got = Vec::new();
            while let Some(number) = scope.recv().await {
                got.push(number);
            }
            let post_came_back = scope.post(1).await.is_err();
            assert!(scope.checkpoint().is_ok());
            scope.worker_data().post((got, post_came_back)).await
        });
        let worker = worker.unwrap();
        worker.post(1).await.unwrap();
        worker.post(2).await.unwrap();
        worker.detach();
        assert_eq!(ours.recv().await, Some((vec![1, 2], true)));
        assert_eq!(ours.recv().await, None);
    });
}

#[test]
fn workers_start_workers_and_a_tree_ends_with_its_root() {
    fn grow(depth: u32, alive: tokio::sync::mpsc::Sender<u32>) -> Worker<(), ()> {
        let body = async |scope: phalanx_thread::WorkerScope<(), (), (u32, tokio::sync::mpsc::Sender<u32>)>| {
            let (depth, alive) = scope.worker_data().clone();
            let _children = (depth > 0).then(|| [grow(depth - 1, alive.clone()), grow(depth - 1, alive.clone())]);
            alive.send(depth).await.unwrap();
            std::future::pending::<()>().await;
        };
        Worker::spawn((depth, alive), body).unwrap()
    }
    run(async {
        let (alive, mut seen) = tokio::sync::mpsc::channel(1);
        let root = grow(3, alive);
        for _ in 0..15 {
            assert!(seen.recv().await.is_some());
        }
        assert_eq!(root.terminate().await, 1);
        // The channel ends when the last worker has dropped its sender.
        assert_eq!(seen.recv().await, None);
    });
}

#[test]
fn a_worker_whose_parent_thread_ends_is_terminated() {
    let cleared = Flag::default();
    let guard = RaiseOnDrop(cleared.clone());
    std::thread::spawn(move || {
        let worker = Worker::<(), u32>::spawn(guard, async |scope| {
            scope.post(1).await.unwrap();
            std::future::pending::<()>().await;
        });
        assert_eq!(worker.unwrap().recv_blocking(GIVE_UP), Ok(Some(1)));
    })
    .join()
    .unwrap();
    cleared.wait();
}
