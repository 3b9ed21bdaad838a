//! Split, map, gather.

use phalanx_task::TaskError;

use super::desk::{Desk, error, failed};
use super::{Case, Harness};
use crate::conformance::wait;
use crate::job::{ChildEnd, Heartbeat, Lease, NewFlow, NewJob, OnFailure, Outcome, Recorded, Standing, Work};
use crate::{Capability, Error, JobEnd, JobId, JobState, RetryPolicy, payload};

pub(super) fn cases() -> Vec<Case> {
    let needs: &[Capability] = &[Capability::Flow];
    vec![
        Case { name: "the_gatherer_gets_the_results_in_order", needs, run: gathers },
        Case { name: "a_child_that_is_reported_twice_counts_once", needs, run: counts_once },
        Case { name: "a_dead_child_fails_the_flow_at_once", needs, run: fails_fast },
        Case { name: "collecting_takes_errors_as_results", needs, run: collects },
        Case { name: "a_cancelled_flow_cancels_its_children", needs, run: cancelled },
        Case { name: "a_flow_that_is_submitted_twice_is_one_flow", needs, run: twice },
        Case { name: "a_dead_flow_is_revived_with_the_children_that_failed", needs, run: revived },
        Case { name: "a_flow_without_children_is_refused", needs, run: empty },
        Case { name: "a_large_flow_that_many_work_on_is_gathered_once", needs, run: large },
    ]
}

fn flow(desk: &Desk, children: usize, on_failure: OnFailure) -> NewFlow {
    let child = |number: usize| NewJob { retry: RetryPolicy::never(), ..desk.job(&number.to_string()) };
    NewFlow { children: (0..children).map(child).collect(), gather: desk.job("gather"), on_failure }
}

fn submit(desk: &Desk, flow: &NewFlow) -> JobId {
    desk.try_submit(Work::Flow(flow.clone())).unwrap();
    flow.gather.id
}

fn result(text: &str) -> ChildEnd {
    ChildEnd::Done(text.as_bytes().to_vec())
}

fn all(desk: &Desk, count: usize) -> Vec<Lease> {
    let mut leases: Vec<Lease> = (0..count).map(|_| desk.claim()).collect();
    leases.sort_by_key(|lease| lease.payload.clone());
    leases
}

fn gathers(harness: &dyn Harness) {
    let desk = Desk::new(harness);
    let flow = flow(&desk, 3, OnFailure::FailFast);
    let id = submit(&desk, &flow);
    let leases = all(&desk, 3);
    desk.done(&leases[2], "c");
    desk.done(&leases[0], "a");
    let status = desk.status(id);
    assert_eq!((status.state, status.children), (JobState::WaitingChildren, Some((3, 2))));
    assert_eq!(desk.status(flow.children[1].id).parent, Some(id));
    assert!(desk.claim_now(1).is_empty());
    desk.done(&leases[1], "b");
    let gather = desk.claim();
    assert_eq!((gather.token.job, gather.payload.as_slice()), (id, b"gather".as_slice()));
    assert_eq!(gather.children, Some(vec![result("a"), result("b"), result("c")]));
    desk.done(&gather, "abc");
    assert_eq!(desk.end(id), JobEnd::Done(b"abc".to_vec()));
}

fn counts_once(harness: &dyn Harness) {
    let desk = Desk::new(harness);
    let id = submit(&desk, &flow(&desk, 2, OnFailure::FailFast));
    let leases = all(&desk, 2);
    for _ in 0..3 {
        desk.done(&leases[0], "a");
    }
    assert_eq!(desk.status(id).state, JobState::WaitingChildren);
    desk.done(&leases[1], "b");
    desk.done(&leases[1], "b");
    let gather = desk.claim();
    assert_eq!(gather.children.as_ref().map(Vec::len), Some(2));
    assert!(desk.claim_now(1).is_empty());
    desk.done(&gather, "");
}

fn fails_fast(harness: &dyn Harness) {
    let desk = Desk::new(harness);
    let flow = flow(&desk, 3, OnFailure::FailFast);
    let id = submit(&desk, &flow);
    let (first, second) = (desk.claim(), desk.claim());
    assert_eq!(desk.finish(&first, failed("bad")), Recorded::Yes);
    assert_eq!(desk.end(id), JobEnd::Dead(error("bad")));
    // The third never runs, and whoever has the second is told.
    assert!(desk.claim_now(1).is_empty());
    let beat = Heartbeat { token: second.token, progress: None, details: None };
    assert_eq!(wait(desk.queue.store().renew(desk.runner, vec![beat])).unwrap(), [Standing::Cancelled]);
    assert_eq!(desk.finish(&second, Outcome::Done(Vec::new())), Recorded::Stale);
}

