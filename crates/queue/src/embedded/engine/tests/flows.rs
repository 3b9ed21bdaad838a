//! Split, map, gather.

use super::rig::{Rig, job, secs};
use crate::embedded::words::{Reply, Request};
use crate::job::{ChildEnd, NewFlow, NewJob, OnFailure, Outcome, Recorded, Standing, Submitted, Work};
use crate::{Error, JobEnd, JobId, JobState, RetryPolicy};
use phalanx_task::TaskError;

fn flow(children: usize, on_failure: OnFailure) -> NewFlow {
    let child = |index: usize| {
        let mut child = job("part");
        child.payload = vec![index as u8];
        child.retry = RetryPolicy::never();
        child
    };
    NewFlow { children: (0..children).map(child).collect(), gather: job("gather"), on_failure }
}

fn submit(rig: &mut Rig, flow: &NewFlow) -> JobId {
    assert_eq!(rig.submit_work(Work::Flow(flow.clone())), Ok(Submitted::Taken(flow.gather.id)));
    flow.gather.id
}

#[test]
fn the_gatherer_gets_the_results_in_order_whatever_the_order_in_which_they_came() {
    let mut rig = Rig::new();
    let flow = flow(5, OnFailure::FailFast);
    let id = submit(&mut rig, &flow);
    assert_eq!(submit(&mut rig, &flow), id);
    assert_eq!(rig.stats().waiting_children, 1);
    let mut parts = rig.claim(&["part", "gather"], 10);
    assert_eq!(parts.len(), 5);
    parts.reverse();
    for (at, part) in parts.into_iter().enumerate() {
        assert_eq!(rig.status(id).unwrap().children, Some((5, at as u32)));
        if at == 2 {
            rig.restart();
        }
        let result = vec![part.payload[0] * 2];
        // Said twice it counts once.
        assert_eq!(rig.finish(part.token, Outcome::Done(result.clone())), Recorded::Yes);
        assert_eq!(rig.finish(part.token, Outcome::Done(result)), Recorded::Yes);
    }
    let gather = rig.claim_one("gather");
    let expected: Vec<ChildEnd> = (0..5).map(|index| ChildEnd::Done(vec![index * 2])).collect();
    assert_eq!(gather.children, Some(expected.clone()));
    assert_eq!(rig.status(flow.children[0].id).unwrap().parent, Some(id));
    rig.fail(gather.token);
    rig.pass(secs(1));
    let gather = rig.claim_one("gather");
    assert_eq!(gather.children, Some(expected));
    rig.done(gather.token);
    assert_eq!(rig.ended(id), Some(JobEnd::Done(b"result".to_vec())));
}

#[test]
fn fail_fast_ends_the_gatherer_with_the_error_and_the_others_are_cancelled() {
    let mut rig = Rig::new();
    let flow = flow(3, OnFailure::FailFast);
    let id = submit(&mut rig, &flow);
    let parts = rig.claim(&["part"], 2);
    rig.fail(parts[0].token);
    assert_eq!(rig.ended(id), Some(JobEnd::Dead(b"error".to_vec())));
    assert_eq!(rig.claim(&["part", "gather"], 10), []);
    let runner = rig.runner;
    let Ok(Reply::Revoked(revoked)) = rig.ask(Request::Revoked { runner, wait: secs(1) }) else { panic!() };
    assert_eq!(revoked.len(), 1);
    assert_eq!((revoked[0].token, revoked[0].why), (parts[1].token, Standing::Cancelled));
    assert_eq!(rig.finish(parts[1].token, Outcome::Cancelled), Recorded::Yes);
    for child in &flow.children[1..] {
        assert_eq!(rig.ended(child.id), Some(JobEnd::Cancelled));
    }
}

#[test]
fn collect_gives_the_error_in_the_place_of_the_child() {
    let mut rig = Rig::new();
    let flow = flow(3, OnFailure::Collect);
    submit(&mut rig, &flow);
    let parts = rig.claim(&["part"], 2);
    rig.done(parts[1].token);
    rig.fail(parts[0].token);
    rig.ask(Request::Cancel(flow.children[2].id)).unwrap();
    let gather = rig.claim_one("gather");
    let cancelled = crate::payload::error(&TaskError::Cancelled);
    let expected =
        [ChildEnd::Failed(b"error".to_vec()), ChildEnd::Done(b"result".to_vec()), ChildEnd::Failed(cancelled)];
    assert_eq!(gather.children.as_deref(), Some(&expected[..]));
}

#[test]
fn a_flow_is_stored_whole_or_not_at_all() {
    let mut rig = Rig::new();
    let known = job("part");
    rig.submit(known.clone());
    let mut bad = flow(3, OnFailure::FailFast);
    bad.children[1] = NewJob { id: known.id, ..bad.children[1].clone() };
    assert!(matches!(rig.submit_work(Work::Flow(bad.clone())), Err(Error::Malformed { .. })));
    assert!(matches!(rig.status(bad.gather.id), Err(Error::NoSuchJob { .. })));
    assert!(matches!(rig.status(bad.children[0].id), Err(Error::NoSuchJob { .. })));
    assert_eq!((rig.stats().ready, rig.stats().waiting_children), (1, 0));
    let none = flow(0, OnFailure::FailFast);
    assert!(matches!(rig.submit_work(Work::Flow(none)), Err(Error::Malformed { .. })));
}

#[test]
fn a_flow_is_cancelled_with_its_children() {
    let mut rig = Rig::new();
    let flow = flow(3, OnFailure::FailFast);
    let id = submit(&mut rig, &flow);
    let part = rig.claim_one("part");
    rig.ask(Request::Cancel(id)).unwrap();
    assert_eq!(rig.ended(id), Some(JobEnd::Cancelled));
    for child in &flow.children {
        assert_eq!(rig.ended(child.id), Some(JobEnd::Cancelled));
    }
    assert_eq!(rig.finish(part.token, Outcome::Done(vec![])), Recorded::Stale);
    assert!(matches!(rig.ask(Request::Cancel(id)), Err(Error::WrongState { .. })));
}

#[test]
fn a_revived_flow_runs_what_failed_again_and_keeps_the_results_that_it_has() {
    let mut rig = Rig::new();
    let flow = flow(3, OnFailure::FailFast);
    let id = submit(&mut rig, &flow);
    let parts = rig.claim(&["part"], 2);
    rig.done(parts[0].token);
    rig.fail(parts[1].token);
    assert_eq!(rig.status(id).unwrap().state, JobState::Dead);
    rig.ask(Request::Revive(id)).unwrap();
    assert_eq!(rig.status(id).unwrap().state, JobState::WaitingChildren);
    let parts = rig.claim(&["part"], 10);
    assert_eq!(parts.iter().map(|part| part.payload[0]).collect::<Vec<_>>(), [1, 2]);
    for part in parts {
        rig.done(part.token);
    }
    assert_eq!(rig.claim_one("gather").children.map(|ends| ends.len()), Some(3));
}

#[test]
fn results_that_are_too_much_together_are_an_error_that_says_so() {
    let mut rig = Rig::new();
    let flow = flow(13, OnFailure::FailFast);
    let id = submit(&mut rig, &flow);
    for part in rig.claim(&["part"], 13) {
        assert_eq!(rig.finish(part.token, Outcome::Done(vec![1; 1 << 20])), Recorded::Yes);
    }
    let Some(JobEnd::Dead(error)) = rig.ended(id) else { panic!("not dead") };
    assert!(crate::payload::as_error(&error).to_string().contains("blobs"));
}
