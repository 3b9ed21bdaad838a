//! A worker that has had its share.

use super::*;

fn recycling() -> Policy {
    Policy { max_requests: Some(1000), ..Policy::default() }
}

/// A tick at which these workers have begun so many requests.
fn requests(counts: &[(u32, u64)], second: u64) -> Input {
    let vitals = counts.iter().map(|(n, requests)| Vitals { requests: *requests, ..vitals(*n, second) });
    Input::Tick(vitals.collect())
}

#[test]
fn a_worker_that_has_begun_its_requests_is_replaced_new_first_by_one_of_its_generation() {
    let mut supervisor = serving_with(recycling(), 2);
    assert!(supervisor.step(requests(&[(1, 899), (2, 899)], 10), seconds(10)).is_empty());
    let actions = supervisor.step(requests(&[(1, 1100), (2, 0)], 11), seconds(11));
    assert_eq!(actions, [Action::Recycle(worker(1), RecycleReason::Requests(1100)), successor(3, 0, 2, 0)]);
    assert_eq!(supervisor.step(Input::Ready(worker(3)), seconds(12)), [drain(1)]);
}

#[test]
fn each_worker_has_a_limit_of_its_own_ten_percent_around_the_one_that_was_set() {
    let mut limits = Vec::new();
    for seed in 0..200 {
        let mut supervisor = Supervisor::new(recycling(), seed);
        supervisor.step(Input::Start { workers: 1 }, seconds(0));
        supervisor.step(Input::Ready(worker(1)), seconds(1));
        let due = |count: &u64| !supervisor.step(requests(&[(1, *count)], *count), seconds(2)).is_empty();
        limits.push((0..2000).step_by(5).find(due).expect("it is never recycled"));
    }
    assert!(limits.iter().all(|limit| (900..=1100).contains(limit)), "{limits:?}");
    assert!(limits.iter().min() < Some(&920) && limits.iter().max() > Some(&1080), "they are hardly spread");
}

#[test]
fn never_more_than_one_is_recycled_until_it_is_gone() {
    let mut supervisor = serving_with(recycling(), 2);
    let all_due = |second| requests(&[(1, 5000), (2, 5000)], second);
    assert_eq!(spawns(&supervisor.step(all_due(10), seconds(10))), 1);
    assert_eq!(supervisor.step(Input::Ready(worker(3)), seconds(11)), [drain(1)]);
    assert!(supervisor.step(all_due(11), seconds(11)).is_empty(), "worker 1 still drains");
    let actions = supervisor.step(Input::Exited(worker(1), DONE), seconds(12));
    assert_eq!(actions[1], Action::Recycle(worker(2), RecycleReason::Requests(5000)));
}

#[test]
fn a_successor_that_fails_leaves_the_old_worker_and_the_next_attempt_waits() {
    let mut supervisor = serving_with(recycling(), 2);
    let due = |second| requests(&[(1, 5000)], second);
    supervisor.step(due(10), seconds(10));
    let wait = back_off(&supervisor.step(Input::Exited(worker(3), FAILED), seconds(10)));
    assert!(wait < seconds(1));
    assert!(supervisor.step(Input::Elapsed, seconds(10)).is_empty(), "it waits");
    assert_eq!(spawns(&supervisor.step(due(11), seconds(11))), 1);
    let longer = back_off(&supervisor.step(Input::Exited(worker(4), FAILED), seconds(11)));
    assert!(longer > wait, "{longer:?}");
    assert_eq!(supervisor.leaves(worker(1)), Some(false));
}

#[test]
fn a_worker_that_dies_while_it_is_recycled_leaves_its_place_to_its_successor() {
    let mut supervisor = serving_with(recycling(), 2);
    supervisor.step(requests(&[(1, 5000)], 10), seconds(10));
    let actions = supervisor.step(Input::Exited(worker(1), CRASHED), seconds(11));
    assert_eq!(spawns(&actions), 0, "there is one already: {actions:?}");
    supervisor.step(Input::Ready(worker(3)), seconds(12));
    assert_eq!(supervisor.counts().serving, 2);
}

