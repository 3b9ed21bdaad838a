//! Submit, claim, finish, result.

use std::time::Duration;

use super::desk::{Desk, KIND};
use super::{Case, Harness};
use crate::conformance::wait;
use crate::job::{NewJob, Outcome, Submitted, Work};
use crate::{Capability, Error, JobEnd, JobId};

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case { name: "a_job_is_given_out_as_it_was_submitted", needs: &[], run: given_out },
        Case { name: "the_result_is_kept_for_whoever_has_the_id", needs: &[Capability::Results], run: result },
        Case { name: "whoever_waits_for_the_end_is_told", needs: &[Capability::Results], run: told },
        Case { name: "an_id_that_is_submitted_twice_is_one_job", needs: &[Capability::Status], run: twice },
        Case { name: "a_claim_waits_for_a_job", needs: &[], run: claim_waits },
        Case { name: "a_claim_without_a_job_ends_with_its_wait", needs: &[], run: claim_ends },
        Case { name: "jobs_of_unknown_kinds_stay_for_others", needs: &[Capability::Status], run: unknown_kinds },
        Case {
            name: "older_jobs_go_first_and_higher_priorities_before_them",
            needs: &[Capability::Priority],
            run: order,
        },
        Case { name: "no_job_is_given_to_two_runners", needs: &[], run: shared },
        Case { name: "a_payload_above_the_limit_is_refused", needs: &[], run: too_big },
        Case { name: "there_is_no_end_of_a_job_that_never_was", needs: &[Capability::Results], run: no_such_job },
    ]
}

fn given_out(harness: &dyn Harness) {
    let desk = Desk::new(harness);
    let job = NewJob { run_limit: Some(Duration::from_secs(7)), ..desk.job("input") };
    let id = desk.submit(job);
    let lease = desk.claim();
    assert_eq!((lease.token.job, lease.kind.as_str(), lease.payload.as_slice()), (id, KIND, b"input".as_slice()));
    assert_eq!((lease.queue.clone(), lease.attempt, lease.crashes), (desk.name.clone(), 1, 0));
    assert_eq!((lease.run_limit, lease.children.as_ref()), (Some(Duration::from_secs(7)), None));
    assert!(desk.claim_now(1).is_empty());
    desk.done(&lease, "");
}

fn result(harness: &dyn Harness) {
    let desk = Desk::new(harness);
    let id = desk.submit(desk.job("input"));
    assert_eq!(wait(desk.queue.store().ended(id, Duration::ZERO)), Ok(None));
    desk.done(&desk.claim(), "result");
    let other = desk.beside(harness);
    assert_eq!(other.end(id), JobEnd::Done(b"result".to_vec()));
    assert_eq!(other.end(id), JobEnd::Done(b"result".to_vec()));
}

fn told(harness: &dyn Harness) {
    let desk = Desk::new(harness);
    let other = desk.beside(harness);
    for awaited in [true, false] {
        let id = desk.submit(NewJob { awaited, ..desk.job("input") });
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| (desk.end(id), other.end(id)));
            let worker = desk.beside(harness);
            worker.done(&worker.claim(), "result");
            let end = JobEnd::Done(b"result".to_vec());
            assert_eq!(waits.join().unwrap(), (end.clone(), end));
        });
    }
}

fn twice(harness: &dyn Harness) {
    let desk = Desk::new(harness);
    let job = desk.job("input");
    let id = job.id;
    let both = vec![Work::Job(job.clone()), Work::Job(job.clone())];
    let taken = wait(desk.queue.store().submit(both)).unwrap();
    assert_eq!(taken, vec![Ok(Submitted::Taken(id)), Ok(Submitted::Taken(id))]);
    let lease = desk.claim();
    desk.submit(job.clone());
    assert!(desk.claim_now(2).is_empty());
    desk.done(&lease, "result");
    desk.submit(job);
    assert!(desk.claim_now(2).is_empty(), "it has ended already");
}

