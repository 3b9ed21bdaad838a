//! A new life: what was confirmed is there, leases are claimed again, old tokens are judged.

use super::rig::{ME, OTHER, Rig, job, ms, secs};
use crate::embedded::words::{Reply, Request};
use crate::job::{Outcome, Recorded};
use crate::{JobEnd, JobState};

#[test]
fn a_lease_is_claimed_again_under_its_old_token_and_nobody_else_gets_the_job() {
    let mut rig = Rig::new();
    let id = rig.submit(job("a"));
    let lease = rig.claim_one("a");
    rig.crash();
    let (handle, now) = (rig.handle, rig.now);
    assert_eq!(rig.engine().connected(ME, handle, &[lease.token], now), [true]);
    rig.pass(secs(3));
    assert_eq!(rig.claim(&["a"], 1), []);
    assert_eq!(rig.status(id).unwrap().state, JobState::Leased);
    // And once more: two restarts in a row.
    rig.crash();
    let now = rig.now;
    assert_eq!(rig.engine().connected(ME, handle, &[lease.token], now), [true]);
    rig.pass(secs(3));
    rig.done(lease.token);
    assert_eq!(rig.ended(id), Some(JobEnd::Done(b"result".to_vec())));
    assert_eq!(rig.status(id).unwrap().crashes, 0);
}

#[test]
fn what_may_be_leased_is_held_back_until_its_holder_has_come_and_new_jobs_are_not() {
    let mut rig = Rig::new();
    rig.hello(OTHER);
    rig.submit(job("a"));
    rig.claim_as(OTHER, &["a"], 1);
    let old = rig.submit(job("a"));
    rig.crash();
    rig.hello(OTHER);
    // OTHER has another handle now: the one that held the lease does not come.
    assert_eq!(rig.claim_as(OTHER, &["a"], 10), []);
    let new = rig.submit(job("a"));
    let leases = rig.claim_as(OTHER, &["a"], 10);
    assert_eq!(leases.iter().map(|lease| lease.token.job).collect::<Vec<_>>(), [new]);
    assert!(rig.engine().next_due().is_some_and(|due| due <= secs(2)));
    rig.pass(secs(2));
    let leases = rig.claim_as(OTHER, &["a"], 10);
    assert_eq!(leases.len(), 2);
    assert!(leases.iter().any(|lease| lease.token.job == old));
}

#[test]
fn the_wait_is_over_when_all_holders_have_come_and_there_is_none_without_holders() {
    let mut rig = Rig::new();
    rig.submit(job("a"));
    rig.crash();
    rig.hello(ME);
    // Nobody had claimed anything.
    let lease = rig.claim_one("a");
    rig.finish(lease.token, Outcome::Returned);
    rig.crash();
    rig.hello(ME);
    rig.commit();
    assert_eq!(rig.claim(&["a"], 1).len(), 1);
}

#[test]
fn a_holder_that_has_left_is_not_waited_for() {
    let mut rig = Rig::new();
    rig.submit(job("a"));
    rig.claim_one("a");
    let now = rig.now;
    rig.engine().gone(ME, now);
    rig.commit();
    rig.crash();
    rig.hello(OTHER);
    assert_eq!(rig.claim_as(OTHER, &["a"], 1).len(), 1);
}

#[test]
fn after_a_clean_end_with_nothing_leased_nobody_is_waited_for() {
    let mut rig = Rig::new();
    rig.submit(job("a"));
    let lease = rig.claim_one("a");
    rig.finish(lease.token, Outcome::Returned);
    let (engine, now) = (rig.engine.take().unwrap(), rig.now);
    engine.close(now).unwrap();
    assert!(!rig.folder.path().join("queue.db-wal").exists());
    rig.open().unwrap();
    rig.hello(OTHER);
    assert_eq!(rig.claim_as(OTHER, &["a"], 1).len(), 1);
}

#[test]
fn a_lease_that_took_the_machine_down_is_a_crash_and_one_that_a_clean_end_cut_off_is_none() {
    let mut rig = Rig::new();
    let id = rig.submit(job("a"));
    rig.claim_one("a");
    rig.pass(ms(300));
    rig.restart();
    assert_eq!((rig.status(id).unwrap().crashes, rig.status(id).unwrap().attempts), (1, 1));
    rig.claim_one("a");
    rig.pass(ms(300));
    let (engine, now) = (rig.engine.take().unwrap(), rig.now);
    engine.close(now).unwrap();
    rig.open().unwrap();
    rig.pass(secs(3));
    assert_eq!((rig.status(id).unwrap().crashes, rig.status(id).unwrap().attempts), (1, 1));
}

