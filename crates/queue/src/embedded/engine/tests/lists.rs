//! Listing, counting, purging.

use super::rig::{Rig, job, queue, secs};
use crate::embedded::words::{Reply, Request};
use crate::job::{JobFilter, JobStatus, NewJob, Outcome, Work};
use crate::{JobId, JobState, UnixMillis};

fn list(rig: &mut Rig, filter: JobFilter) -> Vec<JobStatus> {
    match rig.ask(Request::List(filter)).unwrap() {
        Reply::Statuses(all) => all,
        other => panic!("{other:?}"),
    }
}

/// Ids in the order of their age.
fn aged(kind: &str, age: u64) -> NewJob {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&age.to_be_bytes());
    NewJob { id: JobId::from_bytes(bytes), ..job(kind) }
}

#[test]
fn jobs_are_listed_newest_first_in_pages_by_queue_kind_and_state() {
    let mut rig = Rig::new();
    for age in 1..=250 {
        rig.submit(aged(if age % 2 == 0 { "even" } else { "odd" }, age));
    }
    let lease = rig.claim_one("odd");
    assert_eq!(list(&mut rig, JobFilter::default()).len(), 100);
    let (mut filter, mut seen) =
        (JobFilter { kind: Some("even".to_owned()), most: 50, ..Default::default() }, Vec::new());
    loop {
        let page = list(&mut rig, filter.clone());
        let Some(last) = page.last() else { break };
        filter.before = Some(last.id);
        seen.extend(page.into_iter().map(|status| status.id));
    }
    assert_eq!(seen.len(), 125);
    assert!(seen.is_sorted_by(|one, other| one > other));
    let leased = list(&mut rig, JobFilter { state: Some(JobState::Leased), ..Default::default() });
    assert_eq!((leased.len(), leased[0].id), (1, lease.token.job));
    rig.done(lease.token);
    let done = list(&mut rig, JobFilter { state: Some(JobState::Done), queue: Some(queue("q")), ..Default::default() });
    assert_eq!(done[0].id, lease.token.job);
    assert_eq!(list(&mut rig, JobFilter { queue: Some(queue("none")), ..Default::default() }), []);
}

#[test]
fn a_list_of_something_rare_among_many_is_made_in_parts() {
    let mut rig = Rig::new();
    for part in 0..5 {
        let works = (0..1000).map(|at| Work::Job(aged("a", 10 + part * 1000 + at))).collect();
        rig.ask(Request::Submit(works)).unwrap();
    }
    rig.submit(NewJob { not_before: UnixMillis(u64::MAX / 4), ..aged("a", 1) });
    let ask =
        rig.apply(super::rig::ME, Request::List(JobFilter { state: Some(JobState::Scheduled), ..Default::default() }));
    rig.commit();
    assert!(rig.answer(ask).is_none());
    for _ in 0..5 {
        rig.commit();
    }
    assert!(matches!(rig.answer(ask), Some(Ok(Reply::Statuses(found))) if found.len() == 1));
}

#[test]
fn what_is_counted_is_what_is_there() {
    let mut rig = Rig::new();
    let stats = |rig: &mut Rig| {
        let stats = rig.stats();
        [stats.ready, stats.scheduled, stats.leased, stats.done, stats.dead, stats.bytes]
    };
    for _ in 0..4 {
        rig.submit(job("a"));
    }
    rig.submit(NewJob { not_before: rig.now.wall.after(secs(60)), ..job("a") });
    assert_eq!(stats(&mut rig), [4, 1, 0, 0, 0, 25]);
    let leases = rig.claim(&["a"], 3);
    assert_eq!(stats(&mut rig), [1, 1, 3, 0, 0, 10]);
    rig.done(leases[0].token);
    rig.finish(leases[1].token, Outcome::Failed { error: vec![], hopeless: true });
    assert_eq!(stats(&mut rig), [1, 1, 1, 1, 1, 10]);
    rig.pass(secs(5));
    assert_eq!(rig.stats().oldest_ms, 5000);
    rig.crash();
    assert_eq!(stats(&mut rig), [2, 1, 0, 1, 1, 15]);
    rig.pass(secs(60));
    assert_eq!(stats(&mut rig), [3, 0, 0, 1, 1, 15]);
}

#[test]
fn purging_throws_away_what_has_ended_or_all_that_is_not_leased() {
    let mut rig = Rig::new();
    for _ in 0..5 {
        rig.submit(job("a"));
    }
    rig.submit(NewJob { queue: queue("other"), ..job("a") });
    let leases = rig.claim(&["a"], 2);
    rig.done(leases[0].token);
    assert_eq!(rig.ask(Request::Purge { queue: queue("q"), waiting: false }), Ok(Reply::Count(1)));
    assert_eq!(rig.ask(Request::Purge { queue: queue("q"), waiting: true }), Ok(Reply::Count(3)));
    let stats = rig.stats();
    assert_eq!((stats.ready, stats.leased, stats.done, stats.bytes), (0, 1, 0, 0));
    rig.done(leases[1].token);
    assert_eq!(rig.claim(&["a"], 10), []);
    let Ok(Reply::Stats(all)) = rig.ask(Request::Stats(None)) else { panic!() };
    assert_eq!(all.iter().map(|stats| stats.ready).sum::<u64>(), 1);
}
