//! Jobs that nobody wants any more.

use std::time::Duration;

use super::desk::Desk;
use super::{Case, Harness};
use crate::conformance::wait;
use crate::job::{Heartbeat, Outcome, Recorded, Revoked, Standing};
use crate::{Capability, Error, JobEnd, JobState};

pub(super) fn cases() -> Vec<Case> {
    let needs: &[Capability] = &[Capability::Cancel, Capability::Status];
    vec![
        Case { name: "a_waiting_job_that_is_cancelled_never_runs", needs, run: waiting },
        Case { name: "the_runner_of_a_cancelled_job_is_told", needs, run: running },
        Case { name: "a_job_that_has_ended_cannot_be_cancelled", needs, run: ended },
        Case { name: "a_cancelled_job_can_be_revived", needs, run: revived },
    ]
}

fn waiting(harness: &dyn Harness) {
    let desk = Desk::new(harness);
    let id = desk.submit(desk.job(""));
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| desk.end(id));
        wait(desk.queue.store().cancel(id)).unwrap();
        assert_eq!(waits.join().unwrap(), JobEnd::Cancelled);
    });
    assert!(desk.claim_now(1).is_empty());
    assert_eq!(desk.status(id).state, JobState::Cancelled);
}

fn running(harness: &dyn Harness) {
    let desk = Desk::new(harness);
    let (first, second) = (desk.submit(desk.job("")), desk.submit(desk.job("")));
    let mut leases = [desk.claim(), desk.claim()];
    // Not every keeper gives them out in their order.
    leases.sort_by_key(|lease| lease.token.job);
    let other = desk.beside(harness);
    std::thread::scope(|scope| {
        let told = scope.spawn(|| wait(desk.queue.store().revoked(desk.runner, Duration::from_secs(30))).unwrap());
        wait(other.queue.store().cancel(first)).unwrap();
        assert_eq!(told.join().unwrap(), [Revoked { token: leases[0].token, why: Standing::Cancelled }]);
    });
    let beats = leases.iter().map(|lease| Heartbeat { token: lease.token, progress: None, details: None });
    let standings = wait(desk.queue.store().renew(desk.runner, beats.collect())).unwrap();
    assert_eq!(standings, [Standing::Cancelled, Standing::Kept]);
    assert_eq!(desk.end(first), JobEnd::Cancelled);
    assert_eq!(desk.finish(&leases[0], Outcome::Done(b"late".to_vec())), Recorded::Stale);
    assert_eq!(desk.finish(&leases[0], Outcome::Cancelled), Recorded::Yes);
    assert_eq!(desk.end(first), JobEnd::Cancelled);
    desk.done(&leases[1], "result");
    assert_eq!(desk.end(second), JobEnd::Done(b"result".to_vec()));
}

fn ended(harness: &dyn Harness) {
    let desk = Desk::new(harness);
    let id = desk.submit(desk.job(""));
    desk.done(&desk.claim(), "");
    assert!(matches!(wait(desk.queue.store().cancel(id)), Err(Error::WrongState { .. })));
    assert!(matches!(wait(desk.queue.store().cancel(crate::JobId::new())), Err(Error::NoSuchJob { .. })));
}

fn revived(harness: &dyn Harness) {
    let desk = Desk::new(harness);
    let id = desk.submit(desk.job("input"));
    let first = desk.claim();
    wait(desk.queue.store().cancel(id)).unwrap();
    wait(desk.queue.store().revive(id)).unwrap();
    let second = desk.claim();
    assert!(second.token > first.token);
    assert_eq!(desk.finish(&first, Outcome::Done(b"late".to_vec())), Recorded::Stale);
    desk.done(&second, "result");
    assert_eq!(desk.end(id), JobEnd::Done(b"result".to_vec()));
}
