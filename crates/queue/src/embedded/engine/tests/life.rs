//! The life of a job: submitted, claimed, ended; errors, crashes, deadlines; who is told.

use super::rig::{ME, OTHER, Rig, job, ms, secs};
use crate::embedded::words::{Reply, Request};
use crate::job::{Heartbeat, Outcome, Recorded, Standing, Submitted, Work};
use crate::{Error, JobEnd, JobState, RetryPolicy, Token};
use phalanx_task::{Phase, Progress, Refusal, TaskError};

#[test]
fn a_job_is_submitted_claimed_finished_and_its_result_kept() {
    let mut rig = Rig::new();
    let id = rig.submit(job("a"));
    assert_eq!(rig.status(id).unwrap().state, JobState::Ready);
    let lease = rig.claim_one("a");
    assert_eq!((lease.token.job, lease.payload.as_slice(), lease.attempt), (id, &b"input"[..], 1));
    assert_eq!(rig.status(id).unwrap().state, JobState::Leased);
    assert_eq!(rig.status(id).unwrap().runner.as_deref(), Some("host:1"));
    assert_eq!(rig.ended(id), None);
    rig.done(lease.token);
    assert_eq!(rig.ended(id), Some(JobEnd::Done(b"result".to_vec())));
    assert_eq!(rig.status(id).unwrap().state, JobState::Done);
    rig.pass(secs(24 * 3600));
    assert!(matches!(rig.status(id), Err(Error::NoSuchJob { .. })));
    assert_eq!(rig.stats().done, 0);
}

#[test]
fn the_same_id_is_one_job() {
    let mut rig = Rig::new();
    let first = job("a");
    let id = rig.submit(first.clone());
    assert_eq!(rig.submit_work(Work::Job(first.clone())), Ok(Submitted::Taken(id)));
    assert_eq!(rig.stats().ready, 1);
    let lease = rig.claim_one("a");
    rig.done(lease.token);
    assert_eq!(rig.submit_work(Work::Job(first)), Ok(Submitted::Taken(id)));
    assert_eq!(rig.claim(&["a"], 10), []);
}

#[test]
fn nothing_is_answered_before_the_commit() {
    let mut rig = Rig::new();
    let first = job("a");
    let ask = rig.apply(ME, Request::Submit(vec![Work::Job(first.clone())]));
    assert!(rig.answer(ask).is_none());
    rig.crash();
    rig.hello(ME);
    assert!(matches!(rig.status(first.id), Err(Error::NoSuchJob { .. })));
}

#[test]
fn a_claim_and_an_end_that_wait_are_answered_when_there_is_something() {
    let mut rig = Rig::new();
    let claim = rig.claim_of(&["a"], 1, secs(10));
    let claim = rig.apply(ME, Request::Claim(claim));
    rig.commit();
    assert!(rig.answer(claim).is_none());
    let id = rig.submit(job("a"));
    let Some(Ok(Reply::Leases(leases))) = rig.answer(claim) else { panic!("no lease") };
    let end = rig.apply(OTHER, Request::Ended { job: id, wait: secs(10) });
    rig.commit();
    assert!(rig.answer(end).is_none());
    rig.done(leases[0].token);
    assert_eq!(rig.answer(end), Some(Ok(Reply::End(Some(JobEnd::Done(b"result".to_vec()))))));
}

#[test]
fn waits_end_at_their_time_with_nothing() {
    let mut rig = Rig::new();
    let id = rig.submit(job("b"));
    let claim = rig.claim_of(&["a"], 1, secs(10));
    let claim = rig.apply(ME, Request::Claim(claim));
    let end = rig.apply(ME, Request::Ended { job: id, wait: secs(20) });
    rig.commit();
    assert!(rig.engine().next_due().is_some_and(|due| due <= secs(10)));
    rig.pass(secs(10));
    assert_eq!(rig.answer(claim), Some(Ok(Reply::Leases(vec![]))));
    assert!(rig.answer(end).is_none());
    rig.pass(secs(10));
    assert_eq!(rig.answer(end), Some(Ok(Reply::End(None))));
}

#[test]
fn an_error_is_tried_again_after_a_back_off_and_the_last_one_is_the_end() {
    let mut rig = Rig::new();
    let mut first = job("a");
    first.retry = RetryPolicy::default().attempts(2);
    let id = rig.submit(first);
    let lease = rig.claim_one("a");
    rig.fail(lease.token);
    let status = rig.status(id).unwrap();
    assert_eq!((status.state, status.errors), (JobState::Scheduled, 1));
    assert_eq!(status.error.as_deref(), Some(&b"error"[..]));
    assert_eq!(rig.claim(&["a"], 1), []);
    rig.pass(secs(1));
    let lease = rig.claim_one("a");
    assert_eq!((lease.attempt, lease.token.attempt), (2, 2));
    rig.fail(lease.token);
    assert_eq!(rig.ended(id), Some(JobEnd::Dead(b"error".to_vec())));
    rig.pass(secs(7 * 24 * 3600));
    assert!(matches!(rig.status(id), Err(Error::NoSuchJob { .. })));
}

