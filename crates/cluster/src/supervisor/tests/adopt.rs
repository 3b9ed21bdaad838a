//! From one image of the primary to the next.

use super::*;

/// A new supervisor that goes on where the old one is.
fn next_image(old: &Supervisor, now: Now) -> (Supervisor, Vec<Action>) {
    let mut new = Supervisor::new(Policy::default(), 2);
    let actions = new.step(Input::Adopt(old.heritage(now)), now);
    (new, actions)
}

#[test]
fn places_pages_workers_generations_and_numbers_go_on() {
    let mut old = serving();
    reload_well(&mut old, 1, 3, seconds(10));
    let (mut new, actions) = next_image(&old, seconds(20));
    assert!(actions.is_empty(), "{actions:?}");
    assert_eq!(new.generation(), 1);
    assert_eq!(new.counts(), Counts { wanted: 2, serving: 2, draining: 2, broken: 0 });
    let actions = new.step(Input::Exited(worker(3), CRASHED), seconds(60));
    assert!(actions.contains(&successor(5, 0, 2, 1)), "place, free page and generation of the dead: {actions:?}");
    assert!(
        new.step(Input::Exited(worker(1), DONE), seconds(60)).iter().all(|action| !matches!(action, Action::Spawn(_)))
    );
}

#[test]
fn the_deadline_of_what_drains_begins_anew() {
    let mut old = serving();
    old.step(Input::Disconnect(worker(1)), seconds(10));
    let (mut new, _) = next_image(&old, seconds(20));
    assert_eq!(new.wakes_at(), Some(seconds(51)));
    assert_eq!(new.step(Input::Elapsed, seconds(51)), [Action::Kill(worker(1), KillReason::Drain)]);
}

#[test]
fn a_worker_that_died_meanwhile_is_replaced() {
    let old = serving();
    let (mut new, _) = next_image(&old, seconds(20));
    let actions = new.step(Input::Exited(worker(2), KILLED), seconds(20));
    assert_eq!(actions[1], spawn(worker(3), 1));
}

#[test]
fn a_server_that_exits_with_0_is_still_replaced() {
    let old = serving();
    let (mut new, _) = next_image(&old, seconds(20));
    assert_eq!(spawns(&new.step(Input::Exited(worker(2), DONE), seconds(30))), 1);
}

#[test]
fn a_place_that_waited_gets_its_worker_and_one_that_was_given_up_does_not() {
    let mut old = serving_with(Policy::default(), 3);
    old.step(Input::Exited(worker(1), ExitStatus::Code(DO_NOT_RESTART)), seconds(10));
    old.step(Input::Exited(worker(2), CRASHED), seconds(10));
    let wait = back_off(&old.step(Input::Exited(worker(4), FAILED), seconds(10)));
    let (mut new, actions) = next_image(&old, seconds(10));
    assert!(actions.is_empty(), "{actions:?}");
    assert_eq!(new.wakes_at(), Some(seconds(10) + wait));
    assert_eq!(new.step(Input::Elapsed, seconds(10) + wait), [successor(5, 1, 0, 0)]);
    assert_eq!(new.wanted(), 3);
}

#[test]
fn a_replacement_that_was_under_way_is_not_gone_on_with() {
    let mut old = serving_with(Policy { max_requests: Some(1), ..Policy::default() }, 1);
    old.step(Input::Tick(vec![Vitals { requests: 10, ..vitals(1, 1) }]), seconds(10));
    assert_eq!(old.live(), [worker(1), worker(2)]);
    let (new, actions) = next_image(&old, seconds(20));
    assert_eq!(actions, [Action::Kill(worker(2), KillReason::Unneeded)]);
    assert_eq!(new.leaves(worker(1)), Some(false));
}

#[test]
fn a_worker_that_was_held_when_it_was_started_and_holds_its_place_is_admitted() {
    let birth = Birth { held: true, ..birth(worker(7), 0, 3, 2) };
    let workers = vec![Adopted { birth, stage: Stage::Ready, listens: true }];
    let heritage = Heritage { next_worker: 8, generation: 2, places: Vec::new(), workers };
    let mut new = Supervisor::new(Policy::default(), 1);
    assert_eq!(new.step(Input::Adopt(heritage), seconds(0)), [Action::Admit(worker(7))]);
    assert_eq!(new.step(Input::Fork, seconds(1)), [successor(8, 1, 0, 2)], "the smallest free page");
}