#[test]
fn a_held_successor_that_inherits_is_admitted_when_it_is_ready() {
    let policy = Policy { admission: Admission::Probed, ..recycling() };
    let mut supervisor = serving_with(policy, 2);
    supervisor.step(requests(&[(1, 5000)], 10), seconds(10));
    assert_eq!(supervisor.step(Input::Ready(worker(3)), seconds(11)), [Action::Probe(worker(3))]);
    let actions = supervisor.step(Input::Exited(worker(1), CRASHED), seconds(12));
    assert_eq!(actions[1..], [Action::Admit(worker(3))]);
}

#[test]
fn nobody_is_recycled_during_an_operation_and_an_operation_does_not_wait_for_recycling() {
    let mut supervisor = serving_with(recycling(), 2);
    let due = |second| requests(&[(1, 5000), (2, 5000)], second);
    supervisor.step(due(10), seconds(10));
    let actions = supervisor.step(reload(1), seconds(10));
    assert_eq!(actions, [Action::Kill(worker(3), KillReason::Unneeded), successor(4, 0, 3, 1)]);
    assert!(supervisor.step(due(11), seconds(11)).is_empty());
}

#[test]
fn a_worker_that_has_served_its_time_is_recycled() {
    let mut supervisor = serving_with(Policy { max_lifetime: Some(seconds(3600)), ..Policy::default() }, 1);
    assert!(supervisor.step(Input::Tick(vec![vitals(1, 1)]), seconds(3200)).is_empty());
    let actions = supervisor.step(Input::Tick(vec![vitals(1, 2)]), seconds(1 + 3960));
    assert_eq!(actions[0], Action::Recycle(worker(1), RecycleReason::Lifetime(seconds(3960))));
}

fn leaks_recycled() -> Policy {
    Policy { recycle_leaks: true, ..Policy::default() }
}

fn tick_of(n: u32, second: u64) -> Input {
    Input::Tick(vec![vitals(n, second)])
}

#[test]
fn a_worker_that_leaks_is_replaced_new_first_if_that_is_wanted() {
    let mut supervisor = serving_with(leaks_recycled(), 2);
    assert!(supervisor.step(tick_of(2, 9), seconds(9)).is_empty());
    supervisor.step(Input::Leaks(worker(2), Resource::Memory), seconds(9));
    let actions = supervisor.step(tick_of(2, 10), seconds(10));
    assert_eq!(actions, [Action::Recycle(worker(2), RecycleReason::Leak(Resource::Memory)), successor(3, 1, 2, 0)]);
    assert_eq!(supervisor.step(Input::Ready(worker(3)), seconds(11)), [drain(2)]);
}

#[test]
fn a_worker_that_leaks_serves_on_if_it_shall_only_be_said() {
    let mut supervisor = serving();
    supervisor.step(Input::Leaks(worker(2), Resource::Descriptors), seconds(9));
    for second in 10..20 {
        assert!(supervisor.step(tick_of(2, second), seconds(second)).is_empty());
    }
}

#[test]
fn a_place_whose_successors_leak_too_is_recycled_once_a_minute() {
    let mut supervisor = serving_with(leaks_recycled(), 1);
    let (mut current, mut recycled_at) = (1, Vec::new());
    for second in 10..200 {
        // Once it may, whichever input comes first begins it.
        let mut actions = supervisor.step(Input::Leaks(worker(current), Resource::Memory), seconds(second));
        actions.extend(supervisor.step(tick_of(current, second), seconds(second)));
        if spawns(&actions) == 1 {
            recycled_at.push(second);
            supervisor.step(Input::Ready(worker(current + 1)), seconds(second));
            supervisor.step(Input::Exited(worker(current), DONE), seconds(second));
            current += 1;
        }
    }
    assert_eq!(recycled_at, [10, 70, 130, 190]);
}

#[test]
fn a_leak_of_a_worker_that_is_gone_is_nobodys() {
    let mut supervisor = serving_with(leaks_recycled(), 2);
    supervisor.step(Input::Leaks(worker(99), Resource::Memory), seconds(9));
    assert!(supervisor.step(tick_of(1, 10), seconds(10)).is_empty());
}
