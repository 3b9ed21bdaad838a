//! The shapes of the JSON that the control socket answers with; the page of [`front`](super) shows one of each.

use std::time::Duration;

use bytes::Bytes;
use phalanx_shared::{ClusterField, Field, Slot};
use serde::Serialize;

use super::feed::unix_ms;
use super::link::{CompanionStatus, Note, Operation, OperationState, PlaceStatus, WorkerStatus};
use super::state::Front;

/// Version of these shapes. Members are only added while it stays the same.
pub(super) const API: u32 = 1;

/// `GET /status`.
#[derive(Serialize)]
pub(super) struct StatusJson {
    api: u32,
    version: String,
    pid: u64,
    ready: bool,
    about: serde_json::Map<String, serde_json::Value>,
    cluster: ClusterJson,
    operation: Option<OperationJson>,
    places: Vec<PlaceJson>,
    workers: Vec<WorkerJson>,
    companions: Vec<CompanionJson>,
    front: FrontJson,
}

#[derive(Serialize)]
struct ClusterJson {
    wanted: u64,
    serving: u64,
    booting: u64,
    draining: u64,
    broken: u64,
    given_up: u64,
    generation: u64,
    started_at: u64,
    uptime_seconds: u64,
    stopping: bool,
    listeners: Vec<String>,
    active: serde_json::Map<String, serde_json::Value>,
    starts: u64,
    crashes: u64,
    reloads_done: u64,
    reloads_failed: u64,
    requests: u64,
    log_lines_dropped: u64,
    memory: MemoryJson,
}

/// What the whole cluster may use and uses.
#[derive(Serialize)]
struct MemoryJson {
    limit_bytes: u64,
    /// Who sets the limit: `cgroup` or `machine`.
    limit_source: &'static str,
    used_bytes: u64,
    /// Shares of the last 10 s in which some, or all, tasks waited for memory: 0 to 1.
    pressure_some: f64,
    pressure_full: f64,
    primary_resident_bytes: u64,
    out_of_memory_kills: u64,
}

#[derive(Serialize)]
struct PlaceJson {
    place: u16,
    state: String,
    restarts: u64,
    failures: u32,
    next_try_seconds: Option<f64>,
    error: Option<String>,
}

#[derive(Serialize)]
struct WorkerJson {
    worker: u32,
    place: u16,
    pid: u32,
    state: String,
    generation: u32,
    uptime_seconds: u64,
    restarts: u64,
    #[serde(flatten)]
    load: LoadJson,
}

#[derive(Serialize)]
struct CompanionJson {
    name: String,
    pid: Option<u32>,
    restarts: u64,
    uptime_seconds: Option<u64>,
    last_end: Option<String>,
}

#[derive(Serialize, Default)]
struct LoadJson {
    accepting: bool,
    connections: u64,
    in_flight: u64,
    requests: u64,
    busy_threads: u64,
    queue_depth: u64,
    job_processes: u64,
    job_crashes: u64,
    jobs_poisoned: u64,
    /// What confines the job processes, while there are any.
    sandbox: Option<String>,
    resident_bytes: u64,
    proportional_bytes: u64,
    unique_bytes: u64,
    anonymous_bytes: u64,
    file_bytes: u64,
    shared_bytes: u64,
    /// Live bytes, as the allocator counts them.
    allocated_bytes: u64,
    active_bytes: u64,
    retained_bytes: u64,
    budget_bytes: u64,
    reserved_bytes: u64,
    peak_reserved_bytes: u64,
    descriptors: u64,
    leaks: u64,
}

#[derive(Serialize)]
struct FrontJson {
    pid: u32,
    restarts: u64,
    events_dropped: u64,
}

/// An operation: the answer to each command that begins one, and of `GET /operations/N`.
#[derive(Serialize)]
pub(super) struct OperationJson {
    operation: u64,
    kind: String,
    state: &'static str,
    error: Option<String>,
    began_at: f64,
    ended_at: Option<f64>,
}

