//! A reload that fails leaves, or restores, what was.

use super::*;

/// Place 0 was replaced by worker 3, and worker 4 is to replace worker 2 at place 1.
fn half_way() -> Supervisor {
    let mut supervisor = serving();
    supervisor.step(reload(1), seconds(10));
    supervisor.step(Input::Listening(worker(3)), seconds(10));
    supervisor.step(Input::Ready(worker(3)), seconds(10));
    assert_eq!(supervisor.step(Input::Elapsed, seconds(11)), [drain(1), successor(4, 1, 3, 1)]);
    supervisor
}

#[test]
fn the_places_that_were_replaced_get_workers_of_the_generation_of_before_new_first() {
    let mut supervisor = half_way();
    supervisor.step(Input::Failed(worker(4), "no such table".into()), seconds(12));
    let actions = supervisor.step(Input::Exited(worker(4), FAILED), seconds(12));
    assert_eq!(actions[1..], [successor(5, 0, 3, 0)]);
    let actions = supervisor.step(Input::Ready(worker(5)), seconds(13));
    assert_eq!(actions[0], drain(3));
    let why = failure(&actions);
    assert!(why.starts_with("place 1: worker 4: ") && why.contains("no such table"), "{why}");
    assert!(why.ends_with("; 1 of 2 places had been replaced and were rolled back"), "{why}");
    assert_eq!(supervisor.generation(), 0);
    let generations = supervisor.status(seconds(13)).places.iter().map(|place| place.generation).collect::<Vec<u32>>();
    assert_eq!(generations, [0, 0]);
}

#[test]
fn a_new_worker_that_does_not_become_ready_fails_the_reload() {
    let mut supervisor = half_way();
    let actions = supervisor.step(Input::Elapsed, seconds(71));
    assert!(actions.contains(&Action::Kill(worker(4), KillReason::Boot)), "{actions:?}");
    assert!(actions.contains(&successor(5, 0, 4, 0)), "{actions:?}");
    assert_eq!(supervisor.leaves(worker(4)), Some(false), "it failed; nobody asked it to leave");
    let actions = supervisor.step(Input::Ready(worker(5)), seconds(72));
    assert!(failure(&actions).contains("place 1: worker 4: not ready within 60s"), "{actions:?}");
}

#[test]
fn a_reloaded_place_that_loses_its_worker_within_a_moment_fails_the_reload_and_is_restored_first() {
    let mut supervisor = serving_with(Policy::default(), 3);
    supervisor.step(reload(1), seconds(10));
    supervisor.step(Input::Ready(worker(4)), seconds(10));
    supervisor.step(Input::Elapsed, seconds(11));
    supervisor.step(Input::Listening(worker(5)), seconds(11));
    supervisor.step(Input::Ready(worker(5)), seconds(11));
    let soon = seconds(11) + Duration::from_millis(50);
    let actions = supervisor.step(Input::Exited(worker(5), CRASHED), soon);
    assert!(actions.contains(&Action::Kill(worker(6), KillReason::Unneeded)), "{actions:?}");
    back_off(&actions);
    assert!(actions.contains(&successor(7, 1, 4, 0)), "place 1 has nobody: {actions:?}");
    let actions = supervisor.step(Input::Ready(worker(7)), seconds(12));
    assert!(matches!(actions[..], [Action::Spawn(Birth { place: Place(0), generation: 0, .. })]), "{actions:?}");
    let actions = supervisor.step(Input::Ready(worker(8)), seconds(13));
    assert!(failure(&actions).ends_with("; 2 of 3 places had been replaced and were rolled back"), "{actions:?}");
}

#[test]
fn the_last_place_has_to_prove_itself_too() {
    let mut supervisor = half_way();
    supervisor.step(Input::Listening(worker(4)), seconds(12));
    assert_eq!(supervisor.step(Input::Ready(worker(4)), seconds(12)), [drain(2)]);
    let soon = seconds(12) + Duration::from_millis(50);
    let actions = supervisor.step(Input::Exited(worker(4), CRASHED), soon);
    assert!(actions.contains(&successor(5, 1, 3, 0)), "{actions:?}");
    assert!(!actions.iter().any(|action| matches!(action, Action::Over { .. })), "{actions:?}");
}

#[test]
fn a_place_that_cannot_be_rolled_back_keeps_its_worker_and_that_is_said() {
    let mut supervisor = half_way();
    supervisor.step(Input::Exited(worker(4), FAILED), seconds(12));
    let actions = supervisor.step(Input::Exited(worker(5), FAILED), seconds(13));
    let why = failure(&actions);
    assert!(why.contains("1 of 2 places had been replaced, and all but 1 were rolled back"), "{why}");
    assert!(why.contains("keep the workers that they have: place 0: worker 5: "), "{why}");
    assert_eq!(supervisor.live(), [worker(1), worker(2), worker(3)]);
    assert_eq!(supervisor.leaves(worker(3)), Some(false));
    let actions = supervisor.step(Input::Exited(worker(3), CRASHED), seconds(60));
    assert!(matches!(actions[1], Action::Spawn(Birth { generation: 0, .. })), "then it is as before: {actions:?}");
}

#[test]
fn a_stop_while_rolling_back_ends_the_operation_once() {
    let mut supervisor = half_way();
    supervisor.step(Input::Exited(worker(4), FAILED), seconds(12));
    let actions = supervisor.step(Input::StopNow, seconds(13));
    assert_eq!(failure(&actions), "the cluster stops");
    let ends = |actions: &[Action]| actions.iter().any(|action| matches!(action, Action::Over { .. }));
    for n in [5, 3, 2, 1] {
        assert!(!ends(&supervisor.step(Input::Exited(worker(n), KILLED), seconds(14))));
    }
    assert!(supervisor.live().is_empty());
}
