//! What follows a death.

use super::*;

#[test]
fn a_worker_that_dies_while_it_serves_is_replaced_at_once_in_its_place() {
    let mut supervisor = serving();
    let actions = supervisor.step(Input::Exited(worker(2), CRASHED), seconds(10));
    assert!(matches!(&actions[0], Action::Bury(id, reason) if *id == worker(2) && !reason.voluntary));
    assert_eq!(actions[1], spawn(worker(3), 1));
}

#[test]
fn a_death_before_ready_waits_and_each_further_one_waits_twice_as_long() {
    let mut supervisor = serving();
    supervisor.step(Input::Exited(worker(1), CRASHED), seconds(10));
    let mut now = seconds(10);
    for (id, base) in [(3, 100), (4, 200), (5, 400), (6, 800)] {
        let wait = back_off(&supervisor.step(Input::Exited(worker(id), FAILED), now));
        let base = Duration::from_millis(base);
        assert!(wait >= base.mul_f64(0.8) && wait <= base.mul_f64(1.2), "{wait:?} is not about {base:?}");
        now += wait;
        assert_eq!(spawns(&supervisor.step(Input::Elapsed, now)), 1);
    }
}

#[test]
fn the_fifth_death_before_ready_in_a_minute_opens_the_breaker_and_the_others_serve_on() {
    let mut supervisor = serving();
    supervisor.step(Input::Exited(worker(1), CRASHED), seconds(10));
    let mut now = seconds(10);
    for id in 3..7 {
        now += back_off(&supervisor.step(Input::Exited(worker(id), FAILED), now));
        supervisor.step(Input::Elapsed, now);
    }
    let actions = supervisor.step(Input::Exited(worker(7), FAILED), now);
    assert!(actions.contains(&Action::Break(Place(0), seconds(60))), "{actions:?}");
    assert!(!actions.iter().any(|action| matches!(action, Action::Finish(_) | Action::CloseListeners)));
    assert_eq!(supervisor.live(), [worker(2)]);
    assert_eq!(spawns(&supervisor.step(Input::Elapsed, now + seconds(59))), 0);
    assert_eq!(spawns(&supervisor.step(Input::Elapsed, now + seconds(60))), 1, "the probe");
}

#[test]
fn a_death_within_a_second_of_ready_waits_unless_somebody_else_killed_it() {
    let mut supervisor = serving();
    let soon = seconds(1) + Duration::from_millis(500);
    back_off(&supervisor.step(Input::Exited(worker(1), CRASHED), soon));
    let actions = supervisor.step(Input::Exited(worker(2), KILLED), soon);
    assert_eq!(spawns(&actions), 1, "an outside SIGKILL is no fault of the worker: {actions:?}");
}

#[test]
fn thirty_healthy_seconds_begin_the_back_off_anew() {
    let mut supervisor = serving();
    let mut now = seconds(1) + Duration::from_millis(500);
    for id in [1, 3, 4] {
        now += back_off(&supervisor.step(Input::Exited(worker(id), CRASHED), now));
        supervisor.step(Input::Elapsed, now);
        supervisor.step(Input::Ready(worker(id + if id == 1 { 2 } else { 1 })), now);
    }
    now += seconds(31);
    assert_eq!(spawns(&supervisor.step(Input::Exited(worker(5), CRASHED), now)), 1);
    supervisor.step(Input::Ready(worker(6)), now);
    let wait = back_off(&supervisor.step(Input::Exited(worker(6), CRASHED), now));
    assert!(wait <= Duration::from_millis(120), "{wait:?} is not the first wait");
}

#[test]
fn a_worker_that_does_not_become_ready_within_its_boot_deadline_is_killed() {
    let mut supervisor = serving();
    supervisor.step(Input::Exited(worker(1), CRASHED), seconds(10));
    assert_eq!(supervisor.wakes_at(), Some(seconds(70)));
    assert!(supervisor.step(Input::Elapsed, seconds(69)).is_empty());
    let actions = supervisor.step(Input::Elapsed, seconds(70));
    assert_eq!(actions, [Action::Kill(worker(3), KillReason::Boot)]);
    let actions = supervisor.step(Input::Exited(worker(3), KILLED), seconds(70));
    back_off(&actions);
    assert!(
        matches!(&actions[0], Action::Bury(_, reason) if reason.error.as_deref() == Some("not ready within 60s")),
        "{actions:?}"
    );
}

#[test]
fn workers_that_never_serve_and_exit_with_0_are_done_and_servers_are_replaced_whatever_they_exit_with() {
    let mut supervisor = started(1);
    supervisor.step(Input::Ready(worker(1)), seconds(1));
    let actions = supervisor.step(Input::Exited(worker(1), ExitStatus::Code(0)), seconds(2));
    assert_eq!(actions.last(), Some(&Action::Finish(Outcome::Done)));

    let mut supervisor = serving();
    let actions = supervisor.step(Input::Exited(worker(1), ExitStatus::Code(0)), seconds(10));
    assert_eq!(spawns(&actions), 1);
}

#[test]
fn a_server_that_exits_with_0_before_it_is_ready_has_failed() {
    let mut supervisor = serving_with(Policy { purpose: Purpose::Serve, ..Policy::default() }, 2);
    supervisor.step(Input::Exited(worker(1), CRASHED), seconds(10));
    let actions = supervisor.step(Input::Exited(worker(3), ExitStatus::Code(0)), seconds(10));
    back_off(&actions);

    let mut supervisor = started_with(Policy { purpose: Purpose::Serve, ..Policy::default() }, 1);
    let actions = supervisor.step(Input::Exited(worker(1), ExitStatus::Code(0)), seconds(1));
    assert!(matches!(actions.last(), Some(Action::Finish(Outcome::FirstStartFailed { .. }))), "{actions:?}");
}

#[test]
fn without_a_living_worker_for_five_seconds_the_listeners_are_closed_until_one_is_started() {
    let mut supervisor = serving();
    let mut now = seconds(1) + Duration::from_millis(100);
    supervisor.step(Input::Disconnect(worker(2)), now);
    supervisor.step(Input::Exited(worker(2), ExitStatus::Code(0)), now);
    let mut closed = false;
    let mut id = 1;
    let mut idle_since = now;
    supervisor.step(Input::Exited(worker(id), CRASHED), now);
    while now < seconds(400) {
        now = supervisor.wakes_at().expect("something is always due");
        let actions = supervisor.step(Input::Elapsed, now);
        if actions.contains(&Action::CloseListeners) {
            assert!(now - idle_since >= seconds(5));
            closed = true;
        }
        if spawns(&actions) == 1 {
            idle_since = now;
            id = supervisor.live()[0].get();
            supervisor.step(Input::Exited(worker(id), FAILED), now);
        }
    }
    assert!(closed, "the listeners were never closed");
    assert!(id > 5, "the slot was never tried again");
}

#[test]
fn what_an_unknown_worker_says_changes_nothing() {
    let mut supervisor = serving();
    for input in [
        Input::Ready(worker(99)),
        Input::Exited(worker(99), CRASHED),
        Input::Disconnect(worker(99)),
        Input::Failed(worker(99), "x".into()),
    ] {
        assert!(supervisor.step(input, seconds(10)).is_empty());
    }
}