#[test]
fn a_word_with_an_old_token_counts_unless_another_attempt_was_begun() {
    let mut rig = Rig::new();
    let (one, two) = (rig.submit(job("a")), rig.submit(job("b")));
    let (first, second) = (rig.claim_one("a"), rig.claim_one("b"));
    rig.restart();
    rig.done(first.token);
    assert_eq!(rig.ended(one), Some(JobEnd::Done(b"result".to_vec())));
    let again = rig.claim_one("b");
    assert_eq!(rig.finish(second.token, Outcome::Done(vec![])), Recorded::Stale);
    rig.done(again.token);
    assert_eq!(rig.finish(first.token, Outcome::Done(vec![])), Recorded::Yes);
    assert_eq!(rig.finish(second.token, Outcome::Done(vec![])), Recorded::Stale);
    assert_eq!(rig.status(two).unwrap().state, JobState::Done);
}

/// Its first attempt failed, which is recorded; the second runs when the owner dies, and its holder claims it again.
fn second_attempt_over_a_restart(rig: &mut Rig) -> (crate::JobId, crate::Token) {
    let mut new = job("a");
    new.retry = crate::RetryPolicy::default().attempts(3).backoff(secs(0), secs(0));
    let id = rig.submit(new);
    let first = rig.claim_one("a");
    rig.fail(first.token);
    let second = rig.claim_one("a");
    rig.crash();
    let (handle, now) = (rig.handle, rig.now);
    assert_eq!(rig.engine().connected(ME, handle, &[second.token], now), [true]);
    rig.pass(secs(3));
    (id, second.token)
}

#[test]
fn the_result_of_a_second_attempt_is_recorded_though_its_owner_died_and_its_holder_was_lost() {
    let mut rig = Rig::new();
    let (id, token) = second_attempt_over_a_restart(&mut rig);
    let now = rig.now;
    rig.engine().gone(ME, now);
    rig.commit();
    rig.hello(ME);
    rig.done(token);
    assert_eq!(rig.ended(id), Some(JobEnd::Done(b"result".to_vec())), "it said that it was recorded");
}

#[test]
fn a_job_that_was_cancelled_in_the_same_batch_records_no_end_of_an_attempt_claimed_again() {
    let mut rig = Rig::new();
    let (id, token) = second_attempt_over_a_restart(&mut rig);
    let cancel = rig.apply(ME, Request::Cancel(id));
    let outcome = Outcome::Done(b"result".to_vec());
    let finish = rig.apply(ME, Request::Finish(vec![crate::job::Finish { token, outcome }]));
    rig.commit();
    assert_eq!(rig.answer(cancel), Some(Ok(Reply::Done)));
    assert_eq!(rig.answer(finish), Some(Ok(Reply::Recorded(vec![Recorded::Stale]))));
    assert_eq!(rig.ended(id), Some(JobEnd::Cancelled));
}

#[test]
fn a_token_of_a_life_before_the_last_is_refused_if_that_one_granted_leases() {
    let mut rig = Rig::new();
    rig.submit(job("a"));
    let old = rig.claim_one("a");
    rig.restart();
    let newer = rig.claim_one("a");
    rig.crash();
    let (handle, now) = (rig.handle, rig.now);
    assert_eq!(rig.engine().connected(ME, handle, &[old.token, newer.token], now), [false, true]);
    rig.commit();
    assert_eq!(rig.finish(old.token, Outcome::Done(vec![])), Recorded::Stale);
    rig.done(newer.token);
}

#[test]
fn everything_that_was_said_of_many_jobs_survives() {
    let mut rig = Rig::new();
    rig.submit(job("a"));
    let what = crate::job::Pause { queue: super::rig::queue("q"), kind: None };
    rig.ask(Request::Pause { what: what.clone(), paused: true }).unwrap();
    rig.restart();
    assert!(rig.stats().paused);
    assert_eq!(rig.claim(&["a"], 1), []);
    assert_eq!(rig.ask(Request::Pause { what, paused: false }), Ok(Reply::Done));
    assert_eq!(rig.claim(&["a"], 1).len(), 1);
}
