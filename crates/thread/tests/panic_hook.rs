//! In a process of its own: the panic hook belongs to all of it.

#![cfg(not(loom))]

use std::sync::Mutex;

use phalanx_thread::ThreadPool;

static SEEN: Mutex<Vec<String>> = Mutex::new(Vec::new());

#[test]
fn panics_of_jobs_are_quiet_and_all_others_reach_the_hook_that_was_there_before() {
    std::panic::set_hook(Box::new(|information| SEEN.lock().unwrap().push(information.to_string())));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let pool = ThreadPool::builder().threads(1).build().unwrap();
    let _second = ThreadPool::builder().threads(1).build().unwrap();

    assert!(runtime.block_on(pool.spawn(|_| panic!("in a job"))).map(|(): ()| ()).is_err());
    assert!(std::thread::spawn(|| panic!("elsewhere")).join().is_err());
    assert!(
        runtime.block_on(pool.spawn(|_| std::thread::spawn(|| panic!("a thread of a job")).join().is_err())).unwrap()
    );

    let _ = std::panic::take_hook();
    let seen = SEEN.lock().unwrap();
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert!(seen[0].contains("elsewhere") && seen[1].contains("a thread of a job"), "{seen:?}");
}
