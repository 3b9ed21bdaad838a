//! Later, too late, and kept for how long.

use std::time::{Duration, Instant};

use phalanx_task::{Phase, TaskError};

use super::desk::{Desk, until};
use super::{Case, Harness};
use crate::conformance::wait;
use crate::job::{NewJob, Schedule};
use crate::{Capability, Error, JobEnd, JobId, JobState, UnixMillis, payload};

pub(super) fn cases() -> Vec<Case> {
    let later: &[Capability] = &[Capability::Schedule, Capability::Status];
    let kept: &[Capability] = &[Capability::Results, Capability::Status];
    vec![
        Case { name: "a_job_for_later_does_not_run_before", needs: later, run: for_later },
        Case { name: "a_job_whose_deadline_passes_while_it_waits_is_dead", needs: kept, run: too_late },
        Case { name: "a_deadline_is_given_to_the_runner", needs: &[], run: deadline_given },
        Case { name: "a_result_is_gone_after_its_time", needs: kept, run: expired },
        Case { name: "schedules_are_kept_replaced_and_removed", needs: later, run: schedules },
    ]
}

fn for_later(harness: &dyn Harness) {
    const DELAY: Duration = Duration::from_millis(400);
    let desk = Desk::new(harness);
    let begun = Instant::now();
    let id = desk.submit(NewJob { not_before: UnixMillis::now().after(DELAY), ..desk.job("") });
    assert_eq!(desk.status(id).state, JobState::Scheduled);
    assert!(desk.claim_now(1).is_empty() || begun.elapsed() >= DELAY);
    let lease = desk.claim();
    assert_eq!(lease.token.job, id);
    // The clock of the moment has milliseconds, and so has that of the store.
    assert!(begun.elapsed() + Duration::from_millis(5) >= DELAY, "{:?}", begun.elapsed());
    desk.done(&lease, "");
}

fn too_late(harness: &dyn Harness) {
    let desk = Desk::new(harness);
    let id = desk.submit(NewJob { deadline: Some(UnixMillis::now().after(Duration::from_millis(50))), ..desk.job("") });
    let JobEnd::Dead(error) = desk.end(id) else { panic!("it is not dead") };
    assert_eq!(payload::as_error(&error), TaskError::TimedOut(Phase::Queue));
    assert!(desk.claim_now(1).is_empty());
}

fn deadline_given(harness: &dyn Harness) {
    let desk = Desk::new(harness);
    let deadline = UnixMillis::now().after(Duration::from_secs(60));
    desk.submit(NewJob { deadline: Some(deadline), ..desk.job("") });
    let lease = desk.claim();
    // Between machines it travels as a time that is left.
    let given = lease.deadline.unwrap();
    let difference = given.since(deadline).max(deadline.since(given));
    assert!(difference < Duration::from_secs(10), "{given} instead of {deadline}");
    desk.done(&lease, "");
}

fn expired(harness: &dyn Harness) {
    let desk = Desk::new(harness);
    let id = desk.submit(NewJob { keep: Duration::from_millis(100), ..desk.job("") });
    desk.done(&desk.claim(), "result");
    until("the result is gone", || {
        matches!(wait(desk.queue.store().ended(id, Duration::ZERO)), Err(Error::NoSuchJob { .. }))
    });
    assert!(matches!(wait(desk.queue.store().changed(id, 0, Duration::ZERO)), Err(Error::NoSuchJob { .. })));
}

fn schedules(harness: &dyn Harness) {
    let desk = Desk::new(harness);
    let store = desk.queue.store();
    let name = format!("nightly-{}", JobId::new());
    let schedule = |cron: &str| Schedule {
        name: name.clone(),
        cron: cron.to_owned(),
        job: desk.job("input"),
        next: UnixMillis(0),
    };
    let mine = || wait(store.schedules()).unwrap().into_iter().find(|schedule| schedule.name == name);
    wait(store.schedule(name.clone(), Some(schedule("0 3 * * *")))).unwrap();
    let next = mine().unwrap().next;
    assert!(next > UnixMillis::now() && next.0 % (24 * 3_600_000) == 3 * 3_600_000, "{next}");
    wait(store.schedule(name.clone(), Some(schedule("30 4 * * 1")))).unwrap();
    assert_eq!(mine().unwrap().cron, "30 4 * * 1");
    let refused = wait(store.schedule(name.clone(), Some(schedule("every night"))));
    assert!(matches!(refused, Err(Error::Malformed { .. })), "{refused:?}");
    wait(store.schedule(name.clone(), None)).unwrap();
    assert!(mine().is_none());
}
