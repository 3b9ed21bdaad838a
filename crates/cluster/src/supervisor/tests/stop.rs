//! The end that was asked for.

use super::*;

#[test]
fn stop_drains_every_worker_and_ends_when_the_last_has_left() {
    let mut supervisor = serving();
    let actions = supervisor.step(Input::Stop, seconds(10));
    let drain = |n| Action::Drain(worker(n), Departure::WithAll, seconds(30));
    assert_eq!(actions, [drain(1), drain(2)]);
    supervisor.step(Input::Exited(worker(1), ExitStatus::Code(0)), seconds(11));
    let actions = supervisor.step(Input::Exited(worker(2), ExitStatus::Code(0)), seconds(12));
    assert!(matches!(&actions[0], Action::Bury(_, reason) if reason.voluntary));
    assert_eq!(actions[1], Action::Finish(Outcome::Done));
}

#[test]
fn a_worker_that_does_not_finish_its_drain_is_killed_and_the_cluster_ends_all_the_same() {
    let mut supervisor = serving();
    supervisor.step(Input::Stop, seconds(10));
    assert!(supervisor.step(Input::Elapsed, seconds(40)).is_empty());
    let actions = supervisor.step(Input::Elapsed, seconds(41));
    assert_eq!(actions.len(), 2);
    assert!(actions.iter().all(|action| matches!(action, Action::Kill(_, KillReason::Drain))));
    supervisor.step(Input::Exited(worker(1), KILLED), seconds(41));
    assert!(supervisor.step(Input::Exited(worker(2), KILLED), seconds(41)).contains(&Action::Finish(Outcome::Done)));
}

#[test]
fn a_second_stop_does_not_wait() {
    let mut supervisor = serving();
    supervisor.step(Input::Stop, seconds(10));
    let actions = supervisor.step(Input::StopNow, seconds(11));
    assert_eq!(actions, [1, 2].map(|n| Action::Kill(worker(n), KillReason::StopNow)));
}
