//! Keys that only one job may have.

use std::time::Duration;

use super::desk::{Desk, until};
use super::{Case, Harness};
use crate::conformance::wait;
use crate::job::{NewJob, Submitted, Unique, Work};
use crate::{Capability, JobId};

pub(super) fn cases() -> Vec<Case> {
    let needs: &[Capability] = &[Capability::Unique];
    vec![
        Case { name: "a_key_is_held_until_its_job_has_ended", needs, run: until_the_end },
        Case { name: "a_key_with_a_time_is_held_for_that_time", needs, run: for_a_time },
        Case { name: "of_many_that_come_at_once_one_gets_the_key", needs, run: one_of_many },
    ]
}

fn keyed(desk: &Desk, ttl: Duration) -> (JobId, Result<Submitted, crate::Error>) {
    let job = NewJob { unique: Some(Unique { key: "key".to_owned(), ttl }), ..desk.job("") };
    let id = job.id;
    (id, desk.try_submit(Work::Job(job)))
}

fn until_the_end(harness: &dyn Harness) {
    let desk = Desk::new(harness);
    let (first, taken) = keyed(&desk, Duration::ZERO);
    assert_eq!(taken, Ok(Submitted::Taken(first)));
    assert_eq!(keyed(&desk, Duration::ZERO).1, Ok(Submitted::Held(first)));
    let lease = desk.claim();
    assert_eq!(keyed(&desk, Duration::ZERO).1, Ok(Submitted::Held(first)));
    desk.done(&lease, "");
    let (second, taken) = keyed(&desk, Duration::ZERO);
    assert_eq!(taken, Ok(Submitted::Taken(second)));
    wait(desk.queue.store().cancel(second)).unwrap();
    let (third, taken) = keyed(&desk, Duration::ZERO);
    assert_eq!(taken, Ok(Submitted::Taken(third)));
    // In another queue it is another key.
    let other = Desk::new(harness);
    let (fourth, taken) = keyed(&other, Duration::ZERO);
    assert_eq!(taken, Ok(Submitted::Taken(fourth)));
}

fn for_a_time(harness: &dyn Harness) {
    let desk = Desk::new(harness);
    let long = Duration::from_secs(3600);
    let (first, taken) = keyed(&desk, long);
    assert_eq!(taken, Ok(Submitted::Taken(first)));
    desk.done(&desk.claim(), "");
    assert_eq!(keyed(&desk, long).1, Ok(Submitted::Held(first)), "its job has ended, its time has not");
    // Another queue, another key: free after its time, though its job waits.
    let desk = Desk::new(harness);
    let (first, taken) = keyed(&desk, Duration::from_millis(100));
    assert_eq!(taken, Ok(Submitted::Taken(first)));
    until("the key is free", || matches!(keyed(&desk, long).1, Ok(Submitted::Taken(_))));
}

fn one_of_many(harness: &dyn Harness) {
    let desk = Desk::new(harness);
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let submitters: Vec<_> = (0..6)
            .map(|_| {
                let desk = desk.beside(harness);
                scope.spawn(move || keyed(&desk, Duration::ZERO).1.unwrap())
            })
            .collect();
        submitters.into_iter().map(|submitter| submitter.join().unwrap()).collect()
    });
    let winner = outcomes.iter().find_map(|outcome| match outcome {
        Submitted::Taken(id) => Some(*id),
        Submitted::Held(_) => None,
    });
    let winner = winner.unwrap();
    for outcome in &outcomes {
        assert!(matches!(outcome, Submitted::Taken(id) | Submitted::Held(id) if *id == winner), "{outcomes:?}");
    }
    desk.claim_all(1);
    assert!(desk.claim_now(10).is_empty());
}
