//! The table of all figures: their names, what they tell, and where they come from.

use phalanx_shared::{ClusterField, Field, Histogram};

use super::text::{Family, Kind};

/// A value of one label, or none, and where its figure comes from.
pub(super) type Part<F> = (Option<(&'static str, &'static str)>, F);

const fn counter(name: &'static str, help: &'static str) -> Family {
    Family { name, help, kind: Kind::Counter }
}

const fn gauge(name: &'static str, help: &'static str) -> Family {
    Family { name, help, kind: Kind::Gauge }
}

const fn histogram(name: &'static str, help: &'static str) -> Family {
    Family { name, help, kind: Kind::Histogram }
}

/// What the primary says.
pub(super) const OF_THE_CLUSTER: &[(Family, &[Part<ClusterField>])] = &[
    (gauge("phalanx_start_time_seconds", "When the cluster began, since 1970."), &[(None, ClusterField::StartedAt)]),
    (gauge("phalanx_places", "Places that should have a worker."), &[(None, ClusterField::Wanted)]),
    (
        gauge(
            "phalanx_places_broken",
            "Places without a worker: tried again after a while, or given up until a reload.",
        ),
        &[(None, ClusterField::Broken)],
    ),
    (
        gauge("phalanx_workers", "Worker processes by what they do."),
        &[
            (Some(("state", "serving")), ClusterField::Serving),
            (Some(("state", "booting")), ClusterField::Booting),
            (Some(("state", "draining")), ClusterField::Draining),
        ],
    ),
    (gauge("phalanx_generation", "Generation that new workers get."), &[(None, ClusterField::Generation)]),
    (
        gauge("phalanx_stopping", "1 from the moment when the cluster begins to stop."),
        &[(None, ClusterField::Stopping)],
    ),
    (counter("phalanx_worker_starts_total", "Worker processes started."), &[(None, ClusterField::Starts)]),
    (
        counter("phalanx_worker_crashes_total", "Worker processes that ended without being told to."),
        &[(None, ClusterField::Crashes)],
    ),
    (
        counter("phalanx_worker_kills_total", "Worker processes killed by the primary."),
        &[
            (Some(("reason", "boot")), ClusterField::KilledBoot),
            (Some(("reason", "gate")), ClusterField::KilledGate),
            (Some(("reason", "hung")), ClusterField::KilledHung),
            (Some(("reason", "drain")), ClusterField::KilledDrain),
            (Some(("reason", "memory")), ClusterField::KilledMemory),
            (Some(("reason", "old_generation")), ClusterField::KilledOldGeneration),
            (Some(("reason", "unneeded")), ClusterField::KilledUnneeded),
            (Some(("reason", "stop")), ClusterField::KilledStop),
        ],
    ),
    (
        counter("phalanx_worker_recycled_total", "Workers replaced because they had had their share."),
        &[
            (Some(("reason", "requests")), ClusterField::RecycledRequests),
            (Some(("reason", "lifetime")), ClusterField::RecycledLifetime),
            (Some(("reason", "memory")), ClusterField::RecycledMemory),
        ],
    ),
    (
        counter("phalanx_back_offs_total", "Times that a place waited before its next start."),
        &[(None, ClusterField::BackOffs)],
    ),
    (
        counter("phalanx_breakers_opened_total", "Times that a place was given up for a while."),
        &[(None, ClusterField::BreakersOpened)],
    ),
    (
        counter("phalanx_places_given_up_total", "Times that a worker said that it must not be restarted."),
        &[(None, ClusterField::GivenUp)],
    ),
    (
        counter("phalanx_reloads_total", "Reloads by how they ended."),
        &[
            (Some(("result", "done")), ClusterField::ReloadsDone),
            (Some(("result", "failed")), ClusterField::ReloadsFailed),
        ],
    ),
    (
        gauge("phalanx_last_reload_time_seconds", "When the last good reload ended, since 1970; 0 if there was none."),
        &[(None, ClusterField::LastReloadAt)],
    ),
    (
        counter("phalanx_upgrades_total", "Upgrades in place by how they ended."),
        &[
            (Some(("result", "done")), ClusterField::UpgradesDone),
            (Some(("result", "failed")), ClusterField::UpgradesFailed),
        ],
    ),
    (
        counter("phalanx_rollbacks_total", "Returns to the program before an upgrade."),
        &[(None, ClusterField::Rollbacks)],
    ),
    (counter("phalanx_stack_dumps_total", "Stack dumps made of hung workers."), &[(None, ClusterField::StackDumps)]),
    (
        counter("phalanx_log_lines_dropped_total", "Lines of workers dropped because the log took no more."),
        &[(None, ClusterField::LogLinesDropped)],
    ),
    (
        counter(
            "phalanx_events_dropped_total",
            "Events that the front process did not get because it read too slowly.",
        ),
        &[(None, ClusterField::EventsDropped)],
    ),
    (
        counter("phalanx_front_restarts_total", "Times that the front process was started anew."),
        &[(None, ClusterField::FrontRestarts)],
    ),
];

