//! A replacement, and the memory that it needs.

use super::*;

const MIB: u64 = 1 << 20;

/// Workers of 100 MiB each, and so much that is free, from this second on.
fn memory(supervisor: &mut Supervisor, workers: &[u32], free_mib: u64, second: u64) -> Vec<Action> {
    let mut actions = supervisor.step(Input::HeadRoom(free_mib * MIB), seconds(second));
    let vitals = workers.iter().map(|n| Vitals { resident_bytes: 100 * MIB, ..vitals(*n, second) });
    actions.extend(supervisor.step(Input::Tick(vitals.collect()), seconds(second)));
    actions
}

fn no_room(n: u32, free_mib: u64) -> Action {
    Action::ShortOfMemory { worker: worker(n), needed: 112 * MIB + MIB / 2, free: free_mib * MIB }
}

fn recycling() -> Policy {
    Policy { max_lifetime: Some(seconds(100)), ..Policy::default() }
}

#[test]
fn with_room_for_both_a_worker_is_replaced_new_first() {
    let mut supervisor = serving();
    memory(&mut supervisor, &[1, 2], 113, 10);
    assert_eq!(supervisor.step(reload(1), seconds(10)), [successor(3, 0, 2, 1)]);
}

#[test]
fn where_nobody_measures_memory_it_is_new_first() {
    let mut supervisor = serving();
    let vitals = Vitals { resident_bytes: u64::MAX / 2, ..vitals(1, 2) };
    supervisor.step(Input::Tick(vec![vitals]), seconds(2));
    assert_eq!(supervisor.step(reload(1), seconds(10)), [successor(3, 0, 2, 1)]);
}

#[test]
fn without_room_a_reload_waits_says_so_once_and_goes_on_when_there_is_some() {
    let mut supervisor = serving();
    memory(&mut supervisor, &[1, 2], 50, 10);
    assert_eq!(supervisor.step(reload(1), seconds(10)), [no_room(1, 50)]);
    assert!(memory(&mut supervisor, &[1, 2], 40, 11).is_empty(), "it was said");
    assert_eq!(memory(&mut supervisor, &[1, 2], 500, 12), [successor(3, 0, 2, 1)]);
}

#[test]
fn when_patience_is_over_the_old_worker_leaves_first_and_the_new_one_starts_when_it_is_gone() {
    let mut supervisor = serving();
    memory(&mut supervisor, &[1, 2], 50, 10);
    supervisor.step(reload(1), seconds(10));
    assert_eq!(supervisor.wakes_at(), Some(seconds(20)));
    assert_eq!(supervisor.step(Input::Elapsed, seconds(20)), [drain(1)]);
    assert!(memory(&mut supervisor, &[1, 2], 50, 21).is_empty(), "it drains");
    let actions = supervisor.step(Input::Exited(worker(1), DONE), seconds(22));
    assert_eq!(actions[1..], [successor(3, 0, 0, 1)]);
    supervisor.step(Input::Ready(worker(3)), seconds(23));
    // The next one waits no more: there was no room, and there is none. But for the proof of the first.
    assert_eq!(supervisor.step(Input::Elapsed, seconds(24)), [no_room(2, 50), drain(2)]);
    let actions = supervisor.step(Input::Exited(worker(2), DONE), seconds(25));
    assert_eq!(actions[1..], [successor(4, 1, 1, 1)]);
    supervisor.step(Input::Ready(worker(4)), seconds(26));
    assert_eq!(supervisor.step(Input::Elapsed, seconds(27)), [done(1)]);
    assert_eq!(supervisor.counts().serving, 2);
}

#[test]
fn a_worker_that_is_alone_is_replaced_new_first_all_the_same() {
    let mut supervisor = serving_with(Policy::default(), 1);
    memory(&mut supervisor, &[1], 0, 10);
    assert_eq!(supervisor.step(reload(1), seconds(10)), [no_room(1, 0)]);
    assert_eq!(supervisor.step(Input::Elapsed, seconds(20)), [successor(2, 0, 1, 1)]);
}

