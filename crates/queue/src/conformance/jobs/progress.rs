//! What a running job says of itself.

use std::time::Duration;

use phalanx_task::Progress;

use super::desk::{Desk, failed};
use super::{Case, Harness};
use crate::conformance::wait;
use crate::job::{Heartbeat, Lease};
use crate::{Capability, Error, JobState};

pub(super) fn cases() -> Vec<Case> {
    let status: &[Capability] = &[Capability::Status];
    vec![
        Case { name: "progress_is_seen_in_the_status", needs: status, run: seen },
        Case { name: "whoever_watches_a_job_sees_it_change", needs: status, run: watched },
        Case { name: "details_survive_an_error", needs: &[Capability::Details], run: details },
        Case { name: "details_above_the_limit_are_refused", needs: &[Capability::Details], run: too_big },
    ]
}

fn beat(lease: &Lease, progress: Option<(u64, u64)>, details: Option<&[u8]>) -> Vec<Heartbeat> {
    let progress = progress.map(|(done, total)| Progress { done, total });
    vec![Heartbeat { token: lease.token, progress, details: details.map(<[u8]>::to_vec) }]
}

fn seen(harness: &dyn Harness) {
    let desk = Desk::new(harness);
    let id = desk.submit(desk.job(""));
    let lease = desk.claim();
    assert_eq!(desk.status(id).progress, None);
    wait(desk.queue.store().renew(desk.runner, beat(&lease, Some((3, 10)), None))).unwrap();
    let status = desk.status(id);
    assert_eq!(status.progress, Some(Progress { done: 3, total: 10 }));
    assert_eq!((status.state, status.runner.as_deref()), (JobState::Leased, Some("conformance")));
    wait(desk.queue.store().renew(desk.runner, beat(&lease, None, None))).unwrap();
    assert_eq!(desk.status(id).progress, Some(Progress { done: 3, total: 10 }), "it said nothing new");
    desk.done(&lease, "");
}

fn watched(harness: &dyn Harness) {
    let desk = Desk::new(harness);
    let other = desk.beside(harness);
    let id = desk.submit(desk.job(""));
    let changed = |seen| wait(other.queue.store().changed(id, seen, Duration::from_secs(30))).unwrap();
    let first = changed(0);
    assert_eq!(first.state, JobState::Ready);
    std::thread::scope(|scope| {
        let sees = scope.spawn(|| changed(first.version));
        let lease = desk.claim();
        let second = sees.join().unwrap();
        assert!(second.version > first.version);
        assert_eq!(second.state, JobState::Leased);
        let sees = scope.spawn(move || changed(second.version));
        wait(desk.queue.store().renew(desk.runner, beat(&lease, Some((1, 2)), None))).unwrap();
        let third = sees.join().unwrap();
        assert_eq!(third.progress, Some(Progress { done: 1, total: 2 }));
        let sees = scope.spawn(move || changed(third.version));
        desk.done(&lease, "");
        assert_eq!(sees.join().unwrap().state, JobState::Done);
    });
    let last = wait(other.queue.store().changed(id, 0, Duration::from_secs(30))).unwrap();
    let unchanged = wait(other.queue.store().changed(id, last.version, Duration::from_millis(20))).unwrap();
    assert_eq!(unchanged.version, last.version);
}

fn details(harness: &dyn Harness) {
    let desk = Desk::new(harness);
    desk.submit(desk.job(""));
    let first = desk.claim();
    assert_eq!(first.details, None);
    wait(desk.queue.store().renew(desk.runner, beat(&first, None, Some(b"page 7")))).unwrap();
    wait(desk.queue.store().renew(desk.runner, beat(&first, Some((1, 2)), None))).unwrap();
    desk.finish(&first, failed("try again"));
    let second = desk.claim();
    assert_eq!(second.details.as_deref(), Some(b"page 7".as_slice()));
    desk.done(&second, "");
}

fn too_big(harness: &dyn Harness) {
    let desk = Desk::new(harness);
    desk.submit(desk.job(""));
    let lease = desk.claim();
    let told = wait(desk.queue.store().renew(desk.runner, beat(&lease, None, Some(&[0; 65_537]))));
    assert!(matches!(told, Err(Error::TooBig { .. })), "{told:?}");
    desk.done(&lease, "");
}
