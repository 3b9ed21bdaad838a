//! Tokens: who may say how it went.

use super::desk::Desk;
use super::{Case, Harness};
use crate::conformance::wait;
use crate::job::{Heartbeat, Outcome, Recorded, Standing};
use crate::{Capability, JobEnd, JobState};

pub(super) fn cases() -> Vec<Case> {
    let fencing: &[Capability] = &[Capability::Fencing, Capability::Results];
    vec![
        Case { name: "a_finish_may_be_said_again", needs: fencing, run: again },
        Case { name: "what_an_older_attempt_says_is_refused", needs: fencing, run: late },
        Case { name: "what_is_handed_back_counts_as_nothing", needs: fencing, run: handed_back },
        Case { name: "a_closed_handle_hands_its_jobs_back", needs: fencing, run: closed },
        Case { name: "a_heartbeat_of_an_older_attempt_is_told_so", needs: fencing, run: lost },
    ]
}

fn again(harness: &dyn Harness) {
    let desk = Desk::new(harness);
    let id = desk.submit(desk.job(""));
    let lease = desk.claim();
    desk.done(&lease, "result");
    desk.done(&lease, "result");
    assert_eq!(desk.end(id), JobEnd::Done(b"result".to_vec()));
}

fn late(harness: &dyn Harness) {
    let desk = Desk::new(harness);
    let id = desk.submit(desk.job(""));
    let first = desk.claim();
    assert_eq!(desk.finish(&first, Outcome::Returned), Recorded::Yes);
    let second = desk.claim();
    assert!(second.token > first.token);
    assert_eq!(desk.finish(&first, Outcome::Done(b"late".to_vec())), Recorded::Stale);
    desk.done(&second, "result");
    assert_eq!(desk.finish(&first, Outcome::Done(b"late".to_vec())), Recorded::Stale);
    assert_eq!(desk.end(id), JobEnd::Done(b"result".to_vec()));
}

fn handed_back(harness: &dyn Harness) {
    let desk = Desk::new(harness);
    let id = desk.submit(desk.job(""));
    for _ in 0..10 {
        assert_eq!(desk.finish(&desk.claim(), Outcome::Returned), Recorded::Yes);
    }
    let lease = desk.claim();
    assert_eq!((lease.attempt, lease.crashes), (1, 0));
    let status = desk.status(id);
    assert_eq!((status.attempts, status.errors, status.crashes), (1, 0, 0));
    desk.done(&lease, "");
}

fn closed(harness: &dyn Harness) {
    let desk = Desk::new(harness);
    let id = desk.submit(desk.job(""));
    let other = desk.beside(harness);
    other.claim();
    wait(other.queue.close());
    let lease = desk.claim();
    assert_eq!((lease.token.job, lease.attempt, lease.crashes), (id, 1, 0));
    desk.done(&lease, "");
}

fn lost(harness: &dyn Harness) {
    let desk = Desk::new(harness);
    let id = desk.submit(desk.job(""));
    let first = desk.claim();
    assert_eq!(desk.finish(&first, Outcome::Returned), Recorded::Yes);
    let second = desk.claim();
    let beat = |lease: &crate::job::Lease| Heartbeat { token: lease.token, progress: None, details: None };
    let standings = wait(desk.queue.store().renew(desk.runner, vec![beat(&first), beat(&second)])).unwrap();
    assert_eq!(standings, [Standing::Lost, Standing::Kept]);
    desk.done(&second, "");
    desk.until(id, JobState::Done);
}
