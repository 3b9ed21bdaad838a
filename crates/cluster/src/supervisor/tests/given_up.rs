//! Workers that ask not to be started again.

use super::*;

const DO_NOT: ExitStatus = ExitStatus::Code(DO_NOT_RESTART);

#[test]
fn a_place_whose_worker_asks_for_it_is_given_up_and_the_others_serve_on() {
    let mut supervisor = serving();
    let actions = supervisor.step(Input::Exited(worker(1), DO_NOT), seconds(10));
    assert_eq!(actions[1..], [Action::GiveUp(Place(0))]);
    assert_eq!(supervisor.wakes_at(), None, "nothing will ever start it");
    assert_eq!(supervisor.live(), [worker(2)]);
    assert_eq!(supervisor.counts(), Counts { wanted: 2, serving: 1, draining: 0, broken: 1 });
}

#[test]
fn a_reload_tries_it_again() {
    let mut supervisor = serving_with(Policy { proof: Duration::ZERO, ..Policy::default() }, 2);
    supervisor.step(Input::Exited(worker(1), DO_NOT), seconds(10));
    supervisor.step(reload(1), seconds(11));
    assert_eq!(supervisor.step(Input::Ready(worker(3)), seconds(11)), [drain(2), successor(4, 0, 2, 1)]);
    assert_eq!(supervisor.step(Input::Ready(worker(4)), seconds(11)), [done(1)]);
    assert_eq!(supervisor.counts().serving, 2);
}

#[test]
fn when_every_place_is_given_up_the_cluster_ends_with_the_last_words() {
    let mut supervisor = serving();
    supervisor.step(Input::Exited(worker(1), DO_NOT), seconds(10));
    supervisor.step(Input::Failed(worker(2), "the licence has expired".into()), seconds(11));
    let actions = supervisor.step(Input::Exited(worker(2), DO_NOT), seconds(11));
    let error = Some("the licence has expired".to_owned());
    assert_eq!(actions[1..], [Action::GiveUp(Place(1)), Action::Finish(Outcome::GivenUp { error })]);
}

#[test]
fn a_worker_that_was_told_to_leave_may_exit_with_any_code() {
    let mut supervisor = serving();
    supervisor.step(Input::Disconnect(worker(1)), seconds(10));
    let actions = supervisor.step(Input::Exited(worker(1), DO_NOT), seconds(11));
    assert!(matches!(&actions[..], [Action::Bury(_, reason)] if reason.voluntary), "{actions:?}");
}
