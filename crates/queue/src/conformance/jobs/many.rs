//! Many at once, from many sides.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::desk::{Desk, KIND};
use super::{Case, Harness};
use crate::conformance::wait;
use crate::job::{Finish, Outcome, Recorded, Work};
use crate::{Capability, JobEnd, JobId};

const JOBS: usize = 600;
const SIDES: usize = 3;

pub(super) fn cases() -> Vec<Case> {
    vec![Case {
        name: "of_many_jobs_each_has_its_own_result_recorded_once",
        needs: &[Capability::Results],
        run: each_once,
    }]
}

fn each_once(harness: &dyn Harness) {
    let desk = Desk::new(harness);
    let recorded = AtomicUsize::new(0);
    let ids: Vec<JobId> = std::thread::scope(|scope| {
        let submitters: Vec<_> = (0..SIDES)
            .map(|_| {
                let desk = desk.beside(harness);
                scope.spawn(move || {
                    let works: Vec<Work> = (0..JOBS / SIDES).map(|_| Work::Job(desk.job(""))).collect();
                    let ids: Vec<JobId> = works.iter().map(|work| work.head().id).collect();
                    let taken = wait(desk.queue.store().submit(works)).unwrap();
                    assert!(taken.iter().all(Result::is_ok));
                    ids
                })
            })
            .collect();
        for _ in 0..SIDES {
            let (desk, recorded) = (desk.beside(harness), &recorded);
            scope.spawn(move || {
                while recorded.load(Ordering::SeqCst) < JOBS {
                    let leases = desk.claim_kinds(&[KIND], 16, Duration::from_millis(100));
                    let of = |lease: &crate::job::Lease| Finish {
                        token: lease.token,
                        outcome: Outcome::Done(lease.token.job.as_bytes().to_vec()),
                    };
                    let said = wait(desk.queue.store().finish(leases.iter().map(of).collect())).unwrap();
                    recorded.fetch_add(said.iter().filter(|said| **said == Recorded::Yes).count(), Ordering::SeqCst);
                }
            });
        }
        submitters.into_iter().flat_map(|submitter| submitter.join().unwrap()).collect()
    });
    assert_eq!(recorded.load(Ordering::SeqCst), JOBS);
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), JOBS);
    for id in ids {
        assert_eq!(desk.end(id), JobEnd::Done(id.as_bytes().to_vec()));
    }
}
