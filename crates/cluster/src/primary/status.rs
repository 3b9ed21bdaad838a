//! What the front tells of the cluster: its places, its workers, its operations.

use std::collections::{BTreeSet, HashMap};

use super::companions::Companions;
use super::operations::{Operation, Progress};
use super::workers::{PlaceRecord, Running};
use crate::front::feed::unix_ms;
use crate::front::link;
use crate::supervisor::{NextTry, Status};
use crate::{Place, WorkerId};

/// The status in the words of the link.
pub(super) fn of_cluster(
    status: Status,
    workers: &HashMap<WorkerId, Running>,
    records: &HashMap<Place, PlaceRecord>,
    companions: &Companions,
) -> link::Status {
    let now_ms = unix_ms();
    let mut told = link::Status::default();
    for place in status.places {
        let record = records.get(&place.place);
        let state = match (place.state, place.workers.first().map(|worker| word(worker.state))) {
            ("taken", Some(of_worker)) => of_worker,
            ("given up", _) => "given-up",
            ("making room", _) => "making-room",
            (other, _) => other,
        };
        told.places.push(link::PlaceStatus {
            place: place.place,
            state: state.to_owned(),
            restarts: record.map_or(0, |record| record.starts.saturating_sub(1)),
            failures: place.failures,
            next_try_ms: match place.next_try {
                Some(NextTry::In(wait)) => Some(wait.as_millis() as u64),
                Some(NextTry::AtReload) | None => None,
            },
            error: record.and_then(|record| record.error.clone()),
        });
        for worker in place.workers {
            let Some(running) = workers.get(&worker.worker) else { continue };
            told.workers.push(link::WorkerStatus {
                worker: worker.worker,
                place: place.place,
                pid: running.child.pid(),
                page: worker.page.0,
                state: word(worker.state).to_owned(),
                generation: worker.generation,
                started_ms: now_ms.saturating_sub(running.started.elapsed().as_millis() as u64),
            });
        }
    }
    let all: BTreeSet<String> =
        workers.values().flat_map(|running| &running.program.listens).map(ToString::to_string).collect();
    told.addresses.extend(all.into_iter().take(link::MOST_ADDRESSES));
    told.companions.extend(companions.standings().map(|its| link::CompanionStatus {
        name: its.name.to_owned(),
        pid: its.pid,
        restarts: its.restarts,
        started_ms: its.alive_for.map(|alive| now_ms.saturating_sub(alive.as_millis() as u64)),
        ended: its.ended.map(str::to_owned),
    }));
    told
}

/// The supervisor's word for a worker's state, as the control socket has it.
fn word(state: &'static str) -> &'static str {
    match state {
        "starting" => "booting",
        "probed" => "held",
        "killed" => "dying",
        other => other,
    }
}

/// How an operation stands, in the words of the link.
pub(super) fn of_operation(operation: &Operation) -> link::Operation {
    link::Operation {
        number: operation.number,
        kind: operation.kind.to_owned(),
        state: match &operation.progress {
            Progress::Running => link::OperationState::Running,
            Progress::Done => link::OperationState::Done,
            Progress::Failed(why) => link::OperationState::Failed(why.clone()),
        },
        began_ms: operation.began_ms,
        ended_ms: operation.ended_ms,
    }
}
