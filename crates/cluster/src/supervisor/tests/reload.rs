//! Reload: one place at a time, new first.

use super::*;

#[test]
fn one_place_at_a_time_gets_a_new_worker_and_the_old_one_leaves_when_that_serves() {
    let mut supervisor = serving();
    assert_eq!(supervisor.step(reload(1), seconds(10)), [successor(3, 0, 2, 1)]);
    assert!(supervisor.step(Input::Ready(worker(3)), seconds(11)).is_empty(), "it has to prove itself first");
    assert_eq!(supervisor.step(Input::Elapsed, seconds(12)), [drain(1), successor(4, 1, 3, 1)]);
    assert_eq!(supervisor.step(Input::Ready(worker(4)), seconds(13)), [drain(2)]);
    assert_eq!(supervisor.generation(), 0, "the last one has not proven itself");
    assert_eq!(supervisor.wakes_at(), Some(seconds(14)));
    assert_eq!(supervisor.step(Input::Elapsed, seconds(14)), [done(1)]);
    assert_eq!(supervisor.generation(), 1);
}

#[test]
fn the_next_place_does_not_wait_for_the_drain_of_the_last() {
    let mut supervisor = serving();
    reload_well(&mut supervisor, 1, 3, seconds(10));
    assert_eq!(supervisor.counts(), Counts { wanted: 2, serving: 2, draining: 2, broken: 0 });
    assert_eq!(supervisor.leaves(worker(1)), Some(true));
}

#[test]
fn a_new_worker_that_dies_right_after_it_was_ready_does_not_replace_the_old_one() {
    let mut supervisor = serving();
    supervisor.step(reload(1), seconds(10));
    supervisor.step(Input::Ready(worker(3)), seconds(11));
    let actions = supervisor.step(Input::Exited(worker(3), CRASHED), seconds(11));
    assert!(matches!(actions[..], [Action::Bury(..), Action::Over { .. }]), "{actions:?}");
    let why = failure(&actions);
    assert_eq!(why, "place 0: worker 3: SIGSEGV; no place had been replaced, the workers of before serve on");
    assert_eq!(supervisor.live(), [worker(1), worker(2)]);
}

#[test]
fn a_second_operation_is_refused_while_one_is_under_way() {
    let mut supervisor = serving();
    supervisor.step(reload(1), seconds(10));
    let actions = supervisor.step(reload(2), seconds(10));
    assert_eq!(failure(&actions), "operation 1 is under way; try again when it is over");
    let actions = supervisor.step(Input::Scale { operation: 3, workers: 5 }, seconds(10));
    assert_eq!(failure(&actions), "operation 1 is under way; try again when it is over");
    assert_eq!(supervisor.wanted(), 2);
}

#[test]
fn a_generation_that_is_not_newer_is_refused() {
    let mut supervisor = serving();
    let actions = supervisor.step(reload(0), seconds(10));
    assert_eq!(failure(&actions), "generation 0 is not newer than generation 0");
}

#[test]
fn what_dies_during_a_reload_is_replaced_by_the_generation_of_its_place() {
    let mut supervisor = serving_with(Policy::default(), 3);
    supervisor.step(reload(1), seconds(10));
    supervisor.step(Input::Listening(worker(4)), seconds(10));
    supervisor.step(Input::Ready(worker(4)), seconds(10));
    supervisor.step(Input::Elapsed, seconds(11));
    let old = supervisor.step(Input::Exited(worker(3), CRASHED), seconds(12));
    assert!(old.contains(&successor(6, 2, 2, 0)), "place 2 has its turn later: {old:?}");
    let new = supervisor.step(Input::Exited(worker(4), CRASHED), seconds(13));
    assert!(new.contains(&successor(7, 0, 3, 1)), "place 0 had its turn: {new:?}");
}

#[test]
fn the_old_worker_of_the_place_whose_turn_it_is_is_replaced_too_if_it_dies() {
    let mut supervisor = serving();
    supervisor.step(reload(1), seconds(10));
    let actions = supervisor.step(Input::Exited(worker(1), CRASHED), seconds(11));
    assert_eq!(actions[1..], [successor(4, 0, 0, 0)]);
    supervisor.step(Input::Ready(worker(3)), seconds(12));
    let actions = supervisor.step(Input::Elapsed, seconds(13));
    assert_eq!(actions[0], drain(4), "the one that holds the place leaves, whoever it is");
}

