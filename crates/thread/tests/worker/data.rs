use std::fs;
use std::sync::Arc;

use phalanx_thread::{
    SpawnError, Worker, environment_data, is_main_thread, message_channel, parent_port, remove_environment_data,
    set_environment_data, thread_id,
};

use crate::gate::{Flag, GIVE_UP, run};

#[test]
fn worker_data_is_moved_into_the_worker() {
    run(async {
        let data = vec![1_u8; 1 << 20];
        let address = data.as_ptr() as usize;
        let worker = Worker::<(), usize>::spawn(data, async |mut scope| {
            scope.worker_data_mut().pop();
            let (data, scope) = scope.into_worker_data();
            scope.post(data.as_ptr() as usize).await.unwrap();
            scope.post(data.len()).await.unwrap();
        });
        let worker = worker.unwrap();
        assert_eq!(worker.recv().await, Some(address));
        assert_eq!(worker.recv().await, Some((1 << 20) - 1));
    });
}

#[test]
fn environment_data_reaches_workers_that_start_later_and_not_those_that_run() {
    run(async {
        assert!(!set_environment_data("colour", "red".to_owned()));
        let worker = Worker::<(), Option<Arc<String>>>::spawn((), async |scope| {
            scope.post(environment_data("colour")).await.unwrap();
            scope.post(environment_data("late")).await.unwrap();
            assert!(environment_data::<u32>("colour").is_none(), "another type");
            scope.cancelled().await;
        });
        let worker = worker.unwrap();
        assert_eq!(worker.recv().await.flatten().as_deref().map(String::as_str), Some("red"));
        set_environment_data("late", "too late".to_owned());
        assert_eq!(worker.recv().await, Some(None));
        assert!(set_environment_data("colour", "blue".to_owned()));
        let later =
            Worker::<(), Option<Arc<String>>>::spawn((), async |scope| scope.post(environment_data("colour")).await);
        assert_eq!(later.unwrap().recv().await.flatten().as_deref().map(String::as_str), Some("blue"));
        assert!(remove_environment_data("colour") && !remove_environment_data("colour"));
        assert!(environment_data::<String>("colour").is_none());
    });
}

#[test]
fn what_a_worker_sets_is_seen_by_itself_and_its_workers_only() {
    run(async {
        let worker = Worker::<(), ()>::spawn((), async |_| {
            set_environment_data("inner", 1_u8);
            let child =
                Worker::<(), ()>::spawn((), async |_| environment_data::<u8>("inner").map_or(0, |number| *number));
            environment_data::<u8>("inner").map_or(0, |number| *number) + child.unwrap().exited().await.unwrap() as u8
        });
        assert_eq!(worker.unwrap().exited().await, Ok(2));
        assert!(environment_data::<u8>("inner").is_none());
    });
}

#[test]
fn thread_numbers_are_the_same_on_both_sides_and_never_given_twice() {
    run(async {
        let spawn = || {
            Worker::<(), u64>::spawn((), async |scope| {
                assert_eq!(scope.thread_id(), thread_id());
                assert!(!is_main_thread());
                scope.post(thread_id()).await
            })
        };
        let (first, second) = (spawn().unwrap(), spawn().unwrap());
        let (one, two) = (first.recv().await.unwrap(), second.recv().await.unwrap());
        assert_eq!((one, two), (first.thread_id(), second.thread_id()));
        assert!(one > 0 && two > one);
        assert_eq!(first.exited().await, Ok(0));
        assert_eq!(first.thread_id(), one);
    });
}

#[test]
fn the_name_of_a_worker_is_that_of_its_thread() {
    run(async {
        let named = |worker: phalanx_thread::WorkerBuilder<(), String>| {
            worker.spawn((), async |scope| {
                let comm = fs::read_to_string("/proc/thread-self/comm").unwrap();
                scope.post(comm.trim_end_matches('\n').to_owned()).await.unwrap();
                scope.post(scope.name().to_owned()).await.unwrap();
                scope.post(std::thread::current().name().unwrap().to_owned()).await.unwrap();
            })
        };
        let worker = named(Worker::builder().name("a name that is far too long")).unwrap();
        assert_eq!(worker.name(), "a name that is far too long");
        assert_eq!(worker.recv().await.as_deref(), Some("a name that is "), "15 bytes of it");
        assert_eq!(worker.recv().await.as_deref(), Some(worker.name()));
        assert_eq!(worker.recv().await.as_deref(), Some(worker.name()));
        let worker = named(Worker::builder()).unwrap();
        assert_eq!(worker.recv().await, Some(format!("worker-{}", worker.thread_id())));
    });
}

#[test]
fn settings_that_make_no_sense_are_errors_and_not_panics() {
    for bytes in [0, 1024, usize::MAX] {
        let refused = Worker::<(), ()>::builder().stack_size(bytes).spawn((), async |_| ());
        let error = refused.unwrap_err();
        assert!(matches!(error, SpawnError::Setting { name: "stack_size", .. }), "{error}");
        assert!(error.to_string().contains(&bytes.to_string()), "{error}");
    }
    let refused = Worker::<(), ()>::builder().name("a\0b").spawn((), async |_| ());
    assert!(matches!(refused, Err(SpawnError::Setting { name: "name", .. })));
}

#[test]
fn the_stack_is_as_large_as_asked() {
    #[inline(never)]
    fn deep(left: usize) -> usize {
        let frame = std::hint::black_box([left; 128]);
        if left == 0 { 0 } else { deep(left - 1) + usize::from(frame[127] == left) }
    }
    run(async {
        // 32 MiB of frames: more than the default holds.
        let worker = Worker::<(), usize>::builder()
            .stack_size(256 << 20)
            .spawn((), async |scope| scope.post(deep(32 << 10)).await);
        assert_eq!(worker.unwrap().recv().await, Some(32 << 10));
        let worker = Worker::<(), usize>::builder().stack_size(64 << 10).spawn((), async |scope| scope.post(1).await);
        assert_eq!(worker.unwrap().recv().await, Some(1));
    });
}

#[test]
fn destructors_at_the_very_end_of_a_thread_may_ask_everything() {
    struct Asks(Flag);
    impl Drop for Asks {
        fn drop(&mut self) {
            // A panic here would end the process.
            set_environment_data("at the end", thread_id());
            assert!(parent_port::<u64, u64>().is_none() && environment_data::<String>("at the end").is_none());
            let (ours, theirs) = message_channel::<u32, ()>();
            ours.try_post(1).unwrap();
            assert_eq!(theirs.recv_blocking(GIVE_UP), Ok(Some(1)));
            self.0.raise();
        }
    }
    thread_local! {
        static LAST: std::cell::RefCell<Option<Asks>> = const { std::cell::RefCell::new(None) };
    }
    run(async {
        let asked = Flag::default();
        let worker =
            Worker::<(), ()>::spawn(asked.clone(), async |scope| LAST.set(Some(Asks(scope.into_worker_data().0))));
        assert_eq!(worker.unwrap().exited().await, Ok(0));
        asked.wait();
    });
}
