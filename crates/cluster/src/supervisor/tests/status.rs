//! The plain description.

use super::*;

#[test]
fn every_place_and_process_is_described() {
    let mut supervisor = serving();
    supervisor.step(reload(1), seconds(10));
    let status = supervisor.status(seconds(12));
    assert_eq!((status.generation, status.operation), (0, Some(1)));
    let [first, second] = &status.places[..] else { panic!("{status:?}") };
    assert_eq!((first.place, first.state, first.generation), (Place(0), "taken", 0));
    let described: Vec<_> = first.workers.iter().map(|its| (its.worker, its.part, its.state, its.since)).collect();
    assert_eq!(
        described,
        [(worker(1), "current", "serving", seconds(1)), (worker(3), "successor", "starting", seconds(10))]
    );
    assert_eq!(second.workers.len(), 1);
}

#[test]
fn a_place_without_a_worker_says_when_it_gets_one() {
    let mut supervisor = serving();
    supervisor.step(Input::Exited(worker(1), CRASHED), seconds(10));
    let wait = back_off(&supervisor.step(Input::Exited(worker(3), FAILED), seconds(10)));
    let place = supervisor.status(seconds(10)).places[0].clone();
    assert_eq!((place.state, place.failures, place.next_try), ("waiting", 1, Some(NextTry::In(wait))));
    assert!(place.workers.is_empty());
}
