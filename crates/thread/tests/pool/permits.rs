use phalanx_shared::{Generation, Owner, Permits, SlotIndex};
use phalanx_thread::ThreadPool;

use crate::gate::{hold, run};

fn owner(slot: u16) -> Owner {
    Owner::new(SlotIndex(slot), Generation(1))
}

fn pool(permits: &Permits, slot: u16) -> ThreadPool {
    ThreadPool::builder().threads(2).permits(permits.clone(), owner(slot)).build().unwrap()
}

#[test]
fn a_permit_is_held_while_a_job_runs_and_not_a_moment_longer() {
    let permits = Permits::create(2).unwrap();
    let pool = pool(&permits, 0);
    run(async {
        let inside = permits.clone();
        assert_eq!(pool.spawn(move |_| inside.held_by(owner(0))).await, Ok(1));
        assert_eq!(permits.in_use(), 0, "free before the caller hears of the result");
    });
}

#[test]
fn a_job_that_waits_for_something_lends_its_permit_out() {
    let permits = Permits::create(1).unwrap();
    let pool = pool(&permits, 0);
    let inside = permits.clone();
    let counts = run(pool.spawn(move |cx| (inside.in_use(), cx.wait(|| inside.in_use()), inside.in_use())));
    assert_eq!(counts, Ok((1, 0, 1)));
}

#[test]
fn one_process_uses_the_cores_that_the_other_leaves() {
    let permits = Permits::create(2).unwrap();
    let (busy, idle) = (pool(&permits, 0), pool(&permits, 1));
    let jobs = [hold(busy.job()), hold(busy.job())];
    assert_eq!((permits.held_by(owner(0)), permits.held_by(owner(1))), (2, 0));
    // The other may still run one job, without a permit and without waiting for one.
    run(async {
        assert_eq!(idle.spawn(|_| 1).await, Ok(1));
        for job in jobs {
            job.finish().await.unwrap();
        }
    });
    assert_eq!((idle.metrics().ran_without_permit, busy.metrics().ran_without_permit), (0, 0));
}

#[test]
fn a_sibling_that_keeps_all_permits_for_ever_holds_nobody_up() {
    let permits = Permits::create(1).unwrap();
    let _kept = permits.try_acquire(owner(9)).unwrap();
    let pool = pool(&permits, 0);
    let jobs = [hold(pool.job()), hold(pool.job())];
    assert_eq!(pool.metrics().ran_without_permit, 1, "the first may, the second ran after its patience");
    run(async {
        for job in jobs {
            job.finish().await.unwrap();
        }
    });
    assert_eq!(permits.in_use(), 1);
}