#[test]
fn a_hopeless_error_is_the_end() {
    let mut rig = Rig::new();
    let id = rig.submit(job("a"));
    let lease = rig.claim_one("a");
    rig.finish(lease.token, Outcome::Failed { error: b"no".to_vec(), hopeless: true });
    assert_eq!(rig.ended(id), Some(JobEnd::Dead(b"no".to_vec())));
}

#[test]
fn a_closed_socket_brings_the_job_back_at_once_and_the_third_time_it_is_poison() {
    let mut rig = Rig::new();
    let id = rig.submit(job("a"));
    for crash in 1..=3 {
        rig.hello(OTHER);
        let leases = rig.claim_as(OTHER, &["a"], 1);
        assert_eq!(leases[0].crashes, crash - 1);
        let now = rig.now;
        rig.engine().gone(OTHER, now);
        rig.commit();
        assert_eq!(rig.status(id).unwrap().crashes, crash);
    }
    let poison = TaskError::Refused(Refusal::Poison { crashes: 3 });
    assert_eq!(rig.ended(id), Some(JobEnd::Dead(crate::payload::error(&poison))));
}

#[test]
fn a_crashed_job_process_is_counted_apart_and_waits() {
    let mut rig = Rig::new();
    let id = rig.submit(job("a"));
    let lease = rig.claim_one("a");
    rig.finish(lease.token, Outcome::Crashed { error: b"signal 11".to_vec() });
    let status = rig.status(id).unwrap();
    assert_eq!((status.state, status.errors, status.crashes), (JobState::Scheduled, 0, 1));
}

#[test]
fn what_is_handed_back_counts_as_nothing_and_keeps_its_place() {
    let mut rig = Rig::new();
    let id = rig.submit(job("a"));
    rig.pass(ms(10));
    rig.submit(job("a"));
    let lease = rig.claim_one("a");
    assert_eq!(rig.finish(lease.token, Outcome::Returned), Recorded::Yes);
    let again = rig.claim_one("a");
    assert_eq!((again.token.job, again.attempt, again.token.attempt), (id, 1, 2));
    assert_eq!(rig.finish(lease.token, Outcome::Done(vec![])), Recorded::Stale);
}

#[test]
fn a_lease_that_nobody_renews_is_lost_and_a_renewed_one_is_not() {
    let mut rig = Rig::new();
    let id = rig.submit(job("a"));
    let lease = rig.claim_one("a");
    let runner = rig.runner;
    rig.pass(secs(20));
    let beat = Heartbeat { token: lease.token, progress: Some(Progress { done: 1, total: 2 }), details: None };
    let renewed = rig.ask(Request::Renew { runner, heartbeats: vec![beat.clone()] });
    assert_eq!(renewed, Ok(Reply::Standings(vec![Standing::Kept])));
    assert_eq!(rig.status(id).unwrap().progress, Some(Progress { done: 1, total: 2 }));
    rig.pass(secs(20));
    assert_eq!(rig.status(id).unwrap().state, JobState::Leased);
    rig.pass(secs(11));
    let status = rig.status(id).unwrap();
    assert_eq!((status.state, status.crashes), (JobState::Ready, 1));
    let renewed = rig.ask(Request::Renew { runner, heartbeats: vec![beat] });
    assert_eq!(renewed, Ok(Reply::Standings(vec![Standing::Lost])));
    // Nobody else began: what it says still counts, and only then.
    rig.done(lease.token);
    assert_eq!(rig.ended(id), Some(JobEnd::Done(b"result".to_vec())));
}

#[test]
fn a_late_word_is_stale_after_another_attempt_was_begun() {
    let mut rig = Rig::new();
    rig.submit(job("a"));
    let first = rig.claim_one("a");
    rig.pass(secs(31));
    let second = rig.claim_one("a");
    assert!(second.token > first.token);
    assert_eq!(rig.finish(first.token, Outcome::Done(vec![1])), Recorded::Stale);
    rig.done(second.token);
    assert_eq!(rig.finish(first.token, Outcome::Done(vec![1])), Recorded::Stale);
}

#[test]
fn the_same_word_again_gets_the_same_answer() {
    let mut rig = Rig::new();
    let id = rig.submit(job("a"));
    let lease = rig.claim_one("a");
    rig.fail(lease.token);
    rig.fail(lease.token);
    assert_eq!(rig.status(id).unwrap().errors, 1);
    rig.pass(secs(1));
    let lease = rig.claim_one("a");
    rig.done(lease.token);
    rig.done(lease.token);
    assert_eq!(rig.stats().done, 1);
    let other = Token { attempt: lease.token.attempt + 1, ..lease.token };
    assert_eq!(rig.finish(other, Outcome::Done(vec![])), Recorded::Stale);
}

#[test]
fn a_deadline_that_passes_in_the_queue_is_the_end() {
    let mut rig = Rig::new();
    let mut late = job("a");
    late.deadline = Some(rig.now.wall.after(secs(5)));
    let id = rig.submit(late.clone());
    rig.pass(secs(5));
    let timed_out = crate::payload::error(&TaskError::TimedOut(Phase::Queue));
    assert_eq!(rig.ended(id), Some(JobEnd::Dead(timed_out)));
    assert_eq!(rig.claim(&["a"], 1), []);
}

