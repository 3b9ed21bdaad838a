//! Workers whose event loop stands still.

use super::*;

#[test]
fn a_hung_worker_is_killed_after_thirty_silent_ticks_and_replaced() {
    let mut supervisor = serving();
    let beats = |one, two| Input::Tick(vec![vitals(1, one), vitals(2, two)]);
    let mut killed = Vec::new();
    for second in 2..=32 {
        killed.extend(supervisor.step(beats(second, 7), seconds(second)));
    }
    assert_eq!(killed, [Action::DumpStacks(worker(2))]);
    assert_eq!(supervisor.wakes_at(), Some(seconds(34)));
    assert_eq!(supervisor.step(Input::Elapsed, seconds(34)), [Action::Kill(worker(2), KillReason::Hung)]);
    assert_eq!(spawns(&supervisor.step(Input::Exited(worker(2), KILLED), seconds(34))), 1);
}

#[test]
fn a_machine_that_was_paused_kills_nobody() {
    let mut supervisor = serving();
    for tick in 0..100 {
        let actions = supervisor.step(Input::Tick(vec![vitals(1, 7), vitals(2, 7)]), seconds(10 + tick * 60));
        assert!(actions.is_empty(), "{actions:?}");
    }
}

/// Two workers of which the second has just been found to hang.
fn hanging() -> Supervisor {
    let mut supervisor = serving();
    for second in 2..=32 {
        supervisor.step(Input::Tick(vec![vitals(1, second), vitals(2, 7)]), seconds(second));
    }
    assert_eq!(supervisor.status(seconds(32)).places[1].workers[0].state, "hung");
    supervisor
}

#[test]
fn a_worker_whose_heart_beats_again_within_the_grace_serves_on() {
    let mut supervisor = hanging();
    assert!(supervisor.step(Input::Tick(vec![vitals(1, 33), vitals(2, 8)]), seconds(33)).is_empty());
    assert!(supervisor.step(Input::Elapsed, seconds(40)).is_empty());
    assert_eq!(supervisor.counts().serving, 2);
}

#[test]
fn a_hung_worker_that_is_told_to_leave_has_its_drain_deadline_and_no_other() {
    let mut supervisor = hanging();
    supervisor.step(Input::Disconnect(worker(2)), seconds(33));
    assert_eq!(supervisor.wakes_at(), Some(seconds(64)));
    assert_eq!(supervisor.step(Input::Elapsed, seconds(64)), [Action::Kill(worker(2), KillReason::Drain)]);
}

#[test]
fn a_worker_that_boots_has_no_liveness_clock() {
    let mut supervisor = started(1);
    for second in 1..50 {
        assert!(supervisor.step(Input::Tick(vec![vitals(1, 0)]), seconds(second)).is_empty());
    }
}