fn claim_waits(harness: &dyn Harness) {
    let desk = Desk::new(harness);
    let other = desk.beside(harness);
    std::thread::scope(|scope| {
        let claims = scope.spawn(|| desk.claim());
        let id = other.submit(other.job("input"));
        let lease = claims.join().unwrap();
        assert_eq!(lease.token.job, id);
        desk.done(&lease, "");
    });
}

fn claim_ends(harness: &dyn Harness) {
    let desk = Desk::new(harness);
    assert!(desk.claim_now(1).is_empty());
    assert!(desk.claim_kinds(&[KIND], 1, Duration::from_millis(50)).is_empty());
}

fn unknown_kinds(harness: &dyn Harness) {
    let desk = Desk::new(harness);
    let unknown = desk.submit(NewJob { kind: "newer".to_owned(), ..desk.job("first") });
    let known = desk.submit(desk.job("second"));
    let leases = desk.claim_kinds(&[KIND, "another"], 10, Duration::from_secs(10));
    assert_eq!(leases.iter().map(|lease| lease.token.job).collect::<Vec<_>>(), [known]);
    let newer = desk.beside(harness);
    let leases = newer.claim_kinds(&["newer"], 10, Duration::from_secs(10));
    assert_eq!(leases.iter().map(|lease| lease.token.job).collect::<Vec<_>>(), [unknown]);
    assert_eq!(desk.status(unknown).attempts, 1);
}

fn order(harness: &dyn Harness) {
    let desk = Desk::new(harness);
    let with = |priority| NewJob { priority, ..desk.job("") };
    let ids: Vec<JobId> = [5, 5, 9, 1, 9].map(|priority| desk.submit(with(priority))).to_vec();
    let expected = [2, 4, 0, 1, 3].map(|index: usize| ids[index]);
    let given: Vec<JobId> = (0..5).map(|_| desk.claim().token.job).collect();
    assert_eq!(given, expected);
}

fn shared(harness: &dyn Harness) {
    const JOBS: usize = 200;
    let desk = Desk::new(harness);
    let works = (0..JOBS).map(|number| Work::Job(desk.job(&number.to_string()))).collect();
    assert!(wait(desk.queue.store().submit(works)).unwrap().iter().all(Result::is_ok));
    let mut given: Vec<JobId> = std::thread::scope(|scope| {
        let runners: Vec<_> = (0..3)
            .map(|_| {
                let desk = desk.beside(harness);
                scope.spawn(move || {
                    let mut mine = Vec::new();
                    loop {
                        let leases = desk.claim_kinds(&[KIND], 7, Duration::from_secs(2));
                        if leases.is_empty() {
                            return mine;
                        }
                        leases.iter().for_each(|lease| desk.done(lease, ""));
                        mine.extend(leases.iter().map(|lease| lease.token.job));
                    }
                })
            })
            .collect();
        runners.into_iter().flat_map(|runner| runner.join().unwrap()).collect()
    });
    given.sort();
    given.dedup();
    assert_eq!(given.len(), JOBS);
}

fn too_big(harness: &dyn Harness) {
    let desk = Desk::new(harness);
    let job = NewJob { payload: vec![0; (1 << 20) + 1], ..desk.job("") };
    let refused = desk.try_submit(Work::Job(job));
    assert!(matches!(refused, Err(Error::TooBig { limit, .. }) if limit <= 1 << 20), "{refused:?}");
    let fits = NewJob { payload: vec![7; 200_000], ..desk.job("") };
    desk.submit(fits);
    let lease = desk.claim();
    assert_eq!(lease.payload, vec![7; 200_000]);
    desk.finish(&lease, Outcome::Done(Vec::new()));
}

fn no_such_job(harness: &dyn Harness) {
    let desk = Desk::new(harness);
    let end = wait(desk.queue.store().ended(JobId::new(), Duration::from_secs(5)));
    assert!(matches!(end, Err(Error::NoSuchJob { .. })), "{end:?}");
    let status = wait(desk.queue.store().changed(JobId::new(), 0, Duration::ZERO));
    assert!(matches!(status, Err(Error::NoSuchJob { .. })), "{status:?}");
}