#[test]
fn nobody_leaves_first_while_another_place_does_not_serve() {
    let mut supervisor = serving();
    memory(&mut supervisor, &[1, 2], 0, 10);
    supervisor.step(reload(1), seconds(10));
    supervisor.step(Input::Exited(worker(2), CRASHED), seconds(19));
    assert_eq!(supervisor.step(Input::Elapsed, seconds(20)), [successor(4, 0, 2, 1)]);
}

#[test]
fn a_new_worker_that_fails_after_the_old_one_made_room_leaves_the_place_to_one_of_before() {
    let mut supervisor = serving();
    memory(&mut supervisor, &[1, 2], 0, 10);
    supervisor.step(reload(1), seconds(10));
    supervisor.step(Input::Elapsed, seconds(20));
    supervisor.step(Input::Exited(worker(1), DONE), seconds(21));
    let actions = supervisor.step(Input::Exited(worker(3), FAILED), seconds(22));
    assert!(failure(&actions).contains("place 0: worker 3"), "{actions:?}");
    assert!(actions.contains(&successor(4, 0, 0, 0)), "{actions:?}");
}

#[test]
fn recycling_waits_for_room_and_then_goes_old_first() {
    let mut supervisor = serving_with(recycling(), 2);
    let due = memory(&mut supervisor, &[1, 2], 20, 200);
    assert_eq!(due, [no_room(1, 20)]);
    let actions = supervisor.step(Input::Elapsed, seconds(210));
    assert!(matches!(actions[..], [Action::Recycle(..), Action::Drain(..)]), "{actions:?}");
    let actions = supervisor.step(Input::Exited(worker(1), DONE), seconds(211));
    assert_eq!(actions[1..], [successor(3, 0, 0, 0)]);
    // The second one is due as well: not before the first place serves again.
    assert!(memory(&mut supervisor, &[2, 3], 20, 212).is_empty());
    supervisor.step(Input::Ready(worker(3)), seconds(213));
    assert_eq!(supervisor.counts().serving, 1, "the next one has begun to leave");
}

#[test]
fn an_operation_that_begins_while_room_is_made_finds_the_place_with_a_worker() {
    let mut supervisor = serving_with(recycling(), 2);
    memory(&mut supervisor, &[1, 2], 20, 200);
    supervisor.step(Input::Elapsed, seconds(210));
    let actions = supervisor.step(Input::Scale { operation: 1, workers: 2 }, seconds(211));
    assert_eq!(actions, [successor(3, 0, 2, 0), done(1)]);
}

fn old_first() -> Policy {
    Policy { overlap: Overlap::OldFirst, ..Policy::default() }
}

#[test]
fn where_two_never_get_along_the_old_worker_is_gone_before_the_new_one_starts() {
    let mut supervisor = serving_with(old_first(), 1);
    memory(&mut supervisor, &[1], 10_000, 10);
    assert_eq!(supervisor.step(reload(1), seconds(10)), [drain(1)]);
    let actions = supervisor.step(Input::Exited(worker(1), DONE), seconds(11));
    assert_eq!(actions[1..], [successor(2, 0, 0, 1)]);
    supervisor.step(Input::Ready(worker(2)), seconds(12));
    assert_eq!(supervisor.step(Input::Elapsed, seconds(13)), [done(1)]);
}

#[test]
fn where_two_never_get_along_a_place_whose_new_worker_fails_gets_one_of_before() {
    let mut supervisor = serving_with(old_first(), 1);
    supervisor.step(reload(1), seconds(10));
    supervisor.step(Input::Exited(worker(1), DONE), seconds(11));
    let actions = supervisor.step(Input::Exited(worker(2), FAILED), seconds(12));
    assert!(failure(&actions).contains("place 0: worker 2"), "{actions:?}");
    assert!(actions.contains(&successor(3, 0, 0, 0)), "{actions:?}");
}