/// What all workers have done, with those that have ended.
pub(super) const OF_ALL_WORKERS: &[(Family, &[Part<Field>])] = &[
    (counter("phalanx_connections_accepted_total", "Connections accepted."), &[(None, Field::Accepted)]),
    (
        counter("phalanx_connections_deferred_total", "Connections for which a worker stood back for a less busy one."),
        &[(None, Field::Deferred)],
    ),
    (
        counter("phalanx_connections_refused_total", "Connections refused because their client has too many."),
        &[(None, Field::Refused)],
    ),
    (counter("phalanx_connections_passed_total", "Connections passed to another worker."), &[(None, Field::PassedOn)]),
    (counter("phalanx_http2_connections_total", "Connections that spoke HTTP/2."), &[(None, Field::Http2Connections)]),
    (
        counter("phalanx_tls_handshakes_total", "TLS handshakes by how they ended."),
        &[(Some(("result", "done")), Field::TlsHandshakes), (Some(("result", "failed")), Field::TlsFailures)],
    ),
    (counter("phalanx_requests_total", "Requests begun."), &[(None, Field::Requests)]),
    (
        counter("phalanx_responses_total", "Answers by the class of their status."),
        &[
            (Some(("class", "1xx")), Field::Responses1xx),
            (Some(("class", "2xx")), Field::Responses2xx),
            (Some(("class", "3xx")), Field::Responses3xx),
            (Some(("class", "4xx")), Field::Responses4xx),
            (Some(("class", "5xx")), Field::Responses5xx),
        ],
    ),
    (
        counter("phalanx_requests_shed_total", "Requests refused because there was too much to do."),
        &[(None, Field::Shed)],
    ),
    (
        counter("phalanx_requests_timed_out_total", "Requests and connections ended because they took too long."),
        &[(None, Field::TimedOut)],
    ),
    (counter("phalanx_jobs_submitted_total", "Jobs given to the pools."), &[(None, Field::JobsSubmitted)]),
    (
        counter("phalanx_jobs_total", "Jobs of the pools by how they ended."),
        &[
            (Some(("result", "done")), Field::JobsDone),
            (Some(("result", "failed")), Field::JobsFailed),
            (Some(("result", "refused")), Field::JobsRefused),
        ],
    ),
    (
        counter("phalanx_job_crashes_total", "Job processes that died of a task or by themselves."),
        &[(None, Field::JobCrashes)],
    ),
    (
        counter("phalanx_job_poisoned_total", "Jobs refused because their input had killed its process too often."),
        &[(None, Field::JobsPoisoned)],
    ),
];

/// What all workers have measured: waiting apart from work.
pub(super) const TIMES: &[(Family, Histogram)] = &[
    (
        histogram("phalanx_request_seconds", "From the end of a request's head to the end of its answer."),
        Histogram::Request,
    ),
    (histogram("phalanx_queue_wait_seconds", "From the submission of a job to its start."), Histogram::QueueWait),
    (histogram("phalanx_work_seconds", "From the start of a job to its end."), Histogram::Work),
];

/// What each worker that lives says of itself.
pub(super) const OF_EACH_WORKER: &[(Family, Field)] = &[
    (gauge("phalanx_worker_start_time_seconds", "When the worker began, since 1970."), Field::StartedAt),
    (gauge("phalanx_worker_accepting", "1 while the worker takes new connections."), Field::Accepting),
    (counter("phalanx_worker_heartbeats_total", "Seconds in which the worker's event loop turned."), Field::Heartbeat),
    (gauge("phalanx_worker_connections", "Connections that are open."), Field::Connections),
    (gauge("phalanx_worker_upgraded_connections", "Upgraded connections (WebSocket) that are open."), Field::Upgraded),
    (gauge("phalanx_worker_requests_in_flight", "Requests begun and not yet answered."), Field::InFlight),
    (counter("phalanx_worker_requests_total", "Requests begun by this worker."), Field::Requests),
    (gauge("phalanx_worker_busy_threads", "Jobs that have a thread or a job process."), Field::BusyThreads),
    (gauge("phalanx_worker_queue_depth", "Jobs that wait for one."), Field::QueueDepth),
    (gauge("phalanx_job_processes", "Job processes of the worker."), Field::JobProcesses),
    (
        gauge(
            "phalanx_job_sandbox_landlock",
            "Version of Landlock that confines the worker's job processes; 0 without.",
        ),
        Field::JobLandlock,
    ),
    (
        gauge("phalanx_job_sandbox_seccomp", "1 if a filter of system calls confines the worker's job processes."),
        Field::JobSeccomp,
    ),
    (gauge("phalanx_worker_resident_bytes", "Resident memory, as last sampled."), Field::ResidentBytes),
];

/// Who each worker is: the value is always 1.
pub(super) const WORKER_INFO: Family =
    gauge("phalanx_worker_info", "A worker that lives: its place, process and generation.");

/// Which version this is: the value is always 1.
pub(super) const BUILD_INFO: Family = gauge("phalanx_build_info", "The version of Phalanx.");
