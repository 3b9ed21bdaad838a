//! Errors and crashes.

use std::time::Duration;

use phalanx_task::{Refusal, TaskError};

use super::desk::{Desk, error, failed};
use super::{Case, Harness};
use crate::conformance::wait;
use crate::job::{NewJob, Outcome, Recorded};
use crate::{Capability, Error, JobEnd, JobState, RetryPolicy, payload};

pub(super) fn cases() -> Vec<Case> {
    let kept: &[Capability] = &[Capability::Status, Capability::Results];
    vec![
        Case { name: "an_error_is_tried_again", needs: &[], run: tried_again },
        Case { name: "a_job_whose_errors_are_used_up_is_dead_with_the_last_one", needs: kept, run: used_up },
        Case { name: "a_hopeless_error_is_the_end", needs: kept, run: hopeless },
        Case { name: "crashes_are_counted_apart_and_end_as_poison", needs: kept, run: poison },
        Case { name: "a_job_waits_before_it_is_tried_again", needs: kept, run: waits },
        Case { name: "a_dead_job_is_revived_with_fresh_counters", needs: kept, run: revived },
        Case { name: "what_is_not_dead_cannot_be_revived", needs: kept, run: not_dead },
    ]
}

fn tried_again(harness: &dyn Harness) {
    let desk = Desk::new(harness);
    let id = desk.submit(desk.job("input"));
    assert_eq!(desk.finish(&desk.claim(), failed("first")), Recorded::Yes);
    let lease = desk.claim();
    assert_eq!((lease.token.job, lease.attempt, lease.crashes), (id, 2, 0));
    assert_eq!(lease.payload, b"input");
    desk.done(&lease, "");
}

fn used_up(harness: &dyn Harness) {
    let desk = Desk::new(harness);
    let job = desk.job("");
    let id = desk.submit(NewJob { retry: job.retry.attempts(2), ..job });
    assert_eq!(desk.finish(&desk.claim(), failed("first")), Recorded::Yes);
    assert_eq!(desk.finish(&desk.claim(), failed("second")), Recorded::Yes);
    assert_eq!(desk.end(id), JobEnd::Dead(error("second")));
    let status = desk.status(id);
    assert_eq!((status.state, status.errors, status.crashes), (JobState::Dead, 2, 0));
    assert_eq!(status.error, Some(error("second")));
    assert!(desk.claim_now(1).is_empty());
}

fn hopeless(harness: &dyn Harness) {
    let desk = Desk::new(harness);
    let id = desk.submit(desk.job(""));
    desk.finish(&desk.claim(), Outcome::Failed { error: error("never"), hopeless: true });
    assert_eq!(desk.end(id), JobEnd::Dead(error("never")));
}

fn poison(harness: &dyn Harness) {
    let desk = Desk::new(harness);
    let id = desk.submit(desk.job(""));
    assert_eq!(desk.finish(&desk.claim(), failed("an error")), Recorded::Yes);
    for crashes in 0..3 {
        let lease = desk.claim();
        assert_eq!(lease.crashes, crashes);
        assert_eq!(desk.finish(&lease, Outcome::Crashed { error: error("signal 11") }), Recorded::Yes);
    }
    let JobEnd::Dead(end) = desk.end(id) else { panic!("it is not dead") };
    assert_eq!(payload::as_error(&end), TaskError::Refused(Refusal::Poison { crashes: 3 }));
    let status = desk.status(id);
    assert_eq!((status.errors, status.crashes), (1, 3));
}

fn waits(harness: &dyn Harness) {
    let desk = Desk::new(harness);
    // A random part of an hour is practically never over at once.
    let hour = Duration::from_secs(3600);
    let id = desk.submit(NewJob { retry: RetryPolicy::default().backoff(hour, hour), ..desk.job("") });
    desk.finish(&desk.claim(), failed("first"));
    let status = desk.status(id);
    assert_eq!(status.state, JobState::Scheduled);
    assert_eq!(status.error, Some(error("first")));
    assert!(desk.claim_now(1).is_empty());
}

fn revived(harness: &dyn Harness) {
    let desk = Desk::new(harness);
    let id = desk.submit(NewJob { retry: RetryPolicy::never(), ..desk.job("input") });
    let first = desk.claim();
    desk.finish(&first, failed("first"));
    desk.until(id, JobState::Dead);
    wait(desk.queue.store().revive(id)).unwrap();
    let lease = desk.claim();
    assert_eq!((lease.token.job, lease.attempt, lease.payload.as_slice()), (id, 1, b"input".as_slice()));
    assert!(lease.token > first.token);
    desk.done(&lease, "result");
    assert_eq!(desk.end(id), JobEnd::Done(b"result".to_vec()));
}

fn not_dead(harness: &dyn Harness) {
    let desk = Desk::new(harness);
    let id = desk.submit(desk.job(""));
    assert!(matches!(wait(desk.queue.store().revive(id)), Err(Error::WrongState { .. })));
    desk.done(&desk.claim(), "");
    assert!(matches!(wait(desk.queue.store().revive(id)), Err(Error::WrongState { .. })));
    assert!(matches!(wait(desk.queue.store().revive(crate::JobId::new())), Err(Error::NoSuchJob { .. })));
}
