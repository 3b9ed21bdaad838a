//! The rules of supervision, one test each; a file for each subject.

mod adopt;
mod first_start;
mod gate;
mod given_up;
mod hang;
mod memory;
mod recycle;
mod reload;
mod restart;
mod roll_back;
mod room;
mod scale;
mod status;
mod stop;

use std::time::Duration;

use phalanx_memory::Resource;
use phalanx_process::ExitStatus;
use phalanx_shared::SlotIndex;

use super::*;

const KILLED: ExitStatus = ExitStatus::Signal(9);
const CRASHED: ExitStatus = ExitStatus::Signal(11);
const FAILED: ExitStatus = ExitStatus::Code(1);
const DONE: ExitStatus = ExitStatus::Code(0);

fn seconds(n: u64) -> Now {
    Duration::from_secs(n)
}

fn worker(n: u32) -> WorkerId {
    WorkerId::new(n)
}

/// A worker of the first generation whose page has the number of its place.
fn spawn(worker: WorkerId, place: u16) -> Action {
    Action::Spawn(birth(worker, place, place, 0))
}

fn birth(worker: WorkerId, place: u16, page: u16, generation: u32) -> Birth {
    Birth { worker, place: Place(place), page: SlotIndex(page), generation, held: false }
}

/// The start of a successor.
fn successor(n: u32, place: u16, page: u16, generation: u32) -> Action {
    Action::Spawn(birth(worker(n), place, page, generation))
}

fn drain(n: u32) -> Action {
    Action::Drain(worker(n), Departure::Alone, seconds(30))
}

fn done(operation: u64) -> Action {
    Action::Over { operation, result: Ok(()) }
}

fn vitals(n: u32, beat: u64) -> Vitals {
    Vitals { worker: worker(n), beat, requests: 0, resident_bytes: 0, holder: Holder::Primary }
}

fn started(workers: usize) -> Supervisor {
    started_with(Policy::default(), workers)
}

fn started_with(policy: Policy, workers: usize) -> Supervisor {
    let mut supervisor = Supervisor::new(policy, 1);
    let actions = supervisor.step(Input::Start { workers }, seconds(0));
    let expected: Vec<Action> = (0..workers).map(|n| spawn(worker(n as u32 + 1), n as u16)).collect();
    assert_eq!(actions, expected);
    supervisor
}

/// Two workers that listen and are ready since second 1.
fn serving() -> Supervisor {
    serving_with(Policy::default(), 2)
}

/// Workers that listen and are ready since second 1.
fn serving_with(policy: Policy, workers: usize) -> Supervisor {
    let mut supervisor = started_with(policy, workers);
    for n in 1..=workers {
        assert!(supervisor.step(Input::Listening(worker(n as u32)), seconds(1)).is_empty());
        assert!(supervisor.step(Input::Ready(worker(n as u32)), seconds(1)).is_empty());
    }
    supervisor
}

fn reload(generation: u32) -> Input {
    Input::Reload { operation: u64::from(generation), generation }
}

/// Reloads to the generation with new workers of which each is ready at once, and which begin with this number.
/// The old workers do not leave yet.
fn reload_well(supervisor: &mut Supervisor, generation: u32, first: u32, now: Now) {
    let places = supervisor.wanted() as u32;
    supervisor.step(reload(generation), now);
    for n in first..first + places {
        supervisor.step(Input::Listening(worker(n)), now);
        supervisor.step(Input::Ready(worker(n)), now);
        if n == first {
            supervisor.step(Input::Elapsed, now + seconds(1));
        }
    }
    let actions = supervisor.step(Input::Elapsed, now + seconds(2));
    let over = Action::Over { operation: u64::from(generation), result: Ok(()) };
    assert!(places == 1 || actions.contains(&over), "{actions:?}");
    assert_eq!(supervisor.generation(), generation);
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

/// Why the operation failed that ends here.
fn failure(actions: &[Action]) -> &str {
    let why = actions.iter().find_map(|action| match action {
        Action::Over { result: Err(why), .. } => Some(why),
        _ => None,
    });
    why.unwrap_or_else(|| panic!("no failed operation in {actions:?}"))
}
