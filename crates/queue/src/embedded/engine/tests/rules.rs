//! What is said of many jobs: unique keys, limits, pauses, schedules; cancelling and reviving.

use std::time::Duration;

use super::rig::{ME, Rig, job, ms, queue, secs};
use crate::embedded::words::{Reply, Request};
use crate::job::{
    Heartbeat, JobStatus, KindLimits, NewJob, Outcome, Pause, Recorded, Schedule, Standing, Submitted, Unique, Work,
};
use crate::{Error, JobEnd, JobState, RetryPolicy, UnixMillis};

fn unique(key: &str, ttl: Duration) -> NewJob {
    NewJob { unique: Some(Unique { key: key.to_owned(), ttl }), ..job("a") }
}

#[test]
fn a_unique_key_is_held_until_the_end_or_for_its_time() {
    let mut rig = Rig::new();
    let first = rig.submit(unique("k", Duration::ZERO));
    assert_eq!(rig.submit_work(Work::Job(unique("k", Duration::ZERO))), Ok(Submitted::Held(first)));
    rig.submit(unique("other", Duration::ZERO));
    rig.restart();
    assert_eq!(rig.submit_work(Work::Job(unique("k", Duration::ZERO))), Ok(Submitted::Held(first)));
    let lease = rig.claim_one("a");
    assert_eq!(lease.token.job, first);
    rig.done(lease.token);
    let timed = rig.submit(unique("k", secs(60)));
    rig.ask(Request::Cancel(timed)).unwrap();
    assert_eq!(rig.submit_work(Work::Job(unique("k", secs(60)))), Ok(Submitted::Held(timed)));
    rig.pass(secs(60));
    rig.submit(unique("k", secs(60)));
}

#[test]
fn a_limit_of_concurrency_is_held_over_all_runners() {
    let mut rig = Rig::new();
    let limits = KindLimits { queue: queue("q"), kind: "a".to_owned(), concurrency: Some(2), rate: None };
    rig.ask(Request::Limit(limits.clone())).unwrap();
    for _ in 0..4 {
        rig.submit(job("a"));
    }
    rig.restart();
    let leases = rig.claim(&["a"], 10);
    assert_eq!(leases.len(), 2);
    assert_eq!(rig.claim(&["a"], 10), []);
    rig.submit(job("b"));
    assert_eq!(rig.claim(&["a", "b"], 10).len(), 1);
    let waits = rig.claim_of(&["a"], 10, secs(5));
    let waits = rig.apply(ME, Request::Claim(waits));
    rig.done(leases[0].token);
    assert!(matches!(rig.answer(waits), Some(Ok(Reply::Leases(leases))) if leases.len() == 1));
    rig.ask(Request::Limit(KindLimits { concurrency: None, ..limits })).unwrap();
    assert_eq!(rig.claim(&["a"], 10).len(), 1);
}

#[test]
fn a_limit_of_rate_lets_one_begin_when_its_time_has_come() {
    let mut rig = Rig::new();
    let rate = Some((2, secs(10)));
    let limits = KindLimits { queue: queue("q"), kind: "a".to_owned(), concurrency: None, rate };
    rig.ask(Request::Limit(limits)).unwrap();
    for _ in 0..4 {
        rig.submit(job("a"));
    }
    assert_eq!(rig.claim(&["a"], 10).len(), 2);
    let waits = rig.claim_of(&["a"], 10, secs(30));
    let waits = rig.apply(ME, Request::Claim(waits));
    rig.commit();
    assert!(rig.answer(waits).is_none());
    let due = rig.engine().next_due().unwrap();
    assert!(due <= secs(5), "{due:?}");
    rig.pass(secs(5));
    assert!(matches!(rig.answer(waits), Some(Ok(Reply::Leases(leases))) if leases.len() == 1));
    let zero = KindLimits { queue: queue("q"), kind: "a".to_owned(), concurrency: Some(0), rate: None };
    assert!(matches!(rig.ask(Request::Limit(zero)), Err(Error::Malformed { .. })));
}

#[test]
fn nothing_of_a_paused_kind_is_given_out_and_the_rest_is() {
    let mut rig = Rig::new();
    let what = Pause { queue: queue("q"), kind: Some("a".to_owned()) };
    rig.ask(Request::Pause { what: what.clone(), paused: true }).unwrap();
    rig.submit(job("a"));
    rig.submit(job("b"));
    let waits = rig.claim_of(&["a"], 1, secs(10));
    let waits = rig.apply(ME, Request::Claim(waits));
    assert_eq!(rig.claim(&["a", "b"], 10).len(), 1);
    assert!(rig.answer(waits).is_none());
    rig.ask(Request::Pause { what, paused: false }).unwrap();
    assert!(matches!(rig.answer(waits), Some(Ok(Reply::Leases(leases))) if leases.len() == 1));
}