#[test]
fn a_broken_place_is_tried_last_and_a_good_worker_heals_it() {
    let mut supervisor = serving_with(Policy { proof: Duration::ZERO, ..Policy::default() }, 2);
    supervisor.step(Input::Exited(worker(1), CRASHED), seconds(10));
    let mut now = seconds(10);
    for id in 3..8 {
        let actions = supervisor.step(Input::Exited(worker(id), FAILED), now);
        if id < 7 {
            now += back_off(&actions);
            supervisor.step(Input::Elapsed, now);
        }
    }
    assert_eq!(supervisor.counts().broken, 1);
    assert_eq!(supervisor.step(reload(1), now), [successor(8, 1, 0, 1)], "the place that serves comes first");
    let actions = supervisor.step(Input::Ready(worker(8)), now);
    assert_eq!(actions, [drain(2), successor(9, 0, 2, 1)]);
    assert_eq!(supervisor.step(Input::Ready(worker(9)), now), [done(1)]);
    assert_eq!(supervisor.counts(), Counts { wanted: 2, serving: 2, draining: 1, broken: 0 });
    assert_eq!(supervisor.status(now).places[0].failures, 0);
}

#[test]
fn two_generations_may_drain_and_the_oldest_of_more_is_killed() {
    let mut supervisor = serving_with(Policy { drain_deadline: seconds(3600), ..Policy::default() }, 1);
    reload_well(&mut supervisor, 1, 2, seconds(10));
    reload_well(&mut supervisor, 2, 3, seconds(20));
    assert_eq!(supervisor.counts().draining, 2);
    supervisor.step(reload(3), seconds(30));
    supervisor.step(Input::Ready(worker(4)), seconds(30));
    let actions = supervisor.step(Input::Elapsed, seconds(31));
    assert!(actions.contains(&Action::Kill(worker(1), KillReason::OldGeneration)), "{actions:?}");
    assert_eq!(supervisor.counts().draining, 2);
    let actions = supervisor.step(Input::Exited(worker(1), KILLED), seconds(31));
    assert!(matches!(&actions[..], [Action::Bury(_, reason)] if reason.voluntary), "{actions:?}");
}

#[test]
fn a_stop_ends_the_reload_and_what_was_not_let_in_leaves_the_backlog_to_the_others() {
    let mut supervisor = serving();
    supervisor.step(reload(1), seconds(10));
    let actions = supervisor.step(Input::Stop, seconds(11));
    assert_eq!(failure(&actions), "the cluster stops");
    assert!(actions.contains(&Action::Drain(worker(1), Departure::WithAll, seconds(30))), "{actions:?}");
    assert!(actions.contains(&drain(3)), "{actions:?}");
    for n in [1, 2, 3] {
        supervisor.step(Input::Exited(worker(n), DONE), seconds(12));
    }
    assert!(supervisor.live().is_empty());
    assert_eq!(failure(&supervisor.step(reload(2), seconds(13))), "the cluster has ended");
}

#[test]
fn a_place_that_is_left_during_its_turn_gets_no_new_worker() {
    let mut supervisor = serving();
    supervisor.step(reload(1), seconds(10));
    let actions = supervisor.step(Input::Disconnect(worker(1)), seconds(11));
    assert_eq!(actions, [Action::Kill(worker(3), KillReason::Unneeded), drain(1), successor(4, 1, 3, 1)]);
    supervisor.step(Input::Ready(worker(4)), seconds(12));
    assert!(supervisor.step(Input::Elapsed, seconds(13)).contains(&done(1)));
}

#[test]
fn the_settings_of_every_generation_that_can_still_get_a_worker_are_named() {
    let mut supervisor = serving();
    supervisor.step(reload(4), seconds(10));
    assert_eq!(supervisor.generations(), [0, 4]);
    supervisor.step(Input::Exited(worker(3), FAILED), seconds(11));
    assert_eq!(supervisor.generations(), [0]);
}
