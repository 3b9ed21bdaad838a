//! What is said of many jobs at once: limits, pauses, bounds.

use std::time::Duration;

use super::desk::{Desk, KIND};
use super::{Case, Harness};
use crate::conformance::wait;
use crate::job::{KindLimits, NewFlow, NewJob, OnFailure, Pause, Work};
use crate::{Capability, Error, JobState, QueueOptions};

pub(super) fn cases() -> Vec<Case> {
    let limits: &[Capability] = &[Capability::Limits];
    let pause: &[Capability] = &[Capability::Pause];
    let bound: &[Capability] = &[Capability::Bound, Capability::Results];
    vec![
        Case { name: "no_more_of_a_kind_run_at_once_than_may", needs: limits, run: concurrency },
        Case { name: "no_more_of_a_kind_begin_in_a_time_than_may", needs: limits, run: rate },
        Case { name: "nothing_of_a_paused_queue_is_given_out", needs: pause, run: paused },
        Case { name: "nothing_of_a_paused_kind_is_given_out", needs: pause, run: paused_kind },
        Case { name: "a_full_queue_refuses_jobs_and_takes_them_when_there_is_room", needs: bound, run: full },
        Case {
            name: "a_flow_is_taken_whole_or_not_at_all",
            needs: &[Capability::Flow, Capability::Bound],
            run: whole_flow,
        },
    ]
}

fn set(desk: &Desk, concurrency: Option<u32>, rate: Option<(u32, Duration)>) {
    let limits = KindLimits { queue: desk.name.clone(), kind: KIND.to_owned(), concurrency, rate };
    wait(desk.queue.store().limit(limits)).unwrap();
}

fn concurrency(harness: &dyn Harness) {
    let desk = Desk::new(harness);
    let other = desk.beside(harness);
    set(&desk, Some(2), None);
    for _ in 0..5 {
        desk.submit(desk.job(""));
    }
    let first = desk.claim_all(2);
    assert!(other.claim_now(10).is_empty());
    // A claim that waits is woken when there is room again.
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| other.claim());
        desk.done(&first[0], "");
        other.done(&waits.join().unwrap(), "");
    });
    set(&desk, None, None);
    assert_eq!(desk.claim_all(2).len(), 2, "two of five have ended, and one runs");
}

fn rate(harness: &dyn Harness) {
    let desk = Desk::new(harness);
    set(&desk, None, Some((3, Duration::from_secs(3600))));
    for _ in 0..5 {
        desk.submit(desk.job(""));
    }
    for lease in desk.claim_all(3) {
        desk.done(&lease, "");
    }
    assert_eq!(desk.claim_now(10).len(), 0);
    // Of another kind there is no limit.
    desk.submit(NewJob { kind: "other".to_owned(), ..desk.job("") });
    assert_eq!(desk.claim_kinds(&[KIND, "other"], 10, Duration::from_secs(20)).len(), 1);
    set(&desk, None, Some((100, Duration::from_secs(1))));
    desk.claim();
}

fn paused(harness: &dyn Harness) {
    let desk = Desk::new(harness);
    let other = desk.beside(harness);
    let what = Pause { queue: desk.name.clone(), kind: None };
    wait(desk.queue.store().pause(what.clone(), true)).unwrap();
    desk.submit(desk.job(""));
    assert!(desk.claim_now(1).is_empty());
    assert!(wait(desk.queue.store().stats(Some(desk.name.clone()))).unwrap()[0].paused);
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| other.claim());
        wait(desk.queue.store().pause(what, false)).unwrap();
        other.done(&waits.join().unwrap(), "");
    });
}

fn paused_kind(harness: &dyn Harness) {
    let desk = Desk::new(harness);
    let what = Pause { queue: desk.name.clone(), kind: Some(KIND.to_owned()) };
    wait(desk.queue.store().pause(what.clone(), true)).unwrap();
    desk.submit(desk.job(""));
    let other = desk.submit(NewJob { kind: "other".to_owned(), ..desk.job("") });
    let leases = desk.claim_kinds(&[KIND, "other"], 10, Duration::from_secs(20));
    assert_eq!(leases.iter().map(|lease| lease.token.job).collect::<Vec<_>>(), [other]);
    wait(desk.queue.store().pause(what, false)).unwrap();
    desk.claim();
}

fn full(harness: &dyn Harness) {
    let desk = Desk::new(harness);
    wait(desk.queue.declare(&QueueOptions::new(desk.name.clone()).unwrap().max_messages(5))).unwrap();
    let works = (0..8).map(|_| Work::Job(desk.job(""))).collect();
    let outcomes = wait(desk.queue.store().submit(works)).unwrap();
    assert!(outcomes[..5].iter().all(Result::is_ok), "{outcomes:?}");
    let is_full = |outcome: &Result<_, Error>| matches!(outcome, Err(Error::Full { limit: 5, .. }));
    assert!(outcomes[5..].iter().all(is_full), "{outcomes:?}");
    // Who comes at once from many sides finds no more room.
    let lease = desk.claim();
    desk.done(&lease, "");
    let taken: usize = std::thread::scope(|scope| {
        let submitters: Vec<_> = (0..4)
            .map(|_| {
                let desk = desk.beside(harness);
                scope.spawn(move || usize::from(desk.try_submit(Work::Job(desk.job(""))).is_ok()))
            })
            .collect();
        submitters.into_iter().map(|submitter| submitter.join().unwrap()).sum()
    });
    assert_eq!(taken, 1);
}

fn whole_flow(harness: &dyn Harness) {
    let desk = Desk::new(harness);
    wait(desk.queue.declare(&QueueOptions::new(desk.name.clone()).unwrap().max_messages(3))).unwrap();
    let flow = |children: usize| {
        let children: Vec<NewJob> = (0..children).map(|_| desk.job("child")).collect();
        Work::Flow(NewFlow { children, gather: desk.job("gather"), on_failure: OnFailure::Collect })
    };
    let refused = desk.try_submit(flow(3));
    assert!(matches!(refused, Err(Error::Full { .. })), "{refused:?}");
    assert!(desk.claim_now(10).is_empty());
    let fits = flow(2);
    let id = fits.head().id;
    desk.try_submit(fits).unwrap();
    assert_eq!(desk.status(id).state, JobState::WaitingChildren);
    desk.claim_all(2);
    assert!(desk.claim_now(10).is_empty());
}