impl From<Operation> for OperationJson {
    fn from(operation: Operation) -> OperationJson {
        let (state, error) = match operation.state {
            OperationState::Running => ("running", None),
            OperationState::Done => ("done", None),
            OperationState::Failed(why) => ("failed", Some(why)),
        };
        OperationJson {
            operation: operation.number,
            kind: operation.kind,
            state,
            error,
            began_at: seconds(operation.began_ms),
            ended_at: operation.ended_ms.map(seconds),
        }
    }
}

/// One line of `GET /events`.
#[derive(Serialize)]
struct EventJson<'a> {
    event: u64,
    at: f64,
    kind: &'a str,
    text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    worker: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<u64>,
}

/// An event as a line.
pub(super) fn event_line(note: &Note) -> Bytes {
    let event = EventJson {
        event: note.number,
        at: seconds(note.at_ms),
        kind: &note.kind,
        text: &note.text,
        worker: note.worker.map(|worker| worker.get()),
        place: note.place.map(|place| place.0),
        operation: note.operation,
    };
    let mut line = serde_json::to_vec(&event).unwrap_or_default();
    line.push(b'\n');
    line.into()
}

/// The whole status.
pub(super) fn status(front: &Front) -> StatusJson {
    let of = |field| front.cluster.get(field);
    let status = front.status();
    let pages = front.pages();
    let totals = front.cluster.totals(pages.iter().map(|page| &**page));
    let now = unix_ms();
    let words = |(name, word): &(String, String)| (name.clone(), word.clone().into());
    let active = front.welcome.active.iter().map(words);
    StatusJson {
        api: API,
        version: match &front.welcome.program_version {
            version if version.is_empty() => env!("CARGO_PKG_VERSION").to_owned(),
            version => version.clone(),
        },
        pid: of(ClusterField::PrimaryPid),
        ready: front.cluster.is_ready(),
        about: front.welcome.about.iter().map(words).collect(),
        cluster: ClusterJson {
            wanted: of(ClusterField::Wanted),
            serving: of(ClusterField::Serving),
            booting: of(ClusterField::Booting),
            draining: of(ClusterField::Draining),
            broken: of(ClusterField::Broken),
            given_up: of(ClusterField::GivenUp),
            generation: of(ClusterField::Generation),
            started_at: of(ClusterField::StartedAt),
            uptime_seconds: (now / 1000).saturating_sub(of(ClusterField::StartedAt)),
            stopping: of(ClusterField::Stopping) != 0,
            listeners: front.welcome.listeners.iter().chain(&status.addresses).cloned().collect(),
            active: active.collect(),
            starts: of(ClusterField::Starts),
            crashes: of(ClusterField::Crashes),
            reloads_done: of(ClusterField::ReloadsDone),
            reloads_failed: of(ClusterField::ReloadsFailed),
            requests: totals.get(Field::Requests),
            log_lines_dropped: front.log.dropped().max(of(ClusterField::LogLinesDropped)),
            memory: memory(of),
        },
        operation: front.last_operation().map(OperationJson::from),
        places: status.places.iter().map(|its| place(its, front.status_age())).collect(),
        workers: status.workers.iter().map(|its| worker(front, &status.places, its, now)).collect(),
        companions: status.companions.iter().map(|its| companion(its, now)).collect(),
        front: FrontJson {
            pid: std::process::id(),
            restarts: of(ClusterField::FrontRestarts),
            events_dropped: of(ClusterField::EventsDropped),
        },
    }
}

fn memory(of: impl Fn(ClusterField) -> u64) -> MemoryJson {
    // The primary tells it in 1/100 %.
    let share = |field| of(field) as f64 / 10_000.0;
    MemoryJson {
        limit_bytes: of(ClusterField::MemoryTotal),
        limit_source: match phalanx_memory::total().source {
            phalanx_memory::Source::Machine => "machine",
            _ => "cgroup",
        },
        used_bytes: of(ClusterField::MemoryUsed),
        pressure_some: share(ClusterField::MemoryPressureSome),
        pressure_full: share(ClusterField::MemoryPressureFull),
        primary_resident_bytes: of(ClusterField::PrimaryResidentBytes),
        out_of_memory_kills: of(ClusterField::OutOfMemoryKills),
    }
}