#[test]
fn a_cancelled_job_never_runs_and_a_running_one_is_told() {
    let mut rig = Rig::new();
    let (waiting, running) = (rig.submit(job("a")), rig.submit(job("b")));
    rig.ask(Request::Cancel(waiting)).unwrap();
    assert_eq!(rig.ended(waiting), Some(JobEnd::Cancelled));
    assert_eq!(rig.claim(&["a"], 1), []);
    let lease = rig.claim_one("b");
    let runner = rig.runner;
    let told = rig.apply(ME, Request::Revoked { runner, wait: secs(10) });
    rig.commit();
    assert!(rig.answer(told).is_none());
    rig.ask(Request::Cancel(running)).unwrap();
    assert!(matches!(rig.answer(told), Some(Ok(Reply::Revoked(revoked))) if revoked[0].token == lease.token));
    assert_eq!(rig.ended(running), Some(JobEnd::Cancelled));
    let beat = Heartbeat { token: lease.token, progress: None, details: None };
    let renewed = rig.ask(Request::Renew { runner, heartbeats: vec![beat] });
    assert_eq!(renewed, Ok(Reply::Standings(vec![Standing::Cancelled])));
    assert_eq!(rig.finish(lease.token, Outcome::Cancelled), Recorded::Yes);
    assert!(matches!(rig.ask(Request::Cancel(running)), Err(Error::WrongState { .. })));
    assert_eq!(rig.stats().leased, 0);
}

#[test]
fn the_result_of_a_cancelled_job_is_not_recorded() {
    let mut rig = Rig::new();
    let id = rig.submit(job("a"));
    let lease = rig.claim_one("a");
    rig.ask(Request::Cancel(id)).unwrap();
    assert_eq!(rig.finish(lease.token, Outcome::Done(vec![1])), Recorded::Stale);
    assert_eq!(rig.ended(id), Some(JobEnd::Cancelled));
}

#[test]
fn a_revived_job_runs_again_with_fresh_counters() {
    let mut rig = Rig::new();
    let id = rig.submit(NewJob { retry: RetryPolicy::never(), ..job("a") });
    assert!(matches!(rig.ask(Request::Revive(id)), Err(Error::WrongState { .. })));
    let lease = rig.claim_one("a");
    rig.fail(lease.token);
    assert_eq!(rig.stats().dead, 1);
    rig.ask(Request::Revive(id)).unwrap();
    let again = rig.claim_one("a");
    assert_eq!((again.attempt, again.payload.as_slice()), (1, &b"input"[..]));
    assert!(again.token > lease.token);
    assert_eq!(rig.finish(lease.token, Outcome::Done(vec![])), Recorded::Stale);
    rig.done(again.token);
    assert_eq!((rig.stats().dead, rig.stats().done), (0, 1));
    let missing = crate::JobId::new();
    assert!(matches!(rig.ask(Request::Revive(missing)), Err(Error::NoSuchJob { .. })));
}

fn schedule(cron: &str) -> Schedule {
    Schedule { name: "tick".to_owned(), cron: cron.to_owned(), job: job("a"), next: UnixMillis(0) }
}

#[test]
fn a_schedule_submits_each_time_once_and_after_a_pause_only_the_latest() {
    let mut rig = Rig::new();
    let set = |schedule| Request::Schedule { name: "tick".to_owned(), schedule };
    assert!(matches!(rig.ask(set(Some(schedule("every day")))), Err(Error::Malformed { .. })));
    rig.ask(set(Some(schedule("* * * * *")))).unwrap();
    assert_eq!(rig.stats_or_none().map_or(0, |stats| stats.ready), 0);
    let due = rig.engine().next_due().unwrap();
    assert!(due <= secs(60));
    rig.pass(due);
    rig.pass(ms(1));
    assert_eq!(rig.stats().ready, 1);
    rig.pass(secs(3600));
    assert_eq!(rig.stats().ready, 2);
    rig.restart();
    rig.pass(secs(60));
    assert_eq!(rig.stats().ready, 3);
    let Ok(Reply::Schedules(all)) = rig.ask(Request::Schedules) else { panic!() };
    assert_eq!((all.len(), all[0].name.as_str()), (1, "tick"));
    rig.ask(set(None)).unwrap();
    rig.pass(secs(3600));
    assert_eq!(rig.stats().ready, 3);
}

#[test]
fn dead_jobs_are_bounded_the_oldest_leave() {
    let mut rig = Rig::new();
    let mut ids = Vec::new();
    for part in 0..101 {
        let works: Vec<Work> =
            (0..100).map(|_| Work::Job(NewJob { retry: RetryPolicy::never(), ..job("a") })).collect();
        ids.extend(works.iter().map(|work| work.head().id));
        rig.ask(Request::Submit(works)).unwrap();
        rig.pass(ms(10));
        let leases = rig.claim(&["a"], 100);
        assert_eq!(leases.len(), 100, "{part}");
        let outcome = Outcome::Failed { error: vec![], hopeless: true };
        let finishes =
            leases.into_iter().map(|lease| crate::job::Finish { token: lease.token, outcome: outcome.clone() });
        rig.ask(Request::Finish(finishes.collect())).unwrap();
    }
    assert_eq!(rig.stats().dead, 10_000);
    assert!(rig.status(ids[0]).is_err());
    let last: JobStatus = rig.status(ids[10_099]).unwrap();
    assert_eq!(last.state, JobState::Dead);
}
