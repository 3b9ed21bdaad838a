//! More places and fewer.

use super::*;

#[test]
fn a_disconnected_worker_leaves_for_good() {
    let mut supervisor = serving();
    let actions = supervisor.step(Input::Disconnect(worker(1)), seconds(10));
    assert_eq!(actions, [Action::Drain(worker(1), Departure::Alone, seconds(30))]);
    assert_eq!(supervisor.leaves(worker(1)), Some(true));
    let actions = supervisor.step(Input::Exited(worker(1), ExitStatus::Code(0)), seconds(11));
    assert_eq!(spawns(&actions), 0);
    assert_eq!(supervisor.live(), [worker(2)]);
}

#[test]
fn a_forked_worker_is_supervised_like_the_first() {
    let mut supervisor = serving();
    assert_eq!(supervisor.step(Input::Fork, seconds(5)), [spawn(worker(3), 2)]);
    supervisor.step(Input::Ready(worker(3)), seconds(5));
    let actions = supervisor.step(Input::Exited(worker(3), CRASHED), seconds(60));
    assert_eq!(actions[1], spawn(worker(4), 2));
}

#[test]
fn forks_and_departures_without_end_need_no_more_places() {
    let mut supervisor = serving();
    for round in 0..100u32 {
        let forked = worker(3 + round);
        let now = seconds(5 + u64::from(round));
        assert_eq!(supervisor.step(Input::Fork, now), [spawn(forked, 2)]);
        supervisor.step(Input::Ready(forked), now);
        supervisor.step(Input::Disconnect(forked), now);
        supervisor.step(Input::Exited(forked, ExitStatus::Code(0)), now);
    }
}

#[test]
fn more_places_are_there_when_their_workers_are_ready() {
    let mut supervisor = serving();
    let actions = supervisor.step(Input::Scale { operation: 1, workers: 4 }, seconds(5));
    assert_eq!(actions, [spawn(worker(3), 2), spawn(worker(4), 3)]);
    assert!(supervisor.step(Input::Ready(worker(3)), seconds(6)).is_empty());
    assert_eq!(supervisor.step(Input::Ready(worker(4)), seconds(7)), [done(1)]);
    assert_eq!(supervisor.wanted(), 4);
}

#[test]
fn if_one_of_them_fails_the_cluster_is_as_before() {
    let mut supervisor = serving();
    supervisor.step(Input::Scale { operation: 1, workers: 4 }, seconds(5));
    supervisor.step(Input::Ready(worker(3)), seconds(6));
    supervisor.step(Input::Failed(worker(4), "no memory".into()), seconds(7));
    let actions = supervisor.step(Input::Exited(worker(4), FAILED), seconds(7));
    assert_eq!(actions[1], drain(3));
    let why = failure(&actions);
    assert!(why.starts_with("place 3: worker 4: ") && why.contains("no memory"), "{why}");
    assert!(why.ends_with("; the cluster has 2 places, as before"), "{why}");
    assert_eq!(supervisor.wanted(), 2);
}

#[test]
fn fewer_places_means_that_the_highest_are_left_for_good() {
    let mut supervisor = serving_with(Policy::default(), 4);
    let actions = supervisor.step(Input::Scale { operation: 1, workers: 2 }, seconds(5));
    assert_eq!(actions, [drain(4), drain(3), done(1)]);
    supervisor.step(Input::Exited(worker(3), DONE), seconds(6));
    assert_eq!(spawns(&supervisor.step(Input::Exited(worker(4), DONE), seconds(6))), 0);
    assert_eq!(supervisor.wanted(), 2);
}

#[test]
fn a_cluster_has_at_least_one_place() {
    let mut supervisor = serving();
    let actions = supervisor.step(Input::Scale { operation: 1, workers: 0 }, seconds(5));
    assert_eq!(failure(&actions), "0 workers: a cluster can have 1 to 65535");
    assert_eq!(supervisor.wanted(), 2);
}
