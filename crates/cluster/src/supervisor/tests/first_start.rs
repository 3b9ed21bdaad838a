//! The very first start.

use super::*;

#[test]
fn if_the_very_first_start_fails_everywhere_the_cluster_ends_with_the_workers_own_words() {
    let mut supervisor = started(2);
    supervisor.step(Input::Failed(worker(1), "no such folder".into()), seconds(0));
    let first = supervisor.step(Input::Exited(worker(1), FAILED), seconds(0));
    assert!(matches!(first[..], [Action::Bury(..), Action::BackOff(..)]), "one may still succeed: {first:?}");
    supervisor.step(Input::Failed(worker(2), "no such folder".into()), seconds(0));
    let last = supervisor.step(Input::Exited(worker(2), FAILED), seconds(0));
    let error = Some("no such folder".to_owned());
    assert_eq!(last.last(), Some(&Action::Finish(Outcome::FirstStartFailed { status: Some(FAILED), error })));
}

#[test]
fn a_cluster_without_workers_ends_when_its_code_has_ended() {
    let mut supervisor = Supervisor::new(Policy::default(), 1);
    assert!(supervisor.step(Input::Start { workers: 0 }, seconds(0)).is_empty());
    assert_eq!(supervisor.step(Input::CodeEnded, seconds(1)), [Action::Finish(Outcome::Done)]);
}

#[test]
fn settings_that_cannot_work_end_the_first_start_at_once() {
    let mut supervisor = started(3);
    supervisor.step(Input::Failed(worker(2), "no route is free".into()), seconds(0));
    let actions = supervisor.step(Input::Exited(worker(2), ExitStatus::Code(BAD_SETTINGS)), seconds(0));
    assert_eq!(actions[1..], [1, 3].map(|n| Action::Kill(worker(n), KillReason::StopNow)));
    supervisor.step(Input::Exited(worker(1), KILLED), seconds(0));
    let actions = supervisor.step(Input::Exited(worker(3), KILLED), seconds(0));
    let (status, error) = (Some(ExitStatus::Code(BAD_SETTINGS)), Some("no route is free".into()));
    assert_eq!(actions[1], Action::Finish(Outcome::FirstStartFailed { status, error }));
}

#[test]
fn later_the_same_code_is_a_death_like_any_other() {
    let mut supervisor = serving();
    supervisor.step(Input::Exited(worker(1), CRASHED), seconds(10));
    back_off(&supervisor.step(Input::Exited(worker(3), ExitStatus::Code(BAD_SETTINGS)), seconds(10)));
}