fn collects(harness: &dyn Harness) {
    let desk = Desk::new(harness);
    let flow = flow(&desk, 3, OnFailure::Collect);
    let id = submit(&desk, &flow);
    let leases = all(&desk, 3);
    desk.finish(&leases[1], failed("bad"));
    desk.done(&leases[0], "a");
    wait(desk.queue.store().cancel(flow.children[2].id)).unwrap();
    let gather = desk.claim();
    assert_eq!(gather.token.job, id);
    let ends = gather.children.clone().unwrap();
    assert_eq!(ends[..2], [result("a"), ChildEnd::Failed(error("bad"))]);
    assert!(matches!(&ends[2], ChildEnd::Failed(error) if payload::as_error(error) == TaskError::Cancelled));
    desk.done(&gather, "");
}

fn cancelled(harness: &dyn Harness) {
    let desk = Desk::new(harness);
    let flow = flow(&desk, 3, OnFailure::Collect);
    let id = submit(&desk, &flow);
    let lease = desk.claim();
    wait(desk.queue.store().cancel(id)).unwrap();
    assert_eq!(desk.end(id), JobEnd::Cancelled);
    for child in &flow.children {
        assert_eq!(desk.status(child.id).state, JobState::Cancelled);
    }
    assert_eq!(desk.finish(&lease, Outcome::Done(Vec::new())), Recorded::Stale);
    assert!(desk.claim_now(10).is_empty());
}

fn twice(harness: &dyn Harness) {
    let desk = Desk::new(harness);
    let flow = flow(&desk, 2, OnFailure::FailFast);
    submit(&desk, &flow);
    submit(&desk, &flow);
    let leases = all(&desk, 2);
    assert!(desk.claim_now(1).is_empty());
    leases.iter().for_each(|lease| desk.done(lease, ""));
    desk.done(&desk.claim(), "");
    submit(&desk, &flow);
    assert!(desk.claim_now(1).is_empty());
}

fn revived(harness: &dyn Harness) {
    let desk = Desk::new(harness);
    let flow = flow(&desk, 2, OnFailure::FailFast);
    let id = submit(&desk, &flow);
    let leases = all(&desk, 2);
    desk.done(&leases[0], "a");
    desk.finish(&leases[1], failed("bad"));
    desk.until(id, JobState::Dead);
    wait(desk.queue.store().revive(id)).unwrap();
    let again = desk.claim();
    assert_eq!((again.token.job, again.attempt), (flow.children[1].id, 1));
    desk.done(&again, "b");
    let gather = desk.claim();
    assert_eq!(gather.children, Some(vec![result("a"), result("b")]));
    desk.done(&gather, "");
}

fn empty(harness: &dyn Harness) {
    let desk = Desk::new(harness);
    let refused = desk.try_submit(Work::Flow(flow(&desk, 0, OnFailure::Collect)));
    assert!(matches!(refused, Err(Error::Malformed { .. })), "{refused:?}");
}

fn large(harness: &dyn Harness) {
    const CHILDREN: usize = 300;
    let desk = Desk::new(harness);
    let id = submit(&desk, &flow(&desk, CHILDREN, OnFailure::Collect));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            let desk = desk.beside(harness);
            scope.spawn(move || {
                while desk.status(id).state == JobState::WaitingChildren {
                    let leases = desk.claim_now(20);
                    let finish = |lease: &Lease| (lease.token, Outcome::Done(lease.payload.clone()));
                    let finishes = leases.iter().filter(|lease| lease.children.is_none()).map(finish);
                    let finishes = finishes.map(|(token, outcome)| crate::job::Finish { token, outcome }).collect();
                    assert!(
                        wait(desk.queue.store().finish(finishes)).unwrap().iter().all(|said| *said == Recorded::Yes)
                    );
                    for gather in leases.iter().filter(|lease| lease.children.is_some()) {
                        desk.finish(gather, Outcome::Returned);
                    }
                }
            });
        }
    });
    let gather = desk.claim();
    let expected: Vec<ChildEnd> = (0..CHILDREN).map(|number| result(&number.to_string())).collect();
    assert_eq!(gather.children, Some(expected));
    desk.done(&gather, "");
}