#[test]
fn a_delayed_job_waits_for_its_time_over_a_restart_too() {
    let mut rig = Rig::new();
    let mut later = job("a");
    later.not_before = rig.now.wall.after(secs(60));
    let id = rig.submit(later);
    assert_eq!(rig.status(id).unwrap().state, JobState::Scheduled);
    rig.pass(secs(30));
    rig.restart();
    assert_eq!(rig.claim(&["a"], 1), []);
    rig.pass(secs(27));
    assert_eq!(rig.claim_one("a").token.job, id);
}

#[test]
fn a_back_off_ends_though_the_clock_is_put_back() {
    let mut rig = Rig::new();
    rig.submit(job("a"));
    let lease = rig.claim_one("a");
    rig.fail(lease.token);
    rig.now.wall.0 -= 3_600_000;
    rig.pass(secs(1));
    assert_eq!(rig.claim_one("a").attempt, 2);
}

#[test]
fn higher_priorities_go_first_and_what_waits_long_overtakes_them() {
    let mut rig = Rig::new();
    let low = rig.submit({
        let mut low = job("a");
        low.priority = 1;
        low
    });
    rig.pass(secs(10));
    let high = |rig: &mut Rig| {
        let mut high = job("b");
        high.priority = 9;
        rig.submit(high)
    };
    let first = high(&mut rig);
    rig.pass(secs(8 * 30));
    high(&mut rig);
    let order: Vec<_> = rig.claim(&["a", "b"], 2).into_iter().map(|lease| lease.token.job).collect();
    assert_eq!(order, [first, low]);
}

#[test]
fn kinds_that_a_runner_does_not_know_stay_where_they_are() {
    let mut rig = Rig::new();
    rig.submit(job("new"));
    assert_eq!(rig.claim(&["old"], 1), []);
    assert_eq!(rig.claim(&["old", "new"], 1).len(), 1);
}

#[test]
fn what_is_too_big_is_refused_and_a_result_that_is_too_big_is_an_error_of_the_job() {
    let mut rig = Rig::new();
    let mut big = job("a");
    big.payload = vec![0; (1 << 20) + 1];
    assert!(matches!(rig.submit_work(Work::Job(big)), Err(Error::TooBig { .. })));
    let id = rig.submit(job("a"));
    let lease = rig.claim_one("a");
    assert_eq!(rig.finish(lease.token, Outcome::Done(vec![0; (1 << 20) + 1])), Recorded::Yes);
    assert!(matches!(rig.ended(id), Some(JobEnd::Dead(_))));
}

#[test]
fn details_of_a_heartbeat_are_given_to_the_next_attempt_over_a_restart_too() {
    let mut rig = Rig::new();
    rig.submit(job("a"));
    let lease = rig.claim_one("a");
    let runner = rig.runner;
    let beat = |details: &[u8]| Heartbeat { token: lease.token, progress: None, details: Some(details.to_vec()) };
    rig.ask(Request::Renew { runner, heartbeats: vec![beat(b"half")] }).unwrap();
    rig.pass(secs(1));
    rig.restart();
    let again = rig.claim_one("a");
    assert_eq!(again.details.as_deref(), Some(&b"half"[..]));
    assert_eq!(again.crashes, 1);
}

#[test]
fn a_change_wakes_who_waits_for_it() {
    let mut rig = Rig::new();
    let id = rig.submit(job("a"));
    let mut seen = rig.status(id).unwrap().version;
    for expected in [JobState::Leased, JobState::Done] {
        let ask = rig.apply(ME, Request::Changed { job: id, seen, wait: secs(10) });
        rig.commit();
        assert!(rig.answer(ask).is_none());
        match expected {
            JobState::Leased => drop(rig.claim_one("a")),
            _ => {
                let attempt = rig.status(id).unwrap().attempts;
                let epoch = rig.engine().epoch();
                rig.done(Token { job: id, epoch, attempt });
            }
        }
        let Some(Ok(Reply::Status(status))) = rig.answer(ask) else { panic!("not told of {expected}") };
        assert_eq!(status.state, expected);
        assert!(status.version > seen);
        seen = status.version;
    }
}

#[test]
fn a_full_queue_refuses_and_says_when_to_come_back() {
    let mut rig = Rig::with(crate::embedded::engine::Settings { max_waiting: 3, ..Default::default() });
    let ids: Vec<_> = (0..3).map(|_| job("a")).collect();
    for job in &ids {
        rig.submit(job.clone());
    }
    let full = rig.submit_work(Work::Job(job("a")));
    assert!(matches!(full, Err(Error::Full { waiting: 3, limit: 3, retry_after: None, .. })), "{full:?}");
    // Known ones are no new ones.
    assert!(rig.submit_work(Work::Job(ids[0].clone())).is_ok());
    let lease = rig.claim_one("a");
    rig.done(lease.token);
    rig.submit(job("a"));
    let full = rig.submit_work(Work::Job(job("a")));
    assert!(matches!(full, Err(Error::Full { retry_after: Some(_), .. })), "{full:?}");
}
