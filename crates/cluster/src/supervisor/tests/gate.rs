//! The health gate: between a worker's own word and its first connection.

use super::*;

/// A reload with a gate: worker 3, which is held, is to replace worker 1.
fn held() -> Supervisor {
    let policy = Policy { admission: Admission::Probed, proof: Duration::ZERO, ..Policy::default() };
    let mut supervisor = serving_with(policy, 2);
    let birth = Birth { held: true, ..birth(worker(3), 0, 2, 1) };
    assert_eq!(supervisor.step(reload(1), seconds(10)), [Action::Spawn(birth)]);
    supervisor
}

#[test]
fn a_held_worker_that_is_ready_is_probed_and_admitted_when_it_is_healthy() {
    let mut supervisor = held();
    assert_eq!(supervisor.step(Input::Ready(worker(3)), seconds(11)), [Action::Probe(worker(3))]);
    let actions = supervisor.step(Input::Probed(worker(3), Ok(())), seconds(12));
    assert_eq!(actions[..2], [Action::Admit(worker(3)), drain(1)]);
    assert_eq!(spawns(&actions), 1, "and the next place has its turn: {actions:?}");
}

#[test]
fn a_worker_whose_gate_says_no_is_killed_and_the_old_one_serves_on() {
    let mut supervisor = held();
    supervisor.step(Input::Ready(worker(3)), seconds(11));
    let actions = supervisor.step(Input::Probed(worker(3), Err("answered 503".into())), seconds(12));
    assert_eq!(actions[0], Action::Kill(worker(3), KillReason::Gate));
    let why = failure(&actions);
    assert!(why.starts_with("place 0: worker 3: its health gate says: answered 503; "), "{why}");
    assert_eq!(supervisor.leaves(worker(1)), Some(false));
    let actions = supervisor.step(Input::Exited(worker(3), KILLED), seconds(12));
    assert!(matches!(&actions[..], [Action::Bury(_, reason)] if !reason.voluntary), "{actions:?}");
}

#[test]
fn a_gate_that_does_not_answer_in_ten_seconds_is_a_no() {
    let mut supervisor = held();
    supervisor.step(Input::Ready(worker(3)), seconds(11));
    assert_eq!(supervisor.wakes_at(), Some(seconds(21)));
    let actions = supervisor.step(Input::Elapsed, seconds(21));
    assert_eq!(actions[0], Action::Kill(worker(3), KillReason::Gate));
    assert!(failure(&actions).contains("its health gate did not answer within 10s"), "{actions:?}");
    assert!(supervisor.step(Input::Probed(worker(3), Ok(())), seconds(22)).is_empty(), "too late");
}

#[test]
fn a_crash_is_replaced_without_a_gate() {
    let policy = Policy { admission: Admission::Probed, ..Policy::default() };
    let mut supervisor = serving_with(policy, 2);
    let actions = supervisor.step(Input::Exited(worker(1), CRASHED), seconds(10));
    assert_eq!(actions[1], spawn(worker(3), 0));
    assert!(supervisor.step(Input::Ready(worker(3)), seconds(11)).is_empty());
}

#[test]
fn the_way_back_needs_no_gate() {
    let mut supervisor = held();
    supervisor.step(Input::Ready(worker(3)), seconds(11));
    supervisor.step(Input::Probed(worker(3), Ok(())), seconds(11));
    let actions = supervisor.step(Input::Exited(worker(4), FAILED), seconds(12));
    assert!(matches!(actions[1], Action::Spawn(Birth { held: false, generation: 0, .. })), "{actions:?}");
}

#[test]
fn a_held_worker_has_no_liveness_clock() {
    let mut supervisor = held();
    supervisor.step(Input::Ready(worker(3)), seconds(11));
    for second in 12..20 {
        let beats = (1..=3).map(|n| vitals(n, second * u64::from(n < 3)));
        assert!(supervisor.step(Input::Tick(beats.collect()), seconds(second)).is_empty());
    }
}
