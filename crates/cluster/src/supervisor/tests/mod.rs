//! The rules of supervision, one test each.

use std::time::Duration;

use phalanx_process::ExitStatus;
use phalanx_shared::SlotIndex;

use super::*;

const KILLED: ExitStatus = ExitStatus::Signal(9);
const CRASHED: ExitStatus = ExitStatus::Signal(11);
const FAILED: ExitStatus = ExitStatus::Code(1);

fn seconds(n: u64) -> Now {
    Duration::from_secs(n)
}

fn worker(n: u32) -> WorkerId {
    WorkerId::new(n)
}

fn spawn(worker: WorkerId, place: u16) -> Action {
    Action::Spawn(Birth { worker, place: Place(place), page: SlotIndex(place), generation: 0, held: false })
}

fn vitals(n: u32, beat: u64) -> Vitals {
    Vitals { worker: worker(n), beat, requests: 0, resident_bytes: 0 }
}

fn started(workers: usize) -> Supervisor {
    let mut supervisor = Supervisor::new(Policy::default(), 1);
    let actions = supervisor.step(Input::Start { workers }, seconds(0));
    let expected: Vec<Action> = (0..workers).map(|n| spawn(worker(n as u32 + 1), n as u16)).collect();
    assert_eq!(actions, expected);
    supervisor
}

/// Two workers that listen and are ready since second 1.
fn serving() -> Supervisor {
    let mut supervisor = started(2);
    for n in [1, 2] {
        assert!(supervisor.step(Input::Listening(worker(n)), seconds(1)).is_empty());
        assert!(supervisor.step(Input::Ready(worker(n)), seconds(1)).is_empty());
    }
    supervisor
}

fn spawns(actions: &[Action]) -> usize {
    actions.iter().filter(|action| matches!(action, Action::Spawn(..))).count()
}

fn back_off(actions: &[Action]) -> Duration {
    let wait = actions.iter().find_map(|action| match action {
        Action::BackOff(_, wait) => Some(*wait),
        _ => None,
    });
    wait.unwrap_or_else(|| panic!("no back-off in {actions:?}"))
}

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

#[test]
fn a_cluster_without_workers_ends_when_its_code_has_ended() {
    let mut supervisor = Supervisor::new(Policy::default(), 1);
    assert!(supervisor.step(Input::Start { workers: 0 }, seconds(0)).is_empty());
    assert_eq!(supervisor.step(Input::CodeEnded, seconds(1)), [Action::Finish(Outcome::Done)]);
}
