//! What people see and do: lists, numbers, purges.

use super::desk::{Desk, failed};
use super::{Case, Harness};
use crate::conformance::wait;
use crate::job::{JobFilter, NewJob};
use crate::{Capability, JobId, JobState, QueueStats, RetryPolicy, UnixMillis};

pub(super) fn cases() -> Vec<Case> {
    let status: &[Capability] = &[Capability::Status];
    vec![
        Case { name: "jobs_are_listed_newest_first_page_by_page", needs: status, run: listed },
        Case {
            name: "the_numbers_of_a_queue_are_exact",
            needs: &[Capability::Status, Capability::Stats],
            run: numbers,
        },
        Case {
            name: "what_has_ended_is_purged_and_what_waits_if_asked",
            needs: &[Capability::Status, Capability::Purge],
            run: purged,
        },
    ]
}

fn listed(harness: &dyn Harness) {
    let desk = Desk::new(harness);
    let mut ids: Vec<JobId> = Vec::new();
    for number in 0..7 {
        let kind = if number == 3 { "other" } else { super::desk::KIND };
        ids.push(desk.submit(NewJob { kind: kind.to_owned(), ..desk.job("") }));
    }
    ids.sort();
    ids.reverse();
    let list = |filter: JobFilter| -> Vec<JobId> {
        let filter = JobFilter { queue: Some(desk.name.clone()), ..filter };
        wait(desk.queue.store().list(filter)).unwrap().iter().map(|status| status.id).collect()
    };
    assert_eq!(list(JobFilter::default()), ids);
    assert_eq!(list(JobFilter { most: 3, ..JobFilter::default() }), ids[..3]);
    assert_eq!(list(JobFilter { most: 3, before: Some(ids[2]), ..JobFilter::default() }), ids[3..6]);
    assert_eq!(list(JobFilter { kind: Some("other".to_owned()), ..JobFilter::default() }).len(), 1);
    let lease = desk.claim();
    assert_eq!(list(JobFilter { state: Some(JobState::Leased), ..JobFilter::default() }), [lease.token.job]);
    desk.done(&lease, "");
    assert_eq!(list(JobFilter { state: Some(JobState::Done), ..JobFilter::default() }), [lease.token.job]);
    assert_eq!(list(JobFilter { state: Some(JobState::Dead), ..JobFilter::default() }), []);
}

fn stats(desk: &Desk) -> QueueStats {
    wait(desk.queue.store().stats(Some(desk.name.clone()))).unwrap().remove(0)
}

fn numbers(harness: &dyn Harness) {
    let desk = Desk::new(harness);
    for _ in 0..5 {
        desk.submit(NewJob { retry: RetryPolicy::never(), ..desk.job("1234") });
    }
    let hour = std::time::Duration::from_secs(3600);
    desk.submit(NewJob { not_before: UnixMillis::now().after(hour), ..desk.job("1234") });
    let (done, dead, _leased) = (desk.claim(), desk.claim(), desk.claim());
    desk.done(&done, "");
    desk.finish(&dead, failed("bad"));
    let is = stats(&desk);
    assert_eq!((is.ready, is.scheduled, is.leased, is.done, is.dead, is.waiting_children), (2, 1, 1, 1, 1, 0));
    assert_eq!((is.queue.as_str(), is.bytes, is.paused), (desk.name.as_str(), 12, false));
    let all = wait(desk.queue.store().stats(None)).unwrap();
    assert!(all.iter().any(|stats| stats.queue == desk.name.as_str() && stats.ready == 2), "{all:?}");
}

fn purged(harness: &dyn Harness) {
    let desk = Desk::new(harness);
    let ids: Vec<JobId> = (0..5).map(|_| desk.submit(desk.job(""))).collect();
    let (done, leased) = (desk.claim(), desk.claim());
    desk.done(&done, "");
    assert_eq!(wait(desk.queue.store().purge(desk.name.clone(), false)), Ok(1));
    assert_eq!(stats(&desk).ready, 3);
    assert_eq!(wait(desk.queue.store().purge(desk.name.clone(), true)), Ok(3));
    let is = stats(&desk);
    assert_eq!((is.ready, is.leased, is.done, is.bytes), (0, 1, 0, 0));
    // Which ones were claimed is the broker's choice.
    for id in ids.into_iter().filter(|id| *id != leased.token.job) {
        assert!(wait(desk.queue.store().changed(id, 0, std::time::Duration::ZERO)).is_err());
    }
    assert!(desk.claim_now(5).is_empty());
}