fn place(its: &PlaceStatus, age: Duration) -> PlaceJson {
    PlaceJson {
        place: its.place.0,
        state: its.state.clone(),
        restarts: its.restarts,
        failures: its.failures,
        next_try_seconds: its.next_try_ms.map(|wait| seconds(wait.saturating_sub(age.as_millis() as u64))),
        error: its.error.clone(),
    }
}

fn companion(its: &CompanionStatus, now: u64) -> CompanionJson {
    CompanionJson {
        name: its.name.clone(),
        pid: its.pid,
        restarts: its.restarts,
        uptime_seconds: its.started_ms.map(|started| now.saturating_sub(started) / 1000),
        last_end: its.ended.clone(),
    }
}

fn worker(front: &Front, places: &[PlaceStatus], its: &WorkerStatus, now: u64) -> WorkerJson {
    let restarts = places.iter().find(|place| place.place == its.place).map_or(0, |place| place.restarts);
    WorkerJson {
        worker: its.worker.get(),
        place: its.place.0,
        pid: its.pid,
        state: its.state.clone(),
        generation: its.generation,
        uptime_seconds: now.saturating_sub(its.started_ms) / 1000,
        restarts,
        load: front.page(its.page).map(|page| load(&page, its)).unwrap_or_default(),
    }
}

/// What its page says, if it is this worker who has written it.
fn load(page: &Slot, its: &WorkerStatus) -> LoadJson {
    let Some(seen) = page.snapshot().filter(|seen| seen.get(Field::Worker) == u64::from(its.worker.get())) else {
        return LoadJson::default();
    };
    LoadJson {
        accepting: seen.get(Field::Accepting) != 0,
        connections: seen.get(Field::Connections),
        in_flight: seen.get(Field::InFlight),
        requests: seen.get(Field::Requests),
        busy_threads: seen.get(Field::BusyThreads),
        queue_depth: seen.get(Field::QueueDepth),
        job_processes: seen.get(Field::JobProcesses),
        job_crashes: seen.get(Field::JobCrashes),
        jobs_poisoned: seen.get(Field::JobsPoisoned),
        sandbox: (seen.get(Field::JobProcesses) > 0)
            .then(|| sandbox(seen.get(Field::JobLandlock), seen.get(Field::JobSeccomp))),
        resident_bytes: seen.get(Field::ResidentBytes),
        proportional_bytes: seen.get(Field::ProportionalBytes),
        unique_bytes: seen.get(Field::UniqueBytes),
        anonymous_bytes: seen.get(Field::AnonymousBytes),
        file_bytes: seen.get(Field::FileBytes),
        shared_bytes: seen.get(Field::SharedBytes),
        allocated_bytes: seen.get(Field::AllocatedBytes),
        active_bytes: seen.get(Field::ActiveBytes),
        retained_bytes: seen.get(Field::RetainedBytes),
        budget_bytes: seen.get(Field::BudgetBytes),
        reserved_bytes: seen.get(Field::ReservedBytes),
        peak_reserved_bytes: seen.get(Field::PeakReservedBytes),
        descriptors: seen.get(Field::Descriptors),
        leaks: seen.get(Field::Leaks),
    }
}

fn sandbox(landlock: u64, seccomp: u64) -> String {
    match (landlock, seccomp) {
        (0, 0) => "none".to_owned(),
        (0, _) => "seccomp".to_owned(),
        (version, 0) => format!("landlock {version}"),
        (version, _) => format!("landlock {version}, seccomp"),
    }
}

fn seconds(ms: u64) -> f64 {
    ms as f64 / 1000.0
}
